"""Overlap of masks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from plexus.metrics._masks import two_masks


def dice(prediction: ArrayLike, truth: ArrayLike, *, empty: float = 1.0) -> NDArray[np.float64]:
    r"""Dice's coefficient of each pair of masks.

    .. math:: D(A, B) = \frac{2\,|A \cap B|}{|A| + |B|}

    Args:
        prediction: bool masks.
        truth: bool masks.
        empty: the score where both masks are empty: 1 as Kaggle counts, or NaN to leave them out later. Where one
            is, the score is 0.

    Shape:
        (N, H, W), (N, H, W) -> (N,).

    Raises:
        ValueError: not bool, or of different shapes.

    Source:
        Dice 1945, Measures of the amount of ecologic association between species.

    Example:
        >>> dice([[[True, True]], [[False, False]]], [[[True, False]], [[False, False]]]).round(3).tolist()
        [0.667, 1.0]
    """
    a, b = two_masks(prediction, truth)
    both = np.count_nonzero(a & b, axis=(1, 2))
    total = np.count_nonzero(a, axis=(1, 2)) + np.count_nonzero(b, axis=(1, 2))
    return np.where(total > 0, 2 * both / np.maximum(total, 1), empty)


@dataclass(frozen=True)
class DiceSummary:
    """Mean Dice by three rules; NaN where no image counts.

    Args:
        mean: over all images, two empty masks scoring 1.
        present: over the images whose truth is not empty.
        nan_skipped: over the images where either mask is not empty.

    Example:
        >>> DiceSummary(mean=0.8, present=0.7, nan_skipped=0.6).present
        0.7
    """

    mean: float
    present: float
    nan_skipped: float


def dice_summary(prediction: ArrayLike, truth: ArrayLike) -> DiceSummary:
    """Return the mean Dice by three rules.

    An empty prediction of everything scores the share of empty truths by the first rule, and 0 by the other two.

    Args:
        prediction: bool masks.
        truth: bool masks.

    Shape:
        (N, H, W), (N, H, W).

    Raises:
        ValueError: not bool, or of different shapes.

    Example:
        >>> dice_summary([[[False]], [[False]], [[True]]], [[[False]], [[True]], [[True]]])
        DiceSummary(mean=0.6666666666666666, present=0.5, nan_skipped=0.5)
    """
    a, b = two_masks(prediction, truth)
    scores, present = dice(a, b), b.any((1, 2))
    return DiceSummary(_mean(scores), _mean(scores[present]), _mean(scores[present | a.any((1, 2))]))


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else float("nan")
