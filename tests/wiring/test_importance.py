"""Each measure of importance is what its definition says, and measuring changes nothing."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plexus.errors import ConfigError
from plexus.graph import stack_nodes
from plexus.nn import Supernet
from plexus.wiring import importance
from tests.nn.naive import naive_supernet
from tests.wiring.nets import Gated, classifier, cut, images

METHODS = ("strength", "gate", "taylor", "ablation")


def batches(net: Gated, count: int = 2) -> list[tuple[Tensor, Tensor]]:
    return [
        (images(net, 6, seed), torch.randint(5, (6,), generator=torch.Generator().manual_seed(seed)))
        for seed in range(count)
    ]


def mean_loss(net: Gated, data: list[tuple[Tensor, Tensor]]) -> float:
    """By the plain port; the net is in evaluation mode."""
    with torch.no_grad():
        return sum(F.cross_entropy(net.head(naive_supernet(net.body, x)), y).item() for x, y in data) / len(data)


@pytest.mark.parametrize("merge", ["concat", "sum", "max", "squeeze"])
@pytest.mark.parametrize("gate", ["scalar", "channel"])
def test_ablation_is_the_rise_of_the_loss(merge: str, gate: str) -> None:
    net = classifier(merge=merge, gate=gate)
    data, edges = batches(net), net.body.wiring()
    measured = importance(net, data, "ablation").strengths()
    whole = mean_loss(net.eval(), data)
    for pair in edges.strengths():
        twin = copy.deepcopy(net)
        cut(twin, edges.keep(edges.strengths().keys() - {pair}))
        assert measured[pair] == pytest.approx(mean_loss(twin, data) - whole, abs=2e-5)


@pytest.mark.parametrize("merge", ["concat", "sum", "squeeze"])
@pytest.mark.parametrize("gate", ["scalar", "channel"])
def test_taylor_is_the_slope_of_the_loss_along_the_gate(merge: str, gate: str) -> None:
    net = classifier(merge=merge, gate=gate).double()
    data = [(x.double(), y) for x, y in batches(net)]
    measured = importance(net, data, "taylor").strengths()
    names, step = net.eval().body.node_names(), 1e-5
    for target, connection in zip(names[2:], net.body.connections, strict=True):
        for k in range(len(connection.channels)):
            slopes = []
            for batch in data:
                connection.mask[connection.entries(k)] = 1 + step
                above = mean_loss(net, [batch])
                connection.mask[connection.entries(k)] = 1 - step
                slopes.append(abs(above - mean_loss(net, [batch])) / (2 * step))
                connection.mask[connection.entries(k)] = 1
            assert measured[names[k], target] == pytest.approx(sum(slopes) / len(slopes), rel=1e-4, abs=1e-7)


def test_taylor_nears_ablation_for_small_effects() -> None:
    net = classifier(merge="sum", activation="none").double()
    with torch.no_grad():
        for connection in net.body.connections:
            connection.weight[:-1] = 1e-5  # all but the previous layer
    data = [(x.double(), y) for x, y in batches(net, 1)]
    taylor, ablation = (importance(net, data, method).strengths() for method in ("taylor", "ablation"))
    small = [(s, t) for s, t in taylor if stack_nodes(5).index(s) != stack_nodes(5).index(t) - 1]
    assert len(small) == 15
    for pair in small:
        assert taylor[pair] == pytest.approx(abs(ablation[pair]), rel=0.02, abs=1e-9)


@pytest.mark.parametrize("gate", ["scalar", "channel"])
def test_gate_is_the_mean_gate(gate: str) -> None:
    net = classifier(gate=gate, activation="none")
    measured = importance(net, method="gate").strengths()
    for target, connection in zip(stack_nodes(5)[2:], net.body.connections, strict=True):
        for source, g in zip(stack_nodes(5), connection.split_gates(), strict=False):
            assert measured[source, target] == pytest.approx(g.abs().mean().item())


@pytest.mark.parametrize("gate", ["scalar", "channel"])
def test_strength_is_the_norm_of_the_kernel_slices_that_a_source_owns(gate: str) -> None:
    torch.manual_seed(0)
    legos = [nn.Conv2d(3, 4, 3), nn.Sequential(nn.MaxPool2d(2), nn.ReLU(), nn.LazyConv2d(5, 3))]
    net = Supernet(legos, (3, 12, 12), gate=gate, init="gaussian", activation="none")
    measured = importance(net).strengths()
    kernel, gates = net.get_parameter("legos.1.2.weight"), net.connections[0].split_gates()
    for source, slices, g in (("input", kernel[:, :3], gates[0]), ("lego1", kernel[:, 3:], gates[1])):
        expected = (slices * g.view(1, -1, 1, 1)).square().sum().sqrt().item()
        assert measured[source, "lego2"] == pytest.approx(expected, rel=1e-5)


def test_strength_does_not_see_how_gate_and_kernel_share_their_scale() -> None:
    net = Supernet([nn.Conv2d(3, 4, 3), nn.LazyConv2d(5, 3)], (3, 8, 8), activation="none")
    before = importance(net).strengths()
    with torch.no_grad():
        net.get_parameter("legos.1.weight")[:, :3] *= 4
        net.connections[0].weight[0] /= 4
    assert importance(net).strengths() == pytest.approx(before, rel=1e-5)
    assert importance(net, method="gate").strengths() != pytest.approx(before, rel=1e-5)


def test_strength_of_a_squeeze_is_that_of_its_own_kernel() -> None:
    net = classifier(merge="squeeze")
    measured = importance(net).strengths()
    for target, connection in zip(stack_nodes(5)[2:], net.body.connections, strict=True):
        assert connection.squeeze is not None
        for k, (source, g) in enumerate(zip(stack_nodes(5), connection.split_gates(), strict=False)):
            first = sum(connection.channels[:k])
            slices = connection.squeeze.weight[:, first : first + connection.channels[k]]
            assert measured[source, target] == pytest.approx((slices.norm() * g.abs()).item(), rel=1e-5)


@pytest.mark.parametrize("merge", ["sum", "max"])
def test_strength_of_a_sum_weighs_gates_by_loudness(merge: str) -> None:
    net = classifier(merge=merge)
    data = batches(net)
    heard: dict[str, list[float]] = {name: [] for name in stack_nodes(5)[:-1]}
    twin = copy.deepcopy(net).eval()
    for name, lego in zip(stack_nodes(5)[1:], twin.body.legos, strict=False):
        lego.register_forward_hook(lambda _, __, out, name=name: heard[name].append(out.square().mean().item()))
    for x, _ in data:
        heard["input"].append(x.square().mean().item())
        with torch.no_grad():
            naive_supernet(twin.body, x)
    rms = {name: (sum(values) / len(values)) ** 0.5 for name, values in heard.items()}
    with_data, without = importance(net, data).strengths(), importance(net).strengths()
    for pair, gate in net.body.wiring().strengths().items():
        assert without[pair] == pytest.approx(gate, rel=1e-5)
        assert with_data[pair] == pytest.approx(gate * rms[pair[0]], rel=1e-4)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("merge", ["concat", "sum"])
def test_the_net_is_left_as_it_was(method: Any, merge: str) -> None:
    net = classifier(merge=merge)
    net.body.legos[1].eval()
    net.body.legos[0].requires_grad_(False)
    with torch.no_grad():
        net.body.connections[2].mask[0] = 0
    for p in net.parameters():
        p.grad = torch.full_like(p, 3.0)
    before, modes = copy.deepcopy(net.state_dict()), [m.training for m in net.modules()]
    masks = [c.mask for c in net.body.connections]
    wiring = importance(net, batches(net), method)
    assert wiring.nodes == stack_nodes(5)
    assert wiring.strengths().keys() == net.body.wiring().strengths().keys()
    assert [m.training for m in net.modules()] == modes
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    assert all(p.grad is not None and (p.grad == 3).all() for p in net.parameters())
    assert all(c.mask is m and not m.requires_grad for c, m in zip(net.body.connections, masks, strict=True))
    assert not any(m._forward_hooks for m in net.modules())
    assert wiring.strengths()["input", "lego4"] == pytest.approx(0, abs=1e-6)  # it was cut already


@pytest.mark.parametrize("method", ["taylor", "ablation"])
def test_the_net_is_left_as_it_was_even_by_a_failure(method: Any) -> None:
    net, calls = classifier(), []
    masks = [c.mask.clone() for c in net.body.connections]

    def loss(out: Tensor, y: Tensor) -> Tensor:
        calls.append(1)
        if len(calls) > (3 if method == "ablation" else 0):
            raise KeyboardInterrupt
        return F.cross_entropy(out, y)

    with pytest.raises(KeyboardInterrupt):
        importance(net, batches(net), method, loss=loss)
    assert all(torch.equal(c.mask, m) for c, m in zip(net.body.connections, masks, strict=True))
    assert not any(c.mask.requires_grad for c in net.body.connections)
    assert all(m.training for m in net.modules())


@pytest.mark.parametrize("method", METHODS)
def test_a_bare_supernet_and_a_loss_of_ones_own(method: Any) -> None:
    net = classifier().body
    data = [(torch.randn(3, *net.in_shape), torch.zeros(()))]

    def loss(out: Tensor, y: Tensor) -> Tensor:
        return (out - y).square().mean()

    with torch.no_grad():
        quiet = importance(net, data, method, loss=loss)
    assert quiet == importance(net, data, method, loss=loss)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "size"}, "method='size' is unknown; choose from strength, gate, taylor, ablation"),
        ({"method": "taylor"}, "method='taylor' needs batches"),
        ({"method": "ablation", "batches": []}, "method='ablation' needs batches"),
        ({"method": "strength", "batches": []}, "method='strength' needs batches"),
    ],
)
def test_what_is_missing_is_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        importance(classifier(), **arguments)
