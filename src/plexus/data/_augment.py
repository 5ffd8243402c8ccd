"""Random motions of a batch: of images, and of images with their masks.

`augment` shifts by whole pixels and mirrors, as one gather, and may enlarge a part or cut a square out; `warp` and
`augment_pair` turn, shift, stretch and brighten, as one resampling.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from plexus.errors import ConfigError, DataError

_KNOTS = 5  # control points of the elastic field along each side


@dataclass(frozen=True)
class Augmentation:
    """The strengths of `augment`, to hand on.

    Args:
        shift, flip, crop, cutout: see `augment`.

    Example:
        >>> bool(Augmentation()), bool(Augmentation(shift=0, flip=False))
        (True, False)
    """

    shift: float = 0.1
    flip: bool = True
    crop: float = 0.0
    cutout: float = 0.0

    def __bool__(self) -> bool:
        """Return whether anything is varied."""
        return bool(self.shift or self.flip or self.crop or self.cutout)

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return a batch (N, C, H, W), varied."""
        return augment(
            images, generator, shift=self.shift, flip=self.flip, crop=self.crop, cutout=self.cutout
        )  # fmt: skip


def augment(
    images: Tensor, generator: torch.Generator,
    *, shift: float = 0.1, flip: bool = True, crop: float = 0.0, cutout: float = 0.0,
) -> Tensor:  # fmt: skip
    r"""Shift every image by its own random number of pixels, and mirror half of them left to right.

    .. math:: y_{n,c,i,j} = x'_{n,c,\,\mathrm{clamp}(i - a_n),\,\mathrm{clamp}(j - b_n)}

    where :math:`x'_n` is :math:`x_n`, mirrored with probability 1/2. The shift a is uniform over the integers
    -k..k with k = round(shift * H), b likewise with the width; the edge's pixels fill what the shift leaves empty.
    Then, if asked for, a part of the image is enlarged to its size (bilinear), and a square takes its mean colour.

    Args:
        images: a batch, (N, C, H, W), of any dtype and on any device.
        generator: where the randomness comes from; its device may differ from the images'.
        shift: the largest shift as a fraction of each side, in 0..1.
        flip: mirror with probability 1/2.
        crop: the largest fraction of both sides that is cut off, uniform from 0, at a place of its own; 0..1.
        cutout: the side of the square, as a fraction of the shorter side; its centre is anywhere in the image.

    Returns:
        A new tensor of the same shape and dtype.

    Raises:
        ConfigError: images that are not (N, C, H, W), or a strength out of range.

    Source: the research notes' common setup (shifts of up to 10 %, horizontal flips); cutout: DeVries and Taylor 2017.

    Example:
        >>> batch = torch.arange(9.0).view(1, 1, 3, 3)
        >>> augment(batch, torch.Generator().manual_seed(0), shift=0, flip=False).equal(batch)
        True
    """
    if images.ndim != 4:
        raise ConfigError(f"images have shape {tuple(images.shape)}; expected (N, C, H, W)")
    for name, value in (("shift", shift), ("crop", crop), ("cutout", cutout)):
        if not 0 <= value <= 1 or (name == "crop" and value == 1):
            raise ConfigError(f"{name}={value} is not a share of the side; expected 0..1")
    n, channels, height, width = images.shape
    device = images.device
    rows = _positions(n, height, shift, generator).to(device)
    columns = _positions(n, width, shift, generator).to(device)
    if flip:
        mirrored = (torch.rand(n, generator=generator, device=generator.device) < 0.5).to(device)
        columns = torch.where(mirrored[:, None], width - 1 - columns, columns)
    # One index for all channels, read by stride 0: no copy of it per channel.
    index = (rows[:, :, None] * width + columns[:, None, :]).view(n, 1, height * width).expand(n, channels, -1)
    moved = images.reshape(n, channels, height * width).gather(2, index).view(images.shape)
    if crop:
        moved = _enlarged(moved, crop, generator)
    return _cut_out(moved, cutout, generator) if cutout else moved


