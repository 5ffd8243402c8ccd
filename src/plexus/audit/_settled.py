"""The last word on pairs that were found: each is registered in every pose, whatever the search met it in."""

from __future__ import annotations

import numpy as np

from plexus.audit._align import score
from plexus.audit._fingerprint import Fingerprints
from plexus.audit._poses import IDENTITY, composed, contents_of, poses, tiled
from plexus.audit._registration import Scored, best, scored

FITS = 0.95
"""A pair with this score is not tried in further poses."""
SLIGHT = 0.01
"""Score by which a pose must fit better than two images as they lie; and twice that, a pose of another kind."""
SPARE = 1.5
"""Times the largest distance that is listed, up to which pairs are registered anew, as they may lie better so.

A factor: where unrelated images look alike that distance is small, and pairs that are a little further are many.
"""


def settled(fingerprints: Fingerprints, found: Scored, kinds: tuple[str, ...], least: float) -> Scored:
    """Register pairs anew, in every pose and both ways, so that what is said of two images depends on these alone.

    The search meets a pair in the poses in which it is near beside the mean of the set, and another set has another
    mean. Poses come in one order, up to the first that fits well, and a tilt takes the aspect of the pair's own image.

    Args:
        fingerprints: of the images.
        found: pairs of the search.
        kinds: that were searched.
        least: the score from which on pairs are registered anew; the others stay as they are.
    """
    asked = found.scores >= least
    first, second = found.a[asked], found.b[asked]
    if not len(first):
        return found
    copies, n, parts = fingerprints.copies, len(fingerprints), [found.chosen(~asked)]
    rows = np.unique(np.concatenate([first, second]))
    height, width = fingerprints.sizes[rows].T.astype(np.float64)
    aspects, which = np.unique(width / height, return_inverse=True)
    ways = [poses(kinds, float(aspect)) for aspect in aspects]
    a, b = second, first  # the way round in which the search compares images as they lie
    for q, pose in enumerate(ways[0]):
        maps = np.array([way[q].map for way in ways], np.float64)
        good = np.zeros(len(a), bool)
        for one, two in ((a, b),) if pose.symmetric else ((a, b), (b, a)):
            scores, moved = score(copies, copies, one, two, maps[which[np.searchsorted(rows, one)]])
            parts.append(scored(one, two, scores, moved, pose.kind, pose is IDENTITY))
            good |= scores >= FITS
        a, b = a[~good], b[~good]
    if "bordered" in kinds:
        contents, within, outer = contents_of(fingerprints.rows[rows], fingerprints.usable[rows])
        whole = rows[within]
        place = np.full(n, -1, np.int64)
        place[whole] = np.arange(len(whole))
        for one, two in ((first, second), (second, first)):
            one, k = one[place[two] >= 0], place[two[place[two] >= 0]]
            scores, moved = score(copies, contents, one, k, tiled(IDENTITY, len(one)))
            parts.append(scored(one, whole[k], scores, composed(moved, outer[k]), "bordered"))
    pairs = best(parts, n, SLIGHT)
    # an image of one row tilts to nothing by its own aspect: such a pair, which may be of exact copies, stays as it was
    lost = asked & ~np.isin(found.a * n + found.b, pairs.a * n + pairs.b)
    return best([pairs, found.chosen(lost)], n) if lost.any() else pairs
