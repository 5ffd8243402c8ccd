"""Clusters that near-duplicate pairs connect."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from plexus.audit._fingerprint import Fingerprints
from plexus.audit._near import NearDuplicates
from plexus.audit._reduced import I64

FLAGGED = 50
"""A cluster of more images is a chain of likenesses more often than one scene."""
WHOLE = 100
"""Up to so many images all pairs of a cluster are compared."""


@dataclass(frozen=True)
class Cluster:
    """Images that are connected by near-duplicate pairs.

    Args:
        images: indices, ascending.
        diameter: the largest distance between two of them; for more than 100 images the largest that a search from
            end to end met.
        flagged: True for more than 50 images, where more than 8 exact copies count as one.

    Example:
        >>> Cluster(images=(3, 7, 9), diameter=0.21, flagged=False).images
        (3, 7, 9)
    """

    images: tuple[int, ...]
    diameter: float
    flagged: bool


def clusters(fingerprints: Fingerprints, near: NearDuplicates) -> tuple[Cluster, ...]:
    """Connect near-duplicates to clusters: all components of two images or more, the largest first.

    Args:
        fingerprints: of the images.
        near: their near-duplicates.

    Returns:
        The components; an image in no pair is in none.

    Example:
        >>> from plexus.audit import fingerprint, near_duplicates
        >>> image = np.random.default_rng(0).integers(0, 256, (2, 72, 96), dtype=np.uint8)
        >>> prints = fingerprint([*image, image[0]])
        >>> [c.images for c in clusters(prints, near_duplicates(prints))]
        [(0, 2)]
    """
    parts = members(components(len(fingerprints), near.a, near.b))
    again = np.zeros(len(fingerprints), bool)  # a copy is no step of a chain
    for copies in near.copies:
        again[copies[1:]] = True
    made = [
        Cluster(tuple(rows.tolist()), _diameter(fingerprints, rows), int((~again[rows]).sum()) > FLAGGED)
        for rows in parts
    ]
    return tuple(sorted(made, key=lambda c: (-len(c.images), c.images)))


def components(n: int, a: I64, b: I64) -> I64:
    """Return the component of each of n images, numbered in the order of their first images.

    Example:
        >>> components(4, np.array([1]), np.array([3])).tolist()
        [0, 1, 2, 1]
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(a), np.int8), (a, b)), shape=(n, n))
    _, component = connected_components(graph, directed=False)
    _, first, inverse = np.unique(component, return_index=True, return_inverse=True)
    rank: I64 = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    ordered: I64 = rank[inverse]
    return ordered


def members(component: I64) -> list[I64]:
    """Return the images of each component of two or more."""
    order = np.argsort(component, kind="stable")
    return [rows for rows in np.split(order, np.flatnonzero(np.diff(component[order])) + 1) if len(rows) > 1]


def _diameter(fingerprints: Fingerprints, rows: I64) -> float:
    """The largest distance between two images."""
    if len(rows) <= WHOLE:
        first, second = np.triu_indices(len(rows), 1)
        return float(fingerprints.compare(rows[first], rows[second])[0].max())
    start, largest = rows[0], 0.0
    for _ in range(4):  # to the farthest, and from there to the farthest again
        distance, _ = fingerprints.compare(np.full(len(rows), start), rows)
        start, largest = rows[int(distance.argmax())], max(largest, float(distance.max()))
    return largest
