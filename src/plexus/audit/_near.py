"""Near-duplicate pairs: calibrate, search, register, decide."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plexus.audit._chance import Judged, certain, judged, law_of_few, mirrored
from plexus.audit._chance import told as told_of_chance
from plexus.audit._equal import ORDER, PLACE, equal, large_groups, told, without_copies
from plexus.audit._fingerprint import Fingerprints
from plexus.audit._ground import told_apart
from plexus.audit._likeness import likeness
from plexus.audit._poses import F64, IDENTITY, KINDS, Finder, check_kinds
from plexus.audit._reduced import F32, I64
from plexus.audit._registration import Search, named, registered
from plexus.audit._scan import bar
from plexus.audit._scenes import told as told_of_scenes
from plexus.audit._scenes import unlisted, without
from plexus.audit._search import Candidates, approximate, exact, grouped, has_faiss, require_faiss
from plexus.audit._settled import SPARE, settled
from plexus.audit._threshold import (
    FALSE_PAIRS,
    FEW,
    WIDEST,
    Calibration,
    alike,
    default_threshold,
    estimate_threshold,
    histogram,
    tail,
)
from plexus.errors import ConfigError

SAMPLED, AMONG = 6_000, 400
"""Unrelated pairs of vectors that are compared, and the number of images that they are drawn from."""
LARGE = 20_000
"""Images up to which all kinds of copies are searched by default."""
MANY = 200_000
"""Images from which on faiss searches vectors, where it is installed."""
MARGIN = 4
"""Times the false pairs that are allowed: pairs between splits up to there could become sure among other images."""
LIKENESS = (
    "likeness is not a copy: only exact copies are called contradictory or leaks, and only these are cleaned; "
    "the usual fingerprint tells copies"
)


@dataclass(frozen=True, eq=False)
class NearDuplicates:
    """Pairs of images that are nearer than a threshold, nearest first.

    Args:
        names: of all images.
        a, b: indices into them, a < b, (P,).
        distance: (P,), 0 for equal images.
        shift: rows and columns in pixels by which b lies further down and right, (P, 2); None for vectors.
        exact: True where both hold the same pixels, (P,).
        threshold: the largest distance.
        threshold_from: ``data``, ``given``, or ``default`` where there are too few pairs to learn from.
        false_pairs: unrelated pairs of the set that may be among the sure ones.
        scope: ``all``, or ``group`` where only images of one group were compared.
        calibration: the distances of unrelated pairs and of candidates.
        notes: what the reader of the result should know, one line each.
        seconds: what each part of the work took.
        expected: unrelated pairs of the set that come as near as each, by chance, (P,); NaN where not known.
        sure: True where that is `false_pairs` at most, (P,).
        kinds: ``same``, ``mirrored``, ``turned``, ``cropped``, ``bordered`` or ``tilted``, (P,).
        maps: affine maps of coordinates from -1 to 1 from a into b, (P, 6); None for vectors.
        margin: further pairs of different splits, (M, 2), that another set would call sure.
        copies: groups of more than 8 exact copies; the first of each is the one that is in pairs with other images,
            and with each of the group.
        scenes: groups of more than 32 nearly equal images; each is compared with the first of its group, and not with
            the others.
        unlisted: for each of these the number of its pairs that are not listed.
        compared: pairs that were looked at: aligned, in each pose that was tried; or vectors that were compared.
        doubt: where the law of chance does not say which pairs are sure, but for exact copies: ``drawings``, of which
            so many come near that few can be copies; ``unknown``, where no pairs came near by chance; ``ground``, of
            which some share their ground alone, as images of a fixed camera do. And ``likeness``, where it says that
            most pairs that are listed come no nearer than mirror images of others do; else empty.

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
    false_pairs: float
    scope: str
    calibration: Calibration
    notes: tuple[str, ...]
    seconds: dict[str, float]
    expected: F64
    sure: NDArray[np.bool_]
    kinds: tuple[str, ...]
    maps: F64 | None = None
    margin: I64 = field(default_factory=lambda: np.zeros((0, 2), np.int64))
    copies: tuple[I64, ...] = ()
    scenes: tuple[I64, ...] = ()
    unlisted: tuple[int, ...] = ()
    compared: int = 0
    doubt: str = ""

    def __len__(self) -> int:
        return len(self.a)


