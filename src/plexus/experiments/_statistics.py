r"""Statistics of paired trials: differences, intervals, corrections and speed of convergence, on plain numbers.

Seeds are few, three to five as a rule, and that decides what can be used. Over 2,000 simulated normal samples the
95 % intervals held the true mean in these shares:

======================  =======  =======  ========
interval                3 seeds  5 seeds  10 seeds
======================  =======  =======  ========
Student's t             .95      .95      .95
bootstrap, BCa          .74      .83      .90
======================  =======  =======  ========

So verdicts rest on Student's t, and the bootstrap is reported beside it. A sign-flip test cannot reach p < .05 with
fewer than six seeds (its smallest p is 2 / 2^n), and is used only where t is not defined.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
ALPHA = 0.05
Seed = int | str


@dataclass(frozen=True)
class Difference:
    """Mean of paired differences, variant minus baseline, and what can be said of it.

    Args:
        mean: of the differences.
        low, high: its 95 % interval by Student's t; None for fewer than two seeds.
        p: two-sided, of no difference: paired t test, or sign flips where all differences are equal; None as above.
        n: seeds that both have.
        deviation: standard deviation of the differences.
        bootstrap: its 95 % interval by bootstrap; None for fewer than three seeds.
        method: which bootstrap, ``BCa``, or ``percentile`` where BCa is not defined.
    """

    mean: float
    low: float | None
    high: float | None
    p: float | None
    n: int
    deviation: float | None = None
    bootstrap: tuple[float, float] | None = None
    method: str = ""

    def interval(self, confidence: float) -> tuple[float, float] | None:
        """Student's interval of the mean at another confidence."""
        if self.deviation is None:
            return None
        reach = float(stats.t.ppf((1 + confidence) / 2, self.n - 1)) * self.deviation / math.sqrt(self.n)
        return self.mean - reach, self.mean + reach

    def p_above(self, bound: float) -> float | None:
        """One-sided p of "the true mean is at most `bound`": small where it lies above."""
        if self.deviation is None:
            return None
        if self.deviation == 0:
            return 0.5**self.n if self.mean > bound else 1.0
        return float(stats.t.sf((self.mean - bound) / (self.deviation / math.sqrt(self.n)), self.n - 1))

    def p_below(self, bound: float) -> float | None:
        """One-sided p of "the true mean is at least `bound`": small where it lies below."""
        mirrored = Difference(-self.mean, None, None, None, self.n, self.deviation)
        return mirrored.p_above(-bound)

    def p_equivalent(self, margin: float) -> float | None:
        """P of "the true mean lies outside +-margin", by two one-sided t tests: small where it lies inside."""
        sides = self.p_above(-margin), self.p_below(margin)
        return None if sides[0] is None or sides[1] is None else max(sides[0], sides[1])

    def to_dict(self) -> dict[str, Any]:
        """In JSON's types."""
        return asdict(self) | {"bootstrap": None if self.bootstrap is None else list(self.bootstrap)}


def paired(
    baseline: Mapping[Any, float], variant: Mapping[Any, float], *, resamples: int = 10_000, seed: int = 0
) -> Difference | None:
    r"""Compares two variants over the seeds that both were trained from; None where they share none.

    .. math:: d_s = v_s - b_s, \qquad \bar d \pm t_{n-1} s_d / \sqrt n

    Args:
        baseline, variant: seed -> value.
        resamples: of the bootstrap; 0 for none.
        seed: of the bootstrap.

    Example:
        >>> found = paired({0: 50.0, 1: 52.0, 2: 51.0}, {0: 51.0, 1: 53.5, 2: 52.0, 3: 60.0})
        >>> found.n, round(found.mean, 3), round(found.low, 3), round(found.high, 3), round(found.p, 4)
        (3, 1.167, 0.45, 1.884, 0.0198)
    """
    shared = [s for s in baseline if s in variant]
    if not shared:
        return None
    return mean_of([variant[s] - baseline[s] for s in shared], resamples=resamples, seed=seed)


def mean_of(values: Sequence[float], *, resamples: int = 10_000, seed: int = 0) -> Difference:
    """The mean of differences (or of anything that is compared with 0), one per seed; see `paired`."""
    known = np.asarray(values, np.float64)
    mean, n = float(known.mean()), len(known)
    if n < 2:
        return Difference(mean, None, None, None, n)
    deviation = float(known.std(ddof=1))
    if deviation <= 1e-12 * max(1.0, float(np.abs(known).max())):
        deviation = 0.0
    if deviation:
        p = float(2 * stats.t.sf(abs(mean) / (deviation / math.sqrt(n)), n - 1))
    else:
        p = 1.0 if mean == 0 else 2 * 0.5**n  # every sign flip gives a smaller mean, but its own mirror image
    ends, method = _bootstrap(known, resamples, seed)
    made = Difference(mean, None, None, p, n, deviation, ends, method)
    low, high = made.interval(CONFIDENCE) or (None, None)
    return Difference(mean, low, high, p, n, deviation, ends, method)


def _bootstrap(values: np.ndarray, resamples: int, seed: int) -> tuple[tuple[float, float] | None, str]:
    """BCa where it is defined, else percentiles; nothing for fewer than three values, or for no resamples."""
    if len(values) < 3 or not resamples:
        return None, ""
    for method in ("BCa", "percentile"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of equal values, which leave BCa undefined; percentiles still are
            found = stats.bootstrap(
                (values,), np.mean, n_resamples=resamples, confidence_level=CONFIDENCE, method=method,
                rng=np.random.default_rng(seed),
            ).confidence_interval  # fmt: skip
        if math.isfinite(found.low) and math.isfinite(found.high):
            return (float(found.low), float(found.high)), method
    return None, ""


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values of a family, adjusted so that rejecting those below alpha errs anywhere with at most alpha.

    Sorted ascending, the k-th of m becomes min(1, max over j <= k of (m - j + 1) p_(j)).

    Args:
        p_values: one for each comparison.

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = highest
    return adjusted


def equivalent(difference: Difference, margin: float) -> bool:
    """Whether the 90 % interval lies inside +-margin: two one-sided t tests at 5 % each, the TOST procedure.

    Example:
        >>> equivalent(mean_of([0.1, -0.1, 0.0, 0.1]), 0.5), equivalent(mean_of([0.1, -0.1]), 0.5)
        (True, False)
    """
    p = difference.p_equivalent(margin)
    return p is not None and p < ALPHA


def epochs_to(losses: Sequence[float], level: float) -> float | None:
    """Epochs until the loss is down to a level, between two epochs by a straight line; None where it never is.

    Example:
        >>> epochs_to([2.0, 1.0, 0.5], 0.75), epochs_to([2.0, 1.0], 0.5)
        (2.5, None)
    """
    for i, loss in enumerate(losses):
        if loss <= level:
            if i == 0 or losses[i - 1] <= level:
                return float(i + 1)
            return i + (losses[i - 1] - level) / (losses[i - 1] - loss)
    return None


def area(curve: Sequence[float]) -> float:
    """Area under a curve over the epochs, by trapezoids, divided by their span: a mean height.

    Example:
        >>> area([0.0, 10.0, 20.0])
        10.0
    """
    if len(curve) == 1:
        return float(curve[0])
    return sum((a + b) / 2 for a, b in pairwise(curve)) / (len(curve) - 1)
