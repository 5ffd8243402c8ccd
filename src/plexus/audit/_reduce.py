"""Small grey copies of images, and what two of them are compared by: a band of their spectra.

Fine speckle is gone after the reduction, and what all images of a kind share (shading, the fan of a probe) lies in the
lowest frequencies; between the two lies what tells one image from another, and a shift of a few pixels hardly moves it.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

ROWS, COLUMNS = 72, 96
"""Of a reduced copy."""
LOW, MIDDLE, HIGH = 3.0, 10.0, 20.0
"""Cycles per image: vectors hold LOW..MIDDLE, the registration of a pair compares 4..HIGH."""
REGISTERED = 4.0

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]
C64 = NDArray[np.complex64]


def reduced(pixels: U8) -> U8:
    """An image as 72 x 96 grey values: boxes of whole pixels are averaged, the rest is antialiased bilinear filtering.

    Args:
        pixels: (H, W) or (H, W, 3), 0..255.

    Shape:
        (72, 96), uint8, whatever the size of the image.

    Example:
        >>> reduced(np.full((420, 580), 7, np.uint8)).mean()
        np.float64(7.0)
    """
    image = Image.fromarray(np.ascontiguousarray(pixels))
    if image.mode != "L":
        image = image.convert("L")
    # two steps: averages of boxes are far faster, and the filter at the end has no more aliasing than it alone
    factor = min(image.width // COLUMNS, image.height // ROWS)
    if factor > 1:
        image = image.reduce(factor)
    return np.asarray(image.resize((COLUMNS, ROWS), Image.Resampling.BILINEAR))


def spectra(copies: U8) -> C64:
    """The spectra of windowed copies up to HIGH cycles, rows -HIGH..HIGH and columns 0..HIGH.

    F(u, v) = sum_yx w(y, x) (c(y, x) - m) exp(-2 pi i (u y / 72 + v x / 96)), m the windowed mean.

    Shape:
        (N, 72, 96) to (N, 41, 21).
    """
    window, right, left = _tables()
    flat = copies.reshape(len(copies), ROWS * COLUMNS).astype(np.float32)
    flat -= (flat @ window)[:, None] / window.sum()
    flat *= window
    across = (flat.reshape(-1, COLUMNS) @ right).reshape(len(copies), ROWS, right.shape[1])
    found: C64 = left @ across.view(np.complex64)
    return found


def band(found: C64, low: float, high: float) -> C64:
    """Spectra between two frequencies, each of norm 1 (0 where nothing is there), as (N, frequencies)."""
    u, v = frequencies()
    radius = np.hypot(u[:, None], v[None])
    inside = (radius >= low) & (radius <= high) & ~((v[None] == 0) & (u[:, None] < 0))  # a real image: u, v = -u, -v
    chosen: C64 = found[:, inside]
    length = np.sqrt((chosen.real**2 + chosen.imag**2).sum(1, keepdims=True))
    # a flat image is nothing but rounding: less than a hundredth of a grey level
    flat = length < 0.01 * ROWS * COLUMNS / 50
    return np.where(flat, 0, chosen / np.where(flat, 1, length)).astype(np.complex64)


def vectors(copies: U8, batch: int = 1024) -> F32:
    """Unit vectors whose dot product is the correlation of two images in the band LOW..MIDDLE, unshifted.

    Shape:
        (N, 72, 96) to (N, D).
    """
    parts = [band(spectra(copies[i : i + batch]), LOW, MIDDLE) for i in range(0, len(copies), batch)]
    if not parts:
        parts = [band(spectra(np.zeros((0, ROWS, COLUMNS), np.uint8)), LOW, MIDDLE)]
    return np.concatenate([np.concatenate([p.real, p.imag], 1) for p in parts])


def frequencies() -> tuple[F32, F32]:
    """Those of the rows, and those of the columns."""
    high = int(HIGH)
    return np.arange(-high, high + 1, dtype=np.float32), np.arange(high + 1, dtype=np.float32)


@cache
def _tables() -> tuple[F32, F32, C64]:
    """The window (raised cosine in the outer thirds), and the two sides of the transform; the right one as real and
    imaginary parts in turn, for a real product is twice as fast."""

    def side(n: int) -> NDArray[np.float64]:
        return np.minimum(1, 2 * np.hanning(n + 2)[1:-1])

    u, v = frequencies()
    right = np.exp(-2j * np.pi * np.outer(np.arange(COLUMNS), v) / COLUMNS).astype(np.complex64).view(np.float32)
    left = np.exp(-2j * np.pi * np.outer(u, np.arange(ROWS)) / ROWS).astype(np.complex64)
    return np.outer(side(ROWS), side(COLUMNS)).astype(np.float32).ravel(), right, left
