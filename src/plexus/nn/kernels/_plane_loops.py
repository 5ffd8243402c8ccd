# mypy: disable-error-code="no-untyped-def"
"""Loops over planes, the maps of single images: depthwise 3x3 convolutions with batch norm and ReLU, pooling by 2.

A plane is worked on while it is in the first-level cache. With zeros before and behind it, and masks for what comes in
from the other side of a row, a 3x3 convolution is one loop over all pixels in the order of memory, without a case for
any border and whatever the width.
"""

from __future__ import annotations

import numpy as np

from plexus.compiled import compiled
from plexus.nn.kernels._convolve import convolve as _convolve
from plexus.nn.kernels._convolve import convolve_back as _convolve_back
from plexus.nn.kernels._convolve import move as _move
from plexus.nn.kernels._stream_loops import REORDERED


@compiled(fastmath=REORDERED, error_model="numpy")
def convolve(first, last, x, weight, width, z, means, squares):
    """Convolve planes first .. last, and note of each result the mean and the sum of squared deviations.

    Args:
        first, last: planes.
        x: (planes, pixels); plane p is that of channel p % len(weight).
        weight: (C, 9).
        width: of a plane.
        z: (planes, pixels), written.
        means, squares: (planes,), written.
    """
    pixels = x.shape[1]
    room, left, right = _room(pixels, width)
    plane = room[width + 1 :]
    for p in range(first, last):
        w, to, size = weight[p % len(weight)], z[p], pixels * 4
        _move(x[p].ctypes.data, plane.ctypes.data, size)
        _convolve(room.ctypes.data, width * 4, w.ctypes.data, left.ctypes.data, right.ctypes.data, to.ctypes.data, size)
        total = np.float32(0.0)
        for k in range(pixels):
            total += to[k]
        mean = total / np.float32(pixels)
        square = np.float32(0.0)
        for k in range(pixels):
            square += (to[k] - mean) * (to[k] - mean)
        means[p], squares[p] = mean, square
    _hold(room, left, right)


@compiled(fastmath=REORDERED, error_model="numpy")
def scale(first, last, z, factor, offset, relu, y):
    """Set y = factor * z + offset, or 0 where that is less and `relu`, for planes first .. last.

    Args:
        first, last: planes.
        z: (planes, pixels).
        factor, offset: (C,).
        relu: whether to cut off at 0.
        y: (planes, pixels), written.
    """
    zero = np.float32(0.0)
    for p in range(first, last):
        c = p % len(factor)
        a, b, source, to = factor[c], offset[c], z[p], y[p]
        if relu:
            for k in range(len(to)):
                value = a * source[k] + b
                to[k] = zero if value < zero else value  # so that what is not a number stays seen
        else:
            for k in range(len(to)):
                to[k] = a * source[k] + b


@compiled(fastmath=REORDERED, error_model="numpy")
def sums(first, last, grad, z, factor, offset, mean, relu, straight, inner):
    """Note the sum of each plane's gradient behind the ReLU, and that of its products with z - mean.

    Args:
        first, last: planes.
        grad, z: (planes, pixels).
        factor, offset, mean: (C,).
        relu: whether there is one.
        straight, inner: (planes,), written.
    """
    zero = np.float32(0.0)
    for p in range(first, last):
        c = p % len(factor)
        a, b, m, g, source = factor[c], offset[c], mean[c], grad[p], z[p]
        total, product = zero, zero
        for k in range(len(g)):
            here = zero if relu and a * source[k] + b <= zero else g[k]
            total += here
            product += here * (source[k] - m)
        straight[p], inner[p] = total, product


@compiled(fastmath=REORDERED, error_model="numpy")
def convolve_back(first, last, grad, x, z, weight, width, factor, offset, mean, constant, slope, relu, dx, dweight):
    """Compute the gradients of planes first .. last and of the kernels that made z of them.

    That of z is factor * (gradient behind the ReLU) - constant - slope * (z - mean).

    Args:
        first, last: planes.
        grad, x, z: (planes, pixels).
        weight: (C, 9).
        width: of a plane.
        factor, offset, mean, constant, slope: (C,).
        relu: whether there is one.
        dx: (planes, pixels), written.
        dweight: (planes, 9), written.
    """
    pixels, zero = x.shape[1], np.float32(0.0)
    room, left, right = _room(pixels, width)
    inside = room[width + 1 :]
    for p in range(first, last):
        n = p % len(weight)
        s, t, m, u, v, incoming, source = factor[n], offset[n], mean[n], constant[n], slope[n], grad[p], z[p]
        for k in range(pixels):
            here = zero if relu and s * source[k] + t <= zero else incoming[k]
            inside[k] = s * here - u - v * (source[k] - m)
        masks, own = (left.ctypes.data, right.ctypes.data), dweight[p].ctypes.data
        to = x[p].ctypes.data, dx[p].ctypes.data, own
        _convolve_back(room.ctypes.data, width * 4, weight[n].ctypes.data, *masks, *to, pixels * 4)
    _hold(room, left, right)


