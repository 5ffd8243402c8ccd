"""Pieces of vector code for a plane of maps: moved, convolved by a 3x3 kernel, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir

from plexus.nn.kernels._ir import (
    F32,
    I64,
    VECTOR,
    WORDS,
    across,
    constant,
    fma,
    instruction,
    load,
    masked_row,
    moved,
    scalar,
    splat,
    store,
    vectors,
)


def _move(context: Any, builder: ir.IRBuilder, signature: Any, args: Sequence[ir.Value]) -> ir.Value:
    source, target, size = args

    def body(offset: ir.Value, _: Sequence[ir.Value], skip: ir.Value | None) -> list[ir.Value]:
        store(builder, load(builder, builder.add(source, offset), 0), builder.add(target, offset), 0)
        return []

    vectors(builder, size, [], body)
    return context.get_dummy_value()


def _convolve(context: Any, builder: ir.IRBuilder, signature: Any, args: Sequence[ir.Value]) -> ir.Value:
    plane, row, weights, left, right, out, size = args
    spread = [splat(builder, scalar(builder, builder.add(weights, I64(4 * k)))) for k in range(9)]

    def at(offset: ir.Value, _: Sequence[ir.Value], skip: ir.Value | None) -> list[ir.Value]:
        taps = _under(builder, plane, row, offset)
        store(builder, _weighed(builder, taps, spread, left, right, offset), builder.add(out, offset), 0)
        return []

    vectors(builder, size, [], at)
    return context.get_dummy_value()


def _convolve_back(context: Any, builder: ir.IRBuilder, signature: Any, args: Sequence[ir.Value]) -> ir.Value:
    grad, row, weights, left, right, x, out, own, size = args
    # turned by half a circle: the output pixel to the right has this one on its left
    spread = [splat(builder, scalar(builder, builder.add(weights, I64(4 * (8 - k))))) for k in range(9)]

    def at(offset: ir.Value, sums: Sequence[ir.Value], skip: ir.Value | None) -> list[ir.Value]:
        taps = _under(builder, grad, row, offset)
        store(builder, _weighed(builder, taps, spread, left, right, offset), builder.add(out, offset), 0)
        (value,) = masked_row(builder, builder.add(x, offset), 1, skip)
        columns = [_kept(builder, value, left, offset), value, _kept(builder, value, right, offset)]
        return [fma(builder, columns[k % 3], tap, total) for k, (tap, total) in enumerate(zip(taps, sums, strict=True))]

    for k, total in enumerate(vectors(builder, size, [constant(VECTOR, 0.0)] * 9, at)):
        target = builder.inttoptr(builder.add(own, I64(4 * (8 - k))), F32.as_pointer())
        builder.store(across(builder, total), target)
    return context.get_dummy_value()


def _under(builder: ir.IRBuilder, plane: ir.Value, row: ir.Value, offset: ir.Value) -> list[ir.Value]:
    """Load the vectors under the nine taps of a 3x3 kernel."""
    rows = [builder.add(moved(builder, plane, row, k), offset) for k in range(3)]
    return [load(builder, builder.add(rows[k // 3], I64(4 * (k % 3))), 0) for k in range(9)]


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
            total = fma(builder, weights[k], taps[k], total)
        columns.append(total)
    outer = builder.fadd(_kept(builder, columns[0], left, offset), _kept(builder, columns[2], right, offset))
    return builder.fadd(columns[1], outer)


def _kept(builder: ir.IRBuilder, value: ir.Value, mask: ir.Value, offset: ir.Value) -> ir.Value:
    """Return the lanes whose mask has all bits, 0 in those whose mask has none."""
    pointer = builder.inttoptr(builder.add(mask, offset), WORDS.as_pointer())
    bits = builder.load(pointer)
    bits.align = 4
    return builder.bitcast(builder.and_(builder.bitcast(value, WORDS), bits), VECTOR)


move = instruction(3, _move)
"""f(source, target, size): copy so many bytes, a vector or more."""
convolve = instruction(7, _convolve)
"""f(plane, row, weights, left, right, out, size): convolve a plane of `size` bytes, a vector or more, by a 3x3 kernel.

The plane starts a row of `row` bytes and one pixel after its address, and there are as many zeros behind it. The nine
weights stand one after the other. left and right are masks, 32 bits a pixel: none in the first or last column.
"""
convolve_back = instruction(9, _convolve_back)
"""f(grad, row, weights, left, right, x, out, own, size): the gradients of a plane and of nine weights.

`grad` is laid out as the plane of `convolve`; x is what was convolved; `out` and `own` get the gradients.
"""
