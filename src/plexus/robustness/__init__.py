"""Robustness of a classifier to turned images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lazy_loader import attach

from plexus.robustness._curve import RotationCurve
from plexus.robustness._rotation import rotate, rotation

if TYPE_CHECKING:
    from plexus.robustness._probe import probe_models

# Probing runs needs all that runs are made of, and takes seconds to import.
__getattr__, _, __all__ = attach(__name__, submod_attrs={"_probe": ["probe_models"]})
__all__ += ["RotationCurve", "rotate", "rotation"]


def __dir__() -> list[str]:
    """Return all public names; that of `attach` would leave out those that are here already."""
    return sorted(__all__)
