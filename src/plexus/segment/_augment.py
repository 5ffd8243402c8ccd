"""Random small motions of images with their masks, as one resampling."""

from __future__ import annotations

import torch
from torch import Tensor

from plexus.data._warp import Motion, check_strengths
from plexus.errors import DataError


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
    _check(images, masks)
    check_strengths("augment_pair", rotation=rotation, shift=shift, gain=gain, elastic=elastic)
    motion = Motion.draw(images, generator, rotation=rotation, shift=shift, gain=gain, elastic=elastic, flip=flip)
    if not motion.moves:
        return motion.brighten(images), masks.clone()
    channels = images.shape[1]
    wide = torch.promote_types(images.dtype, torch.float32)
    both = motion.resample(torch.cat([images.to(wide), (masks if masks.dim() == 4 else masks[:, None]).to(wide)], 1))
    targets = _inside(both[:, channels:]).to(masks.dtype).reshape(masks.shape)
    return motion.brighten(both[:, :channels].to(images.dtype)), targets


def _inside(arrived: Tensor) -> Tensor:
    """Where at least half a pixel arrived; a target spread thinner than that keeps its fullest pixel."""
    found = arrived >= 0.5
    lost = ~found.any(dim=(2, 3), keepdim=True) & (arrived.sum((2, 3), keepdim=True) >= 0.5)
    return found | (lost & (arrived == arrived.amax((2, 3), keepdim=True)))


def _check(images: Tensor, masks: Tensor) -> None:
    if images.dim() != 4 or not images.is_floating_point():
        raise DataError(
            f"augment_pair: images must be floating point (N, C, H, W), got {images.dtype} {tuple(images.shape)}"
        )
    n, _, height, width = images.shape
    if tuple(masks.shape) not in ((n, 1, height, width), (n, height, width)):
        raise DataError(f"augment_pair: masks {tuple(masks.shape)} do not fit images {tuple(images.shape)}")
