"""The scale of images in memory: which numbers stand for black and white."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plexus.errors import DataError

Scale = tuple[float, float]
"""The numbers that stand for black and for white."""


def range_of(arrays: Sequence[NDArray[Any]]) -> tuple[float, float]:
    """Return the least and the largest number.

    Raises:
        DataError: some are not finite.
    """
    low = min((float(array.min()) for array in arrays), default=0.0)
    high = max((float(array.max()) for array in arrays), default=0.0)
    if not np.isfinite([low, high]).all():
        raise DataError("pixels hold NaN or infinite numbers: replace them")
    return low, high


def scale_of(arrays: Sequence[NDArray[Any]]) -> Scale | None:
    """Return the scale, read off all images together; None for 0 and 255.

    Raises:
        DataError: arrays that hold no numbers, or some that are not finite.
    """
    if not arrays or all(array.dtype == np.uint8 for array in arrays):
        return None
    if strange := next((array.dtype for array in arrays if array.dtype.kind not in "buif"), None):
        raise DataError(f"an array of {strange} holds no pixels: give whole or floating numbers")
    low, high = range_of(arrays)
    if low >= 0 and high <= 1:
        return 0.0, 1.0
    whole = all(array.dtype.kind in "ui" or not (array % 1).any() for array in arrays)
    if low >= 0 and high <= 255 and (whole or high >= 128):
        return None
    return (low, high) if high > low else (low, low + 1)


def agreed_scale(arrays: Sequence[NDArray[Any]], trained: Scale | None) -> Scale | None:
    """Return the scale to read images by that a trained model is to see; 0 to 1 and 0 to 255 are told apart.

    Raises:
        DataError: the images are on neither, and the model was trained on one of them; or they hold no numbers, or some
            that are not finite.
    """
    own = scale_of(arrays)  # refuses what is no number, too
    if trained not in (None, (0.0, 1.0)):
        return trained
    if own not in (None, (0.0, 1.0)):
        low, high = range_of(arrays)
        usual = "0 to 255" if trained is None else "0 to 1"
        raise DataError(f"pixels run from {low:g} to {high:g}, and the model was trained on {usual}: scale them alike")
    return own
