"""Kernels turned around their rings, and the convolution that answers the best match over all rotations."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plexus.errors import ConfigError
from plexus.nn._angles import peak
from plexus.nn.kernels._rotate import rot_max_conv2d
from plexus.nn.kernels._taps import bank, turned

_BACKENDS = ("auto", "taps", "bank")
_REDUCTIONS = ("max", "concat", "squeeze", "continuous")
Reduction = Literal["max", "concat", "squeeze", "continuous"]
_TRITON = find_spec("triton") is not None


def ring_rotate(weight: Tensor, steps: int) -> Tensor:
    """Turn square kernels clockwise by shifting the taps of each ring, 45 degrees a step.

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
    _check_kernel(tuple(weight.shape[-2:]))
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
    reduce: Reduction = "max",
    stride: int | Sequence[int] = 1,
    padding: int | str | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    squeeze: Tensor | None = None,
) -> Tensor:
    """Convolve with all rotations of every kernel and reduce over them: y_o = reduce_s(x * R_s W_o) + b_o.

    R_s turns by 360 s / rotations degrees, see `ring_rotate`. `max` and `continuous` give O channels: the best of the
    rotations, and the maximum over all angles of the trigonometric polynomial through them (never below `max`).
    `concat` gives rotations * O channels, rotation by rotation, and `squeeze` mixes these into O by a 1x1 convolution.
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
    _check_rotation(rotations, reduce)
    _check_kernel(tuple(weight.shape[-2:]))
    if (squeeze is None) is (reduce == "squeeze"):
        raise ConfigError("squeeze: a kernel (O, rotations * O, 1, 1) is needed for reduce='squeeze', and only there")
    x, weight = _autocast(x), _autocast(weight)
    if rot_backend(x, weight, reduce=reduce, groups=groups) == "taps":
        return _by_taps(x, weight, bias, rotations, _pair(stride), _pair(padding), _pair(dilation))
    responses = F.conv2d(x, bank(weight, rotations), None, stride, padding, dilation, groups)
    # kernel by kernel, each with its rotations: so groups keep their kernels together
    responses = responses.unflatten(-3, (weight.shape[0], rotations))
    if reduce == "max":
        y = responses.max(-3).values  # not amax, which shares the gradient among ties
    elif reduce == "continuous":
        y = peak(responses, -3)
    else:
        y = responses.transpose(-3, -4).flatten(-4, -3)
        if squeeze is not None:
            y = F.conv2d(y, squeeze)
        elif bias is not None:
            bias = bias.repeat(rotations)
    if bias is not None:
        y = y + bias.to(y.dtype).view(-1, 1, 1)
    # the reductions above lose the memory format, on which the next layer's speed may depend
    last = x.dim() == 4 and not x.is_contiguous() and x.is_contiguous(memory_format=torch.channels_last)
    return y.contiguous(memory_format=torch.channels_last) if last else y


def rot_backend(x: Tensor, weight: Tensor, *, reduce: Reduction = "max", groups: int = 1) -> str:
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
    if wanted not in _BACKENDS:
        raise ConfigError(f"PLEXUS_ROT_BACKEND={wanted!r}: expected one of {', '.join(_BACKENDS)}")
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
    """Tell whether somebody wants derivatives that the operator has no formula for: functorch's, and forward ones."""
    if torch.compiler.is_compiling():  # the compiler differentiates the operator itself, and cannot trace the questions
        return False
    return torch._C._are_functorch_transforms_active() or torch.autograd.forward_ad._current_level >= 0


class RotConv2d(nn.Conv2d):
    """A drop-in for `torch.nn.Conv2d` that matches rotated copies of each kernel: y_o = reduce_s(x * R_s W_o) + b_o.

    R_s shifts the taps of every ring, see `plexus.nn.functional.ring_rotate`; the order is convolve, reduce, bias.
    Turns of the input by 90 degrees turn the output of `max` and `continuous` exactly where stride and padding are
    symmetric; other angles are met approximately.

    Args:
        in_channels, out_channels, kernel_size, stride, padding: as in `nn.Conv2d`.
        dilation, groups, bias, padding_mode, device, dtype: as in `nn.Conv2d`.
        rotations: 8 (45 degrees each) or 4 (90 degrees).
        reduce: max | concat (gives rotations * out_channels channels) | squeeze (concat, then a learned 1x1
            convolution back to out_channels) | continuous (maximum over all angles).

    Shape:
        (N, C, H, W) or (C, H, W) to (N, O, H', W') or (O, H', W'), as `nn.Conv2d`; with `concat` rotations * O for O.

    Raises:
        ConfigError: a kernel that is not square or has no centre, or an unknown option.

    Source: the research notes' rotation-max neuron. The state_dict has the keys of `nn.Conv2d`; `squeeze` adds
    `squeeze.weight`.

    Example:
        >>> import torch
        >>> layer = RotConv2d(3, 16, 3, padding=1)
        >>> layer(torch.randn(2, 3, 32, 32)).shape
        torch.Size([2, 16, 32, 32])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int] = 3,
        stride: int | tuple[int, int] = 1,
        padding: str | int | tuple[int, int] = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: Literal["zeros", "reflect", "replicate", "circular"] = "zeros",
        *,
        rotations: int = 8,
        reduce: Reduction = "max",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        _check_rotation(rotations, reduce)
        _check_kernel(kernel_size if isinstance(kernel_size, tuple) else (kernel_size, kernel_size))
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode,
            device=device, dtype=dtype,
        )  # fmt: skip
        self.rotations, self.reduce = rotations, reduce
        self.squeeze = (
            nn.Conv2d(rotations * out_channels, out_channels, 1, bias=False, device=device, dtype=dtype)
            if reduce == "squeeze"
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() not in (3, 4) or x.shape[-3] != self.in_channels:
            raise ConfigError(
                f"RotConv2d: expected (N, {self.in_channels}, H, W) or ({self.in_channels}, H, W), got {tuple(x.shape)}"
            )
        padding: str | int | tuple[int, ...] = self.padding
        if self.padding_mode != "zeros":  # as nn.Conv2d does it
            x = F.pad(x, self._reversed_padding_repeated_twice, mode=self.padding_mode)
            padding = 0
        return rot_conv2d(
            x,
            self.weight,
            self.bias,
            rotations=self.rotations,
            reduce=self.reduce,
            stride=self.stride,
            padding=padding,
            dilation=self.dilation,
            groups=self.groups,
            squeeze=None if self.squeeze is None else self.squeeze.weight,
        )

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, rotations={self.rotations}, reduce={self.reduce}"


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
    """Bring a tensor into the type that a convolution would get under autocast; float64 stays, as there."""
    kind = x.device.type
    if x.is_floating_point() and x.dtype != torch.float64 and torch.is_autocast_enabled(kind):
        return x.to(torch.get_autocast_dtype(kind))
    return x


def _check_rotation(rotations: int, reduce: str) -> None:
    if rotations not in (4, 8):
        raise ConfigError(f"rotations={rotations!r}: expected 4 or 8")
    if reduce not in _REDUCTIONS:
        raise ConfigError(f"reduce={reduce!r}: expected one of {', '.join(_REDUCTIONS)}")


def _check_kernel(size: tuple[int, ...]) -> None:
    if len(size) != 2 or size[0] != size[1] or size[0] % 2 == 0:
        raise ConfigError(f"kernel_size={size}: only square kernels of odd size can be rotated, such as (3, 3)")
