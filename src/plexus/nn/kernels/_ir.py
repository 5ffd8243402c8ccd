"""The words that the pieces of vector code are written in: LLVM instructions on vectors of LANES floats, and loops.

Addresses are int64 and count bytes; memory needs no alignment.
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
"""Floats in a vector."""
REGISTERS = 32 if LANES == 16 or "+neon" in _FEATURES else 16
"""Registers that hold a vector."""
F32, I8, I32, I64 = ir.FloatType(), ir.IntType(8), ir.IntType(32), ir.IntType(64)
VECTOR, BYTES, WORDS = ir.VectorType(F32, LANES), ir.VectorType(I8, LANES), ir.VectorType(I32, LANES)
SIZE = 4 * LANES
"""Bytes of a vector."""


def vectors(
    builder: ir.IRBuilder,
    size: ir.Value,
    start: Sequence[ir.Value],
    body: Callable[[ir.Value, Sequence[ir.Value], ir.Value | None], list[ir.Value]],
) -> list[ir.Value]:
    """Do body(offset, values, skip) for all vectors of so many bytes; the last may overlap, in `skip` lanes."""

    def whole(index: ir.Value, values: Sequence[ir.Value]) -> Sequence[ir.Value]:
        return body(builder.mul(index, I64(SIZE)), values, None)

    def rest(_: ir.Value, values: Sequence[ir.Value]) -> Sequence[ir.Value]:
        skip = builder.sub(I64(LANES), builder.udiv(left, I64(4)))
        return body(builder.sub(size, I64(SIZE)), values, skip)

    left = builder.urem(size, I64(SIZE))
    values = loop(builder, builder.udiv(size, I64(SIZE)), start, whole)
    return loop(builder, builder.zext(builder.icmp_signed("!=", left, I64(0)), I64), values, rest)


def instruction(arguments: int, codegen: Callable[..., ir.Value]) -> Any:
    """Make a function of so many int64 that Numba code may call."""
    names = ", ".join(f"x{i}" for i in range(arguments))
    signature = types.void(*[types.int64] * arguments)
    scope: dict[str, Any] = {"both": (signature, codegen)}
    exec(f"def function(typing, {names}):\n    return both", scope)  # Numba counts the arguments of the function itself
    return intrinsic(scope["function"])


def loop(
    builder: ir.IRBuilder,
    count: ir.Value,
    start: Sequence[ir.Value],
    body: Callable[[ir.Value, Sequence[ir.Value]], Sequence[ir.Value]],
) -> list[ir.Value]:
    """Do body(index, values) -> values so often, none at all for 0; the values live in phi nodes, so in registers."""
    before = builder.block
    inside, after = builder.append_basic_block("loop"), builder.append_basic_block("done")
    builder.cbranch(builder.icmp_signed(">", count, I64(0)), inside, after)
    builder.position_at_end(inside)
    index = new_phi(builder, I64, I64(0), before)
    values = [new_phi(builder, value.type, value, before) for value in start]
    new = body(index, values)
    follow, end = builder.add(index, I64(1)), builder.block  # the body may have ended in another block
    for phi, value in zip([index, *values], [follow, *new], strict=True):
        phi.add_incoming(value, end)
    builder.cbranch(builder.icmp_signed("<", follow, count), inside, after)
    builder.position_at_end(after)
    results = [new_phi(builder, value.type, value, before) for value in start]
    for phi, value in zip(results, new, strict=True):
        phi.add_incoming(value, end)
    return results


def fma(builder: ir.IRBuilder, a: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
    """Return a * b + c, lane by lane, rounded once where the processor can."""
    kind = ir.FunctionType(VECTOR, [VECTOR] * 3)
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.fmuladd.v{LANES}f32"), [a, b, c])


def masked_row(builder: ir.IRBuilder, address: ir.Value, columns: int, skip: ir.Value | None) -> list[ir.Value]:
    """Load so many vectors, the first `skip` lanes of the first as 0."""
    row = [load(builder, address, c) for c in range(columns)]
    if skip is not None:
        narrow = builder.trunc(skip, I32)
        one = builder.insert_element(ir.Constant(WORDS, ir.Undefined), narrow, I32(0))
        spread = builder.shuffle_vector(one, ir.Constant(WORDS, ir.Undefined), constant(WORDS, 0))
        counts = builder.icmp_signed(">=", ir.Constant(WORDS, list(range(LANES))), spread)
        row[0] = builder.select(counts, row[0], constant(VECTOR, 0.0))
    return row


def across(builder: ir.IRBuilder, value: ir.Value) -> ir.Value:
    """Add up the lanes of a vector, halves first."""
    half = LANES // 2
    while half:
        order = [(c + half) % LANES for c in range(LANES)]
        other = builder.shuffle_vector(value, ir.Constant(VECTOR, ir.Undefined), ir.Constant(WORDS, order))
        value, half = builder.fadd(value, other), half // 2
    return builder.extract_element(value, I32(0))


def load(builder: ir.IRBuilder, address: ir.Value, index: int) -> ir.Value:
    """Load a vector, `index` vectors after an address."""
    pointer = builder.inttoptr(builder.add(address, I64(index * SIZE)), VECTOR.as_pointer())
    value = builder.load(pointer)
    value.align = 4  # that of a float, not of a vector: rows start anywhere
    return value


def store(builder: ir.IRBuilder, value: ir.Value, address: ir.Value, index: int) -> None:
    """Store a vector, `index` vectors after an address."""
    pointer = builder.inttoptr(builder.add(address, I64(index * SIZE)), VECTOR.as_pointer())
    builder.store(value, pointer).align = 4


def address_in(builder: ir.IRBuilder, table: ir.Value, index: int) -> ir.Value:
    """Load an address from a table of them."""
    return builder.load(builder.inttoptr(builder.add(table, I64(8 * index)), I64.as_pointer()))


def scalar(builder: ir.IRBuilder, address: ir.Value) -> ir.Value:
    """Load one float."""
    return builder.load(builder.inttoptr(address, F32.as_pointer()))


def splat(builder: ir.IRBuilder, value: ir.Value) -> ir.Value:
    """Spread a float over all lanes."""
    one = builder.insert_element(ir.Constant(VECTOR, ir.Undefined), value, I32(0))
    return builder.shuffle_vector(one, ir.Constant(VECTOR, ir.Undefined), constant(WORDS, 0))


def moved(builder: ir.IRBuilder, address: ir.Value, stride: ir.Value, times: int) -> ir.Value:
    """Return an address so many strides further."""
    return builder.add(address, builder.mul(stride, I64(times)))


def constant(kind: ir.VectorType, value: float) -> ir.Constant:
    """Return a vector with one value in all lanes."""
    return ir.Constant(kind, [value] * LANES)


def new_phi(builder: ir.IRBuilder, kind: ir.Type, first: ir.Value, before: ir.Block) -> ir.Value:
    """Make a phi node, whose value is `first` when it comes from the block before."""
    phi = builder.phi(kind)
    phi.add_incoming(first, before)
    return phi
