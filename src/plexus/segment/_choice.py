"""What a gate is chosen by: how masks of every threshold score, and how sure the net is of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, log_expit

Floats = NDArray[np.float64]
THRESHOLDS = np.round(np.arange(0.2, 0.81, 0.05), 2)
AREAS = (0.0, 0.005, 0.01, 0.02, 0.05, 0.1)
"""Quantiles of the masks' areas, where the target is there, that are tried as the least area."""
FEW = 10
"""Images with the target below which E[Dice] is their mean."""


@dataclass(frozen=True, eq=False)
class Profiles:
    """Figures of N images at T thresholds.

    Args:
        present: whether the truth has a pixel, (N,).
        area: pixels of the mask, (N, T).
        dice: of mask and truth, where both are empty 1, (N, T).
        soft: 2 sum of q in the mask / (its pixels + sum of all q), (N, T).
        thresholds: (T,).
    """

    present: NDArray[np.bool_]
    area: Floats
    dice: Floats
    soft: Floats
    thresholds: Floats

    @property
    def middle(self) -> int:
        """The place of the threshold nearest .5."""
        return int(np.abs(self.thresholds - 0.5).argmin())

    @cached_property
    def fits(self) -> dict[int, tuple[float, float, float]]:
        """What `expected_dice` has found."""
        return {}


def profiles(probability: Sequence[Any] | NDArray[Any], truth: Sequence[Any] | NDArray[Any]) -> Profiles:
    """Figures of every image at every threshold, from one histogram of its probabilities."""
    n = len(THRESHOLDS)
    area, common, inside = (np.zeros((len(probability), n)) for _ in range(3))
    whole, size = np.zeros(len(probability)), np.zeros(len(probability))
    for i, (q, t) in enumerate(zip(probability, truth, strict=True)):
        flat, there = np.asarray(q, np.float32).ravel(), np.asarray(t).ravel() != 0
        at = np.searchsorted(THRESHOLDS.astype(np.float32), flat, side="right")  # thresholds reached
        for into, weight in ((area, None), (common, there), (inside, flat)):
            counts = np.bincount(at, None if weight is None else weight.astype(np.float64), n + 1)
            into[i] = counts[::-1].cumsum()[::-1][1:]
        whole[i], size[i] = flat.sum(dtype=np.float64), there.sum()
    both = area + size[:, None]
    return Profiles(
        size > 0,
        area,
        np.where(both == 0, 1.0, 2 * common / np.maximum(both, 1)),
        2 * inside / np.maximum(area + whole[:, None], 1e-12),
        THRESHOLDS,
    )


def platt(logit: Floats, present: NDArray[np.bool_]) -> tuple[float, float]:
    r"""Slope a >= 0 and offset b of p = sigmoid(a l + b), by the likelihood of smoothed targets.

    The targets are (n+ + 1) / (n+ + 2) and 1 / (n- + 2), and a weak prior, (a - 1)^2 / 2, keeps the slope finite
    where the logits separate the two kinds.
    """
    positives = int(present.sum())
    targets = np.where(present, (positives + 1) / (positives + 2), 1 / (len(present) - positives + 2))

    def loss(ab: Floats) -> tuple[float, Floats]:
        z = ab[0] * logit + ab[1]
        rest = expit(z) - targets
        value = -(targets * log_expit(z) + (1 - targets) * log_expit(-z)).sum() + (ab[0] - 1) ** 2 / 2
        return float(value), np.array([(rest * logit).sum() + ab[0] - 1, rest.sum()])

    found = minimize(loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=[(0, None), (None, None)])
    return float(found.x[0]), float(found.x[1])


def expected_dice(found: Profiles, t: int, groups: Sequence[Any] | None = None) -> tuple[float, float, float]:
    """Mean, slope and centre of Dice as a line in the soft Dice, over images with the target.

    The slope is 0 where the line predicts groups that are left out no better than the mean does.
    """
    if t in found.fits:
        return found.fits[t]
    x, y = found.soft[found.present, t], found.dice[found.present, t]
    mean, rise, middle = (float(y.mean()), 0.0, float(x.mean())) if len(y) else (1.0, 0.0, 0.0)
    if len(y) >= FEW and x.std() > 1e-6:
        keys = np.flatnonzero(found.present) if groups is None else np.array(groups, object)[found.present]
        known: dict[Any, int] = {}
        part = np.array([known.setdefault(key, len(known)) for key in keys]) % 5
        errors = np.zeros(2)
        for k in np.unique(part):
            rest = part != k
            if rest.sum() > 1:
                line = _slope(x[rest], y[rest]) * (x[~rest] - x[rest].mean())
                errors += ((y[~rest] - y[rest].mean()) ** 2).sum(), ((y[~rest] - y[rest].mean() - line) ** 2).sum()
        rise = max(0.0, _slope(x, y)) if errors[1] < errors[0] else 0.0
    found.fits[t] = mean, rise, middle
    return found.fits[t]


def least_area(found: Profiles, t: int, score: Callable[[int], float]) -> int:
    """The least area that is kept, in pixels: none, unless another scores higher."""
    areas = found.area[found.present, t]
    areas = areas[areas > 0]
    tried = sorted({0, *(int(np.quantile(areas, q)) for q in AREAS)}) if len(areas) else [0]
    return max(tried, key=lambda least: (round(score(least), 9), -least))


def _slope(x: Floats, y: Floats) -> float:
    around = x - x.mean()
    square = float((around**2).sum())
    return float((around * (y - y.mean())).sum() / square) if square > 1e-12 else 0.0
