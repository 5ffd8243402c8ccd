"""Weighted sums over a growing list of sources, each source and each gradient read once per use.

Connection j of a supernet adds up y_j = sum_k g_jk x_k over all sources k so far. Done naively, autograd writes
g_jk dy_j for every edge and adds it to the gradient of x_k: about four passes over memory per edge. A bank holds on to
the sources of one spatial size and to the incoming gradients, so that

    y_j = sum_k g_jk x_k        dx_k = sum_j g_jk dy_j        dg_jk = <x_k, dy_j>

are one pass forward and one backward. The order this needs (the gradients of all readers of x_k before that of x_k) is
what autograd guarantees along the tokens, empty tensors that stand for "source k is in".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from plexus.nn.kernels import mix, unmix


class Bank:
    """The sources of one spatial size, and the connections that add them up.

    Args:
        gates: (connections, sources); entry (j, k) weighs source k in the j-th of these connections, 0 where unread.
        first: sources put in before the first connection's own; connection j reads sources 0 .. first + j.
        like: maps (N, channels, *spatial) that set shape, memory layout, dtype and device.
    """

    def __init__(self, gates: Tensor, first: int, like: Tensor) -> None:
        self._shelf = _Shelf(gates.detach().to(like.dtype), first, like.detach())
        self._opened: Tensor = _Open.apply(self._shelf, gates)
        self._tokens: list[Tensor] = []

    def put(self, x: Tensor) -> None:
        """Adds a source, (N, C, *spatial); maps that it lacks count as zero."""
        self._tokens.append(_Put.apply(self._shelf, x, self._opened))

    def mix(self, j: int) -> Tensor:
        """The j-th connection's sum, (N, channels, *spatial)."""
        return _Mix.apply(self._shelf, j, *self._tokens[: self._shelf.first + j + 1])  # type: ignore[no-any-return]


class _Shelf:
    """What the nodes of a bank share; it holds no tensor with a history, so that nothing refers in a circle."""

    def __init__(self, gates: Tensor, first: int, like: Tensor) -> None:
        self.gates, self.first = gates, first
        self.like = like if _dense(like) else like.contiguous()
        self.sources: list[Tensor] = []
        self.grads: dict[int, Tensor] = {}
        self.gate_grads = torch.zeros_like(gates)
        self._pass = -1

    def aligned(self, x: Tensor) -> Tensor:
        """`x` in the shelf's shape and memory layout: itself if it has them already."""
        if x.shape == self.like.shape and x.stride() == self.like.stride() and x.dtype == self.like.dtype:
            return x
        out = torch.empty_like(self.like)
        out[:, : x.shape[1]].copy_(x)
        out[:, x.shape[1] :].zero_()
        return out

    def receive(self, j: int, grad: Tensor) -> None:
        """Keeps dy_j for the backward pass under way; what an earlier pass left is forgotten."""
        task = torch._C._current_graph_task_id()
        if task != self._pass:
            self._pass, self.grads = task, {}
            self.gate_grads = torch.zeros_like(self.gates)
        self.grads[j] = self.aligned(grad)


class _Open(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, bank: _Shelf, gates: Tensor) -> Tensor:
        ctx.bank, ctx.dtype = bank, gates.dtype
        return gates.new_empty(0)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, _: Tensor) -> tuple[None, Tensor]:
        ctx.bank.grads = {}
        return None, ctx.bank.gate_grads.to(ctx.dtype)


class _Put(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, bank: _Shelf, x: Tensor, opened: Tensor) -> Tensor:
        ctx.bank, ctx.k, ctx.channels, ctx.dtype = bank, len(bank.sources), x.shape[1], x.dtype
        bank.sources.append(bank.aligned(x.detach()))
        return x.new_empty(0)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, _: Tensor) -> tuple[None, Tensor | None, None]:
        bank, k = ctx.bank, ctx.k
        readers = sorted(j for j in bank.grads if j >= k - bank.first)
        if not readers:
            return None, None, None
        dx, dg = unmix(bank.sources[k], [bank.grads[j] for j in readers], bank.gates[readers, k])
        bank.gate_grads[readers, k] = dg.to(bank.gate_grads.dtype)
        return None, dx[:, : ctx.channels].to(ctx.dtype) if ctx.needs_input_grad[1] else None, None


class _Mix(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, bank: _Shelf, j: int, *tokens: Tensor) -> Tensor:
        ctx.bank, ctx.j = bank, j
        return mix(bank.sources[: len(tokens)], bank.gates[j, : len(tokens)])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[None, ...]:
        ctx.bank.receive(ctx.j, grad)
        return (None,) * len(ctx.needs_input_grad)


def _dense(x: Tensor) -> bool:
    layouts = {4: [torch.channels_last], 5: [torch.channels_last_3d]}.get(x.dim(), [])
    return any(x.is_contiguous(memory_format=layout) for layout in [torch.contiguous_format, *layouts])


def gate_matrix(rows: Sequence[Tensor]) -> Tensor:
    """Gates of successive connections, (k,) each, as one matrix padded with zeros to the longest."""
    return torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True)
