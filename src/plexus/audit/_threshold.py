"""Scores of unrelated images, how many come as high by chance, and the threshold that follows."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]

FALSE_PAIRS = 1.0
"""Pairs of unrelated images, in the whole set, that may be taken for near-duplicates."""
FALSE_SHARE = 0.02
"""Fraction of the pairs found that may be false where that is more."""
FALSE_POSITIVE_RATE = 1e-6
"""Fraction of unrelated pairs that the middle of a distribution alone would call far too near."""
FEW = 200
"""Fewer unrelated pairs than this tell nothing of their tail."""
REGISTERED = 0.3
"""Scores of unrelated pairs that were registered to the end are higher."""
LEAST = 20
"""Fewer of these tell nothing of their law."""
POSES = 5.0
"""Pairs that come as near in any pose, for each that does as a mirror image, where nothing is known of it."""
SLOW = 5.0
"""The decay of a law of chance that nothing is known of: that of digits, which come near more often than photos."""
STEP = 1.0
"""Fisher's z by which copies among unrelated scores stand above all others: chance takes no such step."""
STEPS = 1000
"""Of fewer scores chance may: what digits have in common stands out among the 435 pairs of 30 of them."""
TOP = 400
"""Scores that give the rate of a tail: fewer are too few, and more reach down to where it is less steep."""
DEFAULTS = {"thumbnail": 0.35, "embedding": 0.1}
"""Distance by kind that is used then."""
NOTES = 0.008
"""The notes' distance, for their histograms."""
WIDEST = 0.4
"""No threshold of copies is wider, however unlike all others are."""


@dataclass(frozen=True, eq=False)
class Calibration:
    """A histogram of distances: of pairs known to be unrelated, and of the candidates that were compared.

    Args:
        edges: of the bins.
        unrelated, candidates: number of pairs in each.

    Example:
        >>> Calibration(edges=(0.0, 0.5, 1.0), unrelated=(0, 190), candidates=(3, 12)).candidates
        (3, 12)
    """

    edges: tuple[float, ...]
    unrelated: tuple[int, ...]
    candidates: tuple[int, ...]


@dataclass(frozen=True)
class Tail:
    """The upper tail of chance: so many unrelated pairs reach a score, by an exponential law in Fisher's z.

    Args:
        start: z from which on it holds.
        rate: of its decay.
        count: pairs of the whole set above `start`.

    Example:
        >>> round(Tail(start=0.5, rate=10.0, count=1000.0).score(1.0), 3)
        0.831
    """

    start: float
    rate: float
    count: float

    def expected(self, scores: F64) -> F64:
        """Return the number of unrelated pairs of the set that reach each score.

        Example:
            >>> Tail(start=0.5, rate=10.0, count=1000.0).expected(np.array([0.2, 0.9])).round(2).tolist()
            [1000.0, 0.06]
        """
        z = np.maximum(_fisher(1 - np.asarray(scores, np.float64)), self.start)
        pairs: F64 = self.count * np.exp(-self.rate * (z - self.start))
        return pairs

    def score(self, pairs: float) -> float:
        """Return the score that so many unrelated pairs reach.

        Example:
            >>> round(Tail(start=0.5, rate=10.0, count=1000.0).score(100.0), 3)
            0.623
        """
        return math.tanh(self.start + math.log(max(self.count / pairs, 1)) / self.rate)


def tail(scores: F64, scale: float) -> Tail | None:
    """Fit the tail of the scores of unrelated pairs.

    The highest 400, at most three tenths, give the rate; scores that the law expects in less than half a pair are
    copies that came in by their likeness to a mirror image, and are left out, again and again.

    Args:
        scores: correlations, (P,).
        scale: pairs of the set that each of them stands for.

    Returns:
        The law, or None for fewer than 200 scores.

    Example:
        >>> chance = tail(np.tanh(np.random.default_rng(0).exponential(0.1, 5000)), scale=1)
        >>> 0.5 < chance.score(1.0) < 0.8
        True
    """
    if len(scores) < FEW:
        return None
    z = kept = _fisher(1 - scores)
    start, upper = np.quantile(z, [0.5, 0.75])
    rate, above = math.log(2) / max(upper - start, 1e-3), len(z) / 2
    for _ in range(50):
        fewer = z[z <= start + math.log(2 * above) / rate]
        start = float(np.quantile(fewer, max(0.7, 1 - TOP / max(len(fewer), 1))))
        top = fewer[fewer > start] - start
        if not len(top):  # nearly all are alike, as mirror images of one scene are
            return Tail(start, 1e3, 1.0)
        rate, above = 1 / max(float(top.mean()), 1e-3), len(top)
        if len(fewer) == len(kept):
            break
        kept = fewer
    return Tail(start, rate, above * scale)


