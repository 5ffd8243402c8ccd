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
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import scipy

CONFIDENCE = 0.95
"""Of every interval that is reported."""
ALPHA = 0.05
"""Where a p-value is small."""
__all__ = ["ALPHA", "CONFIDENCE", "Difference", "area", "epochs_to", "equivalent", "holm", "mean_of", "paired"]


@dataclass(frozen=True)
class Difference:
    """Mean of paired differences, variant minus baseline, with its interval and p-values.

    Args:
        mean: of the differences.
        low, high: its 95 % interval by Student's t; None for fewer than two seeds.
        p: two-sided, of no difference: paired t test, or sign flips where all differences are equal; None as above.
        n: seeds that both have.
        std: standard deviation of the differences.
        bootstrap: its 95 % interval by bootstrap; None for fewer than three seeds.
        method: which bootstrap, ``BCa``, or ``percentile`` where BCa is not defined.

    Example:
        >>> round(Difference(1.0, None, None, None, n=4, std=0.4).p_above(0.5), 4)
        0.0439
    """

    mean: float
    low: float | None
    high: float | None
    p: float | None
    n: int
    std: float | None = None
    bootstrap: tuple[float, float] | None = None
    method: str = ""

    def interval(self, confidence: float) -> tuple[float, float] | None:
        """Student's interval of the mean at another confidence."""
        if self.std is None:
            return None
        reach = float(scipy.stats.t.ppf((1 + confidence) / 2, self.n - 1)) * self.std / math.sqrt(self.n)
        return self.mean - reach, self.mean + reach

    def p_above(self, bound: float) -> float | None:
        """One-sided p of "the true mean is at most `bound`": small where it lies above."""
        if self.std is None:
            return None
        if self.std == 0:
            return 0.5**self.n if self.mean > bound else 1.0
        return float(scipy.stats.t.sf((self.mean - bound) / (self.std / math.sqrt(self.n)), self.n - 1))

    def p_below(self, bound: float) -> float | None:
        """One-sided p of "the true mean is at least `bound`": small where it lies below."""
        mirrored = Difference(-self.mean, None, None, None, self.n, self.std)
        return mirrored.p_above(-bound)

    def p_equivalent(self, margin: float) -> float | None:
        """P of "the true mean lies outside +-margin", by two one-sided t tests: small where it lies inside."""
        sides = self.p_above(-margin), self.p_below(margin)
        return None if sides[0] is None or sides[1] is None else max(sides[0], sides[1])

    def at(self, n: int) -> Difference:
        """Expect the same mean and scatter from another number of seeds, two or more.

        Args:
            n: how many.

        Raises:
            ValueError: there is one seed, which tells nothing of the scatter.
        """
        if self.std is None:
            raise ValueError("one seed tells nothing of the scatter")
        return _difference(self.mean, self.std, n)

    def to_dict(self) -> dict[str, Any]:
        """Return the same in JSON's types."""
        return asdict(self) | {"bootstrap": None if self.bootstrap is None else list(self.bootstrap)}


def paired(
    baseline: Mapping[Any, float], variant: Mapping[Any, float], *, resamples: int = 10_000, seed: int = 0
) -> Difference | None:
    r"""Compare two variants over the seeds that both were trained from.

    .. math:: d_s = v_s - b_s, \qquad \bar d \pm t_{n-1} s_d / \sqrt n

    Args:
        baseline, variant: seed -> value.
        resamples: of the bootstrap; 0 for none.
        seed: of the bootstrap.

    Returns:
        The mean difference; None where they share no seed.

    Source: Student, The probable error of a mean, Biometrika 6, 1908.

    Example:
        >>> gain = paired({0: 50.0, 1: 52.0, 2: 51.0}, {0: 51.0, 1: 53.5, 2: 52.0, 3: 60.0})
        >>> gain.n, round(gain.mean, 3), round(gain.low, 3), round(gain.high, 3), round(gain.p, 4)
        (3, 1.167, 0.45, 1.884, 0.0198)
    """
    shared = [s for s in baseline if s in variant]
    if not shared:
        return None
    return mean_of([variant[s] - baseline[s] for s in shared], resamples=resamples, seed=seed)


