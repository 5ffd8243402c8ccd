"""One pass over memory where torch takes several: weighted sums of many tensors, filters to length 1, their gradients.

The loops themselves are in `_stream_loops`; this side chooses them, finds addresses and shares the work out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from plexus.nn.kernels._threads import in_parts

# below these a thread costs more than it saves
_BLOCKS_WORTH_SHARING = 32  # half a megabyte of results
_WEIGHTS_WORTH_SHARING = 1 << 18  # a megabyte


def mix(tensors: Sequence[Tensor], weights: Tensor) -> Tensor:
    """Add up sum_k weights_k * tensors_k over tensors of one shape, dtype and dense memory layout."""
    out = torch.empty_like(tensors[0])
    if _plain_floats(tensors):
        from plexus.nn.kernels._stream_loops import mix_kernel

        _by_blocks(mix_kernel, out.numel(), _addresses(tensors), weights.float().numpy(), _flat(out))
        return out
    torch.mul(tensors[0], weights[0], out=out)
    for x, w in zip(tensors[1:], weights[1:], strict=True):
        out += x * w
    return out


def unmix(x: Tensor, grads: Sequence[Tensor], weights: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gradients of a source of several mixes, sum_j weights_j * grads_j, and of its weights, <x, grads_j>.

    All `grads`, those of the mixes that read `x`, have its shape, dtype and layout; `weights` is (len(grads),).
    """
    if _plain_floats([x, *grads]):
        from plexus.nn.kernels._stream_loops import BLOCK, unmix_kernel

        out = torch.empty_like(x)
        # one inner product per block, added up here in float64: no bit depends on the number of threads
        partial = np.empty((-(-x.numel() // BLOCK), len(grads)), np.float32)
        _by_blocks(unmix_kernel, x.numel(), _flat(x), _addresses(grads), weights.float().numpy(), _flat(out), partial)
        return out, torch.from_numpy(partial.sum(0, dtype=np.float64)).to(weights.dtype)
    return mix(grads, weights), torch.stack([(x * g).sum(dtype=weights.dtype) for g in grads])


def fusible(*tensors: Tensor) -> bool:
    """Tell whether `unit` and `unit_back` can work on these."""
    return _plain_floats(tensors) and all(t.is_contiguous() for t in tensors)


def unit(weight: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Scale the rows of `weight`, (O, ...), to length 1, and return the lengths, (O,), too.

    A row no longer than eps stays as it is and counts as of length 1.
    """
    from plexus.nn.kernels._stream_loops import unit_kernel

    out, lengths = torch.empty_like(weight), weight.new_empty(len(weight))
    _by_rows(unit_kernel, weight, _rows(weight), eps, _rows(out), lengths.numpy())
    return out, lengths


def unit_back(grad: Tensor, unit: Tensor, lengths: Tensor) -> Tensor:
    """Return (g - u <u, g>) / |w|, row by row."""
    from plexus.nn.kernels._stream_loops import unit_back_kernel

    out = torch.empty_like(grad)
    _by_rows(unit_back_kernel, grad, _rows(grad), _rows(unit), lengths.numpy(), _rows(out))
    return out


def _by_blocks(kernel: Callable[..., None], size: int, *arguments: Any) -> None:
    """Run a kernel over all blocks of so many numbers."""
    from plexus.nn.kernels._stream_loops import BLOCK

    blocks = -(-size // BLOCK)
    most = 1 if blocks < _BLOCKS_WORTH_SHARING else None
    in_parts(lambda part, first, last: kernel(first, last, *arguments), blocks, most=most)


def _by_rows(kernel: Callable[..., None], weight: Tensor, *arguments: Any) -> None:
    """Run a kernel over all rows of a weight."""
    most = 1 if weight.numel() < _WEIGHTS_WORTH_SHARING else None
    in_parts(lambda part, first, last: kernel(first, last, *arguments), len(weight), most=most)


def _plain_floats(tensors: Sequence[Tensor]) -> bool:
    return all(t.device.type == "cpu" and t.dtype == torch.float32 for t in tensors)


def _addresses(tensors: Sequence[Tensor]) -> np.ndarray:
    # Numba takes no lists of arrays without copying them, but it takes numbers
    return np.array([t.data_ptr() for t in tensors], dtype=np.int64)


def _flat(x: Tensor) -> np.ndarray:
    """View a dense tensor of any layout as its numbers in the order in which they lie in memory."""
    return x.detach().as_strided((x.numel(),), (1,)).numpy()


def _rows(x: Tensor) -> np.ndarray:
    return x.detach().flatten(1).numpy()
