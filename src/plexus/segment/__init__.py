"""Segmentation of images in which the target may be absent: from pairs to nets, a gate, and their evidence.

Names are loaded when they are first used: Lightning alone takes seconds to import.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from plexus.segment._config import SegmentConfig
    from plexus.segment._evaluate import evaluate
    from plexus.segment._predict import predict
    from plexus.segment._submit import submit
    from plexus.segment._train import finished, open_run, resume, train

_HOMES = {
    "SegmentConfig": "_config",
    "evaluate": "_evaluate",
    "finished": "_train",
    "predict": "_predict",
    "open_run": "_train",
    "resume": "_train",
    "submit": "_submit",
    "train": "_train",
}
__all__ = ["SegmentConfig", "evaluate", "finished", "open_run", "predict", "resume", "submit", "train"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
