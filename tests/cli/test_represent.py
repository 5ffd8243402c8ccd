"""`plexus represent`: options reach the config; a mistake is one line and exit code 2, and nothing is made."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from PIL import Image

from plexus.cli import main
from plexus.represent import RepresentConfig


def left(*arguments: object) -> int:
    with pytest.raises(SystemExit) as done:
        main([str(a) for a in arguments])
    assert isinstance(done.value.code, int)
    return done.value.code


def told(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one line on stderr."""
    assert left("represent", *arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("plexus: ")
    assert err.count("\n") == 1
    return err


def test_options_reach_the_config(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("width: 8\nlabels: 5\n")
    options = ("--classes", "a", "b", "--dim", 9, "--balance", 0.5, "--no-onnx", "--config", tmp_path / "c.yaml")
    assert left("represent", "train", "photos", *options, "--print-config") == 0
    shown = yaml.safe_load(capsys.readouterr().out)
    expected = RepresentConfig(data="photos", classes=("a", "b"), dim=9, balance=0.5, onnx=False, width=8, labels="5")
    assert RepresentConfig.from_mapping(shown) == expected


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("train", "digits", "--balance", 1.5), "balance=1.5 must be a share, 0"),
        (("train", "digits", "--dim", 0, "--labels", "some"), "labels='some' must be all, none"),
        (("train", "digits", "--dim", 65), "dim=65 must be between 1 and the 64 numbers of an image"),
        (("train", "digits", "--classes", "0", "ten"), "'ten' is none of digits"),
        (("train", "digits", "--labels", 1000), "asks for 1000 images of each class"),
        (("train", "digits", "--wiring", "none.json"), "name a wiring.json, or learn"),
        (("train", "--resume", "nowhere"), "not a run folder"),
        (("embed", "nowhere", "digits"), "not a run folder"),
        (("embed", "nowhere"), "name at least one image or folder"),
        (("search", "nowhere", "a.png", "digits"), "not a run folder"),
        (("vary", "nowhere", "a.png", "--steps", 4), "steps=4 must be odd"),
        (("fewshot", "nowhere", "digits", "--ways", 1), "ways=1 must be at least 2"),
        (("probe", "nowhere", "digits"), "not a run folder"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(
    arguments: tuple[object, ...], said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert said in told(capsys, *arguments)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_from_images_to_a_page_and_back(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    options = ("--epochs", 1, "--dim", 4, "--width", 4, "--limit", 200, "--no-onnx", "--classes", *"012345678")
    assert left("represent", "train", "digits", *options, "--run", "z") == 0
    assert "pixel variance left unexplained" in capsys.readouterr().out
    page = Path("z/report.html").read_text()
    assert left("represent", "embed", "z", "digits") == 0
    assert left("represent", "embed", "z", "digits") == 2  # nothing is overwritten
    assert left("represent", "fewshot", "z", "digits", "--json") == 2  # one class is left
    frames = [Image.new("L", (8, 8), level) for level in (9, 90)]
    frames[0].save("a.gif", save_all=True, append_images=frames[1:])
    capsys.readouterr()
    for arguments in (
        ("embed", "z", "a.gif", "--out", "a.parquet"),
        ("search", "z", "a.gif", "digits"),
        ("vary", "z", "a.gif"),
    ):
        assert left("represent", *arguments) == 0
        assert "note    1 file holds several frames: the first is read (first: a.gif)\n" in capsys.readouterr().err
    assert left("represent", "probe", "z", "digits", "--json") == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["dim"] == 4
    assert "The trade-off" in Path("z/report.html").read_text()
    assert "The trade-off" not in page
    Path("z/report.html").unlink()
    assert left("report", "z") == 0
    assert "The trade-off" in Path("z/report.html").read_text()
