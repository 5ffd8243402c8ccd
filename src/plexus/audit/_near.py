"""Near-duplicate pairs (calibrate, search, register, decide), and the clusters that they connect."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from plexus.audit._fingerprint import Fingerprints
from plexus.audit._scan import bar
from plexus.audit._search import Candidates, approximate, exact, grouped, has_faiss, require_faiss
from plexus.audit._spectra import F32, I64
from plexus.audit._threshold import (
    FALSE_POSITIVE_RATE,
    FEW,
    Calibration,
    alike,
    default_threshold,
    estimate_threshold,
    histogram,
)
from plexus.errors import ConfigError

SAMPLED, AMONG = 6_000, 400
"""Unrelated pairs that are compared, and the number of images that they are drawn from."""
MANY = 200_000
"""Images from which on faiss searches, where it is installed."""
BROUGHT = 4
"""Unrelated candidates for each image that the search may bring along."""
LOOSEST, TIGHTEST = 0.4, 0.6
"""Limits of the bound on dot products in the search; pairs are decided by their distance after it."""
FLAGGED = 50
"""A cluster of more images is a chain of likenesses more often than one scene."""
WHOLE = 100
"""Up to so many images all pairs of a cluster are compared."""


@dataclass(frozen=True, eq=False)
class NearDuplicates:
    """Pairs of images that are nearer than a threshold, nearest first.

    Args:
        names: of all images.
        a, b: indices into them, a < b, (P,).
        distance: (P,), 0 for equal images.
        shift: rows and columns in pixels by which b lies further down and right, (P, 2); None without registration.
        exact: True where both hold the same pixels, (P,).
        threshold: the largest distance.
        threshold_from: ``data``, ``given``, or ``default`` where there are too few pairs to learn from.
        false_positive_rate: that the threshold was made for.
        scope: ``all``, or ``group`` where only images of one group were compared.
        calibration: the distances of unrelated pairs and of candidates.
        notes: what the reader of the result should know, one line each.
        seconds: what each part of the work took.

    Example:
        >>> from plexus.audit import fingerprint
        >>> image = np.random.default_rng(0).integers(0, 256, (2, 72, 96), dtype=np.uint8)
        >>> near = near_duplicates(fingerprint([*image, image[0]]))
        >>> len(near), near.distance.tolist(), near.threshold_from
        (1, [0.0], 'default')
    """

    names: tuple[str, ...]
    a: I64
    b: I64
    distance: F32
    shift: F32 | None
    exact: NDArray[np.bool_]
    threshold: float
    threshold_from: str
    false_positive_rate: float
    scope: str
    calibration: Calibration
    notes: tuple[str, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.a)


@dataclass(frozen=True)
class Cluster:
    """Images that are connected by near-duplicate pairs.

    Args:
        images: indices, ascending.
        diameter: the largest distance between two of them; for more than 100 images the largest that a search from
            end to end met.
        flagged: True for more than 50 images.

    Example:
        >>> Cluster(images=(3, 7, 9), diameter=0.21, flagged=False).images
        (3, 7, 9)
    """

    images: tuple[int, ...]
    diameter: float
    flagged: bool


def near_duplicates(
    fingerprints: Fingerprints,
    *,
    threshold: float | None = None,
    false_positive_rate: float = FALSE_POSITIVE_RATE,
    scope: str = "all",
    search: str = "auto",
    neighbours: int = 64,
    seed: int = 0,
    progress: bool = False,
) -> NearDuplicates:
    """Find all pairs of images that are nearer than unrelated images come to each other.

    Random pairs, of different groups where groups are known, give the distances of the unrelated, and from them the
    threshold (see `estimate_threshold`). The search takes tiled products of vectors with a loose bound; thumbnails are
    then compared anew at the shift that fits best, and that distance decides.

    Args:
        fingerprints: of `fingerprint`.
        threshold: the largest distance; default: from the data.
        false_positive_rate: fraction of unrelated pairs that may come as near, in (0, .01].
        scope: ``all``, or ``group``: only images of the same group.
        search: ``exact``, ``faiss``, or ``auto``: faiss for more than 200,000 images, where it is installed.
        neighbours: candidates that are kept for each image.
        seed: of the random pairs.
        progress: show a bar where stderr is a terminal.

    Raises:
        ConfigError: an argument out of range; groups asked for and not known.

    Example:
        >>> from plexus.audit import fingerprint
        >>> images = np.random.default_rng(0).integers(0, 256, (5, 72, 96), dtype=np.uint8)
        >>> near = near_duplicates(fingerprint([*images, images[2]]))
        >>> [(int(a), int(b), bool(e)) for a, b, e in zip(near.a, near.b, near.exact)]
        [(2, 5, True)]
    """
    groups = _numbered(fingerprints)
    check(threshold, false_positive_rate, scope, search, neighbours, seed, grouped=bool((groups >= 0).any()))
    start = time.monotonic()
    a, b = _unrelated(fingerprints.usable, groups, seed)
    unrelated = fingerprints.compare(a, b)[0].astype(np.float64)
    limit, source = threshold, "given"
    if limit is None:
        limit = estimate_threshold(unrelated, false_positive_rate, default_threshold(fingerprints.kind))
        source = "default" if len(a) < FEW else "data"
    bound = _bound(fingerprints, a, b, limit)
    calibrated = time.monotonic()
    within = groups if scope == "group" else None
    candidates = _candidates(fingerprints.vectors, within, bound, search, neighbours, seed, progress)
    a, b = candidates.a, candidates.b
    distance, shift = fingerprints.compare(a, b)
    same = _equal(fingerprints, a, b)
    distance[same] = 0  # not 1e-7
    near = np.flatnonzero(distance <= limit)
    near = near[np.lexsort((b[near], a[near], distance[near]))]
    done = time.monotonic()
    return NearDuplicates(
        fingerprints.names, a[near], b[near], distance[near], None if shift is None else shift[near], same[near],
        limit, source, false_positive_rate, scope, histogram(unrelated, distance.astype(np.float64), limit),
        _notes(source, limit, alike(unrelated), candidates, neighbours),
        {"calibration": calibrated - start, "search": done - calibrated},
    )  # fmt: skip


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
    made = [Cluster(tuple(rows.tolist()), _diameter(fingerprints, rows), len(rows) > FLAGGED) for rows in parts]
    return tuple(sorted(made, key=lambda c: (-len(c.images), c.images)))


def components(n: int, a: I64, b: I64) -> I64:
    """The component of each of n images, numbered in the order of their first images.

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
    """The images of each component of two or more."""
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


