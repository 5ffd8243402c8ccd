"""Sparse mixes of many tensors' maps, and their gradients, without a concatenation: addresses, parts of the work.

The loops themselves are in `_mix_loops`.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from plexus.nn.kernels._threads import in_parts


class Edges(NamedTuple):
    """Edges of a mix, group by group: `starts` (T + 1,), `columns` (edges,), `packed` weights (edges, share)."""

    starts: np.ndarray
    columns: np.ndarray
    packed: np.ndarray

    @classmethod
    def of(cls, weight: Tensor, mask: Tensor) -> Edges:
        """Pack a weight (M, C) with its mask (T, C); M is a multiple of T."""
        from plexus.nn.kernels._mix_loops import pack

        edges = int(torch.count_nonzero(mask))
        starts, columns = np.empty(len(mask) + 1, np.int64), np.empty(edges, np.int64)
        packed = np.empty((edges, len(weight) // len(mask)), np.float32)
        pack(weight.detach().numpy(), mask.detach().numpy(), starts, columns, packed)
        return cls(starts, columns, packed)


def mixable(x: Tensor) -> bool:
    """Tell whether the loops can work on maps, (N, C, *spatial)."""
    from plexus.nn.kernels._vector import LANES

    # tensors of other types may have no memory at all
    plain = (
        type(x) in (Tensor, torch.nn.Parameter)
        and x.device.type == "cpu"
        and x.dtype == torch.float32
        and x.is_contiguous()
    )
    return plain and x.numel() > 0 and _pixels(x) >= LANES


def gather(sources: Sequence[Tensor], edges: Edges) -> Tensor:
    """y[n, t * share + r] = sum_j packed[j, r] * x[n, columns[j]] over the edges j of group t.

    Args:
        sources: (N, C_k, *spatial), all `mixable`.
        edges: of sum C_k source maps.
    """
    from plexus.nn.kernels._mix_loops import forward

    x = sources[0]
    pixels, target = _pixels(x), (len(edges.starts) - 1) * edges.packed.shape[1]
    out = x.new_empty(len(x), target, *x.shape[2:])
    call = (*_addresses(sources), pixels, *edges, out.data_ptr())
    in_parts(lambda part, first, last: forward(first, last, *call), len(x))
    return out


def scatter(grad: Tensor, edges: Edges, into: Sequence[Tensor | int], fresh: Sequence[np.ndarray]) -> None:
    """dx[n, columns[j]] += sum_r packed[j, r] * dy[n, t * share + r].

    Args:
        grad: dy, (N, T * share, *spatial), `mixable`.
        edges: as in `gather`.
        into: dx of each source, (N, C_k, *spatial); or C_k where none is wanted.
        fresh: (C_k,) for each source: gradients of maps that hold nothing yet. Those written to are so no more.
    """
    from plexus.nn.kernels._mix_loops import backward

    flags = np.concatenate(fresh)
    call = (*_addresses(into), _pixels(grad), *edges, flags, grad.data_ptr())
    in_parts(lambda part, first, last: backward(first, last, *call), len(grad))
    flags[edges.columns] = False
    ends = np.cumsum([len(own) for own in fresh])
    for own, now in zip(fresh, np.split(flags, ends[:-1]), strict=True):
        own[:] = now


def weigh(sources: Sequence[Tensor], grad: Tensor, edges: Edges, mask: Tensor) -> Tensor:
    """Return the gradient of the weight, (M, C): sum over images and pixels of x * dy for each edge, 0 elsewhere."""
    from plexus.nn.kernels._mix_loops import unpack
    from plexus.nn.kernels._mix_loops import weigh as kernel

    packed = np.empty_like(edges.packed)
    groups = len(mask)
    call = (*_addresses(sources), _pixels(grad), len(grad), edges.starts, edges.columns, grad.data_ptr(), packed)
    in_parts(lambda part, first, last: kernel(first, last, *call), groups)
    out = torch.zeros(grad.shape[1], mask.shape[1])
    unpack(packed, mask.detach().numpy(), out.numpy())
    return out


def _pixels(x: Tensor) -> int:
    return prod(x.shape[2:])


def _addresses(tensors: Sequence[Tensor | int]) -> tuple[np.ndarray, np.ndarray]:
    """Return the address of every map in the first image, 0 for those of a mere number of maps, and the bytes to the
    same map in the next image."""
    maps, strides = [], []
    for x in tensors:
        if isinstance(x, int):
            maps.append(np.zeros(x, np.int64))
            strides.append(np.zeros(x, np.int64))
            continue
        row = x.stride(1) * 4
        maps.append(x.data_ptr() + row * np.arange(x.shape[1], dtype=np.int64))
        strides.append(np.full(x.shape[1], x.stride(0) * 4, np.int64))
    return np.concatenate(maps), np.concatenate(strides)
