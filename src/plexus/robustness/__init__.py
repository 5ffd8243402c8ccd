"""Robustness of a classifier to turned images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lazy_loader import attach

from plexus.robustness._curve import RotationCurve
from plexus.robustness._rotation import rotate, rotation

if TYPE_CHECKING:
    from plexus.robustness._probe import probe_models

# Probing runs needs all that runs are made of, and takes seconds to import.
__getattr__, __dir__, __all__ = attach(__name__, submod_attrs={"_probe": ["probe_models"]})
__all__ += ["RotationCurve", "rotate", "rotation"]
