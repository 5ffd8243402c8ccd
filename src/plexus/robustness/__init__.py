"""Robustness of a classifier to turned images."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from plexus.robustness._curve import RotationCurve
from plexus.robustness._rotation import rotate, rotation

if TYPE_CHECKING:
    from plexus.robustness._probe import probe_models

__all__ = ["RotationCurve", "probe_models", "rotate", "rotation"]


def __getattr__(name: str) -> Any:
    if name != "probe_models":  # which needs all that runs are made of, and takes seconds to import
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module("plexus.robustness._probe").probe_models
