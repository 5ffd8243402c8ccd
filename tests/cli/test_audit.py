"""Mistakes when auditing: one line that names the thing, exit code 2, and nothing is made."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from plexus.audit import read_labels
from plexus.cli import main
from plexus.data import open_samples
from plexus.record import AuditRecord
from plexus.report import render
from tests.audit.speckle import save
from tests.cli.test_mistakes import told


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for i in range(3):
        save(tmp_path / "images" / f"{i}.png", np.random.default_rng(i).integers(0, 256, (20, 30), dtype=np.uint8))
    (tmp_path / "file").write_text("")
    (tmp_path / "full").mkdir()
    (tmp_path / "taken" / "labels.csv").mkdir(parents=True)
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "full" / "note.txt").write_text("")
    (tmp_path / "decisions.json").write_text("{}")
    (tmp_path / "list.csv").write_text("path\nimages/0.png\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "nowhere: "),
        (["images", "--threshold", "-1"], "threshold=-1: give a distance"),
        (["images", "--false-pairs", "0"], "false_pairs=0: give a number"),
        (["images", "--scope", "group"], "give --group-from REGEX"),
        (["images", "--group-from", "("], "("),
        (["images", "--fingerprint", "phash"], "--fingerprint phash: unknown; choose thumbnail, blockhist"),
        (["images", "--fingerprint", "phash"], "blockhist, embedding, FILE.py:function or MODEL.onnx"),
        (["images", "--fingerprint", "no.py:net"], "there is no file no.py"),
        (["images", "--min-dice", "3"], "min_dice=3: give a Dice of 0 to 1"),
        (["images", "--folds", "1"], "folds=1: give 2 or more"),
        (["images", "--seed", "-1"], '"-1" for --seed. Must be >= 0'),
        (["images", "--link"], "--link belongs to --write-clean"),
        (["images", "--out", "file"], "file: is a file; name another place with --out"),
        (["images", "--out", "file/deep"], "file is a file; name another place with --out"),
        (["images", "--out", "link"], "link: is a link that leads nowhere; name another place with --out"),
        (["images", "--out", "images/found"], "images/found: lies in the data"),
        (["images", "--write-clean", "full"], "full: is not empty"),
        (["images", "--write-clean", "file"], "file: is a file; name another place with --write-clean"),
        (["images", "--write-clean", "images/clean"], "images/clean: lies in the data"),
        (["images", "--write-clean", "audit-images"], "--write-clean audit-images: is where the audit goes"),
        (
            ["images", "--out", "a/b/audit", "--write-clean", "a/b"],
            "--out a/b/audit: lies in the new folder of --w",
        ),
        (["images", "--out", "a", "--write-clean", "a/x/../b"], "--write-clean a/x/../b: lies in --out a, where the"),
        (["images", "--write-clean", "cache/.."], "--out audit-images: lies in the new folder of --write-clean"),
        (["images", "--write-clean", "cache"], "--cache cache: lies in the new folder of --write-clean cache; name"),
        (["images", "--out", "taken"], "taken/labels.csv: is a folder; name another place with --out"),
        (["list.csv", "--write-clean", "clean", "--link"], "a manifest is not a folder to link; leave --link out"),
        (["images", "--decisions", "none.json"], "none.json: cannot read the decisions"),
        (["images", "--decisions", "decisions.json"], "decisions.json: not a decisions file"),
    ],
)
def test_a_mistake_is_one_line(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert words in told(capsys, "audit", *arguments, "--cache", "cache")
    assert not Path("audit-images").exists()
    assert not Path("clean").exists()


def run(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> list[str]:
    """The lines on stdout, or on stderr where it went wrong."""
    with pytest.raises(SystemExit) as left:
        main(["audit", *arguments])
    out, err = capsys.readouterr()
    assert left.value.code == code, err
    return (err if code else out).splitlines()


def test_what_the_rule_cannot_know_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """Labels that nobody judged, and contradictions that the order of names decides."""
    random = np.random.default_rng(0)
    for i, pixels in enumerate(random.integers(0, 256, (12, 48, 48), dtype=np.uint8)):
        for name in ("cat", "dog") if i < 2 else (("cat", "dog")[i % 2],):
            save(Path("pets", name, f"{i}.png"), pixels)
    lines = run(capsys, "pets", "--cache", "cache")
    assert "labels were not judged: --labels cv looks for wrong ones" in lines
    assert (
        "dropped for contradicting a near-duplicate: 2; 2 of them were ties that only the names decided; which of two "
        "is right the rule cannot know: decide on the page, and give --decisions"
    ) in lines


def test_what_is_dropped_for_a_contradiction_is_counted_with_its_copies(capsys: pytest.CaptureFixture[str]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (12, 48, 48), dtype=np.uint8)
    for name in ("ant/a", "ant/b", "cat/c", "cat/d", "cat/e", "bee/f", "bee/g"):
        save(Path("pets", f"{name}.png"), pixels[0 if name[:3] != "bee" else 1])
    for i in range(2, 12):
        save(Path("pets", ("ant", "cat", "bee")[i % 3], f"z{i}.png"), pixels[i])
    lines = run(capsys, "pets", "--cache", "cache")
    assert "the cleaning rule keeps 12 and drops 5; nothing was deleted" in lines
    assert any(line.startswith("dropped for contradicting a near-duplicate: 2; which of two") for line in lines)
    found = AuditRecord.read("audit-pets/findings.json")
    assert {image.name: image.why for image in found.images if not image.keep} == {
        "ant/a.png": "contradicts cat/c.png",
        "ant/b.png": "copy of ant/a.png, which contradicts cat/c.png",
        "bee/g.png": "copy of bee/f.png",
        "cat/d.png": "copy of cat/c.png",
        "cat/e.png": "copy of cat/c.png",
    }
    assert (found.summary.contradicting, found.summary.ties) == (2, 0)


def test_a_folder_that_may_not_be_written_is_told_before_the_reading(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda place, mode: Path(place).name != "full")
    for option in ("--out", "--write-clean", "--cache"):
        line = told(capsys, "audit", "images", option, "full/deep")
        assert f"may not be written; name another place with {option}" in line


def test_an_audit_from_within_the_data_goes_beside_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path / "images")
    for _ in range(2):
        assert run(capsys, ".")[-1] == "open ../audit-images/audit.html"
    assert sorted(p.name for p in Path().iterdir()) == ["0.png", "1.png", "2.png"]


def test_unusable_images_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(tmp_path / "images" / "3.png", np.full((20, 30), 9, np.uint8))
    (tmp_path / "images" / "4\x1b[31m.png").write_bytes(b"")
    lines = run(capsys, "images", "--cache", "cache", "--write-clean", "clean")
    assert "5 images; near-duplicates up to distance 0.35 (the usual one)" in lines
    assert "1 unreadable and 1 constant image" in lines
    assert "unusable: 3.png: every pixel has the same value" in lines
    assert r"unusable: '4\x1b[31m.png': empty file" in lines
    assert not any("\x1b" in line for line in lines)
    assert "what to keep: clean/keep.txt" in lines


def test_a_stop_while_pictures_are_drawn_leaves_the_files_of_one_audit(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(capsys, "images")
    before = {p.name: p.read_bytes() for p in Path("audit-images").iterdir()}

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("plexus.audit.pictures", stop)
    assert run(capsys, "images", "--seed", "3", code=130)[-1:] == ["plexus: stopped"]
    assert {p.name: p.read_bytes() for p in Path("audit-images").iterdir()} == before


def test_a_page_that_cannot_be_written_leaves_the_files_of_one_audit(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(capsys, "images")
    before = {p.name: p.read_bytes() for p in Path("audit-images").iterdir()}
    sync = os.fsync

    def full(file: int) -> None:
        if os.readlink(f"/proc/self/fd/{file}").rpartition("/")[2].startswith(".audit.html"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        sync(file)

    monkeypatch.setattr("os.fsync", full)
    (line,) = run(capsys, "images", "--seed", "3", code=2)[-1:]
    assert line.startswith("plexus: audit-images/audit.html: cannot write: Input/output error")
    assert {p.name: p.read_bytes() for p in Path("audit-images").iterdir()} == before


def scans(count: int = 8, masked: int = 8) -> None:
    """Images of speckle, some of them with a mask of 0, 1 and, for what nobody judged, 255."""
    for i, pixels in enumerate(np.random.default_rng(1).integers(0, 256, (count, 48, 64), dtype=np.uint8)):
        save(Path("scans", f"{i}.png"), pixels)
        mask = np.zeros((48, 64), np.uint8)
        mask[5:20, 5:20], mask[30:] = 1, 255
        if i < masked:
            save(Path("scans", f"{i}_mask.png"), mask)


def test_a_value_to_ignore_reaches_the_masks_and_the_record(capsys: pytest.CaptureFixture[str]) -> None:
    scans()
    lines = run(capsys, "scans", "--cache", "cache", "--ignore", "255")
    assert "the cleaning rule keeps all" in lines
    assert "note: pixels of value 255 in masks are ignored" in lines
    found = AuditRecord.read("audit-scans/findings.json")
    assert found.settings.ignore == 255
    assert {image.area for image in found.images} == {0.073242}  # 15 * 15 of 48 * 64 pixels
    lines = run(capsys, "scans", "--cache", "cache")
    assert "8 unreadable" in lines
    assert AuditRecord.read("audit-scans/findings.json").settings.ignore is None


def trained(lines: list[str]) -> list[str]:
    return [line.removeprefix("to train on it: ") for line in lines if line.startswith("to train on it: ")]


def test_how_to_train_on_the_cleaned_set_is_told_with_what_the_table_cannot_say(
    capsys: pytest.CaptureFixture[str],
) -> None:
    scans(masked=4)
    options = ("--cache", "cache", "--ignore", "255", "--missing-mask", "empty", "--write-clean", "clean")
    lines = run(capsys, "scans", *options)
    assert trained(lines) == ["plexus segment train clean/clean.csv --missing-mask empty --ignore 255"]
    again = open_samples("clean/clean.csv", missing_mask="empty", ignore=255)
    labels = read_labels(again)
    assert (labels.present, labels.problems) == ((True,) * 4 + (False,) * 4, ())
    lines = run(capsys, "images", "--cache", "cache", "--write-clean", "bare")
    assert trained(lines) == []  # without a class or a mask there is nothing to learn
    assert "as a table: bare/clean.csv" in lines


def test_classes_are_trained_on_by_fit(capsys: pytest.CaptureFixture[str]) -> None:
    for i, pixels in enumerate(np.random.default_rng(1).integers(0, 256, (8, 48, 64), dtype=np.uint8)):
        save(Path("pets", "cat" if i % 2 else "dog", f"{i}.png"), pixels)
    assert trained(run(capsys, "pets", "--cache", "cache", "--write-clean", "c d")) == ["plexus fit 'c d/clean.csv'"]


def test_groups_that_given_splits_tear_are_told_on_every_surface(capsys: pytest.CaptureFixture[str]) -> None:
    for i, pixels in enumerate(np.random.default_rng(1).integers(0, 256, (14, 48, 64), dtype=np.uint8)):
        save(Path("scans", "test" if i % 2 else "train", f"p{i // 2}-{i}.png"), pixels)
    Path("scans", "test", "p6-13.png").rename(Path("scans", "train", "p6-13.png"))
    lines = run(capsys, "scans", "--cache", "cache", "--group-from", r"^(p\d)-")
    told = "7 groups, 6 of them in several of the data's own splits (first: p0)"
    assert f"note: {told}" in lines
    found = AuditRecord.read("audit-scans/findings.json")
    assert (found.summary.leaks, found.summary.torn_groups) == (0, 6)
    page = render(found)
    assert "and 6 groups in several" in page
    assert "7 groups, 6 of them in several of the data" in page
    run(capsys, "scans", "--cache", "cache")
    assert AuditRecord.read("audit-scans/findings.json").summary.torn_groups is None  # without groups nobody knows
