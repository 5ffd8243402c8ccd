"""Trained-looking classifiers and wirings for tests."""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from plexus.graph import Wiring, stack_nodes
from plexus.models import Classifier, deep, head, preset
from plexus.nn import DENSE, NEURONS, UNIT_LAYERS, Supernet, convert
from plexus.wiring import derive
from tests.nn.nets import supernet


class Gated(Classifier):
    """A classifier whose body is a supernet."""

    body: Supernet


def classifier(kind: str = "small", end: str = "gap", *, seed: int = 0, **options: Any) -> Gated:
    """A supernet with a head: `small` is the odd one of the tests, the others are presets.

    Gates and statistics vary; nothing is dropped, so that training can be compared.
    """
    torch.manual_seed(seed)
    if kind == "small":
        body = supernet(seed=seed, **options)
    else:
        shape = (1, 8, 8) if kind == "deep" else (3, 12, 12)
        legos = deep(shape, width=4) if kind == "deep" else preset(kind).legos(shape)
        body = Supernet(legos, shape, **{**preset(kind).options, **options})
    net = Gated(body, head(end, body.out_channels, 5))
    net.eval()(torch.zeros(2, *body.in_shape))
    for part in net.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
    disturb(net.train(), seed)
    return net


def mix(seed: int = 0, **options: Any) -> Gated:
    """Depthwise legos of six maps whose mixes are cut in groups of two, with a head, as if trained."""
    torch.manual_seed(seed)
    legos = [
        nn.Sequential(nn.Conv2d(6 if i else 3, 6, 3, padding=1, groups=6 if i else 1), nn.BatchNorm2d(6), nn.ReLU())
        for i in range(3)
    ]
    body = Supernet(legos, (3, 8, 8), merge="mix", share=2, **options)
    net = Gated(body, head("gap", body.out_channels, 5))
    disturb(net, seed)
    return net


def disturb(net: Gated, seed: int) -> None:
    """The net as if trained: gates between 0 and 1, statistics and scales of normalization away from 0 and 1."""
    draw = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for connection in net.body.connections:
            connection.weight.add_(1.5 * torch.randn(connection.weight.shape, generator=draw))
        for part in net.modules():
            if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
                for name, value in part.state_dict().items():
                    if name in ("weight", "running_var"):
                        value.copy_(0.5 + torch.rand(value.shape, generator=draw))
                    elif name in ("bias", "running_mean"):
                        value.copy_(0.3 * torch.randn(value.shape, generator=draw))


def of_neurons(net: Gated, kind: str, dense: str = "plain") -> Gated:
    """The net with this neuron wherever its convolutions and its head allow it, filters of many lengths; in place."""
    if kind != "plain":
        convert(net.body.legos, NEURONS[kind])  # type: ignore[arg-type]
    if dense != "plain":
        convert(net.head, DENSE[dense])
    draw = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for part in net.modules():
            if isinstance(part, UNIT_LAYERS) and "weight" in part._parameters:
                weight = part.get_parameter("weight")
                weight.mul_(0.3 + 3 * torch.rand(len(weight), *[1] * (weight.dim() - 1), generator=draw))
    return net


def body_of(net: Gated | Supernet) -> Supernet:
    return net if isinstance(net, Supernet) else net.body


def images(net: Gated | Supernet, count: int = 4, seed: int = 3) -> Tensor:
    return torch.randn(count, *body_of(net).in_shape, generator=torch.Generator().manual_seed(seed))


def some_of(wiring: Wiring, share: float, seed: int) -> Wiring:
    """About this share of the edges, and one into every layer at least; layers may be left unread."""
    choose = random.Random(seed)
    kept = {(e.source, e.target) for e in wiring.edges if choose.random() < share}
    kept |= {(choose.choice(wiring.sources(t)), t) for t in wiring.nodes[2:] if not any(k[1] == t for k in kept)}
    return wiring.keep(kept)


def cut(net: Gated | Supernet, wiring: Wiring) -> None:
    """Sets the gates of all edges that the wiring lacks to 0."""
    body = body_of(net)
    names, kept = body.node_names(), wiring.strengths()
    with torch.no_grad():
        for target, connection in zip(names[2:], body.connections, strict=True):
            for k in range(len(connection.channels)):
                if (names[k], target) not in kept:
                    connection.mask[connection.entries(k)] = 0


def assert_same(got: Tensor, expected: Tensor, tolerance: float = 1e-5) -> None:
    """Equal to within a share of the largest number."""
    scale = max(1.0, expected.abs().max().item())
    assert got.shape == expected.shape
    assert (got - expected).abs().max().item() <= tolerance * scale


def assert_derives(net: Gated | Supernet, x: Tensor, *, fold: bool = True, seeds: int = 2) -> None:
    """Whole and with edges cut, in evaluation and in training."""
    whole = body_of(net).wiring()
    wirings = [whole, *(some_of(whole, 0.4, seed) for seed in range(seeds))]
    for wiring in wirings:
        gated = copy.deepcopy(net)
        cut(gated, wiring)
        plain = derive(net, wiring, fold=fold)
        assert plain.training == net.training
        with torch.no_grad():
            assert_same(plain.train()(x), gated.train()(x))
            assert_same(plain.eval()(x), gated.eval()(x))


def map_wiring(
    legos: int, granularity: str, strength: Callable[[], float], *, share: float = 1.0, seed: int = 0
) -> Wiring:
    """A wiring of legos of two to four maps, with map edges; each is there with probability `share`, one in each group.

    Nodes and edges are those of a supernet; an edge without map edges is left out.
    """
    draw = random.Random(seed)
    nodes, size = stack_nodes(legos), {}
    for name in nodes:
        size[name] = draw.randint(2, 4)
    pairs = [(s, t) for j, t in enumerate(nodes[2:], 2) for s in nodes[:j]]
    maps = {}
    groups = {t: draw.randint(1, 3) for t in nodes}
    for s, t in pairs:
        shape = (groups[t], size[s]) if granularity == "mix" else (size[s],)
        maps[s, t] = np.array([strength() * (draw.random() < share) for _ in range(math.prod(shape))]).reshape(shape)
    for t in nodes[2:]:  # nothing without an input
        for row in range(groups[t] if granularity == "mix" else 1):
            if not any(np.atleast_2d(maps[s, t])[row].any() for s in nodes[: nodes.index(t)]):
                np.atleast_2d(maps[nodes[nodes.index(t) - 1], t])[row, 0] = 0.5
    maps = {pair: array for pair, array in maps.items() if array.any()}
    return Wiring(nodes, [(*pair, float(np.sqrt((array**2).mean()))) for pair, array in maps.items()], maps)
