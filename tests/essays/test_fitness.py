"""Where evolution ends on 1/x and on -x."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plexus.essays import EssayError
from plexus.essays.fitness import compare, maximise, negation, reciprocal


def test_the_reciprocal_leads_to_zero_and_the_negation_to_the_minimum() -> None:
    ends = compare(5)
    assert [len(found) for found in ends.values()] == [5, 5]
    assert all(0 <= end.x < 1e-6 for end in ends["1/x"])
    assert all(end.x == pytest.approx(-5, abs=1e-9) for end in ends["-x"])


@settings(max_examples=20, deadline=None)
@given(st.floats(-4.9, 4.9), st.integers(0, 1000))
def test_the_negations_maximum_is_the_minimum(place: float, seed: int) -> None:
    end = maximise(negation(lambda x: (x - place) ** 2), seed=seed)
    assert end.x == pytest.approx(place, abs=1e-4)
    assert end.fitness == -((end.x - place) ** 2)


@given(st.floats(-5, 5), st.floats(-5, 5))
def test_the_negation_turns_the_order_around(a: float, b: float) -> None:
    f = negation(lambda x: x)
    assert (f(a) < f(b)) == (a > b)


def test_the_reciprocal_does_not() -> None:
    assert reciprocal(-1) < reciprocal(1)
    assert reciprocal(0) == math.inf
    assert reciprocal(-1e-308) == -math.inf


def test_a_search_is_its_seeds() -> None:
    assert maximise(math.sin, seed=3) == maximise(math.sin, seed=3)


def test_values_that_are_no_numbers_do_not_win() -> None:
    end = maximise(lambda x: math.nan if x > 0 else x)
    assert end.x == pytest.approx(0, abs=1e-3)
    assert end.x <= 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"low": 1, "high": 1}, "lower one first"),
        ({"low": -math.inf}, "two finite ends"),
        ({"seed": -1}, "seed must be 0 or more"),
        ({"generations": 0}, "generations go from 1"),
    ],
)
def test_bad_options_are_refused(options: dict[str, int], words: str) -> None:
    with pytest.raises(EssayError, match=words):
        maximise(math.sin, **options)


def test_the_number_of_seeds_is_checked() -> None:
    with pytest.raises(EssayError, match="seeds must be 1 to 1000"):
        compare(0)
