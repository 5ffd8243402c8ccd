"""Chance among likenesses: how many pairs of a set would come as near as a pair, were none more than usually alike."""

from __future__ import annotations

import math

import numpy as np

from plexus.audit._fingerprint import Fingerprints
from plexus.audit._reduced import I64
from plexus.audit._threshold import FEW, Tail

ROWS, TILE = 2_000, 128
"""Images that are compared with all others, and how many at a time."""
NEAREST, UPPER, LEAST = 10, 0.05, 50
"""Pairs for each image that tell the law, the share of all pairs that these are at most, and the fewest."""


def likeness(fingerprints: Fingerprints, groups: I64, within: I64 | None, seed: int) -> Tail | None:
    """Return the tail of the cosines of usual pairs, by which pairs as near are expected; None for too few.

    There are no pairs of which it is known that they are not alike: the mirror image of another image is as like one
    as that image is. So the law is that of all pairs of the set. Its rate comes from the median of the upper ones,
    ten for each image, so that copies, a few for each, hardly change it. Pairs of one group, where groups are known,
    tell nothing of chance.

    Args:
        fingerprints: vectors.
        groups: numbers of the groups, -1 for none.
        within: the same, where only pairs of one group are compared; else None.
        seed: of the images that are compared with all.
    """
    usable = np.flatnonzero(fingerprints.usable)
    n, vectors, known = len(usable), fingerprints.vectors[usable], groups[usable]
    rows = np.sort(np.random.default_rng(seed).permutation(n)[:ROWS])
    whole = len(rows) == n  # each pair is then seen once, else from both its images
    most = (1 if whole else 2) * NEAREST * len(rows)
    scores, compared, bound = np.zeros(0), 0, -1.0
    for i in range(0, len(rows), TILE):
        one = rows[i : i + TILE]
        tile = vectors[one] @ vectors.T
        apart = (known[one][:, None] != known) | (known < 0)
        apart &= (np.arange(n) > one[:, None]) if whole else (np.arange(n) != one[:, None])
        compared += int(apart.sum())
        scores = np.concatenate([scores, tile[apart & (tile >= bound)].astype(np.float64)])
        if len(scores) > 4 * most:
            scores = np.partition(scores, -2 * most)[-2 * most :]
            bound = float(scores.min())
    if compared < FEW:
        return None
    upper = np.sort(scores)[-max(LEAST, min(most, round(UPPER * compared))) :]
    start, middle = np.arctanh(np.clip(upper[[0, len(upper) // 2]], -0.999999, 0.999999))
    sizes = [n] if within is None else np.unique(within[usable][within[usable] >= 0], return_counts=True)[1].tolist()
    pairs = sum(m * (m - 1) / 2 for m in sizes)
    return Tail(float(start), math.log(2) / max(float(middle - start), 1e-3), len(upper) * pairs / compared)
