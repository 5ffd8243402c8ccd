"""Curve of a rotation probe: probability and correctness at every angle, and the figures that follow."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, t

from plexus.errors import ConfigError

Floats = NDArray[np.floating]
Ints = NDArray[np.int64]
FORMAT = 1
GROUPS = {"upright": "0", "exact": "90, 180, 270", "interpolated": "all others"}
"""Angles that are told apart: no turn, exact quarter turns, and what bilinear interpolation blurs."""


@dataclass(frozen=True, eq=False)
class RotationCurve:
    """Probability and correctness per angle and image, and what follows from them.

    Args:
        angles: in degrees, counter-clockwise, (A,).
        labels: the true classes, (N,).
        upright: the classes predicted at 0 degrees, (N,).
        probability: of the true class, (A, N).
        predicted: the classes predicted, (A, N).
        drift: distance of the logits from those at 0 degrees, relative to their length there, (A, N).
        mask: ``circle`` or None.

    Example:
        >>> ones = np.ones((2, 1))
        >>> curve = RotationCurve((0.0, 45.0), np.array([3]), np.array([3]), ones, np.array([[3], [5]]), ones, None)
        >>> curve.accuracy.tolist(), curve.percent_correct.tolist(), curve.first_failure.tolist()
        ([1.0, 0.0], [50.0], [45.0])
    """

    angles: tuple[float, ...]
    labels: Ints
    upright: Ints
    probability: Floats
    predicted: Ints
    drift: Floats
    mask: Literal["circle"] | None = "circle"

    @property
    def correct(self) -> NDArray[np.bool_]:
        """True where the prediction is the true class, (A, N)."""
        return self.predicted == self.labels

    @property
    def exact(self) -> NDArray[np.bool_]:
        """True for multiples of 90 degrees, turned without interpolation, (A,)."""
        return np.array([angle % 90 == 0 for angle in self.angles])

    @property
    def accuracy(self) -> Floats:
        """Fraction of images classified correctly, (A,)."""
        return self.correct.mean(1)

    @property
    def mean(self) -> Floats:
        """Mean probability of the true class over images, (A,)."""
        return self.probability.mean(1, dtype=np.float64)

    @property
    def std(self) -> Floats:
        """Standard deviation of that probability over images, (A,)."""
        return self.probability.std(1, dtype=np.float64)

    @property
    def min(self) -> Floats:
        """Lowest probability of the true class, (A,)."""
        return self.probability.min(1)

    @property
    def quartiles(self) -> Floats:
        """Lower quartile, median and upper quartile of that probability over images, (3, A)."""
        return np.quantile(self.probability.astype(np.float64), (0.25, 0.5, 0.75), axis=1)

    @property
    def agreement(self) -> Floats:
        """Fraction of images whose prediction is that at 0 degrees, right or wrong, (A,)."""
        return (self.predicted == self.upright).mean(1)

    @property
    def logit_drift(self) -> Floats:
        """Mean over images of the relative distance of the logits from those at 0 degrees, (A,)."""
        return self.drift.mean(1, dtype=np.float64)

    @property
    def percent_correct(self) -> Floats:
        """Percentage of the angles at which an image is classified correctly, (N,)."""
        return 100 * self.correct.mean(0)

    @property
    def first_failure(self) -> Floats:
        """Smallest turn to either side, up to 180 degrees, at which an image right at 0 fails; NaN for none, (N,)."""
        return np.where(np.isinf(least := self._turns().min(0)), np.nan, least)

    @property
    def failing_angle(self) -> Floats:
        """The angle of that turn as it stands in `angles`; NaN where there is none, (N,)."""
        turns = self._turns()
        return np.where(np.isinf(turns.min(0)), np.nan, np.array(self.angles)[turns.argmin(0)])

    def _turns(self) -> Floats:
        """|angle| where an image that is right at 0 is wrong, elsewhere infinity, (A, N)."""
        folded = np.abs((np.array(self.angles) + 180) % 360 - 180)
        fails = ~self.correct & (self.upright == self.labels)
        return np.where(fails, folded[:, None], np.inf)

    def group(self, name: str) -> dict[str, Any]:
        """Average over one group of angles, with their 95 % intervals over images; empty where it has no angle.

        Args:
            name: ``upright`` (0 degrees), ``exact`` (90, 180, 270) or ``interpolated`` (all others).
        """
        upright = np.array([angle % 360 == 0 for angle in self.angles])
        chosen = {"upright": upright, "exact": self.exact & ~upright, "interpolated": ~self.exact}[name]
        if not chosen.any():
            return {}
        right, same = self.correct[chosen].mean(0), (self.predicted == self.upright)[chosen].mean(0)
        figures: dict[str, Any] = {"angles": int(chosen.sum())}
        for key, fraction in (("accuracy", float(right.mean())), ("agreement", float(same.mean()))):
            figures |= {key: fraction, f"{key}_ci": _fraction_interval(fraction, len(self.labels))}
        for key, values in (("probability", self.probability), ("drift", self.drift)):
            each = values[chosen].mean(0, dtype=np.float64)
            figures |= {key: float(each.mean()), f"{key}_ci": _mean_interval(each)}
        return figures

    def summary(self) -> dict[str, Any]:
        """Collect the figures per angle, per image and per group, in JSON's types."""
        low, median, high = self.quartiles
        curves = {
            "accuracy": self.accuracy, "mean": self.mean, "std": self.std, "min": self.min, "lower": low,
            "median": median, "upper": high, "agreement": self.agreement, "drift": self.logit_drift,
        }  # fmt: skip
        return {
            "images": len(self.labels),
            "mask": self.mask,
            "angles": list(self.angles),
            "exact": self.exact.tolist(),
            **{name: _rounded(values) for name, values in curves.items()},
            "percent_correct": _rounded(self.percent_correct),
            "first_failure": [None if np.isnan(turn) else turn for turn in self.first_failure.tolist()],
            "groups": {name: self.group(name) for name in GROUPS},
        }

    def to_dict(self) -> dict[str, Any]:
        """Collect the raw numbers, probabilities and drifts to five decimals, and their summary, in JSON's types."""
        return {
            "format": FORMAT,
            "angles": list(self.angles),
            "mask": self.mask,
            "labels": self.labels.tolist(),
            "upright": self.upright.tolist(),
            "probability": _rounded(self.probability),
            "predicted": self.predicted.tolist(),
            "drift": _rounded(self.drift),
            "summary": self.summary(),
        }

    def to_json(self) -> str:
        """Write `to_dict` as text."""
        return json.dumps(self.to_dict(), allow_nan=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> RotationCurve:
        """Read the curve that `to_json` wrote, to five decimals.

        Raises:
            ConfigError: the text is no such curve.
        """
        try:
            raw = json.loads(text)
            if raw["format"] != FORMAT:
                raise ValueError(f"format {raw['format']}")
            curve = cls(
                angles=tuple(float(angle) for angle in raw["angles"]),
                labels=np.array(raw["labels"], np.int64),
                upright=np.array(raw["upright"], np.int64),
                probability=np.array(raw["probability"], np.float32),
                predicted=np.array(raw["predicted"], np.int64),
                drift=np.array(raw["drift"], np.float32),
                mask=raw["mask"],
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"not a rotation curve: {error}; expected what RotationCurve.to_json wrote") from None
        shape = (len(curve.angles), len(curve.labels))
        if curve.upright.shape != shape[1:] or any(
            part.shape != shape for part in (curve.probability, curve.predicted, curve.drift)
        ):
            raise ConfigError(f"not a rotation curve: its parts do not all have {shape[0]} angles x {shape[1]} images")
        return curve

    def __str__(self) -> str:
        """Write a line for each group of angles."""
        lines = [f"{'degrees':<14}{'accuracy':>9}{'95 %':>15}{'true class':>12}{'agreement':>11}{'drift':>8}"]
        for name, shown in GROUPS.items():
            if row := self.group(name):
                span = "{:.1%}..{:.1%}".format(*row["accuracy_ci"])
                lines.append(
                    f"{shown:<14}{row['accuracy']:>9.1%}{span:>15}{row['probability']:>12.3f}"
                    f"{row['agreement']:>11.1%}{row['drift']:>8.3f}"
                )
        return "\n".join(lines)


def _rounded(values: Floats) -> list[Any]:
    return np.round(values.astype(np.float64), 5).tolist()


def _fraction_interval(fraction: float, images: int) -> tuple[float, float]:
    r"""Give Wilson's interval of a fraction measured on some images.

    .. math:: \frac{p + z^2/2n \pm z\sqrt{p(1-p)/n + z^2/4n^2}}{1 + z^2/n}

    Of images seen at several angles, n is the number of images, not of answers: the answers of one image are not
    independent, and the mean of an image varies at most as one answer does, so that the interval errs on the wide side.
    So p need not be a whole number of n-ths, which is why scipy's `proportion_ci`, made for counts, does not serve.
    """
    z = float(norm.ppf(0.975))
    middle = fraction + z * z / (2 * images)
    reach = z * math.sqrt(max(0.0, fraction * (1 - fraction)) / images + z * z / (4 * images * images))
    scale = 1 + z * z / images
    return max(0.0, (middle - reach) / scale), min(1.0, (middle + reach) / scale)


def _mean_interval(values: Floats) -> tuple[float, float] | None:
    r"""Give Student's interval of a mean over images, \(\bar x \pm t_{n-1} s / \sqrt n\); None for fewer than two."""
    if len(values) < 2:
        return None
    middle = float(np.mean(values, dtype=np.float64))
    reach = float(t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1, dtype=np.float64) / math.sqrt(len(values)))
    return middle - reach, middle + reach
