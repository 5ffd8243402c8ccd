"""Runs a lego on maps that still owe a factor per map, and pushes the factor as far as it goes for free."""

from __future__ import annotations

from typing import NamedTuple, TypeGuard

from torch import Tensor, nn
from torch.func import functional_call

from plexus.nn._rot_conv import RotConv2d
from plexus.nn._spherical import SphericalConv2d, SphericalLinear
from plexus.nn._unit import UnitConv2d, UnitLinear, unit_weight
from plexus.nn.functional import per_map

CONVS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
UNIT: tuple[type[nn.Module], ...] = (UnitConv2d, UnitLinear, SphericalConv2d, SphericalLinear)
OWN = (RotConv2d, *UNIT)  # layers of plexus that stand for torch's
# f(s * x) = s * f(x) for any s: a factor passes through
LINEAR_BY_MAP: tuple[type[nn.Module], ...] = (
    *(nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d),
    *(nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d),
    *(nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d),
    nn.Identity,
)
# the same for s >= 0 only
POSITIVE_BY_MAP: tuple[type[nn.Module], ...] = (
    *(nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d),
    *(nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d),
    *(nn.ReLU, nn.LeakyReLU),
)


class Scaled(NamedTuple):
    """Maps `x`, (N, C, *spatial), that stand for `scale * x`; scale is (C,) or None for 1."""

    x: Tensor
    scale: Tensor | None = None

    def paid(self) -> Tensor:
        """The maps with the factor multiplied in."""
        return self.x if self.scale is None else self.x * per_map(self.scale, self.x)


def run_lego(lego: nn.Module, maps: Scaled, *, positive: bool) -> Scaled:
    """lego(scale * x), with the factor folded into the first kernel it meets.

    Args:
        lego: any module; `nn.Sequential` is walked through.
        maps: the maps and the factor they owe.
        positive: whether every factor is >= 0 by construction (sigmoid gates), so that it passes through ReLU and
            max-pool.

    Returns:
        The lego's output, and the factor it still owes.
    """
    scale = maps.scale
    if scale is None or has_hooks(lego):
        return Scaled(lego(maps.paid()))
    if is_chain(lego):
        for part in lego:
            maps = run_lego(part, maps, positive=positive)
        return maps
    if isinstance(lego, CONVS) and reads_scaled(lego):
        kernel = kernel_of(lego)
        kernel = kernel * per_map(scale, kernel)
        if type(lego) is RotConv2d:
            return Scaled(functional_call(lego, {"weight": kernel}, maps.x))
        return Scaled(lego._conv_forward(maps.x, kernel, lego.bias))
    if passes(lego, positive=positive):
        return Scaled(lego(maps.x), scale)
    return Scaled(lego(maps.paid()))


def is_chain(module: nn.Module) -> TypeGuard[nn.Sequential]:
    """Whether calling this module means calling its parts in order: an `nn.Sequential` with no forward of its own."""
    return isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward


def kernel_of(layer: nn.Module) -> Tensor:
    """What a convolution or linear layer multiplies its inputs by, (O, I, ...); of all its rotations the first."""
    if isinstance(layer, UnitConv2d | UnitLinear):
        return unit_weight(layer.weight, layer.eps)
    return layer.weight  # type: ignore[return-value]


def reads_scaled(layer: nn.Module) -> bool:
    """Whether a factor per input map can be multiplied into what this layer convolves with.

    Rotations move taps within one input map, so factors may go into the kernel before it is rotated.
    """
    convolves = type(layer) in (*CONVS, RotConv2d, UnitConv2d, SphericalConv2d)
    return bool(convolves and layer.groups == 1 and not has_hooks(layer))


def folds_into(layer: nn.Module) -> bool:
    """Whether such a factor can be kept in the layer's own parameters: where no length is prescribed."""
    return reads_scaled(layer) and type(layer) not in UNIT


def passes(layer: nn.Module, *, positive: bool) -> bool:
    """Whether a factor per map can be applied after this layer as well as before."""
    if getattr(layer, "return_indices", False):
        return False
    return type(layer) in LINEAR_BY_MAP or (positive and type(layer) in POSITIVE_BY_MAP)


def has_hooks(module: nn.Module) -> bool:
    """Whether somebody watches this module's calls, so that it must be called as it is."""
    return bool(
        module._forward_hooks or module._forward_pre_hooks or module._backward_hooks or module._backward_pre_hooks
    )