def mean_of(values: Sequence[float], *, resamples: int = 10_000, seed: int = 0) -> Difference:
    """Compare the mean of differences, one per seed, with 0; see `paired`.

    Args:
        values: of differences, or of anything else.
        resamples: of the bootstrap; 0 for none.
        seed: of the bootstrap.

    Returns:
        The mean with its interval and p-value.

    Example:
        >>> round(mean_of([1.0, 1.5, 1.0]).p, 4)
        0.0198
    """
    numbers = np.asarray(values, np.float64)
    mean, n = float(numbers.mean()), len(numbers)
    if n < 2:
        return Difference(mean, None, None, None, n)
    std = float(numbers.std(ddof=1))
    if std <= 1e-12 * max(1.0, float(np.abs(numbers).max())):  # rounding alone, where all are equal
        std = 0.0
    ends, method = _bootstrap(numbers, resamples, seed)
    return replace(_difference(mean, std, n), bootstrap=ends, method=method)


def _difference(mean: float, std: float, n: int) -> Difference:
    """Student's interval and p of a mean."""
    if std:
        p = float(2 * scipy.stats.t.sf(abs(mean) / (std / math.sqrt(n)), n - 1))
    else:
        p = 1.0 if mean == 0 else 2 * 0.5**n  # every sign flip gives a smaller mean, but its own mirror image
    difference = Difference(mean, None, None, p, n, std)
    low, high = difference.interval(CONFIDENCE) or (None, None)
    return replace(difference, low=low, high=high)


def _bootstrap(values: np.ndarray, resamples: int, seed: int) -> tuple[tuple[float, float] | None, str]:
    """BCa where it is defined, else percentiles; nothing for fewer than three values, or for no resamples."""
    if len(values) < 3 or not resamples:
        return None, ""
    for method in ("BCa", "percentile"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of equal values, which leave BCa undefined; percentiles still are
            ends = scipy.stats.bootstrap(
                (values,), np.mean, n_resamples=resamples, confidence_level=CONFIDENCE, method=method,
                rng=np.random.default_rng(seed),
            ).confidence_interval  # fmt: skip
        if math.isfinite(ends.low) and math.isfinite(ends.high):
            return (float(ends.low), float(ends.high)), method
    return None, ""


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust the p-values of a family, so that rejecting those below alpha errs anywhere with at most alpha.

    Sorted ascending, the k-th of m becomes min(1, max over j <= k of (m - j + 1) p_(j)).

    Args:
        p_values: one for each comparison.

    Returns:
        The adjusted p-values, in the same order.

    Source: Holm, A simple sequentially rejective multiple test procedure, Scand. J. Statistics 6, 1979.

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
    """Test whether the 90 % interval lies inside +-margin: two one-sided t tests at 5 % each, the TOST procedure.

    Args:
        difference: of two variants.
        margin: smaller differences count as none.

    Returns:
        Whether it does; False where there are too few seeds.

    Example:
        >>> equivalent(mean_of([0.1, -0.1, 0.0, 0.1]), 0.5), equivalent(mean_of([0.1, -0.1]), 0.5)
        (True, False)
    """
    p = difference.p_equivalent(margin)
    return p is not None and p < ALPHA


def epochs_to(losses: Sequence[float], level: float) -> float | None:
    """Count the epochs until the loss is down to a level, between two epochs by a straight line.

    Args:
        losses: one for each epoch.
        level: which loss to reach.

    Returns:
        Epochs from 1 on; None where it never is.

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
    """Return the area under a curve over the epochs, by trapezoids, divided by their span: a mean height.

    Args:
        curve: one number for each epoch.

    Returns:
        The mean height.

    Example:
        >>> area([0.0, 10.0, 20.0])
        10.0
    """
    return float(np.trapezoid(curve)) / (len(curve) - 1) if len(curve) > 1 else float(curve[0])
