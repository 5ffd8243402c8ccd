"""The kinds of neuron by name and by class, and recurrent layers in the layout of all others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from torch import Tensor, nn

from plexus.errors import ConfigError
from plexus.nn._rotation import RotConv2d
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
"""The makers of each kind of convolution; arguments as for `torch.nn.Conv2d`."""

DENSE: Mapping[str, Make] = MappingProxyType({"plain": nn.Linear, "unit": UnitLinear, "spherical": SphericalLinear})
"""The makers of each kind of linear layer; arguments as for `torch.nn.Linear`."""

UNIT_LAYERS: tuple[type[nn.Module], ...] = (UnitConv2d, UnitLinear, SphericalConv2d, SphericalLinear)
"""The layers whose filters have length 1, so that no factor can be kept in their weights."""

NEURON_LAYERS: tuple[type[nn.Module], ...] = (RotConv2d, *UNIT_LAYERS)
"""The layers of plexus that stand for one of torch's."""


def make_conv(kind: str, *args: Any, **options: Any) -> nn.Module:
    """Build a convolution of one kind of neuron.

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
    """Build a linear layer of one kind of neuron.

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


class Recurrent(nn.Module):
    """Let an LSTM, GRU or RNN take and give (N, C, L), as the legos around it do.

    y[:, :, t] = h_t, where h = rnn(x_1, ..., x_L)

    Args:
        rnn: an `nn.LSTM`, `nn.GRU` or `nn.RNN`; `batch_first` may be either.

    Shape:
        (N, input_size, L) -> (N, hidden_size, L); twice hidden_size when bidirectional, proj_size when projected.

    Source: the learned-connectivity notes of 2016, which count recurrent layers among the legos.

    Example:
        >>> import torch
        >>> Recurrent(nn.GRU(3, 5))(torch.ones(2, 3, 7)).shape
        torch.Size([2, 5, 7])
    """

    def __init__(self, rnn: nn.RNNBase) -> None:
        super().__init__()
        self.rnn = rnn

    def forward(self, x: Tensor) -> Tensor:
        if self.rnn.batch_first:
            return self.rnn(x.transpose(1, 2))[0].transpose(1, 2)
        return self.rnn(x.permute(2, 0, 1))[0].permute(1, 2, 0)
