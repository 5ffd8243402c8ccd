"""Scenes: large groups of nearly equal images, such as the frames of a still camera, which one image stands for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plexus.audit._equal import copies, hub_first
from plexus.audit._fingerprint import Fingerprints
from plexus.audit._poses import as_alike
from plexus.audit._reduced import F32, I64

MANY = 32
"""Nearly equal images up to which all their pairs are listed."""
NEARLY = 0.9
"""Least score of a member and the image that stands for the scene: two members then have .62 at least."""
SAME = 0.95
"""Least correlation of the vectors of images that may be of one scene."""
ROUNDS = 32
"""Images in a row that turn out to stand for no scene before the search for scenes is given up."""


@dataclass(frozen=True, eq=False)
class Scenes:
    """The scenes of a set, and the pairs that are looked at in them.

    Args:
        groups: indices of the images of each; the first stands for the others.
        a, b: pairs to look at, (P,): each image with the one that stands for its scene, and exact copies.

    Example:
        >>> Scenes((np.arange(40),), np.zeros(39, np.int64), np.arange(1, 40)).numbered(41)[[0, 39, 40]].tolist()
        [0, 0, -1]
    """

    groups: tuple[I64, ...]
    a: I64
    b: I64

    def numbered(self, images: int) -> I64:
        """Return the number of the scene of each image, -1 for none."""
        number = np.full(images, -1, np.int64)
        for k, rows in enumerate(self.groups):
            number[rows] = k
        return number


NONE = Scenes((), np.zeros(0, np.int64), np.zeros(0, np.int64))


def scenes(
    fingerprints: Fingerprints, vectors: F32, a: I64, b: I64, certain: Callable[[I64, I64], NDArray[np.bool_]]
) -> Scenes:
    """Find groups of more than 32 images that all are surely near one of them.

    That one is of the last split (test, val, train) that is in the group, with the label that most have there. Where it
    has no label, the first of each other split is compared with those of its split as well.

    Args:
        fingerprints: of the images.
        vectors: of norm 1, (N, D).
        a, b: candidates, each pair once.
        certain: True where two images surely are nearly equal.
    """
    a, b = as_alike(vectors, vectors, a, b, SAME)
    degree = np.bincount(np.concatenate([a, b]), minlength=len(fingerprints))
    if degree.max(initial=0) < MANY:
        return NONE
    one, two = np.concatenate([a, b]), np.concatenate([b, a])
    order = np.lexsort((two, one))
    beside, start = two[order], np.concatenate([[0], np.cumsum(degree)])
    free, missed, groups = np.ones(len(fingerprints), bool), 0, []
    while missed < ROUNDS and degree.max() >= MANY:
        middle = int(degree.argmax())
        near = beside[start[middle] : start[middle + 1]]
        star = np.sort(np.append(near[free[near]], middle))
        rows = hub_first(fingerprints, star, degree)
        rows = rows[np.append(True, certain(np.full(len(rows) - 1, rows[0]), rows[1:]))]
        if len(rows) <= MANY:
            degree[middle] = -1
            missed += 1
            continue
        missed = 0
        groups.append(rows)
        free[rows] = False
        for i in rows.tolist():  # whoever is in a scene is nobody's neighbour any more
            others = beside[start[i] : start[i + 1]]
            degree[others] -= 1
        degree[rows] = -1
    groups.sort(key=lambda rows: int(rows.min()))
    pairs = [np.zeros((2, 0), np.int64), *(part for rows in groups for part in _looked_at(fingerprints, rows))]
    return Scenes(tuple(groups), *once(np.concatenate(pairs, 1)))


def once(pairs: I64) -> tuple[I64, I64]:
    """Pairs (2, P) as two columns, the smaller index first, each once."""
    both = np.unique(np.sort(pairs, 0), axis=1)
    return both[0], both[1]


def _looked_at(fingerprints: Fingerprints, rows: I64) -> list[I64]:
    """Pairs of a scene: with what stands for it, in its split where that has no label, and exact copies."""
    found = [np.stack([np.full(len(rows) - 1, rows[0]), rows[1:]])]
    if fingerprints.labels is None or fingerprints.labels[int(rows[0])] is None:
        splits = np.array([str(fingerprints.splits[i]) for i in rows.tolist()])
        for split in sorted({*splits.tolist()} - {splits[0]}):
            own = hub_first(fingerprints, np.sort(rows[splits == split]))
            found.append(np.stack([np.full(len(own) - 1, own[0]), own[1:]]))
    for some in copies(fingerprints, rows):
        i, j = np.triu_indices(len(some), 1)
        found.append(np.stack([some[i], some[j]]))
    return found


def without(groups: Sequence[I64], a: I64, b: I64) -> tuple[I64, ...]:
    """Scenes without the images that are, by the pairs given, not what stands for theirs."""
    kept = []
    for rows in groups:
        hub = int(rows[0])
        kept.append(rows[~np.isin(rows, np.concatenate([b[a == hub], a[b == hub]]))])
    return tuple(rows for rows in kept if len(rows) > 1)


def unlisted(groups: Sequence[I64], a: I64, b: I64) -> list[int]:
    """For each scene the number of its pairs that are not among those given."""
    number = {i: k for k, rows in enumerate(groups) for i in rows.tolist()}
    left = [len(rows) * (len(rows) - 1) // 2 for rows in groups]
    for i, j in zip(a.tolist(), b.tolist(), strict=True) if groups else ():
        if (k := number.get(i)) is not None and number.get(j) == k:
            left[k] -= 1
    return left


def told(groups: Sequence[I64], left: Sequence[int], compared: int) -> list[str]:
    """Say in words that not all pairs are listed, nor looked at."""
    if not groups:
        return []
    count, most = len(groups), max(map(len, groups))
    text = f"a group of {most:,}" if count == 1 else f"{count:,} groups of up to {most:,}"
    return [
        f"{text} nearly equal images, as frames of a still camera are: each is compared with one of its group, which "
        f"stands for the others; {compared:,} comparisons were made, and {sum(left):,} pairs within groups are not "
        "listed"
    ]
