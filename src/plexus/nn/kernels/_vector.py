"""Pieces of vector code that no compiler finds by itself, written as LLVM instructions for Numba functions.

Numba sees arrays, and its loops over small tiles are not turned into code that keeps a tile of sums in registers. So
these functions take addresses, and are unrolled here, in Python, while the code is generated: every `for` over rows,
columns or rotations below runs once, at compile time, and leaves straight instructions behind. What is a loop in the
machine is built from blocks and phi nodes by hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba.core import cgutils

from plexus.nn.kernels._ir import (
    BYTES,
    F32,
    I8,
    I32,
    I64,
    LANES,
    SIZE,
    VECTOR,
    WORDS,
    across,
    address_in,
    constant,
    fma,
    instruction,
    load,
    loop,
    masked_row,
    moved,
    new_phi,
    scalar,
    splat,
    store,
)

RING = (0, 1, 2, 5, 8, 7, 6, 3)
"""The taps around a 3x3 kernel, clockwise from the upper left, as places in its rows."""
_CENTRE = 4
_LINE = 64


def product(rows: int, columns: int, *, more: bool) -> Any:
    """Make f(a, a_row, a_step, b, b_step, out, out_row, count): out[r, c] = sum_k a[r, k] b[k, c].

    One tile of `rows` x `columns` vectors stays in registers: a[r, k] is the float at a + r * a_row + k * a_step, b[k]
    is `columns` vectors at b + k * b_step, out[r] as many at out + r * out_row.

    Args:
        rows: of the tile.
        columns: vectors in a row of it.
        more: add to what `out` holds.
    """

    def codegen(context: Any, builder: ir.IRBuilder, signature: Any, args: Sequence[ir.Value]) -> ir.Value:
        a, a_row, a_step, b, b_step, out, out_row, count = args
        cells = [(r, c) for r in range(rows) for c in range(columns)]
        rows_out = [moved(builder, out, out_row, r) for r in range(rows)]
        # the sums live in phi nodes, one for each vector of the tile: LLVM gives each a register
        start = [load(builder, rows_out[r], c) if more else splat(builder, F32(0.0)) for r, c in cells]
        before = builder.block
        body, after = builder.append_basic_block("product"), builder.append_basic_block("stored")
        builder.cbranch(builder.icmp_signed(">", count, I64(0)), body, after)
        builder.position_at_end(body)
        k, a_at, b_at = (new_phi(builder, I64, first, before) for first in (I64(0), a, b))
        sums = [new_phi(builder, VECTOR, value, before) for value in start]
        # rows loads that are spread over all lanes, columns loads of vectors, rows x columns multiply-adds
        left = [splat(builder, scalar(builder, moved(builder, a_at, a_row, r))) for r in range(rows)]
        right = [load(builder, b_at, c) for c in range(columns)]
        new = [fma(builder, left[r], right[c], s) for (r, c), s in zip(cells, sums, strict=True)]
        follow = builder.add(k, I64(1)), builder.add(a_at, a_step), builder.add(b_at, b_step)
        for phi, value in zip([k, a_at, b_at, *sums], [*follow, *new], strict=True):
            phi.add_incoming(value, body)
        builder.cbranch(builder.icmp_signed("<", follow[0], count), body, after)
        builder.position_at_end(after)
        # count may be 0: then what was there at the start is stored
        for (r, c), first, last in zip(cells, start, new, strict=True):
            total = builder.phi(VECTOR)
            total.add_incoming(first, before)
            total.add_incoming(last, body)
            start[r * columns + c] = total
        for (r, c), total in zip(cells, start, strict=True):
            store(builder, total, rows_out[r], c)
        return context.get_dummy_value()

    return instruction(8, codegen)


def best_of(rotations: int) -> Any:
    """Make f(under, bias, y, winner): the largest of all rotations' sums over nine tap maps, plus bias.

    At `under` stand nine addresses of tap maps (9 vectors, in the order of the kernel's rows): those of the pixels
    under the ring's eight positions, clockwise from the upper left, and under the centre. Ring tap q of rotation s lies
    under position q + s * 8 / rotations. `winner` gets LANES bytes: the first best s.
    """
    step = 8 // rotations

    def codegen(context: Any, builder: ir.IRBuilder, signature: Any, args: Sequence[ir.Value]) -> ir.Value:
        under, bias, y, winner = args
        # the centre does not move, so every rotation starts from its tap map; of each pixel around it as many tap maps
        # are read as there are rotations
        sums = [load(builder, address_in(builder, under, 8), _CENTRE)] * rotations
        for r in range(8):
            pixel = address_in(builder, under, r)
            for s in range(rotations):
                sums[s] = builder.fadd(sums[s], load(builder, pixel, RING[(r - s * step) % 8]))
        best, index = sums[0], constant(WORDS, 0)
        for s in range(1, rotations):
            wins = builder.fcmp_ordered(">", sums[s], best)  # strictly: the first of equals stays
            wins = builder.or_(wins, builder.fcmp_unordered("uno", sums[s], sums[s]))  # what is not a number stays seen
            best = builder.select(wins, sums[s], best)
            index = builder.select(wins, constant(WORDS, s), index)
        store(builder, builder.fadd(best, load(builder, bias, 0)), y, 0)
        target = builder.inttoptr(winner, BYTES.as_pointer())
        builder.store(builder.trunc(index, BYTES), target).align = 1
        return context.get_dummy_value()

    return instruction(4, codegen)


def given_back(rotations: int) -> Any:
    """Make f(over, winners, out): the gradient of the nine tap maps at a pixel.

    At `over` and `winners` stand nine addresses of LANES gradients and winners each: those of the output pixels that
    have this pixel under their ring positions, and under their centre. Ring tap q gets the gradient of position r where
    the winner is the rotation that puts q there; the centre tap gets every gradient.
    """
    step = 8 // rotations

    def codegen(context: Any, builder: ir.IRBuilder, signature: Any, args: Sequence[ir.Value]) -> ir.Value:
        over, winners, out = args
        zero = splat(builder, F32(0.0))
        sums: list[Any] = [None] * 8
        for r in range(8):
            g = load(builder, address_in(builder, over, r), 0)
            narrow = builder.load(builder.inttoptr(address_in(builder, winners, r), BYTES.as_pointer()))
            narrow.align = 1
            winner = builder.zext(narrow, WORDS)
            for s in range(rotations):
                q = (r - s * step) % 8
                wins = builder.icmp_signed("==", winner, constant(WORDS, s))
                part = builder.select(wins, g, zero)  # each lane is a kernel, and each may have another winner
                sums[q] = part if sums[q] is None else builder.fadd(sums[q], part)
        for q in range(8):
            store(builder, sums[q], out, RING[q])
        store(builder, load(builder, address_in(builder, over, 8), 0), out, _CENTRE)
        return context.get_dummy_value()

    return instruction(3, codegen)


def gathered(rows: int, columns: int) -> Any:
    """Make f(table, offset, weights, step, count, out, out_row): out[r] = sum_j w[j, r] * x[j].

    x[j] is `columns` vectors at the address that stands at table + 8 j, plus offset; w[j, r] is the float at
    weights + j * step + 4 r; out[r] is as many vectors at out + r * out_row. All sums stay in registers.
    """

    def codegen(context: Any, builder: ir.IRBuilder, signature: Any, args: Sequence[ir.Value]) -> ir.Value:
        table, offset, weights, step, count, out, out_row = args
        cells = [(r, c) for r in range(rows) for c in range(columns)]

        def body(index: ir.Value, sums: Sequence[ir.Value]) -> list[ir.Value]:
            x = builder.add(address_in(builder, builder.add(table, builder.mul(index, I64(8))), 0), offset)
            w = builder.add(weights, builder.mul(index, step))
            vectors = [load(builder, x, c) for c in range(columns)]
            spread = [splat(builder, scalar(builder, builder.add(w, I64(4 * r)))) for r in range(rows)]
            return [fma(builder, spread[r], vectors[c], s) for (r, c), s in zip(cells, sums, strict=True)]

        sums = loop(builder, count, [constant(VECTOR, 0.0)] * len(cells), body)
        for (r, c), total in zip(cells, sums, strict=True):
            store(builder, total, moved(builder, out, out_row, r), c)
        return context.get_dummy_value()

    return instruction(7, codegen)


def scattered(rows: int, columns: int) -> Any:
    """Make f(table, offset, weights, step, count, grad, grad_row, skip): x[j] += sum_r w[j, r] * grad[r].

    The counterpart of `gathered`. The first `skip` lanes of the first vector of each gradient count as 0: a row whose
    length is no multiple of LANES ends with a vector that overlaps the one before.
    """

    def codegen(context: Any, builder: ir.IRBuilder, signature: Any, args: Sequence[ir.Value]) -> ir.Value:
        table, offset, weights, step, count, grad, grad_row, skip = args
        dy = [masked_row(builder, moved(builder, grad, grad_row, r), columns, skip) for r in range(rows)]

        def body(index: ir.Value, _: Sequence[ir.Value]) -> list[ir.Value]:
            x = builder.add(address_in(builder, builder.add(table, builder.mul(index, I64(8))), 0), offset)
            w = builder.add(weights, builder.mul(index, step))
            sums = [load(builder, x, c) for c in range(columns)]
            for r in range(rows):
                spread = splat(builder, scalar(builder, builder.add(w, I64(4 * r))))
                sums = [fma(builder, spread, dy[r][c], s) for c, s in enumerate(sums)]
            for c, total in enumerate(sums):
                store(builder, total, x, c)
            return []

        loop(builder, count, [], body)
        return context.get_dummy_value()

    return instruction(8, codegen)


def dotted(rows: int, columns: int) -> Any:
    """Make f(sources, strides, grad, grad_row, grad_stride, images, vectors, last, skip, out, step).

    out[c, r] += sum over images and pixels of x[c] * grad[r], for `columns` sources. Source c of the first image is at
    the address at sources + 8 c, those of the others follow at the distance that stands at strides + 8 c; gradients
    likewise. Each has so many whole vectors, and one more at the offset `last` unless that is 0, of which the first
    `skip` lanes do not count. out[c, r] is the float at out + c * step + 4 r.
    """

    def codegen(context: Any, builder: ir.IRBuilder, signature: Any, args: Sequence[ir.Value]) -> ir.Value:
        sources, strides, grad, grad_row, grad_stride, images, vectors, last, skip, out, step = args
        cells = [(r, c) for r in range(rows) for c in range(columns)]
        starts = [address_in(builder, sources, c) for c in range(columns)]
        apart = [address_in(builder, strides, c) for c in range(columns)]

        def image(n: ir.Value, sums: Sequence[ir.Value]) -> list[ir.Value]:
            xs = [builder.add(s, builder.mul(a, n)) for s, a in zip(starts, apart, strict=True)]
            first = builder.add(grad, builder.mul(grad_stride, n))
            gs = [moved(builder, first, grad_row, r) for r in range(rows)]

            def at(offset: ir.Value, sums: Sequence[ir.Value], skip: ir.Value | None) -> list[ir.Value]:
                x = [load(builder, builder.add(a, offset), 0) for a in xs]
                g = [masked_row(builder, builder.add(a, offset), 1, skip)[0] for a in gs]
                return [fma(builder, g[r], x[c], s) for (r, c), s in zip(cells, sums, strict=True)]

            def whole(i: ir.Value, sums: Sequence[ir.Value]) -> list[ir.Value]:
                return at(builder.mul(i, I64(SIZE)), sums, None)

            def rest(_: ir.Value, sums: Sequence[ir.Value]) -> list[ir.Value]:
                return at(last, sums, skip)

            once = builder.zext(builder.icmp_signed("!=", last, I64(0)), I64)
            return loop(builder, once, loop(builder, vectors, sums, whole), rest)

        sums = loop(builder, images, [constant(VECTOR, 0.0)] * len(cells), image)
        for (r, c), total in zip(cells, sums, strict=True):
            target = builder.inttoptr(builder.add(moved(builder, out, step, c), I64(4 * r)), F32.as_pointer())
            builder.store(builder.fadd(builder.load(target), across(builder, total)), target)
        return context.get_dummy_value()

    return instruction(11, codegen)


def _touch(context: Any, builder: ir.IRBuilder, signature: Any, args: Sequence[ir.Value]) -> ir.Value:
    address, size = args
    kind = ir.FunctionType(ir.VoidType(), [I8.as_pointer(), I32, I32, I32])
    prefetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")

    def body(index: ir.Value, _: Sequence[ir.Value]) -> list[ir.Value]:
        place = builder.inttoptr(builder.add(address, builder.mul(index, I64(_LINE))), I8.as_pointer())
        # to be read, into the second level: the first holds less than the maps of one image
        builder.call(prefetch, [place, I32(0), I32(2), I32(1)])
        return []

    loop(builder, builder.udiv(size, I64(_LINE)), [], body)
    return context.get_dummy_value()


def _clear(context: Any, builder: ir.IRBuilder, signature: Any, args: Sequence[ir.Value]) -> ir.Value:
    address, size = args
    zero = constant(VECTOR, 0.0)

    def body(index: ir.Value, _: Sequence[ir.Value]) -> list[ir.Value]:
        store(builder, zero, builder.add(address, builder.mul(index, I64(SIZE))), 0)
        return []

    loop(builder, builder.udiv(size, I64(SIZE)), [], body)
    store(builder, zero, builder.add(address, builder.sub(size, I64(SIZE))), 0)
    return context.get_dummy_value()


def _transpose(context: Any, builder: ir.IRBuilder, signature: Any, args: Sequence[ir.Value]) -> ir.Value:
    source, source_row, target, target_row = args
    rows = [load(builder, moved(builder, source, source_row, r), 0) for r in range(LANES)]
    # halves of pairs of rows change places: distance LANES / 2 first, then half of that, down to neighbours
    half = LANES // 2
    while half:
        for i in range(LANES):
            if not i & half:
                top, bottom = rows[i], rows[i + half]
                high = [c if not c & half else LANES + c - half for c in range(LANES)]
                low = [c + half if not c & half else LANES + c for c in range(LANES)]
                rows[i] = builder.shuffle_vector(top, bottom, ir.Constant(WORDS, high))
                rows[i + half] = builder.shuffle_vector(top, bottom, ir.Constant(WORDS, low))
        half //= 2
    for r, row in enumerate(rows):
        store(builder, row, moved(builder, target, target_row, r), 0)
    return context.get_dummy_value()


def _copy(context: Any, builder: ir.IRBuilder, signature: Any, args: Sequence[ir.Value]) -> ir.Value:
    source, target = args
    builder.store(scalar(builder, source), builder.inttoptr(target, F32.as_pointer()))
    return context.get_dummy_value()


transpose = instruction(4, _transpose)
"""f(source, source_row, target, target_row): a square of LANES x LANES floats, rows to columns."""

touch = instruction(2, _touch)
"""f(address, size): ask for so many bytes, which will be read soon."""

clear = instruction(2, _clear)
"""f(address, size): fill so many bytes with zeros, a vector or more."""

copy = instruction(2, _copy)
"""f(source, target): one float."""
