"""Rotating the taps of a kernel around its rings, and convolving with the best of all rotations."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from plexus.errors import ConfigError
from plexus.nn._angles import peak
from plexus.nn.kernels._rotate import rot_max_conv2d
from plexus.nn.kernels._taps import bank, turned

BACKENDS = ("auto", "taps", "bank")
REDUCTIONS = ("max", "concat", "squeeze", "continuous")
_TRITON = find_spec("triton") is not None


def ring_rotate(weight: Tensor, steps: int) -> Tensor:
    """Turns square kernels clockwise by shifting the taps of each ring, 45 degrees a step.

    Ring r around the centre has 8 r taps; they move r * steps places clockwise. Even steps are exact turns by 90
    degrees, odd ones move the corners of a 3x3 kernel onto its edges and the edges onto its corners.

    Args:
        weight: (..., K, K), K odd.
        steps: any integer; 8 is a full turn.

    Returns:
        (..., K, K), a new tensor.

    Raises:
        ConfigError: a kernel that is not square or has no centre.

    Example:
        >>> ring_rotate(torch.arange(9).view(3, 3), 1)
        tensor([[3, 0, 1],
                [6, 4, 2],
                [7, 8, 5]])
    """
    check_kernel(tuple(weight.shape[-2:]))
    if steps % 8 == 0:
        return weight.clone()
    taps = weight.flatten(-2).unbind(-1)
    return torch.stack([taps[i] for i in turned(int(weight.shape[-1]), steps % 8)], -1).view(weight.shape)


def rot_conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    rotations: int = 8,
    reduce: str = "max",
    stride: int | Sequence[int] = 1,
    padding: int | str | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    squeeze: Tensor | None = None,
) -> Tensor:
    """Convolves with all rotations of every kernel and reduces over them: y_o = reduce_s(x * R_s W_o) + b_o.

    R_s turns by 360 s / rotations degrees, see `ring_rotate`. `max` and `continuous` give O maps: the best of the
    rotations, and the maximum over all angles of the trigonometric polynomial through them (never below `max`).
    `concat` gives rotations * O maps, rotation by rotation, and `squeeze` mixes these into O by a 1x1 convolution.
    Where rotations tie, the gradient goes to the first of them.

    Args:
        x: (N, C, H, W).
        weight: (O, C / groups, K, K), K odd.
        bias: (O,), added after the reduction.
        rotations: 8 or 4.
        reduce: max | concat | squeeze | continuous.
        stride, padding, dilation, groups: as in `torch.nn.functional.conv2d`.
        squeeze: (O, rotations * O, 1, 1), for `squeeze` only.

    Returns:
        (N, O, H', W'); (N, rotations * O, H', W') for `concat`.

    Raises:
        ConfigError: an unknown reduction or number of rotations, a kernel that cannot be rotated, no `squeeze`.

    Source: the research notes' rotation-max neuron.

    Example:
        >>> rot_conv2d(torch.ones(1, 3, 8, 8), torch.randn(4, 3, 3, 3)).shape
        torch.Size([1, 4, 6, 6])
    """
    check_rotation(rotations, reduce)
    check_kernel(tuple(weight.shape[-2:]))
    if (squeeze is None) is (reduce == "squeeze"):
        raise ConfigError("squeeze: a kernel (O, rotations * O, 1, 1) is needed for reduce='squeeze', and only there")
    x, weight = _autocast(x), _autocast(weight)
    if rot_backend(x, weight, reduce=reduce, groups=groups) == "taps":
        return _by_taps(x, weight, bias, rotations, _pair(stride), _pair(padding), _pair(dilation))
    kernels = bank(weight, rotations)
    answers = F.conv2d(x, kernels, None, stride, padding, dilation, groups)
    answers = answers.unflatten(-3, (weight.shape[0], rotations))
    if reduce == "max":
        y = answers.max(-3).values
    elif reduce == "continuous":
        y = peak(answers, -3)
    else:
        y = answers.transpose(-3, -4).flatten(-4, -3)
        if squeeze is not None:
            y = F.conv2d(y, squeeze)
        elif bias is not None:
            bias = bias.repeat(rotations)
    if bias is not None:
        y = y + bias.to(y.dtype).view(-1, 1, 1)
    last = x.dim() == 4 and not x.is_contiguous() and x.is_contiguous(memory_format=torch.channels_last)
    return y.contiguous(memory_format=torch.channels_last) if last else y


def rot_backend(x: Tensor, weight: Tensor, *, reduce: str = "max", groups: int = 1) -> str:
    """Name the way in which `rot_conv2d` convolves these tensors.

    The environment variable PLEXUS_ROT_BACKEND (auto | taps | bank) forces one, for measurements and in case of doubt.

    Args:
        x: (N, C, H, W).
        weight: (O, C / groups, K, K).
        reduce, groups: as for `rot_conv2d`.

    Returns:
        `taps`, one operator in which all rotations share nine tap maps, or `bank`, one convolution with all rotated
        kernels.

    Raises:
        ConfigError: PLEXUS_ROT_BACKEND is unknown, or asks for what these tensors cannot have.

    Example:
        >>> rot_backend(torch.ones(1, 3, 8, 8), torch.ones(4, 3, 3, 3), reduce="concat")
        'bank'
    """
    wanted = os.environ.get("PLEXUS_ROT_BACKEND", "auto")
    if wanted not in BACKENDS:
        raise ConfigError(f"PLEXUS_ROT_BACKEND={wanted!r}: expected one of {', '.join(BACKENDS)}")
    device = x.device.type
    able = reduce == "max" and groups == 1 and tuple(weight.shape[2:]) == (3, 3) and x.dtype == weight.dtype
    able = able and x.dtype in (torch.float32, torch.bfloat16, torch.float16)
    able = able and not _transformed() and (device == "cpu" or (device == "cuda" and _TRITON))
    if wanted == "taps" and not able:
        raise ConfigError(
            "PLEXUS_ROT_BACKEND='taps': only reduce='max' with 3x3 kernels, one group and 16- or 32-bit floats on the "
            "CPU, or on a GPU with Triton, can have it; use auto or bank; got "
            f"reduce={reduce!r}, kernels {tuple(weight.shape[2:])}, groups={groups}, {x.dtype} on {x.device}"
        )
    return "taps" if able and wanted != "bank" and not torch.onnx.is_in_onnx_export() else "bank"


def _transformed() -> bool:
    """Whether somebody wants derivatives that the operator has no formula for: functorch's, and forward ones."""
    if torch.compiler.is_compiling():
        return False
    return torch._C._are_functorch_transforms_active() or torch.autograd.forward_ad._current_level >= 0


