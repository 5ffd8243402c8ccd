"""A supernet computes what its rules say, however it goes about it."""

from __future__ import annotations

import copy
import io
import itertools
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plexus.graph import stack_nodes
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


@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: "-".join(o.values()))
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_it_equals_the_plain_port(axes: int, options: dict[str, Any]) -> None:
    for activation in ("sigmoid", "none"):
        net = supernet(axes, activation=activation, **options)
        assert_like_naive(net, images(net))


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


@pytest.mark.parametrize("merge", ["sum", "concat"])
def test_it_exports_whole(merge: str) -> None:
    net = supernet(merge=merge).eval()
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
