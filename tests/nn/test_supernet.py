"""A supernet computes what its rules say, however it goes about it."""

from __future__ import annotations

import copy
import io
import itertools
import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plexus.errors import ConfigError
from plexus.graph import Wiring, stack_nodes
from plexus.nn import Supernet
from tests.contract import check_layer
from tests.nn.naive import naive_supernet
from tests.nn.nets import assert_like_naive, images, supernet

OPTIONS = [
    {"merge": merge, "gate": gate, "size": size, **more}
    for merge, gate, size in itertools.product(
        ["concat", "sum", "max", "squeeze"], ["scalar", "channel"], ["smallest", "largest"]
    )
    for more in ([{}, {"project": "conv"}] if merge in ("sum", "max") else [{}])
]
MIX: dict[str, Any] = {"merge": "mix", "share": 2}


@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: "-".join(o.values()))
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_it_equals_the_plain_port(axes: int, options: dict[str, Any]) -> None:
    for activation in ("sigmoid", "none"):
        net = supernet(axes, activation=activation, **options)
        assert_like_naive(net, images(net))


@pytest.mark.parametrize("size", ["smallest", "largest"])
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_it_equals_the_plain_port_where_maps_are_mixed(axes: int, size: str) -> None:
    net = supernet(axes, widths=(4, 6, 4, 8), size=size, **MIX)
    for connection in net.connections:
        connection.mask.copy_(torch.rand(connection.mask.shape) < 0.7)
    assert_like_naive(net, images(net), passes=2)


@pytest.mark.parametrize("resize", ["nearest", "bilinear", "bicubic"])
@pytest.mark.parametrize("merge", ["concat", "sum"])
def test_it_equals_the_plain_port_for_every_resize(resize: str, merge: str) -> None:
    net = supernet(merge=merge, resize=resize)
    assert_like_naive(net, images(net), passes=2)


@pytest.mark.parametrize("merge", ["sum", "concat"])
def test_bfloat16_comes_close(merge: str) -> None:
    net = supernet(merge=merge)
    x = images(net).requires_grad_()
    expected = net(x)
    slopes = torch.autograd.grad(expected.sum(), net.connections[2].weight)[0]
    with torch.autocast("cpu", torch.bfloat16):
        got = net(x)
    torch.testing.assert_close(got.float(), expected, rtol=0.05, atol=0.1)
    got_slopes = torch.autograd.grad(got.float().sum(), net.connections[2].weight)[0]
    assert got_slopes.dtype == torch.float32
    torch.testing.assert_close(got_slopes, slopes, rtol=0.1, atol=0.05 * slopes.abs().max().item())


def test_double_precision_is_exact() -> None:
    for merge in ("sum", "concat"):
        net = supernet(merge=merge).double()
        x = images(net).double().requires_grad_()
        net(x)
        twin = copy.deepcopy(net)
        out, expected = net(x), naive_supernet(twin, x)
        torch.testing.assert_close(out, expected, rtol=1e-11, atol=1e-12)
        grads = torch.autograd.grad(out.sum(), [x, *net.parameters()])
        wanted = torch.autograd.grad(expected.sum(), [x, *twin.parameters()])
        for a, b in zip(grads, wanted, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("merge", ["sum", "concat", "max"])
def test_it_is_a_layer(merge: str) -> None:
    def make() -> nn.Module:
        return Supernet([nn.LazyConv1d(2, 3, padding=1), nn.MaxPool1d(2), nn.LazyConv1d(3, 1)], (2, 4), merge=merge)

    def given(dtype: torch.dtype) -> list[Tensor]:
        return [torch.randn(2, 2, 4, generator=torch.Generator().manual_seed(0)).to(dtype)]

    check_layer(make, given)


def test_eight_legos_have_eight_connections_of_two_to_nine_gates() -> None:
    net = Supernet([nn.LazyConv1d(2, 1) for _ in range(8)], (1, 4))
    assert [len(c.weight) for c in net.connections] == list(range(2, 10))
    assert net.connections[-1].channels == (1, *[2] * 8)
    assert net.out_channels == 17
    assert net.node_names() == stack_nodes(8)


def test_fifteen_legos_have_135_edges() -> None:
    net = Supernet([nn.LazyConv1d(2, 1) for _ in range(15)], (1, 4), merge="sum", gate_init=(0.95, 0.27))
    wiring = net.wiring()
    assert len(wiring.edges) == 135
    previous = {(f"lego{i}", f"lego{i + 1}" if i < 15 else "head") for i in range(1, 16)}
    for (source, target), strength in wiring.strengths().items():
        assert strength == pytest.approx(0.95 if (source, target) in previous else 0.27)


def test_wiring_gives_the_gates_and_the_mean_over_maps() -> None:
    net = supernet(gate="channel")
    with torch.no_grad():
        net.connections[1].mask[net.connections[1].entries(0)] = 0
    strengths = net.wiring().strengths()
    for target, connection in zip(stack_nodes(5)[2:], net.connections, strict=True):
        for source, gate in zip(stack_nodes(5), connection.split_gates(), strict=False):
            assert strengths[source, target] == pytest.approx(gate.mean().item())
    assert strengths["input", "lego3"] == 0


def depthwise(width: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(width, width, 3, padding=1, groups=width), nn.BatchNorm2d(width), nn.ReLU())


def test_a_mix_makes_what_the_next_lego_asks_for() -> None:
    stack = [
        nn.Conv2d(3, 8, 3, stride=2, padding=1),
        depthwise(16),
        nn.Sequential(nn.ReLU(), nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(24, 10, 1))),
        nn.LazyConv2d(8, 3, groups=4),
        nn.BatchNorm2d(6),
        nn.Sequential(nn.LazyConv2d(12, 1), nn.BatchNorm2d(12)),
        nn.Sequential(nn.PixelShuffle(2), nn.Conv2d(3, 4, 1)),
    ]
    net = Supernet(stack, (3, 16, 16), **MIX)
    assert [c.out_channels for c in net.connections] == [16, 24, 4, 6, 6, 12, 4]
    assert net.out_channels == 4
    by_hand = Supernet([depthwise(3), depthwise(16), depthwise(8)], (3, 8, 8), mix_to=[16, 8, 4], **MIX)
    assert [c.out_channels for c in by_hand.connections] == [16, 8, 4]
    same = Supernet([depthwise(3), depthwise(16), depthwise(16)], (3, 8, 8), mix_to=16, **MIX)
    assert [c.out_channels for c in same.connections] == [16, 16, 16]
    with pytest.raises(ConfigError, match=r"mix_to=\[16, 8\] must have one number for each of 3 legos"):
        Supernet([depthwise(3), depthwise(16), depthwise(8)], (3, 8, 8), mix_to=[16, 8], **MIX)
    with pytest.raises(ConfigError, match="share=3 must divide the 16 channels"):
        Supernet([depthwise(3), depthwise(16)], (3, 8, 8), merge="mix", share=3)


