"""Mistakes when auditing: one line that names the thing, exit code 2, and nothing is made."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from plexus.cli import main
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
    assert any(line.startswith("dropped for contradicting a near-duplicate: 2; which of two") for line in lines)


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
