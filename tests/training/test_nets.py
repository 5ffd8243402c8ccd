"""The nets of a config: which layers become which neuron, the same in chain, supernet and pattern."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from plexus.errors import ConfigError
from plexus.models import Classifier, deep, head, mix, separable
from plexus.nn import RotConv2d, SphericalConv2d, Supernet, UnitConv2d, UnitLinear
from plexus.training import FitConfig
from plexus.training.nets import Nets, describe, neuron, neurons

SHAPE = (1, 8, 8)


def nets(**options: Any) -> Nets:
    narrow: dict[str, Any] = {} if "legos" in options else {"preset": "deep", "width": 4}
    return Nets(FitConfig(**narrow, **options), SHAPE, 3)


def made(net: nn.Module) -> list[str]:
    """The neuron of every convolution, in order."""
    return [neuron(part) for part in net.modules() if isinstance(part, nn.Conv2d)]


@pytest.mark.parametrize("kind", ["rot8", "rot4", "unit", "spherical"])
@pytest.mark.parametrize("merge", ["sum", "concat"])
def test_every_net_has_the_neurons(kind: str, merge: str) -> None:
    for last, expected in ((None, [kind] * 9), (2, ["plain"] * 7 + [kind] * 2)):
        some = nets(neuron=kind, last=last, merge=merge)
        whole = some.supernet()
        wiring = whole.body.wiring()  # type: ignore[operator]
        for net in (whole, some.chain(), some.pattern(wiring)):
            assert made(net) == expected
            assert net(torch.randn(2, *SHAPE)).shape == (2, 3)


def test_options_of_the_rotation() -> None:
    (layer,) = (part for part in nets(neuron="rot4", last=1).supernet().modules() if isinstance(part, RotConv2d))
    assert (layer.rotations, layer.reduce, layer.padding, layer.bias) == (4, "max", (1, 1), None)


def test_dense_layers_of_the_head() -> None:
    for end, count in (("gap", 1), ("flatten512", 2)):
        some = nets(dense="unit", head=end)
        for net in (some.supernet(), some.chain()):
            assert sum(type(part) is UnitLinear for part in net.modules()) == count
            assert sum(type(part) is nn.Linear for part in net.modules()) == 0
            assert made(net) == ["plain"] * 9


def test_plain_nets_are_what_they_were() -> None:
    """Bit by bit what the preset gives from the seed."""
    net = nets(seed=5).supernet()
    torch.manual_seed(5)
    body = Supernet(deep(SHAPE, width=4), SHAPE, merge="sum", gate_init=(0.95, 0.27))
    expected = Classifier(body, head("gap", body.out_channels, 3)).state_dict()
    state = net.state_dict()
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[key], expected[key]) for key in state)


def test_the_default_is_a_residual_net_of_depthwise_legos() -> None:
    net = Nets(FitConfig(width=8, seed=5), SHAPE, 3).supernet()
    torch.manual_seed(5)
    body = Supernet(separable(SHAPE, width=8), SHAPE, merge="mix", share=None, residual=True, reach=1)
    top = head("gap", body.out_channels, 3)
    state, expected = net.state_dict(), Classifier(body, nn.Sequential(nn.ReLU(), *top)).state_dict()
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[key], expected[key]) for key in state)


def test_single_maps_are_mixed() -> None:
    net = Nets(FitConfig(preset="mix", width=8, share=4, seed=5), SHAPE, 3).supernet()
    torch.manual_seed(5)
    body = Supernet(mix(SHAPE, width=8), SHAPE, merge="mix", share=4)
    expected = Classifier(body, head("gap", body.out_channels, 3)).state_dict()
    state = net.state_dict()
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[key], expected[key]) for key in state)


def test_the_seed_decides() -> None:
    one, again, other = (nets(neuron="unit", seed=s).supernet().state_dict() for s in (1, 1, 2))
    assert all(torch.equal(one[key], again[key]) for key in one)
    assert any(not torch.equal(one[key], other[key]) for key in one)


LEGOS = """
from torch import nn
def mixed(shape):
    return [nn.LazyConv2d(4, 3, padding=1), nn.Sequential(nn.LazyConv2d(4, 2), nn.ReLU()), nn.LazyConv2d(4, 3)]
def even(shape):
    return [nn.LazyConv2d(4, 2), nn.LazyConv2d(4, (1, 3))]
def none(shape):
    return [nn.MaxPool2d(2), nn.ReLU()]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "legos.py").write_text(LEGOS)
    return tmp_path / "legos.py"


def test_legos_of_the_users_own(file: Path) -> None:
    assert made(nets(legos=f"{file}:mixed", neuron="unit").chain()) == ["unit"] * 3
    assert made(nets(legos=f"{file}:mixed", neuron="unit", last=2).supernet()) == ["plain", "unit", "unit"]
    assert made(nets(legos=f"{file}:mixed", neuron="rot8").supernet()) == ["rot8", "plain", "rot8"]  # 2x2 stays


@pytest.mark.parametrize("options", [{"preset": "deep", "width": 8}, {"preset": "blocks"}, {"legos": "mixed"}])
def test_single_maps_of_other_legos_can_be_mixed(file: Path, options: dict[str, Any]) -> None:
    where = {"legos": f"{file}:mixed"} if "legos" in options else options
    net = Nets(FitConfig(**where, merge="mix", share=4), (1, 12, 12), 3).supernet()
    assert net(torch.zeros(2, 1, 12, 12)).shape == (2, 3)
    assert all(connection.merge == "mix" for connection in net.body.connections)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("mixed", {"neuron": "unit", "last": 5}, r"neuron='unit': last=5 must lie between 1 and 3"),
        ("mixed", {"neuron": "rot8", "last": 3}, r"neuron='rot8': last=3 must lie between 1 and 2"),
        ("even", {"neuron": "rot4"}, r"neuron='rot4': .*lego1: Conv2d, a 2x2 kernel .*lego2: Conv2d, a 1x3 kernel"),
        ("none", {"neuron": "unit"}, r"neuron='unit': no layer can become UnitConv2d.*MaxPool2d"),
    ],
)
def test_where_there_is_nothing_to_turn(file: Path, name: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        nets(legos=f"{file}:{name}", **options).supernet()


def test_words() -> None:
    assert describe(nn.Sequential(RotConv2d(1, 4), nn.MaxPool2d(2))) == "rot8 conv 3x3, 4 maps, pool"
    assert describe(nn.Conv2d(1, 4, 3)) == "conv 3x3, 4 maps"
    assert describe(SphericalConv2d(1, 4, 1)) == "spherical conv 1x1, 4 maps"
    net = nn.Sequential(UnitConv2d(1, 1, 1), nn.Conv2d(1, 1, 1), RotConv2d(1, 1), nn.Flatten(), UnitLinear(1, 1))
    assert neurons(net) == "unit in 1 of 3 convolutions, rot8 in 1 of 3 convolutions, unit in 1 of 1 dense layers"
    assert neurons(nn.Sequential(nn.Conv2d(1, 1, 1), nn.Linear(1, 1))) == ""
