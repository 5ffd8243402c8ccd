"""Representations: one latent Z that generates and discriminates, and new tasks that start from it.

Names are loaded when they are first used: Lightning alone takes seconds to import.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from plexus.represent._config import RepresentConfig
    from plexus.represent._embed import embed, search
    from plexus.represent._probe import probe
    from plexus.represent._train import finished, open_run, resume, train
    from plexus.represent.episodes import fewshot
    from plexus.represent.variation import vary

_HOMES = {
    "RepresentConfig": "_config",
    "embed": "_embed",
    "fewshot": "episodes",
    "finished": "_train",
    "probe": "_probe",
    "open_run": "_train",
    "resume": "_train",
    "search": "_embed",
    "train": "_train",
    "vary": "variation",
}
__all__ = ["RepresentConfig", "embed", "fewshot", "finished", "open_run", "probe", "resume", "search", "train", "vary"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
