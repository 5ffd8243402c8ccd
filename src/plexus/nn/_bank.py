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
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from plexus.nn._weighted import layouts
from plexus.nn.kernels import mix, unmix


class Form(NamedTuple):
    """Shape, dtype and dense memory layout that all maps in a bank share."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    layout: torch.memory_format

    @classmethod
    def of(cls, x: Tensor, channels: int) -> Form:
        """The form of maps like these, but so many."""
        dense = [layout for layout in layouts(x.dim()) if x.is_contiguous(memory_format=layout)]
        return cls((x.shape[0], channels, *x.shape[2:]), x.dtype, dense[0] if dense else torch.contiguous_format)

    def align(self, x: Tensor) -> Tensor:
        """`x` in this form, missing maps as zero: itself if it has the form already."""
        if x.shape == self.shape and x.dtype == self.dtype and x.is_contiguous(memory_format=self.layout):
            return x
        out = torch.empty(self.shape, dtype=self.dtype, device=x.device, memory_format=self.layout)
        out[:, : x.shape[1]].copy_(x)
        out[:, x.shape[1] :].zero_()
        return out


class Bank:
    """The sources of one spatial size, and the connections that add them up; used up by one forward pass.

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
        """Adds a source, (N, C, *spatial); maps that it lacks count as zero."""
        aligned = self._ledger.form.align(x.detach())
        token = _Put.apply(self._ledger, len(self._sources), aligned, x, self._opened)
        self._sources.append(aligned)
        self._tokens.append(token)
        self._ledger.waiting += token.requires_grad

    def mix(self, j: int) -> Tensor:
        """The j-th connection's sum, (N, channels, *spatial)."""
        count = self._ledger.first + j + 1
        return _Mix.apply(self._ledger, j, self._sources[:count], *self._tokens[:count])


class _Ledger:
    """What the backward passes of a bank's nodes share.

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
        """Keeps dy_j for the backward pass under way; what an earlier pass left is forgotten."""
        task = torch._C._current_graph_task_id()
        if task != self._pass:
            self._pass, self._done, self.grads = task, 0, {}
            self.gate_grads = torch.zeros_like(self.gates)
        self.grads[j] = self.form.align(grad)

    def settle(self) -> None:
        """One more source has its gradient; after the last, those of the sums are let go."""
        self._done += 1
        if self._done == self.waiting:
            self.grads = {}


class _Open(torch.autograd.Function):
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
        readers = sorted(j for j in ledger.grads if j >= k - ledger.first)
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
        return (None,) * len(ctx.needs_input_grad)


def gate_matrix(rows: Sequence[Tensor]) -> Tensor:
    """Gates of successive connections, (k,) each, as one matrix padded with zeros to the longest."""
    return torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True)
