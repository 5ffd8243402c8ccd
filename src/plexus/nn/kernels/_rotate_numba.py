# mypy: disable-error-code="no-untyped-def"
"""The loops of rotation-max convolutions with 3x3 kernels over units of one image and LANES kernels.

Tap maps come as vectors over kernels, nine at every pixel in the order of the kernel's rows. A band of rows is worked
on at a time, so that its tap maps stay in the second-level cache.
"""

from __future__ import annotations

import numba as nb
import numpy as np

from plexus.compiled import compiled
from plexus.nn.kernels._ir import LANES, REGISTERS
from plexus.nn.kernels._vector import RING, best_of, copy, given_back, product, transpose

_TAPS = 9 * LANES  # floats at a pixel
_ROW = 4 * _TAPS
_VECTOR = 4 * LANES
_CACHE = 96 * 1024  # floats of a band: 384 KiB
_UP, _LEFT = tuple(q // 3 for q in RING), tuple(q % 3 for q in RING)

# rows of the tiles with three and with four vectors: all sums of a tile, its vectors and one spread float must fit the
# registers (8 x 3 + 3 + 1 = 28 and 6 x 4 + 4 + 1 = 29 of 32; 4 x 3 + 3 + 1 = 16 and 2 x 4 + 4 + 1 = 13 of 16)
_TALL, _DEEP = (8, 6) if REGISTERS == 32 else (4, 2)
_tall, _short = product(_TALL, 3, more=False), product(1, 3, more=False)
_tall_more, _short_more = product(_TALL, 3, more=True), product(1, 3, more=True)
_wide = {(r, c): product(r, c, more=True) for r in (_DEEP, 1) for c in (4, 2, 1)}
_deep4, _deep2, _deep1 = (_wide[_DEEP, c] for c in (4, 2, 1))
_one4, _one2, _one1 = (_wide[1, c] for c in (4, 2, 1))
_best8, _best4 = best_of(8), best_of(4)
_back8, _back4 = given_back(8), given_back(4)


@compiled()
def pack(weight, kernels, taps):
    """Bring kernels (O, C, 3, 3) at an address into the order (blocks, C, 9, LANES)."""
    length = taps.shape[1] * 9
    for block in range(len(taps)):
        lanes, source = min(LANES, kernels - block * LANES), weight + block * LANES * length * 4
        if lanes < LANES:
            taps[block] = 0.0
        _move(source, length * 4, 4, taps[block].ctypes.data, 4, _VECTOR, lanes, length)


@compiled()
def unpack(taps, kernels, weight):
    """Go back from what `pack` made."""
    length = taps.shape[1] * 9
    for block in range(len(taps)):
        lanes, target = min(LANES, kernels - block * LANES), weight + block * LANES * length * 4
        _move(taps[block].ctypes.data, _VECTOR, 4, target, 4, length * 4, length, lanes)


@compiled()
def turn(taps, turned):
    """Bring packed kernels (blocks, C, 9, LANES) into the order (blocks, 9, LANES, C rounded up to LANES)."""
    channels, padded = taps.shape[1], turned.shape[3]
    for block in range(len(taps)):
        if padded > channels:
            turned[block] = 0.0
        _move(taps[block].ctypes.data, _ROW, 4, turned[block].ctypes.data, 4, padded * 4, channels, _TAPS)


@compiled()
def forward(first, last, x, x_at, taps, bias, shape, rotations, y, y_at, winner):
    """Compute y and winner of units first .. last.

    Args:
        first, last: units; unit u is image u // blocks and kernels (u % blocks) * LANES onwards.
        x: the address of the input; x_at: its strides in bytes, (N, C, pixel).
        taps: (blocks, C, 9, LANES), see `pack`.
        bias: (blocks, LANES).
        shape: C, H, W, O, H', W', then stride, padding, dilation, two each.
        y: the address of the output; y_at: its strides in bytes, (N, O, pixel).
        winner: (N, at least blocks, H' * W', LANES) uint8.
    """
    channels, height, width, kernels, rows, columns, down, right, top, left, tall, wide = shape
    blocks = len(taps)
    fit = max(2 * tall + 1, _CACHE // (width * _TAPS))  # rows of tap maps that fit
    band = max(1, min(rows, (fit - 2 * tall - 1) // down + 1))
    room = min(height, (band - 1) * down + 2 * tall + 1)
    z = np.empty((room, width, _TAPS), np.float32)
    nothing = np.zeros(_TAPS, np.float32)
    out = np.empty((band * columns, LANES), np.float32)
    up, across = np.array(_UP), np.array(_LEFT)
    at = np.empty(9, np.int64)
    under, void = at.ctypes.data, nothing.ctypes.data
    for unit in range(first, last):
        n, block = unit // blocks, unit % blocks
        here, weights, offset = x + n * x_at[0], taps[block].ctypes.data, bias[block].ctypes.data
        low = high = 0  # rows of tap maps in z
        for start in range(0, rows, band):
            stop = min(rows, start + band)
            want = max(0, start * down - top)
            end = max(want, min(height, (stop - 1) * down - top + 2 * tall + 1))
            if low < want < high:  # the last rows of one band are the first of the next
                for i in range(want, high):
                    z[i - want] = z[i - low]
            fresh = max(want, min(high, end)) if start > 0 else want
            low, high = want, end
            begin, count = fresh * width, (end - fresh) * width
            target = z.ctypes.data + (fresh - low) * width * _ROW
            source = here + begin * x_at[2]
            _fill(source, x_at[2], x_at[1], weights, target, count, channels, False)
            # tap maps are there; now every output gathers the nine pixels under its ring, or zeros outside the image
            won = winner[n, block].ctypes.data + start * columns * LANES
            for i in range(start, stop):
                for j in range(columns):
                    for r in range(9):
                        a, b = (1, 1) if r == 8 else (up[r], across[r])
                        ii, jj = i * down - top + a * tall, j * right - left + b * wide
                        inside = 0 <= ii < height and 0 <= jj < width
                        at[r] = z.ctypes.data + ((ii - low) * width + jj) * _ROW if inside else void
                    p = (i - start) * columns + j
                    to, note = out.ctypes.data + p * _VECTOR, won + p * LANES
                    if rotations == 8:
                        _best8(under, offset, to, note)
                    else:
                        _best4(under, offset, to, note)
            put = y + n * y_at[0] + block * LANES * y_at[1] + start * columns * y_at[2]
            lanes = min(LANES, kernels - block * LANES)
            _move(out.ctypes.data, _VECTOR, 4, put, y_at[2], y_at[1], (stop - start) * columns, lanes)
    _hold(z, out, nothing, at)


@compiled()
def backward(first, last, g, g_at, winner, x, x_at, taps, shape, rotations, gx, gx_at, gtaps):
    """Compute the gradients of images first .. last.

    Images, not units, are shared out: all blocks of kernels add to the gradient of one image.

    Args:
        first, last: images.
        g: the address of the output's gradient; g_at: its strides in bytes, (N, O, pixel).
        winner: as `forward` left it.
        x, x_at, shape: as in `forward`.
        taps: (blocks, 9, LANES, C rounded up to LANES), see `turn`; none where the input needs no gradient.
        gx: the address of the input's gradient; gx_at: its strides in bytes.
        gtaps: (blocks, C, 9, LANES), to which the gradient of the taps is added; none where it is not needed.
    """
    channels, height, width, kernels, rows, columns, down, right, top, left, tall, wide = shape
    blocks, outs = -(-kernels // LANES), rows * columns
    band = max(1, min(height, _CACHE // (width * _TAPS)))
    gz = np.empty((band * width, _TAPS), np.float32)
    own = np.zeros((outs + 1, LANES), np.float32)  # the last row stays 0
    nobody = np.zeros(LANES, np.uint8)
    padded = taps.shape[3]
    sums = np.empty((height * width, padded), np.float32)
    up, across = np.array(_UP), np.array(_LEFT)
    at, won = np.empty(9, np.int64), np.empty(9, np.int64)
    over, chosen = at.ctypes.data, won.ctypes.data
    for n in range(first, last):
        sums[:] = 0.0
        for block in range(blocks):
            lanes = min(LANES, kernels - block * LANES)
            if lanes < LANES:  # the block before left its gradients in the lanes that nobody fills now
                own[:] = 0.0
            source = g + n * g_at[0] + block * LANES * g_at[1]
            _move(source, g_at[1], g_at[2], own.ctypes.data, 4, _VECTOR, lanes, outs)
            winners = winner[n, block].ctypes.data
            for start in range(0, height, band):
                stop = min(height, start + band)
                for i in range(start, stop):
                    for j in range(width):
                        for r in range(9):  # which output had this pixel under position r, if its stride landed there
                            a, b = (1, 1) if r == 8 else (up[r], across[r])
                            ii, jj = i + top - a * tall, j + left - b * wide
                            inside = ii >= 0 and jj >= 0 and ii % down == 0 and jj % right == 0
                            ii, jj = ii // down, jj // right
                            if inside and ii < rows and jj < columns:
                                at[r] = own.ctypes.data + (ii * columns + jj) * _VECTOR
                                won[r] = winners + (ii * columns + jj) * LANES
                            else:
                                at[r], won[r] = own.ctypes.data + outs * _VECTOR, nobody.ctypes.data
                        to = gz.ctypes.data + ((i - start) * width + j) * _ROW
                        if rotations == 8:
                            _back8(over, chosen, to)
                        else:
                            _back4(over, chosen, to)
                count, source = (stop - start) * width, gz.ctypes.data
                pixel = x + n * x_at[0] + start * width * x_at[2]
                if len(gtaps):
                    _fill(pixel, x_at[1], x_at[2], source, gtaps[block].ctypes.data, channels, count, True)
                if len(taps):
                    _grow(source, count, taps[block].ctypes.data, sums.ctypes.data + start * width * padded * 4, padded)
        if len(taps):
            row = 4 * padded
            _move(sums.ctypes.data, row, 4, gx + n * gx_at[0], gx_at[2], gx_at[1], height * width, channels)
    _hold(gz, own, sums, at)
    _hold(won, nobody, won, won)


@compiled()
def _fill(a, a_row, a_step, b, out, rows, count, more):
    """Set out (rows, 9 LANES) = a (rows, count) times b (count, 9 LANES), or += with `more`, in three vectors."""
    for c in range(0, _ROW, 3 * _VECTOR):
        r = 0
        while r < rows:
            source, target = a + r * a_row, out + r * _ROW + c
            many = r + _TALL <= rows
            if many and more:
                _tall_more(source, a_row, a_step, b + c, _ROW, target, _ROW, count)
            elif many:
                _tall(source, a_row, a_step, b + c, _ROW, target, _ROW, count)
            elif more:
                _short_more(source, a_row, a_step, b + c, _ROW, target, _ROW, count)
            else:
                _short(source, a_row, a_step, b + c, _ROW, target, _ROW, count)
            r += _TALL if many else 1


@compiled()
def _grow(a, count, b, out, padded):
    """Add a (count, 9 LANES) times b (9 LANES, padded) to out (count, padded).

    Every tile is a function of its own, and Numba cannot choose functions from a table: hence the branches.
    """
    row, c = padded * 4, 0
    while c < padded:
        left = (padded - c) // LANES
        vectors = 4 if left >= 4 else 2 if left >= 2 else 1
        p = 0
        while p < count:
            source, target = a + p * _ROW, out + p * row + c * 4
            many = p + _DEEP <= count
            if vectors == 4:
                if many:
                    _deep4(source, _ROW, 4, b + c * 4, row, target, row, _TAPS)
                else:
                    _one4(source, _ROW, 4, b + c * 4, row, target, row, _TAPS)
            elif vectors == 2:
                if many:
                    _deep2(source, _ROW, 4, b + c * 4, row, target, row, _TAPS)
                else:
                    _one2(source, _ROW, 4, b + c * 4, row, target, row, _TAPS)
            elif many:
                _deep1(source, _ROW, 4, b + c * 4, row, target, row, _TAPS)
            else:
                _one1(source, _ROW, 4, b + c * 4, row, target, row, _TAPS)
            p += _DEEP if many else 1
        c += vectors * LANES


@compiled()
def _move(source, source_row, source_column, target, target_row, target_column, rows, columns):
    """Copy rows x columns floats; strides are in bytes. Where rows become columns it goes square by square."""
    tall = wide = 0
    if source_column == 4 and target_row == 4:
        tall, wide = rows // LANES * LANES, columns // LANES * LANES
        for r in range(0, tall, LANES):
            for c in range(0, wide, LANES):
                a, b = source + r * source_row + c * 4, target + r * 4 + c * target_column
                transpose(a, source_row, b, target_column)
    for r in range(rows):
        for c in range(wide if r < tall else 0, columns):
            copy(source + r * source_row + c * source_column, target + r * target_row + c * target_column)


@nb.njit(nogil=True)
def _hold(a, b, c, d):
    """Keep alive what is read by address, if called last: Numba frees an array once its name is not used any more."""
    return len(a) + len(b) + len(c) + len(d)
