"""A convolution that answers the best match over rotated copies of its kernels."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from plexus.errors import ConfigError
from plexus.nn._rotation import check_kernel, check_rotation, rot_conv2d


class RotConv2d(nn.Conv2d):
    """A drop-in for `torch.nn.Conv2d` that matches rotated copies of each kernel: y_o = reduce_s(x * R_s W_o) + b_o.

    R_s shifts the taps of every ring, see `plexus.nn.functional.ring_rotate`; the order is convolve, reduce, bias.
    Turns of the input by 90 degrees turn the output of `max` and `continuous` exactly where stride and padding are
    symmetric; other angles are met approximately.

    Args:
        in_channels, out_channels, kernel_size, stride, padding: as in `nn.Conv2d`.
        dilation, groups, bias, padding_mode, device, dtype: as in `nn.Conv2d`.
        rotations: 8 (45 degrees each) or 4 (90 degrees).
        reduce: max | concat (gives rotations * out_channels maps) | squeeze (concat, then a learned 1x1 convolution
            back to out_channels) | continuous (maximum over all angles).

    Shape:
        (N, C, H, W) or (C, H, W) to (N, O, H', W') or (O, H', W'), as `nn.Conv2d`; with `concat` rotations * O maps.

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
        padding_mode: str = "zeros",
        *,
        rotations: int = 8,
        reduce: str = "max",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        check_rotation(rotations, reduce)
        check_kernel(kernel_size if isinstance(kernel_size, tuple) else (kernel_size, kernel_size))
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode,  # type: ignore[arg-type]
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
        if self.padding_mode != "zeros":
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
