"""The plain net computes what the gated one does, with any edges cut, and is plain."""

from __future__ import annotations

import copy
import io
import itertools
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from plexus.errors import ConfigError
from plexus.graph import Wiring
from plexus.models import head
from plexus.nn import Recurrent, Supernet
from plexus.wiring import derive, importance
from tests.nn.nets import supernet
from tests.wiring.nets import Gated, assert_derives, assert_same, classifier, cut, images, some_of

MERGES: list[dict[str, Any]] = [
    {"merge": "concat"},
    {"merge": "squeeze", "squeeze_to": 5},
    {"merge": "sum"},
    {"merge": "sum", "project": "conv"},
    {"merge": "max"},
    {"merge": "max", "project": "conv"},
]


@pytest.mark.parametrize("merge", MERGES, ids=lambda o: "-".join(map(str, o.values())))
@pytest.mark.parametrize("end", ["gap", "flatten512"])
@pytest.mark.parametrize("fold", [True, False])
def test_it_computes_what_the_gated_net_does(merge: dict[str, Any], end: str, fold: bool) -> None:
    pairs = list(itertools.product(["scalar", "channel"], ["smallest", "largest"]))
    for gate, size in pairs if end == "gap" else pairs[::3]:
        net = classifier(end=end, gate=gate, size=size, widths=(4, 6, 4, 5), **merge)
        assert_derives(net, images(net), fold=fold, seeds=1)


@pytest.mark.parametrize("merge", MERGES, ids=lambda o: "-".join(map(str, o.values())))
@pytest.mark.parametrize("axes", [1, 3])
def test_so_it_does_on_one_and_three_axes(merge: dict[str, Any], axes: int) -> None:
    for resize in ("area", "bilinear", "nearest"):
        net = supernet(axes, resize=resize, activation="none", **merge)
        assert_derives(net, images(net), seeds=1)


@pytest.mark.parametrize("resize", ["nearest", "bilinear", "bicubic"])
@pytest.mark.parametrize("merge", ["concat", "sum"])
def test_so_it_does_for_every_resize(merge: str, resize: str) -> None:
    net = classifier(merge=merge, resize=resize)
    assert_derives(net, images(net))


