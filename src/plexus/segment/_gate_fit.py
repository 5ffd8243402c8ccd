"""What a gate is chosen by: overlaps at every threshold, calibrated presence, and the Dice to expect."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

CUTS = np.arange(4, 17) / 20
SHARES = (0.0, 0.001, 0.0025, 0.005, 0.01, 0.02)
"""Least areas to try, as shares of the median image."""
_FOLDS = 5

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Overlaps:
    """Every image's mask at every threshold.

    Args:
        cuts: the thresholds, (K,).
        truth: pixels of the true masks, (N,).
        area: pixels of the masks, (N, K).
        dice: with the truth, 1 where both are empty, (N, K).
        soft: the Dice that the probabilities themselves promise, (N, K).
        pixels: of the images, (N,).
    """

    cuts: Floats
    truth: NDArray[np.int64]
    area: NDArray[np.int64]
    dice: Floats
    soft: Floats
    pixels: NDArray[np.int64]


def overlaps(
    probability: Sequence[NDArray[np.floating]] | NDArray[np.floating],
    truth: Sequence[NDArray[np.bool_]] | NDArray[np.bool_],
    cuts: Floats = CUTS,
) -> Overlaps:
    """Measure all thresholds in one pass: histograms over the thresholds, summed from above.

    Raises:
        ValueError: a map and a mask of different shapes, or probabilities that are not finite.
    """
    edges, bins = cuts.astype(np.float32), len(cuts) + 1
    areas, common, weights, sums = [], [], [], []
    for q, inside in zip(probability, truth, strict=True):
        if q.shape != inside.shape:
            raise ValueError(f"a map of {q.shape} and a mask of {inside.shape}")
        values = np.asarray(q, np.float32).ravel()
        place = np.searchsorted(edges, values, side="right")
        hits = np.bincount(place + bins * (np.ravel(inside) > 0), minlength=2 * bins).reshape(2, bins)
        weight = np.bincount(place, values, minlength=bins)
        if not np.isfinite(weight).all():
            raise ValueError("probabilities must be finite")
        areas.append(_from_above(hits.sum(0)))
        common.append(_from_above(hits[1]))
        weights.append(_from_above(weight))
        sums.append((hits[1].sum(), weight.sum(), values.size))
    area, both, inner = np.array(areas), np.array(common), np.array(weights)
    true, whole, pixels = (np.array(column) for column in zip(*sums, strict=True))
    total = area + true[:, None]
    return Overlaps(
        cuts,
        true,
        area,
        np.where(total > 0, 2 * both / np.maximum(total, 1), 1.0),
        2 * inner / np.maximum(whole[:, None] + area, 1e-12),
        pixels,
    )


def platt(logits: Floats, present: NDArray[np.bool_]) -> tuple[float, float]:
    r"""Fit slope and offset of a logistic regression of presence, the slope not negative.

    Targets are :math:`(n_+ + 1) / (n_+ + 2)` and :math:`1 / (n_- + 2)`, which keeps separable data finite.
    """
    positives = int(present.sum())
    target = np.where(present, (positives + 1) / (positives + 2), 1 / (len(present) - positives + 2))
    middle, scale = float(logits.mean()), float(logits.std()) or 1.0
    z = (logits - middle) / scale

    def loss(at: Floats) -> tuple[float, Floats]:
        x = at[0] * z + at[1]
        rest = expit(x) - target
        return float((np.logaddexp(0, x) - target * x).mean()), np.array([(rest * z).mean(), rest.mean()])

    share = float(target.mean())
    start = np.array([1.0, np.log(share / (1 - share))])
    found = minimize(
        loss, start, jac=True, method="L-BFGS-B", bounds=[(0, None), (None, None)], options={"ftol": 1e-14}
    )
    slope = float(found.x[0]) / scale
    return slope, float(found.x[1]) - slope * middle


def dice_line(soft: Floats, dice: Floats, groups: Sequence[Hashable]) -> tuple[float, float]:
    """Return a and b of the expected Dice a + b s: the mean and 0, unless a rising line predicts other groups better.

    Args:
        soft: s of the images where something is there, (N,).
        dice: their Dice, (N,).
        groups: their groups, dealt over five parts in the order they come.
    """
    if not len(dice):
        return 0.5, 0.0  # nothing to learn it from
    mean = (float(dice.mean()), 0.0)
    known = {group: i for i, group in enumerate(dict.fromkeys(groups))}
    part = np.array([known[group] % _FOLDS for group in groups])
    if len(known) < 2 * _FOLDS:
        return mean
    errors = np.zeros(2)
    for k in range(_FOLDS):
        fit, test = part != k, part == k
        for j, (a, b) in enumerate(((float(dice[fit].mean()), 0.0), _line(soft[fit], dice[fit]))):
            errors[j] += np.square(np.clip(a + b * soft[test], 0, 1) - dice[test]).sum()
    line = _line(soft, dice)
    return line if errors[1] < errors[0] and line[1] > 0 else mean


def choose_cuts(found: Overlaps, p: Floats, lines: Sequence[tuple[float, float]]) -> tuple[int, int]:
    """Return which threshold and which least area give the highest mean Dice under the rule of the expected Dice."""
    present = found.truth > 0
    a, b = np.array(lines).T
    given = (1 - p)[:, None] <= p[:, None] * np.clip(a + b * found.soft, 0, 1)
    least = sorted({round(share * float(np.median(found.pixels))) for share in SHARES})
    best, choice = -1.0, (0, 0)
    for k in np.argsort(np.abs(found.cuts - 0.5), kind="stable").tolist():
        for pixels in least:
            shown = given[:, k] & (found.area[:, k] >= pixels) & (found.area[:, k] > 0)
            score = float(np.where(shown, found.dice[:, k], ~present).mean())
            if score > best + 1e-12:
                best, choice = score, (k, pixels)
    return choice


def _line(x: Floats, y: Floats) -> tuple[float, float]:
    spread = x - x.mean()
    b = float(spread @ y / max(float(spread @ spread), 1e-12))
    return float(y.mean() - b * x.mean()), b


def _from_above(counts: NDArray[np.generic]) -> NDArray[np.generic]:
    return np.cumsum(counts[::-1])[::-1][1:]
