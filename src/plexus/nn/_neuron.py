"""The kinds of neuron by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from torch import nn

from plexus.errors import ConfigError
from plexus.nn._rot_conv import RotConv2d
from plexus.nn._spherical import SphericalConv2d, SphericalLinear
from plexus.nn._unit import UnitConv2d, UnitLinear

Make = Callable[..., nn.Module]

NEURONS: Mapping[str, Make] = MappingProxyType(
    {
        "plain": nn.Conv2d,
        "rot8": partial(RotConv2d, rotations=8),
        "rot4": partial(RotConv2d, rotations=4),
        "unit": UnitConv2d,
        "spherical": SphericalConv2d,
    }
)
"""What makes the convolution of each kind; arguments as for `torch.nn.Conv2d`."""

DENSE: Mapping[str, Make] = MappingProxyType({"plain": nn.Linear, "unit": UnitLinear, "spherical": SphericalLinear})
"""What makes the linear layer of each kind; arguments as for `torch.nn.Linear`."""


def make_conv(kind: str, *args: Any, **options: Any) -> nn.Module:
    """A convolution of this kind.

    Args:
        kind: plain | rot8 | rot4 | unit | spherical.
        args, options: as for `torch.nn.Conv2d`.

    Raises:
        ConfigError: an unknown kind.

    Example:
        >>> make_conv("rot4", 3, 16, 3).rotations
        4
    """
    return _named(kind, NEURONS, "convolution")(*args, **options)


def make_linear(kind: str, *args: Any, **options: Any) -> nn.Module:
    """A linear layer of this kind.

    Args:
        kind: plain | unit | spherical.
        args, options: as for `torch.nn.Linear`.

    Raises:
        ConfigError: an unknown kind.

    Example:
        >>> make_linear("plain", 3, 16)
        Linear(in_features=3, out_features=16, bias=True)
    """
    return _named(kind, DENSE, "linear layer")(*args, **options)


def _named(kind: str, kinds: Mapping[str, Make], what: str) -> Make:
    if kind not in kinds:
        raise ConfigError(f"neuron {kind!r} is unknown for a {what}; choose from {', '.join(kinds)}")
    return kinds[kind]
