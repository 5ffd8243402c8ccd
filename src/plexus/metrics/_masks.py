"""Masks against masks: their overlap, and the distance between their outlines."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

Masks = NDArray[np.bool_]


def dice(prediction: ArrayLike, truth: ArrayLike, *, empty: float = 1.0) -> NDArray[np.float64]:
    r"""Compute Dice's coefficient of each pair of masks.

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
    a, b = _two_masks(prediction, truth)
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

    An empty prediction of everything scores the fraction of empty truths by the first rule, and 0 by the other two.

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
    a, b = _two_masks(prediction, truth)
    scores, present = dice(a, b), b.any((1, 2))
    return DiceSummary(_mean(scores), _mean(scores[present]), _mean(scores[present | a.any((1, 2))]))


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else float("nan")


def hausdorff95(prediction: ArrayLike, truth: ArrayLike) -> NDArray[np.float64]:
    r"""Compute the 95th percentile of the distance between outlines, in pixels.

    .. math:: H_{95}(A, B) = \max\{P_{95}\,_{a \in \partial A}\, d(a, \partial B),\;
        P_{95}\,_{b \in \partial B}\, d(b, \partial A)\}

    The outline of a mask is those of its pixels that touch the outside, or the image's edge, with one of their four
    sides; distances run between the centres of pixels.

    Args:
        prediction: bool masks.
        truth: bool masks.

    Shape:
        (N, H, W), (N, H, W) -> (N,); NaN where a mask is empty.

    Raises:
        ValueError: not bool, or of different shapes.

    Source:
        Huttenlocher 1993, Comparing images using the Hausdorff distance; Maier-Hein 2024, Metrics reloaded.

    Example:
        >>> a, b = np.zeros((2, 1, 9, 9), bool)
        >>> a[0, 2:5, 2:5] = b[0, 2:5, 4:7] = True
        >>> hausdorff95(a, b).tolist()
        [2.0]
    """
    a, b = _two_masks(prediction, truth)
    return np.array([_distance(x, y) for x, y in zip(a, b, strict=True)], np.float64)


def _distance(a: Masks, b: Masks) -> float:
    if not a.any() or not b.any():
        return float("nan")
    p, q = _outline(a), _outline(b)
    return max(_percentile(p, q), _percentile(q, p))


def _percentile(points: NDArray[np.int64], others: NDArray[np.int64]) -> float:
    return float(np.percentile(cKDTree(others).query(points)[0], 95))


def _outline(mask: Masks) -> NDArray[np.int64]:
    wide = np.pad(mask, 1)  # beyond the image's edge lies the outside
    inside = wide[:-2, 1:-1] & wide[2:, 1:-1] & wide[1:-1, :-2] & wide[1:-1, 2:]
    return np.argwhere(mask & ~inside)


def _two_masks(prediction: ArrayLike, truth: ArrayLike) -> tuple[Masks, Masks]:
    """Return both as arrays (N, H, W); refuse what is not bool or not of one shape."""
    a, b = np.asarray(prediction), np.asarray(truth)
    for name, masks in (("prediction", a), ("truth", b)):
        if masks.dtype != np.bool_:
            raise ValueError(f"{name} must be bool, got {masks.dtype}: compare with a threshold first")
        if masks.ndim != 3:
            raise ValueError(f"{name} must be (N, H, W), got shape {masks.shape}")
    if a.shape != b.shape:
        raise ValueError(f"prediction {a.shape} and truth {b.shape} must have one shape")
    return a, b
