"""Wirings to compare with."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Hashable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import chi2

from plexus.errors import ConfigError
from plexus.graph import Wiring, stack_nodes
from plexus.wiring import prune, random_maps, random_wiring, rebuild, residual_wiring
from tests.nn.nets import legos


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("count", "edges"), [(1, 1), (1, 2), (9, 9), (9, 30), (15, 45), (15, 135)])
def test_as_many_edges_as_asked_and_the_chain_among_them(count: int, edges: int) -> None:
    wiring = random_wiring(count, edges, generator())
    assert wiring.nodes == stack_nodes(count)
    assert len(wiring.edges) == edges
    assert set(pairwise(stack_nodes(count)[1:])) <= wiring.strengths().keys()
    assert all(e.strength == 1 for e in wiring.edges)
    assert not wiring.sources("lego1")


def test_the_generator_decides() -> None:
    assert random_wiring(15, 45, generator(1)) == random_wiring(15, 45, generator(1))
    assert random_wiring(15, 45, generator(1)) != random_wiring(15, 45, generator(2))


def test_every_choice_of_skips_is_equally_likely() -> None:
    draw, rounds = generator(), 3000
    chain = set(pairwise(stack_nodes(3)[1:]))
    seen = Counter(frozenset(random_wiring(3, 5, draw).strengths().keys() - chain) for _ in range(rounds))
    assert len(seen) == 15  # 2 of 6 skips
    expected = rounds / 15
    assert sum((n - expected) ** 2 / expected for n in seen.values()) < 36.1  # chi square, 14 degrees, p = .001


@pytest.mark.parametrize("edges", [2, 10])
def test_too_few_or_too_many_edges_are_refused(edges: int) -> None:
    with pytest.raises(ConfigError, match=f"{edges} edges do not fit 3 legos; 3 to 9 do"):
        random_wiring(3, edges, generator())


def test_the_residual_wiring_skips_every_second_lego() -> None:
    wiring = residual_wiring(5)
    skips = wiring.strengths().keys() - set(pairwise(stack_nodes(5)[1:]))
    assert skips == {("lego1", "lego4"), ("lego3", "head")}
    assert len(residual_wiring(15).edges) == 15 + 7


def test_they_can_be_built() -> None:
    for wiring in (random_wiring(5, 9, generator()), residual_wiring(5)):
        assert rebuild(legos(2), wiring, (3, 8, 8), merge="sum")(torch.ones(2, 3, 8, 8)).shape[:2] == (2, 4)


def all_maps(legos: int, kind: str, maps: int = 3, groups: int = 2) -> Wiring:
    """Every map edge of a stack of legos, of an input of two maps and legos of `maps`."""
    nodes = stack_nodes(legos)
    size = {name: 2 if name == "input" else maps for name in nodes}
    arrays = {
        (s, t): np.ones((groups, size[s]) if kind == "mix" else size[s])
        for j, t in enumerate(nodes)
        for s in nodes[:j]
        if j > 1
    }
    return Wiring(nodes, [(*pair, 1.0) for pair in arrays], arrays)


def counts(wiring: Wiring, same: str) -> Counter[Hashable]:
    """How many map edges there are in each stratum."""
    found: Counter[Hashable] = Counter()
    for (source, target), array in wiring.maps.items():
        for row, _ in np.argwhere(np.atleast_2d(array)):
            found[
                {"count": (), "fan_in": (target, row), "block": (source, target)}.get(same, (source, target, row))
            ] += 1
    return found


@pytest.mark.parametrize("kind", ["map", "mix"])
def test_every_group_reads_equally_many_random_maps(kind: str) -> None:
    whole = all_maps(4, kind)
    for fan_in in (1, 4, 6, 40):
        drawn, before = random_maps(whole, generator(), fan_in=fan_in), counts(whole, "fan_in")
        assert counts(drawn, "fan_in") == {group: min(fan_in, n) for group, n in before.items()}
        assert all(((array == 0) | (array == 1)).all() for array in drawn.maps.values())
        assert all(e.strength == 1 for e in drawn.edges)
    assert random_maps(whole, generator(), fan_in=40) == whole


@pytest.mark.parametrize("same", ["count", "fan_in", "block", "profile"])
@pytest.mark.parametrize("kind", ["map", "mix"])
def test_a_random_wiring_like_another_has_its_counts(kind: str, same: Any) -> None:
    whole = all_maps(4, kind)
    draw = random.Random(0)
    # some layer is lost, and the profile is uneven
    like = prune(map_wiring_like(whole, draw), keep=0.4)
    drawn = random_maps(whole, generator(), like=like, same=same)
    assert counts(drawn, same) == counts(like, same)
    assert drawn == random_maps(whole, generator(), like=like, same=same)
    assert drawn != random_maps(whole, generator(1), like=like, same=same)


def map_wiring_like(whole: Wiring, draw: random.Random) -> Wiring:
    """The same map edges with strengths drawn at random, those of the second lego the weakest."""
    maps = {pair: np.vectorize(lambda _: draw.random() + 1)(array) for pair, array in whole.maps.items()}
    return Wiring(whole.nodes, whole.edges, {(s, t): a / (9 if s == "lego2" else 1) for (s, t), a in maps.items()})


@pytest.mark.parametrize(
    ("same", "choices"),
    [
        # of five maps before the head, in two groups, one reads two and the other one; input 2 maps, lego1 3
        ("fan_in", 10 * 5),
        ("profile", 2 * 3 * 3),  # a reads one of the input's and one of lego1's, b one of lego1's
        ("block", 4 * 15),  # one of 2 x 2 map edges, two of 2 x 3
        ("count", 120),  # three of ten
    ],
)
def test_every_choice_of_maps_is_equally_likely(same: Any, choices: int) -> None:
    whole, draw = all_maps(1, "mix"), generator()
    like = Wiring(
        whole.nodes, whole.edges, {("input", "head"): [[1, 0], [0, 0]], ("lego1", "head"): [[0, 1, 0], [1, 0, 0]]}
    )
    rounds = 30 * choices
    seen = Counter(random_maps(whole, draw, like=like, same=same).map_bytes() for _ in range(rounds))
    assert len(seen) == choices
    statistic = sum((n - 30) ** 2 / 30 for n in seen.values())
    assert chi2.sf(statistic, choices - 1) > 0.001


def test_maps_drawn_for_a_fan_in_are_equally_likely() -> None:
    whole, draw = all_maps(1, "map"), generator()
    seen = Counter(random_maps(whole, draw, fan_in=2).map_bytes() for _ in range(1000))
    assert len(seen) == 10  # two of five
    assert chi2.sf(sum((n - 100) ** 2 / 100 for n in seen.values()), 9) > 0.001


@pytest.mark.parametrize(
    ("whole", "options", "message"),
    [
        (residual_wiring(3), {"fan_in": 1}, "has no map edges; random_wiring draws edges between layers"),
        (all_maps(2, "mix"), {}, "give either fan_in or like"),
        (all_maps(2, "mix"), {"fan_in": 1, "like": all_maps(2, "mix")}, "give either fan_in or like"),
        (all_maps(2, "mix"), {"fan_in": 0}, "fan_in=0 must be 1 or more"),
        (all_maps(2, "mix"), {"like": all_maps(2, "map")}, "like is a wiring at map level, the whole at mix"),
        (all_maps(2, "mix"), {"like": all_maps(3, "mix")}, "like has the node 'lego3', which the whole lacks"),
        (all_maps(2, "mix"), {"like": all_maps(2, "mix", maps=4)}, "has no room for; give the supernet's wiring"),
        (all_maps(2, "mix"), {"like": all_maps(2, "mix"), "same": "size"}, "strata 'size' are unknown; choose from"),
    ],
)
def test_what_cannot_be_drawn_is_told(whole: Wiring, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        random_maps(whole, generator(), **options)
