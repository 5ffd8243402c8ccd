"""Residual nets of mixes: the stream, what is computed of it, and the plain net that is derived."""

from __future__ import annotations

import copy
import random
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from plexus.errors import ConfigError
from plexus.models import Classifier, head, separable
from plexus.nn import Supernet
from plexus.wiring import derive, importance, parameters, prune, rebuild
from tests.wiring.nets import disturb
from tests.wiring.test_derive_maps import random_lego

OPTIONS: dict[str, Any] = {"merge": "mix", "share": None, "residual": True}


def net_of(legos: list[nn.Module], size: int = 12, *, reach: int | None = 1, classes: int = 5) -> Any:
    torch.manual_seed(0)
    body = Supernet(legos, (3, size, size), reach=reach, **OPTIONS)
    net = Classifier(body, head("gap", body.out_channels, classes))
    for _ in range(2):  # statistics that are not 0 and 1
        net.train()(torch.randn(8, 3, size, size))
    return net.double()


def cut_at_random(body: Supernet, seed: int, share: float = 0.6) -> None:
    chance = torch.Generator().manual_seed(seed)
    for connection in body.connections:
        connection.mask *= (torch.rand(connection.mask.shape, generator=chance) < share).to(connection.mask)


def formula(body: Supernet, x: Tensor) -> Tensor:
    """s_i = s_{i-1} + norm_i(W_i cat(sources)), with all channels and no shortcut."""
    sources, stream = [x], x
    for i, (lego, connection, norm) in enumerate(zip(body.legos, body.connections, body.norms, strict=True)):
        sources.append(lego(stream.clone()))
        mixed = norm(connection(sources))
        cut = not connection.mask.any()
        stream = (stream if cut else stream + mixed) if body.adds[i] else mixed
    return stream


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("reach", [1, 2, None])
def test_computes_the_formula_whatever_is_cut(reach: int | None, training: bool) -> None:
    net = net_of(separable((3, 12, 12), width=16), reach=reach)
    cut_at_random(net.body, seed=1)
    other = copy.deepcopy(net)
    x = torch.randn(6, 3, 12, 12, dtype=torch.double)
    got, wanted = net.body.train(training)(x), formula(other.body.train(training), x)
    torch.testing.assert_close(got, wanted, rtol=0, atol=1e-12)
    got.square().sum().backward()
    wanted.square().sum().backward()
    for (name, ours), theirs in zip(net.body.named_parameters(), other.body.parameters(), strict=True):
        assert theirs.grad is not None
        torch.testing.assert_close(
            torch.zeros_like(ours) if ours.grad is None else ours.grad, theirs.grad, rtol=1e-9, atol=1e-9, msg=name
        )


def test_cuts_make_training_move_only_what_is_read() -> None:
    net = net_of(separable((3, 12, 12), width=16))
    last = net.body.connections[-1]
    last.mask[0, -5:] = 0
    norm = net.body.legos[-1][1]
    before = norm.running_mean.clone()
    net.train()(torch.randn(4, 3, 12, 12, dtype=torch.double))
    moved = norm.running_mean != before
    assert moved[:-5].all()
    assert not moved[-5:].any()


@pytest.mark.parametrize("seed", range(24))
def test_derived_net_is_the_masked_one_for_random_legos(seed: int) -> None:
    draw = random.Random(seed)
    legos: list[nn.Module] = [nn.Conv2d(3, 16, 3, padding=1)]
    width = 16
    for _ in range(draw.randint(2, 4)):
        lego = random_lego(draw, width, draw.choice([width, width, 8]), plain=draw.random() < 0.6)
        legos.append(lego)
        width = int(lego.double()(torch.zeros(2, width, 12, 12, dtype=torch.double)).shape[1])
        lego.float()
    net = net_of(legos, reach=draw.choice([1, 2, None])).eval()
    disturb(net, seed)
    cut_at_random(net.body, seed, draw.choice([0.3, 0.7, 1.0]))
    for connection in net.body.connections:
        if not connection.mask.any():
            connection.mask[0, -1] = 1
    x = torch.randn(3, 3, 12, 12, dtype=torch.double)
    expected = net(x)
    for fold, multiple in ((True, 1), (True, 8), (False, 1)):
        plain: Any = derive(net, net.body.wiring(), fold=fold, multiple=multiple)
        torch.testing.assert_close(plain(x), expected, rtol=1e-9, atol=1e-10)


