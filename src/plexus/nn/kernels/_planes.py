"""Depthwise 3x3 convolutions with batch norm and ReLU, and pooling by 2, plane by plane; see `_plane_loops`."""

from __future__ import annotations

from math import prod

import numpy as np
import torch
from torch import Tensor

from plexus.nn.kernels._mix import mixable
from plexus.nn.kernels._threads import in_parts


def planar(x: Tensor) -> bool:
    """Tell whether the loops can work on maps, (N, C, H, W): of 2x2 pixels or more, and so many that a vector fits."""
    return x.dim() == 4 and min(x.shape[2:]) > 1 and mixable(x)


def convolve(x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Convolve each map by a 3x3 kernel of its own, with zeros around.

    Args:
        x: (N, C, H, W), `planar`.
        weight: (C, 1, 3, 3), contiguous.

    Returns:
        z, (N, C, H, W); its mean and its (biased) variance by channel, (C,) in float64.
    """
    from plexus.nn.kernels._plane_loops import convolve as kernel

    z = torch.empty_like(x)
    means, squares = np.empty((2, *x.shape[:2]), np.float32)
    call = (_planes(x), _rows(weight), x.shape[3], _planes(z), means.reshape(-1), squares.reshape(-1))
    in_parts(lambda part, first, last: kernel(first, last, *call), prod(x.shape[:2]))
    # means of planes first, deviations from them second: no digits are lost where the mean is large
    mean, pixels = _sum(means) / len(x), prod(x.shape[2:])
    square = _sum(squares) + pixels * (torch.from_numpy(means) - mean).square().sum(0)
    return z, mean, square / (len(x) * pixels)


def scale(z: Tensor, factor: Tensor, offset: Tensor, relu: bool) -> Tensor:
    """Return factor * z + offset by channel, and 0 where that is less if `relu`."""
    from plexus.nn.kernels._plane_loops import scale as kernel

    y = torch.empty_like(z)
    call = (_planes(z), factor.numpy(), offset.numpy(), relu, _planes(y))
    in_parts(lambda part, first, last: kernel(first, last, *call), prod(z.shape[:2]))
    return y


def convolve_back(
    grad: Tensor,
    x: Tensor,
    z: Tensor,
    weight: Tensor,
    factor: Tensor,
    offset: Tensor,
    mean: Tensor,
    std: Tensor,
    relu: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the gradients of x and weight, and those of batch norm's weight and bias, (C,).

    Args:
        grad: that of y = relu(factor * z + offset), `planar`.
        x, weight: as in `convolve`.
        z, mean: what that returned.
        factor, offset: as in `scale`: the batch norm's weight over std, and its bias less mean times that.
        std: of z by channel, (C,).
        relu: whether there is one.
    """
    from plexus.nn.kernels import _plane_loops as loops

    planes, count = prod(x.shape[:2]), x.numel() // x.shape[1]
    straight, inner = np.empty((2, *x.shape[:2]), np.float32)
    at = factor.float().numpy(), offset.float().numpy(), mean.float().numpy()
    call = (_planes(grad), _planes(z), *at, relu, straight.reshape(-1), inner.reshape(-1))
    in_parts(lambda part, first, last: loops.sums(first, last, *call), planes)
    total, product = _sum(straight), _sum(inner)
    constant, slope = factor * total / count, factor * product / (count * std.square())
    dx, dweight = torch.empty_like(x), np.empty((*x.shape[:2], 9), np.float32)
    arrays = (_planes(grad), _planes(x), _planes(z), _rows(weight), x.shape[3], *at)
    rest = (constant.float().numpy(), slope.float().numpy(), relu, _planes(dx), dweight.reshape(planes, 9))
    in_parts(lambda part, first, last: loops.convolve_back(first, last, *arrays, *rest), planes)
    return dx, _sum(dweight).to(weight.dtype).view_as(weight), product / std, total


def largest(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the largest of every 2x2 pixels, and which it was: 0 to 3, the first of equals."""
    from plexus.nn.kernels._plane_loops import largest as kernel

    y = x.new_empty(_half(x))
    winner = torch.empty(y.shape, dtype=torch.uint8)
    call = (_images(x), _images(y), _images(winner))
    in_parts(lambda part, first, last: kernel(first, last, *call), prod(x.shape[:2]))
    return y, winner


def largest_back(grad: Tensor, winner: Tensor, shape: torch.Size) -> Tensor:
    """Return the gradient of x of such a shape."""
    from plexus.nn.kernels._plane_loops import largest_back as kernel

    dx = grad.new_empty(shape)
    call = (_images(grad), _images(winner), _images(dx))
    in_parts(lambda part, first, last: kernel(first, last, *call), prod(shape[:2]))
    return dx


def average(x: Tensor) -> Tensor:
    """Return the mean of every 2x2 pixels."""
    from plexus.nn.kernels._plane_loops import average as kernel

    y = x.new_empty(_half(x))
    call = (_images(x), _images(y))
    in_parts(lambda part, first, last: kernel(first, last, *call), prod(x.shape[:2]))
    return y


def average_back(grad: Tensor, shape: torch.Size) -> Tensor:
    """Return the gradient of x of such a shape."""
    from plexus.nn.kernels._plane_loops import average_back as kernel

    dx = grad.new_empty(shape)
    call = (_images(grad), _images(dx))
    in_parts(lambda part, first, last: kernel(first, last, *call), prod(shape[:2]))
    return dx


def _sum(images: np.ndarray) -> Tensor:
    """Add up in float64 over images, so that no bit depends on the number of threads."""
    return torch.from_numpy(images).sum(0, dtype=torch.float64)


def _half(x: Tensor) -> tuple[int, int, int, int]:
    return x.shape[0], x.shape[1], x.shape[2] // 2, x.shape[3] // 2


def _planes(x: Tensor) -> np.ndarray:
    """View maps as (planes, pixels)."""
    return x.detach().view(prod(x.shape[:2]), prod(x.shape[2:])).numpy()


def _images(x: Tensor) -> np.ndarray:
    """View maps as (planes, H, W)."""
    return x.detach().view(prod(x.shape[:2]), *x.shape[2:]).numpy()


def _rows(weight: Tensor) -> np.ndarray:
    return weight.detach().view(-1, 9).numpy()
