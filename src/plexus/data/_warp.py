"""Random small motions of images, as one resampling."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from plexus.errors import ConfigError, DataError

_KNOTS = 5  # control points of the elastic field along each side


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
    r"""Moves every image by a random amount of its own, and scales its brightness.

    .. math:: y(q) = (1 + u)\,x(c + R_a(q - c - d) + e(q))

    at pixels q about the centre c, with angle a, shift d, gain u and elastic displacement e; bilinear, repeating the
    edge. Shifts are by whole pixels, so that with no rotation and no e they keep every value, to rounding.

    Args:
        images: (N, C, H, W), of any dtype.
        generator: where the randomness comes from; its device may differ from the images'.
        rotation: the largest angle in degrees, uniform to both sides.
        shift: the largest shift as a share of each side, uniform over whole pixels.
        gain: the largest u, uniform to both sides.
        elastic: standard deviation of e at 5x5 control points, as a share of the shorter side; bicubic between them.
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
    check_strengths("warp", rotation=rotation, shift=shift, gain=gain, elastic=elastic)
    x = images if images.is_floating_point() else images.float()
    motion = Motion.draw(x, generator, rotation=rotation, shift=shift, gain=gain, elastic=elastic, flip=flip)
    return motion.brighten(motion.resample(x) if motion.moves else x)


@dataclass(frozen=True)
class Motion:
    """What happens to each image of a batch.

    Args:
        grid: where each pixel of the result reads, (N, H, W, 2) as x and y in -1..1; empty where nothing moves.
        factor: of the brightness, (N, 1, 1, 1).
    """

    grid: Tensor
    factor: Tensor

    @property
    def moves(self) -> bool:
        """Whether any pixel moves."""
        return self.grid.numel() > 0

    @classmethod
    def draw(
        cls, images: Tensor, generator: torch.Generator,
        *, rotation: float, shift: float, gain: float, elastic: float, flip: bool,
    ) -> Motion:  # fmt: skip
        """A motion for each image of a batch (N, C, H, W); see `warp`."""
        n, _, height, width = images.shape
        place, sides = images.device, torch.tensor([height, width], dtype=torch.float64)
        # One draw of every kind, used or not: the strength of one leaves the others as they were.
        dice = torch.rand(n, 5, generator=generator, device=generator.device, dtype=torch.float64).cpu()
        reach = (sides * shift).round()
        by = ((2 * reach + 1) * dice[:, 1:3]).floor().minimum(2 * reach) - reach
        angle = (2 * dice[:, 0] - 1) * math.radians(rotation)
        mirrored = (dice[:, 4] < 0.5) & flip
        factor = (1 + gain * (2 * dice[:, 3] - 1)).to(place, images.dtype).view(n, 1, 1, 1)
        if not (rotation or bool(by.any()) or bool(mirrored.any()) or elastic):
            return cls(torch.empty(0), factor)
        field = _field(n, height, width, elastic, generator).to(place) if elastic else None
        wide = torch.promote_types(images.dtype, torch.float32)
        return cls(_grid(angle.to(place), by.to(place), mirrored.to(place), height, width, field).to(wide), factor)

    def resample(self, layers: Tensor) -> Tensor:
        """The layers (N, C, H, W) where the pixels have moved to."""
        moved = F.grid_sample(layers.to(self.grid.dtype), self.grid, padding_mode="border", align_corners=True)
        return moved.to(layers.dtype)

    def brighten(self, images: Tensor) -> Tensor:
        """The images at their new brightness."""
        return images * self.factor


def check_strengths(name: str, **strengths: float) -> None:
    """Refuses strengths out of range.

    Raises:
        ConfigError: names the strength and the range.
    """
    for strength, value in strengths.items():
        most = 180 if strength == "rotation" else 1
        if not 0 <= value <= most:
            raise ConfigError(f"{name}: {strength}={value} is out of range; expected 0 to {most}")


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
