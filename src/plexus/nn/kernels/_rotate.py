"""Rotation-max convolution with 3x3 kernels as one operator with a gradient: nine tap maps shared by all rotations.

A ring shift only changes which place a tap lies under. So the nine 1x1 convolutions by single taps, together as many
multiply-adds as one plain convolution, serve all rotations: each is a sum of nine tap maps, shifted.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from plexus.errors import ConfigError
from plexus.nn.kernels._threads import count, in_parts

WINNERS = 16
"""Kernels are counted in sixteens where winners are kept."""


BACKENDS = ("auto", "taps", "bank")


def route(x: Tensor, weight: Tensor, reduce: str, groups: int) -> str:
    """How to convolve: `taps` (this operator) or `bank` (one convolution with all rotated kernels).

    Raises:
        ConfigError: PLEXUS_ROT_BACKEND is unknown, or asks for what these tensors cannot have.
    """
    wanted = os.environ.get("PLEXUS_ROT_BACKEND", "auto")
    if wanted not in BACKENDS:
        raise ConfigError(f"PLEXUS_ROT_BACKEND={wanted!r}: expected one of {', '.join(BACKENDS)}")
    device = x.device.type
    able = reduce == "max" and groups == 1 and tuple(weight.shape[2:]) == (3, 3) and x.dtype == weight.dtype
    able = able and x.dtype in (torch.float32, torch.bfloat16, torch.float16)
    able = able and (device == "cpu" or (device == "cuda" and find_spec("triton") is not None))
    if wanted == "taps" and not able:
        raise ConfigError(
            "PLEXUS_ROT_BACKEND='taps': only reduce='max' with 3x3 kernels, one group and 16- or 32-bit floats on the "
            "CPU, or on a GPU with Triton, can have it; use auto or bank; got "
            f"reduce={reduce!r}, kernels {tuple(weight.shape[2:])}, groups={groups}, {x.dtype} on {x.device}"
        )
    return "taps" if able and wanted != "bank" and not torch.onnx.is_in_onnx_export() else "bank"


@torch.library.custom_op("plexus::rot_max_conv2d", mutates_args=(), device_types="cpu")
def rot_max_conv2d(
    x: Tensor, weight: Tensor, bias: Tensor, rotations: int, stride: list[int], padding: list[int], dilation: list[int]
) -> tuple[Tensor, Tensor]:
    """y_o = max_s (x * R_s W_o) + b_o, and which rotation won.

    Args:
        x: (N, C, H, W), float32.
        weight: (O, C, 3, 3), float32.
        bias: (O,), float32.
        rotations: 8 or 4.
        stride, padding, dilation: two integers each.

    Returns:
        y, (N, O, H', W') in the memory format of x, and the winners as bytes in an order of their own.
    """
    from plexus.nn.kernels import _rotate_numba as loops
    from plexus.nn.kernels._vector import LANES

    x, weight = _dense(x), weight.contiguous()
    y, winner = _answers(x, weight, stride, padding, dilation)
    blocks, shape = -(-len(weight) // LANES), _shape(x, y, stride, padding, dilation)
    taps = np.empty((blocks, x.shape[1], 9, LANES), np.float32)
    loops.pack(weight.data_ptr(), len(weight), taps)
    offset = np.zeros(blocks * LANES, np.float32)
    offset[: len(weight)] = bias.numpy()
    won = _in_lanes(winner, len(x), blocks, shape[4] * shape[5], LANES)
    if y.numel():
        call = (_at(x), taps, offset.reshape(blocks, LANES), shape, rotations, y.data_ptr(), _at(y), won)
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
    """Gradients of x and weight; the one that is not needed is empty."""
    from plexus.nn.kernels import _rotate_numba as loops
    from plexus.nn.kernels._vector import LANES

    grad, x, weight = _dense(grad), _dense(x), weight.contiguous()
    gx, gw = _gradients(x, weight, need_x, need_weight)
    blocks, channels = -(-len(weight) // LANES), x.shape[1]
    shape = _shape(x, grad, stride, padding, dilation)
    won = _in_lanes(winner, len(x), blocks, shape[4] * shape[5], LANES)
    taps = np.empty((blocks, channels, 9, LANES), np.float32)
    turned = np.empty((blocks if need_x else 0, 9, LANES, -(-channels // LANES) * LANES), np.float32)
    if need_x:
        loops.pack(weight.data_ptr(), len(weight), taps)
        loops.turn(taps, turned)
    sums = np.zeros((count(len(x)), *(taps.shape if need_weight else (0, *taps.shape[1:]))), np.float32)

    def work(part: int, first: int, last: int) -> None:
        given = (grad.data_ptr(), _at(grad), won, x.data_ptr(), _at(x), turned, shape, rotations)
        loops.backward(first, last, *given, gx.data_ptr(), _at(gx), sums[part])

    if grad.numel() and x.numel():
        in_parts(work, len(x))
    else:
        gx.zero_()
    if need_weight:
        loops.unpack(sums.sum(0), len(weight), gw.data_ptr())
    return gx, gw


@rot_max_conv2d.register_kernel("cuda")
def by_triton(
    x: Tensor, weight: Tensor, bias: Tensor, rotations: int, stride: list[int], padding: list[int], dilation: list[int]
) -> tuple[Tensor, Tensor]:
    """The same on a GPU; the winners are (N, H', W', O) there."""
    from plexus.nn.kernels import _rotate_triton as loops

    y, winner = _answers(_dense(x), weight, stride, padding, dilation)
    if y.numel():
        numbers = _shape(x, y, stride, padding, dilation)
        out = _last(y)
        loops.forward(_last(x), weight, bias, rotations, (*numbers[1:3], *numbers[4:]), out, winner)
        if out.data_ptr() != y.data_ptr():
            y.copy_(out.permute(0, 3, 1, 2))
    return y, winner


@rot_max_conv2d_backward.register_kernel("cuda")
def back_by_triton(
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
    """Both gradients come out of one pass; what is not needed is left empty."""
    from plexus.nn.kernels import _rotate_triton as loops

    gx, gw = _gradients(_dense(x), weight, need_x, need_weight)
    if not (grad.numel() and x.numel()):
        return gx.zero_(), gw.zero_()
    numbers = _shape(x, grad, stride, padding, dilation)
    given = (_last(grad), winner, _last(x), weight, rotations, (*numbers[1:3], *numbers[4:]))
    grad_x, grad_w = loops.backward(*given)
    return gx.copy_(grad_x.permute(0, 3, 1, 2)) if need_x else gx, gw.copy_(grad_w) if need_weight else gw


@rot_max_conv2d.register_fake
def _(x, weight, bias, rotations, stride, padding, dilation):  # type: ignore[no-untyped-def]
    return _answers(_dense(x), weight, stride, padding, dilation)


@rot_max_conv2d_backward.register_fake
def _(grad, x, weight, winner, rotations, stride, padding, dilation, need_x, need_weight):  # type: ignore[no-untyped-def]
    return _gradients(_dense(x), weight, need_x, need_weight)


@torch._decomp.register_decomposition([torch.ops.plexus.rot_max_conv2d.default])
def _decomposed(x, weight, bias, rotations, stride, padding, dilation):  # type: ignore[no-untyped-def]
    """The same from torch's own operators, for exporters that know nothing else."""
    from plexus.nn._rotation import bank
    from plexus.nn.kernels._vector import LANES

    answers = F.conv2d(x, bank(weight, rotations), None, stride, padding, dilation)
    y, index = answers.unflatten(1, (len(weight), rotations)).max(2)
    missing = -len(weight) % WINNERS
    won = F.pad(index.to(torch.uint8).flatten(2), (0, 0, 0, missing))
    won = (
        won.unflatten(1, (-1, LANES))
        .transpose(2, 3)
        .reshape(x.shape[0], -1, y.shape[2] * y.shape[3], WINNERS)
        .contiguous()
    )
    return y + bias.view(-1, 1, 1), won


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    x, weight, _, *ctx.options = inputs
    ctx.save_for_backward(x, weight, output[1])
    ctx.mark_non_differentiable(output[1])


