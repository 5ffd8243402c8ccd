"""The whole audit of a set with known faults: every one of them is found, and nothing else."""

from __future__ import annotations

import base64
import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from plexus.audit import (
    Audit,
    audit,
    contradictions,
    fingerprint,
    folds,
    near_duplicates,
    pictures,
    read_decisions,
    write_clean,
    write_files,
)  # fmt: skip
from plexus.data import SampleSet, in_memory, open_samples
from plexus.errors import ConfigError, DataError, RunError
from plexus.record import AuditRecord
from tests.audit.speckle import scene, view


@pytest.fixture(scope="module")
def samples(wrong: Path) -> SampleSet:
    return open_samples(wrong, group_from=r"^(p\d)")


@pytest.fixture(scope="module")
def found(samples: SampleSet) -> Audit:
    return audit(samples, k=3)


def named(found: Audit, pair: AuditRecord.Pair) -> set[str]:
    return {Path(found.findings.images[i].name).stem for i in (pair.a, pair.b)}


def test_every_planted_pair_is_found_and_no_other(found: Audit) -> None:
    pairs = found.findings.pairs
    assert [sorted(named(found, p)) for p in pairs[:2]] in (
        [["p0_00", "p0_90"], ["p1_01", "p1_91"]], [["p1_01", "p1_91"], ["p0_00", "p0_90"]],
    )  # fmt: skip
    kinds = {tuple(sorted(named(found, p))): (p.contradiction, p.leak, p.exact) for p in pairs}
    assert kinds == {
        ("p0_00", "p0_90"): ("presence", None, False),
        ("p1_01", "p1_91"): ("overlap", None, False),
        ("p3_03", "p9_01"): (None, ["train", "test"], False),
        ("p2_02", "p2_92"): (None, None, True),
    }
    assert named(found, pairs[2]) == {"p3_03", "p9_01"}  # leaks before the rest
    assert pairs[3].distance == 0
    assert pairs[3].dice == 1
    assert all(p.a < p.b for p in pairs)


def test_shifts_are_in_pixels_of_the_image(found: Audit) -> None:
    images, (pair,) = found.findings.images, [p for p in found.findings.pairs if p.leak]
    sign = 1 if images[pair.a].split == "test" else -1
    assert pair.shift is not None
    np.testing.assert_allclose(pair.shift, [2 * sign, 2 * sign], atol=0.6)


def test_problems_are_named(found: Audit) -> None:
    problems = {Path(p.name).stem: p.kind for p in found.findings.problems}
    assert problems == {"p4_93": "constant", "p4_94": "zero", "p4_95": "unreadable", "p4_96": "mask"}
    assert found.findings.summary.unreadable == 2
    assert found.findings.summary.degenerate == 2


def test_the_rule_keeps_what_it_says(found: Audit) -> None:
    gone = {Path(i.name).stem: i.why for i in found.findings.images if not i.keep}
    assert set(gone) == {"p0_90", "p1_91", "p2_92", "p3_03", "p4_93", "p4_94", "p4_95", "p4_96"}
    assert gone["p0_90"] == "contradicts train/p0_00.png"
    assert gone["p2_92"] == "copy of train/p2_02.png"
    assert gone["p3_03"] == "leak: near-duplicate of test/p9_01.png in test"
    summary = found.findings.summary
    assert (summary.kept, summary.dropped) == (len(found.findings.images) - 8, 8)


def test_findings_come_back_from_their_file_and_add_up(found: Audit, tmp_path: Path) -> None:
    again = AuditRecord.read(write_files(found, tmp_path) / "findings.json")
    assert again == found.findings
    summary, data = again.summary, again.data
    assert summary.pairs == len(again.pairs) == 4
    assert summary.contradictions == {"class": 0, "presence": 1, "overlap": 1}
    assert (summary.leaks, summary.exact, summary.clusters, summary.flagged) == (1, 1, 4, 0)
    assert data.splits == {"train": 37, "test": 2}
    assert data.groups == 6
    assert [c.images for c in again.clusters] == sorted([p.a, p.b] for p in again.pairs)
    assert sum(again.calibration.unrelated) > 200


def test_folds_tear_no_group_and_no_cluster(found: Audit, samples: SampleSet) -> None:
    assert found.folds is not None
    group = {s.name: s.group for s in samples.samples}
    assert {n for n, keep in zip(group, found.cleaned.keep, strict=True) if keep} == set(found.folds.fold)
    assert set(found.folds.dropped) == set(group) - set(found.folds.fold)
    of: dict[str | None, set[int]] = {}
    for name, fold in found.folds.fold.items():
        of.setdefault(group[name], set()).add(fold)
    assert all(len(folds) == 1 for folds in of.values())
    # p3 and p9 hang together by the leak, though train/p3_03 was dropped
    assert of["p3"] == of["p9"]


