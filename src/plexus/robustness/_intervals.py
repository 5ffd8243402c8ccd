"""95 % intervals over images."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, t


def share_interval(share: float, images: int) -> tuple[float, float]:
    r"""Wilson's interval of a share measured on some images.

    .. math:: \frac{p + z^2/2n \pm z\sqrt{p(1-p)/n + z^2/4n^2}}{1 + z^2/n}

    Of images seen at several angles, n is the number of images, not of answers: the answers of one image are not
    independent, and the mean of an image varies at most as one answer does, so that the interval errs on the wide side.

    Args:
        share: between 0 and 1.
        images: how many.

    Example:
        >>> [round(end, 3) for end in share_interval(0.9, 100)]
        [0.826, 0.945]
    """
    z = float(norm.ppf(0.975))
    middle = share + z * z / (2 * images)
    reach = z * math.sqrt(max(0.0, share * (1 - share)) / images + z * z / (4 * images * images))
    scale = 1 + z * z / images
    return max(0.0, (middle - reach) / scale), min(1.0, (middle + reach) / scale)


def mean_interval(values: NDArray[np.floating]) -> tuple[float, float] | None:
    r"""Student's interval of a mean over images; None for fewer than two.

    .. math:: \bar x \pm t_{n-1} s / \sqrt n

    Args:
        values: one per image, (N,).

    Example:
        >>> [round(end, 2) for end in mean_interval(np.array([1.0, 2.0, 3.0]))]
        [-0.48, 4.48]
    """
    if len(values) < 2:
        return None
    middle = float(np.mean(values, dtype=np.float64))
    reach = float(t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1, dtype=np.float64) / math.sqrt(len(values)))
    return middle - reach, middle + reach
