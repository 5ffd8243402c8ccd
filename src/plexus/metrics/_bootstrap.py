"""Intervals by resampling images, or whole groups of them, which `scipy.stats.bootstrap` cannot draw."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

_CHUNK = 1 << 21  # counts held at once


@dataclass(frozen=True)
class Interval:
    """A mean with its 95 % interval.

    Args:
        mean: of the values.
        low, high: the 2.5th and 97.5th percentile of the resampled mean; NaN for fewer than two groups.
        n: the number of values that it rests on.

    Example:
        >>> interval = Interval(mean=0.75, low=0.25, high=1.0, n=4)
        >>> interval.low <= interval.mean <= interval.high
        True
    """

    mean: float
    low: float
    high: float
    n: int


def bootstrap(
    values: ArrayLike,
    groups: Sequence[Hashable] | NDArray[np.generic] | None = None,
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    r"""Compute the mean of values and its percentile bootstrap interval.

    Groups are drawn with all their values, as many as there are, because values of one patient are not independent:

    .. math:: \bar x^* = \sum_g c_g \sum_{i \in g} x_i \Big/ \sum_g c_g n_g,
        \quad c \sim \mathrm{Multinomial}(G, 1/G)

    Args:
        values: one per image; NaN are left out.
        groups: one name per image; None among them stands for a group of its own. Without groups each image is one.
        resamples: the number of draws.
        seed: of the draws.

    Shape:
        (N,), (N,).

    Raises:
        ValueError: values and groups of different lengths.

    Source:
        Efron and Tibshirani 1993, An introduction to the bootstrap; Davison and Hinkley 1997, section 3.8.

    Example:
        >>> bootstrap([0.0, 1.0, 1.0, 1.0], ["a", "b", "c", "d"])
        Interval(mean=0.75, low=0.25, high=1.0, n=4)
    """
    x = np.asarray(values, np.float64)
    if x.ndim != 1 or (groups is not None and len(groups) != len(x)):
        raise ValueError(f"values must be (N,) with one group each, got {x.shape} and {len(groups or ())} groups")
    use = ~np.isnan(x)
    own = np.arange(len(x)) if groups is None else _numbers(groups)
    x, own = x[use], np.unique(own[use], return_inverse=True)[1]
    if not len(x):
        return Interval(float("nan"), float("nan"), float("nan"), 0)
    sums, counts = np.bincount(own, x), np.bincount(own).astype(np.float64)
    size = len(sums)
    if size < 2:
        return Interval(float(x.mean()), float("nan"), float("nan"), len(x))
    rng = np.random.default_rng(seed)
    means = np.empty(resamples)
    # drawing how often each group comes, not which: a draw is a row of small numbers, and its mean two products
    step = max(1, _CHUNK // size)
    for start in range(0, resamples, step):
        drawn = rng.multinomial(size, np.full(size, 1 / size), min(step, resamples - start))
        means[start : start + step] = (drawn @ sums) / (drawn @ counts)
    low, high = np.percentile(means, [2.5, 97.5])
    return Interval(float(x.mean()), float(low), float(high), len(x))


def paired_bootstrap(
    a: ArrayLike,
    b: ArrayLike,
    groups: Sequence[Hashable] | NDArray[np.generic] | None = None,
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    r"""Compute the mean of a - b over the same images, and its percentile bootstrap interval.

    Args:
        a: one value per image; images where either is NaN are left out.
        b: likewise.
        groups, resamples, seed: see `bootstrap`.

    Shape:
        (N,), (N,), (N,).

    Raises:
        ValueError: of different lengths.

    Example:
        >>> paired_bootstrap([0.5, 0.9], [0.25, 0.65])
        Interval(mean=0.25, low=0.25, high=0.25, n=2)
    """
    x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if x.shape != y.shape:
        raise ValueError(f"a {x.shape} and b {y.shape} must have one shape")
    return bootstrap(x - y, groups, resamples=resamples, seed=seed)


def _numbers(groups: Sequence[Hashable] | NDArray[np.generic]) -> NDArray[np.int64]:
    numbers: dict[Hashable, int] = {}
    return np.array(
        [numbers.setdefault(("", i) if g is None else (g,), len(numbers)) for i, g in enumerate(groups)], np.int64
    )
