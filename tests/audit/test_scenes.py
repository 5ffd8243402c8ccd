"""Many nearly equal images: linear in number, and all that holds for pairs still holds for each of them."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from plexus.audit import (
    Audit,
    Predictions,
    audit,
    clusters,
    fingerprint,
    folds,
    near_duplicates,
    suspects,
    write_clean,
    write_files,
)
from plexus.data import SampleSet, open_samples
from plexus.record import AuditRecord
from plexus.report import render
from tests.audit.test_copies import photo, table

U8 = NDArray[np.uint8]
FRAMES, OTHERS = 40, 16
KINDS = ("same",)


def frame(i: int) -> U8:
    """A frame of a still camera with a noisy sensor."""
    noise = np.random.default_rng([3, i]).normal(0, 3, (48, 64))
    return np.clip(photo(0) + noise, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> SampleSet:
    """40 frames of one scene in three splits, every sixth labelled otherwise, an exact copy among them; 16 others."""
    splits = ["train"] * 7 + ["val"] * 2 + ["test"]
    rows = [(frame(i), "dog" if i % 6 == 5 else "cat", splits[i % 10]) for i in range(FRAMES - 1)]
    rows += [(frame(31), "cat", "train")]
    rows += [(photo(s), "cat" if s % 2 else "dog", "train") for s in range(1, OTHERS + 1)]
    return table(tmp_path_factory.mktemp("still") / "set", rows)


@pytest.fixture(scope="module")
def done(still: SampleSet) -> Audit:
    return audit(still, k=2, kinds=KINDS)


def test_each_frame_is_a_pair_with_the_one_that_stands_for_all_and_with_its_copy(done: Audit, still: SampleSet) -> None:
    (scene,) = done.findings.scenes
    hub = scene.images[0]
    assert sorted(scene.images) == [*range(FRAMES)]
    assert (still.samples[hub].split, still.samples[hub].label) == ("test", "cat")
    pairs = {(p.a, p.b) for p in done.findings.pairs}
    assert pairs == {(min(i, hub), max(i, hub)) for i in range(FRAMES) if i != hub} | {(31, FRAMES - 1)}
    assert scene.unlisted == FRAMES * (FRAMES - 1) // 2 - len(pairs)
    for pair in done.findings.pairs:  # the evidence is that of a pair, not of the group
        assert pair.sure
        assert pair.exact is ((pair.a, pair.b) == (31, FRAMES - 1))
        assert (pair.distance == 0) is pair.exact
        if hub in (pair.a, pair.b):
            other = still.samples[pair.a if pair.b == hub else pair.b]
            assert (pair.contradiction == "class") is (other.label == "dog")
            assert (pair.leak is not None) is (other.split != "test")


def test_what_is_cleaned_has_neither_leak_nor_contradiction_but_of_test_images(
    done: Audit, still: SampleSet, tmp_path: Path
) -> None:
    kept = [s for s, keep in zip(still.samples, done.cleaned.keep, strict=True) if keep]
    assert {s.split for s in kept[:-OTHERS]} == {"test"}
    assert len(kept) == OTHERS + sum(s.split == "test" for s in still.samples)
    after = audit(open_samples(write_clean(still, done, tmp_path / "clean") / "clean.csv"), k=2, kinds=KINDS)
    assert after.findings.summary.leaks == 0


def test_frames_of_one_split_keep_the_label_of_most_and_decisions_reach_each(tmp_path: Path) -> None:
    rows = [(frame(i), ["cat", "cat", "dog", "emu"][i % 4], "") for i in range(48)]
    samples = table(tmp_path / "set", [*rows, *((photo(s), "cat", "") for s in range(1, OTHERS + 1))])
    cleaned = audit(samples, k=2, kinds=KINDS).cleaned
    assert {samples.samples[i].label for i in range(48) if cleaned.keep[i]} == {"cat"}
    assert sum(cleaned.keep) == 24 + OTHERS
    decisions = {samples.samples[i].name: "drop" if i % 4 == 0 else "relabel:cat" for i in range(48) if i % 4 in (0, 2)}
    decided = audit(samples, k=2, kinds=KINDS, decisions=decisions)
    kept = [i % 4 for i in range(48) if decided.cleaned.keep[i]]
    assert kept == [1, 2] * 12
    after = audit(open_samples(write_clean(samples, decided, tmp_path / "c") / "clean.csv"), k=2, kinds=KINDS)
    assert sum(after.findings.summary.contradictions.values()) == 0


def test_where_the_one_of_the_last_split_has_no_label_the_others_are_compared_with_one_that_has(tmp_path: Path) -> None:
    rows = [(frame(i), "" if i < 10 else "dog" if i == 20 else "cat", "test" if i < 10 else "train") for i in range(50)]
    samples = table(tmp_path / "set", [*rows, *((photo(s), "cat", "train") for s in range(1, OTHERS + 1))])
    found = audit(samples, k=2, kinds=KINDS).findings
    assert [(p.a, p.b) for p in found.pairs if p.contradiction] == [(10, 20)]
    assert found.summary.leaks == 40


def test_a_scene_is_one_cluster_in_one_fold_and_is_not_judged_by_a_net_that_saw_a_frame(still: SampleSet) -> None:
    prints = fingerprint(still)
    near = near_duplicates(prints, kinds=KINDS)
    assert [len(c.images) for c in clusters(prints, near)] == [FRAMES]
    dealt = folds(still, near, k=2)
    assert len({dealt.fold[s.name] for s in still.samples[:FRAMES]}) == 1
    chances = np.tile([0.1, 0.9], (len(still), 1))
    chances[FRAMES + 1 :: 2] = 0.9, 0.1
    learned = np.arange(len(still)) == 12  # is neither the first of the scene nor an exact copy
    judged = suspects(still, Predictions(("cat", "dog"), chances, "a net", learned), near)
    assert all(s.image >= FRAMES for s in judged)


def test_few_frames_and_those_that_only_resemble_each_other_are_listed_pair_by_pair() -> None:
    others = [photo(s) for s in range(1, OTHERS + 1)]
    near = near_duplicates(fingerprint([*(frame(i) for i in range(32)), *others]), kinds=KINDS)
    assert near.scenes == ()
    assert len(near) == 32 * 31 // 2
    loud = [np.clip(frame(i) + np.random.default_rng(i).normal(0, 20, (48, 64)), 0, 255) for i in range(40)]
    near = near_duplicates(fingerprint([*(image.astype(np.uint8) for image in loud), *others]), kinds=KINDS)
    assert near.scenes == ()
    assert (1 - near.distance).max() < 0.9
    assert len(near) > 700


def test_it_is_told_on_every_surface_that_a_group_stands_for_its_pairs(done: Audit, tmp_path: Path) -> None:
    found, left = done.findings, done.findings.scenes[0].unlisted
    assert (found.summary.unlisted, found.summary.pairs) == (left, len(found.pairs))
    assert len(found.pairs) <= (found.summary.compared or 0) < left
    (note,) = [note for note in found.data.notes if "a group of 40 nearly equal images" in note]
    assert f"{found.summary.compared:,} comparisons" in note
    assert f"{left:,} pairs" in note
    page = render(found)
    assert "Of a group of 40 nearly equal images each is shown beside one that stands for its group" in page
    with (write_files(done, tmp_path) / "pairs.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {(r["scene"], r["scene_images"], r["scene_pairs_not_listed"]) for r in rows} == {("0", "40", str(left))}
    assert AuditRecord.from_dict(found.to_dict()) == found
    old = found.to_dict()
    del old["scenes"], old["summary"]["unlisted"], old["summary"]["compared"]
    assert AuditRecord.from_dict(old).scenes == []
