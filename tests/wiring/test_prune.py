"""Pruning cuts the weakest, meets its limit, and leaves a net that can be computed."""

from __future__ import annotations

import math
from itertools import pairwise

import networkx as nx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from plexus.errors import ConfigError
from plexus.graph import Edge, Wiring, stack_nodes
from plexus.wiring import derive, parameters, prune, steps
from tests.wiring.nets import classifier, images


def complete(legos: int) -> list[tuple[str, str]]:
    """All edges of a supernet."""
    nodes = stack_nodes(legos)
    return [(source, target) for j, target in enumerate(nodes[2:], 2) for source in nodes[:j]]


@st.composite
def supernets(draw: st.DrawFn) -> Wiring:
    """The wiring of a supernet with any strengths, ties included."""
    legos = draw(st.integers(1, 5))
    pairs = complete(legos)
    strength = st.sampled_from([0.0, 0.25, 0.5, 1.0]) | st.floats(-10, 10)
    values = draw(st.lists(strength, min_size=len(pairs), max_size=len(pairs)))
    return Wiring(stack_nodes(legos), [(s, t, v) for (s, t), v in zip(pairs, values, strict=True)])


def rank(wiring: Wiring, edge: Edge) -> tuple[float, int, int]:
    """The order in which edges go."""
    place = wiring.nodes.index
    return (edge.strength, place(edge.source), place(edge.target))


def assert_sound(pruned: Wiring, wiring: Wiring) -> None:
    """Computable, without unread layers, every layer with its strongest input, and only weaker edges cut."""
    strengths = wiring.strengths()
    assert pruned.strengths().items() <= strengths.items()
    graph = pruned.to_networkx()
    read = nx.ancestors(graph, "head")
    assert set(pruned.nodes) == read | {"input", "head"}
    for target in set(pruned.nodes) - {"input", "lego1"}:
        strongest = max((e for e in wiring.edges if e.target == target), key=lambda e: rank(wiring, e))
        assert strongest in pruned.edges
    lost = [e for e in wiring.edges if e not in pruned.edges and {e.source, e.target} <= set(pruned.nodes)]
    for kept in pruned.edges:
        if len(pruned.sources(kept.target)) > 1:
            assert all(rank(wiring, e) < rank(wiring, kept) for e in lost)


@given(supernets(), st.floats(0, 1))
def test_keep_is_met_and_the_weakest_go(wiring: Wiring, keep: float) -> None:
    pruned = prune(wiring, keep=keep)
    assert_sound(pruned, wiring)
    smallest = all(len(pruned.sources(t)) <= 1 for t in pruned.nodes)
    assert len(pruned.edges) <= math.floor(keep * len(wiring.edges) + 1e-9) or smallest


@given(supernets(), st.floats(0, 1))
def test_no_more_is_cut_than_asked(wiring: Wiring, keep: float) -> None:
    most = math.floor(keep * len(wiring.edges) + 1e-9)
    larger = [w for w in steps(wiring) if len(w.edges) > len(prune(wiring, keep=keep).edges)]
    assert all(len(w.edges) > most for w in larger)


@given(supernets(), st.floats(-10, 10))
def test_a_threshold_cuts_what_lies_below_it(wiring: Wiring, threshold: float) -> None:
    pruned = prune(wiring, threshold=threshold)
    assert_sound(pruned, wiring)
    for e in wiring.edges:
        if e in pruned.edges:
            assert e.strength >= threshold or len(pruned.sources(e.target)) == 1
        elif {e.source, e.target} <= set(pruned.nodes):
            assert e.strength < threshold


@given(supernets())
def test_steps_go_down_one_inside_the_other(wiring: Wiring) -> None:
    way = list(steps(wiring))
    for larger, smaller in pairwise(way):
        assert set(smaller.edges) < set(larger.edges)
        assert_sound(smaller, wiring)
    last = way[-1]
    assert all(len(last.sources(t)) == 1 for t in last.nodes if t not in ("input", "lego1"))
    assert prune(wiring, keep=0) == prune(wiring, threshold=math.inf) == last


@given(supernets())
def test_keeping_all_keeps_all(wiring: Wiring) -> None:
    assert prune(wiring, keep=1) == prune(wiring, threshold=-math.inf) == wiring


