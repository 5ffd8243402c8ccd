"""Sparse mixes of many tensors' maps, and their gradients, without a concatenation: addresses, parts of the work.

The loops themselves are in `_mix_loops`.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

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
    from plexus.nn.kernels._ir import LANES

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
    out = x.new_empty(x.shape[0], target, *x.shape[2:])
    call = (*_addresses(sources), pixels, *edges, out.data_ptr())
    in_parts(lambda part, first, last: forward(first, last, *call), x.shape[0])
    return out


def scatter(grad: Tensor, edges: Edges, into: Sequence[Tensor | int], fresh: np.ndarray) -> None:
    """dx[n, columns[j]] += sum_r packed[j, r] * dy[n, t * share + r].

    Args:
        grad: dy, (N, T * share, *spatial), `mixable`.
        edges: as in `gather`.
        into: dx of each source, (N, C_k, *spatial); or C_k where none is wanted.
        fresh: (sum C_k,): gradients of maps that hold nothing yet. Those of the edges do so afterwards.
    """
    from plexus.nn.kernels._mix_loops import backward

    call = (*_addresses(into), _pixels(grad), *edges, fresh, grad.data_ptr())
    in_parts(lambda part, first, last: backward(first, last, *call), grad.shape[0])
    fresh[edges.columns] = False


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


def _addresses(tensors: Sequence[Tensor | int]) -> Any:
    """Return the address of every map in the first image, and the bytes to the same map in the next image.

    Maps of which only the number is given have the address 0.
    """
    from plexus.nn.kernels._mix_loops import places

    rows = [
        (0, 0, 0, x) if isinstance(x, int) else (x.data_ptr(), x.stride(1), x.stride(0), x.shape[1]) for x in tensors
    ]
    return places(np.array(rows, np.int64))
