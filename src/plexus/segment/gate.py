"""The gate that leaves masks empty where nothing may be there to be found, and its choice by validation images.

Where an empty truth scores 1 for an empty answer and 0 for any other, an answer that is left empty scores 1 - p on
average, and one that is given scores p times the Dice it has where something is there. So the better choice is empty
exactly where (1 - p) > p E[Dice | present].
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize
from scipy.special import expit

from plexus.errors import ConfigError
from plexus.segment._config import read_gate

Floats = NDArray[np.floating]
CUTS = np.arange(4, 17) / 20
SHARES = (0.0, 0.001, 0.0025, 0.005, 0.01, 0.02)
"""Least areas to try, as fractions of the median image."""
_FOLDS = 5


@dataclass(frozen=True)
class Gate:
    r"""The rule that makes masks of probabilities.

    A mask is where the probability reaches ``mask_threshold``. It is left empty where it has fewer than ``min_area``
    pixels, and

    - threshold: where :math:`p < t`;
    - expected: where :math:`1 - p > p\,d`, with :math:`d = \mathrm{clip}(a + b s, 0, 1)`.

    The probability of presence is :math:`p = \sigma(\mathrm{slope} \cdot \ell + \mathrm{offset})`, and
    :math:`s = 2 \sum_{i \in M} q_i / (\sum_i q_i + |M|)` is the Dice that the mask M should have if its
    probabilities q were right.

    Args:
        kind: none | threshold | expected.
        threshold: t.
        slope: of the calibration of presence logits.
        offset: likewise.
        expected_dice: a, the mean Dice where something is there, if b is 0.
        dice_slope: b.
        mask_threshold: pixels from this probability on are inside.
        min_area: the fewest pixels of a mask.

    Source: the answer with the larger expected Dice; presence is calibrated as in Platt, "Probabilistic outputs for
        support vector machines" (1999).

    Example:
        >>> Gate("expected", expected_dice=0.6).empties(np.array([0.62, 0.63])).tolist()
        [True, False]
    """

    kind: str = "none"
    threshold: float = 0.5
    slope: float = 1.0
    offset: float = 0.0
    expected_dice: float = 0.5
    dice_slope: float = 0.0
    mask_threshold: float = 0.5
    min_area: int = 0

    def presence(self, logits: ArrayLike) -> NDArray[np.float64]:
        """Return calibrated probabilities of presence, (N,), of logits (N,)."""
        return np.asarray(expit(self.slope * np.asarray(logits, np.float64) + self.offset))

    def empties(self, p: ArrayLike, soft_dice: ArrayLike | None = None) -> NDArray[np.bool_]:
        """Return for each mask whether the probability of presence leaves it empty.

        Args:
            p: calibrated probabilities of presence, (N,).
            soft_dice: s of each image, (N,); zero if not given, which is right where ``dice_slope`` is 0.
        """
        p = np.asarray(p, np.float64)
        if self.kind == "expected":
            s = np.zeros_like(p) if soft_dice is None else np.asarray(soft_dice, np.float64)
            # An empty mask scores 1 with probability 1 - p, the other the Dice with probability p; a tie is answered.
            return 1 - p > p * np.clip(self.expected_dice + self.dice_slope * s, 0, 1)
        return p < self.threshold if self.kind == "threshold" else np.zeros(p.shape, bool)

    def apply(self, probability: Sequence[Floats] | Floats, logit: ArrayLike) -> NDArray[np.bool_]:
        """Make masks.

        Args:
            probability: of each pixel.
            logit: of presence.

        Shape:
            (N, H, W), (N,) -> (N, H, W).
        """
        # In float32, as `overlaps` compares: a pixel on the threshold is inside in the choice and in the use alike.
        cut = np.float32(self.mask_threshold)
        q = np.asarray(probability, np.float32)
        masks = q >= cut
        area = np.count_nonzero(masks, axis=(1, 2))
        weight = q.sum((1, 2), dtype=np.float64)
        inside = np.where(masks, q, 0).sum((1, 2), dtype=np.float64)
        soft = 2 * inside / np.maximum(weight + area, 1e-12)
        masks[self.empties(self.presence(logit), soft) | (area < self.min_area)] = False
        return masks

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Gate:
        """Return the gate of `to_dict`.

        Raises:
            ConfigError: unknown or missing entries, or values that no gate has.
        """
        names = {field.name for field in fields(cls)}
        if set(values) != names:
            wrong = ", ".join(sorted(set(values) ^ names))
            raise ConfigError(f"gate: entries unknown or missing: {wrong}: train the run again")
        numbers = [value for name, value in values.items() if name != "kind"]
        if values["kind"] not in ("none", "threshold", "expected") or not all(map(_finite, numbers)):
            raise ConfigError(f"gate: {dict(values)} is none; expected a kind and finite numbers: train the run again")
        return cls(**values)


def choose_gate(
    kind: str,
    probability: Sequence[Floats] | Floats,
    logit: ArrayLike,
    truth: Sequence[NDArray[np.bool_]] | NDArray[np.bool_],
    *,
    groups: Sequence[Hashable] | None = None,
) -> Gate:
    """Choose a gate by validation images; never show it those that are reported.

    ``none`` and a number leave masks at .5 and the presence as the net says it. ``expected`` calibrates presence
    by logistic regression (Platt's), estimates the Dice of present images (by a line over s where that predicts
    images of other groups better than the mean), and takes the mask threshold and the least area of a grid with the
    highest mean Dice, two empty masks scoring 1; among equals those nearest to .5 and 0.

    Args:
        kind: none | expected | a probability such as ``0.5``.
        probability: of each pixel, for each image (H, W), of any size.
        logit: of presence, (N,).
        truth: for each image (H, W).
        groups: of the images, which the line is tried across.

    Raises:
        ConfigError: an unknown kind.
        ValueError: no images, of different counts, or values that are not finite.

    Source:
        Platt 1999, Probabilistic outputs for support vector machines; section 2.2 for the targets.

    Example:
        >>> q = np.zeros((4, 8, 8)); q[:, :4] = 0.9
        >>> truth = np.zeros((4, 8, 8), bool); truth[:2, :4] = True
        >>> gate = choose_gate("expected", q, [3.0, 2.0, -2.0, -3.0], truth)
        >>> gate.apply(q[:2], [3.0, -3.0]).any((1, 2)).tolist()
        [True, False]
    """
    if (threshold := read_gate(kind)) is not None:
        return Gate("threshold", threshold=threshold)
    if kind == "none":
        return Gate("none")
    logits = np.asarray(logit, np.float64)
    if not len(logits) or not len(logits) == len(probability) == len(truth):
        counts = f"{len(probability)} maps, {len(logits)} logits and {len(truth)} masks"
        raise ValueError(f"a gate is chosen by 1 image or more, each with its own: got {counts}")
    if not np.isfinite(logits).all():
        raise ValueError("presence logits must be finite")
    at_cuts = overlaps(probability, truth)
    present = at_cuts.truth > 0
    slope, offset = platt(logits, present)
    p = expit(slope * logits + offset)
    lines = [
        dice_line(at_cuts.soft[present, k], at_cuts.dice[present, k], _of(groups, present))
        for k in range(len(at_cuts.cuts))
    ]
    k, least = choose_cuts(at_cuts, p, lines)
    return Gate("expected", 0.5, slope, offset, *lines[k], float(at_cuts.cuts[k]), least)


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))


def _of(groups: Sequence[Hashable] | None, rows: NDArray[np.bool_]) -> list[Hashable]:
    at = np.flatnonzero(rows).tolist()
    return [i if groups is None or groups[i] is None else (groups[i],) for i in at]


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
        bin_of = np.searchsorted(edges, values, side="right")  # right: a value on a threshold is above it
        # One count for both kinds of pixels: those of the target stand `bins` further on.
        hits = np.bincount(bin_of + bins * (np.ravel(inside) > 0), minlength=2 * bins).reshape(2, bins)
        weight = np.bincount(bin_of, values, minlength=bins)
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
    # Centred and scaled, or L-BFGS stops early where logits are large; undone at the end.
    middle, scale = float(logits.mean()), float(logits.std()) or 1.0
    z = (logits - middle) / scale

    def loss(at: Floats) -> tuple[float, Floats]:
        x = at[0] * z + at[1]
        rest = expit(x) - target
        return float((np.logaddexp(0, x) - target * x).mean()), np.array([(rest * z).mean(), rest.mean()])

    share = float(target.mean())
    start = np.array([1.0, np.log(share / (1 - share))])
    # Below 0 it would answer the images that the net thinks empty, which a few odd images can suggest.
    fit = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(0, None), (None, None)], options={"ftol": 1e-14})
    slope = float(fit.x[0]) / scale
    return slope, float(fit.x[1]) - slope * middle


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
    number = {group: i for i, group in enumerate(dict.fromkeys(groups))}
    part = np.array([number[group] % _FOLDS for group in groups])
    if len(number) < 2 * _FOLDS:
        return mean
    errors = np.zeros(2)
    # Across groups: two images of one patient would praise a line that says nothing of the next.
    for k in range(_FOLDS):
        fit, test = part != k, part == k
        for j, (a, b) in enumerate(((float(dice[fit].mean()), 0.0), _line(soft[fit], dice[fit]))):
            errors[j] += np.square(np.clip(a + b * soft[test], 0, 1) - dice[test]).sum()
    line = _line(soft, dice)
    return line if errors[1] < errors[0] and line[1] > 0 else mean


def choose_cuts(at_cuts: Overlaps, p: Floats, lines: Sequence[tuple[float, float]]) -> tuple[int, int]:
    """Return which threshold and which least area give the highest mean Dice under the rule of the expected Dice."""
    present = at_cuts.truth > 0
    a, b = np.array(lines).T
    answered = (1 - p)[:, None] <= p[:, None] * np.clip(a + b * at_cuts.soft, 0, 1)
    least = sorted({round(share * float(np.median(at_cuts.pixels))) for share in SHARES})
    best, choice = -1.0, (0, 0)
    # From .5 outwards and from 0 up, a gain must be real: so equals fall to the nearest, whatever their rounding.
    for k in np.argsort(np.abs(at_cuts.cuts - 0.5), kind="stable").tolist():
        for pixels in least:
            shown = answered[:, k] & (at_cuts.area[:, k] >= pixels) & (at_cuts.area[:, k] > 0)
            score = float(np.where(shown, at_cuts.dice[:, k], ~present).mean())
            if score > best + 1e-12:
                best, choice = score, (k, pixels)
    return choice


def _line(x: Floats, y: Floats) -> tuple[float, float]:
    spread = x - x.mean()
    b = float(spread @ y / max(float(spread @ spread), 1e-12))
    return float(y.mean() - b * x.mean()), b


def _from_above(counts: NDArray[np.generic]) -> NDArray[np.generic]:
    return np.cumsum(counts[::-1])[::-1][1:]
