"""Differences of images that lie on each other from the ground they share: what stands before a fixed camera, say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from plexus.audit._poses import F64
from plexus.audit._reduced import F32, I64, U8, fine

SAMPLED = 200
"""Images of a group that its ground is the median of."""
STANDS, TIMES, SPREAD = 0.4, 4.0, 1.5
"""Squared difference from the ground, blurred by so many cells of 48, from which on something stands before it: two
unrelated textures differ by 1.6. And how many times that of most images there, which is noise, it must be."""
LEAST = 24
"""Cells of 2,304 in which something stands before the ground, at least: fewer are specks, as compression and borders
leave them, and count as nothing."""
MOST = 0.7
"""Share of its cells in which an image may differ from a ground that it shares."""
CELLS = 4.0
"""Cells that are added to those compared, as if they disagreed: what is small agrees by chance."""
MAY_AGREE = 0.6
"""Agreement below which two images do not show the same before their ground."""
MANY = 8
"""Other images that show the same before a ground up to which all their pairs are looked at."""
PART = 512


@dataclass(frozen=True, eq=False)
class Before:
    """Details of images of a group, and where something stands before their common ground.

    Args:
        details: of each image that shows something, on the ground of the first of the group, (M, 48 * 48).
        stands: 1 where something stands before the ground, (M, 48 * 48).
        place: the index of each image of the group into these, -1 for those that show the ground alone, -2 for those
            that show another one, (N,).
    """

    details: F32
    stands: F32
    place: I64

    def agreement(self, a: I64, b: I64) -> F64:
        """Return how images agree where something stands before the ground in either, -1..1.

        Args:
            a, b: indices into `details`.

        Shape:
            (A, B).
        """
        one, two, m, n = self.details[a], self.details[b], self.stands[a], self.stands[b]
        # sums over the union of m and n, by m + n - m n
        shared = (m * one) @ two.T + (one * (1 - m)) @ (n * two).T
        own = (m * one**2).sum(1)[:, None] + (one**2 * (1 - m)) @ n.T
        its = (n * two**2).sum(1)[None] + m @ (two**2 * (1 - n)).T
        found: F64 = (shared / (np.sqrt(own * its) + CELLS)).astype(np.float64)
        return found


def before(rows: U8, maps: F64, first: int | None = None) -> Before:
    """See what the images of a group show before the ground they share, the median of their details.

    Args:
        rows: reduced copies, (N, 72, 96).
        maps: from the first of them into each, (N, 6).
        first: images that surely share it, the first ones; None: all.
    """
    some = evenly(len(rows) if first is None else first, SAMPLED)
    sampled = _laid(rows[some], maps[some])
    sampled[0, np.isnan(sampled).all(0)] = 0  # an even bar on all of them
    ground = np.nanmedian(sampled, 0)
    usual = np.median(_differences(sampled, ground), 0)
    bar = np.maximum(STANDS, TIMES * usual)
    none = np.zeros((0, ground.size), np.float32)
    details, stands, place = [none], [none], np.full(len(rows), -1, np.int64)
    for start in range(0, len(rows), PART):
        laid = _laid(rows[start : start + PART], maps[start : start + PART])
        there = (_differences(laid, ground) > bar) & ~np.isnan(laid)
        cells = there.sum((1, 2))
        place[start + np.flatnonzero(cells > MOST * (~np.isnan(laid)).sum((1, 2)))] = -2
        which = np.flatnonzero((cells >= LEAST) & (place[start : start + PART] > -2))
        place[start + which] = np.arange(len(which)) + sum(map(len, details))
        details.append(np.nan_to_num(laid[which]).reshape(-1, ground.size))
        stands.append(there[which].reshape(-1, ground.size).astype(np.float32))
    return Before(np.concatenate(details), np.concatenate(stands), place)


def evenly(count: int, most: int) -> I64:
    """Indices of some of so many, spread evenly."""
    return np.unique(np.linspace(0, count - 1, min(most, count)).astype(np.int64))


def _laid(rows: U8, maps: F64) -> F32:
    """Details of images, laid on the first of their group: (N, 48, 48), NaN outside and on even borders."""
    from plexus.audit._kernels import warp

    details = fine(rows)[1]
    laid = np.empty_like(details)
    side = details.shape[1]
    out, down, right, inside = *np.empty((3, side, side)), np.empty((side, side), np.bool_)
    for image, pose, to in zip(details, maps, laid, strict=True):
        warp(image, pose, out, down, right, inside)
        to[:] = np.where(inside & (out != 0), out, np.nan)
    return laid


def _differences(laid: F32, ground: F32) -> F32:
    return gaussian_filter(np.nan_to_num(laid - ground) ** 2, (0, SPREAD, SPREAD))


def agreeing(rows: U8, maps: F64) -> I64:
    """Pairs of a scene's images, (P, 2), that may be copies: both show the same before the ground.

    Of what more than nine show, as something that stays before a camera, one image is in pairs with all others.

    Args:
        rows: reduced copies, (N, 72, 96).
        maps: from the first of them into each, (N, 6).
    """
    seen, found = before(rows, maps), [np.zeros((2, 0), np.int64)]
    member = np.flatnonzero(seen.place >= 0)
    free = np.ones(len(member), bool)
    for start in range(0, len(member), PART):
        block = start + np.flatnonzero(free[start : start + PART])
        later = np.arange(start, len(member))[free[start:]]
        parts = [seen.agreement(block, later[k : k + PART]) >= MAY_AGREE for k in range(0, len(later), PART)]
        for i, agrees in zip(block.tolist(), np.concatenate(parts, 1) if len(block) else (), strict=True):
            others = later[agrees & free[later] & (later > i)]
            if not free[i]:
                continue
            found.append(np.stack([np.full(len(others), member[i]), member[others]]))
            if len(others) > MANY:
                free[others] = False
    return np.concatenate(found, 1).T