def test_a_mix_of_which_all_is_cut_adds_nothing() -> None:
    net = net_of(separable((3, 12, 12), width=16)).eval()
    body = net.body
    assert body.adds == [False, False, True, True, False]
    x = torch.randn(2, 3, 12, 12, dtype=torch.double)
    body.connections[2].mask.zero_()
    expected = net(x)
    torch.testing.assert_close(formula(body, x), body(x))
    plain: Any = derive(net, body.wiring())
    torch.testing.assert_close(plain(x), expected)
    assert "lego3_0" not in dict(plain.named_modules()), "the lego before it is read by nobody"


def test_cutting_a_stream_leaves_a_narrower_net() -> None:
    """Half of the channels everywhere: the very net of half the width, to the last parameter."""
    net = net_of(separable((3, 12, 12), width=16)).eval()
    assert net.body.coupled() == [[0], [1], [2, 3, 4]]
    for group in net.body.coupled():
        for i in group:
            channels = net.body.connections[i].channels[-1]
            net.body.connections[i].mask[0, -channels::2] = 0
    plain: Any = derive(net, net.body.wiring())
    half = net_of(separable((3, 12, 12), width=8)).eval()
    ours = parameters(derive(half, half.body.wiring()))
    # all that differs is what the head reads: 32 maps instead of 16, from the last 16
    assert parameters(plain) == ours + 16 * 16 + 2 * 16 + 16 * 5
    assert not any("index_select" in str(node.target) for node in plain.graph.nodes), "nothing has to be gathered"


def test_reach_cuts_what_is_far_for_good() -> None:
    body = net_of(separable((3, 12, 12), width=16), reach=2).body
    reached = [connection.reached() for connection in body.connections]
    assert reached == [[0, 1], [1, 2], [2, 3], [3, 4], [4, 5]]
    for connection in body.connections:
        connection.mask.zero_()
        connection.uncut()
    assert {(e.source, e.target) for e in body.wiring().edges} == {
        (("input", "lego1", "lego2", "lego3", "lego4", "lego5")[k], ("lego2", "lego3", "lego4", "lego5", "head")[i])
        for i, sources in enumerate(reached)
        for k in sources
    }


@pytest.mark.parametrize("method", ["gate", "strength", "taylor", "ablation"])
def test_every_importance_ranks_the_maps_of_a_stream(method: Any) -> None:
    net = net_of(separable((3, 12, 12), width=16)).eval()
    batches = [(torch.randn(4, 3, 12, 12, dtype=torch.double), torch.arange(4))]
    ranked = importance(net, batches, method)
    assert [e[:2] for e in ranked.edges] == [e[:2] for e in net.body.wiring().edges]
    kept = prune(ranked, fan_in=3)
    assert all((strengths != 0).sum() == 3 for strengths in kept.maps.values())
    net.body.set_wiring(kept)
    x = batches[0][0]
    torch.testing.assert_close(derive(net, kept)(x), net(x))


def test_ablation_is_the_rise_of_the_loss() -> None:
    net = net_of(separable((3, 12, 12), width=16)).eval()
    x, y = torch.randn(6, 3, 12, 12, dtype=torch.double), torch.arange(6) % 5
    rises = importance(net, [(x, y)], "ablation").strengths()

    def loss() -> float:
        return nn.functional.cross_entropy(net(x), y).item()

    whole = loss()
    for i, connection in enumerate(net.body.connections):
        mask = connection.mask.clone()
        connection.mask.zero_()
        pair = (f"lego{i + 1}", f"lego{i + 2}" if i < 4 else "head")
        assert rises[pair] == pytest.approx(loss() - whole, abs=1e-9)
        connection.mask.copy_(mask)


def test_rebuilt_net_is_narrow_and_fresh() -> None:
    body = net_of(separable((3, 12, 12), width=16)).body
    for group in body.coupled():
        for i in group:
            body.connections[i].mask[0, -8:] = 0
    fresh: Any = rebuild(separable((3, 12, 12), width=16), body.wiring(), (3, 12, 12), reach=1, **OPTIONS)
    assert fresh(torch.zeros(2, 3, 12, 12)).shape == (2, 32, 6, 6)
    assert parameters(fresh) == parameters(derive(body, body.wiring()))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"merge": "sum", "residual": True}, "share=None"),
        ({"merge": "mix", "residual": True}, "share=None"),
        ({"merge": "sum", "reach": 1}, "reach=1"),
        ({"merge": "mix", "reach": 0}, "reach=0"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Supernet([nn.Conv2d(3, 8, 3)], (3, 8, 8), **options)
