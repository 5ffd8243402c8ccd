"""The loops of `mix` and `unmix`: block by block, so that a block of the result stays in the first-level cache."""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np
from numba import types
from numba.extending import intrinsic

BLOCK = 4096  # floats: 16 KiB, half of a common first-level cache


def _to_pointer(typing: Any, address: Any) -> Any:
    signature = types.CPointer(types.float32)(types.int64)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], context.get_value_type(types.CPointer(types.float32)))

    return signature, codegen


_pointer: Any = intrinsic(_to_pointer)


@nb.njit(fastmath=True, nogil=True, cache=True)
def mix_kernel(first: int, last: int, sources: np.ndarray, weights: np.ndarray, out: np.ndarray) -> None:
    size = out.shape[0]
    for block in range(first, last):
        low = block * BLOCK
        high = min(size, low + BLOCK)
        y = out[low:high]
        y[:] = 0.0
        for k in range(len(sources)):
            x = nb.carray(_pointer(sources[k]), size)[low:high]
            w = weights[k]
            for i in range(high - low):
                y[i] += w * x[i]


@nb.njit(fastmath=True, nogil=True, cache=True)
def unmix_kernel(
    first: int, last: int, x: np.ndarray, grads: np.ndarray, weights: np.ndarray, out: np.ndarray, partial: np.ndarray
) -> None:
    size = out.shape[0]
    for block in range(first, last):
        low = block * BLOCK
        high = min(size, low + BLOCK)
        dx, here = out[low:high], x[low:high]
        dx[:] = 0.0
        for j in range(len(grads)):
            dy = nb.carray(_pointer(grads[j]), size)[low:high]
            w = weights[j]
            inner = np.float32(0.0)
            for i in range(high - low):
                dx[i] += w * dy[i]
                inner += here[i] * dy[i]
            partial[block, j] = inner
