"""Rotating, unit and spherical layers through the learned wiring: what is cut, folded, counted and ranked."""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, fx, nn

from plexus.graph import Wiring
from plexus.nn import NEURON_LAYERS, NEURONS, UNIT_LAYERS, RotConv2d, Supernet, UnitConv2d, convert, fold
from plexus.nn.scaling import kernel_of
from plexus.wiring import derive, edge_costs, importance, multiply_adds, parameters, rebuild
from tests.wiring.nets import Gated, assert_derives, assert_same, classifier, cut, images, of_neurons, some_of

KINDS = ["rot8", "rot4", "unit", "spherical"]
MERGES = ["concat", "sum", "max", "squeeze"]


def net_of(kind: str, end: str = "gap", *, dense: str = "plain", **options: Any) -> Gated:
    return of_neurons(classifier(end=end, widths=(4, 6, 4, 5), **options), kind, dense)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("merge", MERGES)
def test_the_derived_net_computes_what_the_gated_one_does(kind: str, merge: str) -> None:
    at = KINDS.index(kind) + MERGES.index(merge)  # every value of the rest, not every pair
    options: dict[str, Any] = {"gate": ["scalar", "channel"][at % 2], "size": ["smallest", "largest"][at // 2 % 2]}
    net = net_of(kind, ["gap", "flatten512"][at // 3 % 2], dense=["unit", "spherical"][at % 2], merge=merge, **options)
    assert_derives(net, images(net), fold=at % 3 > 0, seeds=1)


@pytest.mark.parametrize("kind", KINDS)
def test_gates_of_either_sign_too(kind: str) -> None:
    for merge in ("concat", "sum"):
        net = net_of(kind, merge=merge, activation="none")
        assert_derives(net, images(net))


def test_neurons_stay_and_nothing_else_of_plexus() -> None:
    for kind in KINDS:
        net = net_of(kind, dense="unit", merge="concat")
        plain = derive(net, some_of(net.body.wiring(), 0.6, 2))
        found = {type(part) for part in plain.modules()}
        assert {type(part) for part in net.body.legos.modules() if type(part) in NEURON_LAYERS} <= found  # type: ignore[attr-defined]
        assert all(part in NEURON_LAYERS or part.__module__.startswith("torch.") for part in found)


@pytest.mark.parametrize("kind", ["unit", "spherical"])
def test_filters_keep_length_1_and_only_the_slices_that_are_read(kind: str) -> None:
    for end in ("gap", "flatten512"):
        net, twin = net_of(kind, end, dense=kind, merge="concat"), net_of("plain", end, merge="concat")
        wiring = net.body.wiring().keep([("lego1", "lego2"), ("input", "lego4"), ("lego2", "lego4"), ("lego4", "head")])
        plain, expected = derive(net, wiring), derive(twin, wiring)
        layers = [part for part in plain.modules() if isinstance(part, UNIT_LAYERS)]
        assert len(layers) == (5 if end == "gap" else 6)
        for layer in layers:
            length = kernel_of(layer).flatten(1).norm(dim=1)
            torch.testing.assert_close(length, torch.ones_like(length))
        shapes = [{k: v.shape for k, v in part.state_dict().items()} for part in (fold(plain), expected)]
        assert {k: v for k, v in shapes[0].items() if "scale" not in k} == shapes[1]
        assert parameters(fold(plain)) == parameters(expected)


def test_a_slice_without_length_stays_whole_where_there_is_a_bias() -> None:
    torch.manual_seed(0)
    for bias in (True, False):
        net = Supernet([nn.Conv2d(3, 4, 1), UnitConv2d(7, 5, 3, bias=bias), nn.Conv2d(12, 2, 1)], (3, 6, 6)).eval()
        with torch.no_grad():
            net.legos[1].get_parameter("weight")[2, :3] = 0
        wiring = net.wiring().keep([("input", "lego2"), ("lego2", "lego3"), ("lego3", "head")])
        plain, x = derive(net, wiring), images(net)
        assert plain.get_parameter("lego2.weight").shape[1] == (7 if bias else 3)
        cut(net, wiring)
        assert_same(plain(x), net(x))


def test_gates_go_into_kernels_that_rotate_and_stand_before_those_of_length_1() -> None:
    def factors(kind: str) -> int:
        net = classifier("blocks")
        net = net if kind == "plain" else of_neurons(net, kind)
        graph = derive(net, net.body.wiring())
        assert isinstance(graph, fx.GraphModule)
        return sum(getattr(node.target, "__name__", "") == "mul" for node in graph.graph.nodes)

    assert {kind: factors(kind) for kind in ("plain", "rot8", "unit")} == {"plain": 0, "rot8": 0, "unit": 3}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("merge", ["concat", "sum"])
def test_a_pattern_is_built_from_fresh_layers_of_the_right_size(kind: str, merge: str) -> None:
    """The chain, which reads one source per layer, is its layers one after the other: nothing is owed."""
    torch.manual_seed(0)
    legos = [nn.Sequential(nn.LazyConv2d(4, 3, padding=1), nn.ReLU()) for _ in range(3)]
    body = Supernet(legos, (3, 6, 6), merge=merge)
    convert(body.legos, NEURONS[kind])  # type: ignore[arg-type]
    names = body.node_names()
    chain = Wiring(names, [(a, b, 1.0) for a, b in pairwise(names[1:])])

    def build(seed: int) -> nn.Module:
        torch.manual_seed(seed)
        return rebuild(list(body.legos), chain, (3, 6, 6), merge=merge)

    net, again, other = build(1), build(1).state_dict(), build(2).state_dict()
    layers = nn.Sequential(*(part for _, part in net.named_children()))
    assert [part.in_channels for part in layers if type(part) in NEURON_LAYERS] == [3, 4, 4]
    assert len(layers) == 6
    x = torch.randn(2, 3, 6, 6)
    torch.testing.assert_close(net(x), layers(x))
    olds = [v for v in body.legos.state_dict().values() if v.dim() > 1]  # type: ignore[attr-defined]
    for key, value in net.state_dict().items():
        assert torch.equal(value, again[key])
        assert not torch.equal(value, other[key])
        assert not any(value.shape == old.shape and torch.equal(value, old) for old in olds)


class Own(nn.Module):
    """A module of the user's around neurons."""

    def __init__(self) -> None:
        super().__init__()
        self.turning, self.unit = RotConv2d(3, 4, 3, padding=1), UnitConv2d(4, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.unit(torch.relu(self.turning(x))) + 1


def test_a_module_of_the_users_around_neurons_is_told_by_its_operations() -> None:
    torch.manual_seed(0)
    net = Supernet([Own(), nn.LazyConv2d(4, 1)], (3, 6, 6)).eval()
    plain = derive(net, net.wiring())
    assert {type(part) for part in plain.children()} == {RotConv2d, UnitConv2d, nn.Conv2d}
    assert_same(plain(images(net)), net(images(net)))


@pytest.mark.parametrize("reduce", ["max", "concat", "squeeze", "continuous"])
def test_a_rotating_convolution_counts_as_one(reduce: Any) -> None:
    net = nn.Sequential(RotConv2d(4, 6, 3, stride=2, groups=2, reduce=reduce, padding=1), nn.ReLU())  # 4x4 places
    squeeze = 16 * 48 * 6 if reduce == "squeeze" else 0
    assert multiply_adds(net, (4, 8, 8)) == 16 * 6 * 2 * 9 + squeeze
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in net.modules())


def test_costs_and_multiply_adds_are_those_of_the_plain_net() -> None:
    for merge in ("concat", "sum", "squeeze"):
        expected = classifier("blocks", merge=merge)
        for kind in KINDS:
            net = of_neurons(classifier("blocks", merge=merge), kind)
            for cost in ("bytes", "macs", "params"):
                assert edge_costs(net, cost) == edge_costs(expected, cost)
            assert multiply_adds(net, (3, 12, 12)) == multiply_adds(expected, (3, 12, 12))


def test_strength_is_that_of_the_kernels_in_use() -> None:
    """Rotations keep a slice's norm; of unit and spherical layers the folded kernel counts, not the stored one."""
    for merge in ("concat", "squeeze"):
        plain = classifier("blocks", merge=merge)
        rotating = of_neurons(copy.deepcopy(plain), "rot8")
        assert importance(rotating).strengths() == importance(plain).strengths()
        for kind in ("unit", "spherical"):
            net = of_neurons(classifier("blocks", merge=merge), kind)
            folded = fold(net)
            expected = importance(folded).strengths()
            assert importance(net).strengths() == pytest.approx(expected, rel=1e-5)
            if merge == "concat":
                assert expected != pytest.approx(importance(plain).strengths(), rel=1e-2)
