# mypy: disable-error-code="no-untyped-def"
"""Filters to length 1 and their gradient, filter by filter while it lies in the first-level cache."""

from __future__ import annotations

import numba as nb
import numpy as np


@nb.njit(fastmath={"reassoc", "contract", "nsz", "arcp"}, error_model="numpy", nogil=True, cache=True)
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


@nb.njit(fastmath={"reassoc", "contract", "nsz", "arcp"}, error_model="numpy", nogil=True, cache=True)
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