@pytest.mark.parametrize(
    ("legos", "keep", "edges"),
    [(9, 0.3, 16), (9, 0.5, 27), (9, 1.0, 54), (9, 45 / 54, 45), (9, 1 / 3, 18), (15, 39 / 135, 39)],
)
def test_as_many_stay_as_the_share_allows(legos: int, keep: float, edges: int) -> None:
    draw = torch.Generator().manual_seed(0)
    pairs = complete(legos)
    values = torch.rand(len(pairs), generator=draw).tolist()
    # the previous layer strongest, as in a trained net: nothing falls away by itself
    chain = set(pairwise(stack_nodes(legos)[1:]))
    given = [(s, t, v + ((s, t) in chain)) for (s, t), v in zip(pairs, values, strict=True)]
    assert len(prune(Wiring(stack_nodes(legos), given), keep=keep).edges) == edges


def test_ties_are_cut_from_the_earliest_source_on() -> None:
    wiring = Wiring(stack_nodes(3), [(s, t, 1.0) for s, t in complete(3)])
    smallest = prune(wiring, keep=0)
    assert smallest.strengths().keys() == {("lego1", "lego2"), ("lego2", "lego3"), ("lego3", "head")}
    assert ("input", "lego2") not in prune(wiring, keep=0.9).strengths()


def test_layers_that_nobody_reads_go_with_their_inputs() -> None:
    edges = [("input", "lego2", 0.9), ("lego1", "lego2", 0.8), ("lego1", "head", 0.7), ("lego2", "head", 0.1)]
    pruned = prune(Wiring(stack_nodes(2), edges), threshold=0.5)
    assert pruned == Wiring(("input", "lego1", "head"), [("lego1", "head", 0.7)])


@pytest.mark.parametrize("merge", ["concat", "sum", "max"])
@pytest.mark.parametrize("limit", [{"keep": 0.0}, {"threshold": math.inf}])
def test_the_smallest_wiring_still_makes_a_net_that_runs(merge: str, limit: dict[str, float]) -> None:
    net = classifier(merge=merge)
    pruned = prune(net.body.wiring(), **limit)  # type: ignore[arg-type]
    plain = derive(net, pruned)
    out = plain(images(net))
    assert out.shape == (4, 5)
    out.sum().backward()


@pytest.mark.parametrize("kind", ["small", "blocks"])
def test_parameters_meet_their_limit_and_nothing_larger_would(kind: str) -> None:
    net = classifier(kind, merge="concat")
    wiring = net.body.wiring()
    sizes = [parameters(derive(net, w)) for w in steps(wiring)]
    assert sizes == sorted(sizes, reverse=True)
    for most in (sizes[0], sizes[0] - 1, (sizes[0] + sizes[-1]) // 2, sizes[-1]):
        pruned = prune(wiring, max_params=most, net=net)
        assert parameters(derive(net, pruned)) == max(size for size in sizes if size <= most)
        assert pruned in list(steps(wiring))
    needed = f"max_params={sizes[-1] - 1} cannot be met, the smallest wiring needs {sizes[-1]}"
    with pytest.raises(ConfigError, match=needed):
        prune(wiring, max_params=sizes[-1] - 1, net=net)


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({}, "exactly one of keep, fan_in, edges, threshold, max_params and max_macs, got none"),
        ({"keep": 0.5, "threshold": 0.1}, "exactly one .* got keep, threshold"),
        ({"keep": 0.5, "max_params": 3}, "exactly one .* got keep, max_params"),
        ({"keep": 1.5}, "keep=1.5 must be a share"),
        ({"keep": -0.1}, "keep=-0.1 must be a share"),
        ({"keep": math.nan}, "keep=nan must be a share"),
        ({"threshold": math.nan}, "threshold is not a number"),
        ({"max_params": 10}, "max_params needs net=, the supernet whose parameters are counted"),
        ({"max_macs": 10}, "max_macs needs net=, the supernet whose multiply-adds are counted"),
        ({"fan_in": 0}, "fan_in=0 must be 1 or more"),
        ({"edges": 1}, "edges=1 cannot be met, the smallest wiring has 2"),
        ({"max_params": 10, "net": nn.Identity(), "by": "size"}, "by='size' is unknown; choose edges or fan_in"),
    ],
)
def test_limits_out_of_range_are_named(limits: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        prune(Wiring(stack_nodes(2), [(s, t, 1.0) for s, t in complete(2)]), **limits)  # type: ignore[arg-type]
