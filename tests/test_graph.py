"""A wiring is an acyclic graph, says what is wrong with anything else, and survives JSON."""

import copy
import json
import math
import pickle
import random
from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plexus.errors import ConfigError
from plexus.graph import FORMAT, Edge, Wiring, stack_nodes

NODES = ("input", "lego1", "head")
EDGES = (("input", "head", 0.5), ("lego1", "head", 1.0))


@st.composite
def wirings(draw: st.DrawFn) -> Wiring:
    """Any acyclic graph over a few oddly named nodes, any finite strengths, edges in any order."""
    nodes = draw(
        st.lists(st.text(min_size=1, max_size=5).filter(lambda n: " -> " not in n), min_size=1, max_size=7, unique=True)
    )
    pairs = [(s, t) for j, t in enumerate(nodes) for s in nodes[:j]]
    kept = draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else []
    strength = st.floats(allow_nan=False, allow_infinity=False)
    return Wiring(tuple(nodes), tuple(Edge(s, t, draw(strength)) for s, t in kept))


@given(wirings())
def test_json_brings_back_an_equal_wiring(wiring: Wiring) -> None:
    again = Wiring.from_json(wiring.to_json())
    assert again == wiring
    assert hash(again) == hash(wiring)
    assert again.to_json() == wiring.to_json()
    assert Wiring.from_json(wiring.to_json().encode()) == wiring


@given(wirings(), st.randoms(use_true_random=False))
def test_neither_the_order_of_edges_nor_their_class_matters(wiring: Wiring, order: random.Random) -> None:
    edges = [(e.source, e.target, e.strength) for e in wiring.edges]
    order.shuffle(edges)
    assert Wiring(wiring.nodes, edges) == wiring


@given(wirings(), st.randoms(use_true_random=False))
def test_nodes_in_any_order_are_put_in_one_that_can_be_computed(wiring: Wiring, order: random.Random) -> None:
    nodes = list(wiring.nodes)
    order.shuffle(nodes)
    sorted_again = Wiring(tuple(nodes), wiring.edges)
    place = {name: i for i, name in enumerate(sorted_again.nodes)}
    assert set(sorted_again.nodes) == set(nodes)
    assert all(place[e.source] < place[e.target] for e in sorted_again.edges)
    assert sorted_again.strengths() == wiring.strengths()
    if all(nodes.index(e.source) < nodes.index(e.target) for e in wiring.edges):
        assert sorted_again.nodes == tuple(nodes)


def test_a_node_moves_no_further_than_it_must() -> None:
    assert Wiring(("b", "x", "a", "y", "z"), [("a", "b", 1.0)]).nodes == ("x", "a", "b", "y", "z")


@given(wirings())
def test_networkx_gets_the_same_graph(wiring: Wiring) -> None:
    graph = wiring.to_networkx()
    assert isinstance(graph, nx.DiGraph)
    assert nx.is_directed_acyclic_graph(graph)
    assert tuple(graph.nodes) == wiring.nodes
    assert {(s, t): d["strength"] for s, t, d in graph.edges(data=True)} == wiring.strengths()


def test_edges_stand_by_target_then_source() -> None:
    nodes = ("input", "lego1", "lego2", "head")
    wiring = Wiring(nodes, (("lego1", "head", 1), ("lego1", "lego2", 2), ("input", "head", 3), ("input", "lego2", 4)))
    assert [(e.source, e.target) for e in wiring.edges] == [
        ("input", "lego2"),
        ("lego1", "lego2"),
        ("input", "head"),
        ("lego1", "head"),
    ]
    assert wiring.sources("head") == ("input", "lego1")
    assert wiring.sources("lego1") == ()


def test_wirings_that_differ_are_unequal() -> None:
    wiring = Wiring(NODES, EDGES)
    assert wiring != Wiring(NODES, EDGES[:1])
    assert wiring != Wiring(NODES, (EDGES[0], ("lego1", "head", 0.9)))
    assert wiring != Wiring((*NODES, "more"), EDGES)