def test_the_wiring_of_a_mix_goes_down_to_maps() -> None:
    net = Supernet([nn.Conv2d(3, 4, 1), depthwise(6), depthwise(6)], (3, 8, 8), **MIX)
    assert net.wiring().count() == 3 * 7 + 3 * 13 + 3 * 19
    with torch.no_grad():
        net.connections[1].mask[:, 3:7] = 0  # lego1 -> lego3
        net.connections[1].mask[1, 0] = 0
        net.connections[0].weight[0, 3] = 1e-30
        net.connections[0].weight[1, 3] = 0
    wiring = net.wiring()
    assert wiring.granularity == "mix"
    assert ("lego1", "lego3") not in wiring.strengths()
    assert len(wiring.edges) == 2 + 2 + 4
    assert wiring.count() == 3 * 7 + (3 * 9 - 1) + 3 * 19
    for (source, target), maps in wiring.maps.items():
        connection = net.connections[int(target[4:]) - 2 if target != "head" else 2]
        k = net.node_names().index(source)
        block = connection.split_gates()[k].detach().double()
        assert wiring.strengths()[source, target] == pytest.approx(block.square().mean().sqrt().item())
        for group, row in enumerate(maps):
            assert row == pytest.approx(block[2 * group : 2 * group + 2].square().mean(0).sqrt().numpy())
    assert wiring.maps["lego1", "lego2"][0, 0] == pytest.approx(1e-30 / math.sqrt(2), rel=1e-4)
    assert Wiring.from_json(wiring.to_json(), wiring.map_bytes()) == wiring


def masked_edges(net: Supernet) -> Wiring:
    """Every edge that the masks leave, down to maps where masks go so far."""
    names, edges, maps = net.node_names(), [], {}
    for target, connection in zip(names[2:], net.connections, strict=True):
        for k, source in enumerate(names[: len(connection.channels)]):
            block = connection.mask[connection.entries(k)]
            if block.any():
                edges.append((source, target, 1.0))
                maps[source, target] = block.numpy()
    return Wiring(names, edges, maps if len(net.connections[0].mask) > 2 else None)


@pytest.mark.parametrize("options", [MIX, {"merge": "concat", "gate": "channel"}, {"merge": "sum"}, {"merge": "max"}])
def test_masks_follow_a_wiring_exactly(options: dict[str, Any]) -> None:
    draw = torch.Generator().manual_seed(0)
    net = Supernet([nn.Conv2d(3, 6, 1), nn.LazyConv2d(6, 1), nn.LazyConv2d(4, 1)], (3, 8, 8), **options)
    everything = masked_edges(net)
    for _ in range(5):
        masks = [(torch.rand(c.mask.shape, generator=draw) < 0.4).float() for c in net.connections]
        net.set_wiring(everything)
        for connection, mask in zip(net.connections, masks, strict=True):
            connection.mask.copy_(mask)
        wirings = [masked_edges(net), *([net.wiring()] if options["merge"] == "mix" else [])]
        for wiring in wirings:
            for connection in net.connections:
                connection.mask.fill_(0.5)
            net.set_wiring(wiring)
            assert all(torch.equal(c.mask, mask) for c, mask in zip(net.connections, masks, strict=True))
    layers = Wiring(everything.nodes, [("lego1", "lego3", 1.0), ("lego3", "head", 1.0)])
    net.set_wiring(layers)
    assert {edge for edge, left in zip(everything.edges, _left(net), strict=True) if left == 1} == set(layers.edges)
    assert set(_left(net)) == {0, 1}


