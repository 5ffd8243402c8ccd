"""Sums and concatenations of gated feature maps, with backward passes that store no products.

`weighted_sum` and `weighted_cat` do one connection. A `Bank` does all connections of a supernet that share a spatial
size: connection j adds up y_j = sum_k g_jk x_k over all sources k so far, and so each source is read by many. Done
naively, autograd writes g_jk dy_j for every edge and adds it to the gradient of x_k: about four passes over memory per
edge. A bank holds on to the sources and to the incoming gradients, so that

    y_j = sum_k g_jk x_k        dx_k = sum_j g_jk dy_j        dg_jk = <x_k, dy_j>

are one pass forward and one backward.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from plexus.nn.kernels import mix, unmix


def pad_channels(x: Tensor, channels: int) -> Tensor:
    """Append all-zero channels until there are `channels`.

    Args:
        x: feature maps, (N, C, *spatial).
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
    """Shape a gate so that it multiplies feature maps channel by channel and leaves their dtype as it is.

    Args:
        gate: one for all channels, (), or one for each, (C,).
        like: feature maps, (N, C, *spatial).

    Returns:
        The gate, () or (1, C, 1, ...), in the dtype of the maps.

    Example:
        >>> per_map(torch.ones(3), torch.zeros(2, 3, 8, 8)).shape
        torch.Size([1, 3, 1, 1])
    """
    # a gate of no axes is left alone: torch promotes to the dtype of the tensor that has axes
    return gate if gate.dim() == 0 else gate.to(like.dtype).view(1, -1, *[1] * (like.dim() - 2))


def may_fuse() -> bool:
    """Tell whether nodes with a backward pass of their own may be used: not while a program is compiled or transformed.

    Example:
        >>> may_fuse(), torch.func.vmap(lambda x: x * may_fuse())(torch.ones(2)).tolist()
        (True, [0.0, 0.0])
    """
    return not (torch.compiler.is_compiling() or torch.jit.is_tracing() or torch._C._are_functorch_transforms_active())


def weighted_sum(sources: Sequence[Tensor], gates: Sequence[Tensor]) -> Tensor:
    """Add up gated feature maps, y = sum_k g_k x_k, without storing the products.

    Sources with fewer channels than the widest count as zero in the missing ones. The backward pass needs nothing but
    the sources and the gates: dx_k = g_k dy and dg_k = <x_k, dy> (over the batch and space for one gate per channel).

    Args:
        sources: feature maps of one spatial size, each (N, C_k, *spatial).
        gates: one per source, each of shape () or (C_k,).

    Returns:
        (N, max C_k, *spatial).

    Source: the learned-connectivity notes of 2016 (merge `sum`).

    Example:
        >>> weighted_sum([torch.ones(1, 2, 1), torch.ones(1, 1, 1)], [torch.tensor(0.5), torch.tensor(2.0)]).flatten()
        tensor([2.5000, 0.5000])
    """
    # on a GPU `gate.item()` would wait for all that is queued there, once per source
    if may_fuse() and sources[0].device.type == "cpu" and all(x.dtype == sources[0].dtype for x in sources):
        return _WeightedSum.apply(len(sources), *gates, *sources)
    width = max(x.shape[1] for x in sources)
    return reduce(torch.add, (pad_channels(x * per_map(g, x), width) for x, g in zip(sources, gates, strict=True)))


def weighted_cat(sources: Sequence[Tensor], scale: Tensor) -> Tensor:
    """Concatenate gated feature maps, y = cat(g_k x_k), writing each product straight to its place.

    Args:
        sources: feature maps of one spatial size, each (N, C_k, *spatial).
        scale: one factor per channel of the result, (sum C_k,).

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
        # the layout of the largest source, so that most is copied in whole rows
        out = torch.empty_like(widest[:, :1].expand(shape), memory_format=_layout(widest))
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
    """Yield each source with its place in the concatenation and its factors."""
    widths = [x.shape[1] for x in sources]
    return zip(sources, whole.split(widths, 1), scale.split(widths), strict=True)


class _WeightedSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, count: int, *tensors: Tensor) -> Tensor:
        gates, sources = tensors[:count], tensors[count:]
        ctx.save_for_backward(*tensors)
        # the widest source makes the result, so that no zeros are written for the others to be added to
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
    """<x, y> in the shape and dtype of a gate: over everything, or for each channel."""
    if gate.dim() > 0:
        return (x * y).sum([0, *range(2, x.dim())], dtype=gate.dtype)
    for layout in _layouts(x.dim()):
        # where both lie in the same order without gaps, a dot product reads them once and writes no product
        if x.dtype == gate.dtype and all(t.is_contiguous(memory_format=layout) for t in (x, y)):
            order = [0, *range(2, x.dim()), 1] if layout != torch.contiguous_format else list(range(x.dim()))
            return torch.dot(x.permute(order).reshape(-1), y.permute(order).reshape(-1))
    return (x * y).sum(dtype=gate.dtype)


def _layouts(dims: int) -> list[torch.memory_format]:
    """List the memory formats in which feature maps with so many axes can be dense."""
    extra = {4: [torch.channels_last], 5: [torch.channels_last_3d]}
    return [torch.contiguous_format, *extra.get(dims, [])]


def _layout(x: Tensor) -> torch.memory_format:
    """Name the format in which `x` is dense; the contiguous one if it is in none."""
    dense = (layout for layout in _layouts(x.dim()) if x.is_contiguous(memory_format=layout))
    return next(dense, torch.contiguous_format)


class Form(NamedTuple):
    """Shape, dtype and dense memory layout that all tensors in a bank share."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    layout: torch.memory_format

    @classmethod
    def of(cls, x: Tensor, channels: int) -> Form:
        """Take the form of feature maps like these, but with so many channels."""
        return cls((x.shape[0], channels, *x.shape[2:]), x.dtype, _layout(x))

    def align(self, x: Tensor) -> Tensor:
        """Bring `x` into this form, missing channels as zero: itself if it has the form already."""
        if x.shape == self.shape and x.dtype == self.dtype and x.is_contiguous(memory_format=self.layout):
            return x
        out = torch.empty(self.shape, dtype=self.dtype, device=x.device, memory_format=self.layout)
        out[:, : x.shape[1]].copy_(x)
        out[:, x.shape[1] :].zero_()
        return out


