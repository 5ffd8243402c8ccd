"""The maths of the layers as pure functions: resize, pad, merge, weigh; rotate, normalise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch.nn.functional as F
from torch import Tensor

from plexus.errors import ConfigError
from plexus.nn._mix import MixBank, mix
from plexus.nn._planes import depthwise_norm, max_halved, mean_halved, narrowable, run_planes
from plexus.nn._rotation import ring_rotate, rot_backend, rot_conv2d
from plexus.nn._sums import may_fuse, pad_channels, per_map, weighted_cat, weighted_sum
from plexus.nn._unit import norm_penalty, unit_weight

__all__ = [
    "MixBank",
    "depthwise_norm",
    "divides",
    "interpolation",
    "max_halved",
    "may_fuse",
    "mean_halved",
    "mix",
    "narrowable",
    "norm_penalty",
    "pad_channels",
    "pad_to",
    "padding",
    "per_map",
    "pointwise",
    "resize",
    "ring_rotate",
    "rot_backend",
    "rot_conv2d",
    "run_planes",
    "unit_weight",
    "weighted_cat",
    "weighted_sum",
]

_CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_AVG_POOL = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}


def resize(x: Tensor, size: Sequence[int], mode: Literal["area", "nearest", "bilinear", "bicubic"] = "area") -> Tensor:
    """Resample feature maps to a spatial size.

    `area` averages the source cells under each target cell, `nearest` takes one of them (the first, as
    `torch.nn.functional.interpolate` does), `bilinear` and `bicubic` interpolate at cell centres without antialiasing.

    Args:
        x: feature maps, (N, C, *spatial) with one to three spatial axes.
        size: the spatial size wanted.
        mode: area | nearest | bilinear (linear in 1-D, trilinear in 3-D) | bicubic (2-D only).

    Returns:
        (N, C, *size).

    Raises:
        ConfigError: an unknown mode, or one that does not exist for this number of axes.

    Example:
        >>> import torch
        >>> resize(torch.arange(4.0).view(1, 1, 4), [2])
        tensor([[[0.5000, 2.5000]]])
    """
    here, size = tuple(x.shape[2:]), tuple(size)
    if here == size:
        return x
    if mode == "area":
        if divides(size, here):  # the same means from windows of one size
            factors = [a // b for a, b in zip(here, size, strict=True)]
            return _AVG_POOL[len(size)](x, factors)
        return F.interpolate(x, size=size, mode="area")
    if mode == "nearest":
        return F.interpolate(x, size=size, mode="nearest")
    return F.interpolate(x, size=size, mode=interpolation(mode, len(size)), align_corners=False)


def interpolation(mode: str, axes: int) -> str:
    """Name a mode as `torch.nn.functional.interpolate` does: `bilinear` is `linear` in 1-D, `trilinear` in 3-D.

    Args:
        mode: nearest | bilinear | bicubic (2-D only).
        axes: 1 to 3.

    Raises:
        ConfigError: an unknown mode, or one that does not exist for this number of axes.

    Example:
        >>> interpolation("bilinear", 3)
        'trilinear'
    """
    names = {"nearest": "nearest", "bilinear": ("linear", "bilinear", "trilinear")[axes - 1]}
    if axes == 2:
        names["bicubic"] = "bicubic"
    if mode not in names:
        raise ConfigError(f"resize={mode!r} does not exist for {axes}-D maps; use area, nearest or bilinear")
    return names[mode]


def pad_to(x: Tensor, size: Sequence[int]) -> Tensor:
    """Zero-pad feature maps to a spatial size, centred; an odd remainder goes behind.

    Args:
        x: feature maps, (N, C, *spatial).
        size: the spatial size wanted, nowhere smaller than what `x` has.

    Returns:
        (N, C, *size).

    Example:
        >>> import torch
        >>> pad_to(torch.ones(1, 1, 2), [5])
        tensor([[[0., 1., 1., 0., 0.]]])
    """
    return x if tuple(x.shape[2:]) == tuple(size) else F.pad(x, padding(x.shape[2:], size))


def padding(here: Sequence[int], size: Sequence[int]) -> list[int]:
    """Return the widths that `torch.nn.functional.pad` needs to centre feature maps of one size in another.

    Args:
        here: the spatial size there is.
        size: the spatial size wanted.

    Returns:
        Two widths for each axis, the last axis first.

    Example:
        >>> padding((2, 2), (2, 5))
        [1, 2, 0, 0]
    """
    widths: list[int] = []
    for have, want in zip(reversed(here), reversed(size), strict=True):
        widths += [(want - have) // 2, want - have - (want - have) // 2]
    return widths


def divides(small: Sequence[int], big: Sequence[int]) -> bool:
    """Tell whether every axis of the big size is a multiple of the small one's.

    Args:
        small: a spatial size.
        big: another, of as many axes.

    Example:
        >>> divides((4, 4), (8, 12)), divides((4, 4), (8, 6))
        (True, False)
    """
    return all(b % a == 0 for a, b in zip(small, big, strict=True))


def pointwise(x: Tensor, kernel: Tensor) -> Tensor:
    """Convolve feature maps of one to three spatial axes with a 1x1 kernel, without bias.

    Args:
        x: feature maps, (N, C, *spatial).
        kernel: (M, C).

    Returns:
        (N, M, *spatial).

    Example:
        >>> import torch
        >>> pointwise(torch.ones(1, 3, 8), torch.ones(2, 3)).shape
        torch.Size([1, 2, 8])
    """
    axes = x.dim() - 2
    return _CONV[axes](x, kernel.view(*kernel.shape, *[1] * axes))
