"""Taps of rotated kernels, and the shapes, strides and empty results of rotation-max convolutions."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from plexus.errors import ConfigError

WINNERS = 16
"""Kernels are counted in sixteens where winners are kept: a shape that is the same for vectors of 4, 8 and 16 lanes."""


def check(
    x: Tensor, weight: Tensor, bias: Tensor | None, rotations: int, stride: Any, padding: Any, dilation: Any
) -> None:
    """Refuse what the loops, which work on addresses, must never see.

    Raises:
        ConfigError: names the argument, what was expected and what came.
    """
    if x.dim() != 4 or weight.dim() != 4 or tuple(weight.shape[2:]) != (3, 3) or weight.shape[1] != x.shape[1]:
        raise ConfigError(
            f"rot_conv2d: x {tuple(x.shape)} and weight {tuple(weight.shape)} do not fit: expected (N, C, H, W) and "
            "(O, C, 3, 3)"
        )
    if bias is not None and tuple(bias.shape) != (weight.shape[0],):
        raise ConfigError(f"rot_conv2d: expected a bias of shape ({weight.shape[0]},), got {tuple(bias.shape)}")
    kinds = {t.dtype for t in (x, weight, bias) if t is not None}
    if len(kinds) > 1 or (x.device.type == "cpu" and kinds != {torch.float32}):
        raise ConfigError(f"rot_max_conv2d: expected one type, float32 on the CPU, got {', '.join(map(str, kinds))}")
    if rotations not in (4, 8):
        raise ConfigError(f"rotations={rotations!r}: expected 4 or 8")
    for name, value, least in (("stride", stride, 1), ("padding", padding, 0), ("dilation", dilation, 1)):
        if len(value) != 2 or min(value) < least:
            raise ConfigError(f"{name}={tuple(value)}: expected two integers of at least {least}")
    rows, columns = extent(x, stride, padding, dilation)
    if rows < 1 or columns < 1 or 0 in x.shape[1:]:
        raise ConfigError(
            f"rot_conv2d: images of {x.shape[2]}x{x.shape[3]} with padding {tuple(padding)} are smaller than a 3x3 "
            f"kernel with dilation {tuple(dilation)}"
        )


def extent(x: Tensor, stride: Any, padding: Any, dilation: Any) -> tuple[int, int]:
    """Return the rows and columns of the output."""
    sizes = zip(x.shape[2:], stride, padding, dilation, strict=True)
    rows, columns = ((n + 2 * p - 2 * d - 1) // s + 1 for n, s, p, d in sizes)
    return rows, columns


def outputs(x: Tensor, weight: Tensor, stride: Any, padding: Any, dilation: Any) -> tuple[Tensor, Tensor]:
    """Make an empty output, and empty bytes for the winners."""
    rows, columns = extent(x, stride, padding, dilation)
    y = x.new_empty(x.shape[0], weight.shape[0], rows, columns).contiguous(memory_format=layout(x))
    # zeros: the loops count kernels by the processor's lanes and may leave the last of sixteen unwritten
    winner = x.new_zeros(x.shape[0], -(-weight.shape[0] // WINNERS), rows * columns, WINNERS, dtype=torch.uint8)
    return y, winner


def gradients(x: Tensor, weight: Tensor, need_x: bool, need_weight: bool) -> tuple[Tensor, Tensor]:
    """Make empty gradients; without any number where they are not needed."""
    gx = torch.empty_like(x) if need_x else x.new_empty(0, 0, 0, 0)
    gw = weight.new_empty(weight.shape) if need_weight else weight.new_empty(0)
    return gx, gw


def in_lanes(winner: Tensor, pixels: int, lanes: int) -> np.ndarray:
    """View the winners as the loops count them, (N, blocks, pixels, lanes); lanes divide WINNERS."""
    return winner.view(winner.shape[0], winner.shape[1] * (WINNERS // lanes), pixels, lanes).numpy()


def dense(x: Tensor) -> Tensor:
    """Return the tensor without gaps, rows first or channels last."""
    return x if x.is_contiguous() or x.is_contiguous(memory_format=torch.channels_last) else x.contiguous()


def last(x: Tensor) -> Tensor:
    """Bring (N, C, H, W) into the order (N, H, W, C) without gaps."""
    return x.permute(0, 2, 3, 1).contiguous()


def layout(x: Tensor) -> torch.memory_format:
    return torch.contiguous_format if x.is_contiguous() else torch.channels_last


def strides(x: Tensor) -> tuple[int, int, int]:
    """Return the strides of (N, C, pixel) in bytes."""
    pixel = x.shape[1] if layout(x) is torch.channels_last else 1
    return x.stride(0) * 4, x.stride(1) * 4, pixel * 4


def numbers(x: Tensor, y: Tensor, stride: list[int], padding: list[int], dilation: list[int]) -> tuple[int, ...]:
    """List what the loops need to know: C, H, W, O, H', W', then stride, padding, dilation, two each."""
    return tuple(map(int, (*x.shape[1:], *y.shape[1:], *stride, *padding, *dilation)))


def bank(weight: Tensor, rotations: int) -> Tensor:
    """Rotate every kernel in all ways, one after the other: (O, C, K, K) becomes (O * rotations, C, K, K)."""
    size, step = int(weight.shape[-1]), 8 // rotations
    taps = weight.flatten(-2).unbind(-1)
    all_turns = [taps[i] for s in range(rotations) for i in turned(size, s * step)]
    return torch.stack(all_turns, -1).unflatten(-1, (rotations, size, size)).transpose(1, 2).flatten(0, 1)


def turned(size: int, steps: int) -> tuple[int, ...]:
    """Return for every tap of a kernel turned clockwise, row by row, the place it came from."""
    source = list(range(size * size))
    for r in range(1, size // 2 + 1):
        around = _ring(size, r)
        for place, tap in enumerate(around):
            source[around[(place + r * steps) % len(around)]] = tap
    return tuple(source)


def _ring(size: int, r: int) -> list[int]:
    """List the taps of ring r around the centre of a kernel, clockwise from the upper left corner, as flat indices."""
    low, high = size // 2 - r, size // 2 + r
    top = [(low, j) for j in range(low, high)]
    right = [(i, high) for i in range(low, high)]
    bottom = [(high, j) for j in range(high, low, -1)]
    left = [(i, low) for i in range(high, low, -1)]
    return [i * size + j for i, j in [*top, *right, *bottom, *left]]
