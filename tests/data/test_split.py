"""Shares of classes are kept, and every choice follows from the seed."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plexus.data._split import Stage, apportion, choose, require
from plexus.errors import DataError


@st.composite
def counts_and_bounds(draw: st.DrawFn) -> tuple[list[int], int, int, int]:
    low, spare = draw(st.integers(0, 3)), draw(st.integers(0, 3))
    counts = draw(st.lists(st.integers(low + spare + (low + spare == 0), 200), min_size=1, max_size=12))
    return counts, draw(st.integers(0, sum(counts) + 5)), low, spare


@given(counts_and_bounds())
def test_apportion_meets_the_total_within_bounds(case: tuple[list[int], int, int, int]) -> None:
    counts, total, low, spare = case
    share = apportion(counts, total, low=low, spare=spare)
    lowest, highest = len(counts) * low, sum(counts) - len(counts) * spare
    assert share.sum() == min(max(total, lowest), highest)
    assert all(low <= k <= n - spare for k, n in zip(share, counts, strict=True))


@given(st.lists(st.integers(1, 500), min_size=1, max_size=12), st.floats(0, 1))
def test_apportion_rounds_every_share_where_no_bound_bites(counts: list[int], portion: float) -> None:
    total = round(portion * sum(counts))
    ideal = total * np.array(counts) / sum(counts)
    assert np.abs(apportion(counts, total, low=0, spare=0) - ideal).max() < 1


def test_apportion_of_exact_shares() -> None:
    assert apportion([50, 30, 20], 10, low=0, spare=0).tolist() == [5, 3, 2]
    assert apportion([5, 5, 5], 4, low=0, spare=0).tolist() == [2, 1, 1]  # a tie goes to the first
    assert apportion([98, 1, 1], 10, low=1, spare=0).tolist() == [8, 1, 1]
    assert apportion([4, 100], 100, low=1, spare=1).tolist() == [3, 97]


def test_apportion_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="no room"):
        apportion([3, 1], 2, low=1, spare=1)


LABELS = np.array([0, 1, 1, 2, 2, 2, 0, 1, 2, 2] * 6)


def test_choose_keeps_shares_and_order() -> None:
    chosen = choose(LABELS, 20, 3, 0, Stage.TEST, low=1, spare=1)
    assert np.bincount(LABELS[chosen]).tolist() == [4, 6, 10]
    assert (np.diff(chosen) > 0).all()


def test_choose_follows_from_seed_and_stage() -> None:
    def chosen(seed: int, stage: Stage) -> list[int]:
        return choose(LABELS, 20, 3, seed, stage, low=1, spare=1).tolist()

    assert chosen(5, Stage.VAL) == chosen(5, Stage.VAL)
    assert chosen(5, Stage.VAL) != chosen(6, Stage.VAL)
    assert chosen(5, Stage.VAL) != chosen(5, Stage.TEST)


def test_choose_is_fair() -> None:
    times = np.zeros(len(LABELS))
    for seed in range(600):
        times[choose(LABELS, 20, 3, seed, Stage.VAL, low=1, spare=1)] += 1
    assert np.abs(times / 600 - 1 / 3).max() < 0.1  # five standard deviations


@pytest.mark.parametrize(
    ("labels", "needed", "message"),
    [
        ([0, 0, 0, 1], ["train", "val"], r"class 'b' has 1 usable images of the 2 needed \(one for train, val\)"),
        ([0, 0, 0], ["train"], r"class 'b' has 0 usable images of the 1 needed \(one for train\)"),
        (
            [0, 0, 1, 1],
            ["train", "val", "test"],
            r"class 'a' has 2 usable images of the 3 needed \(one for train, val, test\)",
        ),
    ],
)
def test_a_class_too_small_is_named(labels: Sequence[int], needed: Sequence[str], message: str) -> None:
    with pytest.raises(DataError, match=f"here: {message}"):
        require(np.array(labels), ["a", "b"], needed, "here")


def test_a_class_just_large_enough_passes() -> None:
    require(np.array([0, 0, 1, 1]), ["a", "b"], ["train", "val"], "here")