@compiled()
def largest(first, last, x, y, winner):
    """Take the largest of every square of 2x2 pixels, and note which it was: the first of equals.

    Args:
        first, last: planes.
        x: (planes, H, W).
        y: (planes, H // 2, W // 2), written.
        winner: like y, of bytes, written.
    """
    for p in range(first, last):
        for i in range(y.shape[1]):
            top, bottom, to, note = x[p, 2 * i], x[p, 2 * i + 1], y[p, i], winner[p, i]
            for j in range(len(to)):
                a, b, c, d = top[2 * j], top[2 * j + 1], bottom[2 * j], bottom[2 * j + 1]
                high = a if (a > b) | (a != a) else b  # what is not a number stays seen
                low = c if (c > d) | (c != c) else d
                to[j] = high if (high > low) | (high != high) else low
            for j in range(len(to)):
                most = to[j]
                which = 2 if bottom[2 * j] == most else 3
                which = 1 if top[2 * j + 1] == most else which
                note[j] = 0 if top[2 * j] == most else which


@compiled()
def largest_back(first, last, grad, winner, dx):
    """Give the gradients of the largest back to where they were.

    Args:
        first, last: planes.
        grad: (planes, H // 2, W // 2).
        winner: see `largest`.
        dx: (planes, H, W), written.
    """
    zero = np.float32(0.0)
    for p in range(first, last):
        if dx.shape[1] % 2 or dx.shape[2] % 2:
            dx[p] = zero
        for i in range(grad.shape[1]):
            g, which, top, bottom = grad[p, i], winner[p, i], dx[p, 2 * i], dx[p, 2 * i + 1]
            for j in range(len(g)):
                top[2 * j] = g[j] if which[j] == 0 else zero
                top[2 * j + 1] = g[j] if which[j] == 1 else zero
                bottom[2 * j] = g[j] if which[j] == 2 else zero
                bottom[2 * j + 1] = g[j] if which[j] == 3 else zero


@compiled()
def average(first, last, x, y):
    """Take the mean of every square of 2x2 pixels.

    Args:
        first, last: planes.
        x: (planes, H, W).
        y: (planes, H // 2, W // 2), written.
    """
    quarter = np.float32(0.25)
    for p in range(first, last):
        for i in range(y.shape[1]):
            top, bottom, to = x[p, 2 * i], x[p, 2 * i + 1], y[p, i]
            for j in range(len(to)):
                to[j] = quarter * ((top[2 * j] + top[2 * j + 1]) + (bottom[2 * j] + bottom[2 * j + 1]))


@compiled()
def average_back(first, last, grad, dx):
    """Spread the gradients of the means.

    Args:
        first, last: planes.
        grad: (planes, H // 2, W // 2).
        dx: (planes, H, W), written.
    """
    quarter = np.float32(0.25)
    for p in range(first, last):
        if dx.shape[1] % 2 or dx.shape[2] % 2:
            dx[p] = np.float32(0.0)
        for i in range(grad.shape[1]):
            g, top, bottom = grad[p, i], dx[p, 2 * i], dx[p, 2 * i + 1]
            for j in range(len(g)):
                value = quarter * g[j]
                top[2 * j] = value
                top[2 * j + 1] = value
                bottom[2 * j] = value
                bottom[2 * j + 1] = value


@compiled()
def _room(pixels, width):
    """Make room for a plane, with zeros before and behind, and the masks of its first and last column."""
    left, right = np.full(pixels, -1, np.int32), np.full(pixels, -1, np.int32)
    left[::width] = 0
    right[width - 1 :: width] = 0
    return np.zeros(pixels + 2 * width + 2, np.float32), left, right


@compiled()
def _hold(a, b, c):
    """Keep alive what is read by address, if called last: Numba frees an array once its name is not used any more."""
    return len(a) + len(b) + len(c)
