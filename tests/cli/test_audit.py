"""Mistakes when auditing: one line that names the thing, exit code 2, and nothing is made."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.audit.speckle import save
from tests.cli.test_mistakes import told


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for i in range(3):
        save(tmp_path / "images" / f"{i}.png", np.random.default_rng(i).integers(0, 256, (20, 30), dtype=np.uint8))
    (tmp_path / "file").write_text("")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "note.txt").write_text("")
    (tmp_path / "decisions.json").write_text("{}")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "nowhere: "),
        (["images", "--threshold", "-1"], "threshold=-1: give a distance"),
        (["images", "--false-positive-rate", "2"], "false_positive_rate=2: give a share"),
        (["images", "--scope", "group"], "give --group-from REGEX"),
        (["images", "--group-from", "("], "("),
        (["images", "--fingerprint", "phash"], "--fingerprint phash: unknown; choose thumbnail, blockhist"),
        (["images", "--fingerprint", "no.py:net"], "there is no file no.py"),
        (["images", "--min-dice", "3"], "min_dice=3: give a Dice of 0 to 1"),
        (["images", "--folds", "1"], "folds=1: give 2 or more"),
        (["images", "--link"], "--link belongs to --write-clean"),
        (["images", "--out", "file"], "file: is a file; name a folder with --out"),
        (["images", "--write-clean", "full"], "full: is not empty"),
        (["images", "--decisions", "none.json"], "none.json: cannot read the decisions"),
        (["images", "--decisions", "decisions.json"], "decisions.json: not a decisions file"),
    ],
)
def test_a_mistake_is_one_line(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert words in told(capsys, "audit", *arguments, "--cache", "cache")
    assert not Path("audit-images").exists()
