"""Images turned about their centre, many by the same angles."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from plexus.errors import ConfigError


def rotate(images: Tensor, angles: Sequence[float], mask: str | None = "circle") -> Tensor:
    r"""Turn every image by every angle, counter-clockwise as `torch.rot90` does.

    .. math:: y(p) = x(R_{-a}\, p)

    about the centre; multiples of 90 degrees by `torch.rot90`, without interpolation, other angles bilinear. What
    comes from outside the image is 0; with a mask the half pixel beyond the outermost centres repeats them instead.

    Args:
        images: square images.
        angles: in degrees.
        mask: ``circle`` sets what lies outside the inscribed circle to 0, at all angles alike; None keeps the corners.

    Shape:
        (N, C, S, S) -> (A, N, C, S, S), of the images' dtype and device

    Raises:
        ConfigError: images that are not square floats, or another mask.

    Source: bilinear resampling as in Jaderberg et al. 2015, Spatial transformer networks.

    Example:
        >>> x = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).view(1, 1, 2, 2)
        >>> rotate(x, [90], mask=None).flatten().tolist()
        [2.0, 4.0, 1.0, 3.0]
    """
    check_images(images, mask)
    n, c, side, _ = images.shape
    turned = images.new_empty((len(angles), n, c, side, side))
    smooth = [i for i, angle in enumerate(angles) if angle % 90 != 0]
    for i, angle in enumerate(angles):
        if angle % 90 == 0:
            turned[i] = torch.rot90(images, int(angle // 90) % 4, (-2, -1))
    if smooth:
        # All images of one angle share a grid: as maps of one image they share its interpolation weights, too.
        precise = images.float() if images.element_size() < 4 else images
        maps = precise.reshape(1, n * c, side, side).expand(len(smooth), -1, -1, -1)
        got = F.grid_sample(
            maps, _grid([angles[i] for i in smooth], precise), padding_mode="border" if mask else "zeros",
            align_corners=False,
        ).view(len(smooth), n, c, side, side)  # fmt: skip
        if len(smooth) == len(angles):
            turned = got.to(images.dtype)
        else:
            turned[torch.tensor(smooth, device=images.device)] = got.to(images.dtype)
    if mask is not None:
        turned.mul_(circle(side, images))
    return turned


def circle(side: int, like: Tensor) -> Tensor:
    """1 where a pixel's centre lies in the circle inscribed in a square of `side` pixels, else 0: (side, side)."""
    offset = torch.arange(side, device=like.device, dtype=torch.float64) - (side - 1) / 2
    return (offset[:, None] ** 2 + offset**2 <= (side / 2) ** 2).to(like.dtype)


def check_images(images: Tensor, mask: str | None) -> None:
    """Refuses what cannot be turned, in one line."""
    if mask not in ("circle", None):
        raise ConfigError(f"mask={mask!r} is unknown; choose 'circle' or None")
    if images.ndim != 4:
        raise ConfigError(f"images have shape {tuple(images.shape)}; expected (N, C, H, W)")
    if not images.is_floating_point():
        raise ConfigError(f"images are {images.dtype}; give them as the model takes them, such as images.float()")
    if images.shape[2] != images.shape[3]:
        size = f"{images.shape[2]}x{images.shape[3]}"
        raise ConfigError(f"images are {size}, and a quarter turn swaps the sides; crop or resize them to squares")


def _grid(angles: Sequence[float], images: Tensor) -> Tensor:
    """Where each output pixel is read: (A, S, S, 2) in [-1, 1]."""
    turns = [math.radians(angle) for angle in angles]
    rows = [[[math.cos(a), -math.sin(a), 0.0], [math.sin(a), math.cos(a), 0.0]] for a in turns]
    matrices = torch.tensor(rows, dtype=images.dtype)
    grid = F.affine_grid(matrices, [len(angles), 1, *images.shape[2:]], align_corners=False)
    return grid.to(images.device)
