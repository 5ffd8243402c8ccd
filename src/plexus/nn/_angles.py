"""The maximum of the trigonometric polynomial through evenly spaced samples of a circle."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_BETWEEN = 8  # starts from one sample to the next
_NEWTON_STEPS = 4


def peak(samples: Tensor, dim: int) -> Tensor:
    """max_t p(t), where p(t) = sum_s y_s D(t - 2 pi s / k) passes through the k samples y_s.

    D(t) = (1 + 2 sum_{m < k/2} cos m t + cos(k/2 t)) / k is the Dirichlet kernel of k samples. The search compares the
    peaks that a parabola promises at 8 k angles and climbs from the best by Newton's method; no answer is below the
    largest sample. By the envelope theorem the gradient is that of p at the best angle, held fixed.

    Args:
        samples: k values along `dim`, k even.
        dim: the axis of the circle.

    Returns:
        The maxima, with that axis gone.

    Example:
        >>> t = torch.arange(8) * (math.pi / 4)
        >>> peak(torch.cos(t - 0.3), 0)
        tensor(1.0000)
    """
    y = samples.movedim(dim, -1)
    with torch.no_grad():
        best = _best_angle(y.float() if y.dtype in (torch.float16, torch.bfloat16) else y)
    weights = _kernel(best, y.shape[-1]).to(y.dtype)
    return torch.maximum((y * weights).sum(-1), y.max(-1).values)


def _kernel(angle: Tensor, count: int) -> Tensor:
    """D(angle - 2 pi s / k) for every s, along a new last axis."""
    at = angle.unsqueeze(-1) - torch.arange(count, device=angle.device, dtype=angle.dtype) * (2 * math.pi / count)
    value = 1 + torch.cos(count // 2 * at)
    for m in range(1, count // 2):
        value = value + 2 * torch.cos(m * at)
    return value / count


def _best_angle(y: Tensor) -> Tensor:
    """The angle of the maximum of a_0 + sum_m a_m cos m t + b_m sin m t through the samples."""
    count, width = y.shape[-1], 2 * math.pi / (y.shape[-1] * _BETWEEN)
    cosines, sines = (y @ table for table in _fourier(count, y))
    orders = torch.arange(count // 2 + 1, device=y.device, dtype=y.dtype)

    def slopes(angle: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        at = angle.unsqueeze(-1) * orders
        c, s = torch.cos(at), torch.sin(at)
        wave = cosines.unsqueeze(-2) * c + sines.unsqueeze(-2) * s
        first = (sines.unsqueeze(-2) * c - cosines.unsqueeze(-2) * s) * orders
        return wave.sum(-1), first.sum(-1), -(wave * orders.square()).sum(-1)

    tiny = torch.finfo(y.dtype).tiny
    starts = torch.arange(count, device=y.device, dtype=y.dtype) * (width * _BETWEEN)
    angle, height = torch.zeros_like(y[..., :1]), torch.full_like(y[..., :1], -torch.inf)
    for i in range(_BETWEEN):
        value, first, second = slopes(starts + i * width)
        step = torch.where(second < 0, (first / (-second).clamp_min(tiny)).clamp(-width / 2, width / 2), 0.0)
        promise, where = (value + step * first + step * step * second / 2).max(-1, keepdim=True)
        angle = torch.where(promise > height, starts[where] + i * width, angle)
        height = torch.maximum(height, promise)
    for _ in range(_NEWTON_STEPS):
        _, first, second = slopes(angle)
        angle = angle + (first / (-second).clamp_min(tiny)).clamp(-width, width)
    return angle.squeeze(-1)


def _fourier(count: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """The matrices that take samples to a_m and b_m, m = 0 .. k/2, (k, k/2 + 1) each."""
    orders = torch.arange(count // 2 + 1, device=like.device, dtype=like.dtype)
    turns = torch.arange(count, device=like.device, dtype=like.dtype).unsqueeze(1) * orders * (2 * math.pi / count)
    inner = (orders > 0) & (orders < count // 2)  # the mean and the highest order have no phase
    share = torch.where(inner, 2.0, 1.0) / count
    return torch.cos(turns) * share, torch.sin(turns) * share * inner
