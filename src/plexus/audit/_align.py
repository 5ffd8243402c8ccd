"""Scores of pairs: two images are brought to cover each other, and what is compared then is their fine detail."""

from __future__ import annotations

import numpy as np

from plexus.audit._poses import F64, MOVED, batches
from plexus.audit._reduced import F32, I64, Copies, fine
from plexus.audit._scan import pool

LEAST = 0.6
"""Correlation of coarse copies, at their best, below which a pair is given up."""
STEPS = 8, 5
"""Of the alignment, coarse and fine, at most."""
PART = 2048


def score(one: Copies, two: Copies, a: I64, b: I64, maps: F64) -> tuple[F32, F64]:
    """Correlation of the detail of two images where they cover each other best, and the map from a into b.

    Coarse squares are aligned first; a pair that correlates less than .6 then is given up, with half of that for its
    score. The others are aligned again, and compared, on squares of side 48.

    Args:
        one, two: copies that a and b are indices into.
        a, b: indices, (P,).
        maps: first guesses, (P, 6).

    Shape:
        scores (P,), -1..1, and maps (P, 6).
    """
    from plexus.audit._kernels import align

    scores, maps = np.empty(len(a)), maps.copy()

    def first(part: slice) -> None:
        align(one.squares, two.squares, a[part], b[part], maps[part], MOVED, STEPS[0], LEAST / 2, scores[part])

    with pool(None) as threads:
        list(threads.map(first, batches(len(a), PART)))
        near = np.flatnonzero(scores >= LEAST)
        scores[scores < LEAST] *= 0.5
        near = near[np.lexsort((b[near], a[near]))]  # pairs of one image stand together: it is filtered once

        def second(part: slice) -> None:
            chosen = near[part]
            found, moved = _detail(one, two, a[chosen], b[chosen], maps[chosen])
            scores[chosen], maps[chosen] = found, moved

        list(threads.map(second, batches(len(near), PART)))
    return scores.astype(np.float32), maps


def _detail(one: Copies, two: Copies, a: I64, b: I64, maps: F64) -> tuple[F64, F64]:
    from plexus.audit._kernels import align, correlate

    first, a = np.unique(a, return_inverse=True)
    second, b = np.unique(b, return_inverse=True)
    (bands, details), (others, compared) = fine(one.rows[first]), fine(two.rows[second])
    scores, aligned = np.empty(len(a)), np.empty(len(a))
    align(bands, others, a, b, maps, 0.0, STEPS[1], 0.0, aligned)
    correlate(details, compared, a, b, maps, scores)
    return scores, maps
