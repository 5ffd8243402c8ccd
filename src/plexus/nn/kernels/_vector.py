"""Pieces of vector code that no compiler finds by itself, written as LLVM instructions for Numba functions.

A vector holds LANES floats. Addresses are int64 and count bytes; memory needs no alignment.

Numba sees arrays, and its loops over small tiles are not turned into code that keeps a tile of sums in registers. So
these functions take addresses, and are unrolled here, in Python, while the code is generated: every `for` over rows,
columns or rotations below runs once, at compile time, and leaves straight instructions behind. What is a loop in the
machine is built from blocks and phi nodes by hand.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import llvmlite.binding
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_FEATURES = os.environ.get("NUMBA_CPU_FEATURES") or llvmlite.binding.get_host_cpu_features().flatten()
# NUMBA_CPU_FEATURES is how a test, or somebody with a fleet of unlike machines, asks for the code of another processor
LANES = 16 if "+avx512f" in _FEATURES else 8 if "+avx" in _FEATURES else 4
REGISTERS = 32 if LANES == 16 or "+neon" in _FEATURES else 16

RING = (0, 1, 2, 5, 8, 7, 6, 3)
"""The taps around a 3x3 kernel, clockwise from the upper left, as places in its rows."""
_CENTRE = 4

_F32, _I8, _I32, _I64 = ir.FloatType(), ir.IntType(8), ir.IntType(32), ir.IntType(64)
_VECTOR, _BYTES, _WORDS = ir.VectorType(_F32, LANES), ir.VectorType(_I8, LANES), ir.VectorType(_I32, LANES)
_SIZE = 4 * LANES
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
        kind = ir.FunctionType(_VECTOR, [_VECTOR] * 3)
        fma = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fmuladd.v{LANES}f32")
        cells = [(r, c) for r in range(rows) for c in range(columns)]
        rows_out = [_moved(builder, out, out_row, r) for r in range(rows)]
        # the sums live in phi nodes, one for each vector of the tile: LLVM gives each a register
        start = [_load(builder, rows_out[r], c) if more else _splat(builder, _F32(0.0)) for r, c in cells]
        before = builder.block
        body, after = builder.append_basic_block("product"), builder.append_basic_block("stored")
        builder.cbranch(builder.icmp_signed(">", count, _I64(0)), body, after)
        builder.position_at_end(body)
        k, a_at, b_at = (_phi(builder, _I64, first, before) for first in (_I64(0), a, b))
        sums = [_phi(builder, _VECTOR, value, before) for value in start]
        # rows loads that are spread over all lanes, columns loads of vectors, rows x columns multiply-adds
        left = [_splat(builder, _scalar(builder, _moved(builder, a_at, a_row, r))) for r in range(rows)]
        right = [_load(builder, b_at, c) for c in range(columns)]
        new = [builder.call(fma, [left[r], right[c], s]) for (r, c), s in zip(cells, sums, strict=True)]
        follow = builder.add(k, _I64(1)), builder.add(a_at, a_step), builder.add(b_at, b_step)
        for phi, value in zip([k, a_at, b_at, *sums], [*follow, *new], strict=True):
            phi.add_incoming(value, body)
        builder.cbranch(builder.icmp_signed("<", follow[0], count), body, after)
        builder.position_at_end(after)
        # count may be 0: then what was there at the start is stored
        for (r, c), first, last in zip(cells, start, new, strict=True):
            total = builder.phi(_VECTOR)
            total.add_incoming(first, before)
            total.add_incoming(last, body)
            start[r * columns + c] = total
        for (r, c), total in zip(cells, start, strict=True):
            _store(builder, total, rows_out[r], c)
        return context.get_dummy_value()

    return _instruction(8, codegen)


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
        sums = [_load(builder, _address(builder, under, 8), _CENTRE)] * rotations
        for r in range(8):
            pixel = _address(builder, under, r)
            for s in range(rotations):
                sums[s] = builder.fadd(sums[s], _load(builder, pixel, RING[(r - s * step) % 8]))
        best, index = sums[0], _constant(_WORDS, 0)
        for s in range(1, rotations):
            wins = builder.fcmp_ordered(">", sums[s], best)  # strictly: the first of equals stays
            wins = builder.or_(wins, builder.fcmp_unordered("uno", sums[s], sums[s]))  # what is not a number stays seen
            best = builder.select(wins, sums[s], best)
            index = builder.select(wins, _constant(_WORDS, s), index)
        _store(builder, builder.fadd(best, _load(builder, bias, 0)), y, 0)
        target = builder.inttoptr(winner, _BYTES.as_pointer())
        builder.store(builder.trunc(index, _BYTES), target).align = 1
        return context.get_dummy_value()

    return _instruction(4, codegen)


def given_back(rotations: int) -> Any:
    """Make f(over, winners, out): the gradient of the nine tap maps at a pixel.

    At `over` and `winners` stand nine addresses of LANES gradients and winners each: those of the output pixels that
    have this pixel under their ring positions, and under their centre. Ring tap q gets the gradient of position r where
    the winner is the rotation that puts q there; the centre tap gets every gradient.
    """
    step = 8 // rotations

    def codegen(context: Any, builder: ir.IRBuilder, signature: Any, args: Sequence[ir.Value]) -> ir.Value:
        over, winners, out = args
        zero = _splat(builder, _F32(0.0))
        sums: list[Any] = [None] * 8
        for r in range(8):
            g = _load(builder, _address(builder, over, r), 0)
            narrow = builder.load(builder.inttoptr(_address(builder, winners, r), _BYTES.as_pointer()))
            narrow.align = 1
            winner = builder.zext(narrow, _WORDS)
            for s in range(rotations):
                q = (r - s * step) % 8
                wins = builder.icmp_signed("==", winner, _constant(_WORDS, s))
                part = builder.select(wins, g, zero)  # each lane is a kernel, and each may have another winner
                sums[q] = part if sums[q] is None else builder.fadd(sums[q], part)
        for q in range(8):
            _store(builder, sums[q], out, RING[q])
        _store(builder, _load(builder, _address(builder, over, 8), 0), out, _CENTRE)
        return context.get_dummy_value()

    return _instruction(3, codegen)


def gathered(rows: int, columns: int) -> Any:
    """Make f(table, offset, weights, step, count, out, out_row): out[r] = sum_j w[j, r] * x[j].

    x[j] is `columns` vectors at the address that stands at table + 8 j, plus offset; w[j, r] is the float at
    weights + j * step + 4 r; out[r] is as many vectors at out + r * out_row. All sums stay in registers.
    """

    def codegen(context: Any, builder: ir.IRBuilder, signature: Any, args: Sequence[ir.Value]) -> ir.Value:
        table, offset, weights, step, count, out, out_row = args
        cells = [(r, c) for r in range(rows) for c in range(columns)]

        def body(index: ir.Value, sums: Sequence[ir.Value]) -> list[ir.Value]:
            x = builder.add(_address(builder, builder.add(table, builder.mul(index, _I64(8))), 0), offset)
            w = builder.add(weights, builder.mul(index, step))
            vectors = [_load(builder, x, c) for c in range(columns)]
            spread = [_splat(builder, _scalar(builder, builder.add(w, _I64(4 * r)))) for r in range(rows)]
            return [_fma(builder, spread[r], vectors[c], s) for (r, c), s in zip(cells, sums, strict=True)]

        sums = _loop(builder, count, [_constant(_VECTOR, 0.0)] * len(cells), body)
        for (r, c), total in zip(cells, sums, strict=True):
            _store(builder, total, _moved(builder, out, out_row, r), c)
        return context.get_dummy_value()

    return _instruction(7, codegen)


def scattered(rows: int, columns: int) -> Any:
    """Make f(table, offset, weights, step, count, grad, grad_row, skip): x[j] += sum_r w[j, r] * grad[r].

    The counterpart of `gathered`. The first `skip` lanes of the first vector of each gradient count as 0: a row whose
    length is no multiple of LANES ends with a vector that overlaps the one before.
    """

    def codegen(context: Any, builder: ir.IRBuilder, signature: Any, args: Sequence[ir.Value]) -> ir.Value:
        table, offset, weights, step, count, grad, grad_row, skip = args
        dy = [_masked_row(builder, _moved(builder, grad, grad_row, r), columns, skip) for r in range(rows)]

        def body(index: ir.Value, _: Sequence[ir.Value]) -> list[ir.Value]:
            x = builder.add(_address(builder, builder.add(table, builder.mul(index, _I64(8))), 0), offset)
            w = builder.add(weights, builder.mul(index, step))
            sums = [_load(builder, x, c) for c in range(columns)]
            for r in range(rows):
                spread = _splat(builder, _scalar(builder, builder.add(w, _I64(4 * r))))
                sums = [_fma(builder, spread, dy[r][c], s) for c, s in enumerate(sums)]
            for c, total in enumerate(sums):
                _store(builder, total, x, c)
            return []

        _loop(builder, count, [], body)
        return context.get_dummy_value()

    return _instruction(8, codegen)


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
        starts = [_address(builder, sources, c) for c in range(columns)]
        apart = [_address(builder, strides, c) for c in range(columns)]

        def image(n: ir.Value, sums: Sequence[ir.Value]) -> list[ir.Value]:
            xs = [builder.add(s, builder.mul(a, n)) for s, a in zip(starts, apart, strict=True)]
            first = builder.add(grad, builder.mul(grad_stride, n))
            gs = [_moved(builder, first, grad_row, r) for r in range(rows)]

            def at(offset: ir.Value, sums: Sequence[ir.Value], skip: ir.Value | None) -> list[ir.Value]:
                x = [_load(builder, builder.add(a, offset), 0) for a in xs]
                g = [_masked_row(builder, builder.add(a, offset), 1, skip)[0] for a in gs]
                return [_fma(builder, g[r], x[c], s) for (r, c), s in zip(cells, sums, strict=True)]

            def whole(i: ir.Value, sums: Sequence[ir.Value]) -> list[ir.Value]:
                return at(builder.mul(i, _I64(_SIZE)), sums, None)

            def rest(_: ir.Value, sums: Sequence[ir.Value]) -> list[ir.Value]:
                return at(last, sums, skip)

            once = builder.zext(builder.icmp_signed("!=", last, _I64(0)), _I64)
            return _loop(builder, once, _loop(builder, vectors, sums, whole), rest)

        sums = _loop(builder, images, [_constant(_VECTOR, 0.0)] * len(cells), image)
        for (r, c), total in zip(cells, sums, strict=True):
            target = builder.inttoptr(builder.add(_moved(builder, out, step, c), _I64(4 * r)), _F32.as_pointer())
            builder.store(builder.fadd(builder.load(target), _across(builder, total)), target)
        return context.get_dummy_value()

    return _instruction(11, codegen)


def _move(context: Any, builder: ir.IRBuilder, signature: Any, args: Sequence[ir.Value]) -> ir.Value:
    source, target, size = args

    def body(offset: ir.Value, _: Sequence[ir.Value], skip: ir.Value | None) -> list[ir.Value]:
        _store(builder, _load(builder, builder.add(source, offset), 0), builder.add(target, offset), 0)
        return []

    _vectors(builder, size, [], body)
    return context.get_dummy_value()


def _convolve(context: Any, builder: ir.IRBuilder, signature: Any, args: Sequence[ir.Value]) -> ir.Value:
    plane, row, weights, left, right, out, size = args
    spread = [_splat(builder, _scalar(builder, builder.add(weights, _I64(4 * k)))) for k in range(9)]

    def at(offset: ir.Value, _: Sequence[ir.Value], skip: ir.Value | None) -> list[ir.Value]:
        taps = _under(builder, plane, row, offset)
        _store(builder, _weighed(builder, taps, spread, left, right, offset), builder.add(out, offset), 0)
        return []

    _vectors(builder, size, [], at)
    return context.get_dummy_value()


def _convolve_back(context: Any, builder: ir.IRBuilder, signature: Any, args: Sequence[ir.Value]) -> ir.Value:
    grad, row, weights, left, right, x, out, own, size = args
    # turned by half a circle: the output pixel to the right has this one on its left
    spread = [_splat(builder, _scalar(builder, builder.add(weights, _I64(4 * (8 - k))))) for k in range(9)]

    def at(offset: ir.Value, sums: Sequence[ir.Value], skip: ir.Value | None) -> list[ir.Value]:
        taps = _under(builder, grad, row, offset)
        _store(builder, _weighed(builder, taps, spread, left, right, offset), builder.add(out, offset), 0)
        (value,) = _masked_row(builder, builder.add(x, offset), 1, skip)
        columns = [_kept(builder, value, left, offset), value, _kept(builder, value, right, offset)]
        return [
            _fma(builder, columns[k % 3], tap, total) for k, (tap, total) in enumerate(zip(taps, sums, strict=True))
        ]

    for k, total in enumerate(_vectors(builder, size, [_constant(_VECTOR, 0.0)] * 9, at)):
        target = builder.inttoptr(builder.add(own, _I64(4 * (8 - k))), _F32.as_pointer())
        builder.store(_across(builder, total), target)
    return context.get_dummy_value()


def _under(builder: ir.IRBuilder, plane: ir.Value, row: ir.Value, offset: ir.Value) -> list[ir.Value]:
    """Load the vectors under the nine taps of a 3x3 kernel."""
    rows = [builder.add(_moved(builder, plane, row, k), offset) for k in range(3)]
    return [_load(builder, builder.add(rows[k // 3], _I64(4 * (k % 3))), 0) for k in range(9)]


def _weighed(
    builder: ir.IRBuilder,
    taps: Sequence[ir.Value],
    weights: Sequence[ir.Value],
    left: ir.Value,
    right: ir.Value,
    offset: ir.Value,
) -> ir.Value:
    """Add up weighed taps column by column, and leave out what came in from the other side of the plane."""
    columns = []
    for c in range(3):
        total = builder.fmul(weights[c], taps[c])
        for k in (c + 3, c + 6):
            total = _fma(builder, weights[k], taps[k], total)
        columns.append(total)
    outer = builder.fadd(_kept(builder, columns[0], left, offset), _kept(builder, columns[2], right, offset))
    return builder.fadd(columns[1], outer)


def _kept(builder: ir.IRBuilder, value: ir.Value, mask: ir.Value, offset: ir.Value) -> ir.Value:
    """Return the lanes whose mask has all bits, 0 in those whose mask has none."""
    pointer = builder.inttoptr(builder.add(mask, offset), _WORDS.as_pointer())
    bits = builder.load(pointer)
    bits.align = 4
    return builder.bitcast(builder.and_(builder.bitcast(value, _WORDS), bits), _VECTOR)


def _vectors(
    builder: ir.IRBuilder,
    size: ir.Value,
    start: Sequence[ir.Value],
    body: Callable[[ir.Value, Sequence[ir.Value], ir.Value | None], list[ir.Value]],
) -> list[ir.Value]:
    """Do body(offset, values, skip) for all vectors of so many bytes; the last may overlap, in `skip` lanes."""

    def whole(index: ir.Value, values: Sequence[ir.Value]) -> Sequence[ir.Value]:
        return body(builder.mul(index, _I64(_SIZE)), values, None)

    def rest(_: ir.Value, values: Sequence[ir.Value]) -> Sequence[ir.Value]:
        skip = builder.sub(_I64(LANES), builder.udiv(left, _I64(4)))
        return body(builder.sub(size, _I64(_SIZE)), values, skip)

    left = builder.urem(size, _I64(_SIZE))
    values = _loop(builder, builder.udiv(size, _I64(_SIZE)), start, whole)
    return _loop(builder, builder.zext(builder.icmp_signed("!=", left, _I64(0)), _I64), values, rest)


def _touch(context: Any, builder: ir.IRBuilder, signature: Any, args: Sequence[ir.Value]) -> ir.Value:
    address, size = args
    kind = ir.FunctionType(ir.VoidType(), [_I8.as_pointer(), _I32, _I32, _I32])
    prefetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")

    def body(index: ir.Value, _: Sequence[ir.Value]) -> list[ir.Value]:
        place = builder.inttoptr(builder.add(address, builder.mul(index, _I64(_LINE))), _I8.as_pointer())
        # to be read, into the second level: the first holds less than the maps of one image
        builder.call(prefetch, [place, _I32(0), _I32(2), _I32(1)])
        return []

    _loop(builder, builder.udiv(size, _I64(_LINE)), [], body)
    return context.get_dummy_value()


def _clear(context: Any, builder: ir.IRBuilder, signature: Any, args: Sequence[ir.Value]) -> ir.Value:
    address, size = args
    zero = _constant(_VECTOR, 0.0)

    def body(index: ir.Value, _: Sequence[ir.Value]) -> list[ir.Value]:
        _store(builder, zero, builder.add(address, builder.mul(index, _I64(_SIZE))), 0)
        return []

    _loop(builder, builder.udiv(size, _I64(_SIZE)), [], body)
    _store(builder, zero, builder.add(address, builder.sub(size, _I64(_SIZE))), 0)
    return context.get_dummy_value()


def _transpose(context: Any, builder: ir.IRBuilder, signature: Any, args: Sequence[ir.Value]) -> ir.Value:
    source, source_row, target, target_row = args
    rows = [_load(builder, _moved(builder, source, source_row, r), 0) for r in range(LANES)]
    # halves of pairs of rows change places: distance LANES / 2 first, then half of that, down to neighbours
    half = LANES // 2
    while half:
        for i in range(LANES):
            if not i & half:
                top, bottom = rows[i], rows[i + half]
                high = [c if not c & half else LANES + c - half for c in range(LANES)]
                low = [c + half if not c & half else LANES + c for c in range(LANES)]
                rows[i] = builder.shuffle_vector(top, bottom, ir.Constant(_WORDS, high))
                rows[i + half] = builder.shuffle_vector(top, bottom, ir.Constant(_WORDS, low))
        half //= 2
    for r, row in enumerate(rows):
        _store(builder, row, _moved(builder, target, target_row, r), 0)
    return context.get_dummy_value()


def _copy(context: Any, builder: ir.IRBuilder, signature: Any, args: Sequence[ir.Value]) -> ir.Value:
    source, target = args
    builder.store(_scalar(builder, source), builder.inttoptr(target, _F32.as_pointer()))
    return context.get_dummy_value()


def _instruction(arguments: int, codegen: Callable[..., ir.Value]) -> Any:
    """Make a function of so many int64 that Numba code may call."""
    names = ", ".join(f"x{i}" for i in range(arguments))
    signature = types.void(*[types.int64] * arguments)
    scope: dict[str, Any] = {"both": (signature, codegen)}
    exec(f"def function(typing, {names}):\n    return both", scope)  # Numba counts the arguments of the function itself
    return intrinsic(scope["function"])


transpose = _instruction(4, _transpose)
"""f(source, source_row, target, target_row): a square of LANES x LANES floats, rows to columns."""


move = _instruction(3, _move)
"""f(source, target, size): copy so many bytes, a vector or more."""


convolve = _instruction(7, _convolve)
"""f(plane, row, weights, left, right, out, size): convolve a plane of `size` bytes, a vector or more, by a 3x3 kernel.

