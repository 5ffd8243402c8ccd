"""The maximum of the trigonometric polynomial through evenly spaced samples of a circle."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

_STARTS = 64
_NEWTON_STEPS = 4


def peak(samples: Tensor, dim: int) -> Tensor:
    """max_t p(t), where p(t) = sum_s y_s D(t - 2 pi s / k) passes through the k samples y_s.

    D(t) = (1 + 2 sum_{m < k/2} cos m t + cos(k/2 t)) / k is the Dirichlet kernel of k samples. The search compares the
    peaks that a parabola promises at 64 angles and climbs from the best by Newton's method; no answer is below the
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
    """The angle of the maximum, from Fourier coefficients a_m cos m t + b_m sin m t."""
    count = y.shape[-1]
    table = torch.tensor(_fourier(count), device=y.device, dtype=y.dtype)
    cosines, sines = (y @ table[0]).unbind(-1), (y @ table[1]).unbind(-1)

    def slopes(t: Tensor | float) -> tuple[Tensor, Tensor, Tensor]:
        at = torch.as_tensor(t, device=y.device, dtype=y.dtype)
        value, first, second = cosines[0], torch.zeros_like(cosines[0]), torch.zeros_like(cosines[0])
        for m in range(1, count // 2 + 1):
            c, s = torch.cos(m * at), torch.sin(m * at)
            wave = cosines[m] * c + sines[m] * s
            value, second = value + wave, second - m * m * wave
            first = first + m * (sines[m] * c - cosines[m] * s)
        return value, first, second

    width = 2 * math.pi / _STARTS
    tiny = torch.finfo(y.dtype).tiny
    angle, height = torch.zeros_like(cosines[0]), torch.full_like(cosines[0], -torch.inf)
    for i in range(_STARTS):
        value, first, second = slopes(i * width)
        step = torch.where(second < 0, (first / (-second).clamp_min(tiny)).clamp(-width / 2, width / 2), 0.0)
        promise = value + step * first + step * step * second / 2
        angle = torch.where(promise > height, i * width, angle)
        height = torch.maximum(height, promise)
    for _ in range(_NEWTON_STEPS):
        _, first, second = slopes(angle)
        angle = angle + (first / (-second).clamp_min(tiny)).clamp(-width, width)
    return angle


@lru_cache
def _fourier(count: int) -> tuple[list[list[float]], list[list[float]]]:
    """The matrices that take samples to a_m and b_m, m = 0 .. k/2."""
    half = count // 2
    share = [(1 if m in (0, half) else 2) / count for m in range(half + 1)]
    turns = [[2 * math.pi * m * s / count for m in range(half + 1)] for s in range(count)]
    cosines = [[a * math.cos(t) for a, t in zip(share, row, strict=True)] for row in turns]
    sines = [
        [0.0 if m in (0, half) else a * math.sin(t) for m, (a, t) in enumerate(zip(share, row, strict=True))]
        for row in turns
    ]
    return cosines, sines
