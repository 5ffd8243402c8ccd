"""Distance between the outlines of masks."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from plexus.metrics._masks import two_masks


def hausdorff95(prediction: ArrayLike, truth: ArrayLike) -> NDArray[np.float64]:
    r"""The 95th percentile of the distance between outlines, in pixels.

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
    a, b = two_masks(prediction, truth)
    return np.array([_one(x, y) for x, y in zip(a, b, strict=True)], np.float64)


def _one(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    if not a.any() or not b.any():
        return float("nan")
    p, q = _outline(a), _outline(b)
    return max(_percentile(p, q), _percentile(q, p))


def _percentile(points: NDArray[np.int64], others: NDArray[np.int64]) -> float:
    return float(np.percentile(cKDTree(others).query(points)[0], 95))


def _outline(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    wide = np.pad(mask, 1)
    inside = wide[:-2, 1:-1] & wide[2:, 1:-1] & wide[1:-1, :-2] & wide[1:-1, 2:]
    return np.argwhere(mask & ~inside)
