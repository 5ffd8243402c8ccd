"""Shares of classes are kept, and every choice follows from the seed."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from plexus.data import ImageData, Split, load
from plexus.errors import DataError
from tests.data.images import class_folders

DIGITS = np.array([178, 182, 177, 183, 181, 182, 181, 179, 174, 180])


def counts(split: Split) -> list[int]:
    return torch.bincount(split.labels).tolist()


@settings(max_examples=10, deadline=None)
@given(st.floats(0.01, 0.99), st.floats(0.01, 0.99), st.integers(0, 2**40))
def test_every_split_has_its_fraction_of_every_class(val: float, test: float, seed: int) -> None:
    data = load("digits", val=val, test=test, seed=seed)
    whole = DIGITS.sum()
    # a class leaves three images at least, one for each split; every total is met as far as that goes
    assert len(data.test) == min(max(round(test * whole), 10), whole - 20)
    rest = DIGITS - counts(data.test)
    assert len(data.val) == min(max(round(val * rest.sum()), 10), rest.sum() - 10)
    for split, pool in ((data.test, DIGITS), (data.val, rest)):
        ideal = len(split) * pool / pool.sum()
        if ideal.min() > 1 and (pool - ideal).min() > 2:  # no bound bites
            assert np.abs(counts(split) - ideal).max() < 1
    names = [name for split in (data.train, data.val, data.test) for name in split.names]
    assert sorted(names) == sorted({*names})
    assert len(names) == whole


@settings(max_examples=10, deadline=None)
@given(st.integers(20, 1500), st.integers(0, 2**40))
def test_a_limit_keeps_the_fractions_too(limit: int, seed: int) -> None:
    data = load("digits", limit=limit, seed=seed)
    left = DIGITS - counts(data.test)
    kept = np.array(counts(data.train)) + counts(data.val)
    assert kept.sum() == min(limit, left.sum())
    assert kept.min() >= 2
    if limit > 40:
        assert np.abs(kept - kept.sum() * left / left.sum()).max() < 1


@pytest.mark.parametrize(
    ("sizes", "test", "expected"),
    [
        ((50, 30, 20), 0.1, [5, 3, 2]),
        ((6, 6, 6), 0.22, [2, 1, 1]),  # a tie goes to the first
        ((94, 3, 3), 0.1, [8, 1, 1]),  # at least one of each
        ((4, 96), 0.96, [2, 94]),  # two are left of each, for training and validation
    ],
)
def test_exact_shares(sizes: tuple[int, ...], test: float, expected: list[int], tmp_path: Path) -> None:
    folder = class_folders(tmp_path / "d", {"abc"[k]: count for k, count in enumerate(sizes)})
    assert counts(load(folder, test=test).test) == expected


def test_every_image_is_chosen_as_often_as_any_other(tmp_path: Path) -> None:
    folder, times = class_folders(tmp_path / "d", {"a": 6, "b": 12}), Counter[str]()
    for seed in range(200):
        times.update(load(folder, seed=seed, test=0.5).test.names)
    assert len(times) == 18
    assert max(abs(count / 200 - 0.5) for count in times.values()) < 0.18  # five standard deviations


def test_the_choices_of_a_seed_are_independent() -> None:
    """Test, limit and validation images of one seed are drawn by different numbers: another share of one leaves the
    order in which the others draw as it was."""

    def rows(data: ImageData, split: str) -> set[str]:
        return set(getattr(data, split).names)

    whole, few = load("digits", seed=5), load("digits", seed=5, limit=300)
    assert rows(whole, "test") == rows(few, "test")
    smaller = load("digits", seed=5, test=0.1)
    assert rows(smaller, "test") < rows(whole, "test")
    assert rows(load("digits", seed=5, val=0.1), "val") < rows(whole, "val")
    assert rows(whole, "test").isdisjoint(rows(whole, "val"))
    overlap = len(rows(load("digits", seed=5, test=0.15), "test") & rows(whole, "val"))
    assert overlap < 40  # of 216: they are not the same draw


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"": {"a": 3, "b": 2}}, r"class 'b' has 2 usable images of the 3 needed \(one for train, val, test\)"),
        (
            {"train": {"a": 3, "b": 1}, "test": {"a": 1}},
            r"class 'b' has 1 usable images of the 2 needed \(one for train, val\)",
        ),
    ],
)
def test_a_class_too_small_is_named(parts: dict[str, dict[str, int]], message: str, tmp_path: Path) -> None:
    for split, sizes in parts.items():
        class_folders(tmp_path / "d" / split, sizes)
    with pytest.raises(DataError, match=f"/d: {message}: add images or remove the class"):
        load(tmp_path / "d")


def test_a_class_just_large_enough_passes(tmp_path: Path) -> None:
    data: Any = load(class_folders(tmp_path / "d", {"a": 3, "b": 3}))
    assert [counts(split) for split in (data.train, data.val, data.test)] == [[1, 1]] * 3
