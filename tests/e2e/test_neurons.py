"""Other neurons through the whole command line: the run, its page, its files, another budget, another start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

from plexus.record import FitRecord
from tests.e2e.commands import plexus

pytestmark = pytest.mark.e2e

LOADING = """
import sys
import torch
from model import CLASSES, load
pixels = torch.load("pixels.pt", weights_only=True)
torch.save(load()(pixels).detach(), "logits.pt")
print(sorted(name for name in sys.modules if name.split(".")[0] == "plexus"))
"""


@pytest.fixture(scope="module")
def turning(place: Path) -> Path:
    options = ("--neuron", "rot8", "--last", 1, "--epochs", 4, "--width", 8, "--limit", 400)
    done = plexus("fit", "digits", *options, "--run", "turning", folder=place)
    assert done.code == 0, done.err
    return place / "turning"


def test_the_record_and_the_page_name_the_neurons(turning: Path) -> None:
    record = FitRecord.read(turning / "record.json")
    assert (record.config["neuron"], record.config["last"], record.config["dense"]) == ("rot8", 1, "plain")
    assert [name for name, label in record.labels.items() if label.startswith("rot8 conv")] == ["lego9"]
    assert record.results[0].neurons == "rot8 in 1 of 9 convolutions"
    page = (turning / "report.html").read_text()
    assert page.count(", rot8 in 1 of 9 convolutions</th>") == 1  # the uncut net was not tested
    assert "rot8 conv 3x3, 8 maps" in page
    final, uncut = record.results
    assert (final.parameters, final.macs) == (uncut.parameters, uncut.macs)  # as in plain nets that sum


def test_the_model_stands_alone_and_says_what_predict_says(turning: Path) -> None:
    pixels = load_digits().images[:6] / 16 * 255
    for k, image in enumerate(pixels):
        Image.fromarray(image.round().astype(np.uint8)).save(turning / f"{k}.png")
    read = torch.stack([torch.from_numpy(np.array(Image.open(turning / f"{k}.png"))) for k in range(6)])
    torch.save(read[:, None].float(), turning / "pixels.pt")
    done = subprocess.run([sys.executable, "-c", LOADING], cwd=turning, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
    likely = torch.load(turning / "logits.pt", weights_only=True).softmax(1).max(1)
    said = plexus("predict", ".", *(f"{k}.png" for k in range(6)), folder=turning)
    assert said.code == 0, said.err
    lines = [line.split("\t") for line in said.out.splitlines()]
    assert [line[1] for line in lines] == [str(k) for k in likely.indices.tolist()]
    assert [float(line[2]) for line in lines] == pytest.approx(likely.values.tolist(), abs=6e-4)


def test_another_budget_keeps_the_neurons(turning: Path) -> None:
    done = plexus("prune", "turning", "--keep", ".2", "--run", "again", folder=turning.parent)
    assert done.code == 0, done.err
    record = FitRecord.read(turning.parent / "again" / "record.json")
    assert record.finished
    assert record.results[0].neurons == "rot8 in 1 of 9 convolutions"


def test_a_run_of_unit_neurons_that_was_killed_goes_on(place: Path) -> None:
    options = ("--legos", "legos.py:three", "--epochs", 3, "--batch-size", 8, "--merge", "concat")
    kinds = ("--neuron", "unit", "--dense", "unit")
    done = plexus("fit", "images", *options, *kinds, "--run", "unit", folder=place, fault=("step", 12))
    assert done.code == -9, done.err
    assert plexus("fit", "--resume", "unit", folder=place).code == 0
    record = FitRecord.read(place / "unit" / "record.json")
    assert record.results[0].neurons == "unit in 3 of 3 convolutions, unit in 1 of 1 dense layers"
    assert "Unit" not in (place / "unit" / "model.py").read_text()
