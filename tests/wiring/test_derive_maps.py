"""What is cut between single maps is neither computed nor stored, and the answer is that of the masked net."""

from __future__ import annotations

import copy
import random
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, fx, nn

from plexus.errors import ConfigError
from plexus.graph import Wiring
from plexus.models import head
from plexus.nn import RotConv2d, Supernet, UnitConv2d
from plexus.training.onnx_model import to_onnx
from plexus.wiring import derive, multiply_adds, parameters, rebuild, to_source
from tests.wiring.nets import Gated, assert_same, disturb, images

SHAPE = (3, 12, 12)
WAYS: Any = ("auto", "dense", "grouped", "fastest")


class Own(nn.Module):
    """A user's code: it writes into its input, and mixes all its maps."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mul_(1.5) + x.mean(1, keepdim=True)


def depthwise(width: int, *, stride: int = 1, times: int = 1) -> nn.Module:
    return nn.Conv2d(width, width * times, 3, stride, padding=1, groups=width, bias=times > 1)


def random_lego(draw: random.Random, inputs: int, width: int, *, plain: bool) -> nn.Module:
    """A lego from `inputs` maps, to `width` maps where it is free to choose; `plain` ones have filters to take out."""
    smooth = draw.choice([nn.SiLU, nn.ELU, nn.Tanh])
    kinds: list[Any] = [
        lambda: nn.Sequential(nn.Conv2d(inputs, width, 3, padding=1), nn.BatchNorm2d(width), smooth()),
        lambda: nn.Sequential(depthwise(inputs), nn.BatchNorm2d(inputs), smooth(), nn.AvgPool2d(2, ceil_mode=True)),
        lambda: nn.Sequential(
            nn.Conv2d(inputs, width, 1), smooth(), depthwise(width, stride=2), nn.InstanceNorm2d(width, affine=True)
        ),
        lambda: nn.Sequential(depthwise(inputs), smooth(), nn.Conv2d(inputs, width, 1, bias=False)),
    ]
    odd: list[Any] = [
        lambda: nn.Sequential(depthwise(inputs, times=2), nn.BatchNorm2d(2 * inputs), nn.ReLU(inplace=True)),
        lambda: nn.Sequential(nn.Conv2d(inputs, 4 * width, 3, groups=1), nn.Conv2d(4 * width, 2 * width, 1, groups=4)),
        lambda: nn.MaxPool2d(2, ceil_mode=True),
        lambda: nn.ReLU(inplace=True),
        Own,
        lambda: nn.Sequential(nn.BatchNorm2d(inputs, affine=False), Own(), nn.Conv2d(inputs, width, 1)),
        lambda: nn.Sequential(UnitConv2d(inputs, width, 3, padding=1), nn.BatchNorm2d(width), nn.Sigmoid()),
        lambda: nn.Sequential(nn.Dropout(0.0), RotConv2d(inputs, width, 3, padding=1), nn.ReLU6()),
        lambda: nn.Sequential(
            nn.Conv2d(inputs, width, 1), nn.PReLU(width), nn.BatchNorm2d(width, track_running_stats=False)
        ),
    ]
    return draw.choice(kinds if plain else kinds + odd)()


def random_net(seed: int, merge: str, *, plain: bool = False, end: str = "gap", legos: int = 5) -> Gated:
    """A net of random legos, as if trained."""
    draw = random.Random(seed)
    torch.manual_seed(seed)
    options: dict[str, Any] = {"merge": merge, "gate": "channel"}
    if merge == "mix":
        options = {"merge": merge, "share": draw.choice([2, 4])}
    stack: list[nn.Module] = [nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())]
    widths = [draw.choice([4, 8, 12]) for _ in range(legos)]
    for inputs in widths[:-1]:
        if merge != "mix":  # what a connection gives is known once it is there
            inputs = Supernet(copy.deepcopy(stack), SHAPE, **options).out_channels
        stack.append(random_lego(draw, inputs, draw.choice([4, 8]), plain=plain))
    if merge == "mix":
        options["mix_to"] = widths
    body = Supernet(stack, SHAPE, **options)
    net = Gated(body, nn.Identity() if end == "none" else head(end, body.out_channels, 5))
    net.eval()(torch.zeros(2, *SHAPE))
    for part in net.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0  # so that training can be compared
    disturb(net, seed)
    return net


def random_wiring(net: Gated, seed: int, share: float) -> Wiring:
    """About this share of the map edges, and one at least for each group of maps that share their sources."""
    draw = np.random.default_rng(seed)
    names, edges, maps = net.body.node_names(), [], {}
    for target, connection in zip(names[2:], net.body.connections, strict=True):
        groups = len(connection.mask) if connection.merge == "mix" else 1
        there = draw.random((groups, sum(connection.channels))) < share
        there[np.arange(groups), draw.integers(there.shape[1], size=groups)] = True
        for k, source in enumerate(names[: len(connection.channels)]):
            block = there[:, connection.maps(k)]
            if block.any():
                edges.append((source, target, 1.0))
                maps[source, target] = block if connection.merge == "mix" else block[0]
    return Wiring(names, edges, maps)


def masked(net: Gated, wiring: Wiring) -> Gated:
    """The net with masks of 0 for what is cut."""
    gated = copy.deepcopy(net)
    gated.body.set_wiring(wiring)
    return gated


def layers_only(wiring: Wiring) -> Wiring:
    return Wiring(wiring.nodes, wiring.edges)


@pytest.mark.parametrize(
    ("merge", "seed"),
    [
        *((merge, seed) for merge in ("mix", "concat") for seed in range(12)),
        *((merge, seed) for merge in ("squeeze", "sum", "max") for seed in range(3)),
    ],
)
def test_it_computes_what_the_masked_net_does(merge: str, seed: int) -> None:
    net = random_net(seed, merge, end=["gap", "none", "flatten512"][seed % 3])
    x, way = images(net), WAYS[seed % 4]
    for share in (1.0, 0.6, 0.1):
        whole = random_wiring(net, seed, share)
        wirings = [whole, layers_only(whole)] if share < 1 else [whole, net.body.wiring()]
        for wiring in wirings:
            gated, plain = masked(net, wiring), derive(net, wiring, mix=way, fold=seed % 5 > 0)
            with torch.no_grad():
                assert_same(plain(x), gated(x))
                assert_same(plain.train()(x), gated.train()(x), 1e-4)
                assert_same(plain.eval()(x), gated.eval()(x), 1e-4)  # with the statistics of the step before


@pytest.mark.parametrize("merge", ["mix", "concat"])
def test_in_double_precision_it_is_exact(merge: str) -> None:
    for seed in range(20, 26):
        net = random_net(seed, merge).double()
        x = images(net).double()
        for share in (1.0, 0.4, 0.1):
            wiring = random_wiring(net, seed, share)
            with torch.no_grad():
                for way in WAYS[1:3]:
                    assert_same(derive(net, wiring, mix=way)(x), masked(net, wiring)(x), 1e-12)


@pytest.mark.parametrize("merge", ["mix", "concat"])
@pytest.mark.parametrize("seed", range(8))
def test_what_is_left_is_what_the_answer_depends_on(merge: str, seed: int) -> None:
    """A parameter of the masked net is needed if its gradient is not 0, whatever the images."""
    net = random_net(30 + seed, merge, plain=merge == "mix").double()
    if merge == "concat":  # what reads a cut map through its own bias cannot go: full convolutions only
        stack = [nn.Sequential(nn.LazyConv2d(6, 3, padding=1), nn.SiLU(), nn.LazyConv2d(5, 1)) for _ in range(5)]
        body = Supernet(stack, SHAPE, merge=merge, gate="channel")
        net = Gated(body, head("gap", body.out_channels, 5)).eval().double()
    x = images(net, count=8).double()
    for share in (0.5, 0.15, 0.05):
        wiring = random_wiring(net, seed, share)
        gated, plain = masked(net, wiring), derive(net, wiring, mix="dense")
        gates = [] if merge == "mix" else [connection.weight for connection in gated.body.connections]
        gated(x).square().sum().backward()
        slopes = [p.grad for p in gated.parameters() if not any(p is gate for gate in gates)]
        needed = sum(int(slope.count_nonzero()) for slope in slopes if slope is not None)
        # a dense mix holds zeros where a group of maps does not read one that another group does
        assert needed == sum(_entries(name, p) for name, p in plain.named_parameters())
        for name, part in plain.named_modules():
            if name.endswith("_mix"):
                weight = part.get_parameter("weight").flatten(1)
                assert bool(weight.any(0).all())
                assert bool(weight.any(1).all())


def _entries(name: str, parameter: Tensor) -> int:
    return int(parameter.count_nonzero()) if "_mix" in name else parameter.numel()


def test_a_gather_that_changes_nothing_is_left_out() -> None:
    stack = [nn.Conv2d(3, 8, 3, padding=1), nn.Sequential(depthwise(4), nn.ReLU())]
    net = Supernet(stack, SHAPE, merge="mix", share=4)
    names = net.node_names()
    last = Wiring(names, [("lego1", "lego2", 1.0), ("lego2", "head", 1.0)])
    plain = derive(net, last, mix="grouped")
    assert isinstance(plain, fx.GraphModule)
    assert [node.op for node in plain.graph.nodes] == ["placeholder", *["call_module"] * 5, "output"]
    assert {name: tuple(p.shape) for name, p in plain.named_parameters()} == {
        "lego1.weight": (8, 3, 3, 3),
        "lego1.bias": (8,),
        "lego2_mix.weight": (4, 8, 1, 1),
        "lego2_0.weight": (4, 1, 3, 3),
        "head_mix.weight": (4, 4, 1, 1),
    }


def test_groups_are_padded_to_equal_numbers_and_dead_rows_kept() -> None:
    """Four maps in two groups: one reads three sources, the other one; one row of four is asked for by nobody."""
    net = Supernet([nn.Conv2d(3, 4, 1), depthwise(4)], SHAPE, merge="mix", share=2, mix_to=[4, 2])
    mix = {
        ("input", "lego2"): [[1, 1, 0], [0, 0, 0]],
        ("lego1", "lego2"): [[0, 0, 1, 0], [0, 0, 0, 1]],
        ("lego2", "head"): [[1, 1, 0, 1]],
    }
    wiring = Wiring(net.node_names(), [(*pair, 1.0) for pair in mix], mix)
    grouped, dense = derive(net, wiring, mix="grouped"), derive(net, wiring, mix="dense")
    shapes = {name: tuple(p.shape) for name, p in grouped.named_parameters()}
    assert shapes == {
        "lego1.weight": (2, 3, 1, 1),
        "lego1.bias": (2,),
        "lego2_mix.weight": (4, 3, 1, 1),
        "lego2.weight": (4, 1, 3, 3),
        "head_mix.weight": (2, 3, 1, 1),
    }
    kernel = grouped.get_parameter("lego2_mix.weight").flatten(1)
    assert kernel[2:].count_nonzero(1).tolist() == [1, 1]
    assert tuple(dense.get_parameter("lego2_mix.weight").shape) == (3, 4, 1, 1)
    assert tuple(dense.get_parameter("lego2.weight").shape) == (3, 1, 3, 3)
    x = torch.randn(2, *SHAPE)
    expected = copy.deepcopy(net)
    expected.set_wiring(wiring)
    assert_same(grouped(x), expected(x))
    assert_same(dense(x), expected(x))


def test_legos_of_which_only_dead_maps_are_read_go() -> None:
    stack = [nn.Conv2d(3, 4, 1), depthwise(4), depthwise(4)]
    net = Supernet(stack, SHAPE, merge="mix", share=2, mix_to=[4, 4, 2])
    mix = {
        ("input", "lego2"): [[1, 0, 0], [1, 0, 0]],
        ("input", "lego3"): [[1, 0, 0], [0, 0, 0]],
        ("lego2", "lego3"): [[0, 0, 0, 0], [1, 1, 1, 1]],  # for maps of lego3 that nobody reads
        ("lego3", "head"): [[1, 1, 0, 0]],
    }
    wiring = Wiring(net.node_names(), [(*pair, 1.0) for pair in mix], mix)
    plain = derive(net, wiring)
    assert {name for name, _ in plain.named_children()} == {"lego3_mix", "lego3", "head_mix"}
    x, expected = torch.randn(2, *SHAPE), copy.deepcopy(net)
    expected.set_wiring(wiring)
    assert_same(plain(x), expected(x))
    with pytest.raises(ConfigError, match="lego3 is read but has no input"):
        derive(net, wiring.keep([("input", "lego2"), ("lego2", "lego3"), ("lego3", "head")]).keep([("lego3", "head")]))


def test_masks_of_a_mix_are_its_wiring() -> None:
    net = random_net(0, "mix")
    wiring = random_wiring(net, 0, 0.3)
    gated, x = masked(net, wiring), images(net)
    for whole in (gated.body.wiring(), layers_only(net.body.wiring())):
        plain = derive(gated, whole, mix="dense")
        assert parameters(plain) == parameters(derive(net, wiring, mix="dense"))
        assert_same(plain(x), gated(x))


def test_what_is_cut_is_not_computed() -> None:
    net = random_net(3, "mix", plain=True, legos=8)
    ways: Any = (("grouped", 0.8), ("dense", 0.9))
    for way, most in ways:
        wirings = [random_wiring(net, 1, share) for share in (1.0, 0.5, 0.2, 0.1)]
        counts = [multiply_adds(derive(net, wiring, mix=way), SHAPE) for wiring in wirings]
        assert counts == sorted(counts, reverse=True)
        assert counts[-1] < most * counts[0]


def test_an_unknown_way_is_refused() -> None:
    net = random_net(0, "mix")
    with pytest.raises(ConfigError, match="mix='sparse' is unknown; choose from dense, grouped, auto, fastest"):
        derive(net, net.body.wiring(), mix="sparse")  # type: ignore[arg-type]


def test_making_a_plain_net_moves_nobodys_random_numbers() -> None:
    net = random_net(1, "mix", plain=True)
    state = torch.get_rng_state()
    derive(net, random_wiring(net, 1, 0.3))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("way", ["dense", "grouped"])
@pytest.mark.parametrize("merge", ["mix", "concat"])
def test_source_and_onnx_are_plain(way: Any, merge: str) -> None:
    for seed in (40, 41):
        net = random_net(seed, merge, plain=True, legos=4)
        plain, x = derive(net, random_wiring(net, seed, 0.3), mix=way), images(net)
        assert all(type(part).__module__.startswith("torch.") for part in plain.modules())
        source, space = to_source(plain), {}  # type: ignore[var-annotated]
        assert "plexus" not in source
        exec(compile(source, "model.py", "exec"), space)
        again = space["Net"]().eval()
        again.load_state_dict(plain.state_dict())
        assert torch.equal(again(x), plain(x))
        session = onnxruntime.InferenceSession(to_onnx(plain, SHAPE), providers=["CPUExecutionProvider"])
        (answer,) = session.run(None, {"pixels": x.numpy()})
        assert_same(torch.from_numpy(answer), plain(x))


def test_it_trains_on() -> None:
    net = random_net(2, "mix", plain=True)
    plain, x, y = derive(net.train(), random_wiring(net, 2, 0.3)), images(net, count=16), torch.arange(16) % 5
    optimizer, losses = torch.optim.Adam(plain.parameters(), 0.02), []
    for _ in range(30):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(plain(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_a_mix_is_rebuilt_with_fresh_weights_for_the_sources_that_stay() -> None:
    stack = [nn.Conv2d(3, 64, 1), nn.Conv2d(64, 64, 3, padding=1, groups=64)]
    net = Supernet(stack, SHAPE, merge="mix", share=16)
    there = torch.zeros(4, 64)
    for group, count in enumerate((10, 20, 40, 5)):
        there[group, :count] = 1
    names = net.node_names()
    wiring = Wiring(
        names, [("lego1", "lego2", 1.0), ("lego2", "head", 1.0)],
        {("lego1", "lego2"): there.numpy(), ("lego2", "head"): np.ones((4, 64))},
    )  # fmt: skip
    torch.manual_seed(0)
    plain = rebuild(stack, wiring, SHAPE, merge="mix", share=16)
    assert plain.training
    assert tuple(plain.get_parameter("lego1.weight").shape) == (40, 3, 1, 1)
    kernel = plain.get_parameter("lego2_mix.weight").view(4, 16, 40)
    for group, count in enumerate((10, 20, 40, 5)):
        assert not kernel[group, :, count:].any()
        real = kernel[group, :, :count]
        assert real.std().item() == pytest.approx((2 / count) ** 0.5, rel=0.25)
        assert real.mean().item() == pytest.approx(0, abs=3 * (2 / count / real.numel()) ** 0.5)
    torch.manual_seed(0)
    again = rebuild(stack, wiring, SHAPE, merge="mix", share=16)
    assert all(torch.equal(a, b) for a, b in zip(plain.parameters(), again.parameters(), strict=True))
    columns = {pair: strength.any(0) for pair, strength in wiring.maps.items()}
    concat = rebuild([stack[0], nn.LazyConv2d(8, 3)], Wiring(names, wiring.edges, {
        ("lego1", "lego2"): columns["lego1", "lego2"], ("lego2", "head"): np.ones(8)
    }), SHAPE, merge="concat")  # fmt: skip
    assert tuple(concat.get_parameter("lego2.weight").shape) == (8, 40, 3, 3)
