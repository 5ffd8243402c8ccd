"""The notes' network has their layers, their size and their variants."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from plexus.errors import ConfigError
from plexus.models import VARIANTS, mini_vgg, variant
from plexus.nn import DENSE, NEURONS, RotConv2d, SphericalConv2d, UnitConv2d, UnitLinear

SMALL = (1, 10, 12)


def count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def test_the_plain_network_is_that_of_the_notes() -> None:
    net = mini_vgg()
    assert count(net) == 1_250_858
    convs = [m for m in net if isinstance(m, nn.Conv2d)]
    assert [(c.in_channels, c.out_channels, c.kernel_size, c.padding) for c in convs] == [
        (3, 32, (3, 3), (1, 1)),
        (32, 32, (3, 3), (0, 0)),
        (32, 64, (3, 3), (1, 1)),
        (64, 64, (3, 3), (0, 0)),
    ]
    assert [type(m).__name__ for m in net] == [
        *("Conv2d", "ReLU", "Conv2d", "ReLU", "MaxPool2d", "Dropout") * 2,
        *("Flatten", "Linear", "ReLU", "Dropout", "Linear"),
    ]
    assert [m.p for m in net if isinstance(m, nn.Dropout)] == [0.25, 0.25, 0.5]
    assert net(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


def test_the_variants_are_those_of_the_notes() -> None:
    assert set(VARIANTS) == {
        *("baseline", "norm_conv", "norm_dense", "norm_conv_dense", "elu"),
        *(f"{k}_rot_{n}" for k in (4, 8) for n in (1, 2, 3, 4)),
    }


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_changes_the_layers_it_names_and_no_other(name: str) -> None:
    net, plain = variant(name, 3, SMALL), mini_vgg(3, SMALL)
    assert list(net.state_dict()) == list(plain.state_dict())
    assert count(net) == count(plain)
    convs = [m for m in net if isinstance(m, nn.Conv2d)]
    denses = [m for m in net if isinstance(m, nn.Linear)]
    turned = int(name[-1]) if "_rot_" in name else 0
    conv_kind = UnitConv2d if name in ("norm_conv", "norm_conv_dense") else nn.Conv2d
    dense_kind = UnitLinear if name in ("norm_dense", "norm_conv_dense") else nn.Linear
    assert [type(c) for c in convs] == [conv_kind] * (4 - turned) + [RotConv2d] * turned
    assert {c.rotations for c in convs if isinstance(c, RotConv2d)} <= {int(name[0]) if turned else None}
    assert [type(d) for d in denses] == [dense_kind] * 2
    assert sum(isinstance(m, nn.ELU) for m in net) == (5 if name == "elu" else 0)
    out = net(torch.randn(2, *SMALL))
    assert out.shape == (2, 3)
    out.sum().backward()
    assert all(p.grad is not None for p in net.parameters())


def test_every_neuron_fits_every_place() -> None:
    net = mini_vgg(3, SMALL, conv=("spherical", "rot4", "unit", "plain"), dense="spherical")
    assert [type(net[k]) for k in (0, 2, 6, 8)] == [SphericalConv2d, RotConv2d, UnitConv2d, nn.Conv2d]
    assert list(NEURONS) == ["plain", "rot8", "rot4", "unit", "spherical"]
    assert list(DENSE) == ["plain", "unit", "spherical"]
    assert list(net.state_dict()) == list(mini_vgg(3, SMALL).state_dict())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"conv": ("plain", "rot8")}, "must name the kinds of 4 convolutions"),
        ({"conv": "rot8"}, "conv='rot8' must name the kinds of 4 convolutions"),
        ({"conv": ("rot6",) * 4}, "neuron 'rot6' is unknown for a convolution; choose from plain, rot8, rot4, unit"),
        ({"dense": "rot8"}, "neuron 'rot8' is unknown for a linear layer; choose from plain, unit, spherical"),
        ({"activation": "gelu"}, "activation='gelu' is unknown; choose from relu, elu"),
        ({"in_shape": (3, 9, 32)}, r"in_shape=\(3, 9, 32\) must be \(C, H, W\) with sides of 10 pixels or more"),
        ({"in_shape": (3, 32)}, r"in_shape=\(3, 32\) must be"),
        ({"classes": 0}, "classes=0 must be 1 or more"),
    ],
)
def test_mistakes_are_told(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        mini_vgg(**options)


def test_an_unknown_variant_is_told() -> None:
    with pytest.raises(ConfigError, match="variant '8_rot_5' is unknown; choose from baseline, 8_rot_1"):
        variant("8_rot_5")
