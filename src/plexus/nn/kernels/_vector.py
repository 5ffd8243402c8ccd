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


copy = _instruction(2, _copy)
"""f(source, target): one float."""


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


def _constant(kind: ir.VectorType, value: int) -> ir.Constant:
    return ir.Constant(kind, [value] * LANES)


def _phi(builder: ir.IRBuilder, kind: ir.Type, first: ir.Value, before: ir.Block) -> ir.Value:
    phi = builder.phi(kind)
    phi.add_incoming(first, before)
    return phi
