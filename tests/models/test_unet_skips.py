"""Learned skips: what every decoder level sees, and that pruning equals gates of 0."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plexus.errors import ConfigError
from plexus.graph import Wiring
from plexus.models import UNet

NERVE: dict[str, Any] = {"preset": "nerve", "in_size": (32, 16), "width": 3, "levels": 4, "skips": "all"}
MODERN: dict[str, Any] = {"preset": "modern", "width": 4, "levels": 4, "skips": "all"}
BOTH = [NERVE, MODERN, {**NERVE, "neuron": "unit"}, {**MODERN, "neuron": "rot8", "stem": 2}]
PAIRS = {(f"enc{s}", f"dec{t}") for s in range(1, 5) for t in range(1, 4)} - {("enc4", "dec3")}


def make(options: dict[str, Any]) -> UNet:
    """A net with gates that differ, in float64 and evaluation mode."""
    torch.manual_seed(0)
    net = UNet(**options).double().eval()
    for skips in gated(net).values():
        nn.init.normal_(skips.join.weight, 0, 2)
    return net


def gated(net: UNet) -> dict[str, Any]:
    """The gated skips of every decoder level."""
    return dict(net.skips.items())


def cut(net: UNet, keep: set[tuple[str, str]]) -> None:
    """Gates of 0 for all other edges."""
    for target, skips in gated(net).items():
        for k, source in enumerate(skips.sources):
            if (f"enc{source + 1}", target) not in keep:
                skips.join.mask[k] = 0


def count(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def test_a_level_adds_up_its_sources_brought_to_its_size() -> None:
    torch.manual_seed(0)
    channels, sizes = [2, 4, 8, 16], [(8, 12), (4, 6), (2, 3), (1, 1)]
    every = UNet(width=2, levels=4, skips="all").double()
    edges = [e for e in every.wiring().edges if (e.source, e.target) != ("enc4", "dec2")]
    skips = gated(UNet(width=2, levels=4, skips=Wiring(every.wiring().nodes, edges)).double())["dec2"]
    maps = [torch.randn(2, c, *s, dtype=torch.float64) for c, s in zip(channels, sizes, strict=True)]

    def project(x: Tensor, name: str) -> Tensor:
        weight = skips.project[name].weight
        assert isinstance(weight, Tensor)
        return torch.einsum("nchw,oc->nohw", x, weight[:, :, 0, 0])

    down = maps[0].view(2, 2, 4, 2, 6, 2).mean((3, 5))
    up = F.interpolate(maps[2], size=(4, 6), mode="bilinear", align_corners=False)
    gate = dict(zip(skips.sources, skips.join.gates().tolist(), strict=True))
    expected = gate[0] * project(down, "enc1") + gate[1] * maps[1] + gate[2] * project(up, "enc3")
    torch.testing.assert_close(skips(maps, (4, 6)), expected)
    assert gate == pytest.approx({0: 0.27, 1: 0.95, 2: 0.27}, abs=1e-6)


@pytest.mark.parametrize("options", BOTH)
def test_every_decoder_level_sees_every_encoder_level(options: dict[str, Any]) -> None:
    net = make(options)
    wiring = net.wiring()
    assert set(wiring.strengths()) == PAIRS
    assert wiring.nodes == ("enc1", "enc2", "enc3", "enc4", "dec3", "dec2", "dec1")
    for target, skips in gated(net).items():
        for source, weight in zip(skips.sources, skips.join.weight.tolist(), strict=True):
            expected = 1 / (1 + torch.exp(torch.tensor(-weight, dtype=torch.float64)))
            assert wiring.strengths()[f"enc{source + 1}", target] == pytest.approx(float(expected))
    images = torch.rand(2, 1, 32, 16, dtype=torch.float64)
    net(images).mask_logits.square().mean().backward()
    for skips in gated(net).values():
        assert skips.join.weight.grad is not None
        assert (skips.join.weight.grad != 0).all()


def test_the_plain_net_has_its_own_skips_at_full_strength() -> None:
    wiring = UNet(**{**MODERN, "skips": "same"}).wiring()
    assert wiring.strengths() == {(f"enc{i}", f"dec{i}"): 1.0 for i in (1, 2, 3)}


@pytest.mark.parametrize("options", BOTH[:2])
def test_own_skips_with_open_gates_are_the_plain_net(options: dict[str, Any]) -> None:
    net = make(options)
    cut(net, {(f"enc{i}", f"dec{i}") for i in (1, 2, 3)})
    for skips in gated(net).values():
        nn.init.constant_(skips.join.weight, 100.0)
    plain = UNet(**{**options, "skips": "same"}).double().eval()
    plain.load_state_dict({k: v for k, v in net.state_dict().items() if not k.startswith("skips.")})
    images = torch.rand(2, 1, 32, 16, dtype=torch.float64)
    torch.testing.assert_close(plain(images).mask_logits, net(images).mask_logits)


@pytest.mark.parametrize("options", BOTH)
@pytest.mark.parametrize(("keep", "left"), [(0, 0), (1, 1), (7, 7), (11, 11), (0.5, 5), (1.0, 11)])
@torch.no_grad()
def test_a_pruned_net_is_the_net_with_gates_of_zero(options: dict[str, Any], keep: float, left: int) -> None:
    net = make(options)
    small = net.prune(keep)
    images = torch.rand(2, 1, 32, 16, dtype=torch.float64)
    ranked = sorted(net.wiring().edges, key=lambda e: -e.strength)[:left]
    kept = {(e.source, e.target) for e in ranked}
    assert small.wiring().strengths() == {pair: net.wiring().strengths()[pair] for pair in kept}
    assert not small.training
    gone = count(net) - count(small)
    cut(net, kept)
    out, expected = small(images), net(images)
    assert torch.equal(out.mask_logits, expected.mask_logits)
    assert torch.equal(out.presence_logit, expected.presence_logit)
    maps = [options["width"] * 2**i for i in range(4)]
    places = [(int(s[3:]) - 1, int(t[3:]) - 1) for s, t in PAIRS - kept]
    assert gone == sum(1 + (maps[s] * maps[t] if s != t else 0) for s, t in places)


def test_pruning_again_and_building_from_the_wiring_agree() -> None:
    net = make(MODERN).train()
    twice, once = net.prune(8).prune(4), net.prune(4)
    assert once.training
    assert twice.wiring() == once.wiring()
    wiring = Wiring.from_json(once.wiring().to_json())
    built = UNet(**once.options, skips=wiring).double()
    built.load_state_dict(once.state_dict())
    images = torch.rand(2, 1, 32, 16, dtype=torch.float64)
    built.eval()
    assert torch.equal(built(images).mask_logits, twice.eval()(images).mask_logits)


def test_pruning_copies_and_the_copy_trains() -> None:
    net = make(MODERN)
    before = {k: v.clone() for k, v in net.state_dict().items()}
    small = net.prune(0.5)
    out = small(torch.rand(2, 1, 32, 16, dtype=torch.float64))
    (out.mask_logits.square().mean() + out.presence_logit.sum()).backward()
    torch.optim.SGD(small.parameters(), 0.1).step()
    assert all(torch.equal(before[k], v) for k, v in net.state_dict().items())


def test_of_equal_gates_the_later_sources_stay() -> None:
    net = UNet(width=2, levels=3, skips="all")
    for skips in gated(net).values():
        nn.init.zeros_(skips.join.weight)
    orders = [net.prune(k).wiring().strengths().keys() for k in range(6)]
    assert [set(b - a) for a, b in pairwise(orders)] == [
        {("enc3", "dec1")},
        {("enc2", "dec1")},
        {("enc2", "dec2")},
        {("enc1", "dec1")},
        {("enc1", "dec2")},
    ]


@pytest.mark.parametrize("keep", [1.5, -0.1, 12, -1, True, "half", float("nan")])
def test_a_limit_out_of_range_is_refused(keep: Any) -> None:
    with pytest.raises(ConfigError, match=r"prune: keep=.* must be a share, 0.0 to 1.0, or a count, 0 to 11"):
        make(MODERN).prune(keep)


def test_a_net_without_gates_cannot_be_pruned() -> None:
    with pytest.raises(ConfigError, match='no gates; build it with skips="all"'):
        UNet(width=2, levels=2).prune(1)


def test_edges_without_a_place_are_refused() -> None:
    for edge in (("enc3", "dec2"), ("enc1", "dec3")):
        wiring = Wiring(("enc1", "enc2", "enc3", "dec3", "dec2", "dec1"), [(*edge, 1.0)])
        with pytest.raises(ConfigError, match=f"{edge[0]} -> {edge[1]}, for which 3 levels have no place"):
            UNet(width=2, levels=3, skips=wiring)
