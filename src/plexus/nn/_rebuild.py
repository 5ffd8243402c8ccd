"""The same layer as another class: parameters, mode, hooks, device and dtype stay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from plexus.nn._spherical import SphericalConv2d, SphericalLinear

SPHERICAL = (SphericalConv2d, SphericalLinear)
_CONV = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "padding_mode")
_LINEAR = ("in_features", "out_features")


def rebuilt(old: nn.Module, make: Callable[..., nn.Module]) -> nn.Module:
    """The layer built anew by `make`, with the old one's parameters.

    They are the same objects, so that an optimiser built earlier goes on; spherical layers hold others.

    Args:
        old: a convolution or linear layer of torch or plexus.
        make: takes the arguments of `nn.Conv2d` or `nn.Linear`.

    Example:
        >>> from plexus.nn import UnitLinear
        >>> plain = nn.Linear(3, 4)
        >>> rebuilt(plain, UnitLinear).weight is plain.weight
        True
    """
    keys = _CONV if isinstance(old, nn.Conv2d) else _LINEAR
    first = next(old.parameters())
    new = make(**{key: getattr(old, key) for key in keys}, bias=old.bias is not None, device="meta", dtype=first.dtype)
    for part in new.children():  # what the new layer alone has starts as itself
        part.to_empty(device=first.device)
        part.reset_parameters()  # type: ignore[operator]
    _adopt(new, old)
    new.train(old.training)
    # the very dictionaries, so that handles given out earlier still remove their hooks
    new.__dict__.update({key: value for key, value in vars(old).items() if "hook" in key})
    return new


def _adopt(new: nn.Module, old: nn.Module) -> None:
    first: Any = next(old.parameters())
    weight: Any = old.weight
    if isinstance(new, SPHERICAL):
        new.to_empty(device=first.device)
        new.set_weight(weight)
        new.angles.requires_grad_(first.requires_grad)
    else:
        share = isinstance(weight, nn.Parameter)
        new.weight = weight if share else nn.Parameter(weight.detach(), requires_grad=first.requires_grad)
    new.bias = old.bias
