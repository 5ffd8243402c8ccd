"""Grey images of more than 8 bits: how their values become 0 to 255, by tables, and what is lost by that."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

WHITES = (255, 1023, 4095, 16383, 65535)
WIDEST = WHITES[-1]
FEW = 16
"""Grey levels below which an image that had more is called poor."""
_CUT = 0.001
"""Fraction of the darkest and of the brightest pixels that do not count for contrast: hot ones, for example."""
_ROWS = 256  # counted at once: numpy makes eight bytes of every value that it counts

I64 = NDArray[np.int64]
Table = NDArray[np.uint8]
ToTable = Callable[[I64], Table]
"""From the numbers of pixels of each value, from 0 to the highest, to the grey of each value."""


def is_wide(image: Image.Image) -> bool:
    """Return True for a Pillow image of whole numbers with more than 8 bits."""
    return image.mode == "I" or image.mode.startswith("I;16")


def counted(values: NDArray[Any]) -> I64:
    """Count the pixels of each value from 0 to the highest."""
    counts = np.zeros(int(values.max()) + 1, np.int64)
    for i in range(0, len(values), _ROWS):
        counts += np.bincount(values[i : i + _ROWS].ravel(), minlength=len(counts))
    return counts


def white_of(value: int) -> int:
    """Return the white of 8, 10, 12, 14 or 16 bits that a value needs."""
    return next((white for white in WHITES if value <= white), WIDEST)


@lru_cache(len(WHITES))
def scaled(white: int) -> Table:
    """Return the grey of each value where 0..white becomes 0..255, to the nearest; more is clipped."""
    values = np.arange(WIDEST + 1)
    return np.minimum((2 * 255 * values + white) // (2 * white), 255).astype(np.uint8)


def by_itself(counts: I64) -> Table:
    """Scale an image so that its own values keep the bits that they need."""
    return scaled(white_of(len(counts) - 1))


def stretched(counts: I64) -> Table:
    """Scale an image so that nearly all of its values become 0..255: it is constant only where the values are."""
    total, values = np.cumsum(counts), np.arange(len(counts))
    low = int(np.searchsorted(total, _CUT * total[-1], "right"))
    high = int(np.searchsorted(total, (1 - _CUT) * total[-1]))
    if low >= high:
        low, high = np.flatnonzero(counts)[[0, -1]].tolist()
    if low == high:
        return np.where(values > 0, 255, 0).astype(np.uint8)
    return np.rint(255 * ((values - low) / (high - low)).clip(0, 1)).astype(np.uint8)


def levels(counts: I64, white: int) -> int:
    """Return how many grey levels a white makes of the values of an image."""
    return int(np.count_nonzero(np.bincount(scaled(white)[np.flatnonzero(counts)])))


def depth(counts: I64) -> tuple[int, ...]:
    """Return the highest value, how many there are, and how many grey levels each of `WHITES` makes of them."""
    highest = len(counts) - 1
    grey = (levels(counts, white) if white >= highest else 0 for white in WHITES)
    return highest, int(np.count_nonzero(counts)), *grey


def is_poor(grey: int, values: int) -> bool:
    """Return True where an image of so many values is left with few grey levels."""
    return grey < min(FEW, values)
