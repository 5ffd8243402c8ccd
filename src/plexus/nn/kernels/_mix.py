"""Weighted sums of many tensors, and their gradients, in one pass over memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from plexus.nn.kernels._threads import in_parts

_WORTH_SHARING = 32  # blocks: half a megabyte of results


def mix(tensors: Sequence[Tensor], weights: Tensor) -> Tensor:
    """sum_k weights_k * tensors_k.

    Args:
        tensors: at least one; all of one shape, dtype and dense memory layout.
        weights: (len(tensors),).

    Returns:
        A new tensor of that shape and layout.

    Example:
        >>> mix([torch.ones(2), torch.ones(2)], torch.tensor([0.5, 2.0]))
        tensor([2.5000, 2.5000])
    """
    out = torch.empty_like(tensors[0])
    if _fused(tensors):
        from plexus.nn.kernels._mix_numba import BLOCK, mix_kernel

        _in_parts(mix_kernel, out.numel(), BLOCK, _addresses(tensors), weights.float().numpy(), _flat(out))
        return out
    torch.mul(tensors[0], weights[0], out=out)
    for x, w in zip(tensors[1:], weights[1:], strict=True):
        out += x * w
    return out


def unmix(x: Tensor, grads: Sequence[Tensor], weights: Tensor) -> tuple[Tensor, Tensor]:
    """What a source of several mixes gets back: sum_j weights_j * grads_j, and <x, grads_j> for each j.

    Args:
        x: the source.
        grads: gradients of the mixes that read it; shape, dtype and layout of `x`.
        weights: the weight each of them gave it, (len(grads),).

    Returns:
        The gradient of `x`, and those of its weights, (len(grads),) in the dtype of `weights`.

    Example:
        >>> unmix(torch.tensor([1.0, 2.0]), [torch.tensor([1.0, 1.0])], torch.tensor([0.5]))
        (tensor([0.5000, 0.5000]), tensor([3.]))
    """
    if _fused([x, *grads]):
        from plexus.nn.kernels._mix_numba import BLOCK, unmix_kernel

        out = torch.empty_like(x)
        partial = np.empty((-(-x.numel() // BLOCK), len(grads)), np.float32)
        _in_parts(
            unmix_kernel, x.numel(), BLOCK, _flat(x), _addresses(grads), weights.float().numpy(), _flat(out), partial
        )
        return out, torch.from_numpy(partial.sum(0, dtype=np.float64)).to(weights.dtype)
    return mix(grads, weights), torch.stack([(x * g).sum(dtype=weights.dtype) for g in grads])


def _in_parts(kernel: Callable[..., None], size: int, block: int, *arguments: Any) -> None:
    """Runs a kernel over all blocks, shared out over threads where that pays."""
    blocks = -(-size // block)
    most = 1 if blocks < _WORTH_SHARING else None
    in_parts(lambda part, first, last: kernel(first, last, *arguments), blocks, most=most)


def _fused(tensors: Sequence[Tensor]) -> bool:
    return tensors[0].device.type == "cpu" and all(t.dtype == torch.float32 for t in tensors)


def _addresses(tensors: Sequence[Tensor]) -> np.ndarray:
    return np.array([t.data_ptr() for t in tensors], dtype=np.int64)


def _flat(x: Tensor) -> np.ndarray:
    return x.detach().as_strided((x.numel(),), (1,)).numpy()
