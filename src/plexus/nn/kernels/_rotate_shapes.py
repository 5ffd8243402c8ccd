"""Shapes, strides and empty results of rotation-max convolutions with 3x3 kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

WINNERS = 16
"""Kernels are counted in sixteens where winners are kept."""


def answers(x: Tensor, weight: Tensor, stride: Any, padding: Any, dilation: Any) -> tuple[Tensor, Tensor]:
    """Empty results."""
    sizes = zip(x.shape[2:], stride, padding, dilation, strict=True)
    rows, columns = ((n + 2 * p - 2 * d - 1) // s + 1 for n, s, p, d in sizes)
    y = x.new_empty(x.shape[0], weight.shape[0], rows, columns).contiguous(memory_format=layout(x))
    winner = x.new_empty(x.shape[0], -(-weight.shape[0] // WINNERS), rows * columns, WINNERS, dtype=torch.uint8)
    return y, winner


def gradients(x: Tensor, weight: Tensor, need_x: bool, need_weight: bool) -> tuple[Tensor, Tensor]:
    """Empty results."""
    gx = torch.empty_like(x) if need_x else x.new_empty(0, 0, 0, 0)
    gw = weight.new_empty(weight.shape) if need_weight else weight.new_empty(0)
    return gx, gw


def in_lanes(winner: Tensor, images: int, blocks: int, pixels: int, lanes: int) -> np.ndarray:
    """The winners as the loops count them: lanes divide WINNERS, so there is room for all."""
    return winner.view(-1)[: images * blocks * pixels * lanes].view(images, blocks, pixels, lanes).numpy()


def dense(x: Tensor) -> Tensor:
    """The tensor without gaps, rows first or channels last."""
    return x if x.is_contiguous() or x.is_contiguous(memory_format=torch.channels_last) else x.contiguous()


def last(x: Tensor) -> Tensor:
    """(N, C, H, W) as (N, H, W, C) without gaps."""
    return x.permute(0, 2, 3, 1).contiguous()


def layout(x: Tensor) -> torch.memory_format:
    return torch.contiguous_format if x.is_contiguous() else torch.channels_last


def strides(x: Tensor) -> tuple[int, int, int]:
    """The strides of (N, C, pixel) in bytes."""
    pixel = x.shape[1] if layout(x) is torch.channels_last else 1
    return x.stride(0) * 4, x.stride(1) * 4, pixel * 4


def numbers(x: Tensor, y: Tensor, stride: list[int], padding: list[int], dilation: list[int]) -> tuple[int, ...]:
    return tuple(map(int, (*x.shape[1:], *y.shape[1:], *stride, *padding, *dilation)))
