"""Segmentation of images in which the target may be absent: from pairs to nets, a gate, and their evidence.

Names are loaded when they are first used: Lightning alone takes seconds to import.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from plexus.segment._config import SegmentConfig
    from plexus.segment._module import segmentation_loss
    from plexus.segment._train import finished, open_run, resume, train
    from plexus.segment.evaluation import evaluate
    from plexus.segment.gate import Gate, choose_gate
    from plexus.segment.prediction import predict, submit

_HOMES = {
    "Gate": "gate",
    "SegmentConfig": "_config",
    "choose_gate": "gate",
    "evaluate": "evaluation",
    "finished": "_train",
    "predict": "prediction",
    "open_run": "_train",
    "resume": "_train",
    "segmentation_loss": "_module",
    "submit": "prediction",
    "train": "_train",
}
__all__ = [
    "Gate",
    "SegmentConfig",
    "choose_gate",
    "evaluate",
    "finished",
    "open_run",
    "predict",
    "resume",
    "segmentation_loss",
    "submit",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
