# mypy: disable-error-code="no-untyped-def"
"""The Numba loops behind `_streams`: block by block or filter by filter, so that what is written stays in the cache.

Ranges come from outside and no loop is parallel itself: `_threads` says why.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np
from numba import types
from numba.extending import intrinsic

from plexus.compiled import compiled

BLOCK = 4096  # floats: 16 KiB, half of a common first-level cache

# Sums may be reordered, or LLVM would not vectorise them. `fastmath=True` also promises that no NaN and no infinity
# come; sums and products let them through all the same, so that a run that diverges is seen (a test watches this).
# Comparisons and divisions might not: their loops do without that promise.
REORDERED = {"reassoc", "contract", "nsz", "arcp"}


def _to_pointer(typing: Any, address: Any) -> Any:
    signature = types.CPointer(types.float32)(types.int64)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], context.get_value_type(types.CPointer(types.float32)))

    return signature, codegen


_pointer: Any = intrinsic(_to_pointer)


@compiled(fastmath=True)
def mix_kernel(first, last, sources, weights, out):
    """Add up weights[k] times the numbers at address sources[k], for blocks first .. last of `out`."""
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


@compiled(fastmath=True)
def unmix_kernel(first, last, x, grads, weights, out, partial):
    """Add up weights[j] times the gradient at address grads[j], and put each block's <x, gradient j> into `partial`."""
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
            for i in range(high - low):  # each gradient is read once, for both
                dx[i] += w * dy[i]
                inner += here[i] * dy[i]
            partial[block, j] = inner


@compiled(fastmath=REORDERED, error_model="numpy")
def unit_kernel(first, last, weight, eps, unit, lengths):
    """u = w / |w| for rows first .. last; a row no longer than eps stays as it is and counts as of length 1."""
    for o in range(first, last):
        w, u = weight[o], unit[o]
        square = np.float32(0.0)
        for i in range(len(w)):
            square += w[i] * w[i]
        length = np.sqrt(square)
        if length <= eps:
            length = np.float32(1.0)
        lengths[o] = length
        scale = np.float32(1.0) / length
        for i in range(len(w)):
            u[i] = w[i] * scale


@compiled(fastmath=REORDERED, error_model="numpy")
def unit_back_kernel(first, last, grad, unit, lengths, out):
    """(g - u <u, g>) / |w| for rows first .. last."""
    for o in range(first, last):
        g, u, to = grad[o], unit[o], out[o]
        along = np.float32(0.0)
        for i in range(len(g)):
            along += g[i] * u[i]
        scale = np.float32(1.0) / lengths[o]
        for i in range(len(g)):
            to[i] = (g[i] - u[i] * along) * scale
