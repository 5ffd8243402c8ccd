"""The state of a net to the last bit: what a layer saves in another form than it learns is kept beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn


def beside(module: nn.Module, state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Parameters that a state does not hold under their own names.

    The angles of spherical layers: their state has weights, which give the angles back to rounding only.
    """
    return {name: p.detach() for name, p in module.named_parameters() if name not in state}


def exact_state(net: nn.Module) -> dict[str, Tensor]:
    """The net's state and what belongs beside it."""
    state = net.state_dict()
    return {**state, **beside(net, state)}


@torch.no_grad()
def load_exact(net: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Loads what `exact_state` gave.

    Raises:
        RuntimeError: as `load_state_dict`.

    Example:
        >>> from plexus.nn import SphericalLinear
        >>> a, b = SphericalLinear(5, 2), SphericalLinear(5, 2)
        >>> load_exact(b, exact_state(a))
        >>> torch.equal(a.angles, b.angles)
        True
    """
    extra = beside(net, net.state_dict())
    net.load_state_dict({name: value for name, value in state.items() if name not in extra})
    for name, own in extra.items():
        if name in state:
            own.copy_(state[name])
