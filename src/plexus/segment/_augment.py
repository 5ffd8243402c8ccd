"""Random small motions of images with their masks, as one resampling."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from plexus.errors import ConfigError, DataError

_KNOTS = 5  # control points of the elastic field along each side


def augment_pair(
    images: Tensor,
    masks: Tensor,
    generator: torch.Generator,
    *,
    rotation: float = 5.0,
    shift: float = 10 / 160,
    gain: float = 0.1,
    elastic: float = 0.0,
    flip: bool = False,
) -> tuple[Tensor, Tensor]:
    r"""Moves every image and its mask together by a random amount of their own, and scales the image's brightness.

    .. math:: y(q) = (1 + u)\,x(c + R_a(q - c - d) + e(q))

    at pixels q about the centre c, with angle a, shift d, gain u and elastic displacement e. Image and mask go through
    one bilinear resampling that repeats the edge; the mask is 1 where at least half a pixel of it arrives, and at its
    fullest pixel where none gets half, so that no small target is lost. Shifts are by whole pixels, so that with no
    rotation and no e they keep every value, to rounding.

    Args:
        images: (N, C, H, W), floating point.
        masks: (N, 1, H, W) or (N, H, W), of two values: boolean, or 0 and 1.
        generator: where the randomness comes from; its device may differ from the images'.
        rotation: the largest angle in degrees, uniform to both sides.
        shift: the largest shift as a share of each side, uniform over whole pixels.
        gain: the largest u, uniform to both sides.
        elastic: standard deviation of e at 5x5 control points, as a share of the shorter side; bicubic between them.
        flip: mirror left to right with probability 1/2.

    Returns:
        New images and masks, of the shapes and dtypes given.

    Raises:
        ConfigError: a strength out of range.
        DataError: images or masks of another shape or type.

    Source: the augmentation of the notes' ultrasound networks; elastic fields after Simard et al. 2003.

    Example:
        >>> images, masks = torch.rand(2, 1, 16, 16), torch.zeros(2, 1, 16, 16, dtype=torch.bool)
        >>> moved, targets = augment_pair(images, masks, torch.Generator().manual_seed(0))
        >>> moved.shape, targets.dtype
        (torch.Size([2, 1, 16, 16]), torch.bool)
    """
    _check(images, masks, rotation=rotation, shift=shift, gain=gain, elastic=elastic)
    n, channels, height, width = images.shape
    place, sides = images.device, torch.tensor([height, width], dtype=torch.float64)
    # One draw of every kind, used or not: the strength of one leaves the others as they were.
    dice = torch.rand(n, 5, generator=generator, device=generator.device, dtype=torch.float64).cpu()
    reach = (sides * shift).round()
    by = ((2 * reach + 1) * dice[:, 1:3]).floor().minimum(2 * reach) - reach
    angle = (2 * dice[:, 0] - 1) * math.radians(rotation)
    mirrored = (dice[:, 4] < 0.5) & flip
    moved, targets = images, masks
    if rotation or bool(by.any()) or bool(mirrored.any()) or elastic:
        field = _field(n, height, width, elastic, generator).to(place) if elastic else None
        grid = _grid(angle.to(place), by.to(place), mirrored.to(place), height, width, field)
        layers = masks if masks.dim() == 4 else masks[:, None]
        wide = torch.promote_types(images.dtype, torch.float32)
        both = torch.cat([images.to(wide), layers.to(wide)], 1)
        both = F.grid_sample(both, grid.to(wide), padding_mode="border", align_corners=True)
        moved = both[:, :channels].to(images.dtype)
        targets = _inside(both[:, channels:]).to(masks.dtype).reshape(masks.shape)
    factor = 1 + gain * (2 * dice[:, 3] - 1)
    return moved * factor.to(place, images.dtype).view(n, 1, 1, 1), targets.clone() if targets is masks else targets


def _inside(arrived: Tensor) -> Tensor:
    """Where at least half a pixel arrived; a target spread thinner than that keeps its fullest pixel."""
    found = arrived >= 0.5
    lost = ~found.any(dim=(2, 3), keepdim=True) & (arrived.sum((2, 3), keepdim=True) >= 0.5)
    return found | (lost & (arrived == arrived.amax((2, 3), keepdim=True)))


def _grid(angle: Tensor, by: Tensor, mirrored: Tensor, height: int, width: int, field: Tensor | None) -> Tensor:
    """Where each pixel of the result reads, (N, H, W, 2) as x and y in -1..1 from the first pixel to the last."""
    rows = torch.arange(height, device=by.device, dtype=by.dtype) - (height - 1) / 2
    columns = torch.arange(width, device=by.device, dtype=by.dtype) - (width - 1) / 2
    y = rows[None, :, None] - by[:, 0, None, None]
    x = columns[None, None, :] - by[:, 1, None, None]
    cos, sin = angle.cos()[:, None, None], angle.sin()[:, None, None]
    x, y = cos * x + sin * y, cos * y - sin * x
    x = torch.where(mirrored[:, None, None], -x, x)
    if field is not None:
        x, y = x + field[:, 0], y + field[:, 1]
    return torch.stack([x * 2 / max(width - 1, 1), y * 2 / max(height - 1, 1)], -1)


def _field(n: int, height: int, width: int, elastic: float, generator: torch.Generator) -> Tensor:
    """Smooth random displacements in pixels, (N, 2, H, W)."""
    knots = torch.randn(n, 2, _KNOTS, _KNOTS, generator=generator, device=generator.device, dtype=torch.float64)
    smooth = F.interpolate(knots, size=(height, width), mode="bicubic", align_corners=True)
    return smooth * (elastic * min(height, width))


def _check(images: Tensor, masks: Tensor, *, rotation: float, shift: float, gain: float, elastic: float) -> None:
    if images.dim() != 4 or not images.is_floating_point():
        raise DataError(
            f"augment_pair: images must be floating point (N, C, H, W), got {images.dtype} {tuple(images.shape)}"
        )
    n, _, height, width = images.shape
    if tuple(masks.shape) not in ((n, 1, height, width), (n, height, width)):
        raise DataError(f"augment_pair: masks {tuple(masks.shape)} do not fit images {tuple(images.shape)}")
    for name, value, most in (
        ("rotation", rotation, 180), ("shift", shift, 1), ("gain", gain, 1), ("elastic", elastic, 1)
    ):  # fmt: skip
        if not 0 <= value <= most:
            raise ConfigError(f"augment_pair: {name}={value} is out of range; expected 0 to {most}")
