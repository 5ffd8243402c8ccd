"""The gate that leaves masks empty where nothing may be there to be found, and its choice by validation images.

Where an empty truth scores 1 for an empty answer and 0 for any other, an answer that is left empty scores 1 - p on
average, and one that is given scores p times the Dice it has where something is there. So the better choice is empty
exactly where (1 - p) > p E[Dice | present]. What is given is the mask whose probabilities promise the highest Dice.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize
from scipy.special import expit
from scipy.special import logit as logit_of

from plexus.errors import ConfigError
from plexus.metrics import dice
from plexus.segment._config import read_gate

Floats = NDArray[np.floating]
_FOLDS = 5
_FAINT = 0.01
"""A mask reaches down to this probability at most: where none is higher there is nothing to show."""
_PEAK = 0.003
"""The strongest pixels, as a share of the median image."""
_SURE = 1e-4


@dataclass(frozen=True)
class Gate:
    r"""The rule that makes masks of probabilities.

    A mask is where the probability reaches ``mask_threshold``. It is left empty where it has fewer than ``min_area``
    pixels, and

    - threshold: where :math:`p < t`;
    - expected: where :math:`1 - p > p\,d`, with :math:`d = \mathrm{clip}(a + b s, 0, 1)`.

    The probability of presence is

    .. math:: p = \sigma(\mathrm{slope} \cdot \ell + \mathrm{peak\_slope} \cdot m
              + \mathrm{volume\_slope} \cdot v + \mathrm{offset})

    where m is the logit of the mean of the ``peak_pixels`` highest probabilities and :math:`v = \ln(1 + \sum_i q_i)`,
    and :math:`s = 2 \sum_{i \in M} q_i / (\sum_i q_i + |M|)` is the Dice that the mask M should have if its
    probabilities q were right.

    Args:
        kind: none | threshold | expected.
        threshold: t.
        slope: of the calibration of presence logits.
        offset: likewise.
        expected_dice: a, the mean Dice where something is there, if b is 0.
        dice_slope: b.
        mask_threshold: pixels from this probability on are inside; 0: from the one on that makes s highest, which
            each image has for itself.
        min_area: the fewest pixels of a mask.
        peak_slope: what the surest pixels say of presence.
        volume_slope: what the sum of all pixels' probabilities does.
        peak_pixels: how many pixels are the surest.

    Source: the answer with the larger expected Dice; presence is calibrated as in Platt, "Probabilistic outputs for
        support vector machines" (1999); the mask as in Dai and Li, "RankSEG" (2023), sums in place of their
        distributions.

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
    peak_slope: float = 0.0
    volume_slope: float = 0.0
    peak_pixels: int = 1

    def presence(self, logits: ArrayLike, probability: Sequence[Floats] | Floats | None = None) -> NDArray[np.float64]:
        """Return calibrated probabilities of presence.

        Args:
            logits: of presence, (N,).
            probability: of each pixel, for each image (H, W); not needed where its slopes are 0.

        Returns:
            (N,).

        Raises:
            ValueError: this gate reads the pixels too, and they were left out.
        """
        z = self.slope * np.asarray(logits, np.float64) + self.offset
        if self.peak_slope or self.volume_slope:
            if probability is None:
                raise ValueError("this gate tells presence from the pixels, too: give their probabilities")
            z = z + evidence(probability, self.peak_pixels) @ [self.peak_slope, self.volume_slope]
        return np.asarray(expit(z))

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

    def cuts(self, probability: Sequence[Floats] | Floats) -> NDArray[np.float32]:
        """Return for each image (H, W) the probability from which on its pixels are inside, (N,)."""
        if self.mask_threshold > 0:
            return np.full(len(probability), self.mask_threshold, np.float32)
        return np.array([best_cut(q) for q in probability], np.float32)

    def apply(self, probability: Sequence[Floats] | Floats, logit: ArrayLike) -> NDArray[np.bool_]:
        """Make masks.

        Args:
            probability: of each pixel.
            logit: of presence.

        Shape:
            (N, H, W), (N,) -> (N, H, W).
        """
        # In float32, as the choice compares: a pixel on the threshold is inside in the choice and in the use alike.
        q = np.asarray(probability, np.float32)
        masks = q >= self.cuts(q)[:, None, None]
        area = np.count_nonzero(masks, axis=(1, 2))
        soft = promise(q, masks)
        masks[self.empties(self.presence(logit, q), soft) | (area < self.min_area)] = False
        return masks

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Gate:
        """Return the gate of `to_dict`; one that was kept before gates read pixels has no word of them.

        Raises:
            ConfigError: unknown or missing entries, or values that no gate has.
        """
        names = {field.name for field in fields(cls)}
        if wrong := (set(values) ^ names) - ({"peak_slope", "volume_slope", "peak_pixels"} - set(values)):
            raise ConfigError(f"gate: entries unknown or missing: {', '.join(sorted(wrong))}: train the run again")
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

    ``none`` and a number leave masks at .5 and the presence as the net says it. ``expected`` calibrates presence by
    logistic regression of the presence logit, the surest pixels and the sum of all, gives each image the mask that
    promises the highest Dice, and estimates the Dice of present images (by a line over s where that predicts images of
    other groups better than the mean).

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
    soft, scores, pixels = np.empty(len(logits)), np.empty(len(logits)), np.empty(len(logits))
    for i, (q, inside) in enumerate(zip(probability, truth, strict=True)):
        if q.shape != inside.shape:
            raise ValueError(f"a map of {q.shape} and a mask of {inside.shape}")
        if not np.isfinite(q).all():
            raise ValueError("probabilities must be finite")
        mask = np.asarray(q, np.float32) >= best_cut(q)
        soft[i], scores[i] = promise(q[None], mask[None])[0], dice(mask[None], inside[None] > 0)[0]
        pixels[i] = q.size
    present = np.array([bool(np.any(inside)) for inside in truth])
    peak = max(1, round(_PEAK * float(np.median(pixels))))
    slopes, offset = calibrate(np.column_stack([logits, evidence(probability, peak)]), present)
    line = dice_line(soft[present], scores[present], _of(groups, present))
    return Gate("expected", 0.5, slopes[0], offset, *line, 0.0, 0, slopes[1], slopes[2], peak)


