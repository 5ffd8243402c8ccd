"""`plexus segment`: options reach the config; a mistake is one line and exit code 2, and nothing is made."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

import plexus.segment
from plexus.cli import main
from plexus.record import SegmentRecord
from plexus.segment import SegmentConfig
from tests.report.tasks import make_segment
from tests.segment.discs import write_discs


def left(*arguments: object) -> int:
    with pytest.raises(SystemExit) as done:
        main(["segment", *(str(a) for a in arguments)])
    assert isinstance(done.value.code, int)
    return done.value.code


def told(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one line on stderr."""
    assert left(*arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("plexus: ")
    assert err.count("\n") == 1
    return err


def test_options_reach_the_config(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("width: 8\nlr: 1e-2\n")
    options = ("--size", 96, 128, "--gate", 0.3, "--cv", 4, "--width", 6, "--flip", "--rotation", 0, "--no-onnx")
    assert left("train", "scans", *options, "--config", tmp_path / "c.yaml", "--print-config") == 0
    shown = yaml.safe_load(capsys.readouterr().out)
    expected = SegmentConfig(
        data="scans", size=(96, 128), gate="0.3", cv=4, width=6, lr=1e-2, flip=True, rotation=0.0, onnx=False
    )
    assert SegmentConfig.from_mapping(shown) == expected


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("train",), "name the data"),
        (("train", "no-such-place"), "no-such-place"),
        (("train", "x", "--gate", "perhaps", "--epochs", "0"), "epochs=0"),
        (("train", "--resume", "no-run", "--epochs", "3"), "leave the other options out"),
        (("train", "--resume", "no-run"), "not a run folder"),
        (("predict", "no-run", "a.png", "--out", "masks"), "not a run folder"),
        (("predict", "no-run", "--out", "masks"), "name at least one image or folder"),
        (("evaluate", "no-run", "data"), "not a run folder"),
        (("submit", "no-run", "a.png"), "not a run folder"),
    ],
)
def test_mistakes(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...],
    said: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert said in told(capsys, *arguments)
    assert not list(tmp_path.rglob("*.*"))


def test_devices_that_are_not_there(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    data = write_discs(tmp_path / "d", 8)
    line = told(capsys, "train", data, "--run", tmp_path / "run", "--strategy", "none-such")
    assert "strategy='none-such'" in line
    assert not (tmp_path / "run").exists()


def test_the_table_fits_80_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    share = {"mean": 0.625, "low": 0.5, "high": 0.75, "n": 9999}
    errors = {"false_positives": 9999, "negatives": 9999, "false_negatives": 9999, "positives": 9999}
    row = {"dice": share, "dice_present": share, "presence": errors}
    alone = row | {"dice": share | {"low": None, "high": None}, "dice_present": None}  # of one group
    results = {"none": alone, "expected": row}
    record = SegmentRecord.from_dict(make_segment(results=results, chosen="expected"))
    monkeypatch.setattr(plexus.segment, "evaluate", lambda *_, **__: record)
    assert left("evaluate", "run", "data", "--out", tmp_path) == 0
    heading, none, expected = capsys.readouterr().out.splitlines()[:3]
    assert heading.split("  ")[0] == "gate"
    assert none.split() == ["none", "0.625", "-", "-", "9999", "of", "9999", "9999", "of", "9999"]
    words = ["expected", "(chosen)", "0.625", "0.500-0.750", "0.625", "9999", "of", "9999", "9999", "of", "9999"]
    assert expected.split() == words
