"""Agreement of wirings is Cohen's kappa and Spearman's correlation, with intervals over edges."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import cohen_kappa_score

from plexus.errors import ConfigError
from plexus.graph import Wiring, stack_nodes
from plexus.wiring import agreement, prune


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
    ],
)
def test_what_cannot_be_compared_is_told(wirings: list[Wiring], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        agreement(wirings)
