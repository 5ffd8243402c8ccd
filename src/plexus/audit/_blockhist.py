"""The notes' fingerprint: a histogram of each block, as it was meant and as it was published."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BLOCK, BINS = 20, 9

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]


def blockhist(pixels: U8) -> F32:
    """Counts of 9 grey levels in each block of 20 x 20 pixels, as the notes meant it.

    Args:
        pixels: (H, W) grey values 0..255; rows and columns that fill no block are left out.

    Shape:
        (H // 20 * (W // 20) * 9,)

    Example:
        >>> blockhist(np.zeros((20, 40), np.uint8)).reshape(2, 9)[:, 0]
        array([400., 400.], dtype=float32)
    """
    high, wide = len(pixels) // BLOCK, pixels.shape[1] // BLOCK
    bins = np.minimum(pixels[: high * BLOCK, : wide * BLOCK].astype(np.int64) * BINS // 255, BINS - 1)
    block = np.arange(high * BLOCK)[:, None] // BLOCK * wide + np.arange(wide * BLOCK)[None] // BLOCK
    counts = np.bincount((block * BINS + bins).ravel(), minlength=high * wide * BINS)
    return counts.astype(np.float32)


def blockhist_published(pixels: U8) -> F32:
    """What the notes' code did: one histogram for each strip of blocks, and only grey values 0 and 1 counted.

    The loop ran over the first axis of the blocks, so that a block was a strip of 20 rows; and pixels 0..255 were
    counted in 9 bins on [0, 1], of which the last holds its upper edge.

    Shape:
        (H // 20 * 9,)

    Example:
        >>> blockhist_published(np.tile(np.array([0, 1, 2, 255], np.uint8), (20, 5)))
        array([100.,   0.,   0.,   0.,   0.,   0.,   0.,   0., 100.], dtype=float32)
    """
    high, wide = len(pixels) // BLOCK, pixels.shape[1] // BLOCK
    strips = pixels[: high * BLOCK, : wide * BLOCK].reshape(high, -1)
    found = np.zeros((high, BINS), np.float32)
    found[:, 0], found[:, -1] = (strips == 0).sum(1), (strips == 1).sum(1)
    return found.ravel()
