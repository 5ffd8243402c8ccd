"""The maximum of the trigonometric polynomial through evenly spaced samples of a circle: `reduce="continuous"`."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_BETWEEN = 8  # starts from one sample to the next
_NEWTON_STEPS = 4
_TILE = 16384  # samples of a circle searched at a time, so that the tables' products stay in the cache


def peak(samples: Tensor, dim: int) -> Tensor:
    """Return max_t p(t), where p(t) = sum_s y_s D(t - 2 pi s / k) passes through the k samples y_s.

    D(t) = (1 + 2 sum_{m < k/2} cos m t + cos(k/2 t)) / k is the Dirichlet kernel of k samples. The search compares the
    peaks that a parabola promises at 8 k angles and climbs from the best by Newton's method; no answer is below the
    largest sample. By the envelope theorem the gradient is that of p at the best angle, held fixed.
    Samples are k values along `dim`, k even; that axis is gone from the result.
    """
    y = samples.movedim(dim, -1)
    with torch.no_grad():  # half types have too few digits for the steps below
        best = _best_angle(y.float() if y.dtype in (torch.float16, torch.bfloat16) else y)
    weights = _kernel(best, y.shape[-1]).to(y.dtype)
    # rounding may put p at a sample's own angle a little below the sample
    return torch.maximum((y * weights).sum(-1), y.max(-1).values)


def _kernel(angle: Tensor, count: int) -> Tensor:
    """D(angle - 2 pi s / k) for every s, along a new last axis."""
    at = angle.unsqueeze(-1) - torch.arange(count, device=angle.device, dtype=angle.dtype) * (2 * math.pi / count)
    value = 1 + torch.cos(count // 2 * at)
    for m in range(1, count // 2):
        value = value + 2 * torch.cos(m * at)
    return value / count


def _best_angle(y: Tensor) -> Tensor:
    """Return the angle of the maximum of a_0 + sum_m a_m cos m t + b_m sin m t through the samples."""
    flat = y.reshape(-1, y.shape[-1])
    # a compiled graph fuses what follows and must not depend on the number of tiles
    tiles = (flat,) if torch.compiler.is_compiling() else flat.split(_TILE)
    return torch.cat([_climb(tile) for tile in tiles]).view(y.shape[:-1])


def _climb(y: Tensor) -> Tensor:
    """Do the same for samples (N, k): the best start by the peaks that parabolas promise, then Newton's method."""
    count, width = y.shape[-1], 2 * math.pi / (y.shape[-1] * _BETWEEN)
    tiny = torch.finfo(y.dtype).tiny
    to_cosines, to_sines = _fourier(count, y)
    # value, slope and bend of p at all starts are products of the samples with small constant tables
    starts = torch.arange(count * _BETWEEN, device=y.device, dtype=y.dtype) * width
    orders = torch.arange(count // 2 + 1, device=y.device, dtype=y.dtype).unsqueeze(1)
    c, s = torch.cos(orders * starts), torch.sin(orders * starts)
    value = y @ (to_cosines @ c + to_sines @ s)
    first = y @ (to_sines @ (orders * c) - to_cosines @ (orders * s))
    second = y @ (-(to_cosines @ (orders.square() * c)) - to_sines @ (orders.square() * s))
    # where the curve bends down, its parabola's peak lies first / -second away; no further than half way to a neighbour
    step = torch.where(second < 0, (first / (-second).clamp_min(tiny)).clamp(-width / 2, width / 2), 0.0)
    angle = starts[(value + step * (first + step * second / 2)).argmax(-1)]
    cosines, sines = (y @ to_cosines).unbind(-1), (y @ to_sines).unbind(-1)
    for _ in range(_NEWTON_STEPS):
        # cos m t and sin m t by the addition theorem: two transcendental functions a step in place of k
        c = c1 = torch.cos(angle)
        s = s1 = torch.sin(angle)
        slope, bend = torch.zeros_like(angle), torch.zeros_like(angle)
        for m in range(1, count // 2 + 1):
            slope = slope + m * (sines[m] * c - cosines[m] * s)
            bend = bend + m * m * (cosines[m] * c + sines[m] * s)
            c, s = c * c1 - s * s1, s * c1 + c * s1
        angle = angle + (slope / bend.clamp_min(tiny)).clamp(-width, width)
    return angle


def _fourier(count: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Return the matrices that take samples to a_m and b_m, m = 0 .. k/2, (k, k/2 + 1) each."""
    orders = torch.arange(count // 2 + 1, device=like.device, dtype=like.dtype)
    turns = torch.arange(count, device=like.device, dtype=like.dtype).unsqueeze(1) * orders * (2 * math.pi / count)
    inner = (orders > 0) & (orders < count // 2)  # the mean and the highest order have no phase
    weight = torch.where(inner, 2.0, 1.0) / count
    return torch.cos(turns) * weight, torch.sin(turns) * weight * inner
