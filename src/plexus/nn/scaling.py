"""Factors per channel: which layers let them through, which take them into their kernels, and what they give then."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn
from torch.func import functional_call

from plexus.nn._layers import UNIT_LAYERS
from plexus.nn._modules import has_hooks, is_chain
from plexus.nn._rotation import RotConv2d
from plexus.nn._spherical import SphericalConv2d
from plexus.nn._unit import UnitConv2d, UnitLinear, unit_weight
from plexus.nn.functional import per_map

__all__ = ["Scaled", "has_hooks", "is_chain", "keeps_scale", "kernel_of", "passes_scale", "run_scaled", "takes_scale"]

_CONVS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
# f(s * x) = s * f(x) for any s: a factor passes through
_LINEAR: tuple[type[nn.Module], ...] = (
    *(nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d),
    *(nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d),
    *(nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d),
    nn.Identity,
)
# the same for s >= 0 only
_POSITIVE: tuple[type[nn.Module], ...] = (
    *(nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d),
    *(nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d),
    *(nn.ReLU, nn.LeakyReLU),
)


class Scaled(NamedTuple):
    """Feature maps that still owe a factor per channel: they stand for `scale * x`.

    Args:
        x: feature maps, (N, C, *spatial).
        scale: the factors, (C,); None for 1.

    Example:
        >>> import torch
        >>> Scaled(torch.ones(1, 2, 1), torch.tensor([1.0, 3.0])).paid().flatten().tolist()
        [1.0, 3.0]
    """

    x: Tensor
    scale: Tensor | None = None

    def paid(self) -> Tensor:
        """Multiply the factor in."""
        return self.x if self.scale is None else self.x * per_map(self.scale, self.x)


def run_scaled(layer: nn.Module, maps: Scaled, *, positive: bool) -> Scaled:
    """Compute layer(scale * x), with the factor folded into the first kernel it meets.

    A kernel has O C k^2 numbers to multiply, the maps have N C H W: a gate that reaches a kernel is all but free.

    Args:
        layer: any module; `nn.Sequential` is walked through. With hooks it is called as it is, on paid maps.
        maps: feature maps (N, C, *spatial) and the factor (C,) that they owe.
        positive: every factor is >= 0 by construction (sigmoid gates), so that it passes through ReLU and max-pool.

    Returns:
        The layer's output, and the factor that it still owes.

    Raises:
        ConfigError: a unit-norm layer whose `eps` was set out of range after it was built.

    Example:
        >>> import torch
        >>> out = run_scaled(nn.ReLU(), Scaled(-torch.ones(1, 2, 1), torch.tensor([-1.0, 2.0])), positive=False)
        >>> out.x.flatten(), out.scale
        (tensor([1., 0.]), None)
    """
    scale = maps.scale
    if scale is None or has_hooks(layer):
        return Scaled(layer(maps.paid()))
    if is_chain(layer):
        for part in layer:
            maps = run_scaled(part, maps, positive=positive)
        return maps
    if isinstance(layer, _CONVS) and takes_scale(layer):
        kernel = kernel_of(layer)
        kernel = kernel * per_map(scale, kernel)
        if type(layer) is RotConv2d:
            return Scaled(functional_call(layer, {"weight": kernel}, maps.x))
        return Scaled(layer._conv_forward(maps.x, kernel, layer.bias))
    if passes_scale(layer, positive=positive):
        return Scaled(layer(maps.x), scale)
    return Scaled(layer(maps.paid()))


def kernel_of(layer: nn.Module) -> Tensor:
    """Return what a convolution or linear layer multiplies its inputs by; of all its rotations the first.

    Args:
        layer: a convolution or linear layer of torch or plexus.

    Returns:
        (O, I, ...): the weight, at length 1 for unit-norm and spherical layers.

    Raises:
        ConfigError: a unit-norm layer whose `eps` was set out of range after it was built.

    Example:
        >>> kernel_of(UnitLinear(3, 4)).norm(dim=1).allclose(kernel_of(nn.Linear(3, 4)).new_ones(4))
        True
    """
    if isinstance(layer, UnitConv2d | UnitLinear):
        return unit_weight(layer.weight, layer.eps)
    return layer.weight  # type: ignore[return-value]


def takes_scale(layer: nn.Module) -> bool:
    """Tell whether a factor per input channel can be multiplied into the kernel that a layer convolves with.

    Rotations move taps within one input channel, so factors may go into the kernel before it is rotated. Groups are
    left out, as their kernels are not indexed by input channel, and subclasses, which may compute anything.

    Args:
        layer: any module.

    Example:
        >>> takes_scale(nn.Conv2d(4, 4, 3)), takes_scale(nn.Conv2d(4, 4, 3, groups=2)), takes_scale(nn.ReLU())
        (True, False, False)
    """
    convolves = type(layer) in (*_CONVS, RotConv2d, UnitConv2d, SphericalConv2d)
    return bool(convolves and layer.groups == 1 and not has_hooks(layer))


def keeps_scale(layer: nn.Module) -> bool:
    """Tell whether such a factor can be kept in the layer's own parameters: where no length is prescribed.

    Args:
        layer: any module.

    Example:
        >>> keeps_scale(nn.Conv2d(4, 4, 3)), keeps_scale(UnitConv2d(4, 4, 3))
        (True, False)
    """
    return takes_scale(layer) and type(layer) not in UNIT_LAYERS


def passes_scale(layer: nn.Module, *, positive: bool) -> bool:
    """Tell whether a factor per channel can be applied after a layer as well as before: f(s x) = s f(x).

    Args:
        layer: any module.
        positive: every factor is >= 0.

    Source: homogeneity of degree 1, channel by channel.

    Example:
        >>> passes_scale(nn.ReLU(), positive=True), passes_scale(nn.ReLU(), positive=False)
        (True, False)
    """
    if getattr(layer, "return_indices", False):
        return False
    return type(layer) in _LINEAR or (positive and type(layer) in _POSITIVE)