The plane starts a row of `row` bytes and one pixel after its address, and there are as many zeros behind it. The nine
weights stand one after the other. left and right are masks, 32 bits a pixel: none in the first or last column.
"""


convolve_back = _instruction(9, _convolve_back)
"""f(grad, row, weights, left, right, x, out, own, size): the gradients of a plane and of nine weights.

`grad` is laid out as the plane of `convolve`; x is what was convolved; `out` and `own` get the gradients.
"""


touch = _instruction(2, _touch)
"""f(address, size): ask for so many bytes, which will be read soon."""


clear = _instruction(2, _clear)
"""f(address, size): fill so many bytes with zeros, a vector or more."""


copy = _instruction(2, _copy)
"""f(source, target): one float."""


def _loop(
    builder: ir.IRBuilder,
    count: ir.Value,
    start: Sequence[ir.Value],
    body: Callable[[ir.Value, Sequence[ir.Value]], Sequence[ir.Value]],
) -> list[ir.Value]:
    """Do body(index, values) -> values so often, none at all for 0; the values live in phi nodes, so in registers."""
    before = builder.block
    inside, after = builder.append_basic_block("loop"), builder.append_basic_block("done")
    builder.cbranch(builder.icmp_signed(">", count, _I64(0)), inside, after)
    builder.position_at_end(inside)
    index = _phi(builder, _I64, _I64(0), before)
    values = [_phi(builder, value.type, value, before) for value in start]
    new = body(index, values)
    follow, end = builder.add(index, _I64(1)), builder.block  # the body may have ended in another block
    for phi, value in zip([index, *values], [follow, *new], strict=True):
        phi.add_incoming(value, end)
    builder.cbranch(builder.icmp_signed("<", follow, count), inside, after)
    builder.position_at_end(after)
    results = [_phi(builder, value.type, value, before) for value in start]
    for phi, value in zip(results, new, strict=True):
        phi.add_incoming(value, end)
    return results


def _fma(builder: ir.IRBuilder, a: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
    kind = ir.FunctionType(_VECTOR, [_VECTOR] * 3)
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.fmuladd.v{LANES}f32"), [a, b, c])


def _masked_row(builder: ir.IRBuilder, address: ir.Value, columns: int, skip: ir.Value | None) -> list[ir.Value]:
    """Load so many vectors, the first `skip` lanes of the first as 0."""
    vectors = [_load(builder, address, c) for c in range(columns)]
    if skip is not None:
        narrow = builder.trunc(skip, _I32)
        one = builder.insert_element(ir.Constant(_WORDS, ir.Undefined), narrow, _I32(0))
        spread = builder.shuffle_vector(one, ir.Constant(_WORDS, ir.Undefined), _constant(_WORDS, 0))
        counts = builder.icmp_signed(">=", ir.Constant(_WORDS, list(range(LANES))), spread)
        vectors[0] = builder.select(counts, vectors[0], _constant(_VECTOR, 0.0))
    return vectors


def _across(builder: ir.IRBuilder, value: ir.Value) -> ir.Value:
    """Add up the lanes of a vector, halves first."""
    half = LANES // 2
    while half:
        order = [(c + half) % LANES for c in range(LANES)]
        other = builder.shuffle_vector(value, ir.Constant(_VECTOR, ir.Undefined), ir.Constant(_WORDS, order))
        value, half = builder.fadd(value, other), half // 2
    return builder.extract_element(value, _I32(0))


def _load(builder: ir.IRBuilder, address: ir.Value, index: int) -> ir.Value:
    pointer = builder.inttoptr(builder.add(address, _I64(index * _SIZE)), _VECTOR.as_pointer())
    value = builder.load(pointer)
    value.align = 4  # that of a float, not of a vector: rows start anywhere
    return value


def _store(builder: ir.IRBuilder, value: ir.Value, address: ir.Value, index: int) -> None:
    pointer = builder.inttoptr(builder.add(address, _I64(index * _SIZE)), _VECTOR.as_pointer())
    builder.store(value, pointer).align = 4


def _address(builder: ir.IRBuilder, table: ir.Value, index: int) -> ir.Value:
    return builder.load(builder.inttoptr(builder.add(table, _I64(8 * index)), _I64.as_pointer()))


def _scalar(builder: ir.IRBuilder, address: ir.Value) -> ir.Value:
    return builder.load(builder.inttoptr(address, _F32.as_pointer()))


def _splat(builder: ir.IRBuilder, value: ir.Value) -> ir.Value:
    one = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), value, _I32(0))
    return builder.shuffle_vector(one, ir.Constant(_VECTOR, ir.Undefined), _constant(_WORDS, 0))


def _moved(builder: ir.IRBuilder, address: ir.Value, stride: ir.Value, times: int) -> ir.Value:
    return builder.add(address, builder.mul(stride, _I64(times)))


def _constant(kind: ir.VectorType, value: float) -> ir.Constant:
    return ir.Constant(kind, [value] * LANES)


def _phi(builder: ir.IRBuilder, kind: ir.Type, first: ir.Value, before: ir.Block) -> ir.Value:
    phi = builder.phi(kind)
    phi.add_incoming(first, before)
    return phi
