"""Chance among the scores of pairs: learned from mirror images of others; and the pairs that are surer than it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plexus.audit._align import score
from plexus.audit._equal import equal
from plexus.audit._fingerprint import Fingerprints
from plexus.audit._poses import F64, IDENTITY, LOOSE, MIRROR, UPSIDE_DOWN, Finder, Pose, tiled
from plexus.audit._reduced import F32, I64, Copies, detailed
from plexus.audit._registration import Scored
from plexus.audit._scenes import NEARLY
from plexus.audit._threshold import FALSE_SHARE, FEW, WIDEST, Tail, default_threshold, tail_of_few

MIRRORED, ENOUGH, MOST = 2_000, 2_000, 20_000
"""Images whose mirror images are compared with all others; fewest and most of these pairs that are scored."""
COPIES, CONTAMINATED = 0.9, 0.02
"""The score of a mirror image that is a copy, and the share of such that is too many for scores of chance."""
SMALL = 300
"""Images up to which all pairs of images and mirror images are scored, where few are alike."""
ALIKE = LOOSE, 0.45, 0.3
RARE = {True: (-1.0,), False: (0.2, 0.1)}
"""Likenesses of the pairs that are scored, until they are enough; then, in small sets and in others, of unlike ones."""
BARE = 0.3
"""Share of an image with detail below which it is a drawing: even areas and a few edges, which a map lays on others."""
SHARE, SOME = 0.1, 12
"""Drawings in sure pairs, as a share of all and in number, from which on that is not for copies alone."""
NARROW = 0.1
"""A threshold below this passes by copies that were cropped, written on or compressed much."""
UNMET = 100.0
"""A scene's pairs must be so many times surer: the law of chance is known only after the search."""


@dataclass(frozen=True, eq=False)
class Met:
    """Scores of unrelated pairs, for how many pairs each one stands, and whether so few are alike that all count."""

    scores: F64
    scale: float
    rare: bool


def mirrored(fingerprints: Fingerprints, finder: Finder, seed: int) -> Met:
    """Scores of images against mirror images of others, the most alike.

    Mirrored left to right, as unrelated scenes are alike in their upper and lower halves. Where so many images of the
    set are mirror images of others that they would pass for chance, upside down.
    """
    met = _chance(fingerprints, finder, MIRROR, seed)
    copies = int((met.scores >= COPIES).sum())
    if copies > CONTAMINATED * len(met.scores):
        others = _chance(fingerprints, finder, UPSIDE_DOWN, seed)
        if 4 * int((others.scores >= COPIES).sum()) < copies:
            return others
    return met


def law_of_few(fingerprints: Fingerprints, finder: Finder, unrelated: Met, seed: int) -> Tail | None:
    """Return the law of sure pairs in a small set, and in one where few images are like mirror images of others.

    By mirror images left to right and upside down: copies that are mirrored one way are not chance the other way, while
    what resembles its like, as digits do, does so in both.
    """
    if int(fingerprints.usable.sum()) > SMALL and not (unrelated.rare and len(unrelated.scores) >= FEW):
        return None
    other = _chance(fingerprints, finder, UPSIDE_DOWN, seed)
    laws = [tail_of_few(met.scores, met.scale) for met in (unrelated, other)]
    return min((law for law in laws if law is not None), key=lambda law: law.score(1.0), default=None)


def _chance(fingerprints: Fingerprints, finder: Finder, pose: Pose, seed: int) -> Met:
    """Scores of images against others in a pose, the most alike."""
    usable = np.flatnonzero(fingerprints.usable)
    rows = np.sort(np.random.default_rng(seed).permutation(usable)[:MIRRORED])
    asked = finder.posed(pose, rows)
    whole = len(usable) <= MIRRORED
    a, b = np.zeros(0, np.int64), np.zeros(0, np.int64)
    least = LOOSE
    for least in (*ALIKE, *RARE[len(usable) <= SMALL]):
        parts = [np.zeros((2, 0), np.int64)]
        for i in range(0, len(finder.vectors), 4096):
            one, k = np.nonzero(finder.vectors[i : i + 4096] @ asked.T >= least)
            one, two = one + i, rows[k]
            right = fingerprints.usable[one] & ((one < two) if whole else (one != two))
            parts.append(np.stack([one[right], two[right]]))
        a, b = np.concatenate(parts, 1)
        if len(a) >= ENOUGH:
            break
    # each of N (N - 1) / 2 pairs is seen once; where some images are mirrored, N - 1 for each of these
    scale = 1.0 if whole else (len(usable) - 1) / 2 / len(rows)
    if len(a) > MOST:
        chosen = np.sort(np.random.default_rng(seed).permutation(len(a))[:MOST])
        a, b, scale = a[chosen], b[chosen], scale * len(a) / MOST
    scores = score(fingerprints.copies, fingerprints.copies, a, b, tiled(pose, len(a)))[0].astype(np.float64)
    return Met(scores, scale, least not in ALIKE)


