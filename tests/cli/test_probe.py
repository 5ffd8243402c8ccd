"""Mistakes when probing: one line that names the thing, exit code 2, and nothing is made."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from plexus.cli import main
from tests.cli.test_mistakes import told

MODELS = """
import torch
from torch import nn

def ten():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))

def three():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 3))

def colour():
    return nn.Sequential(nn.Conv2d(3, 10, 8), nn.Flatten())

def none():
    return 3

def failing():
    raise ZeroDivisionError("too\\nfew")

class Stopped(nn.Flatten):
    def forward(self, x):
        if len(x) > 1:  # not yet at the single image that is tried first
            raise KeyboardInterrupt
        return super().forward(x)[:, :10]

def stopped():
    return Stopped()
"""


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nets.py").write_text(MODELS)
    (tmp_path / "broken.onnx").write_bytes(b"not a model")
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / "note.txt").write_text("no run")
    save_file({"weight": torch.zeros(1)}, tmp_path / "other.safetensors")
    for kind in ("cat", "dog"):
        (tmp_path / "wide" / kind).mkdir(parents=True)
        for i in range(8):
            Image.new("L", (12, 8), 20 * i).save(tmp_path / "wide" / kind / f"{i}.png")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "name a model and data: plexus probe RUN|MODEL... DATA"),
        (["nets.py:ten"], "name a model and data"),
        (["nowhere", "digits"], "nowhere: neither a run folder, nor an .onnx file, nor FILE.py:function"),
        (["begun", "digits"], "begun: neither a run folder"),
        (["begun/note.txt", "digits"], "begun/note.txt: neither a run folder"),
        (["nowhere.onnx", "digits"], "nowhere.onnx: there is no such file"),
        (["broken.onnx", "digits"], "broken.onnx: cannot be loaded"),
        (["nowhere.py:net", "digits"], "there is no file nowhere.py"),
        (["nets.py:missing", "digits"], "nets.py has no function missing"),
        (["nets.py:none", "digits"], "none() must return a torch module, got int"),
        (["nets.py:failing", "digits"], "failing() of nets.py raised ZeroDivisionError: too few"),
        (["nets.py:ten+nowhere.safetensors", "digits"], "cannot load nowhere.safetensors"),
        (["nets.py:ten+other.safetensors", "digits"], "cannot load other.safetensors"),
        (["nets.py:ten+broken.onnx", "digits"], "cannot load broken.onnx"),
        (["nets.py:ten", "nowhere"], "nowhere: no such folder"),
        (["nets.py:three", "digits"], "nets.py:three: gives (1, 3) for one image; expected (1, 10)"),
        (["nets.py:colour", "digits"], "nets.py:colour: cannot take images (1, 8, 8)"),
        (["nets.py:ten", "wide"], "wide: images of 8x12 cannot be turned; give --size"),
        (["nets.py:ten", "digits", "--angles", "0"], "--angles 0: give the degrees between two angles"),
        (["nets.py:ten", "digits", "--angles", "many"], "--angles"),
        (["nets.py:ten", "digits", "--images", "0"], "--images 0: give 1 or more"),
        (["nets.py:ten", "digits", "--batch-size", "-2"], "--batch-size -2: give 1 or more"),
        (["nets.py:ten", "digits", "--std", "0"], "--std 0: give a number above 0"),
        (["nets.py:ten", "digits", "--seed", "-1"], '"-1" for --seed. Must be >= 0'),
        (["nets.py:ten", "digits", "--seed", str(2**63)], "for --seed. Must be <= 9223372036854775807"),
        (["nets.py:ten", "digits", "--mask", "square"], "--mask"),
        (["nets.py:ten", "digits", "--out", "nets.py"], "nets.py: is a file; name another place with --out"),
        (["nets.py:ten", "digits", "--degrees", "3"], "--degrees"),
    ],
)
def test_it_is_told_in_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: list[str], words: str
) -> None:
    before = sorted(tmp_path.rglob("*"))
    assert words in told(capsys, "probe", *arguments)
    assert [p for p in sorted(tmp_path.rglob("*")) if p not in before and "__pycache__" not in p.parts] == []


def test_a_stop_leaves_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as left:
        main(["probe", "nets.py:stopped", "digits", "--out", "out"])
    assert left.value.code == 130
    assert capsys.readouterr().err.endswith("\nplexus: stopped\n")
    assert not (tmp_path / "out").exists()


def figures(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, dict[str, dict[str, float]]]:
    """What --json prints of each model."""
    with pytest.raises(SystemExit) as left:
        main(["probe", *arguments, "--angles", "90", "--images", "60", "--json"])
    assert left.value.code == 0
    models: dict[str, dict[str, dict[str, float]]] = json.loads(capsys.readouterr().out)["models"]
    return models


def test_weights_and_scale_reach_the_model(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    linear = nn.Linear(64, 10)
    save_file({"1.weight": linear.weight.detach() * 0 + 1, "1.bias": torch.arange(10.0)}, tmp_path / "w.safetensors")
    plain = figures(capsys, "nets.py:ten", "digits")["ten"]
    loaded = figures(capsys, "nets.py:ten+w.safetensors", "digits")["w"]
    assert plain["upright"]["accuracy"] != loaded["upright"]["accuracy"]
    assert loaded["exact"]["agreement"] == 1  # equal weights see no turn, and always say 9
    scaled = figures(capsys, "nets.py:ten+w.safetensors", "digits", "--mean", "3", "--std", "1e9")["w"]
    biases = torch.arange(10.0).softmax(0)
    right = loaded["upright"]["accuracy"]  # the share of nines
    assert scaled["upright"]["accuracy"] == right
    assert abs(scaled["upright"]["probability"] - float(biases.mean())) < 0.05
    assert (tmp_path / "probe-digits" / "rotation.html").is_file()


def test_two_models_of_one_name_are_told_apart(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(figures(capsys, "nets.py:ten", "nets.py:ten", "digits")) == ["nets.py:ten (1)", "nets.py:ten (2)"]
