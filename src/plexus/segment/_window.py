"""Images larger than a net's own: window by window, at the scale the net was trained at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from plexus.data import to_shape
from plexus.segment._forward import Floats, answers
from plexus.segment._nets import Segmenter


def places(length: int, window: int) -> list[int]:
    """Where windows start so that neighbours share half of one or more, the first and the last flush with the edges.

    Example:
        >>> places(100, 40), places(40, 40)
        ([0, 20, 40, 60], [0])
    """
    count = 1 + -(-max(0, length - window) // max(1, window // 2))
    return np.linspace(0, length - window, count).round().astype(int).tolist()


def blend_weights(size: tuple[int, int]) -> Floats:
    """Weights of a window's pixels: a pyramid, highest in the middle and above 0 at the edge.

    Example:
        >>> blend_weights((1, 4)).tolist()
        [[0.5, 1.0, 1.0, 0.5]]
    """

    def tent(n: int) -> Floats:
        steps = np.minimum(np.arange(1, n + 1), np.arange(n, 0, -1)).astype(np.float32)
        return steps / steps.max()

    return tent(size[0])[:, None] * tent(size[1])


def windowed(
    nets: Sequence[Segmenter],
    image: NDArray[np.uint8],
    size: tuple[int, int],
    trained: tuple[float, float],
    *,
    channels: int,
    flips: bool = False,
) -> tuple[Floats, float]:
    r"""Probabilities of an image of any size, at the scale of training.

    The image is resized by net size / trained size, but to no less than the net's size; windows of the net's size
    cover it, each sharing half with its neighbour. Of a pixel in windows k with weights w_k,

    .. math:: p = \sum_k w_k p_k / \sum_k w_k

    and the target is present if it is in any window: the presence logit is the greatest.

    Args:
        nets: see `answers`.
        image: (H, W) or (H, W, 3).
        size: rows and columns that the nets read.
        trained: rows and columns that such an image had in its file in training.
        channels: of the nets' images.
        flips: see `answers`.

    Returns:
        Probabilities (H', W') at that scale, and the presence logit.
    """
    rows, columns = (
        max(side, round(own * side / usual)) for own, side, usual in zip(image.shape[:2], size, trained, strict=True)
    )
    whole = torch.from_numpy(to_shape(image, (channels, rows, columns)))
    starts = [(y, x) for y in places(rows, size[0]) for x in places(columns, size[1])]
    tiles = torch.stack([whole[:, y : y + size[0], x : x + size[1]] for y, x in starts])
    probabilities, logits = answers(nets, tiles, flips=flips)
    weight = blend_weights(size)
    total, weights = np.zeros((rows, columns), np.float32), np.zeros((rows, columns), np.float32)
    for (y, x), probability in zip(starts, probabilities, strict=True):
        at = np.s_[y : y + size[0], x : x + size[1]]
        total[at] += weight * probability
        weights[at] += weight
    total /= weights
    return total, float(logits.max())