def test_within_groups_only_their_own_pairs_are_found(samples: SampleSet) -> None:
    near = near_duplicates(fingerprint(samples), scope="group")
    assert len(near) == 3
    assert all(samples.samples[a].group == samples.samples[b].group for a, b in zip(near.a, near.b, strict=True))


def test_a_bound_of_zero_leaves_overlap_aside(samples: SampleSet) -> None:
    near = near_duplicates(fingerprint(samples))
    assert [c.kind for c in contradictions(samples, near, min_dice=0)] == ["presence"]


def test_classes_contradict_each_other(samples: SampleSet) -> None:
    labelled = replace(
        samples, samples=tuple(replace(s, label="ab"[i % 2], mask=None) for i, s in enumerate(samples.samples))
    )
    near = near_duplicates(fingerprint(samples))
    found = contradictions(labelled, near)
    assert {(c.a, c.b) for c in found if c.kind == "class"} == {
        (a, b) for a, b in zip(near.a.tolist(), near.b.tolist(), strict=True) if (a - b) % 2
    }
    assert all(c.kind == "class" for c in found)


def test_decisions_override_the_rule(samples: SampleSet, tmp_path: Path) -> None:
    file = tmp_path / "decisions.json"
    decisions = {
        "train/p0_90.png": "keep",
        "train/p2_02.png": "drop",
        "train/p4_95.png": "keep",
        "test/p9_02.png": "drop",
    }
    file.write_text(json.dumps({"format": 1, "kind": "audit-decisions", "decisions": decisions}))
    made = audit(samples, k=2, decisions=read_decisions(file, samples))
    why = {Path(i.name).stem: i.why for i in made.findings.images if not i.keep}
    assert why["p0_00"] == "contradicts train/p0_90.png"
    assert why["p2_02"] == why["p9_02"] == "decided"
    assert "p0_90" not in why
    assert "p2_92" not in why  # its copy is gone
    assert "p4_95" in why  # cannot be read, whatever was decided


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "not JSON"),
        ("[" * 200_000, "not JSON"),
        ("[]", "not a decisions file"),
        ('{"format": 1, "kind": "audit-decisions", "decisions": {"x.png": "keep"}}', "no such image"),
        (
            '{"format": 1, "kind": "audit-decisions", "decisions": {"test/p9_01.png": "maybe"}}',
            "'maybe' is no decision",
        ),
    ],
)
def test_wrong_decisions_are_told(samples: SampleSet, tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "d.json").write_text(content)
    with pytest.raises(DataError, match=words):
        read_decisions(tmp_path / "d.json", samples)


def test_files_say_what_was_found(found: Audit, tmp_path: Path) -> None:
    folder = write_files(found, tmp_path / "new" / "out")
    assert json.loads((folder / "findings.json").read_text()) == found.findings.to_dict()
    raw = json.loads((folder / "folds.json").read_text())
    assert (raw["format"], raw["kind"], raw["k"], raw["seed"]) == (1, "folds", 3, 0)
    rows = list(csv.DictReader(io.StringIO((folder / "pairs.csv").read_text())))
    assert [row["a_name"] for row in rows] == [found.findings.images[p.a].name for p in found.findings.pairs]


def test_no_text_becomes_a_formula(found: Audit, tmp_path: Path) -> None:
    findings = found.findings.model_copy(deep=True)
    for image, name in zip(findings.images, ("=1+1", "+2", "-3", "@SUM(A1)", "\tx", 'a"b,c') * 9, strict=False):
        image.name = image.label = name
    text = (write_files(replace(found, findings=findings), tmp_path) / "pairs.csv").read_text()
    for row in csv.DictReader(io.StringIO(text)):
        for side in "ab":
            assert row[f"{side}_name"][0] in "'a"
            assert row[f"{side}_label"][0] in "'a"
        assert float(row["shift_rows"]) is not None  # numbers stay numbers


def test_the_clean_copy_is_a_set_without_faults(found: Audit, samples: SampleSet, tmp_path: Path) -> None:
    folder = write_clean(samples, found, tmp_path / "clean", link=True)
    kept = (folder / "keep.txt").read_text().split()
    assert kept == [i.name for i in found.findings.images if i.keep]
    (folder / "keep.txt").unlink()
    again = open_samples(folder, group_from=r"^(p\d)")
    assert [s.name for s in again.samples] == kept
    assert again.has_masks
    summary = audit(again, k=2).findings.summary
    assert (summary.pairs, summary.unreadable, summary.degenerate) == (0, 0, 0)
    with pytest.raises(RunError, match="is not empty"):
        write_clean(samples, found, folder)


def test_a_clean_copy_that_fails_leaves_nothing(
    found: Audit, samples: SampleSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Path] = []

    def refuse(self: Path, to: str) -> None:
        made.append(self)
        if len(made) > 5:
            raise OSError(1, "Operation not permitted")
        self.touch()

    monkeypatch.setattr(Path, "symlink_to", refuse)
    with pytest.raises(RunError, match="clean: cannot write: Operation not permitted; name another folder"):
        write_clean(samples, found, tmp_path / "clean", link=True)
    assert len(made) == 6
    assert not list(tmp_path.iterdir())