def test_equal_wirings_give_the_same_text() -> None:
    plus, minus = Wiring(NODES, (("input", "head", 0.0),)), Wiring(NODES, (("input", "head", -0.0),))
    assert plus == minus
    assert plus.to_json() == minus.to_json()


def test_a_wiring_is_frozen() -> None:
    with pytest.raises(AttributeError):
        Wiring(NODES, EDGES).nodes = ()  # type: ignore[misc]


def test_keep_takes_pairs_with_their_strengths_and_refuses_unknown_ones() -> None:
    wiring = Wiring(NODES, EDGES)
    assert wiring.keep([("lego1", "head")]) == Wiring(NODES, EDGES[1:])
    with pytest.raises(ConfigError, match="no edge input -> lego1 to keep"):
        wiring.keep([("input", "lego1"), ("lego1", "head")])


def test_a_stack_is_named_in_one_place() -> None:
    assert stack_nodes(3) == ("input", "lego1", "lego2", "lego3", "head")


@pytest.mark.parametrize(
    ("nodes", "edges", "message"),
    [
        (("a", ""), (), "non-empty strings"),
        (("a", 3), (), "non-empty strings"),
        (("a", "b", "a"), (), "node 'a' is listed twice"),
        (("a", "b"), (("a", "c", 1.0),), "edge a -> c names unknown node 'c'"),
        (("a", "b"), (("c", "b", 1.0),), "edge c -> b names unknown node 'c'"),
        (("a", "b"), (("a", "b", 1.0), ("a", "b", 2.0)), "edge a -> b is listed twice"),
        (("a -> b", "c"), (), "node 'a -> b' holds ' -> '"),
        (("a", "b"), (("a", "b", True),), "has strength True; it must be a number"),
        (("a", "b"), (("a", "b", math.nan),), "edge a -> b has strength nan; it must be finite"),
        (("a", "b"), (("a", "b", math.inf),), "edge a -> b has strength inf; it must be finite"),
        (("a", "b"), (("a", "b", 10**400),), "edge a -> b has a strength too large"),
        (("a", "b"), (("a", "b", "1"),), "edge a -> b has strength '1'; it must be a number"),
        (("a", "b"), (("a", "b", True),), "must be a number"),
        (("a", "b"), (("a", "b"),), "an edge is \\(source, target, strength\\), got \\('a', 'b'\\)"),
        (("a", "b"), ("abc",), "got 'abc'"),
        (("a", "b"), ((["a"], "b", 1.0),), "an edge joins two named nodes"),
        (("a",), (("a", "a", 1.0),), "a -> a is a cycle"),
    ],
)
def test_what_is_not_a_wiring_is_refused_by_name(nodes: tuple[str, ...], edges: tuple[Edge, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Wiring(nodes, edges)


def test_a_cycle_is_named_from_end_to_end() -> None:
    edges = (("a", "b", 1.0), ("b", "c", 1.0), ("c", "b", 1.0), ("c", "d", 1.0))
    with pytest.raises(ConfigError, match=r"(b -> c -> b|c -> b -> c) is a cycle"):
        Wiring(("a", "b", "c", "d"), edges)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", f'"format": "{FORMAT}"'),
        ('{"format": "other/1", "nodes": [], "edges": []}', f'"format": "{FORMAT}"'),
        (json.dumps({"format": FORMAT, "edges": []}), "must be lists"),
        (json.dumps({"format": FORMAT, "nodes": "ab", "edges": []}), "must be lists"),
        (json.dumps({"format": FORMAT, "nodes": ["a"], "edges": {}}), "must be lists"),
        (json.dumps({"format": FORMAT, "nodes": ["a"], "edges": ["abc"]}), 'got "abc"'),
        (json.dumps({"format": FORMAT, "nodes": ["a"], "edges": [{"source": "a"}]}), "an edge is"),
        (json.dumps({"format": FORMAT, "nodes": [["a"]], "edges": []}), "non-empty strings"),
        (
            json.dumps({"format": FORMAT, "nodes": ["a", "b"], "edges": [Edge("a", "b", math.nan)._asdict()]}),
            "strength nan",
        ),
        (
            json.dumps({"format": FORMAT, "nodes": ["a", "b"], "edges": [Edge("a", "b", None)._asdict()]}),  # type: ignore[arg-type]
            "strength None",
        ),
    ],
)
def test_text_that_is_no_wiring_is_refused_in_one_line(text: str | bytes, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        Wiring.from_json(text)
    assert "\n" not in str(caught.value)


MAPS = {("input", "head"): [0.5, 0.0, -0.25], ("lego1", "head"): [0.0, 1.0]}
MIX = {("input", "head"): [[0.5, 0.0, -0.25], [0.0, 0.0, 1.0]], ("lego1", "head"): [[0.0, 1.0], [2.0, 3.0]]}


@pytest.mark.parametrize(("maps", "granularity", "count"), [(None, "layer", 2), (MAPS, "map", 3), (MIX, "mix", 6)])
def test_edges_are_counted_at_the_finest_granularity_known(maps: Any, granularity: str, count: int) -> None:
    wiring = Wiring(NODES, EDGES, maps)
    assert (wiring.granularity, wiring.count()) == (granularity, count)


@pytest.mark.parametrize("maps", [MAPS, MIX])
def test_map_edges_are_part_of_the_value(maps: Any) -> None:
    wiring = Wiring(NODES, EDGES, maps)
    same = Wiring(NODES, reversed(EDGES), {pair: np.float64(array) for pair, array in reversed(maps.items())})
    assert (wiring, hash(wiring), wiring.to_json(), wiring.map_bytes()) == (
        same,
        hash(same),
        same.to_json(),
        same.map_bytes(),
    )
    assert wiring != Wiring(NODES, EDGES)
    changed = {pair: np.multiply(array, 1 + (pair == ("lego1", "head"))) for pair, array in maps.items()}
    assert wiring != Wiring(NODES, EDGES, changed)
    for again in (
        pickle.loads(pickle.dumps(wiring)),
        copy.deepcopy(wiring),
        Wiring.from_json(wiring.to_json(), wiring.map_bytes()),
    ):
        assert again == wiring
    assert wiring.keep([("lego1", "head")]) == Wiring(NODES, EDGES[1:], {("lego1", "head"): maps["lego1", "head"]})
    with pytest.raises(ValueError, match="read-only"):
        wiring.maps["lego1", "head"][..., 0] = 1


@pytest.mark.parametrize(
    ("maps", "message"),
    [
        ({("input", "head"): [1.0]}, "given for all edges or for none, and lego1 -> head has none"),
        (MAPS | {("input", "lego1"): [1.0]}, "given for all edges or for none, and input -> lego1 is no edge"),
        (MAPS | {("lego1", "head"): [0.0, 0.0]}, "the map edges lego1 -> head are all 0; leave the edge out"),
        (MAPS | {("lego1", "head"): [math.nan, 0.0]}, "the map edges lego1 -> head must be finite"),
        (MAPS | {("lego1", "head"): ["a"]}, "the map edges lego1 -> head must be an array of numbers"),
        (MAPS | {("lego1", "head"): [[1.0]]}, "the map edges lego1 -> head have shape \\(1, 1\\); all must be"),
        (MAPS | {("lego1", "head"): 1.0}, "the map edges lego1 -> head have shape \\(\\); all must be"),
        (MIX | {("lego1", "head"): [[1.0]]}, "lego1 -> head have shape \\(1, 1\\), but another edge has 2 at head"),
    ],
)
def test_map_edges_that_do_not_fit_are_refused(maps: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Wiring(NODES, EDGES, maps)


@pytest.mark.parametrize(
    ("maps", "message"),
    [
        (b"", "its map edges are missing"),
        (Wiring(NODES, EDGES, MAPS).map_bytes(), "its map edges are those of another wiring"),
    ],
)
def test_text_without_its_map_edges_is_refused(maps: bytes, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Wiring.from_json(Wiring(NODES, EDGES, MIX).to_json(), maps)
    with pytest.raises(ConfigError, match="its map edges are those of another wiring"):
        Wiring.from_json(Wiring(NODES, EDGES).to_json(), Wiring(NODES, EDGES, MIX).map_bytes())
