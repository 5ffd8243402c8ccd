"""Pruning cuts single map edges, exactly as many as asked, and no group of maps is left without an input."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plexus.errors import ConfigError
from plexus.graph import Wiring, stack_nodes
from plexus.wiring import budget_range, derive, importance, multiply_adds, parameters, prune, prune_to, steps
from tests.wiring.nets import classifier, map_wiring, mix

Key = tuple[str, str, int, int]
KINDS = ("map", "mix")


def rows(wiring: Wiring) -> dict[Key, float]:
    """Every map edge that is there: (source, target, group, map) -> strength."""
    return {
        (s, t, int(group), int(c)): float(np.atleast_2d(array)[group, c])
        for (s, t), array in wiring.maps.items()
        for group, c in np.argwhere(np.atleast_2d(array))
    }


def fan_ins(wiring: Wiring) -> dict[tuple[str, int], int]:
    """(target, group) -> how many maps it reads."""
    count: dict[tuple[str, int], int] = {}
    for _, target, group, _ in rows(wiring):
        count[target, group] = count.get((target, group), 0) + 1
    return count


def one_by_one(wiring: Wiring) -> Iterator[dict[Key, float]]:
    """The definition: the weakest goes if its group has another; then, layer by layer, what nobody reads."""
    order, left = wiring.nodes.index, rows(wiring)

    def tidy() -> None:
        while idle := {t for _, t, _, _ in left} - {s for s, _, _, _ in left} - {"head"}:
            for key in [k for k in left if k[1] in idle]:
                del left[key]

    tidy()
    yield dict(left)
    for key in sorted(left, key=lambda k: (left[k], order(k[0]), order(k[1]), k[2], k[3])):
        if key in left and sum(k[1:3] == key[1:3] for k in left) > 1:
            del left[key]
            tidy()
            yield dict(left)


@st.composite
def wirings(draw: st.DrawFn, share: float | None = None) -> Wiring:
    """Map edges over a few legos, ties and strengths below 0 included."""
    values = draw(st.lists(st.sampled_from([0.25, 0.5, 1.0]) | st.floats(-4, 4, width=32), min_size=5, max_size=40))
    pool = iter([v or 0.125 for v in values] * 200)
    drawn = st.sampled_from([0.2, 0.6, 1.0])
    kind = draw(st.sampled_from(KINDS))
    whole = draw(drawn) if share is None else share
    return map_wiring(draw(st.integers(1, 4)), kind, lambda: next(pool), share=whole, seed=draw(st.integers(0, 99)))


@given(wirings())
def test_the_way_down_is_what_cutting_one_by_one_gives(wiring: Wiring) -> None:
    for got, expected in zip(steps(wiring), one_by_one(wiring), strict=True):
        assert rows(got) == expected
        assert set(got.nodes) == {"input", "head"} | {name for key in expected for name in key[:2]}
        assert got.strengths().items() <= wiring.strengths().items()


@given(wirings(), st.data())
def test_a_number_of_edges_is_met_from_below_by_the_largest_wiring(wiring: Wiring, data: st.DataObject) -> None:
    way = [w.count() for w in steps(wiring)]
    most = data.draw(st.integers(way[-1], wiring.count() + 1))
    assert prune(wiring, edges=most).count() == max(n for n in way if n <= most)
    with pytest.raises(ConfigError, match=f"edges={way[-1] - 1} cannot be met, the smallest wiring has {way[-1]}$"):
        prune(wiring, edges=way[-1] - 1)


@given(wirings(), st.floats(0, 1), st.floats(0, 1))
def test_less_keeps_a_subset(wiring: Wiring, one: float, other: float) -> None:
    few, many = (rows(prune(wiring, keep=keep)) for keep in sorted((one, other)))
    assert few.items() <= many.items()
    few, many = (rows(prune(wiring, threshold=8 * limit - 4)) for limit in sorted((one, other), reverse=True))
    assert few.items() <= many.items()
    for lower, higher in pairwise(range(1, 14)):
        assert rows(prune(wiring, fan_in=lower)).items() <= rows(prune(wiring, fan_in=higher)).items()


@given(wirings(share=1.0))
def test_nothing_is_cut_where_nothing_is_asked(wiring: Wiring) -> None:
    n = wiring.count()
    for same in ({"keep": 1.0}, {"threshold": -math.inf}, {"edges": n}, {"edges": 2 * n}, {"fan_in": n}):
        assert prune(wiring, **same) == wiring


@given(wirings(), st.integers(1, 12))
def test_every_group_reads_equally_many_maps_its_strongest(wiring: Wiring, fan_in: int) -> None:
    pruned, before = prune(wiring, fan_in=fan_in), fan_ins(wiring)
    assert fan_ins(pruned) == {g: min(fan_in, before[g]) for g in before if g[0] in pruned.nodes}
    kept, strengths = rows(pruned), rows(wiring)
    for (_, target, group, _), strength in kept.items():
        lost = [v for k, v in strengths.items() if k[1:3] == (target, group) and k not in kept]
        assert max(lost, default=-math.inf) <= strength


@given(wirings(), st.floats(-4, 4))
def test_a_threshold_cuts_all_below_it_but_the_strongest_of_a_group(wiring: Wiring, threshold: float) -> None:
    pruned = prune(wiring, threshold=threshold)
    kept, inputs = rows(pruned), fan_ins(pruned)
    for key, strength in rows(wiring).items():
        if key in kept:
            assert strength >= threshold or inputs[key[1:3]] == 1
        elif {key[0], key[1]} <= set(pruned.nodes):
            assert strength < threshold


@pytest.mark.parametrize("kind", KINDS)
def test_a_layer_that_nobody_reads_goes_with_all_its_inputs(kind: str) -> None:
    array = np.array if kind == "map" else lambda row: np.array([row])
    nodes = stack_nodes(3)
    maps = {
        ("lego1", "lego2"): array([3.0, 3.0]),
        ("lego2", "lego3"): array([2.0, 2.0]),
        ("lego1", "head"): array([1.0, 0.0]),
        ("lego3", "head"): array([0.5, 0.25]),
    }
    wiring = Wiring(nodes, [(*pair, 1.0) for pair in maps], maps)
    assert [w.count() for w in steps(wiring)] == [7, 6, 1]
    assert prune(wiring, edges=5) == Wiring(
        ("input", "lego1", "head"), [("lego1", "head", 1.0)], {("lego1", "head"): maps["lego1", "head"]}
    )


def test_a_hundred_thousand_map_edges_are_cut_to_the_exact_number() -> None:
    rng, nodes = np.random.default_rng(0), stack_nodes(15)
    pairs = [(s, t) for j, t in enumerate(nodes[2:], 2) for s in nodes[:j]]
    maps = {(s, t): rng.random((28, 3 if s == "input" else 28), np.float32) + 0.1 for s, t in pairs}
    wiring = Wiring(nodes, [(*pair, 1.0) for pair in pairs], maps)
    assert wiring.count() == 28 * 15 * (3 + 28 * 8)
    assert prune(wiring, edges=9_999).count() == 9_999
    assert prune(wiring, keep=0.25).count() == wiring.count() // 4
    assert prune(wiring, fan_in=7).count() == 15 * 28 * 7
    counts = [w.count() for w in steps(wiring, points=11)]
    assert len(counts) == 11
    assert (counts[0], counts[-1]) == (wiring.count(), prune(wiring, keep=0).count())
    assert next(len(w.maps) for w in steps(wiring, by="fan_in", points=2)) == len(pairs)


@given(wirings(), st.sampled_from(["edges", "fan_in"]), st.data())
def test_any_cost_is_met_by_the_largest_wiring_on_the_way(wiring: Wiring, by: str, data: st.DataObject) -> None:
    prices = {key: i % 5 for i, key in enumerate(sorted(rows(wiring)))}
    measured = []

    def cost(smaller: Wiring) -> float:
        measured.append(smaller)
        return 0.5 * sum(prices[key] for key in rows(smaller))

    way = list(steps(wiring, by=by))  # type: ignore[arg-type]
    costs = [cost(w) for w in way]
    assert costs == sorted(costs, reverse=True)
    most = data.draw(st.sampled_from(costs))
    measured.clear()
    assert prune_to(wiring, cost, most, by=by) == next(w for w, c in zip(way, costs, strict=True) if c <= most)  # type: ignore[arg-type]
    assert len(measured) <= math.log2(len(way)) + 1
    with pytest.raises(ConfigError, match=f"cannot be met, the smallest wiring needs {costs[-1]}$"):
        prune_to(wiring, cost, costs[-1] - 0.5, by=by)  # type: ignore[arg-type]


@given(wirings())
def test_the_ends_of_budgets_are_those_of_the_way(wiring: Wiring) -> None:
    way, ends = list(steps(wiring)), budget_range(wiring)
    assert ends.edges == (way[-1].count(), way[0].count())
    assert prune(wiring, fan_in=ends.fan_in[1]) == way[0]
    if ends.fan_in[1] > 1:
        assert prune(wiring, fan_in=ends.fan_in[1] - 1).count() < wiring.count()
    assert prune(wiring, fan_in=ends.fan_in[0]) == prune(wiring, keep=0)


@pytest.mark.parametrize("by", ["edges", "fan_in"])
@pytest.mark.parametrize("kind", ["concat", "mix"])
def test_parameters_and_multiply_adds_are_met_by_cutting_maps(kind: str, by: Any) -> None:
    net = mix() if kind == "mix" else classifier(merge="concat")
    wiring = importance(net, maps=True)
    ends, way = budget_range(wiring, net), list(steps(wiring, by=by))

    def cost(name: str, smaller: Wiring) -> int:
        plain = derive(net, smaller)
        return parameters(plain) if name == "max_params" else multiply_adds(plain, net.body.in_shape)

    for name, pair in (("max_params", ends.parameters), ("max_macs", ends.macs)):
        assert pair == (cost(name, way[-1]), cost(name, way[0]))
        assert pair[0] < pair[1]
        assert prune(wiring, **{name: pair[1]}, net=net, by=by) == way[0]  # type: ignore[arg-type]
        most = round(0.4 * pair[0] + 0.6 * pair[1])
        pruned = prune(wiring, **{name: most}, net=net, by=by)  # type: ignore[arg-type]
        assert cost(name, pruned) <= most < cost(name, way[way.index(pruned) - 1])


def test_the_ends_of_budgets_are_counted_on_the_derived_nets() -> None:
    net = classifier(merge="concat")
    wiring = net.body.wiring()
    ends = budget_range(wiring, net)
    assert ends.parameters is not None
    assert ends.macs is not None
    for name, (least, most) in (("max_params", ends.parameters), ("max_macs", ends.macs)):
        assert prune(wiring, net=net, **{name: most}) == wiring  # type: ignore[arg-type]
        assert prune(wiring, net=net, **{name: least}).count() <= prune(wiring, net=net, **{name: most - 1}).count()  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match=f"{name}={least - 1} cannot be met, the smallest wiring needs {least};"):
            prune(wiring, net=net, **{name: least - 1})  # type: ignore[arg-type]