class Bank:
    """The sources of one spatial size, and the connections that add them up; used up by one forward pass.

    The gradient of x_k needs those of all its readers. Autograd itself sees to that order: `put` and `mix` hand out
    tokens, empty tensors that stand for "source k is in", and each `mix` takes those of the sources it reads; so the
    backward node of source k runs after the nodes of its readers, which leave dy_j in a ledger they share.

    Args:
        gates: (connections, sources); entry (j, k) weighs source k in the j-th of these connections, 0 where unread.
        first: sources put in before the first connection's own; connection j reads sources 0 .. first + j.
        form: of the sums; sources are brought to it.
    """

    def __init__(self, gates: Tensor, first: int, form: Form) -> None:
        self._ledger = _Ledger(gates.detach(), first, form)
        self._opened: Tensor = _Open.apply(self._ledger, gates)
        self._sources: list[Tensor] = []
        self._tokens: list[Tensor] = []

    def put(self, x: Tensor) -> None:
        """Add a source, (N, C, *spatial); channels that it lacks count as zero."""
        aligned = self._ledger.form.align(x.detach())
        token = _Put.apply(self._ledger, len(self._sources), aligned, x, self._opened)
        self._sources.append(aligned)
        self._tokens.append(token)
        self._ledger.waiting += token.requires_grad

    def mix(self, j: int) -> Tensor:
        """Return the j-th connection's sum, (N, channels, *spatial)."""
        count = self._ledger.first + j + 1
        return _Mix.apply(self._ledger, j, self._sources[:count], *self._tokens[:count])


class _Ledger:
    """Gradients that the backward nodes of a bank leave for each other.

    It refers to no node and no source, so that nothing refers in a circle and autograd frees the sources when it is
    done with them.
    """

    def __init__(self, gates: Tensor, first: int, form: Form) -> None:
        self.gates, self.first, self.form = gates, first, form
        self.waiting = 0
        self.grads: dict[int, Tensor] = {}
        self.gate_grads = gates
        self._pass, self._done = -1, 0

    def receive(self, j: int, grad: Tensor) -> None:
        """Keep dy_j for the backward pass under way, and forget what an earlier pass left.

        A graph may be walked again (`retain_graph`), or in part, so that `settle` never came: the number of autograd's
        task tells passes apart.
        """
        task = torch._C._current_graph_task_id()
        if task != self._pass:
            self._pass, self._done, self.grads = task, 0, {}
            self.gate_grads = torch.zeros_like(self.gates)
        self.grads[j] = self.form.align(grad)

    def settle(self) -> None:
        """Count a source that has its gradient; after the last, let go of those of the sums."""
        self._done += 1
        if self._done == self.waiting:
            self.grads = {}


class _Open(torch.autograd.Function):
    """The node that every source depends on, so that in backward it comes last: then all gates have their gradient."""

    @staticmethod
    def forward(ctx: Any, ledger: _Ledger, gates: Tensor) -> Tensor:
        ctx.ledger = ledger
        return gates.new_empty(0)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, _: Tensor) -> tuple[None, Tensor]:
        return None, ctx.ledger.gate_grads


class _Put(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, ledger: _Ledger, k: int, aligned: Tensor, x: Tensor, opened: Tensor) -> Tensor:
        ctx.ledger, ctx.k, ctx.channels, ctx.dtype = ledger, k, x.shape[1], x.dtype
        ctx.save_for_backward(aligned)
        return x.new_empty(0)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, _: Tensor) -> tuple[Tensor | None, ...]:
        ledger, k, (source,) = ctx.ledger, ctx.k, ctx.saved_tensors
        readers = sorted(j for j in ledger.grads if j >= k - ledger.first)  # sorted: sums add up in the same order
        dx = None
        if readers:
            dx, dg = unmix(source, [ledger.grads[j] for j in readers], ledger.gates[readers, k])
            ledger.gate_grads[readers, k] = dg
            dx = dx[:, : ctx.channels].to(ctx.dtype) if ctx.needs_input_grad[3] else None
        ledger.settle()
        return None, None, None, dx, None


class _Mix(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, ledger: _Ledger, j: int, sources: Sequence[Tensor], *tokens: Tensor) -> Tensor:
        ctx.ledger, ctx.j = ledger, j
        return mix(sources, ledger.gates[j, : len(sources)])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[None, ...]:
        ctx.ledger.receive(ctx.j, grad)
        return (None,) * len(ctx.needs_input_grad)  # tokens carry no values, only the order
