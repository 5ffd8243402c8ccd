"""What every comparison of masks asks of its arguments."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Masks = NDArray[np.bool_]


def two_masks(prediction: ArrayLike, truth: ArrayLike) -> tuple[Masks, Masks]:
    """Return both as arrays (N, H, W).

    Raises:
        ValueError: not bool, or not of one shape (N, H, W).
    """
    a, b = np.asarray(prediction), np.asarray(truth)
    for name, masks in (("prediction", a), ("truth", b)):
        if masks.dtype != np.bool_:
            raise ValueError(f"{name} must be bool, got {masks.dtype}: compare with a threshold first")
        if masks.ndim != 3:
            raise ValueError(f"{name} must be (N, H, W), got shape {masks.shape}")
    if a.shape != b.shape:
        raise ValueError(f"prediction {a.shape} and truth {b.shape} must have one shape")
    return a, b