def _as_many(chance: Tail, scores: F32) -> Tail:
    """The tail of one pose, for the scores of a search: as many more as candidates of a chance score are more."""
    low, high = chance.score(min(chance.count, 300.0)), chance.score(min(chance.count, 300.0) / 4)
    met = int(((scores >= low) & (scores < high)).sum())
    by_one = float(np.diff(chance.expected(np.array([high, low])))[0])
    return Tail(chance.start, chance.rate, chance.count * max(1.0, met / max(by_one, 1.0)))


@dataclass(frozen=True, eq=False)
class Laws:
    """The laws of pairs as they lie and of those nearer in another pose: half of what may be false is for each.

    The more poses are searched, the more unrelated pairs come near in one of them; what is near as it lies, as most
    copies are, does not become less sure by that.
    """

    plain: Tail
    posed: Tail

    @classmethod
    def of(cls, chance: Tail, found: Scored, other: NDArray[np.bool_]) -> Laws:
        """Make those of pairs that were found; `other` are those that are no exact copies."""
        posed = other & (found.scores > found.plain)
        return cls(_as_many(chance, found.plain[other]), _as_many(chance, found.scores[posed]))

    def expected(self, found: Scored) -> F64:
        """Return the number of unrelated pairs that come as near as each, by the law that says less."""
        plain = 2 * self.plain.expected(found.plain.astype(np.float64))
        posed = 2 * self.posed.expected(found.scores.astype(np.float64))
        return np.minimum(np.where(found.plain > 0, plain, np.inf), np.where(found.scores > found.plain, posed, np.inf))

    def score(self, pairs: float) -> float:
        """Return the score that so many unrelated pairs reach as they lie."""
        return self.plain.score(pairs / 2)


@dataclass(frozen=True, eq=False)
class Judged:
    """Scores of pairs, what the law of chance makes of them, and where it gives no answer: see `NearDuplicates`."""

    scores: F32
    same: NDArray[np.bool_]
    expected: F64
    sure: NDArray[np.bool_]
    listed: NDArray[np.bool_]
    limit: float
    source: str
    doubt: str


def judged(
    fingerprints: Fingerprints,
    found: Scored,
    chance: Tail | None,
    law: Tail | None,
    threshold: float | None,
    false_pairs: float,
    scene: I64,
    met: Scored | None = None,
) -> Judged:
    """Say of each pair how many unrelated ones come as near by chance, and which pairs are sure.

    Chance is counted among the pairs that the search met, where others are given than those that are judged.
    """
    same = equal(fingerprints, found.a, found.b)
    scores = np.where(same, np.float32(1), found.scores)
    laws = None
    if chance is not None:
        laws = (
            Laws.of(chance, found, ~same) if met is None else Laws.of(chance, met, ~equal(fingerprints, met.a, met.b))
        )
    expected = np.where(same, 0.0, np.nan if laws is None else laws.expected(found))
    limit, listed, sure, source = _limits(scores, expected, threshold, false_pairs, laws)
    doubt = ""
    if chance is None and law is None:  # a distance that nothing of this set speaks for makes no pair sure
        sure, doubt = same, "unknown"
    if law is not None:  # what is listed is as in a larger set, but what is sure must be so by this law, too
        often = np.where(same, 0.0, law.expected(scores.astype(np.float64)))
        doubtful = sure & (often > false_pairs)
        if doubtful.sum() > max(false_pairs, FALSE_SHARE * sure.sum()):
            doubt = "likeness"
        sure &= ~doubtful
        expected = np.fmax(expected, often)
    drawn = ~same & _drawn(fingerprints, found, sure & ~same, scene)
    if drawn.any():
        sure, expected, doubt = sure & ~drawn, np.where(drawn, np.nan, expected), "drawings"
    return Judged(scores, same, expected, sure, listed, limit, source, doubt)