def warp(
    images: Tensor,
    generator: torch.Generator,
    *,
    rotation: float = 15.0,
    shift: float = 0.1,
    gain: float = 0.1,
    elastic: float = 0.03,
    flip: bool = False,
) -> Tensor:
    r"""Move every image by a random amount of its own, and scale its brightness.

    .. math:: y(q) = (1 + u)\,x(c + R_a(q - c - d) + e(q))

    at pixels q about the centre c, with angle a, shift d, gain u and elastic displacement e; bilinear, repeating the
    edge. Shifts are by whole pixels, so that with no rotation and no e they keep every value, to rounding.

    Args:
        images: (N, C, H, W), of any dtype.
        generator: where the randomness comes from; its device may differ from the images'.
        rotation: the largest angle in degrees, uniform to both sides.
        shift: the largest shift as a fraction of each side, uniform over whole pixels.
        gain: the largest u, uniform to both sides.
        elastic: std of e at 5x5 control points, as a fraction of the shorter side; bicubic between them.
        flip: mirror left to right with probability 1/2.

    Returns:
        New images of the same shape; float32 where integers were given.

    Raises:
        ConfigError: a strength out of range.
        DataError: images of another shape.

    Source: shifts and flips of the notes' classifiers, rotation and shift of their ultrasound networks; elastic fields
    after Simard et al. 2003.

    Example:
        >>> x = torch.rand(2, 3, 16, 16)
        >>> warp(x, torch.Generator().manual_seed(0)).shape
        torch.Size([2, 3, 16, 16])
    """
    if images.dim() != 4:
        raise DataError(f"warp: images must be (N, C, H, W), got {tuple(images.shape)}")
    _check_strengths("warp", rotation=rotation, shift=shift, gain=gain, elastic=elastic)
    x = images if images.is_floating_point() else images.float()
    motion = _Motion.draw(x, generator, rotation=rotation, shift=shift, gain=gain, elastic=elastic, flip=flip)
    return motion.brighten(motion.resample(x) if motion.moves else x)


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
    r"""Move every image and its mask together by a random amount of their own, and scale the image's brightness.

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
        shift: the largest shift as a fraction of each side, uniform over whole pixels.
        gain: the largest u, uniform to both sides.
        elastic: std of e at 5x5 control points, as a fraction of the shorter side; bicubic between them.
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
    _check_pair(images, masks)
    _check_strengths("augment_pair", rotation=rotation, shift=shift, gain=gain, elastic=elastic)
    motion = _Motion.draw(images, generator, rotation=rotation, shift=shift, gain=gain, elastic=elastic, flip=flip)
    if not motion.moves:
        return motion.brighten(images), masks.clone()
    channels = images.shape[1]
    wide = torch.promote_types(images.dtype, torch.float32)
    both = motion.resample(torch.cat([images.to(wide), (masks if masks.dim() == 4 else masks[:, None]).to(wide)], 1))
    targets = _inside(both[:, channels:]).to(masks.dtype).reshape(masks.shape)
    return motion.brighten(both[:, :channels].to(images.dtype)), targets


def _enlarged(images: Tensor, crop: float, generator: torch.Generator) -> Tensor:
    """Enlarge a part of each image, whose sides are 1 - crop to 1 of its own."""
    n = len(images)
    dice = torch.rand(n, 3, generator=generator, device=generator.device).to(images.device)
    side = 1 - crop * dice[:, 0]
    centre = (1 - side)[:, None] * (2 * dice[:, 1:] - 1)  # from -1 to 1 across the image
    theta = torch.zeros(n, 2, 3, device=images.device)
    theta[:, 0, 0] = theta[:, 1, 1] = side
    theta[:, :, 2] = centre
    wide = images if images.is_floating_point() else images.float()
    grid = F.affine_grid(theta.to(wide.dtype), list(images.shape), align_corners=False)
    moved = F.grid_sample(wide, grid, padding_mode="border", align_corners=False)
    return moved if images.is_floating_point() else moved.round().to(images.dtype)


def _cut_out(images: Tensor, cutout: float, generator: torch.Generator) -> Tensor:
    """Fill a square of each image with the mean of its channels."""
    n, _, height, width = images.shape
    side = max(1, round(cutout * min(height, width)))
    dice = torch.rand(n, 2, generator=generator, device=generator.device).to(images.device)
    top, left = ((dice[:, k] * length).floor() - side // 2 for k, length in enumerate((height, width)))

    def inside(first: Tensor, length: int) -> Tensor:
        at = torch.arange(length, device=images.device)
        return (at >= first[:, None]) & (at < first[:, None] + side)

    hole = inside(top, height)[:, None, :, None] & inside(left, width)[:, None, None, :]
    mean = images.mean((2, 3), keepdim=True, dtype=torch.float32)
    return torch.where(hole, (mean if images.is_floating_point() else mean.round()).to(images.dtype), images)


@dataclass(frozen=True)
class _Motion:
    """The motion of each image of a batch.

    Args:
        grid: the source of each pixel, (N, H, W, 2) as x and y in -1..1; empty where nothing moves.
        factor: of the brightness, (N, 1, 1, 1).
    """

    grid: Tensor
    factor: Tensor

    @property
    def moves(self) -> bool:
        """True where any pixel moves."""
        return self.grid.numel() > 0

    @classmethod
    def draw(
        cls, images: Tensor, generator: torch.Generator,
        *, rotation: float, shift: float, gain: float, elastic: float, flip: bool,
    ) -> _Motion:  # fmt: skip
        """Draw a motion for each image of a batch (N, C, H, W); see `warp`."""
        n, _, height, width = images.shape
        device, sides = images.device, torch.tensor([height, width], dtype=torch.float64)
        # One draw of every kind, used or not: the strength of one leaves the others as they were.
        dice = torch.rand(n, 5, generator=generator, device=generator.device, dtype=torch.float64).cpu()
        reach = (sides * shift).round()
        by = ((2 * reach + 1) * dice[:, 1:3]).floor().minimum(2 * reach) - reach
        angle = (2 * dice[:, 0] - 1) * math.radians(rotation)
        mirrored = (dice[:, 4] < 0.5) & flip
        factor = (1 + gain * (2 * dice[:, 3] - 1)).to(device, images.dtype).view(n, 1, 1, 1)
        if not (rotation or bool(by.any()) or bool(mirrored.any()) or elastic):
            return cls(torch.empty(0), factor)
        field = _field(n, height, width, elastic, generator).to(device) if elastic else None
        wide = torch.promote_types(images.dtype, torch.float32)
        return cls(_grid(angle.to(device), by.to(device), mirrored.to(device), height, width, field).to(wide), factor)

    def resample(self, layers: Tensor) -> Tensor:
        """Return layers (N, C, H, W) with their pixels moved."""
        moved = F.grid_sample(layers.to(self.grid.dtype), self.grid, padding_mode="border", align_corners=True)
        return moved.to(layers.dtype)

    def brighten(self, images: Tensor) -> Tensor:
        """Return images at their new brightness."""
        return images * self.factor


def _check_strengths(name: str, **strengths: float) -> None:
    """Refuse strengths out of range."""
    for strength, value in strengths.items():
        most = 180 if strength == "rotation" else 1
        if not 0 <= value <= most:
            raise ConfigError(f"{name}: {strength}={value} is out of range; expected 0 to {most}")


def _grid(angle: Tensor, by: Tensor, mirrored: Tensor, height: int, width: int, field: Tensor | None) -> Tensor:
    """Return the source of each pixel, (N, H, W, 2), as x and y in -1..1 from the first pixel to the last."""
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
    """Draw smooth displacements in pixels, (N, 2, H, W)."""
    knots = torch.randn(n, 2, _KNOTS, _KNOTS, generator=generator, device=generator.device, dtype=torch.float64)
    smooth = F.interpolate(knots, size=(height, width), mode="bicubic", align_corners=True)
    return smooth * (elastic * min(height, width))


def _positions(n: int, side: int, shift: float, generator: torch.Generator) -> Tensor:
    """Return (n, side): the source position of each target position, for one random shift per image."""
    k = round(shift * side)
    by = torch.randint(-k, k + 1, (n, 1), generator=generator, device=generator.device)
    return (torch.arange(side, device=generator.device) - by).clamp_(0, side - 1)


def _inside(arrived: Tensor) -> Tensor:
    """Mark where at least half a pixel arrived; a target spread thinner than that keeps its fullest pixel."""
    inside = arrived >= 0.5
    lost = ~inside.any(dim=(2, 3), keepdim=True) & (arrived.sum((2, 3), keepdim=True) >= 0.5)
    return inside | (lost & (arrived == arrived.amax((2, 3), keepdim=True)))


def _check_pair(images: Tensor, masks: Tensor) -> None:
    if images.dim() != 4 or not images.is_floating_point():
        raise DataError(
            f"augment_pair: images must be floating point (N, C, H, W), got {images.dtype} {tuple(images.shape)}"
        )
    n, _, height, width = images.shape
    if tuple(masks.shape) not in ((n, 1, height, width), (n, height, width)):
        raise DataError(f"augment_pair: masks {tuple(masks.shape)} do not fit images {tuple(images.shape)}")