def _by_taps(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    rotations: int,
    stride: list[int],
    padding: list[int] | str,
    dilation: list[int],
) -> Tensor:
    if isinstance(padding, str):
        if padding not in ("same", "valid") or (padding == "same" and stride != [1, 1]):
            raise ConfigError(f"padding={padding!r}: expected numbers, 'valid', or 'same' with stride 1")
        padding = dilation if padding == "same" else [0, 0]
    offset = weight.new_zeros(len(weight)) if bias is None else bias
    batch = x if x.dim() == 4 else x.unsqueeze(0)
    half = x.dtype != torch.float32 and x.device.type == "cpu"  # the loops there know 32-bit floats only
    if half:
        batch, weight = batch.float(), weight.float()
    offset = offset.to(batch.dtype)
    y, _ = rot_max_conv2d(batch, weight, offset, rotations, stride, padding, dilation)
    y = y if x.dim() == 4 else y.squeeze(0)
    return y.to(x.dtype) if half else y


def _pair(value: int | str | Sequence[int]) -> Any:
    if isinstance(value, str):
        return value
    both = [value] if isinstance(value, int) else list(value)
    return both * 2 if len(both) == 1 else both


def _autocast(x: Tensor) -> Tensor:
    """The tensor in the type that a convolution would get under autocast."""
    kind = x.device.type
    if x.is_floating_point() and x.dtype != torch.float64 and torch.is_autocast_enabled(kind):
        return x.to(torch.get_autocast_dtype(kind))
    return x


def check_rotation(rotations: int, reduce: str) -> None:
    """Raises a ConfigError for a number of rotations or a reduction that does not exist."""
    if rotations not in (4, 8):
        raise ConfigError(f"rotations={rotations!r}: expected 4 or 8")
    if reduce not in REDUCTIONS:
        raise ConfigError(f"reduce={reduce!r}: expected one of {', '.join(REDUCTIONS)}")


def check_kernel(size: tuple[int, ...]) -> None:
    """Raises a ConfigError for a kernel that has no rings."""
    if len(size) != 2 or size[0] != size[1] or size[0] % 2 == 0:
        raise ConfigError(f"kernel_size={size}: only square kernels of odd size can be rotated, such as (3, 3)")
