"""Folds keep groups together, share present targets out, and follow an audit to the letter."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plexus.errors import DataError
from plexus.segment.folds import assigned, grouped_folds, read_folds, validation_fold


@given(st.integers(0, 99), st.integers(2, 5), st.integers(1, 4))
def test_a_group_is_never_torn(seed: int, k: int, size: int) -> None:
    groups = [f"g{i // size}" for i in range(8 * size)]
    present = (np.random.default_rng(seed).random(len(groups)) < 0.5).tolist()
    fold = grouped_folds(present, groups, k, seed)
    assert sorted(set(fold.tolist())) == list(range(k))
    for group in set(groups):
        assert len({f for f, g in zip(fold.tolist(), groups, strict=True) if g == group}) == 1
    assert fold.tolist() == grouped_folds(present, groups, k, seed).tolist()


def test_present_targets_are_shared_out() -> None:
    present = [i < 10 for i in range(40)]
    fold = grouped_folds(present, [None] * 40, 5, seed=3)
    assert np.bincount(fold).tolist() == [8] * 5
    assert np.bincount(fold[:10]).tolist() == [2] * 5


def test_seeds_differ() -> None:
    first, second = (grouped_folds([True] * 30, [None] * 30, 5, seed).tolist() for seed in (0, 1))
    assert first != second


def test_an_image_without_a_group_is_one_of_its_own() -> None:
    fold = grouped_folds([True] * 6, [None, None, None, "a", "a", "a"], 2, seed=0)
    assert len(set(fold[3:].tolist())) == 1
    assert np.bincount(fold).tolist() == [3, 3]


def test_one_split_holds_out_its_share_by_groups() -> None:
    groups = [f"g{i // 4}" for i in range(80)]
    fold = validation_fold([i % 4 != 0 for i in range(80)], groups, 0.2, seed=1)
    held = np.flatnonzero(fold == 0)
    assert set(fold.tolist()) == {0, -1}
    assert len(held) == 16
    assert not {groups[i] for i in held} & {groups[i] for i in np.flatnonzero(fold < 0)}


def test_too_few_groups_are_told() -> None:
    with pytest.raises(DataError, match="2 groups cannot be dealt out to 3 folds"):
        grouped_folds([True] * 4, ["a", "a", "b", "b"], 3, 0)
    with pytest.raises(DataError, match="all images are of one group"):
        validation_fold([True] * 4, ["a"] * 4, 0.5, 0)


def write(path: Path, **more: Any) -> Path:
    raw = {"format": 1, "kind": "folds", "k": 2, "seed": 0, "folds": {"a": 0, "b": 1, "c": 1}, "dropped": ["d"]}
    path.write_text(json.dumps(raw | more))
    return path


def test_an_audit_is_followed(tmp_path: Path) -> None:
    file = write(tmp_path / "folds.json")
    assert assigned(["d", "c", "a"], ["a", "b", "c", "d"], file, None).tolist() == [-1, 1, 0]
    assert assigned(["d", "c", "a"], ["a", "b", "c", "d"], file, 2).tolist() == [-1, 1, 0]


@pytest.mark.parametrize(
    ("change", "names", "said"),
    [
        ({}, ["a", "b"], r"names 'c' and 1 more, which are not in the data"),
        ({"dropped": []}, ["a", "b", "c", "d"], "misses 'd' of the data"),
        ({"k": 3}, ["a", "b", "c", "d"], "no image of the data is in fold 2"),
        ({"folds": {"a": 2}}, ["a"], "a: fold 2 is not one of 0 to 1"),
        ({"folds": {"a": True}}, ["a"], "a: fold True is not one of 0 to 1"),
        ({"kind": "audit"}, ["a"], "not a folds file"),
        ({"folds": []}, ["a"], "broken folds file"),
    ],
)
def test_a_file_that_does_not_fit_is_told(tmp_path: Path, change: dict[str, Any], names: list[str], said: str) -> None:
    with pytest.raises(DataError, match=said) as told:
        assigned(names, names, write(tmp_path / "folds.json", **change), None)
    assert "\n" not in str(told.value)
    assert "folds.json" in str(told.value)


def test_no_file_and_no_json(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot read the folds"):
        read_folds(tmp_path / "none.json")
    (tmp_path / "cut.json").write_text('{"format": 1')
    with pytest.raises(DataError, match="not a folds file: the file is not JSON, or it was cut short"):
        read_folds(tmp_path / "cut.json")
    with pytest.raises(DataError, match="has 2 folds, not 5"):
        assigned(["a"], ["a"], write(tmp_path / "folds.json"), 5)