def best_cut(probability: Floats) -> np.float32:
    """Return from which probability on the pixels of an image are inside, so that s of `Gate` is highest.

    A mask takes the most probable pixels: each more raises s where its probability is more than s / 2.

    Example:
        >>> float(best_cut(np.array([[0.75, 0.5], [0.25, 0.0]])))
        0.5
    """
    q = np.sort(np.asarray(probability, np.float32), axis=None)[::-1]
    count = int(np.count_nonzero(q >= np.float32(_FAINT)))
    if not count:
        return np.float32(_FAINT)
    sums = np.cumsum(q, dtype=np.float64)
    best = int(np.argmax(sums[:count] / (np.arange(1, count + 1) + sums[-1])))
    return np.float32(q[best])


def promise(probability: Floats, masks: NDArray[np.bool_]) -> Floats:
    """Return s of `Gate`, (N,), of maps and their masks, (N, H, W)."""
    q = np.asarray(probability, np.float32)
    whole, inside = q.sum((1, 2), dtype=np.float64), np.where(masks, q, 0).sum((1, 2), dtype=np.float64)
    return np.asarray(2 * inside / np.maximum(whole + np.count_nonzero(masks, axis=(1, 2)), 1e-12))


def evidence(probability: Sequence[Floats] | Floats, peak: int) -> Floats:
    """Return m and v of `Gate`, (N, 2), of maps of any sizes.

    Both count pixels and not shares, so that a map of a larger scene at the same scale says the same.
    """
    found = []
    for each in probability:
        q = np.asarray(each, np.float64).ravel()
        highest = float(np.partition(q, -min(peak, q.size))[-min(peak, q.size) :].mean())
        found.append((logit_of(np.clip(highest, _SURE, 1 - _SURE)), np.log1p(q.sum())))
    return np.array(found, np.float64).reshape(-1, 2)


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))


def _of(groups: Sequence[Hashable] | None, rows: NDArray[np.bool_]) -> list[Hashable]:
    at = np.flatnonzero(rows).tolist()
    return [i if groups is None or groups[i] is None else (groups[i],) for i in at]


def calibrate(signs: Floats, present: NDArray[np.bool_]) -> tuple[list[float], float]:
    r"""Fit a logistic regression of presence on signs of it, no weight negative.

    Targets are :math:`(n_+ + 1) / (n_+ + 2)` and :math:`1 / (n_- + 2)`, which keeps separable data finite. Weights of
    the standardised signs are drawn to 0 by half their square, as one normal prior does: signs that say the same share
    the weight.

    Args:
        signs: (N, K).
        present: (N,).

    Returns:
        K slopes and the offset.
    """
    positives = int(present.sum())
    target = np.where(present, (positives + 1) / (positives + 2), 1 / (len(present) - positives + 2))
    middle, scale = signs.mean(0), signs.std(0)
    scale = np.where(scale > 0, scale, 1.0)
    z = np.column_stack([(signs - middle) / scale, np.ones(len(signs))])

    def loss(at: Floats) -> tuple[float, Floats]:
        x, drawn = z @ at, np.append(at[:-1], 0.0)
        rest = expit(x) - target
        return float((np.logaddexp(0, x) - target * x).sum() + drawn @ drawn / 2), z.T @ rest + drawn

    share = float(target.mean())
    start = np.append(np.full(signs.shape[1], 0.5), np.log(share / (1 - share)))
    # Below 0 it would answer the images that the net thinks empty, which a few odd images can suggest.
    bounds = [(0, None)] * signs.shape[1] + [(None, None)]
    fit = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-14})
    slopes = fit.x[:-1] / scale
    return slopes.tolist(), float(fit.x[-1] - slopes @ middle)


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


def _line(x: Floats, y: Floats) -> tuple[float, float]:
    spread = x - x.mean()
    b = float(spread @ y / max(float(spread @ spread), 1e-12))
    return float(y.mean() - b * x.mean()), b