def check(
    threshold: float | None, rate: float, scope: str, search: str, neighbours: int = 1, seed: int = 0, *, grouped: bool
) -> None:
    """Refuse wrong arguments before any image is read."""
    if threshold is not None and not 0 <= threshold < 2:
        raise ConfigError(f"threshold={threshold:g}: give a distance of 0 or more, and below 2")
    if not 0 < rate <= 0.01:
        raise ConfigError(f"false_positive_rate={rate:g}: give a share of unrelated pairs above 0, at most 0.01")
    if scope not in ("all", "group"):
        raise ConfigError(f"scope={scope!r} is unknown; choose from all, group")
    if search not in ("auto", "exact", "faiss"):
        raise ConfigError(f"search={search!r} is unknown; choose from auto, exact, faiss")
    if search == "faiss":
        require_faiss()
    if scope == "group" and not grouped:
        raise ConfigError("scope 'group' needs groups, and none are known: give --group-from REGEX, or --scope all")
    if seed < 0:
        raise ConfigError(f"seed={seed}: give 0 or more")
    if neighbours < 1:
        raise ConfigError(f"neighbours={neighbours}: give 1 or more")


def _numbered(fingerprints: Fingerprints) -> I64:
    """Groups as numbers, -1 for none."""
    number = {group: i for i, group in enumerate(sorted({g for g in fingerprints.groups if g is not None}))}
    return np.array([-1 if g is None else number[g] for g in fingerprints.groups], np.int64)


def _unrelated(usable: NDArray[np.bool_], groups: I64, seed: int) -> tuple[I64, I64]:
    """Random pairs; of different groups where there are any."""
    random = np.random.default_rng(seed)
    rows = np.sort(random.permutation(np.flatnonzero(usable))[:AMONG])
    first, second = np.triu_indices(len(rows), 1)
    a, b = rows[first], rows[second]
    apart = (groups[a] != groups[b]) & (groups[a] >= 0) & (groups[b] >= 0)
    if apart.sum() >= FEW:
        a, b = a[apart], b[apart]
    chosen = np.sort(random.permutation(len(a))[:SAMPLED])
    return a[chosen], b[chosen]


def _bound(fingerprints: Fingerprints, a: I64, b: I64, limit: float) -> float:
    """The bound of the search: the distance itself, or with registration one that few unrelated pairs reach."""
    if not fingerprints.registered:
        return 1 - limit - 1e-6
    cosines = fingerprints.cosines(a, b)
    n = int(fingerprints.usable.sum())
    bulk = float(np.quantile(cosines, max(0.0, 1 - 2 * BROUGHT / n))) if len(cosines) else LOOSEST
    return min(max(bulk, LOOSEST), TIGHTEST, max(1 - limit, 0.1))


def _candidates(
    vectors: F32, groups: I64 | None, bound: float, search: str, most: int, seed: int, progress: bool
) -> Candidates:
    if groups is not None:
        return grouped(vectors, groups, bound, most)
    if search == "faiss" or (search == "auto" and len(vectors) > MANY and has_faiss()):
        return approximate(vectors, bound, most, seed=seed)
    with bar("comparing images", len(vectors), progress) as step:
        return exact(vectors, bound, most, step)


def _equal(fingerprints: Fingerprints, a: I64, b: I64) -> NDArray[np.bool_]:
    """The same file, or the same pixels in another one."""
    same = (fingerprints.digests[a] == fingerprints.digests[b]).all(1)
    checks, sizes, rows = fingerprints.checks, fingerprints.sizes, fingerprints.rows
    doubtful = np.flatnonzero(~same & (checks[a] == checks[b]) & (sizes[a] == sizes[b]).all(1))
    same[doubtful] = [np.array_equal(rows[i], rows[j]) for i, j in zip(a[doubtful], b[doubtful], strict=True)]
    equal: NDArray[np.bool_] = same
    return equal


def _notes(source: str, limit: float, fraction: float, candidates: Candidates, neighbours: int) -> tuple[str, ...]:
    notes = []
    if source == "default":
        notes.append(f"too few pairs of images to learn a threshold from: {limit:g} is used; --threshold sets another")
    if source == "data" and fraction:
        notes.append(
            f"{fraction:.0%} of the random pairs are alike and were left out of the threshold; where images are of the "
            "same patient or video, name these groups"
        )
    if candidates.truncated:
        notes.append(
            f"{candidates.truncated} images have more than {neighbours} neighbours each; "
            "only the nearest of these are pairs"
        )
    if candidates.recall < 1:
        notes.append(f"searched approximately: a recall of {candidates.recall:.4f} was measured")
    return tuple(notes)
