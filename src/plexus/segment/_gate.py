"""Which masks to leave empty, because nothing may be there to be found.

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
from scipy.special import expit

from plexus.errors import ConfigError
from plexus.segment._gate_fit import choose_cuts, dice_line, overlaps, platt

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Gate:
    r"""What makes masks of probabilities.

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
        """Say which masks the probability of presence leaves empty.

        Args:
            p: calibrated probabilities of presence, (N,).
            soft_dice: s of each image, (N,); zero if not given, which is right where ``dice_slope`` is 0.
        """
        p = np.asarray(p, np.float64)
        if self.kind == "expected":
            s = np.zeros_like(p) if soft_dice is None else np.asarray(soft_dice, np.float64)
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
    if kind == "none":
        return Gate("none")
    if kind != "expected":
        return Gate("threshold", threshold=_number(kind))
    logits = np.asarray(logit, np.float64)
    if not len(logits) or not len(logits) == len(probability) == len(truth):
        counts = f"{len(probability)} maps, {len(logits)} logits and {len(truth)} masks"
        raise ValueError(f"a gate is chosen by 1 image or more, each with its own: got {counts}")
    if not np.isfinite(logits).all():
        raise ValueError("presence logits must be finite")
    found = overlaps(probability, truth)
    present = found.truth > 0
    slope, offset = platt(logits, present)
    p = expit(slope * logits + offset)
    lines = [
        dice_line(found.soft[present, k], found.dice[present, k], _of(groups, present)) for k in range(len(found.cuts))
    ]
    k, least = choose_cuts(found, p, lines)
    return Gate("expected", 0.5, slope, offset, *lines[k], float(found.cuts[k]), least)


def cross_fitted(
    kind: str,
    probability: Sequence[Floats] | Floats,
    logit: ArrayLike,
    truth: Sequence[NDArray[np.bool_]] | NDArray[np.bool_],
    folds: ArrayLike,
    *,
    groups: Sequence[Hashable] | None = None,
) -> list[NDArray[np.bool_]]:
    """Return each image's mask by the gate that the images of the other folds chose.

    Args:
        kind, probability, logit, truth, groups: see `choose_gate`.
        folds: the fold of each image, (N,); two or more.

    Raises:
        ValueError: a single fold.
    """
    logits, fold = np.asarray(logit, np.float64), np.asarray(folds)
    if len(np.unique(fold)) < 2:
        raise ValueError("cross-fitting needs two folds or more")
    masks: list[NDArray[np.bool_]] = [np.zeros((0, 0), bool)] * len(logits)
    for one in np.unique(fold):
        others = np.flatnonzero(fold != one).tolist()
        gate = choose_gate(
            kind,
            [probability[i] for i in others],
            logits[others],
            [truth[i] for i in others],
            groups=[groups[i] for i in others] if groups is not None else None,
        )
        for i in np.flatnonzero(fold == one).tolist():
            masks[i] = gate.apply(probability[i][None], logits[i : i + 1])[0]
    return masks


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))


def _of(groups: Sequence[Hashable] | None, rows: NDArray[np.bool_]) -> list[Hashable]:
    at = np.flatnonzero(rows).tolist()
    return [i if groups is None or groups[i] is None else (groups[i],) for i in at]


def _number(kind: str) -> float:
    try:
        threshold = float(kind)
    except ValueError:
        threshold = 0.0
    if not 0 < threshold < 1:
        raise ConfigError(f"gate {kind!r} is unknown: give none, expected, or a probability between 0 and 1")
    return threshold
