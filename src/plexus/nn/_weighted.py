"""Sums and concatenations of gated maps, with backward passes that store no products."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable


def pad_channels(x: Tensor, channels: int) -> Tensor:
    """Appends all-zero maps until there are `channels`.

    Args:
        x: maps, (N, C, *spatial).
        channels: C or more.

    Returns:
        (N, channels, *spatial); `x` itself where nothing is missing.

    Example:
        >>> pad_channels(torch.ones(1, 1, 1), 3).flatten().tolist()
        [1.0, 0.0, 0.0]
    """
    missing = channels - x.shape[1]
    return x if missing == 0 else F.pad(x, [0, 0] * (x.dim() - 2) + [0, missing])


def per_map(gate: Tensor, like: Tensor) -> Tensor:
    """A gate, shaped so that it multiplies maps and leaves their dtype as it is.

    Args:
        gate: one for all maps, (), or one for each, (C,).
        like: maps, (N, C, *spatial).

    Returns:
        The gate, () or (1, C, 1, ...), in the dtype of the maps.

    Example:
        >>> per_map(torch.ones(3), torch.zeros(2, 3, 8, 8)).shape
        torch.Size([1, 3, 1, 1])
    """
    return gate if gate.dim() == 0 else gate.to(like.dtype).view(1, -1, *[1] * (like.dim() - 2))


def may_fuse() -> bool:
    """Whether nodes with a backward pass of their own may be used: not while a program is compiled or transformed.

    Example:
        >>> may_fuse(), torch.func.vmap(lambda x: x * may_fuse())(torch.ones(2)).tolist()
        (True, [0.0, 0.0])
    """
    return not (torch.compiler.is_compiling() or torch.jit.is_tracing() or torch._C._are_functorch_transforms_active())


def weighted_sum(sources: Sequence[Tensor], gates: Sequence[Tensor]) -> Tensor:
    """Adds up gated maps, y = sum_k g_k x_k, without storing the products.

    Sources with fewer maps than the widest count as zero in the missing ones. The backward pass needs nothing but the
    sources and the gates: dx_k = g_k dy and dg_k = <x_k, dy> (over the batch and space for one gate per map).

    Args:
        sources: maps of one spatial size, each (N, C_k, *spatial).
        gates: one per source, each of shape () or (C_k,).

    Returns:
        (N, max C_k, *spatial).

    Source: the learned-connectivity notes of 2016 (merge `sum`).

    Example:
        >>> weighted_sum([torch.ones(1, 2, 1), torch.ones(1, 1, 1)], [torch.tensor(0.5), torch.tensor(2.0)]).flatten()
        tensor([2.5000, 0.5000])
    """
    if may_fuse() and sources[0].device.type == "cpu" and all(x.dtype == sources[0].dtype for x in sources):
        return _WeightedSum.apply(len(sources), *gates, *sources)
    width = max(x.shape[1] for x in sources)
    return reduce(torch.add, (pad_channels(x * per_map(g, x), width) for x, g in zip(sources, gates, strict=True)))


def weighted_cat(sources: Sequence[Tensor], scale: Tensor) -> Tensor:
    """Concatenates gated maps, y = cat(g_k x_k), writing each product straight to its place.

    Args:
        sources: maps of one spatial size, each (N, C_k, *spatial).
        scale: one factor per map of the result, (sum C_k,).

    Returns:
        (N, sum C_k, *spatial).

    Source: the learned-connectivity notes of 2016 (merge `concat`).

    Example:
        >>> weighted_cat([torch.ones(1, 1, 1), torch.ones(1, 2, 1)], torch.tensor([1.0, 2.0, 3.0])).flatten()
        tensor([1., 2., 3.])
    """
    if may_fuse() and all(x.dtype == scale.dtype for x in sources):
        return _WeightedCat.apply(scale, *sources)
    joined = torch.cat(list(sources), 1)
    return joined * per_map(scale, joined)


class _WeightedCat(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, scale: Tensor, *sources: Tensor) -> Tensor:
        ctx.save_for_backward(scale, *sources)
        widest = max(sources, key=Tensor.numel)
        shape = (widest.shape[0], len(scale), *widest.shape[2:])
        out = torch.empty_like(
            widest[:, :1].expand(shape),
            memory_format=next(
                (f for f in layouts(widest.dim()) if widest.is_contiguous(memory_format=f)), torch.contiguous_format
            ),
        )
        for x, part, factor in _slices(sources, out, scale):
            torch.mul(x, per_map(factor, x), out=part)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        scale, *sources = ctx.saved_tensors
        parts = list(_slices(sources, grad, scale))
        to_sources = [
            part * per_map(factor, part) if needed else None
            for (_, part, factor), needed in zip(parts, ctx.needs_input_grad[1:], strict=True)
        ]
        to_scale = (
            torch.cat([_inner(x, part, factor) for x, part, factor in parts]) if ctx.needs_input_grad[0] else None
        )
        return to_scale, *to_sources


def _slices(sources: Sequence[Tensor], whole: Tensor, scale: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Each source with its place in the concatenation and its factors."""
    widths = [x.shape[1] for x in sources]
    return zip(sources, whole.split(widths, 1), scale.split(widths), strict=True)


class _WeightedSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, count: int, *tensors: Tensor) -> Tensor:
        gates, sources = tensors[:count], tensors[count:]
        ctx.save_for_backward(*tensors)
        widest = max(range(count), key=lambda k: sources[k].shape[1])
        total = sources[widest] * per_map(gates[widest], sources[widest])
        for k, (gate, x) in enumerate(zip(gates, sources, strict=True)):
            if k == widest:
                continue
            part = total[:, : x.shape[1]]
            if gate.dim() == 0:
                part.add_(x, alpha=gate.item())
            else:
                part.addcmul_(x, per_map(gate, x))
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        saved, needed = ctx.saved_tensors, ctx.needs_input_grad[1:]
        count = len(saved) // 2
        to_gates: list[Tensor | None] = [None] * count
        to_sources: list[Tensor | None] = [None] * count
        for k, (gate, x) in enumerate(zip(saved[:count], saved[count:], strict=True)):
            part = grad if x.shape[1] == grad.shape[1] else grad[:, : x.shape[1]]
            if needed[k]:
                to_gates[k] = _inner(x, part, gate)
            if needed[count + k]:
                to_sources[k] = part * per_map(gate, part)
        return None, *to_gates, *to_sources


def _inner(x: Tensor, y: Tensor, gate: Tensor) -> Tensor:
    """<x, y> in the shape and dtype of a gate: over everything, or for each map."""
    if gate.dim() > 0:
        return (x * y).sum([0, *range(2, x.dim())], dtype=gate.dtype)
    for layout in layouts(x.dim()):
        if x.dtype == gate.dtype and all(t.is_contiguous(memory_format=layout) for t in (x, y)):
            order = [0, *range(2, x.dim()), 1] if layout != torch.contiguous_format else list(range(x.dim()))
            return torch.dot(x.permute(order).reshape(-1), y.permute(order).reshape(-1))
    return (x * y).sum(dtype=gate.dtype)


def layouts(dims: int) -> list[torch.memory_format]:
    """The memory formats in which maps with so many axes are dense."""
    extra = {4: [torch.channels_last], 5: [torch.channels_last_3d]}
    return [torch.contiguous_format, *extra.get(dims, [])]
