"""Unit-norm and spherical layers as plain ones."""

from __future__ import annotations

import copy

from torch import nn

from plexus.nn._rebuild import SPHERICAL, rebuilt
from plexus.nn._unit import UnitConv2d, UnitLinear, unit_weight

_CONSTRAINED = (UnitConv2d, UnitLinear, *SPHERICAL)


def fold(model: nn.Module) -> nn.Module:
    """A copy of a model in which unit-norm and spherical layers are plain ones of equal output, at no extra cost.

    The normalised filters become the weights of `nn.Conv2d` and `nn.Linear`. All else is copied as it is, rotation
    layers included; the model itself is left alone.

    Args:
        model: a network, or such a layer.

    Shape:
        Layers take and give what they did, (N, C, H, W) or (N, ..., F).

    Returns:
        The copy, in the same mode, on the same device.

    Raises:
        ConfigError: a layer whose `eps` was set out of range after it was built.

    Example:
        >>> from plexus.nn import UnitLinear
        >>> fold(nn.Sequential(UnitLinear(3, 4), nn.ReLU()))
        Sequential(
          (0): Linear(in_features=3, out_features=4, bias=True)
          (1): ReLU()
        )
    """
    whole = nn.ModuleList([copy.deepcopy(model)])  # a place for the model itself to be replaced in
    plain: dict[int, nn.Module] = {}
    for parent in list(whole.modules()):
        for name, child in parent._modules.items():
            if type(child) in _CONSTRAINED:
                assert child is not None
                parent._modules[name] = plain.setdefault(id(child), _plain(child))
    return whole[0]


def _plain(layer: nn.Module) -> nn.Module:
    new = rebuilt(layer, nn.Conv2d if isinstance(layer, nn.Conv2d) else nn.Linear)
    if isinstance(layer, (UnitConv2d, UnitLinear)):
        unit = unit_weight(layer.weight.detach(), layer.eps)
        new.weight = nn.Parameter(unit, requires_grad=layer.weight.requires_grad)
    return new
