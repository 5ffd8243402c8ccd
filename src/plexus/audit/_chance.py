"""Chance among the scores of pairs: learned from mirror images of others; and the pairs that are surer than it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plexus.audit._align import score
from plexus.audit._equal import equal
from plexus.audit._fingerprint import Fingerprints
from plexus.audit._poses import F64, IDENTITY, LOOSE, MIRROR, UPSIDE_DOWN, Finder, Pose
from plexus.audit._reduced import F32, I64, Copies
from plexus.audit._registration import Scored, tiled
from plexus.audit._scenes import NEARLY
from plexus.audit._threshold import FALSE_SHARE, WIDEST, Tail, default_threshold, tail_of_few

MIRRORED, ENOUGH, MOST = 2_000, 2_000, 20_000
"""Images whose mirror images are compared with all others; fewest and most of these pairs that are scored."""
COPIES, CONTAMINATED = 0.9, 0.02
"""The score of a mirror image that is a copy, and the share of such that is too many for scores of chance."""
SMALL = 300
"""Images up to which all pairs of images and mirror images are scored."""
UNMET = 100.0
"""A scene's pairs must be so many times surer: the law of chance is known only after the search."""


def mirrored(fingerprints: Fingerprints, finder: Finder, seed: int) -> tuple[F64, float]:
    """Scores of images against mirror images of others, the most alike, and for how many pairs each one stands.

    Mirrored left to right, as unrelated scenes are alike in their upper and lower halves. Where so many images of the
    set are mirror images of others that they would pass for chance, upside down.
    """
    scores, scale = _chance(fingerprints, finder, MIRROR, seed)
    copies = int((scores >= COPIES).sum())
    if copies > CONTAMINATED * len(scores):
        others, its_scale = _chance(fingerprints, finder, UPSIDE_DOWN, seed)
        if 4 * int((others >= COPIES).sum()) < copies:
            return others, its_scale
    return scores, scale


def law_of_few(fingerprints: Fingerprints, finder: Finder, unrelated: F64, scale: float, seed: int) -> Tail | None:
    """The law by which pairs of a small set are sure.

    By mirror images left to right and upside down: copies that are mirrored one way are not chance the other way, while
    what resembles its like, as digits do, does so in both.
    """
    if int(fingerprints.usable.sum()) > SMALL:
        return None
    laws = tail_of_few(unrelated, scale), tail_of_few(*_chance(fingerprints, finder, UPSIDE_DOWN, seed))
    return min((law for law in laws if law is not None), key=lambda law: law.score(1.0), default=None)


def _chance(fingerprints: Fingerprints, finder: Finder, pose: Pose, seed: int) -> tuple[F64, float]:
    """Scores of images against others in a pose, the most alike, and for how many pairs each one stands."""
    usable = np.flatnonzero(fingerprints.usable)
    rows = np.sort(np.random.default_rng(seed).permutation(usable)[:MIRRORED])
    asked = finder.posed(pose, rows)
    whole = len(usable) <= MIRRORED
    a, b = np.zeros(0, np.int64), np.zeros(0, np.int64)
    for least in (LOOSE, 0.45, 0.3, -1.0):
        if least < 0 and len(usable) > SMALL:
            break
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
    return score(fingerprints.copies, fingerprints.copies, a, b, tiled(pose, len(a)))[0].astype(np.float64), scale


def _of_all_kinds(chance: Tail, scores: F32) -> Tail:
    """The tail of one pose, for all that were searched: as many more as candidates of a chance score are more."""
    low, high = chance.score(min(chance.count, 300.0)), chance.score(min(chance.count, 300.0) / 4)
    met = int(((scores >= low) & (scores < high)).sum())
    by_one = float(np.diff(chance.expected(np.array([high, low])))[0])
    return Tail(chance.start, chance.rate, chance.count * max(1.0, met / max(by_one, 1.0)))


@dataclass(frozen=True, eq=False)
class Judged:
    """Scores of pairs, and what the law of chance makes of them."""

    scores: F32
    same: NDArray[np.bool_]
    expected: F64
    sure: NDArray[np.bool_]
    limit: float
    source: str


def judged(
    fingerprints: Fingerprints,
    found: Scored,
    chance: Tail | None,
    law: Tail | None,
    threshold: float | None,
    false_pairs: float,
) -> Judged:
    """Say of each pair how many unrelated ones come as near by chance, and which pairs are sure."""
    same = equal(fingerprints, found.a, found.b)
    scores = np.where(same, np.float32(1), found.scores)
    if chance is not None:
        chance = _of_all_kinds(chance, scores[~same])
        expected = np.where(same, 0.0, chance.expected(scores.astype(np.float64)))
    else:
        expected = np.where(same, 0.0, np.nan)
    limit, sure, source = _limits(scores, expected, threshold, false_pairs, chance)
    if law is not None:  # what is listed is as in a larger set, but what is sure must be so by this law, too
        often = np.where(same, 0.0, law.expected(scores.astype(np.float64)))
        sure &= often <= false_pairs
        expected = np.fmax(expected, often)
    return Judged(scores, same, expected, sure, limit, source)


def _limits(
    scores: F32, expected: F64, threshold: float | None, false_pairs: float, chance: Tail | None
) -> tuple[float, NDArray[np.bool_], str]:
    """The largest distance, which pairs are sure, and where the distance comes from."""
    distance = 1 - scores.astype(np.float64)
    if chance is None:
        limit = default_threshold("thumbnail") if threshold is None else threshold
        return limit, distance <= limit, "default" if threshold is None else "given"
    sure = (expected <= false_pairs) & (distance <= WIDEST)
    if threshold is not None:
        return threshold, sure, "given"
    order = np.sort(expected)
    listed = np.flatnonzero(order <= np.maximum(false_pairs, FALSE_SHARE * np.arange(1, len(order) + 1)))
    allowed = max(false_pairs, float(order[listed[-1]]) if len(listed) else 0.0)
    return min(1 - chance.score(allowed), WIDEST), sure, "data"


def certain(
    copies: Copies, chance: Tail | None, law: Tail | None, threshold: float | None, false_pairs: float
) -> Callable[[I64, I64], NDArray[np.bool_]] | None:
    """A function that says which pairs surely are nearly equal, before all that is searched is known; None for few."""
    if chance is None:
        return None
    least = max(NEARLY, 0.0 if threshold is None else 1 - threshold)

    def sure_of(a: I64, b: I64) -> NDArray[np.bool_]:
        scores = score(copies, copies, a, b, tiled(IDENTITY, len(a)))[0]
        exact = scores.astype(np.float64)
        sure = (scores >= least) & (UNMET * chance.expected(exact) <= false_pairs)
        return sure if law is None else sure & (law.expected(exact) <= false_pairs)

    return sure_of
