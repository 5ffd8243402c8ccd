"""The exact optimum of shields and warriors, against trying everything."""

from __future__ import annotations

import time
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plexus.essays import EssayError
from plexus.essays.shields import best, losses


def everything(g: Fraction, w: Fraction, m: Fraction) -> tuple[int, tuple[tuple[int, int], ...]]:
    tried = [(x, y) for x in range(1, int(m // g) + 1) for y in range(1, int((m - x * g) // w) + 1)]
    most = max((x * y for x, y in tried), default=0)
    return most, tuple((x, y) for x, y in tried if x * y == most)


def test_every_small_case_is_that_of_trying_everything() -> None:
    for g in range(1, 9):
        for w in range(1, 9):
            for m in range(40):
                army = best(g, w, m)
                assert (army.damage, army.pairs) == everything(Fraction(g), Fraction(w), Fraction(m))


@given(*[st.fractions(Fraction(1, 7), 9, max_denominator=7)] * 2, st.fractions(0, 40, max_denominator=9))
def test_fractions_too(g: Fraction, w: Fraction, m: Fraction) -> None:
    army = best(g, w, m)
    assert (army.damage, army.pairs) == everything(g, w, m)
    assert best(str(g), str(w), str(m)) == army
    x, y = army.rule
    assert x == m / (2 * g) // 1
    assert x * g + y * w <= m < x * g + (y + 1) * w
    assert army.rule_damage == x * y <= army.damage


@given(*[st.integers(1, 10**18)] * 2, st.integers(0, 10**18), st.integers(-300, 300))
def test_no_neighbour_of_the_parabolas_peak_does_better(g: int, w: int, m: int, off: int) -> None:
    army = best(g, w, m)
    mirrored = best(w, g, m)
    assert mirrored.damage == army.damage
    assert mirrored.pairs == tuple(sorted((y, x) for x, y in army.pairs))
    assert all(x * g + y * w <= m and x * y == army.damage for x, y in army.pairs)
    assert 4 * g * w * army.damage <= m * m
    for x in (m // (2 * g) + off, m // (2 * g) + off * 1000):
        if x > 0 and m >= x * g:
            assert x * ((m - x * g) // w) <= army.damage


@pytest.mark.parametrize(
    ("g", "w"),
    [(10**6 + 3, 10**6), (10**6, 10**6 - 1), (10**9, 1), (1, 10**9), (1, 1), (7, 5), (10**18, 1), (1414213, 999983)],
)
def test_the_largest_sum_takes_a_moment(g: int, w: int) -> None:
    start = time.process_time()
    army = best(g, w, 10**18 - 1)
    assert time.process_time() - start < 5
    assert army.pairs or g + w > 10**18 - 1


def test_the_notes_example_has_two_optima() -> None:
    assert best(1, 1, 5).pairs == ((2, 3), (3, 2))


def test_the_smallest_losses_are_losses_and_none_is_smaller() -> None:
    found = losses(20)
    keys = {(m, g, w) for g, w, m, _ in found}
    assert (3, 2, 1) in keys
    last = max(keys)
    for m in range(1, last[0] + 1):
        for g in range(1, m):
            for w in range(1, m - g + 1):
                if (m, g, w) <= last:
                    army = best(g, w, m)
                    assert ((m, g, w) in keys) == (army.rule_damage < army.damage)
    assert all(army.rule_damage > 0 for *_, army in losses(5, both=True))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((0, 1, 5), "shield costs 0"),
        ((1, "0", 5), "warrior costs 0"),
        ((1, 1, -5), "money must not be negative"),
        ((1.5, 1, 5), "shield 1.5 is not exact"),
        (("x", 1, 5), "shield 'x' is not a number"),
        (("1/0", 1, 5), "shield '1/0' is not a number"),
        (("1e999999", 1, 5), "not a number that is taken"),
        ((1, 1, 10**18 + 1), "out of range"),
        ((True, 1, 5), "not exact"),
        ((None, 1, 5), "not a number"),
        (("nan", 1, 5), "not a number"),
        ((f"1/{10**18}", f"1/{10**18 - 1}", 10**18), "too large a common denominator"),
    ],
)
def test_bad_numbers_are_refused_in_a_line(arguments: tuple[int, int, int], words: str) -> None:
    with pytest.raises(EssayError, match=words) as caught:
        best(*arguments)
    assert "\n" not in str(caught.value)


def test_the_number_of_cases_is_checked() -> None:
    with pytest.raises(EssayError, match="1 to 1000"):
        losses(0)
