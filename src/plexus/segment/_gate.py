"""When to leave an image empty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from plexus.errors import ConfigError, RunError
from plexus.segment._choice import Profiles, expected_dice, least_area, platt, profiles

Maps = Sequence[NDArray[Any]] | NDArray[Any]
KINDS = ("none", "threshold", "expected")


@dataclass(frozen=True)
class Gate:
    r"""A rule that makes masks from probabilities.

    A mask holds the pixels whose probability is `mask_threshold` or more. It is emptied

    - `none`: never;
    - `threshold`: where the probability of presence is below `threshold`;
    - `expected`: where :math:`1 - p > p\,E`, that is where the empty answer is expected to score more, Dice being 1
      for an empty answer to an empty truth; and where the mask is smaller than `min_area`.

    Here :math:`p = \sigma(a l + b)` of the presence logit l, and E is the Dice to be expected where the target is
    there: `expected_dice` + `expected_slope` (s - `soft_mean`), kept within .01 and 1, with the mask's soft Dice
    :math:`s = 2 \sum_{i \in M} q_i / (|M| + \sum_i q_i)` of the probabilities q.

    Args:
        kind: none | threshold | expected.
        threshold: of the presence probability.
        slope, offset: a and b.
        expected_dice, expected_slope, soft_mean: see above.
        mask_threshold: of the pixels' probability.
        min_area: pixels of the map.
    """

    kind: str
    threshold: float = 0.5
    slope: float = 1.0
    offset: float = 0.0
    expected_dice: float = 1.0
    expected_slope: float = 0.0
    soft_mean: float = 0.0
    mask_threshold: float = 0.5
    min_area: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(f"gate {self.kind!r}: give one of {', '.join(KINDS)}")

    def presence(self, logits: ArrayLike) -> NDArray[np.float64]:
        """Probability that the target is there, (N,)."""
        return np.asarray(expit(self.slope * np.asarray(logits, np.float64) + self.offset))

    def apply(self, probability: Maps, logit: ArrayLike) -> NDArray[np.bool_]:
        """Masks (N, H, W) from the pixels' probabilities (N, H, W) and presence logits (N,).

        Example:
            >>> Gate("threshold").apply(np.full((2, 1, 2), 0.9), [3.0, -3.0]).tolist()
            [[[True, True]], [[False, False]]]
        """
        p = self.presence(logit)
        return np.array([self._mask(np.asarray(q), float(each)) for q, each in zip(probability, p, strict=True)])

    def _mask(self, q: NDArray[Any], p: float) -> NDArray[np.bool_]:
        mask = q >= self.mask_threshold
        empty = self.kind == "threshold" and p < self.threshold
        if self.kind == "expected" and mask.any():
            q = q.astype(np.float64)
            soft = 2 * q[mask].sum() / (mask.sum() + q.sum())
            empty = 1 - p > p * self.expected(soft) or mask.sum() < self.min_area
        return np.zeros_like(mask) if empty else mask

    def expected(self, soft: Any) -> Any:
        """Dice to be expected of masks of this soft Dice, where the target is there."""
        return np.clip(self.expected_dice + self.expected_slope * (soft - self.soft_mean), 0.01, 1.0)

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Gate:
        """A gate from `to_dict`.

        Raises:
            RunError: parts that are missing, unknown or no numbers.
        """
        wanted = {f.name for f in fields(cls)}
        numbers = {k: v for k, v in raw.items() if k != "kind"}
        if set(raw) != wanted or not all(isinstance(v, int | float) for v in numbers.values()):
            raise RunError(f"not a gate: expected {', '.join(sorted(wanted))}")
        return cls(**raw)


def choose_gate(
    kind: str, probability: Maps, logit: ArrayLike, truth: Maps, *, groups: Sequence[Any] | None = None
) -> Gate:
    """The gate of a kind, its numbers chosen on validation images.

    `none` and a threshold choose nothing. `expected` calibrates presence after Platt; takes the mask threshold of the
    highest mean score, the gate applied; estimates E[Dice | present], as a function of the soft Dice where that
    predicts better for groups left out; and a least area where that raises the score further.

    Args:
        kind: none | threshold (.5) | a number between 0 and 1 | expected.
        probability: of the pixels, N maps (H, W), of any sizes.
        logit: of presence, (N,).
        truth: N masks, of the maps' sizes.
        groups: (N,), images of one group are left out together.

    Raises:
        ConfigError: an unknown kind, or no images.

    Source: Platt, Advances in Large Margin Classifiers (1999), for the calibration.

    Example:
        >>> choose_gate("0.7", [], [], []).threshold
        0.7
    """
    if kind in ("none", "threshold"):
        return Gate(kind)
    if kind != "expected":
        return Gate("threshold", threshold=_number(kind))
    logits = np.asarray(logit, np.float64)
    if not len(logits):
        raise ConfigError("the gate 'expected' is chosen on validation images, and there are none: give --gate 0.5")
    found = profiles(probability, truth)
    slope, offset = platt(logits, found.present)
    p = expit(slope * logits + offset)
    best = max(range(len(found.thresholds)), key=lambda t: (_score(found, t, p, groups, 0), -abs(t - found.middle)))
    mean, rise, middle = expected_dice(found, best, groups)
    area = least_area(found, best, lambda least: _score(found, best, p, groups, least))
    return Gate(
        "expected", slope=slope, offset=offset, expected_dice=mean, expected_slope=rise, soft_mean=middle,
        mask_threshold=float(found.thresholds[best]), min_area=area,
    )  # fmt: skip


def _score(found: Profiles, t: int, p: NDArray[np.float64], groups: Sequence[Any] | None, least: int) -> float:
    """Mean Dice with the gate, at one mask threshold."""
    mean, rise, middle = expected_dice(found, t, groups)
    expected = np.clip(mean + rise * (found.soft[:, t] - middle), 0.01, 1.0)
    empty = (1 - p > p * expected) | (found.area[:, t] < max(least, 1))
    return float(np.where(empty, ~found.present, found.dice[:, t]).mean())


def _number(kind: str) -> float:
    try:
        value = float(kind)
    except ValueError:
        value = -1.0
    if not 0 < value < 1:
        raise ConfigError(f"gate {kind!r}: give none, expected, or a probability between 0 and 1 such as 0.5")
    return value
