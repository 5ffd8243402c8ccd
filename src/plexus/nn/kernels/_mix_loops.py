# mypy: disable-error-code="no-untyped-def"
"""The loops of sparse mixes: groups of target maps that read the same sources, tile by tile of pixels.

A tile is some rows (target maps) times some vectors of pixels; its sums stay in registers while the sources of the
group pass by, so that a source is read once for all rows. A map is a row of pixels without gaps; the maps of one image
lie anywhere: tables of addresses say where.
"""

from __future__ import annotations

import numpy as np

from plexus.compiled import compiled
from plexus.nn.kernels._ir import LANES, REGISTERS
from plexus.nn.kernels._vector import clear, dotted, gathered, scattered, touch

_VECTOR = 4 * LANES
_TALL = 8 if REGISTERS == 32 else 4  # rows of the tallest tile: 8 x 3 + 3 + 1 = 28 of 32 registers, 4 x 3 + 3 + 1 of 16
# images are taken together for the gradient of the weights until each row of a source has so many vectors: at the end
# of a row the lanes of all sums are added up, which takes as long as some ten vectors
_ROW = 64

_tall3, _tall2, _tall1 = (gathered(_TALL, c) for c in (3, 2, 1))
_one3, _one2, _one1 = (gathered(1, c) for c in (3, 2, 1))
_back_tall3, _back_tall2, _back_tall1 = (scattered(_TALL, c) for c in (3, 2, 1))
_back_one3, _back_one2, _back_one1 = (scattered(1, c) for c in (3, 2, 1))
_dot_tall3, _dot_tall1, _dot_one3, _dot_one1 = (dotted(r, c) for r in (_TALL, 1) for c in (3, 1))


@compiled()
def places(sources):
    """Return the address of every map in the first image, and the bytes to the same map in the next image.

    Args:
        sources: (K, 4): the address of each, floats from map to map and from image to image, and the number of maps.
    """
    maps, strides = np.empty(sources[:, 3].sum(), np.int64), np.empty(sources[:, 3].sum(), np.int64)
    c = 0
    for address, row, apart, count in sources:
        for i in range(count):
            maps[c], strides[c] = address + 4 * row * i, 4 * apart
            c += 1
    return maps, strides


@compiled()
def pack(weight, mask, starts, columns, packed):
    """Bring a weight (M, C) into the order (edges, share): group by group, edge by edge.

    Args:
        weight: (M, C).
        mask: (T, C); what is not 0 is an edge.
        starts: (T + 1,), written: the first edge of each group.
        columns: (edges,), written: the source map of each edge.
        packed: (edges, share), written.
    """
    share, edge = packed.shape[1], 0
    for t in range(len(mask)):
        starts[t] = edge
        for c in range(mask.shape[1]):
            if mask[t, c] != 0:
                columns[edge] = c
                for r in range(share):
                    packed[edge, r] = weight[t * share + r, c] * mask[t, c]
                edge += 1
    starts[len(mask)] = edge


@compiled()
def unpack(packed, mask, weight):
    """Go back from the gradient of `packed` to that of a weight full of zeros."""
    share, edge = packed.shape[1], 0
    for t in range(len(mask)):
        for c in range(mask.shape[1]):
            if mask[t, c] != 0:
                for r in range(share):
                    weight[t * share + r, c] = packed[edge, r] * mask[t, c]
                edge += 1


@compiled()
def forward(first, last, maps, strides, pixels, starts, columns, packed, out):
    """Set y[n, t * share + r] = sum_j packed[j, r] * x[n, columns[j]] over the edges j of group t.

    Args:
        first, last: images.
        maps: (C,), the address of every source map in the first image.
        strides: (C,), the bytes from there to the same map in the next image.
        pixels: of a map, LANES or more.
        starts, columns, packed: see `pack`.
        out: the address of y, (N, T * share, pixels) without gaps.
    """
    groups, share = len(starts) - 1, packed.shape[1]
    row, step = pixels * 4, share * 4
    table, read = np.empty(len(columns) + 1, np.int64), _read(columns, len(maps))
    for n in range(first, last):
        for c in read:
            touch(maps[c] + n * strides[c], row)
        for j in range(len(columns)):
            table[j] = maps[columns[j]] + n * strides[columns[j]]
        for t in range(groups):
            at, count = table.ctypes.data + starts[t] * 8, starts[t + 1] - starts[t]
            r = 0
            while r < share:
                weights, target = (
                    packed.ctypes.data + starts[t] * step + r * 4,
                    out + ((n * groups + t) * share + r) * row,
                )
                tall, i = share - r >= _TALL, 0
                while i < row - _VECTOR + 1:
                    wide = _width(row - i)
                    _gather(tall, wide, at, i, weights, step, count, target + i, row)
                    i += wide * _VECTOR
                if i < row:  # some pixels of the last vector once more
                    i = row - _VECTOR
                    _gather(tall, 1, at, i, weights, step, count, target + i, row)
                r += _TALL if tall else 1
    _hold(table, packed)


