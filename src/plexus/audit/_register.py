"""Exact comparison of candidate pairs: correlation at the shift that fits best."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from plexus.audit._reduce import COLUMNS, HIGH, REGISTERED, ROWS, U8, band, frequencies, spectra

I64 = NDArray[np.int64]
F32 = NDArray[np.float32]

REACH = 2.5
"""Largest shift that is tried, in boxes of the reduced copy: 15 pixels for an image of 580 x 420."""
STEP = 0.5
"""From one shift to the next: a tenth of the shortest wave; the best one is refined."""


def register(copies: U8, a: I64, b: I64, batch: int = 1024) -> tuple[F32, F32]:
    r"""How far each pair of images is apart once one is shifted onto the other.

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
    order = np.lexsort((b, a))  # pairs of one image stand together: few spectra are made more than once
    start = 0
    while start < len(a):
        rows = order[start : start + 16 * batch]
        used, where = np.unique(np.concatenate([a[rows], b[rows]]), return_inverse=True)
        if len(used) > 4 * batch:  # memory: 5 KiB for each spectrum
            rows = rows[: 2 * batch]
            used, where = np.unique(np.concatenate([a[rows], b[rows]]), return_inverse=True)
        unit = np.concatenate(
            [band(spectra(copies[used[i : i + batch]]), REGISTERED, HIGH) for i in range(0, len(used), batch)]
        )
        one, two = where[: len(rows)], where[len(rows) :]
        for i in range(0, len(rows), batch):
            part = slice(i, i + batch)
            distance[rows[part]], shift[rows[part]] = _peaks(unit[one[part]] * unit[two[part]].conj())
        start += len(rows)
    return np.maximum(distance, 0), shift


def _peaks(cross: NDArray[np.complex64]) -> tuple[F32, F32]:
    """The best of all shifts, refined by a parabola in each direction; the correlation is then taken there."""
    inside, down, right, steps = _tables()
    full = np.zeros((len(cross), *inside.shape), np.complex64)
    full[:, inside] = cross
    found = ((down @ full) @ right).real
    n, rows = len(steps), np.arange(len(found))
    y, x = np.divmod(found.reshape(len(found), -1).argmax(1), n)
    shift = np.stack([steps[y], steps[x]], 1)
    around = (found[rows, :, x], found[rows, y])
    for axis, (line, at) in enumerate(zip(around, (y, x), strict=True)):
        i = rows[(at > 0) & (at < n - 1)]
        before, top, after = line[i, at[i] - 1], line[i, at[i]], line[i, at[i] + 1]
        bend = np.minimum(before - 2 * top + after, -1e-9)
        shift[i, axis] += STEP * np.clip(0.5 * (before - after) / bend, -0.5, 0.5)
    u, v = frequencies()
    turn = np.exp(-2j * np.pi / ROWS * shift[:, :1] * u).astype(np.complex64)
    back = np.exp(-2j * np.pi / COLUMNS * shift[:, 1:] * v).astype(np.complex64)
    refined = ((turn[:, None] @ full)[:, 0] * back).sum(1).real
    best = found[rows, y, x]
    worse = refined < best
    shift[worse] = np.stack([steps[y], steps[x]], 1)[worse]
    return (1 - np.minimum(np.maximum(refined, best), 1)).astype(np.float32), shift.astype(np.float32)


@cache
def _tables() -> tuple[NDArray[np.bool_], NDArray[np.complex64], NDArray[np.complex64], NDArray[np.float64]]:
    """The band, and the two sides of the inverse transform at the shifts that are tried."""
    u, v = frequencies()
    radius = np.hypot(u[:, None], v[None])
    inside = (radius >= REGISTERED) & (radius <= HIGH) & ~((v[None] == 0) & (u[:, None] < 0))
    steps: NDArray[np.float64] = STEP * np.arange(-round(REACH / STEP), round(REACH / STEP) + 1, dtype=np.float64)
    down = np.exp(-2j * np.pi * np.outer(steps, u) / ROWS)
    right = np.exp(-2j * np.pi * np.outer(v, steps) / COLUMNS)
    return inside, down.astype(np.complex64), right.astype(np.complex64), steps
