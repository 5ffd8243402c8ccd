# mypy: disable-error-code="no-untyped-def"
"""Rotation-max convolution with 3x3 kernels on a GPU: tap maps by one matrix product, rotations by a Triton kernel.

Tap maps are (pixels, 9, O), the taps in the order of the kernel's rows. They and their gradients have the type of the
input; sums are in float32. The matrix product has as many multiply-adds as one plain convolution, and is the library's;
what is left reads each tap map once per rotation.
"""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from plexus.nn.kernels._taps import check, dense, gradients, last, outputs

_PIXELS, _KERNELS = 32, 32  # a program's tile


@triton.jit
def _place(position: tl.constexpr):
    """Row and column of a ring position, clockwise from the upper left, and of 8, the centre."""
    if position == 8:
        return 1, 1
    if position < 3:
        return 0, position
    if position == 3:
        return 1, 2
    if position < 7:
        return 2, 6 - position
    return 1, 0


@triton.jit
def _best(
    z, bias, y, winner, pixels, kernels, height, width, rows, columns, down, right, top, left, tall, wide,
    rotations: tl.constexpr, block_p: tl.constexpr, block_o: tl.constexpr,
):  # fmt: skip
    """Reduce tap maps z to y and winner, (pixels, O) each."""
    p = tl.program_id(0) * block_p + tl.arange(0, block_p)
    o = tl.program_id(1) * block_o + tl.arange(0, block_o)
    n, i, j = p // (rows * columns), p // columns % rows, p % columns
    best = tl.full((block_p, block_o), float("-inf"), tl.float32)
    index = tl.zeros((block_p, block_o), tl.int32)
    for s in tl.static_range(rotations):
        total = tl.zeros((block_p, block_o), tl.float32)
        for r in tl.static_range(9):
            a, b = _place(r)
            tap_row, tap_column = _place(8 if r == 8 else (r - s * (8 // rotations)) % 8)
            ii, jj = i * down - top + a * tall, j * right - left + b * wide
            inside = (p < pixels) & (ii >= 0) & (ii < height) & (jj >= 0) & (jj < width)
            # the pixels of a batch are counted in 32 bits; its tap maps, nine times O for each, may need more
            at = ((n * height + ii) * width + jj).to(tl.int64) * 9 + tap_row * 3 + tap_column
            mask = inside[:, None] & (o < kernels)[None, :]
            total += tl.load(z + at[:, None] * kernels + o[None, :], mask=mask, other=0.0).to(tl.float32)
        wins = (total > best) | (total != total)  # what is not a number stays seen
        best, index = tl.where(wins, total, best), tl.where(wins, s, index)
    best += tl.load(bias + o, mask=o < kernels, other=0.0).to(tl.float32)[None, :]
    at = p.to(tl.int64)[:, None] * kernels + o[None, :]
    mask = (p < pixels)[:, None] & (o < kernels)[None, :]
    tl.store(y + at, best.to(y.dtype.element_ty), mask=mask)
    tl.store(winner + at, index.to(tl.uint8), mask=mask)


@triton.jit
def _back(
    g, winner, gz, pixels, kernels, height, width, rows, columns, down, right, top, left, tall, wide,
    rotations: tl.constexpr, block_p: tl.constexpr, block_o: tl.constexpr,
):  # fmt: skip
    """Spread the gradient of y over the tap maps.

    Each pixel gathers from the outputs that it was under, so that no two programs write to one place.
    """
    p = tl.program_id(0) * block_p + tl.arange(0, block_p)
    o = tl.program_id(1) * block_o + tl.arange(0, block_o)
    n, i, j = p // (height * width), p // width % height, p % width
    store = (p < pixels)[:, None] & (o < kernels)[None, :]
    for q in tl.static_range(9):
        total = tl.zeros((block_p, block_o), tl.float32)
        for s in tl.static_range(1 if q == 8 else rotations):
            a, b = _place(8 if q == 8 else (q + s * (8 // rotations)) % 8)
            ii, jj = i + top - a * tall, j + left - b * wide
            # only outputs that a stride lands on; what is left of 0 is asked first, as % may be negative there
            inside = (p < pixels) & (ii >= 0) & (jj >= 0) & (ii % down == 0) & (jj % right == 0)
            ii, jj = ii // down, jj // right
            inside = inside & (ii < rows) & (jj < columns)
            at = ((n * rows + ii) * columns + jj).to(tl.int64)[:, None] * kernels + o[None, :]
            mask = inside[:, None] & (o < kernels)[None, :]
            part = tl.load(g + at, mask=mask, other=0.0).to(tl.float32)
            if q < 8:
                part = tl.where(tl.load(winner + at, mask=mask, other=255) == s, part, 0.0)
            total += part
        tap_row, tap_column = _place(q)
        at = (p.to(tl.int64) * 9 + tap_row * 3 + tap_column)[:, None] * kernels + o[None, :]
        tl.store(gz + at, total.to(gz.dtype.element_ty), mask=store)


def forward(
    x: Tensor, weight: Tensor, bias: Tensor, rotations: int, stride: list[int], padding: list[int], dilation: list[int]
) -> tuple[Tensor, Tensor]:
    """Compute the operator's two outputs; the winners are in the order (N, H', W', O) here."""
    check(x, weight, bias, rotations, stride, padding, dilation)
    y, winner = outputs(dense(x), weight, stride, padding, dilation)
    if y.numel():
        z = last(x).flatten(0, 2) @ _columns(weight)
        out = last(y)  # y itself where that is channels_last
        pixels, shape = out.numel() // len(weight), _sizes(x, y, stride, padding, dilation)
        _best[_grid(pixels, len(weight))](
            z, bias, out, winner, pixels, len(weight), *shape, rotations, block_p=_PIXELS, block_o=_KERNELS
        )
        if out.data_ptr() != y.data_ptr():
            y.copy_(out.permute(0, 3, 1, 2))
    return y, winner


def backward(
    grad: Tensor,
    x: Tensor,
    weight: Tensor,
    winner: Tensor,
    rotations: int,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    need_x: bool,
    need_weight: bool,
) -> tuple[Tensor, Tensor]:
    """Compute the gradients of x and weight; the one that is not needed is empty."""
    gx, gw = gradients(dense(x), weight, need_x, need_weight)
    if not (grad.numel() and x.numel()):
        return gx.zero_(), gw.zero_()
    kernels, rows = len(weight), last(x).flatten(0, 2)
    gz = x.new_empty(len(rows), 9 * kernels)
    shape = _sizes(x, grad, stride, padding, dilation)
    _back[_grid(len(rows), kernels)](
        last(grad), winner, gz, len(rows), kernels, *shape, rotations, block_p=_PIXELS, block_o=_KERNELS
    )
    if need_x:
        gx.copy_((gz @ _columns(weight).t()).view(len(x), *x.shape[2:], -1).permute(0, 3, 1, 2))
    if need_weight:
        gw.copy_((rows.t() @ gz).view(-1, 9, kernels).permute(2, 0, 1).reshape(weight.shape))
    return gx, gw


def _sizes(x: Tensor, y: Tensor, stride: list[int], padding: list[int], dilation: list[int]) -> tuple[int, ...]:
    """H, W, H', W', then stride, padding, dilation, two each."""
    numbers = (*x.shape[2:], *y.shape[2:], *stride, *padding, *dilation)
    return tuple(map(int, numbers))


def _columns(weight: Tensor) -> Tensor:
    """(O, C, 3, 3) as (C, 9 O)."""
    return weight.flatten(2).permute(1, 2, 0).flatten(1)


def _grid(pixels: int, kernels: int) -> tuple[int, int]:
    return triton.cdiv(pixels, _PIXELS), triton.cdiv(kernels, _KERNELS)
