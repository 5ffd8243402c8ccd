"""Mixes of feature maps by sparse signed matrices, y = G cat(x_1, ..., x_K), without the concatenation.

`mix` does one. A `MixBank` does all mixes of a net that read sources of one spatial size, since each source is read by
many: a concatenation for each would copy, and autograd add up, every source once for every reader. A bank holds on to
the sources and to their gradients, to which each reader adds what it read, tile by tile, and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from plexus.errors import ConfigError
from plexus.nn._sums import may_fuse
from plexus.nn.kernels import Edges, gather, mixable, scatter, weigh

_ROWS = 8
"""Target maps for which the loops read a source once."""


def mix(sources: Sequence[Tensor], weight: Tensor, mask: Tensor, bank: MixBank | None = None) -> Tensor:
    """Mix the maps of several sources by a sparse signed matrix, as a 1x1 convolution of all of them would.

    y_m = sum_c mask_tc weight_mc x_c over all maps c of all sources, where t is the group of target map m: groups are
    runs of M / T target maps and share their sources. On the CPU, in float32 and channels first, only what the mask
    leaves is computed, forward and backward, and nothing is concatenated; the number of threads changes no bit.

    Args:
        sources: feature maps of one spatial size, each (N, C_k, *spatial).
        weight: (M, sum C_k).
        mask: (T, sum C_k), T a divisor of M; 0 where a group does not read a map.
        bank: that of earlier mixes of the first of these sources, where several mixes read them; the others join it.

    Returns:
        (N, M, *spatial).

    Raises:
        ConfigError: sources, weight and mask that do not fit each other.

    Source: sparse 1x1 convolutions channels first (Elsen et al. 2019, Fast Sparse ConvNets); groups that share their
    sources (Huang et al. 2018, CondenseNet).

    Example:
        >>> x, weight = [torch.ones(1, 2, 4, 4), torch.ones(1, 1, 4, 4)], torch.tensor([[1.0, 2.0, 3.0]])
        >>> mix(x, weight, torch.tensor([[1.0, 0.0, 1.0]]))[0, 0, 0]
        tensor([4., 4., 4., 4.])
    """
    bank = MixBank() if bank is None else bank
    for x in sources[len(bank) :]:
        bank.put(x)
    return bank.mix(weight, mask)


class MixBank:
    """The sources of one spatial size and the mixes that read them; used up by one forward pass.

    The gradient of a source needs those of all its readers. Autograd itself sees to that order: `put` makes a token,
    an empty tensor that stands for "source k is in", and each `mix` takes the tokens of what it reads; so the backward
    node of source k runs after the nodes of its readers, which add to dx_k in a ledger they share.

    Example:
        >>> bank, sources = MixBank(), [torch.ones(1, 3, 4, 4)]
        >>> sources.append(mix(sources, torch.ones(8, 3), torch.ones(1, 3), bank))
        >>> mix(sources, torch.ones(8, 11), torch.ones(1, 11), bank).shape, len(bank)
        (torch.Size([1, 8, 4, 4]), 2)
    """

    def __init__(self) -> None:
        self._given: list[Tensor] = []
        self._sources: list[Tensor] = []
        self._tokens: list[Tensor] = []
        self._ledger = _Ledger()
        self._fused = may_fuse()

    def __len__(self) -> int:
        return len(self._given)

    def put(self, x: Tensor) -> None:
        """Add a source.

        Args:
            x: feature maps, (N, C, *spatial), not to be changed until the backward pass is over.
        """
        k = len(self._given)
        self._given.append(x)
        if self._fused and x.device.type == "cpu":
            x = x.contiguous()
        self._fused = self._fused and mixable(x)
        if self._fused:
            self._ledger.ends.append(self._ledger.ends[-1] + x.shape[1])
            self._sources.append(x.detach())
            self._tokens.append(_Put.apply(self._ledger, k, x))

    def mix(self, weight: Tensor, mask: Tensor) -> Tensor:
        """Mix all sources so far, as `plexus.nn.functional.mix` does.

        Args:
            weight: (M, sum C_k).
            mask: (T, sum C_k).

        Returns:
            (N, M, *spatial).

        Raises:
            ConfigError: sources, weight and mask that do not fit each other.
        """
        _check(self._given, weight, mask)
        if self._fused and weight.device.type == "cpu" and weight.dtype == torch.float32:
            weight, mask = _in_tiles(weight, mask)
            return _Mix.apply(self._ledger, weight, mask, *self._sources, *self._tokens)
        share = len(weight) // len(mask)
        kernel = weight * mask.to(weight.dtype).repeat_interleave(share, 0)
        joined = torch.cat(self._given, 1)
        conv = {3: F.conv1d, 4: F.conv2d, 5: F.conv3d}[joined.dim()]
        return conv(joined, kernel.view(*kernel.shape, *[1] * (joined.dim() - 2)))


def _in_tiles(weight: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Put groups of few target maps together as long as most of what either reads, both do.

    The loops read a source once for all maps of a group, which for single ones takes three times as long for an edge;
    so edges of weight 0 are cheaper until half is cut.
    """
    groups, share = len(mask), len(weight) // len(mask)
    for together in (_ROWS // share, _ROWS // share // 2):
        if together > 1 and groups % together == 0:
            joined = mask.unflatten(0, (-1, together)).ne(0).any(1)
            if 2 * int(mask.count_nonzero()) > together * int(joined.count_nonzero()):
                whole = bool(mask.eq(1).all())
                return (weight if whole else weight * mask.to(weight.dtype).repeat_interleave(share, 0)), joined
            break
    return weight, mask


def _check(sources: Sequence[Tensor], weight: Tensor, mask: Tensor) -> None:
    """Refuse what the loops, which work on addresses, must never see."""
    shapes = [tuple(x.shape) for x in sources]
    ends = [(*s[:1], *s[2:]) for s in shapes]
    # compared, not hashed: while a program is exported, the number of images is a symbol
    if not shapes or any(end != ends[0] for end in ends) or not 3 <= len(shapes[0]) <= 5:
        raise ConfigError(f"mix: expected sources of one batch and spatial size, (N, C, *spatial) each, got {shapes}")
    total = sum(s[1] for s in shapes)
    if weight.dim() != 2 or mask.dim() != 2 or weight.shape[1] != total or mask.shape[1] != total:
        raise ConfigError(
            f"mix: sources of {total} maps need a weight (M, {total}) and a mask (T, {total}), "
            f"got {tuple(weight.shape)} and {tuple(mask.shape)}"
        )
    if not len(mask) or len(weight) % len(mask):
        raise ConfigError(f"mix: {len(mask)} groups do not divide {len(weight)} target maps evenly")


class _Ledger:
    """Gradients of the sources, to which the backward nodes of a bank's mixes add.

    It refers to no node and no source, so that nothing refers in a circle and autograd frees the sources when it is
    done with them.
    """

    def __init__(self) -> None:
        self.ends = [0]  # of the sources' maps, in the order of all
        self._pass, self._grads = -1, dict[int, Tensor]()
        self._fresh = np.empty(0, np.bool_)

    def open(self) -> np.ndarray:
        """Return which maps have no gradient yet in the backward pass under way, and forget what an earlier pass left.

        A graph may be walked again (`retain_graph`), or in part: the number of autograd's task tells passes apart.
        """
        task = torch._C._current_graph_task_id()
        if task != self._pass:
            self._pass, self._grads, self._fresh = task, {}, np.ones(self.ends[-1], np.bool_)
        return self._fresh

    def of(self, k: int, like: Tensor) -> Tensor:
        """Return dx_k, after `open`."""
        if k not in self._grads:
            self._grads[k] = torch.empty_like(like)
        return self._grads[k]

    def take(self, k: int) -> Tensor | None:
        """Return dx_k, which nobody needs any more; None if no mix came before in this pass."""
        if torch._C._current_graph_task_id() != self._pass or k not in self._grads:
            return None
        grad, fresh = self._grads.pop(k), self._fresh[self.ends[k] : self.ends[k + 1]]
        for c in fresh.nonzero()[0].tolist():  # nobody read these
            grad[:, c] = 0
        return grad


class _Put(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, ledger: _Ledger, k: int, x: Tensor) -> Tensor:
        ctx.ledger, ctx.k, ctx.shape = ledger, k, x.shape
        return x.new_empty(0)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        dx = ctx.ledger.take(ctx.k)
        # zeros, not None: a layer that nobody reads trains on as it does in torch, with weight decay and momentum
        return None, None, grad.new_zeros(ctx.shape) if dx is None else dx


class _Mix(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, ledger: _Ledger, weight: Tensor, mask: Tensor, *tensors: Tensor) -> Tensor:
        sources = tensors[: len(tensors) // 2]
        ctx.ledger, ctx.edges = ledger, Edges.of(weight.contiguous(), mask.float().contiguous())
        ctx.save_for_backward(mask, *sources)
        return gather(sources, ctx.edges)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        mask, *sources = ctx.saved_tensors
        edges, grad, wanted = ctx.edges, grad.contiguous(), ctx.needs_input_grad[-len(sources) :]
        if any(wanted):
            fresh = ctx.ledger.open()[: ctx.ledger.ends[len(sources)]]
            into = [ctx.ledger.of(k, x) if wanted[k] else x.shape[1] for k, x in enumerate(sources)]
            scatter(grad, edges, into, fresh)
        dweight = weigh(sources, grad, edges, mask.float().contiguous()) if ctx.needs_input_grad[1] else None
        return None, dweight, *(None,) * (len(ctx.needs_input_grad) - 2)
