"""The blocks U-Nets are made of: the notes' convolutions with batch norm and ELU, and residual ones with group norm."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plexus.nn import functional as PF
from plexus.nn import make_conv


def conv_bn_elu(neuron: str, maps: int, out: int, kernel: int) -> list[nn.Module]:
    """The notes' unit: a convolution that keeps the size (2x2: halves it), batch norm, ELU; Keras' constants.

    A 2x2 kernel has no centre to turn about, so that rotation neurons leave it plain.
    """
    halves = kernel == 2
    kind = "plain" if halves and neuron.startswith("rot") else neuron
    conv = make_conv(kind, maps, out, kernel, stride=2 if halves else 1, padding=0 if halves else kernel // 2)
    return [conv, nn.BatchNorm2d(out, eps=1e-3, momentum=0.01), nn.ELU(inplace=True)]


def double(neuron: str, maps: int, out: int, *, first: int = 3) -> nn.Sequential:
    """Two of the notes' units, the first with a kernel of side `first`."""
    return nn.Sequential(*conv_bn_elu(neuron, maps, out, first), *conv_bn_elu(neuron, out, out, 3))


class Residual(nn.Module):
    """y = s(x) + W_2 a(n(W_1 a(n(x)))), with n group norm, a ReLU and W 3x3 convolutions (He et al. 2016).

    Where the number of maps or the size changes, s is an average over 2x2 pixels and a 1x1 convolution; otherwise x.
    """

    def __init__(self, neuron: str, maps: int, out: int, *, stride: int = 1) -> None:
        super().__init__()
        self.norm1, self.norm2 = group_norm(maps), group_norm(out)
        self.conv1 = make_conv(neuron, maps, out, 3, stride=stride, padding=1, bias=False)
        self.conv2 = make_conv(neuron, out, out, 3, padding=1, bias=False)
        self.shortcut = nn.Conv2d(maps, out, 1, bias=False) if maps != out or stride > 1 else None
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        kept = x
        if self.shortcut is not None:
            kept = self.shortcut(x if self.stride == 1 else F.avg_pool2d(x, self.stride))
        x = self.conv1(F.relu(self.norm1(x), inplace=True))
        return kept + self.conv2(F.relu(self.norm2(x), inplace=True))


class Raise(nn.Module):
    """A 1x1 convolution without bias, then twice the size by bilinear interpolation."""

    def __init__(self, maps: int, out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(maps, out, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)  # before the interpolation, with which it commutes: a quarter of the work
        return PF.resize(x, [2 * side for side in x.shape[2:]], "bilinear")


def group_norm(maps: int) -> nn.GroupNorm:
    """Group norm of about 4 maps a group, at most 8 groups."""
    return nn.GroupNorm(math.gcd(maps, min(8, max(1, maps // 4))), maps)


class PoolHead(nn.Module):
    """One logit from the mean and the maximum of every map, so that any size will do."""

    def __init__(self, maps: int) -> None:
        super().__init__()
        self.linear = nn.Linear(2 * maps, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1))
