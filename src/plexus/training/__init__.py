"""Training: from a config to a run folder with a plain model and its evidence.

Names are loaded when they are first used: Lightning alone takes seconds to import.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from plexus.training._config import FitConfig
    from plexus.training._fit import cut_again, finished, fit, resume
    from plexus.training._options import Declared, ImageOptions, Options, declared, option, read_yaml
    from plexus.training._predict import predict
    from plexus.training._run import last_run, leader, open_run

_HOMES = {
    "Declared": "_options",
    "FitConfig": "_config",
    "ImageOptions": "_options",
    "Options": "_options",
    "cut_again": "_fit",
    "declared": "_options",
    "finished": "_fit",
    "fit": "_fit",
    "last_run": "_run",
    "leader": "_run",
    "open_run": "_run",
    "option": "_options",
    "predict": "_predict",
    "read_yaml": "_options",
    "resume": "_fit",
}
__all__ = [
    "Declared",
    "FitConfig",
    "ImageOptions",
    "Options",
    "cut_again",
    "declared",
    "finished",
    "fit",
    "last_run",
    "leader",
    "open_run",
    "option",
    "predict",
    "read_yaml",
    "resume",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
