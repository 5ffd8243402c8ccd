"""Random shifts and flips of a batch, as one gather."""

from __future__ import annotations

import torch
from torch import Tensor

from plexus.errors import ConfigError


def augment(images: Tensor, generator: torch.Generator, *, shift: float = 0.1, flip: bool = True) -> Tensor:
    r"""Shift every image by its own random number of pixels, and mirror half of them left to right.

    .. math:: y_{n,c,i,j} = x'_{n,c,\,\mathrm{clamp}(i - a_n),\,\mathrm{clamp}(j - b_n)}

    where :math:`x'_n` is :math:`x_n`, mirrored with probability 1/2. The shift a is uniform over the integers
    -k..k with k = round(shift * H), b likewise with the width; the edge's pixels fill what the shift leaves empty.

    Args:
        images: a batch, (N, C, H, W), of any dtype and on any device.
        generator: where the randomness comes from; its device may differ from the images'.
        shift: the largest shift as a share of each side, in 0..1.
        flip: mirror with probability 1/2.

    Returns:
        A new tensor of the same shape and dtype.

    Raises:
        ConfigError: images that are not (N, C, H, W), or a shift outside 0..1.

    Source: the research notes' common setup (shifts of up to 10 %, horizontal flips).

    Example:
        >>> batch = torch.arange(9.0).view(1, 1, 3, 3)
        >>> augment(batch, torch.Generator().manual_seed(0), shift=0, flip=False).equal(batch)
        True
    """
    if images.ndim != 4:
        raise ConfigError(f"images have shape {tuple(images.shape)}; expected (N, C, H, W)")
    if not 0 <= shift <= 1:
        raise ConfigError(f"shift={shift} is not a share of the side; expected 0..1")
    n, channels, height, width = images.shape
    device = images.device
    rows = _positions(n, height, shift, generator).to(device)
    columns = _positions(n, width, shift, generator).to(device)
    if flip:
        mirrored = (torch.rand(n, generator=generator, device=generator.device) < 0.5).to(device)
        columns = torch.where(mirrored[:, None], width - 1 - columns, columns)
    # One index for all channels, read by stride 0: no copy of it per channel.
    index = (rows[:, :, None] * width + columns[:, None, :]).view(n, 1, height * width).expand(n, channels, -1)
    return images.reshape(n, channels, height * width).gather(2, index).view(images.shape)


def _positions(n: int, side: int, shift: float, generator: torch.Generator) -> Tensor:
    """Return (n, side): the source position of each target position, for one random shift per image."""
    k = round(shift * side)
    by = torch.randint(-k, k + 1, (n, 1), generator=generator, device=generator.device)
    return (torch.arange(side, device=generator.device) - by).clamp_(0, side - 1)
