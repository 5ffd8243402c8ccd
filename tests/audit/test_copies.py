"""Many exact copies of one image: linear in number, and all that holds for pairs still holds for each of them."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from plexus.audit import Audit, audit, clusters, fingerprint, near_duplicates, pictures, write_clean
from plexus.data import SampleSet, open_samples
from plexus.record import AuditRecord
from plexus.report import render
from tests.audit.speckle import save, scene, view

U8 = NDArray[np.uint8]
ORDER = {"train": 0, "val": 1, "test": 2}


def photo(seed: int) -> U8:
    return np.asarray(Image.fromarray(view(scene(seed))).resize((64, 48), Image.Resampling.BOX))


def table(folder: Path, rows: list[tuple[U8, str, str]]) -> SampleSet:
    """A table of images, each with its class and its split; empty for none."""
    folder.mkdir()
    with (folder / "set.csv").open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["path", "label", "split"])
        for i, (pixels, label, split) in enumerate(rows):
            save(folder / f"{i:04}.png", pixels)
            out.writerow([f"{i:04}.png", label, split])
    return open_samples(folder / "set.csv")


def again(samples: SampleSet, done: Audit, folder: Path) -> Audit:
    """The audit of what the first one keeps."""
    return audit(open_samples(write_clean(samples, done, folder) / "clean.csv"), k=2)


@pytest.mark.parametrize("kind", ["thumbnail", "blockhist"])
def test_many_equal_images_are_a_chain_of_pairs_with_one_of_them(kind: str) -> None:
    one, two, other = photo(0), photo(1), photo(2)
    prints = fingerprint([one] * 300 + [two] * 8 + [other] + [two.copy()[::-1]] * 9, kind)
    near = near_duplicates(prints, kinds=("same",), threshold=0.002)
    pairs = set(zip(near.a.tolist(), near.b.tolist(), strict=True))
    few = {(a, b) for a in range(300, 308) for b in range(a + 1, 308)}  # up to eight: each with each
    assert pairs == {(0, b) for b in range(1, 300)} | few | {(309, b) for b in range(310, 318)}
    assert near.exact.all()
    assert near.sure.all()
    assert near.distance.max() == 0
    assert [rows.tolist() for rows in near.copies] == [[*range(300)], [*range(309, 318)]]
    assert [(len(c.images), c.flagged) for c in clusters(prints, near)] == [(300, False), (9, False), (8, False)]


def test_the_like_of_a_copy_is_found_once_and_the_copies_of_another_group_apart() -> None:
    image = photo(0)
    brighter = np.clip(image.astype(int) + 9, 0, 255).astype(np.uint8)
    near = near_duplicates(fingerprint([image] * 20 + [brighter] + [photo(s) for s in range(1, 40)]))
    pairs = set(zip(near.a.tolist(), near.b.tolist(), strict=True))
    assert pairs == {(0, b) for b in range(1, 21)}
    assert not near.exact[near.b == 20].any()


def test_images_whose_pixels_only_sum_to_the_same_are_no_copies() -> None:
    squares = []
    for k in range(30):  # a square that moves by eight pixels: the sums of the pixels, eight at a time, are equal
        made = np.full((120, 160), 40, np.uint8)
        row, column = divmod(k, 6)
        made[8 + 20 * row : 24 + 20 * row, 8 + 24 * column : 24 + 24 * column] = 200
        squares.append(made)
    assert not near_duplicates(fingerprint(squares), kinds=("same",)).copies
    assert not near_duplicates(fingerprint(squares)).exact.any()


def test_constant_images_cost_no_search() -> None:
    images = [np.full((30, 40), k % 2, np.uint8) for k in range(3000)] + [photo(0), photo(0)]
    near = near_duplicates(fingerprint(images))
    assert (near.a.tolist(), near.b.tolist()) == ([3000], [3001])


def test_copies_in_one_patient_are_no_pairs_with_those_of_another(tmp_path: Path) -> None:
    for i in range(24):
        save(tmp_path / f"p{i % 2}_{i:02}.png", photo(0))
    samples = open_samples(tmp_path, group_from=r"^(p\d)")
    near = near_duplicates(fingerprint(samples), scope="group")
    groups = [s.group for s in samples.samples]
    assert len(near) == 22
    assert all(groups[a] == groups[b] for a, b in zip(near.a.tolist(), near.b.tolist(), strict=True))


@pytest.fixture(scope="module")
def blank(tmp_path_factory: pytest.TempPathFactory) -> SampleSet:
    """120 equal frames of three classes in three splits, one that is nearly the same, and 30 others."""
    frame, random = photo(0), np.random.default_rng(0)
    labels = random.permutation(["cat"] * 90 + ["dog"] * 20 + ["emu"] * 10)
    splits = random.choice(["train", "val", "test"], 120, p=[0.7, 0.2, 0.1])
    rows = [(frame, str(a), str(b)) for a, b in zip(labels, splits, strict=True)]
    rows += [(np.clip(frame.astype(int) + 7, 0, 255).astype(np.uint8), "dog", "val")]
    rows += [(photo(s), "cat", "train") for s in range(1, 31)]
    return table(tmp_path_factory.mktemp("blank") / "set", rows)


def test_every_copy_that_leaks_or_is_labelled_otherwise_is_in_a_pair_that_says_so(blank: SampleSet) -> None:
    done = audit(blank, k=2)
    (copies,) = done.findings.copies
    assert sorted(copies.images) == [*range(120)]
    hub = blank.samples[copies.images[0]]
    assert hub.split == "test"
    usual = Counter(s.label for s in blank.samples[:120] if s.split == "test").most_common(1)[0][0]
    assert hub.label == usual
    pairs = [p for p in done.findings.pairs if p.exact]
    assert len(pairs) == 119
    others = {p.b if p.a == copies.images[0] else p.a: p for p in pairs}
    for i, pair in others.items():
        assert (pair.contradiction == "class") is (blank.samples[i].label != hub.label)
        assert (pair.leak is not None) is (blank.samples[i].split != "test")
    assert done.findings.summary.pairs == 120
    assert any("a group of 120 exact copies" in note for note in done.findings.data.notes)


def test_what_is_cleaned_has_no_leak_and_no_contradiction_but_of_test_images(blank: SampleSet, tmp_path: Path) -> None:
    done = audit(blank, k=2)
    kept = [s for s, keep in zip(blank.samples[:121], done.cleaned.keep, strict=False) if keep]
    assert {s.split for s in kept} == {"test"}  # they always stay
    assert len(kept) == sum(s.split == "test" for s in blank.samples)
    summary = again(blank, done, tmp_path / "clean").findings.summary
    assert summary.leaks == 0
    assert done.cleaned.keep[121:] == (True,) * 30


@pytest.mark.parametrize("seed", range(4))
def test_one_of_many_copies_stays_where_none_is_a_test_image(seed: int, tmp_path: Path) -> None:
    random = np.random.default_rng(seed)
    words = random.choice(["cat", "dog", "", "emu"], 70)
    rows = [(photo(0), str(word), str(random.choice(["train", "val"]))) for word in words]
    rows += [(photo(s), "cat" if s % 2 else "dog", "train") for s in range(1, 9)]
    samples = table(tmp_path / "set", rows)
    done = audit(samples, k=2)
    assert sum(done.cleaned.keep[:70]) == 1
    summary = again(samples, done, tmp_path / "clean").findings.summary
    assert (summary.pairs, summary.leaks, sum(summary.contradictions.values())) == (0, 0, 0)


def test_a_decision_on_a_copy_counts_for_those_that_say_the_same(tmp_path: Path) -> None:
    rows = [(photo(0), "dog" if i % 6 == 1 else "cat", "train") for i in range(60)]
    samples = table(tmp_path / "set", [*rows, *((photo(s), "cat", "train") for s in range(1, 9))])
    dog, cat = samples.samples[1].name, samples.samples[0].name
    dropped = audit(samples, k=2, decisions={dog: "drop"})
    stay = [i for i, keep in enumerate(dropped.cleaned.keep[:60]) if keep]
    assert [samples.samples[i].label for i in stay] == ["cat"]
    assert dropped.cleaned.why[7] == f"decided for its copy {dog}"
    right = audit(samples, k=2, decisions={dog: "relabel:cat"})
    assert sum(right.findings.summary.contradictions.values()) == 0
    assert [i for i, keep in enumerate(right.cleaned.keep[:60]) if keep] == [1]  # who relabels wants it kept
    assert right.cleaned.labels[1] == "cat"
    wrong = audit(samples, k=2, decisions={cat: "drop"})
    assert [samples.samples[i].label for i, keep in enumerate(wrong.cleaned.keep[:60]) if keep] == ["dog"]
    one = audit(table(tmp_path / "one", [(photo(0), "cat", "")] * 30), k=2, decisions={"0000.png": "drop"})
    assert sum(one.cleaned.keep) == 1  # where all say the same only the one goes


def test_masks_of_copies_that_contradict_each_other_leave_one(tmp_path: Path) -> None:
    mask = np.zeros((48, 64), bool)
    for i in range(30):
        save(tmp_path / f"{i:02}.png", photo(0))
        own = mask.copy()
        own[5:15, 5:15] = i % 3 == 0
        own[30:45, 30:60] = i % 3 == 1
        save(tmp_path / f"{i:02}_mask.png", own)
    samples = open_samples(tmp_path)
    done = audit(samples, k=2)
    assert done.findings.summary.contradictions == {"class": 0, "presence": 10, "overlap": 10}
    assert sum(done.cleaned.keep) == 1
    decided = audit(samples, k=2, decisions={"00.png": "drop", "01.png": "drop"})
    assert [done.findings.images[i].present for i, keep in enumerate(decided.cleaned.keep) if keep] == [False]


def test_the_page_shows_what_says_the_same_once(blank: SampleSet) -> None:
    done = audit(blank, k=2).findings
    shown = done.shown_pairs()
    assert sum(stands for _, stands in shown) == len(done.pairs)
    said = {(p.contradiction, tuple(p.leak or ())) for p in done.pairs}
    assert {(p.contradiction, tuple(p.leak or ())) for p, _ in shown} == said
    assert len(shown) <= 1 + 3 * 3
    drawn = pictures(blank, done)
    assert set(drawn) == {i for p, _ in shown for i in (p.a, p.b)}
    page = render(done, pictures=drawn)
    assert "Of a group of 120 exact copies each pair that says the same is shown once." in page
    assert AuditRecord.from_dict(done.to_dict()) == done


def test_no_more_pairs_are_on_a_page_than_it_can_bear() -> None:
    images = [AuditRecord.Image(name=f"{i}.png") for i in range(300)]
    pairs = [AuditRecord.Pair(a=a, b=b) for a in range(300) for b in range(a + 1, 300)]
    record = AuditRecord(images=images, pairs=pairs)
    assert len(record.shown_pairs()) == 20_000 < len(pairs)
    assert "24,850 pairs more in pairs.csv: the first 20,000 are shown." in render(record)


def test_a_record_without_groups_of_copies_still_reads() -> None:
    old = AuditRecord(images=[AuditRecord.Image(name="a"), AuditRecord.Image(name="b")]).to_dict()
    del old["copies"]
    assert AuditRecord.from_dict(old).copies == []