def _back(ctx: Any, grad: Tensor, _: Tensor | None) -> tuple[Tensor | None, ...]:
    need_x, need_weight, need_bias = ctx.needs_input_grad[:3]
    x, weight, winner = ctx.saved_tensors
    gx = gw = None
    if need_x or need_weight:
        gx, gw = rot_max_conv2d_backward(grad, x, weight, winner, *ctx.options, need_x, need_weight)
    gb = grad.sum((0, 2, 3)) if need_bias else None
    return gx if need_x else None, gw if need_weight else None, gb, None, None, None, None


rot_max_conv2d.register_autograd(_back, setup_context=_keep)


def _answers(x: Tensor, weight: Tensor, stride: Any, padding: Any, dilation: Any) -> tuple[Tensor, Tensor]:
    """Empty results."""
    sizes = zip(x.shape[2:], stride, padding, dilation, strict=True)
    rows, columns = ((n + 2 * p - 2 * d - 1) // s + 1 for n, s, p, d in sizes)
    y = x.new_empty(x.shape[0], weight.shape[0], rows, columns).contiguous(memory_format=_format(x))
    winner = x.new_empty(x.shape[0], -(-weight.shape[0] // WINNERS), rows * columns, WINNERS, dtype=torch.uint8)
    return y, winner


def _gradients(x: Tensor, weight: Tensor, need_x: bool, need_weight: bool) -> tuple[Tensor, Tensor]:
    """Empty results."""
    gx = torch.empty_like(x) if need_x else x.new_empty(0, 0, 0, 0)
    gw = weight.new_empty(weight.shape) if need_weight else weight.new_empty(0)
    return gx, gw


def _in_lanes(winner: Tensor, images: int, blocks: int, pixels: int, lanes: int) -> np.ndarray:
    """The winners as the loops count them: lanes divide WINNERS, so there is room for all."""
    return winner.view(-1)[: images * blocks * pixels * lanes].view(images, blocks, pixels, lanes).numpy()


def _dense(x: Tensor) -> Tensor:
    """The tensor without gaps, rows first or channels last."""
    return x if x.is_contiguous() or x.is_contiguous(memory_format=torch.channels_last) else x.contiguous()


def _last(x: Tensor) -> Tensor:
    """(N, C, H, W) as (N, H, W, C) without gaps."""
    return x.permute(0, 2, 3, 1).contiguous()


def _format(x: Tensor) -> torch.memory_format:
    return torch.contiguous_format if x.is_contiguous() else torch.channels_last


def _at(x: Tensor) -> tuple[int, int, int]:
    """The strides of (N, C, pixel) in bytes."""
    pixel = x.shape[1] if _format(x) is torch.channels_last else 1
    return x.stride(0) * 4, x.stride(1) * 4, pixel * 4


def _shape(x: Tensor, y: Tensor, stride: list[int], padding: list[int], dilation: list[int]) -> tuple[int, ...]:
    return tuple(map(int, (*x.shape[1:], *y.shape[1:], *stride, *padding, *dilation)))