def test_an_empty_folder_is_filled(found: Audit, samples: SampleSet, tmp_path: Path) -> None:
    (tmp_path / "clean").mkdir()
    assert sorted(p.name for p in write_clean(samples, found, tmp_path / "clean").iterdir()) == [
        "clean.csv", "keep.txt",
    ]  # fmt: skip
    assert [p.name for p in tmp_path.iterdir()] == ["clean"]


@pytest.mark.parametrize(
    "arguments",
    [
        {"threshold": 3.0}, {"false_pairs": 0.0}, {"kinds": ("blurred",)},
        {"scope": "group"}, {"min_dice": 2.0}, {"k": 1}, {"seed": -1},
        {"search": "luck"},
    ],
)  # fmt: skip
def test_wrong_arguments_are_told_before_anything_is_read(
    arguments: dict[str, object], samples: SampleSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(self: SampleSet, i: int) -> bytes:
        raise AssertionError(i)

    monkeypatch.setattr(SampleSet, "content", read)
    bare = replace(samples, samples=tuple(replace(s, group=None) for s in samples.samples))
    with pytest.raises(ConfigError, match=r"give|choose"):
        audit(bare, **arguments)  # type: ignore[arg-type]


def test_the_usual_threshold_of_few_histograms_is_that_of_the_notes() -> None:
    images = [np.random.default_rng(i).integers(0, 256, (40, 60), dtype=np.uint8) for i in range(4)]
    near = near_duplicates(fingerprint([*images, images[1]], "blockhist"))
    assert (near.threshold, near.threshold_from) == (0.008, "default")
    assert "0.008 is used" in near.notes[0]


def test_videos_without_groups_are_found_and_told() -> None:
    frames = [view(scene(s), k % 3 - 1, k // 3 - 1) for s in range(4) for k in range(9)]
    near = near_duplicates(fingerprint(frames))
    assert {(a, b) for a, b in zip(near.a.tolist(), near.b.tolist(), strict=True)} == {
        (a, b) for a in range(36) for b in range(a + 1, 36) if a // 9 == b // 9
    }
    assert "of all pairs are alike" in near.notes[0]


def test_pictures_are_of_images_in_pairs(found: Audit, samples: SampleSet) -> None:
    made = pictures(samples, found.findings)
    assert set(made) == {i for p in found.findings.pairs for i in (p.a, p.b)}
    assert all(str(p["image"]).startswith("data:image/jpeg;base64,") for p in made.values())
    assert all(str(p["mask"]).startswith("data:image/png;base64,") for p in made.values())
    few = pictures(samples, found.findings, most=3)
    assert set(few) == {found.findings.pairs[0].a, found.findings.pairs[0].b}


@pytest.mark.parametrize(
    ("count", "size", "drawn"), [(4, (64, 48), (64, 48)), (4, (512, 256), (256, 128)), (720, (200, 100), (160, 80))]
)
def test_pictures_are_no_larger_than_images_and_smaller_where_there_are_many(
    count: int, size: tuple[int, int], drawn: tuple[int, int]
) -> None:
    samples = in_memory(np.full((count, *size), 90, np.uint8)).samples
    made = pictures(samples, AuditRecord(pairs=[AuditRecord.Pair(a=i, b=i + 1) for i in range(0, count, 2)]))
    assert len(made) == count
    file = Image.open(io.BytesIO(base64.b64decode(str(made[1]["image"]).partition(",")[2])))
    assert file.size == drawn[::-1]


def test_too_few_parts_for_the_folds_are_told_and_the_audit_goes_on(samples: SampleSet) -> None:
    made = audit(samples, k=9)
    assert made.folds is None
    assert any("cannot fill 9 folds; at most --folds 5" in note for note in made.findings.data.notes)
    with pytest.raises(ConfigError, match="give 2 or more"):
        folds(samples, near_duplicates(fingerprint(samples)), k=1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"threshold": -0.1}, "threshold=-0.1"),
        ({"false_pairs": -1.0}, "false_pairs=-1"),
        ({"false_pairs": 0.0}, "false_pairs=0"),
        ({"scope": "some"}, "scope='some' is unknown"),
        ({"scope": "group"}, "none are known"),
        ({"search": "luck"}, "search='luck' is unknown"),
        ({"neighbours": 0}, "neighbours=0"),
    ],
)
def test_wrong_arguments_are_told(arguments: dict[str, object], words: str) -> None:
    prints = fingerprint([np.arange(400, dtype=np.uint8).reshape(20, 20)] * 2)
    with pytest.raises(ConfigError, match=words):
        near_duplicates(prints, **arguments)  # type: ignore[arg-type]
