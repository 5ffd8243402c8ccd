"""A second look at groups of images that lie on each other: those that share their ground alone are no copies.

The frames of a fixed camera, plates of one microscope and parts on one belt are alike in what does not change, and no
mirror image of another shows how often. What stands before the ground tells them apart.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from plexus.audit._before import MAY_AGREE, PART, Before, before, evenly
from plexus.audit._chance import Judged
from plexus.audit._poses import F64, IDENTITY, composed, inverse
from plexus.audit._reduced import I64, U8
from plexus.audit._registration import Scored
from plexus.audit._threshold import tail
from plexus.errors import plural

GROUP, APART = 12, 4
"""Least images near one that begin a group, and least number of different things before the ground they share."""
AT = 0.15
"""Half-sides by which two images of a ground may be moved, at most; and as much turned, squeezed or cropped."""
AGREES = 0.9
"""Agreement in what stands before the ground that is never called chance."""


class _Near:
    """Pairs of images as a graph, from which pairs are taken away.

    Args:
        a, b: indices of images, (P,).
        maps: from a into b, (P, 6).
        images: number of all.
    """

    def __init__(self, a: I64, b: I64, maps: F64, images: int) -> None:
        one = np.concatenate([a, b])
        order = np.argsort(one, kind="stable")
        self.a, self.b, self.left = a, b, np.ones(len(a), bool)
        self.degree = np.bincount(one, minlength=images)
        self._start = np.concatenate([[0], np.cumsum(self.degree)])
        self._pair, self._to = order % max(len(a), 1), np.concatenate([b, a])[order]
        self._maps = np.concatenate([maps, inverse(maps)])[order]

    def edges(self, images: I64) -> tuple[I64, I64]:
        """Places of the pairs that are left of some images, and for each the place of its image."""
        count = np.diff(self._start)[images]
        whose = np.repeat(np.arange(len(images)), count)
        at = np.arange(len(whose)) - np.repeat(np.cumsum(count) - count, count) + self._start[images][whose]
        left = self.left[self._pair[at]]
        return at[left], whose[left]

    def pairs(self, images: I64) -> I64:
        """Return the pairs that are left of some images."""
        return np.unique(self._pair[self.edges(images)[0]])

    def around(self, hub: int) -> tuple[I64, F64, int]:
        """Images that an image is near, those that these are near and so on, as long as they lie in its place.

        The image itself is the first, then come those that it is near. Further the maps from it into each, and the
        number of the first and those near it.
        """
        known, members, maps = np.array([hub]), [np.array([hub])], [np.array([IDENTITY.map], np.float64)]
        while len(members[-1]):
            at, whose = self.edges(members[-1])
            into = composed(maps[-1][whose], self._maps[at])
            new = np.flatnonzero(_in_place(into) & ~np.isin(self._to[at], known))
            images, first = np.unique(self._to[at[new]], return_index=True)
            known = np.concatenate([known, images])
            members.append(images)
            maps.append(into[new[first]])
        return known, np.concatenate(maps), sum(map(len, members[:2]))

    def take(self, pairs: I64) -> None:
        """Take pairs away."""
        self.left[pairs] = False
        np.subtract.at(self.degree, self.a[pairs], 1)
        np.subtract.at(self.degree, self.b[pairs], 1)


def _in_place(maps: F64) -> NDArray[np.bool_]:
    near: NDArray[np.bool_] = (np.abs(maps - np.array(IDENTITY.map)) < AT).all(1)
    return near


def told_apart(rows: U8, found: Scored, verdict: Judged, false_pairs: float) -> tuple[Judged, list[str]]:
    """Return the verdict without pairs that share their ground alone, and a note of how many these are.

    Args:
        rows: reduced copies of all images, (N, 72, 96).
        found: all pairs.
        verdict: which of them are sure, by the law of chance.
        false_pairs: that may be sure; of a group's pairs, by how images of it agree by chance.
    """
    asked = np.flatnonzero(verdict.sure & ~verdict.same & _in_place(found.maps))
    near = _Near(found.a[asked], found.b[asked], found.maps[asked], len(rows))
    other, groups = np.zeros(len(verdict.sure), bool), 0
    place = np.full(len(rows), -2, np.int64)
    while near.degree.max(initial=0) >= GROUP - 1:
        hub = int(near.degree.argmax())
        members, maps, first = near.around(hub)
        seen = before(rows[members], maps, first)
        place[members] = seen.place
        pairs = near.pairs(members)
        one, two = place[near.a[pairs]], place[near.b[pairs]]
        within = (one > -2) & (two > -2)
        place[members] = -2
        near.take(np.union1d(near.pairs(np.array([hub])), pairs[within]))
        if _things(seen) < APART:
            continue
        apart = pairs[within][_apart(seen, one[within], two[within], false_pairs)]
        other[asked[apart]] = True
        groups += bool(len(apart))
    if not groups:
        return verdict, []
    note = (
        f"{plural(int(other.sum()), 'pair')} of images that share their ground alone are not sure: what stands before "
        f"it differs ({plural(groups, 'group')} of images, as a fixed camera takes them)"
    )
    expected = np.where(other, np.nan, verdict.expected)
    return replace(verdict, sure=verdict.sure & ~other, expected=expected, doubt=verdict.doubt or "ground"), [note]


def _things(seen: Before) -> int:
    """Count the different things before a ground: versions of one image may show a text, or another part of it."""
    some = evenly(len(seen.details), PART)
    return int(connected_components(seen.agreement(some, some) >= MAY_AGREE, directed=False)[0]) if len(some) else 0


def _apart(seen: Before, one: I64, two: I64, false_pairs: float) -> NDArray[np.bool_]:
    """True for pairs that differ before the ground; places are -1 for images that show the ground alone."""
    both = np.flatnonzero((one >= 0) & (two >= 0))
    apart = (one >= 0) != (two >= 0)
    some = evenly(len(seen.details), PART)
    first, second = np.triu_indices(len(some), 1)
    by_chance = seen.agreement(some, some)[first, second]
    pairs = len(seen.details) * (len(seen.details) - 1) / 2
    law = tail(by_chance, pairs / len(by_chance))
    least = AGREES if law is None else float(np.clip(law.score(false_pairs), MAY_AGREE, AGREES))
    for start in range(0, len(both), PART):
        part = both[start : start + PART]
        i, at_i = np.unique(one[part], return_inverse=True)
        j, at_j = np.unique(two[part], return_inverse=True)
        apart[part] = seen.agreement(i, j)[at_i, at_j] < least
    return apart
