"""Segmentation of images in which the target may be absent: from pairs to nets, a gate, and their evidence.

Names are loaded when they are first used: Lightning alone takes seconds to import.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lazy_loader import attach

if TYPE_CHECKING:
    from plexus.segment._config import SegmentConfig
    from plexus.segment._module import segmentation_loss
    from plexus.segment._train import finished, open_run, resume, train
    from plexus.segment.evaluation import evaluate
    from plexus.segment.gate import Gate, choose_gate
    from plexus.segment.prediction import predict, submit

__getattr__, __dir__, __all__ = attach(
    __name__,
    submod_attrs={
        "_config": ["SegmentConfig"],
        "_module": ["segmentation_loss"],
        "_train": ["finished", "open_run", "resume", "train"],
        "evaluation": ["evaluate"],
        "gate": ["Gate", "choose_gate"],
        "prediction": ["predict", "submit"],
    },
)
