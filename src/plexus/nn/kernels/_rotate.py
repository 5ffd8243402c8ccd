"""Rotation-max convolution with 3x3 kernels as one operator with a gradient: nine tap maps shared by all rotations.

A ring shift only changes which place a tap lies under. So the nine 1x1 convolutions by single taps, together as many
multiply-adds as one plain convolution, serve all rotations: each is a sum of nine tap maps, shifted.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from plexus.errors import ConfigError
from plexus.nn.kernels._taps import WINNERS, bank, check, dense, extent, gradients, in_lanes, numbers, outputs, strides
from plexus.nn.kernels._threads import count, in_parts


@torch.library.custom_op("plexus::rot_max_conv2d", mutates_args=(), device_types="cpu")
def rot_max_conv2d(
    x: Tensor, weight: Tensor, bias: Tensor, rotations: int, stride: list[int], padding: list[int], dilation: list[int]
) -> tuple[Tensor, Tensor]:
    """Return y_o = max_s (x * R_s W_o) + b_o, and which rotation won.

    Args:
        x: (N, C, H, W), float32.
        weight: (O, C, 3, 3), float32.
        bias: (O,), float32.
        rotations: 8 or 4.
        stride, padding, dilation: two integers each.

    Returns:
        y, (N, O, H', W') in the memory format of x, and the winners as bytes in an order of their own.

    The winners are an output, not saved inside, so that compilers see what backward needs and may keep or recompute it.
    """
    from plexus.nn.kernels import _rotate_numba as loops
    from plexus.nn.kernels._ir import LANES

    check(x, weight, bias, rotations, stride, padding, dilation)
    x, weight = dense(x), weight.contiguous()
    y, winner = outputs(x, weight, stride, padding, dilation)
    blocks, shape = -(-len(weight) // LANES), numbers(x, y, stride, padding, dilation)
    taps = np.empty((blocks, x.shape[1], 9, LANES), np.float32)
    loops.pack(weight.data_ptr(), len(weight), taps)
    offset = np.zeros(blocks * LANES, np.float32)
    offset[: len(weight)] = bias.numpy()
    won = in_lanes(winner, shape[4] * shape[5], LANES)
    won[:, blocks:] = 0  # kernels that nobody has, where vectors are narrower than the unit winners are counted in
    if y.numel():
        call = (strides(x), taps, offset.reshape(blocks, LANES), shape, rotations, y.data_ptr(), strides(y), won)
        in_parts(lambda part, first, last: loops.forward(first, last, x.data_ptr(), *call), len(x) * blocks)
    return y, winner


@torch.library.custom_op("plexus::rot_max_conv2d_backward", mutates_args=(), device_types="cpu")
def rot_max_conv2d_backward(
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
    """Return the gradients of x and weight; the one that is not needed is empty."""
    from plexus.nn.kernels import _rotate_numba as loops
    from plexus.nn.kernels._ir import LANES

    check(x, weight, None, rotations, stride, padding, dilation)
    rows, columns = extent(x, stride, padding, dilation)
    expected = (len(x), len(weight), rows, columns), (len(x), -(-len(weight) // WINNERS), rows * columns, WINNERS)
    if (tuple(grad.shape), tuple(winner.shape)) != expected or (grad.dtype, winner.dtype) != (x.dtype, torch.uint8):
        raise ConfigError(f"rot_max_conv2d_backward: grad {tuple(grad.shape)} is not that of the output {expected[0]}")
    winner = winner.contiguous()
    grad, x, weight = dense(grad), dense(x), weight.contiguous()
    gx, gw = gradients(x, weight, need_x, need_weight)
    blocks, channels = -(-len(weight) // LANES), x.shape[1]
    shape = numbers(x, grad, stride, padding, dilation)
    won = in_lanes(winner, shape[4] * shape[5], LANES)
    taps = np.empty((blocks, channels, 9, LANES), np.float32)
    turned = np.empty((blocks if need_x else 0, 9, LANES, -(-channels // LANES) * LANES), np.float32)
    if need_x:
        loops.pack(weight.data_ptr(), len(weight), taps)
        loops.turn(taps, turned)
    # a sum of its own for each thread, added up below: the order depends on the number of threads, and on nothing else
    sums = np.zeros((count(len(x)), *(taps.shape if need_weight else (0, *taps.shape[1:]))), np.float32)

    def work(part: int, first: int, last: int) -> None:
        inputs = (grad.data_ptr(), strides(grad), won, x.data_ptr(), strides(x), turned, shape, rotations)
        loops.backward(first, last, *inputs, gx.data_ptr(), strides(gx), sums[part])

    if grad.numel() and x.numel():
        in_parts(work, len(x))
    else:
        gx.zero_()
    if need_weight:
        loops.unpack(sums.sum(0), len(weight), gw.data_ptr())
    return gx, gw


@rot_max_conv2d.register_kernel("cuda")
def _(*arguments):  # type: ignore[no-untyped-def]
    from plexus.nn.kernels import _rotate_triton

    return _rotate_triton.forward(*arguments)


@rot_max_conv2d_backward.register_kernel("cuda")
def _(*arguments):  # type: ignore[no-untyped-def]
    from plexus.nn.kernels import _rotate_triton

    return _rotate_triton.backward(*arguments)


@rot_max_conv2d.register_fake
def _(x, weight, bias, rotations, stride, padding, dilation):  # type: ignore[no-untyped-def]
    check(x, weight, bias, rotations, stride, padding, dilation)
    return outputs(dense(x), weight, stride, padding, dilation)


@rot_max_conv2d_backward.register_fake
def _(grad, x, weight, winner, rotations, stride, padding, dilation, need_x, need_weight):  # type: ignore[no-untyped-def]
    return gradients(dense(x), weight, need_x, need_weight)


@torch._decomp.register_decomposition([torch.ops.plexus.rot_max_conv2d.default])
def _decomposed(x, weight, bias, rotations, stride, padding, dilation):  # type: ignore[no-untyped-def]
    """Compute the same with torch's own operators, for exporters that know nothing else, and for second derivatives."""
    from plexus.nn.kernels._ir import LANES

    responses = F.conv2d(x, bank(weight, rotations), None, stride, padding, dilation)
    y, index = responses.unflatten(1, (len(weight), rotations)).max(2)
    # the rest brings the winners into the loops' order: vectors of kernels within sixteens, pixels before lanes
    missing = -len(weight) % WINNERS
    won = F.pad(index.to(torch.uint8).flatten(2), (0, 0, 0, missing))
    blocks, pixels = (weight.shape[0] + missing) // WINNERS, y.shape[2] * y.shape[3]
    won = won.unflatten(1, (blocks * (WINNERS // LANES), LANES)).transpose(2, 3)
    won = won.reshape(x.shape[0], blocks, pixels, WINNERS).contiguous()
    return y + bias.view(-1, 1, 1), won


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    x, weight, _, *ctx.options = inputs
    ctx.save_for_backward(x, weight, output[1])
    ctx.mark_non_differentiable(output[1])


def _back(ctx: Any, grad: Tensor, _: Tensor | None) -> tuple[Tensor | None, ...]:
    need_x, need_weight, need_bias = ctx.needs_input_grad[:3]
    x, weight, winner = ctx.saved_tensors
    gx = gw = None
    if torch.is_grad_enabled() and (need_x or need_weight):  # a second derivative is wanted: the bank has all
        leaves = [t for t, need in ((x, need_x), (weight, need_weight)) if need]
        again = _decomposed(x, weight, weight.new_zeros(weight.shape[0]), *ctx.options)[0]
        grads = iter(torch.autograd.grad(again, leaves, grad, create_graph=True))
        gx, gw = next(grads) if need_x else None, next(grads) if need_weight else None
    elif need_x or need_weight:
        gx, gw = rot_max_conv2d_backward(grad, x, weight, winner, *ctx.options, need_x, need_weight)
    gb = grad.sum((0, 2, 3)) if need_bias else None
    return gx if need_x else None, gw if need_weight else None, gb, None, None, None, None


rot_max_conv2d.register_autograd(_back, setup_context=_keep)
torch.library.register_autocast("plexus::rot_max_conv2d", "cpu", torch.float32)