def _drawn(fingerprints: Fingerprints, found: Scored, sure: NDArray[np.bool_], scene: I64) -> NDArray[np.bool_]:
    """Pairs of drawings, where so many look sure that they are not copies alone; else none.

    An affine map lays one rectangle on another, and no mirror image says how often: where all lie to the left, none
    comes near. Scenes count for nothing here: frames of a still camera are alike in whatever they show.
    """
    single = sure & ((scene[found.a] != scene[found.b]) | (scene[found.a] < 0))
    within = np.unique(np.concatenate([found.a[single], found.b[single]]))
    none = np.zeros(len(sure), bool)
    if len(within) < SOME:
        return none
    bare = np.zeros(len(fingerprints), bool)
    bare[within] = detailed(fingerprints.copies.rows[within]) < BARE
    pairs = single & bare[found.a] & bare[found.b]
    count = len(np.unique(np.concatenate([found.a[pairs], found.b[pairs]])))
    if count < SOME:
        return none
    usable = np.flatnonzero(fingerprints.usable)
    bare[usable] = detailed(fingerprints.copies.rows[usable]) < BARE
    return bare[found.a] & bare[found.b] if count > SHARE * int(bare.sum()) else none


def _limits(
    scores: F32, expected: F64, threshold: float | None, false_pairs: float, laws: Laws | None
) -> tuple[float, NDArray[np.bool_], NDArray[np.bool_], str]:
    """The largest distance, which pairs are listed and which are sure, and where the distance comes from."""
    distance = 1 - scores.astype(np.float64)
    if laws is None:
        limit = default_threshold("thumbnail") if threshold is None else threshold
        return limit, distance <= limit, distance <= limit, "default" if threshold is None else "given"
    sure = (expected <= false_pairs) & (distance <= WIDEST)
    if threshold is not None:
        return threshold, distance <= threshold, sure, "given"
    order = np.sort(expected)
    within = np.flatnonzero(order <= np.maximum(false_pairs, FALSE_SHARE * np.arange(1, len(order) + 1)))
    allowed = max(false_pairs, float(order[within[-1]]) if len(within) else 0.0)
    listed = (expected <= allowed) & (distance <= WIDEST)
    return min(1 - laws.score(allowed), WIDEST), listed, sure, "data"


def told(verdict: Judged) -> list[str]:
    """Say in words what the law of chance cannot."""
    notes = []
    if verdict.doubt == "unknown":
        notes.append(
            "too few pairs of images come near by chance to say which are sure: only exact copies are called so"
        )
    if verdict.doubt == "likeness":
        notes.append(
            "images of this set look alike by chance: most pairs that are listed and not sure come no nearer than "
            "mirror images of others do"
        )
    if verdict.doubt == "drawings":
        notes.append(
            "many of these images come near that show even areas and a few edges, as drawings of simple shapes do: "
            "the law of chance does not fit them, and of their pairs only exact copies are called sure; look at the "
            "others and decide on the page"
        )
    if verdict.source == "data" and verdict.limit < NARROW:
        notes.append(
            f"images of this set look alike by chance: pairs are listed up to a distance of {verdict.limit:.2g} only, "
            "and copies that were changed may lie beyond"
        )
    return notes


def certain(
    copies: Copies, chance: Tail | None, law: Tail | None, threshold: float | None, false_pairs: float
) -> Callable[[I64, I64], NDArray[np.bool_]] | None:
    """Return a function that says which pairs are surely nearly equal, before the search is over; None for few."""
    if chance is None:
        return None
    least = max(NEARLY, 0.0 if threshold is None else 1 - threshold)

    def sure_of(a: I64, b: I64) -> NDArray[np.bool_]:
        scores = score(copies, copies, a, b, tiled(IDENTITY, len(a)))[0]
        exact = scores.astype(np.float64)
        sure = (scores >= least) & (UNMET * chance.expected(exact) <= false_pairs)
        return sure if law is None else sure & (law.expected(exact) <= false_pairs)

    return sure_of