def _left(net: Supernet) -> list[float]:
    return [c.mask[c.entries(k)].mean().item() for c in net.connections for k in range(len(c.channels))]


def test_columns_of_a_mix_can_be_cut_for_all_groups_at_once() -> None:
    net = Supernet([nn.Conv2d(3, 4, 1)], (3, 8, 8), **MIX)
    names = net.node_names()
    net.set_wiring(Wiring(names, [("input", "head", 1.0)], {("input", "head"): [0.0, 0.5, 1.0]}))
    assert net.connections[0].mask.tolist() == [[0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]] * 2


@pytest.mark.parametrize(
    ("nodes", "edge", "maps", "message"),
    [
        (("input", "lego7", "head"), ("lego7", "head"), None, "node 'lego7' is not in the net, which has input, lego1"),
        (("input", "lego1", "head"), ("input", "lego1"), None, "the net has no connection input -> lego1"),
        (("lego2", "lego1", "head"), ("lego2", "lego1"), None, "the net has no connection lego2 -> lego1"),
        (("lego1", "head"), ("lego1", "head"), [1.0], r"lego1 -> head have shape \(1,\), the net's \(4,\)"),
        (("lego1", "head"), ("lego1", "head"), [[1.0] * 4] * 2, r"have shape \(2, 4\), the net's \(4,\)"),
        (("lego1", "head"), ("lego1", "head"), [1, 0, 1, 1], 'need a gate for each map; .*gate="channel"'),
    ],
)
def test_a_wiring_of_another_net_is_refused(nodes: Any, edge: Any, maps: Any, message: str) -> None:
    net = Supernet([nn.Conv2d(3, 4, 1), nn.LazyConv2d(4, 1)], (3, 8, 8))
    before = [c.mask.clone() for c in net.connections]
    with pytest.raises(ConfigError, match=message):
        net.set_wiring(Wiring(nodes, [(*edge, 1.0)], None if maps is None else {edge: maps}))
    assert all(torch.equal(c.mask, mask) for c, mask in zip(net.connections, before, strict=True))


def test_a_generator_makes_gaussian_gates_repeatable() -> None:
    def build(seed: int) -> list[Tensor]:
        generator = torch.Generator().manual_seed(seed)
        net = Supernet([nn.LazyConv1d(2, 1) for _ in range(3)], (1, 4), init="gaussian", generator=generator)
        return [c.weight.detach() for c in net.connections]

    assert all(torch.equal(a, b) for a, b in zip(build(1), build(1), strict=True))
    assert not torch.equal(build(1)[0], build(2)[0])
    assert not torch.equal(build(1)[0], build(1)[1][:2])


def test_other_image_sizes_than_the_first_work() -> None:
    net = supernet(merge="sum")
    for size in (8, 12, 9, 8):
        x = torch.randn(2, 3, size, size)
        for _ in range(2):
            torch.testing.assert_close(net(x), naive_supernet(copy.deepcopy(net), x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("merge", ["sum", "concat"])
def test_copies_and_files_carry_everything(merge: str) -> None:
    net = supernet(merge=merge)
    x = images(net)
    net(x)
    net.eval()
    twin = copy.deepcopy(net)
    assert torch.equal(twin(x), net(x))
    file = io.BytesIO()
    torch.save(net.state_dict(), file)
    file.seek(0)
    other = supernet(merge=merge, seed=5).eval()
    assert not torch.equal(other(x), net(x))
    other.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(other(x), net(x))


@pytest.mark.parametrize("merge", ["sum", "max", "concat", "squeeze", "mix"])
def test_it_exports_whole(merge: str) -> None:
    share: dict[str, Any] = {"share": 4} if merge == "mix" else {}
    net = supernet(merge=merge, **share).eval()
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(net, (images(net),), dynamic_shapes={"x": {0: batch}})
    x = images(net, count=5, seed=9)
    torch.testing.assert_close(program.module()(x), net(x), rtol=1e-5, atol=1e-6)


def test_gates_learn_which_source_carries_the_signal() -> None:
    torch.manual_seed(0)
    net = Supernet([nn.Conv1d(1, 1, 1)], (1, 6), merge="sum", gate_init=0.5)
    nn.init.zeros_(net.get_parameter("legos.0.weight"))
    nn.init.constant_(net.get_parameter("legos.0.bias"), 3.0)
    gates = torch.optim.Adam([net.connections[0].weight], 0.1)
    x = torch.randn(64, 1, 6)
    for _ in range(100):
        gates.zero_grad()
        F.mse_loss(net(x), 0.9 * x).backward()
        gates.step()
    signal, noise = net.connections[0].gates().tolist()
    assert signal == pytest.approx(0.9, abs=0.05)
    assert noise < 0.05