def tail_of_few(scores: F64, scale: float) -> Tail | None:
    """Fit the tail of chance in a small set, where all pairs were scored and nearly all of them given up.

    Pairs that were given up have low scores of another law, which a fit through all of them would follow. Here the
    others alone count. Copies are left out, if they are a twentieth at most and stand a step above all others, of
    1,000 scores or more.

    Args:
        scores: correlations, (P,).
        scale: pairs of the set that each of them stands for.

    Returns:
        The law of the others; of fewer than 20 a law of the highest score of all, which decays slowly.

    Example:
        >>> given_up, others = np.linspace(0, 0.25, 5000), np.tanh(np.random.default_rng(0).exponential(0.3, 80) + 0.31)
        >>> tail_of_few(np.concatenate([given_up, others]), 1).score(1.0) > 0.8
        True
    """
    if not len(scores):
        return None
    z = np.sort(_fisher(1 - scores))
    if len(z) >= STEPS:
        steps = np.diff(z[-(len(z) // 20) - 1 :])
        far = np.flatnonzero(steps > STEP)
        z = z[: len(z) - (len(steps) - int(far[0]))] if len(far) else z
    start = math.atanh(REGISTERED)
    above = z[z >= start] - start
    if len(above) < LEAST:
        return Tail(max(float(z.max()), 0.0), SLOW, POSES)
    return Tail(start, 1 / max(float(above.mean()), 1e-3), POSES * len(above) * scale)


def default_threshold(kind: str) -> float:
    """Return the distance for a kind of fingerprint where there is nothing to learn from."""
    return DEFAULTS.get(kind, NOTES)


def estimate_threshold(
    distances: F64, false_positive_rate: float = FALSE_POSITIVE_RATE, default: float = DEFAULTS["thumbnail"]
) -> float:
    r"""Estimate the distance that unrelated pairs undercut at a stated rate, extrapolated from the bulk of them.

    In $z = \operatorname{artanh}(1 - d)$ the upper tail is taken for exponential: with the quantiles $q_{.9}$ and
    $q_{.99}$ its scale is $\sigma = (q_{.99} - q_{.9}) / \ln 10$, and
    $P(z > q_{.9} + \sigma \ln(.1 / p)) = p$.
    Where a good part of the random pairs are alike (few scenes, and no groups to tell them apart), the tail begins with
    them, far above the lower half of all; it is cut off first. Pairs that the middle of the distribution
    alone (median and $q_{.9}$) would already call far too near, the duplicates among the random pairs, are left out
    before.

    Args:
        distances: of pairs that are unrelated, or nearly all of them; 0..2.
        false_positive_rate: p, in (0, .01].
        default: the answer for fewer than 200 distances.

    Shape:
        distances (P,).

    Returns:
        A distance, at most .6.

    Source: quantile estimator of an exponential tail (Pickands 1975, shape 0), in Fisher's z.

    Example:
        >>> z = np.random.default_rng(0).exponential(0.1, 100_000)
        >>> abs(np.arctanh(1 - estimate_threshold(1 - np.tanh(z), 1e-4)) - 0.1 * np.log(1e4)) < 0.05
        np.True_
    """
    if len(distances) < FEW:
        return default
    z = _fisher(distances)
    z = z[_unlike(z)]
    middle, upper = np.quantile(z, [0.5, 0.9])
    scale = max((upper - middle) / math.log(5), 1e-6)
    bulk = z[z <= upper + scale * math.log(0.1 / min(false_positive_rate, FALSE_POSITIVE_RATE))]
    upper, top = np.quantile(bulk, [0.9, 0.99])
    scale = max((top - upper) / math.log(10), 1e-6)
    return float(min(1 - math.tanh(upper + scale * math.log(0.1 / false_positive_rate)), 0.6))


def _fisher(distances: F64) -> F64:
    """Fisher's z of correlations 1 - d."""
    z: F64 = np.arctanh(np.clip(1 - np.asarray(distances, np.float64), -0.999999, 0.999999))
    return z


def _unlike(z: F64) -> NDArray[np.bool_]:
    """True for similarities of the bulk, where a tenth or more lie far above it; else for all of them.

    The upper spread q.9 - q.5 is 1 to 2.7 times the lower one, q.5 - q.1, for normal to exponential values. Above 4
    times, values more than 6 lower spreads above the median (1.5 % of exponential values) are left out, and again.
    """
    kept = np.ones(len(z), bool)
    while kept.sum() >= FEW // 4:
        low, middle, upper = np.quantile(z[kept], [0.1, 0.5, 0.9])
        further = z <= middle + 6 * (middle - low)
        if upper - middle <= 4 * (middle - low) or (kept & further).sum() == kept.sum():
            break
        kept &= further
    return kept


def alike(distances: F64) -> float:
    """Return the fraction of random pairs that are too alike to be unrelated."""
    if len(distances) < FEW:
        return 0.0
    return float(1 - _unlike(_fisher(distances)).mean())


def histogram(unrelated: F64, candidates: F64, threshold: float) -> Calibration:
    """Both distributions over the same bins."""
    far = float(np.quantile(unrelated, 0.999)) if len(unrelated) else 1.0
    edges = np.linspace(0, max(far, 1.5 * threshold, 1e-6), 41)
    counts = (np.histogram(np.clip(d, 0, edges[-1]), edges)[0].tolist() for d in (unrelated, candidates))
    return Calibration(tuple(edges.round(6).tolist()), *map(tuple, counts))
