"""Training: from a config to a run folder with a plain model and its evidence.

Names are loaded when they are first used: Lightning alone takes seconds to import.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from plexus.training._config import FitConfig
    from plexus.training._fit import cut_again, finished, fit, resume
    from plexus.training._predict import predict
    from plexus.training._run import last_run, leader, open_run

_HOMES = {
    "FitConfig": "_config",
    "cut_again": "_fit",
    "finished": "_fit",
    "fit": "_fit",
    "last_run": "_run",
    "leader": "_run",
    "open_run": "_run",
    "predict": "_predict",
    "resume": "_fit",
}
__all__ = [
    "FitConfig",
    "cut_again",
    "finished",
    "fit",
    "last_run",
    "leader",
    "open_run",
    "predict",
    "resume",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
