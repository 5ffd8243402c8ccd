"""What is printed cannot move the cursor, nor break a line, whatever the user's names are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from plexus.cli import main

ESCAPE = "\x1b[2J"


def run(*arguments: str) -> None:
    with pytest.raises(SystemExit) as left:
        main(list(arguments))
    assert not left.value.code


def test_an_audit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for name in (f"=cat{ESCAPE}/=A(1){ESCAPE}.png", f"=cat{ESCAPE}/2.png", "dog/3.png", "dog/4.png"):
        file = tmp_path / f"set{ESCAPE}" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (16, 16), dtype=np.uint8)).save(file)
    (tmp_path / f"set{ESCAPE}" / "dog" / f"broken{ESCAPE}.png").write_bytes(b"no image")
    run("audit", f"set{ESCAPE}", "--out", f"=out{ESCAPE}", "--folds", "2", "--write-clean", f"clean{ESCAPE}")
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err
    assert "unusable: " in out
    assert "what to keep: clean\\x1b[2J/keep.txt" in out
    assert out.endswith("open =out\\x1b[2J/audit.html\n")


def test_an_essay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    run("essay", "kleiber", "--picture", f"k{ESCAPE}.svg")
    assert capsys.readouterr().out.endswith("open k\\x1b[2J.svg\n")


def test_studies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / f"at{ESCAPE}" / "studies"
    folder.mkdir(parents=True)
    (folder / "toy.py").write_text(
        "from plexus.experiments import Scale, Study, Variant\n"
        f"STUDY = Study('toy', 'red{ESCAPE}?', 'a', (Variant('a'),), {{'quick': Scale(None, 1, 1)}}, 'digits', print)\n"
    )
    monkeypatch.chdir(folder.parent)
    run("study", "list")
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "red\\x1b[2J?" in out
    assert "at\\x1b[2J/studies" in out
