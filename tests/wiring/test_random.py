"""Wirings to compare with."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
import torch

from plexus.errors import ConfigError
from plexus.graph import stack_nodes
from plexus.wiring import random_wiring, rebuild, residual_wiring
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
