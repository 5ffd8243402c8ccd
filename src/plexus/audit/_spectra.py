"""Small grey copies of images, compared in a band of their spectra, unshifted (`vectors`) or at the best shift.

Fine speckle is gone after the reduction, and what all images of a kind share (shading, the fan of a probe) lies in the
lowest frequencies; between the two lies what tells one image from another, and a shift of a few pixels hardly moves it.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

ROWS, COLUMNS = 72, 96
"""Size of a reduced copy."""
SEARCHED = 3.0, 10.0
"""Band of the vectors that the search compares, in cycles per image."""
REGISTERED = 4.0, 20.0
"""Band in which a pair is registered, in cycles per image; spectra end with it."""
REACH = 2.5
"""Largest shift that is tried, in boxes of the reduced copy: 15 pixels for an image of 580 x 420."""
STEP = 0.5
"""From one shift to the next: a tenth of the shortest wave; the best one is refined."""

U8 = NDArray[np.uint8]
I64 = NDArray[np.int64]
F32 = NDArray[np.float32]
C64 = NDArray[np.complex64]


def reduced(pixels: U8) -> U8:
    """Reduce an image to 72 x 96 grey values: boxes of whole pixels are averaged, then antialiased bilinear filtering.

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


def vectors(copies: U8, batch: int = 1024) -> F32:
    """Unit vectors whose dot product is the correlation of two copies in the searched band, unshifted.

    Shape:
        (N, 72, 96) to (N, D).
    """
    starts = range(0, len(copies), batch) or range(1)  # no copies are one batch of none: the width is known then, too
    parts = [_band(_spectra(copies[i : i + batch]), *SEARCHED) for i in starts]
    return np.concatenate([np.concatenate([p.real, p.imag], 1) for p in parts])


def register(copies: U8, a: I64, b: I64, batch: int = 1024) -> tuple[F32, F32]:
    r"""Distance of each pair of images once one is shifted onto the other.

    $$d = 1 - \max_{|s| \le 2.5}\ \Re \sum_{f} \hat F_a(f)\, \overline{\hat F_b(f)}\, e^{2\pi i f \cdot s}$$

    over the frequencies f of 4 to 20 cycles per image; gain and offset cancel in the unit spectra.

    Args:
        copies: reduced copies, (N, 72, 96).
        a, b: indices into them, (P,).
        batch: pairs at a time.

    Shape:
        distances (P,), in 0..2; and shifts (P, 2), rows and columns in boxes, by which b lies further down and right.
    """
    distance, shift = np.empty(len(a), np.float32), np.empty((len(a), 2), np.float32)
    order = np.lexsort((b, a))  # pairs of one image stand together: few spectra are computed more than once
    start = 0
    while start < len(a):
        rows = order[start : start + 16 * batch]
        used, index = np.unique(np.concatenate([a[rows], b[rows]]), return_inverse=True)
        if len(used) > 4 * batch:  # memory: 5 KiB for each spectrum
            rows = rows[: 2 * batch]
            used, index = np.unique(np.concatenate([a[rows], b[rows]]), return_inverse=True)
        unit = np.concatenate(
            [_band(_spectra(copies[used[i : i + batch]]), *REGISTERED) for i in range(0, len(used), batch)]
        )
        one, two = index[: len(rows)], index[len(rows) :]
        for i in range(0, len(rows), batch):
            part = slice(i, i + batch)
            distance[rows[part]], shift[rows[part]] = _peaks(unit[one[part]] * unit[two[part]].conj())
        start += len(rows)
    return np.maximum(distance, 0), shift


def _spectra(copies: U8) -> C64:
    """Spectra of windowed copies, rows -20..20 and columns 0..20: (N, 72, 96) to (N, 41, 21).

    F(u, v) = sum_yx w(y, x) (c(y, x) - m) exp(-2 pi i (u y / 72 + v x / 96)), m the windowed mean.
    """
    window, right, left = _transform()
    flat = copies.reshape(len(copies), ROWS * COLUMNS).astype(np.float32)
    flat -= (flat @ window)[:, None] / window.sum()
    flat *= window
    across = (flat.reshape(-1, COLUMNS) @ right).reshape(len(copies), ROWS, right.shape[1])
    spectra: C64 = left @ across.view(np.complex64)
    return spectra