@pytest.mark.parametrize("kind", ["deep", "blocks", "legos8"])
@pytest.mark.parametrize("merge", MERGES, ids=lambda o: "-".join(map(str, o.values())))
def test_so_it_does_for_the_presets(kind: str, merge: dict[str, Any]) -> None:
    at = MERGES.index(merge) + ["deep", "blocks", "legos8"].index(kind)  # every value of the rest, not every pair
    net = classifier(kind, ["gap", "flatten512"][at % 2], gate=["scalar", "channel"][at // 2 % 2], **merge)
    assert_derives(net, images(net), fold=at % 3 > 0, seeds=1)


def test_gates_of_either_sign_are_carried_only_where_they_may() -> None:
    torch.manual_seed(0)
    for merge in ("concat", "sum"):
        legos = [nn.Conv2d(3, 4, 3), nn.MaxPool2d(2), nn.ReLU(), nn.LazyConv2d(4, 1)]
        net = Supernet(legos, (3, 10, 10), merge=merge, activation="none")
        with torch.no_grad():
            for connection in net.connections:
                connection.weight.copy_(torch.randn(connection.weight.shape))
        assert_derives(net, images(net))


@pytest.mark.parametrize("extreme", [-200.0, -60.0, 60.0])
def test_gates_at_0_or_next_to_it_do_no_harm(extreme: float) -> None:
    for merge in ("concat", "sum", "max"):
        net = classifier(merge=merge)
        with torch.no_grad():
            for connection in net.body.connections:
                connection.weight[::2] = extreme
            net.body.connections[2].weight.fill_(extreme)
        assert_derives(net, images(net))


@pytest.mark.parametrize("merge", ["sum", "concat"])
def test_unread_layers_are_gone_and_nothing_of_plexus_is_left(merge: str) -> None:
    net = classifier(merge=merge)
    wiring = net.body.wiring().keep([("input", "head"), ("lego2", "head"), ("input", "lego2"), ("lego1", "lego3")])
    plain = derive(net, wiring)
    assert isinstance(plain, fx.GraphModule)
    assert {name.split("_")[0] for name, _ in plain.named_children()} == {"lego2", "head"}
    for part in plain.modules():
        assert type(part).__module__.startswith("torch.")
    for node in plain.graph.nodes:
        assert "plexus" not in getattr(node.target, "__module__", "") or isinstance(node.target, str)
    with torch.no_grad():
        gated = copy.deepcopy(net)
        cut(gated, wiring)
        assert_same(plain.eval()(images(net)), gated.eval()(images(net)))


def test_folding_leaves_no_factor_where_kernels_can_take_it() -> None:
    net = classifier("blocks")
    count = {fold: _multiplications(derive(net, net.body.wiring(), fold=fold)) for fold in (True, False)}
    assert count == {True: 0, False: 4}


def _multiplications(net: nn.Module) -> int:
    assert isinstance(net, fx.GraphModule)
    return sum(getattr(node.target, "__name__", "") == "mul" for node in net.graph.nodes)


def test_parameters_are_those_of_the_slices_that_stay() -> None:
    net = Supernet([nn.Conv2d(3, 4, 3, padding=1), nn.LazyConv2d(5, 3), nn.LazyConv2d(6, 1, bias=False)], (3, 8, 8))
    wiring = net.wiring().keep([("lego1", "lego2"), ("input", "lego3"), ("lego2", "lego3"), ("lego3", "head")])
    plain = derive(net, wiring)
    sizes = {name: tuple(p.shape) for name, p in plain.named_parameters()}
    assert sizes == {
        "lego1.weight": (4, 3, 3, 3),
        "lego1.bias": (4,),
        "lego2.weight": (5, 4, 3, 3),
        "lego2.bias": (5,),
        "lego3.weight": (6, 8, 1, 1),
    }


@pytest.mark.parametrize("merge", ["sum", "concat", "max"])
def test_the_net_it_came_from_is_left_alone(merge: str) -> None:
    net = classifier(merge=merge)
    net.body.legos[0].eval()
    before, modes = copy.deepcopy(net.state_dict()), [part.training for part in net.modules()]
    plain = derive(net, some_of(net.body.wiring(), 0.5, 1))
    for p in plain.parameters():
        assert p.requires_grad
        p.data.add_(1.0)
    assert [part.training for part in net.modules()] == modes
    for key, value in net.state_dict().items():
        assert torch.equal(value, before[key])


@pytest.mark.parametrize("merge", ["sum", "concat"])
def test_it_is_an_ordinary_module(merge: str) -> None:
    net = classifier(merge=merge)
    wiring = some_of(net.body.wiring(), 0.5, 2)
    plain, x = derive(net, wiring).eval(), images(net)
    expected = plain(x)
    assert torch.equal(copy.deepcopy(plain)(x), expected)
    file = io.BytesIO()
    torch.save(plain.state_dict(), file)
    file.seek(0)
    other = derive(classifier(merge=merge, seed=9), wiring).eval()
    assert not torch.equal(other(x), expected)
    other.load_state_dict(torch.load(file, weights_only=True))
    if merge == "concat":  # a sum's factors stand in the graph, not in the state
        assert torch.equal(other(x), expected)
    program = torch.export.export(plain, (x,), dynamic_shapes={"x": {0: torch.export.Dim("images", min=1, max=99)}})
    more = images(net, count=7)
    torch.testing.assert_close(program.module()(more), plain(more))


def test_it_trains() -> None:
    net = classifier(merge="sum")
    plain = derive(net, some_of(net.body.wiring(), 0.5, 2)).train()
    x, y = images(net, count=16), torch.arange(16) % 5
    optimizer = torch.optim.Adam(plain.parameters(), 0.02)
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        loss = F.cross_entropy(plain(x), y)
        loss.backward()
        assert all(p.grad is not None for p in plain.parameters())
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]


def test_double_precision_stays_double() -> None:
    net = classifier(merge="concat", end="flatten512").double()
    x = images(net).double()
    plain = derive(net, net.body.wiring())
    torch.testing.assert_close(plain.eval()(x), net.eval()(x), rtol=1e-12, atol=1e-12)


def test_a_head_that_was_never_called_is_sized_first() -> None:
    body = Supernet([nn.Conv2d(3, 4, 3), nn.MaxPool2d(2)], (3, 8, 8))
    net = Gated(body, head("flatten512", body.out_channels, 5)).eval()
    plain = derive(net, body.wiring())
    assert_same(plain(images(net)), net(images(net)))


class Switching(nn.Module):
    """Other operations in training than in evaluation."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.LazyConv2d(4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(self.conv(x), 0.5, self.training)


class Branching(nn.Module):
    """A forward that depends on the numbers, so that it cannot be traced; it writes into its input."""

    def forward(self, x: Tensor) -> Tensor:
        x *= 2.0 if x.sum() > 1e9 else 3.0
        return x


class Plain(nn.Module):
    """Traceable, with parameters, constants and names that could be confused."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1.5))
        self.register_buffer("shift", torch.tensor(0.25))
        self.a = nn.Sequential(nn.LazyConv2d(4, 1), nn.Tanh())
        self.a_0 = nn.LazyConv2d(4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.a_0(F.relu(self.a(x) * self.scale, inplace=True)).add_(self.shift) + self.a(x)


class Overwriting(nn.Module):
    """Traceable, and overwrites what it is given."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mul_(2.0)


def test_a_module_of_the_users_becomes_operations_or_stays_whole() -> None:
    torch.manual_seed(0)
    legos = [Plain(), nn.Sequential(Plain(), Branching()), Switching(), nn.Sequential(nn.ReLU(inplace=True), Plain())]
    for merge in ("concat", "sum"):
        net = Supernet(copy.deepcopy(legos), (3, 6, 6), merge=merge).eval()
        x = images(net)
        plain = derive(net, net.wiring())
        assert {type(m).__name__ for m in plain.modules() if "torch" not in type(m).__module__} == {
            "Branching",
            "Switching",
        }
        assert_same(plain(x), net(x))
        plain.train()
        assert not torch.equal(plain(x), plain(x))  # dropout is still dropout


@pytest.mark.parametrize("lego", [nn.ReLU(inplace=True), Overwriting(), Branching()])
def test_a_first_lego_that_overwrites_its_input_spares_the_images(lego: nn.Module) -> None:
    net = Supernet([lego, nn.LazyConv2d(4, 1)], (3, 6, 6)).eval()
    x = images(net)
    before, plain = x.clone(), derive(net, net.wiring())
    assert_same(plain(x), net(x))
    assert torch.equal(x, before)
    importance(net, [(x, x)], "ablation", loss=lambda out, _: out.square().mean())
    assert torch.equal(x, before)


@pytest.mark.parametrize("lego", [nn.ReLU(inplace=True), Overwriting(), Branching(), nn.ELU(inplace=True)])
def test_a_lego_that_overwrites_its_input_spares_the_other_readers(lego: nn.Module) -> None:
    net = Supernet([nn.Conv2d(3, 4, 1), lego, nn.LazyConv2d(4, 1)], (3, 6, 6), merge="sum").eval()
    wiring = net.wiring().keep([("lego1", "lego2"), ("lego1", "lego3"), ("lego3", "head"), ("lego2", "head")])
    plain = derive(net, wiring)
    with torch.no_grad():
        net.connections[0].weight[1] = 200.0  # a gate of exactly 1: nothing is multiplied, nothing copied
        x, plain = images(net), derive(net, wiring)
        cut(net, wiring)
        assert_same(plain(x.clone()), net(x.clone()))


def test_recurrent_legos_become_torch_ones() -> None:
    torch.manual_seed(0)
    legos = [Recurrent(nn.LSTM(3, 4, bidirectional=True)), nn.LazyConv1d(5, 3, stride=2), Recurrent(nn.GRU(16, 6))]
    net = Supernet(legos, (3, 9)).eval()
    assert_derives(net, images(net))
    plain = derive(net, net.wiring())
    assert all(type(m).__module__.startswith("torch.") for m in plain.modules())


@pytest.mark.parametrize(
    "lego",
    [
        torch.nn.utils.parametrizations.weight_norm(nn.Conv2d(7, 4, 3)),
        nn.LazyConv2d(14, 3, groups=7),
        nn.LazyConv2d(4, 3, padding=1, padding_mode="reflect"),
        nn.LazyConvTranspose2d(4, 2, stride=2),
        nn.ELU(),
        nn.LeakyReLU(0.1),
    ],
    ids=lambda lego: type(lego).__name__,
)
def test_layers_that_take_no_factors_are_scaled_outside(lego: nn.Module) -> None:
    torch.manual_seed(0)
    net = Supernet([nn.Conv2d(3, 4, 1), lego, nn.LazyConv2d(4, 1)], (3, 6, 6), init="gaussian").eval()
    assert_derives(net, images(net))


@pytest.mark.parametrize(
    ("nodes", "edges", "message"),
    [
        (("input", "lego9", "head"), [("lego9", "head")], "node 'lego9' is not in the net"),
        (("input", "lego1", "head"), [("input", "lego1"), ("lego1", "head")], "no connection input -> lego1"),
        (("lego3", "lego2", "head"), [("lego3", "lego2"), ("lego2", "head")], "no connection lego3 -> lego2"),
        (("input", "lego2", "head"), [("lego2", "head")], "lego2 is read but has no input"),
        (("input", "head"), [], "head is read but has no input"),
    ],
)
def test_a_wiring_of_another_net_is_refused(nodes: tuple[str, ...], edges: list[tuple[str, str]], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        derive(classifier(), Wiring(nodes, [(s, t, 1.0) for s, t in edges]))


def test_something_that_is_no_supernet_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"expected a Supernet, .* got Linear"):
        derive(nn.Linear(2, 2), Wiring(("input", "head"), ()))