@compiled()
def backward(first, last, maps, strides, pixels, starts, columns, packed, fresh, grad):
    """Add sum_r packed[j, r] * dy[n, t * share + r] to dx[n, columns[j]] for every edge j.

    Args:
        first, last: images.
        maps: (C,), the address of the gradient of every source map in the first image; 0 where none is wanted.
        strides, pixels: as in `forward`.
        starts, columns, packed: see `pack`.
        fresh: (C,), gradients that hold nothing yet: they start at 0.
        grad: the address of dy, (N, T * share, pixels) without gaps.
    """
    groups, share = len(starts) - 1, packed.shape[1]
    row, step = pixels * 4, share * 4
    # the edges whose source wants a gradient, with their weights
    begin, wanted, weight, edges = np.zeros_like(starts), np.empty_like(columns), np.empty_like(packed), 0
    for t in range(groups):
        for j in range(starts[t], starts[t + 1]):
            if maps[columns[j]] != 0:
                wanted[edges], weight[edges] = columns[j], packed[j]
                edges += 1
        begin[t + 1] = edges
    table, read = np.empty(edges + 1, np.int64), _read(wanted[:edges], len(maps))
    for n in range(first, last):
        for c in read:
            if fresh[c]:
                clear(maps[c] + n * strides[c], row)
            else:
                touch(maps[c] + n * strides[c], row)
        for j in range(edges):
            table[j] = maps[wanted[j]] + n * strides[wanted[j]]
        for t in range(groups):
            at, count = table.ctypes.data + begin[t] * 8, begin[t + 1] - begin[t]
            r = 0
            while r < share:
                weights, source = (
                    weight.ctypes.data + begin[t] * step + r * 4,
                    grad + ((n * groups + t) * share + r) * row,
                )
                tall, i = share - r >= _TALL, 0
                while i < row - _VECTOR + 1:
                    wide = _width(row - i)
                    _scatter(tall, wide, at, i, weights, step, count, source + i, row, 0)
                    i += wide * _VECTOR
                if i < row:
                    skip, i = LANES - (row - i) // 4, row - _VECTOR
                    _scatter(tall, 1, at, i, weights, step, count, source + i, row, skip)
                r += _TALL if tall else 1
    _hold(table, weight)


@compiled()
def weigh(first, last, maps, strides, pixels, images, starts, columns, grad, packed):
    """Set packed[j, r] = sum over images and pixels of x[columns[j]] * dy[t * share + r] for the edges j of group t.

    Groups, not images, are shared out: so the order of no sum depends on the number of threads.

    Args:
        first, last: groups.
        maps, strides, pixels: as in `forward`.
        images: N.
        starts, columns: see `pack`.
        grad: the address of dy, as in `backward`.
        packed: (edges, share), written.
    """
    groups, share = len(starts) - 1, packed.shape[1]
    row, step, apart = pixels * 4, share * 4, groups * share * pixels * 4
    whole, left = pixels // LANES, pixels % LANES
    tail, skip = (row - _VECTOR, LANES - left) if left else (0, 0)
    together = -(-_ROW // whole)
    begin, end = starts[first], starts[last]
    table, steps, read = np.empty(end + 1, np.int64), np.empty(end + 1, np.int64), _read(columns[begin:end], len(maps))
    packed[begin:end] = 0.0
    for n in range(0, images, together):
        count = min(together, images - n)
        for c in read:
            for m in range(n, n + count):
                touch(maps[c] + m * strides[c], row)
        for j in range(begin, end):
            table[j], steps[j] = maps[columns[j]] + n * strides[columns[j]], strides[columns[j]]
        for t in range(first, last):
            r = 0
            while r < share:
                source, tall, j = grad + ((n * groups + t) * share + r) * row, share - r >= _TALL, starts[t]
                while j < starts[t + 1]:
                    at, by, to = (
                        table.ctypes.data + j * 8,
                        steps.ctypes.data + j * 8,
                        packed.ctypes.data + j * step + r * 4,
                    )
                    wide = 3 if starts[t + 1] - j >= 3 else 1
                    _dot(tall, wide, at, by, source, row, apart, count, whole, tail, skip, to, step)
                    j += wide
                r += _TALL if tall else 1
    _hold(table, steps)


@compiled()
def _gather(tall, wide, at, offset, weights, step, count, target, row):
    if tall:
        if wide == 3:
            _tall3(at, offset, weights, step, count, target, row)
        elif wide == 2:
            _tall2(at, offset, weights, step, count, target, row)
        else:
            _tall1(at, offset, weights, step, count, target, row)
    elif wide == 3:
        _one3(at, offset, weights, step, count, target, row)
    elif wide == 2:
        _one2(at, offset, weights, step, count, target, row)
    else:
        _one1(at, offset, weights, step, count, target, row)


@compiled()
def _scatter(tall, wide, at, offset, weights, step, count, source, row, skip):
    if tall:
        if wide == 3:
            _back_tall3(at, offset, weights, step, count, source, row, skip)
        elif wide == 2:
            _back_tall2(at, offset, weights, step, count, source, row, skip)
        else:
            _back_tall1(at, offset, weights, step, count, source, row, skip)
    elif wide == 3:
        _back_one3(at, offset, weights, step, count, source, row, skip)
    elif wide == 2:
        _back_one2(at, offset, weights, step, count, source, row, skip)
    else:
        _back_one1(at, offset, weights, step, count, source, row, skip)


@compiled()
def _dot(tall, wide, at, by, source, row, apart, count, whole, tail, skip, to, step):
    if tall and wide == 3:
        _dot_tall3(at, by, source, row, apart, count, whole, tail, skip, to, step)
    elif tall:
        _dot_tall1(at, by, source, row, apart, count, whole, tail, skip, to, step)
    elif wide == 3:
        _dot_one3(at, by, source, row, apart, count, whole, tail, skip, to, step)
    else:
        _dot_one1(at, by, source, row, apart, count, whole, tail, skip, to, step)


@compiled()
def _width(left):
    """Return the vectors of the next tile: three, but two and two of four."""
    vectors = left // _VECTOR
    return 2 if vectors == 4 else min(vectors, 3)


@compiled()
def _read(columns, size):
    """List the maps that edges read, each once."""
    used = np.zeros(size, np.bool_)
    for c in columns:
        used[c] = True
    return np.nonzero(used)[0]


@compiled()
def _hold(a, b):
    """Keep alive what is read by address, if called last: Numba frees an array once its name is not used any more."""
    return len(a) + len(b)