def _band(spectra: C64, low: float, high: float) -> C64:
    """Spectra between two frequencies, each of norm 1 (0 where nothing is there), as (N, frequencies)."""
    chosen: C64 = spectra[:, _inside(low, high)]
    length = np.sqrt((chosen.real**2 + chosen.imag**2).sum(1, keepdims=True))
    # a flat image is nothing but rounding: less than a hundredth of a grey level
    flat = length < 0.01 * ROWS * COLUMNS / 50
    return np.where(flat, 0, chosen / np.where(flat, 1, length)).astype(np.complex64)


def _inside(low: float, high: float) -> NDArray[np.bool_]:
    """Frequencies of a band, (41, 21), each once: for a real image F(-u, -v) is the conjugate of F(u, v)."""
    u, v = _frequencies()
    radius = np.hypot(u[:, None], v[None])
    return (radius >= low) & (radius <= high) & ~((v[None] == 0) & (u[:, None] < 0))


def _frequencies() -> tuple[F32, F32]:
    """Those of the rows, and those of the columns."""
    high = int(REGISTERED[1])
    return np.arange(-high, high + 1, dtype=np.float32), np.arange(high + 1, dtype=np.float32)


@cache
def _transform() -> tuple[F32, F32, C64]:
    """The window (raised cosine in the outer thirds), and the right and left factors of the transform."""

    def side(n: int) -> NDArray[np.float64]:
        return np.minimum(1, 2 * np.hanning(n + 2)[1:-1])

    u, v = _frequencies()
    # the right factor as real and imaginary parts in turn: the copies are real, and a real product is twice as fast
    right = np.exp(-2j * np.pi * np.outer(np.arange(COLUMNS), v) / COLUMNS).astype(np.complex64).view(np.float32)
    left = np.exp(-2j * np.pi * np.outer(u, np.arange(ROWS)) / ROWS).astype(np.complex64)
    return np.outer(side(ROWS), side(COLUMNS)).astype(np.float32).ravel(), right, left


def _peaks(cross: C64) -> tuple[F32, F32]:
    """The best of all shifts, refined by a parabola in each direction; the correlation is then taken there."""
    inside, down, right, steps = _inverse()
    full = np.zeros((len(cross), *inside.shape), np.complex64)
    full[:, inside] = cross
    correlation = ((down @ full) @ right).real
    n, rows = len(steps), np.arange(len(correlation))
    y, x = np.divmod(correlation.reshape(len(correlation), -1).argmax(1), n)
    shift = np.stack([steps[y], steps[x]], 1)
    around = (correlation[rows, :, x], correlation[rows, y])
    for axis, (line, at) in enumerate(zip(around, (y, x), strict=True)):
        i = rows[(at > 0) & (at < n - 1)]
        before, top, after = line[i, at[i] - 1], line[i, at[i]], line[i, at[i] + 1]
        bend = np.minimum(before - 2 * top + after, -1e-9)
        shift[i, axis] += STEP * np.clip(0.5 * (before - after) / bend, -0.5, 0.5)
    u, v = _frequencies()
    turn = np.exp(-2j * np.pi / ROWS * shift[:, :1] * u).astype(np.complex64)
    back = np.exp(-2j * np.pi / COLUMNS * shift[:, 1:] * v).astype(np.complex64)
    refined = ((turn[:, None] @ full)[:, 0] * back).sum(1).real
    best = correlation[rows, y, x]
    worse = refined < best  # the parabola is only a guess: where it misleads, the shift that was tried stands
    shift[worse] = np.stack([steps[y], steps[x]], 1)[worse]
    return (1 - np.minimum(np.maximum(refined, best), 1)).astype(np.float32), shift.astype(np.float32)


@cache
def _inverse() -> tuple[NDArray[np.bool_], C64, C64, NDArray[np.float64]]:
    """The band, and the two factors of the inverse transform at the shifts that are tried."""
    u, v = _frequencies()
    steps: NDArray[np.float64] = STEP * np.arange(-round(REACH / STEP), round(REACH / STEP) + 1, dtype=np.float64)
    down = np.exp(-2j * np.pi * np.outer(steps, u) / ROWS)
    right = np.exp(-2j * np.pi * np.outer(v, steps) / COLUMNS)
    return _inside(*REGISTERED), down.astype(np.complex64), right.astype(np.complex64), steps
