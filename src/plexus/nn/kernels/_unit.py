"""Filters to length 1 in one pass over memory, and their gradient in another."""

from __future__ import annotations

import torch
from torch import Tensor

from plexus.nn.kernels._threads import in_parts

_WORTH_SHARING = 1 << 18  # weights: a megabyte


def fusible(*tensors: Tensor) -> bool:
    """Whether the loops can work on these."""
    return all(t.device.type == "cpu" and t.dtype == torch.float32 and t.is_contiguous() for t in tensors)


def unit(weight: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Rows of `weight`, (O, ...), at length 1, and the lengths, (O,); 1 for a row no longer than eps, which stays.

    Example:
        >>> unit(torch.tensor([[3.0, 4.0]]), 1e-8)
        (tensor([[0.6000, 0.8000]]), tensor([5.]))
    """
    from plexus.nn.kernels._unit_numba import unit_kernel

    out, lengths = torch.empty_like(weight), weight.new_empty(len(weight))
    given = (_rows(weight), eps, _rows(out), lengths.numpy())
    _shared(weight, lambda part, first, last: unit_kernel(first, last, *given))
    return out, lengths


def unit_back(grad: Tensor, unit: Tensor, lengths: Tensor) -> Tensor:
    """(g - u <u, g>) / |w|, row by row.

    Example:
        >>> unit_back(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.6, 0.8]]), torch.tensor([5.0]))
        tensor([[ 0.1280, -0.0960]])
    """
    from plexus.nn.kernels._unit_numba import unit_back_kernel

    out = torch.empty_like(grad)
    given = (_rows(grad), _rows(unit), lengths.numpy(), _rows(out))
    _shared(grad, lambda part, first, last: unit_back_kernel(first, last, *given))
    return out


def _shared(weight: Tensor, kernel) -> None:  # type: ignore[no-untyped-def]
    in_parts(kernel, len(weight), most=1 if weight.numel() < _WORTH_SHARING else None)


def _rows(x: Tensor):  # type: ignore[no-untyped-def]
    return x.detach().flatten(1).numpy()