def near_duplicates(
    fingerprints: Fingerprints,
    *,
    threshold: float | None = None,
    false_pairs: float = FALSE_PAIRS,
    kinds: Sequence[str] | None = None,
    scope: str = "all",
    search: str = "auto",
    neighbours: int = 512,
    seed: int = 0,
    progress: bool = False,
) -> NearDuplicates:
    """Find all pairs of images that are nearer than unrelated images come to each other.

    Thumbnails: sketches find candidates, in every pose that was asked for; these are aligned, and their detail is
    compared. Mirror images of others are as like an image as unrelated images are: their scores tell how many pairs
    of this set come as near by chance. A pair is sure where that is `false_pairs` at most, and listed up to 2 % of
    what is found. Where twelve images or more lie on each other and several show something before the ground they
    share, pairs are sure only if they show the same there.

    Histograms: cosines, with a threshold from random pairs, see `estimate_threshold`. Embeddings: cosines; the
    threshold, at most .4, is where as many pairs are expected as `false_pairs`, by the law that the set's pairs
    follow; only exact copies are sure, as likeness is not a copy.

    Of more than 8 exact copies one stands for all: it is searched, and each of the others is a pair with it alone. Of
    more than 32 images that all are nearly equal to one of them, as the frames of a still camera are, each is compared
    with that one, and with images outside the group.

    Args:
        fingerprints: of `fingerprint`.
        threshold: the largest distance; default: from the data.
        false_pairs: unrelated pairs in the whole set that may be taken for sure, above 0.
        kinds: of copies that are searched, of ``same``, ``mirrored``, ``turned``, ``cropped``, ``bordered``,
            ``tilted``; default: all, and for more than 20,000 images ``same``, ``mirrored``, ``bordered``, with a note.
            Vectors know only ``same``.
        scope: ``all``, or ``group``: only images of the same group.
        search: ``exact``, ``faiss``, or ``auto``: faiss for more than 200,000 vectors, where it is installed.
        neighbours: candidates that are kept for each image, beside those in other splits.
        seed: of the images that are mirrored, and of random pairs.
        progress: show how far it is.

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
    searched_kinds = usual_kinds(len(fingerprints)) if kinds is None else tuple(kinds)
    check(
        threshold, false_pairs, scope, search, neighbours, seed, kinds=searched_kinds, grouped=bool((groups >= 0).any())
    )
    within = groups if scope == "group" else None
    copies = large_groups(fingerprints, within)
    few = without_copies(fingerprints, copies)
    if few.registered:
        near = _registered(few, searched_kinds, within, threshold, false_pairs, neighbours, seed, progress)
        near = replace(near, notes=(*_unsearched(kinds, searched_kinds), *near.notes))
    else:
        near = _by_cosine(few, groups, within, threshold, false_pairs, search, neighbours, seed, progress)
    return _with_copies(near, copies)


def _with_copies(near: NearDuplicates, groups: tuple[I64, ...]) -> NearDuplicates:
    """All pairs, with those of each copy in large groups and the image that stands for it."""
    if not groups:
        return near
    one = np.concatenate([np.full(len(rows) - 1, rows[0]) for rows in groups])
    two = np.concatenate([rows[1:] for rows in groups])
    count = len(one)
    a, b = np.concatenate([near.a, np.minimum(one, two)]), np.concatenate([near.b, np.maximum(one, two)])
    distance = np.concatenate([near.distance, np.zeros(count, np.float32)])
    order = np.lexsort((b, a, distance))

    def joined(values: NDArray[Any], new: NDArray[Any]) -> NDArray[Any]:
        made: NDArray[Any] = np.concatenate([values, new.astype(values.dtype)])[order]
        return made

    identity = np.tile(np.array(IDENTITY.map, np.float64), (count, 1))
    kinds = (*near.kinds, *["same"] * count)
    return replace(
        near, a=a[order], b=b[order], distance=distance[order],
        shift=None if near.shift is None else joined(near.shift, np.zeros((count, 2))),
        exact=joined(near.exact, np.ones(count)), sure=joined(near.sure, np.ones(count)),
        expected=joined(near.expected, np.zeros(count)), kinds=tuple(kinds[p] for p in order.tolist()),
        maps=None if near.maps is None else joined(near.maps, identity),
        notes=(*near.notes, *told(groups)), copies=groups,
    )  # fmt: skip


def _registered(
    fingerprints: Fingerprints,
    searched_kinds: tuple[str, ...],
    within: I64 | None,
    threshold: float | None,
    false_pairs: float,
    neighbours: int,
    seed: int,
    progress: bool,
) -> NearDuplicates:
    """Near-duplicates of thumbnails, by registration in every pose."""
    start = time.monotonic()
    finder = Finder(fingerprints.copies.squares, fingerprints.usable)
    met = mirrored(fingerprints, finder, seed)
    chance = tail(met.scores, met.scale)
    law = law_of_few(fingerprints, finder, met, seed)
    calibrated = time.monotonic()
    sure_of = certain(fingerprints.copies, chance, law, threshold, false_pairs)
    search = registered(fingerprints, finder, searched_kinds, within, neighbours, progress, sure_of)
    scene = search.scenes.numbered(len(fingerprints))
    verdict = judged(fingerprints, search.pairs, chance, law, threshold, false_pairs, scene)
    if not _all_sure(search, verdict):  # the law turned out stricter than it looked: no image stands for others
        search = registered(fingerprints, finder, searched_kinds, within, neighbours, progress, None)
        scene = search.scenes.numbered(len(fingerprints))
        verdict = judged(fingerprints, search.pairs, chance, law, threshold, false_pairs, scene)
    found = named(settled(fingerprints, search.pairs, searched_kinds, 1 - SPARE * verdict.limit), searched_kinds)
    verdict = judged(fingerprints, found, chance, law, threshold, false_pairs, scene, search.pairs)
    verdict, shared = told_apart(fingerprints.copies.rows, found, verdict, false_pairs)
    groups = without(search.scenes.groups, found.a[~verdict.sure], found.b[~verdict.sure])
    searched = time.monotonic()
    scores, same, expected, sure = verdict.scores, verdict.same, verdict.expected, verdict.sure
    limit, source = verdict.limit, verdict.source
    distance = np.where(same, 0, 1 - scores).astype(np.float32)
    near = np.flatnonzero(verdict.listed)
    near = near[np.lexsort((found.b[near], found.a[near], distance[near]))]
    splits = np.array([PLACE.get(str(split), -1) for split in fingerprints.splits])
    one, two = splits[found.a], splits[found.b]
    across = ((one != two) | (one == len(ORDER))) & (one >= 0) & (two >= 0)
    further = np.flatnonzero(across & ~sure & (expected <= MARGIN * false_pairs))
    maps = found.maps[near]
    left = unlisted(groups, found.a[near], found.b[near])
    return NearDuplicates(
        fingerprints.names, found.a[near], found.b[near], distance[near], fingerprints.shifts(found.b[near], maps),
        same[near], limit, source, false_pairs, "all" if within is None else "group",
        histogram(1 - met.scores, 1 - scores.astype(np.float64), limit),
        (*told_of_scenes(groups, left, search.compared),
         *shared, *told_of_chance(verdict),
         *_notes(source, limit, _alike(fingerprints, len(near) + sum(left)), search.truncated, neighbours, 1.0)),
        {"calibration": calibrated - start, "search": searched - calibrated},
        expected[near], sure[near], tuple(KINDS[k] for k in found.kinds[near].tolist()), maps,
        np.stack([found.a[further], found.b[further]], 1), scenes=groups, unlisted=tuple(left),
        compared=search.compared, doubt=verdict.doubt,
    )  # fmt: skip


def _all_sure(search: Search, verdict: Judged) -> bool:
    """True where each image of a scene surely is nearly equal to the one that stands for it."""
    sure = {*zip(search.pairs.a[verdict.sure].tolist(), search.pairs.b[verdict.sure].tolist(), strict=True)}
    groups = [rows.tolist() for rows in search.scenes.groups]
    return all((min(rows[0], i), max(rows[0], i)) in sure for rows in groups for i in rows[1:])


def usual_kinds(images: int) -> tuple[str, ...]:
    """Kinds of copies that are searched where none are named: those that take long are left out of large sets."""
    return KINDS if images <= LARGE else ("same", "mirrored", "bordered")


def _unsearched(kinds: Sequence[str] | None, searched: tuple[str, ...]) -> list[str]:
    left = [kind for kind in KINDS if kind not in searched]
    if kinds is not None or not left:
        return []
    return [
        f"more than {LARGE:,} images: {', '.join(left)} copies were not searched; --kinds all does, and takes longer"
    ]


def _alike(fingerprints: Fingerprints, near: int) -> float:
    """The fraction of all pairs that are near-duplicates, where that is much."""
    n = int(fingerprints.usable.sum())
    fraction = near / max(n * (n - 1) / 2, 1)
    return fraction if fraction > 0.1 and n >= 20 else 0.0


def _by_cosine(
    fingerprints: Fingerprints,
    groups: I64,
    within: I64 | None,
    threshold: float | None,
    false_pairs: float,
    search: str,
    neighbours: int,
    seed: int,
    progress: bool,
) -> NearDuplicates:
    """Near-duplicates by the cosine of vectors; by those of a network, pairs that are alike, and none of them sure."""
    start = time.monotonic()
    learned = fingerprints.kind == "embedding"
    a, b = _unrelated(fingerprints.usable, groups, seed)
    unrelated = fingerprints.compare(a, b)[0].astype(np.float64)
    n = max(int(fingerprints.usable.sum()), 2)
    rate = min(false_pairs / (n * (n - 1) / 2), 0.01)
    chance = likeness(fingerprints, groups, within, seed) if learned else None
    limit, source = threshold, "given"
    if limit is None and learned:
        limit = default_threshold(fingerprints.kind) if chance is None else min(1 - chance.score(false_pairs), WIDEST)
        source = "default" if chance is None else "data"
    elif limit is None:
        limit = estimate_threshold(unrelated, rate, default_threshold(fingerprints.kind))
        source = "default" if len(a) < FEW else "data"
    calibrated = time.monotonic()
    candidates = _candidates(fingerprints.vectors, within, 1 - limit - 1e-6, search, neighbours, seed, progress)
    a, b = candidates.a, candidates.b
    distance, _ = fingerprints.compare(a, b)
    same = equal(fingerprints, a, b)
    distance[same] = 0  # not 1e-7
    near = np.flatnonzero(distance <= limit)
    near = near[np.lexsort((b[near], a[near], distance[near]))]
    expected = np.full(len(near), np.nan)
    if chance is not None:
        expected = np.where(same[near], 0.0, chance.expected(1 - distance[near].astype(np.float64)))
    return NearDuplicates(
        fingerprints.names, a[near], b[near], distance[near], None, same[near], limit, source, false_pairs,
        "all" if within is None else "group", histogram(unrelated, distance.astype(np.float64), limit),
        (*([LIKENESS] if learned else []),
         *_notes(source, limit, alike(unrelated), candidates.truncated, neighbours, candidates.recall)),
        {"calibration": calibrated - start, "search": time.monotonic() - calibrated},
        expected, same[near] if learned else np.ones(len(near), bool),
        tuple("alike" if learned and not exact else "same" for exact in same[near].tolist()), compared=len(a),
    )  # fmt: skip


def check(
    threshold: float | None,
    false_pairs: float,
    scope: str,
    search: str,
    neighbours: int = 1,
    seed: int = 0,
    *,
    kinds: Sequence[str] = KINDS,
    grouped: bool,
) -> None:
    """Refuse wrong arguments before any image is read."""
    check_kinds(tuple(kinds))
    if threshold is not None and not 0 <= threshold < 2:
        raise ConfigError(f"threshold={threshold:g}: give a distance of 0 or more, and below 2")
    if not 0 < false_pairs < math.inf:
        raise ConfigError(f"false_pairs={false_pairs:g}: give a number of pairs above 0")
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


def _candidates(
    vectors: F32, groups: I64 | None, bound: float, search: str, most: int, seed: int, progress: bool
) -> Candidates:
    if groups is not None:
        return grouped(vectors, groups, bound, most)
    if search == "faiss" or (search == "auto" and len(vectors) > MANY and has_faiss()):
        return approximate(vectors, bound, most, seed=seed)
    with bar("comparing images", len(vectors), progress) as step:
        return exact(vectors, bound, most, step)


def _notes(
    source: str, limit: float, fraction: float, truncated: int, neighbours: int, recall: float
) -> tuple[str, ...]:
    notes = []
    if source == "default":
        notes.append(f"too few pairs of images to learn a threshold from: {limit:g} is used; --threshold sets another")
    if fraction:
        notes.append(
            f"{fraction:.0%} of all pairs are alike, as frames of one scene are; where images are of the same patient "
            "or video, name these groups"
        )
    if truncated:
        notes.append(
            f"{truncated} images have more than {neighbours} neighbours each; "
            "only so many of these are pairs, and those in other splits"
        )
    if recall < 1:
        notes.append(f"searched approximately: a recall of {recall:.4f} was measured")
    return tuple(notes)
