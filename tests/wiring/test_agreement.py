"""Agreement of wirings is Cohen's kappa and Spearman's correlation, with intervals over edges."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from sklearn.metrics import cohen_kappa_score

from plexus.errors import ConfigError
from plexus.graph import Wiring, stack_nodes
from plexus.wiring import agreement, prune, random_maps


def complete(legos: int) -> list[tuple[str, str]]:
    nodes = stack_nodes(legos)
    return [(source, target) for j, target in enumerate(nodes[2:], 2) for source in nodes[:j]]


def drawn(legos: int, share: float, seed: int) -> Wiring:
    """Edges there or not by chance, with any strengths."""
    rng = np.random.default_rng(seed)
    kept = [(s, t, float(rng.random())) for s, t in complete(legos) if rng.random() < share]
    return Wiring(stack_nodes(legos), kept)


def test_a_worked_example() -> None:
    # possible: input>lego2 lego1>lego2 input>head lego1>head lego2>head; both have 3 of 5, and agree on 3
    first = Wiring(stack_nodes(2), [("lego1", "lego2", 3.0), ("lego2", "head", 2.0), ("input", "head", 1.0)])
    second = Wiring(stack_nodes(2), [("lego1", "lego2", 5.0), ("lego2", "head", 1.0), ("lego1", "head", 2.0)])
    got = agreement([first, second])
    assert (got.edges, got.wirings) == (5, 2)
    chance = 0.6 * 0.6 + 0.4 * 0.4
    assert got.kappa == pytest.approx((0.6 - chance) / (1 - chance))
    # strengths 0 3 1 0 2 against 0 5 0 2 1; ranks 1.5 5 3 1.5 4 against 1.5 5 1.5 4 3
    a, b = np.array([1.5, 5, 3, 1.5, 4]) - 3, np.array([1.5, 5, 1.5, 4, 3]) - 3
    assert got.spearman == pytest.approx((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))


def test_both_measures_are_the_textbooks_averaged_over_pairs() -> None:
    wirings = [drawn(6, share, seed) for seed, share in enumerate((0.3, 0.5, 0.8))]
    pairs = complete(6)
    there = [[p in w.strengths() for p in pairs] for w in wirings]
    strength = [[w.strengths().get(p, 0.0) for p in pairs] for w in wirings]
    got = agreement(wirings)
    both = list(combinations(range(3), 2))
    assert got.kappa == pytest.approx(np.mean([cohen_kappa_score(there[a], there[b]) for a, b in both]))
    assert got.spearman == pytest.approx(np.mean([spearmanr(strength[a], strength[b])[0] for a, b in both]))
    assert (got.edges, got.wirings) == (len(pairs), 3)


def test_equal_wirings_agree_wholly() -> None:
    wiring = drawn(6, 0.4, 0)
    got = agreement([wiring, wiring, wiring])
    assert (got.kappa, got.kappa_ci) == (1, (1, 1))
    assert (got.spearman, *got.spearman_ci) == pytest.approx((1, 1, 1))


def test_independent_wirings_agree_as_by_chance() -> None:
    got = agreement([drawn(15, 0.3, seed) for seed in range(20)], resamples=200)
    assert abs(got.kappa) < 0.03
    assert abs(got.spearman) < 0.03
    assert got.kappa_ci[0] < 0 < got.kappa_ci[1]
    assert got.spearman_ci[0] < 0 < got.spearman_ci[1]


def test_opposite_wirings_agree_less_than_by_chance() -> None:
    pairs = complete(4)
    halves = [Wiring(stack_nodes(4), [(s, t, 1.0) for s, t in pairs[i::2]]) for i in (0, 1)]
    assert agreement(halves).kappa < -0.9


def test_intervals_hold_the_estimate_shrink_with_edges_and_follow_the_seed() -> None:
    few, many = ([drawn(legos, 0.5, seed) for seed in range(3)] for legos in (4, 15))
    for wirings in (few, many):
        got = agreement(wirings)
        assert got.kappa_ci[0] <= got.kappa <= got.kappa_ci[1]
        assert got.spearman_ci[0] <= got.spearman <= got.spearman_ci[1]
    assert np.ptp(agreement(many).kappa_ci) < np.ptp(agreement(few).kappa_ci)
    assert agreement(few) == agreement(few)
    assert agreement(few, seed=1).kappa_ci != agreement(few).kappa_ci
    assert agreement(few, seed=1).kappa == agreement(few).kappa


def test_full_and_flat_wirings_have_a_defined_agreement() -> None:
    full = Wiring(stack_nodes(3), [(s, t, 1.0) for s, t in complete(3)])
    ranked = Wiring(stack_nodes(3), [(s, t, float(i)) for i, (s, t) in enumerate(complete(3))])
    assert (agreement([full, full]).kappa, agreement([full, full]).spearman) == (1, 1)
    assert (agreement([full, ranked]).kappa, agreement([full, ranked]).spearman) == (1, 0)


def test_legos_that_pruning_lost_are_known_by_their_numbers() -> None:
    edges = [("input", "lego2", 0.9), ("lego1", "lego2", 0.1), ("lego2", "lego3", 0.9), ("lego3", "head", 0.9)]
    pruned = prune(Wiring(stack_nodes(3), edges), threshold=0.5)
    assert "lego1" not in pruned.nodes
    got = agreement([pruned, pruned])
    assert (got.kappa, got.edges) == (1, len(complete(3)))
    assert agreement([pruned, Wiring(stack_nodes(3), edges)]).kappa < 1


def all_maps(legos: int, kind: str) -> Wiring:
    """Every map edge of legos of 12 maps, in four groups."""
    pairs = complete(legos)
    size = {"input": 3}
    maps = {(s, t): np.ones((4, size.get(s, 12)) if kind == "mix" else size.get(s, 12)) for s, t in pairs}
    return Wiring(stack_nodes(legos), [(*pair, 1.0) for pair in pairs], maps)


def drawn_maps(share: float, seed: int, kind: str = "mix") -> Wiring:
    """Map edges there or not by chance, with any strengths."""
    rng, whole = np.random.default_rng(seed), all_maps(3, kind)
    maps = {pair: rng.random(array.shape) * (rng.random(array.shape) < share) for pair, array in whole.maps.items()}
    maps = {pair: array for pair, array in maps.items() if array.any()}
    return Wiring(whole.nodes, [(*pair, 1.0) for pair in maps], maps)


@pytest.mark.parametrize("kind", ["map", "mix"])
def test_of_map_edges_both_measures_are_the_textbooks(kind: str) -> None:
    wirings = [drawn_maps(share, seed, kind) for seed, share in enumerate((0.3, 0.5, 0.8))]
    shapes = {pair: array.shape for pair, array in all_maps(3, kind).maps.items()}
    strength = [np.concatenate([w.maps.get(p, np.zeros(n)).ravel() for p, n in shapes.items()]) for w in wirings]
    got = agreement(wirings, chance="count", resamples=20)
    both = list(combinations(range(3), 2))
    assert got.kappa == pytest.approx(np.mean([cohen_kappa_score(strength[a] != 0, strength[b] != 0) for a, b in both]))
    assert got.spearman == pytest.approx(np.mean([spearmanr(strength[a], strength[b])[0] for a, b in both]))
    assert got.edges == len(strength[0])


def test_chance_within_strata_is_that_of_their_densities() -> None:
    # of four maps the first group reads three in both wirings, two of them the same; the second one, another
    nodes, pair = ("input", "lego1", "head"), ("lego1", "head")
    first = Wiring(nodes, [(*pair, 1.0)], {pair: [[1, 1, 1, 0], [1, 0, 0, 0]]})
    second = Wiring(nodes, [(*pair, 1.0)], {pair: [[0, 1, 1, 1], [0, 1, 0, 0]]})
    observed = 4 / 8
    by_count = 0.5 * 0.5 + 0.5 * 0.5
    by_group = 0.75**2 + 0.25**2  # of either
    assert agreement([first, second], chance="count", resamples=9).kappa == pytest.approx(
        (observed - by_count) / (1 - by_count)
    )
    for chance in ("fan_in", "profile", None):
        got = agreement([first, second], chance=chance, resamples=9)
        assert got.kappa == pytest.approx((observed - by_group) / (1 - by_group))


@pytest.mark.parametrize("chance", ["count", "fan_in", "block", "profile"])
def test_equal_map_edges_agree_wholly_under_any_chance(chance: Any) -> None:
    wiring = drawn_maps(0.4, 0)
    got = agreement([wiring, wiring, wiring], chance=chance, resamples=50)
    assert (got.kappa, got.kappa_ci) == (1, (1, 1))
    assert got.spearman == pytest.approx(1)


def test_random_maps_of_equal_fan_in_agree_as_by_chance_only_if_chance_knows_it() -> None:
    whole, draw = all_maps(8, "mix"), torch.Generator().manual_seed(0)
    wirings = [random_maps(whole, draw, fan_in=8) for _ in range(12)]
    got = agreement(wirings, resamples=50)
    assert abs(got.kappa) < 0.01
    assert got.kappa_ci[0] < 0.01
    assert agreement(wirings, chance="count", resamples=50).kappa_ci[0] > 0.05


@pytest.mark.parametrize("same", ["block", "profile"])
def test_random_maps_of_one_profile_agree_as_by_chance_only_if_chance_knows_it(same: Any) -> None:
    whole, draw = all_maps(6, "mix"), torch.Generator().manual_seed(0)
    # what lies near is read more than what lies far
    reach = {(s, t): stack_nodes(6).index(t) - stack_nodes(6).index(s) for s, t in whole.maps}
    maps = {p: a * (np.arange(a.size).reshape(a.shape) % (reach[p] + 1) == 0) for p, a in whole.maps.items()}
    like = Wiring(whole.nodes, whole.edges, maps)
    wirings = [random_maps(whole, draw, like=like, same=same) for _ in range(12)]
    assert abs(agreement(wirings, chance=same, resamples=9).kappa) < 0.01
    assert agreement(wirings, chance="fan_in", resamples=9).kappa > 0.05


def test_layers_that_no_wiring_reads_are_not_among_the_possible_map_edges() -> None:
    pair = ("lego2", "head")
    lost = Wiring(("input", "lego2", "head"), [(*pair, 1.0)], {pair: [0.0, 1.0, 2.0]})
    assert agreement([lost, lost], resamples=9).edges == 3


@pytest.mark.parametrize(
    ("wirings", "message"),
    [
        ([drawn(3, 0.5, 0)], "give at least two wirings, got 1"),
        ([Wiring(("input", "head"), ())] * 2, "no possible edges|edges"),
        ([Wiring(("input", "a", "head"), ()), Wiring(("input", "b", "head"), ())], "no wiring has all of a, b"),
        (
            [Wiring(("input", "a", "b", "head"), ()), Wiring(("input", "b", "a", "head"), [("b", "a", 1.0)])],
            "edge b -> a does not fit the order input, a, b, head",
        ),
        ([drawn(3, 0.5, 0), Wiring(stack_nodes(3), [("input", "lego1", 1.0)])], "edge input -> lego1 does not fit"),
        ([drawn(3, 0.5, 0), drawn_maps(0.5, 0)], "wirings of one granularity can be compared, got layer, mix"),
        (
            [Wiring(("input", "a", "head"), [("a", "head", 1.0)], {("a", "head"): np.ones(n)}) for n in (2, 3)],
            "a has 2 maps in one wiring, 3 in another",
        ),
    ],
)
def test_what_cannot_be_compared_is_told(wirings: list[Wiring], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        agreement(wirings)
