"""The strength of each map edge is what its definition says, for gates of maps and for mixes."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from plexus.errors import ConfigError
from plexus.graph import stack_nodes
from plexus.models import Classifier, head
from plexus.nn import Supernet
from plexus.wiring import importance, prune, random_maps
from tests.wiring.nets import Gated, classifier, mix
from tests.wiring.test_importance import METHODS, batches, mean_loss


def blocks(net: Gated) -> dict[tuple[str, str], tuple[int, int]]:
    """(source, target) -> number of the connection, and of the source in it."""
    names = net.body.node_names()
    return {
        (names[k], target): (i, k)
        for i, target in enumerate(names[2:])
        for k in range(len(net.body.connections[i].channels))
    }


def loudness(net: Gated, data: list[tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
    """Root mean square of each map of each source, in evaluation mode."""
    twin, heard = copy.deepcopy(net).eval(), {name: [] for name in net.body.node_names()[:-1]}  # type: ignore[var-annotated]
    for name, lego in zip(stack_nodes(9)[1:], twin.body.legos, strict=False):
        lego.register_forward_hook(lambda _, __, out, name=name: heard[name].append(out.square().mean((0, 2, 3))))
    with torch.no_grad():
        for x, _ in data:
            heard["input"].append(x.square().mean((0, 2, 3)))
            twin.body(x)
    return {name: (sum(each) / len(each)).sqrt() for name, each in heard.items()}


@pytest.mark.parametrize("gate", ["scalar", "channel"])
@pytest.mark.parametrize("method", METHODS)
def test_with_map_edges_the_edges_are_as_strong_as_without(method: Any, gate: str) -> None:
    net = classifier(merge="concat", gate=gate)
    plain, mapped = importance(net, batches(net), method), importance(net, batches(net), method, maps=True)
    assert mapped.granularity == "map"
    assert mapped.strengths() == pytest.approx(plain.strengths(), rel=1e-5, abs=1e-6)
    for pair, (i, k) in blocks(net).items():
        assert mapped.maps[pair].shape == (net.body.connections[i].channels[k],)


def test_strength_of_a_map_is_the_norm_of_the_kernel_column_that_reads_it() -> None:
    torch.manual_seed(0)
    legos = [nn.Conv2d(3, 4, 3), nn.Sequential(nn.MaxPool2d(2), nn.ReLU(), nn.LazyConv2d(5, 3))]
    body = Supernet(legos, (3, 12, 12), gate="channel", init="gaussian", activation="none")
    net = Classifier(body, head("gap", body.out_channels, 5))
    got = importance(net, maps=True)
    kernel, gates = body.get_parameter("legos.1.2.weight"), body.connections[0].gates().abs()
    columns = kernel.square().sum((0, 2, 3)).sqrt() * gates
    assert np.concatenate([got.maps[s, "lego2"] for s in ("input", "lego1")]) == pytest.approx(
        columns.tolist(), rel=1e-5
    )
    assert got.strengths()["lego1", "lego2"] == pytest.approx(np.linalg.norm(got.maps["lego1", "lego2"]), rel=1e-5)
    # the head's linear layer stands behind an average and Flatten
    columns = net.head.get_parameter("2.weight").norm(dim=0) * body.connections[1].gates().abs()
    heads = [got.maps[s, "head"] for s in ("input", "lego1", "lego2")]
    assert np.concatenate(heads) == pytest.approx(columns.tolist(), rel=1e-5)


def test_a_flattened_map_is_read_by_as_many_columns_as_it_has_pixels() -> None:
    net = classifier("blocks", "flatten512", merge="concat")
    got, last = importance(net, maps=True), net.body.connections[-1]
    kernel = net.head.get_parameter("1.weight").unflatten(1, (last.out_channels, -1))
    columns = kernel.square().sum((0, 2)).sqrt() * last.expand(last.split_gates()).abs()
    heads = [got.maps[s, "head"] for s in net.body.node_names()[:-1]]
    assert np.concatenate(heads) == pytest.approx(columns.tolist(), rel=1e-5)


def test_where_no_kernel_reads_it_a_map_is_as_strong_as_it_is_loud() -> None:
    net = classifier(merge="concat")
    data = batches(net)
    bare = importance(net.body, data, maps=True)
    loud = loudness(net, data)
    for source, gate in zip(net.body.node_names(), net.body.connections[-1].split_gates(), strict=False):
        assert bare.maps[source, "head"] == pytest.approx((gate.abs() * loud[source]).tolist(), rel=1e-4)


@pytest.mark.parametrize("gate", ["scalar", "channel"])
def test_taylor_of_a_map_is_the_slope_along_its_gate(gate: str) -> None:
    net = classifier(merge="concat", gate=gate).double()
    data = [(x.double(), y) for x, y in batches(net)]
    got = importance(net, data, "taylor", maps=True)
    twin = classifier(merge="concat", gate="channel").double().eval()
    state = net.state_dict()
    for i, connection in enumerate(net.body.connections):
        for part in ("weight", "mask"):
            value = state[f"body.connections.{i}.{part}"]
            state[f"body.connections.{i}.{part}"] = (
                value if gate == "channel" else value.repeat_interleave(torch.tensor(connection.channels))
            )
    twin.load_state_dict(state)
    step = 1e-5
    for pair, (i, k) in list(blocks(net).items())[::3]:
        connection, c = twin.body.connections[i], twin.body.connections[i].maps(k).start
        slopes = []
        for batch in data:
            connection.mask[c] = 1 + step
            above = mean_loss(twin, [batch])
            connection.mask[c] = 1 - step
            slopes.append(abs(above - mean_loss(twin, [batch])) / (2 * step))
            connection.mask[c] = 1
        assert got.maps[pair][0] == pytest.approx(sum(slopes) / len(slopes), rel=1e-4, abs=1e-7)


@pytest.mark.parametrize("measure", ["gate", "strength", "loud"])
def test_of_a_mix_a_map_edge_is_the_root_mean_square_of_its_weights(measure: str) -> None:
    net = mix()
    data = batches(net)
    loud = loudness(net, data) if measure == "loud" else {}
    got = importance(net, data if loud else None, "gate" if measure == "gate" else "strength")
    assert got.granularity == "mix"
    for pair, (i, k) in blocks(net).items():
        weight = net.body.connections[i].split_gates()[k] * loud.get(pair[0], torch.ones(()))
        expected = [
            [weight[2 * t : 2 * t + 2, c].square().mean().sqrt().item() for c in range(weight.shape[1])]
            for t in range(3)
        ]
        assert got.maps[pair] == pytest.approx(np.array(expected), rel=1e-4)
        assert got.strengths()[pair] == pytest.approx(weight.square().mean().sqrt().item(), rel=1e-4)
    if measure == "gate":
        same = net.body.wiring()
        assert all(np.allclose(got.maps[pair], same.maps[pair], rtol=1e-6) for pair in blocks(net))
        assert got.strengths() == pytest.approx(same.strengths(), rel=1e-6)


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_of_a_mix_taylor_is_the_slope_along_all_weights_that_are_cut_together(kind: torch.dtype) -> None:
    net = mix().to(kind)
    with torch.no_grad():
        net.body.connections[1].mask[0, :5] = 0
    data = [(x.to(kind), y) for x, y in batches(net)]
    got = importance(net, data, "taylor")
    net.eval()
    total: dict[int, list[Tensor]] = {}
    for x, y in data:
        loss = nn.functional.cross_entropy(net(x), y)
        weights = [c.weight for c in net.body.connections]
        for i, (w, slope) in enumerate(zip(weights, torch.autograd.grad(loss, weights), strict=True)):
            total.setdefault(i, []).append((w * slope).detach().unflatten(0, (-1, 2)).sum(1).abs() / len(data))
    for pair, (i, k) in blocks(net).items():
        expected = sum(total[i])[net.body.connections[i].entries(k)]  # type: ignore[index]
        assert got.maps[pair] == pytest.approx(expected.numpy(), rel=1e-3, abs=1e-7)


@pytest.mark.parametrize("kind", ["concat", "mix"])
def test_ablation_shares_the_rise_of_an_edge_out_in_the_order_of_strength(kind: str) -> None:
    net = mix() if kind == "mix" else classifier(merge="concat", gate="channel")
    data = batches(net)
    got, strength = importance(net, data, "ablation", maps=True), importance(net, data, maps=True)
    whole = mean_loss_of(net, data)
    for pair, (i, k) in blocks(net).items():
        twin = copy.deepcopy(net)
        twin.body.connections[i].mask[twin.body.connections[i].entries(k)] = 0
        rise = mean_loss_of(twin, data) - whole
        assert got.strengths()[pair] == pytest.approx(rise, abs=2e-5)
        array = got.maps[pair]
        assert array.max() == pytest.approx(rise, abs=2e-5)
        by_strength = array.ravel()[np.argsort(strength.maps[pair].ravel(), kind="stable")]
        assert (np.diff(by_strength) >= 0).all()
    assert min(got.strengths().values()) < 0 < max(got.strengths().values())


def mean_loss_of(net: Gated, data: list[tuple[Tensor, Tensor]]) -> float:
    with torch.no_grad():
        return sum(nn.functional.cross_entropy(net.eval()(x), y).item() for x, y in data) / len(data)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["concat", "mix"])
def test_map_edges_that_are_cut_are_not_there_and_those_of_no_use_are(kind: str, method: Any) -> None:
    net = mix() if kind == "mix" else classifier(merge="concat", gate="channel", activation="none")
    first, second = net.body.connections[:2]
    with torch.no_grad():
        first.mask[..., 0] = 0
        second.mask[second.entries(1)] = 0
        first.weight[..., 1] = 0
    got = importance(net, batches(net), method, maps=True)
    names = net.body.node_names()
    assert got.nodes == names
    assert got.strengths().keys() == blocks(net).keys() - {(names[1], names[3])}
    there = np.concatenate([got.maps[s, names[2]] for s in names[:2]], -1) != 0
    assert (there == (first.mask.numpy() != 0)).all()
    assert prune(got, keep=1) == got


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["concat", "mix"])
def test_the_net_is_left_as_it_was(kind: str, method: Any) -> None:
    net = mix() if kind == "mix" else classifier(merge="concat")
    net.body.legos[1].eval()
    net.body.connections[1].weight.requires_grad_(False)
    before, modes = copy.deepcopy(net.state_dict()), [m.training for m in net.modules()]
    masks = [c.mask for c in net.body.connections]
    importance(net, batches(net), method, maps=True)
    assert [m.training for m in net.modules()] == modes
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    assert all(c.mask is m and not m.requires_grad for c, m in zip(net.body.connections, masks, strict=True))
    assert not any(m._forward_hooks for m in net.modules())
    assert [c.weight.requires_grad for c in net.body.connections] == [i != 1 for i in range(len(masks))]
    assert all(p.grad is None for p in net.parameters())


@pytest.mark.parametrize("merge", ["sum", "max"])
def test_sums_have_no_map_edges(merge: str) -> None:
    with pytest.raises(
        ConfigError, match=f"merge='{merge}' has no map edges; build the net with concat, squeeze or mix"
    ):
        importance(classifier(merge=merge), maps=True)


@pytest.mark.parametrize("kind", ["concat", "mix"])
@pytest.mark.parametrize("limit", [{"fan_in": 4}, {"edges": 40}])
def test_what_is_pruned_or_drawn_can_be_set_and_is_found_again(kind: str, limit: dict[str, int]) -> None:
    net = mix() if kind == "mix" else classifier(merge="concat", gate="channel")
    measured = importance(net, maps=True)
    drawn = random_maps(measured, torch.Generator().manual_seed(0), fan_in=4)
    for wiring in (prune(measured, **limit), drawn):  # type: ignore[arg-type]
        net.body.set_wiring(wiring)
        again = importance(net, maps=True)
        assert again.maps.keys() == wiring.maps.keys()
        assert all(((again.maps[pair] != 0) == (array != 0)).all() for pair, array in wiring.maps.items())
        assert again.count() == wiring.count()
