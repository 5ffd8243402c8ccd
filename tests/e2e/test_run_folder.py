"""What a fit leaves: a record, a wiring, and models that work without plexus."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from plexus.graph import Wiring
from plexus.record import FitRecord
from tests.e2e.commands import plexus
from tests.e2e.conftest import CLASSES

pytestmark = pytest.mark.e2e


def test_the_record_is_complete(trained: Path) -> None:
    record: Any = FitRecord.read(trained / "record.json")
    assert record.finished
    empty = {part for part, value in record.to_dict().items() if value in ([], {}, "", None)}
    assert empty <= {"mistakes", "teacher", "front", "then", "gap"}  # the last two are of earlier versions
    assert record.command.startswith("plexus fit images --legos legos.py:three")
    assert record.data.classes == sorted(CLASSES)
    assert record.data.counts == {"train": 41, "val": 7, "test": 12}
    assert [(row.name, row.accuracy is None) for row in record.results] == [("final", False), ("uncut", True)]
    assert sum(map(sum, record.confusion)) == 12
    right = sum(row[k] for k, row in enumerate(record.confusion))
    final = record.results[0]
    assert final.accuracy == right / 12
    assert final.kb == (trained / "model.onnx").stat().st_size / 1000
    assert final.latency_ms > 0
    assert record.nodes == ["input", "lego1", "lego2", "lego3", "head"]
    keeps = [budget.edges for budget in record.budgets]
    assert keeps == sorted(keeps, reverse=True)
    assert len(record.edges) == 9
    assert record.budgets[0].edges == sum(edge.kept for edge in record.edges)
    assert record.plan.edges == 2 <= record.budgets[0].edges <= 3  # as few as leave every layer an input


def test_gates_are_recorded_every_epoch_and_end_at_0_where_cut(trained: Path) -> None:
    record: Any = FitRecord.read(trained / "record.json")
    assert [(e.phase, e.epoch) for e in record.epochs] == [("fit", k) for k in range(4)]
    gates = [e.gates for e in record.epochs]
    assert all(len(one) == len(record.edges) for one in gates)
    kept = [edge.kept for edge in record.edges]
    assert [gate > 0 for gate in gates[0]] == [True] * 9
    there = [sum(gate != 0 for gate in one) for one in gates]
    assert there == sorted(there, reverse=True)  # what is cut stays cut
    assert all(gate != 0 for gate, stays in zip(gates[-1], kept, strict=True) if stays)


def test_the_wiring_is_the_chosen_budget(trained: Path) -> None:
    record: Any = FitRecord.read(trained / "record.json")
    assert record.chosen is not None
    wiring = Wiring.from_json((trained / "wiring.json").read_text())
    kept = [(e.source, e.target) for e in record.edges if e.kept]
    assert [e[:2] for e in wiring.edges] == kept
    assert [record.edges[k].kept for k in record.budgets[record.chosen].kept] == [True] * len(kept)
    assert len(kept) <= 0.3 * 9 + 1  # every layer keeps its strongest input


STRANGER = """
import sys, torch
sys.path.insert(0, sys.argv[1])
import model
assert model.CLASSES == eval(sys.argv[2])
net = model.load(sys.argv[1] + "/model.safetensors")
pixels = torch.load(sys.argv[1] + "/pixels.pt", weights_only=True)
torch.save(net(pixels).detach(), sys.argv[1] + "/logits.pt")
print(sorted({"plexus", "lightning", "numba"} & sys.modules.keys()))
"""


@pytest.mark.parametrize("count", [1, 5])
def test_the_models_agree_without_plexus(trained: Path, count: int) -> None:
    pixels = torch.randint(0, 256, (count, 3, 16, 16), generator=torch.Generator().manual_seed(count)).float()
    torch.save(pixels, trained / "pixels.pt")
    code = [sys.executable, "-c", STRANGER, str(trained), repr(sorted(CLASSES))]
    done = subprocess.run(code, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
    logits = torch.load(trained / "logits.pt", weights_only=True)
    session = onnxruntime.InferenceSession(trained / "model.onnx", providers=["CPUExecutionProvider"])
    (onnx,) = session.run(None, {"pixels": pixels.numpy()})
    torch.testing.assert_close(torch.from_numpy(onnx), logits, rtol=1e-5, atol=1e-5)
    assert logits.shape == (count, 2)


def test_the_models_hold_the_weights_of_the_training(trained: Path) -> None:
    last = load_file(trained / "checkpoints" / "fit" / "weights.safetensors")
    learned = {value.numpy().tobytes() for value in last.values()}
    handed = load_file(trained / "model.safetensors")
    assert {"pixel_mean", "pixel_std"} < handed.keys()
    whole = [name for name in handed if name.endswith(("running_mean", "running_var"))]
    assert len(whole) >= 2
    assert all(handed[name].numpy().tobytes() in learned for name in whole)


def test_logs_and_page_are_there(trained: Path) -> None:
    (figures,) = (trained / "logs" / "fit").glob("from-*/metrics.csv")
    assert "val_accuracy" in figures.read_text().splitlines()[0]
    assert list((trained / "logs" / "fit" / "board").glob("events.out.tfevents.*"))
    page = (trained / "report.html").read_text()
    assert "<img src=x" not in page
    assert CLASSES[1] not in page


def test_predict_prints_a_line_for_each_image(place: Path, trained: Path) -> None:
    images = [place / "images" / name / "0.png" for name in CLASSES]
    done = plexus("predict", trained, *images, folder=place)
    assert done.code == 0, done.err
    labels = [line.split("\t")[1] for line in done.out.splitlines()]
    assert labels == [CLASSES[0], CLASSES[1].replace("\n", "\\n")]
    done = plexus("predict", trained, "--json", *images, folder=place)
    found = json.loads(done.out)
    assert [entry["label"] for entry in found] == list(CLASSES)
    assert [sum(entry["probabilities"].values()) for entry in found] == pytest.approx([1, 1])
    (place / "broken.png").write_bytes(b"no image")
    done = plexus("predict", trained, "broken.png", folder=place)
    assert (done.code, "broken.png" in done.err, len(done.err.splitlines())) == (2, True, 1)


def test_prune_cuts_further(place: Path) -> None:
    options = ("--legos", "legos.py:three", "--epochs", 4, "--batch-size", 8, "--keep", ".8")
    assert plexus("fit", "images", *options, "--run", "wide", folder=place).code == 0
    wide = place / "wide"
    before = {file: file.read_bytes() for file in wide.rglob("*") if file.is_file()}
    done = plexus("prune", wide, "--keep", ".5", "--run", "pruned", folder=place)
    assert done.code == 0, done.err
    run = place / "pruned"
    old, record = (FitRecord.read(folder / "record.json") for folder in (wide, run))
    kept, had = ({(e.source, e.target) for e in each.edges if e.kept} for each in (record, old))
    assert (len(had), len(kept)) == (7, 4)
    assert kept < had
    assert (record.finished, record.config["keep"], record.plan.edges) == (True, 0.5, 4)
    assert [(e.phase, e.epoch) for e in record.epochs] == [("fit", 2), ("fit", 3)]
    start = run / "checkpoints" / "start" / "weights.safetensors"
    assert start.read_bytes() == (wide / "checkpoints" / "fit" / "weights.safetensors").read_bytes()
    assert {file: file.read_bytes() for file in wide.rglob("*") if file.is_file()} == before
    done = plexus("prune", wide, "--keep", ".9", "--run", "idle", folder=place)
    assert (done.code, "nothing would be cut" in done.err, (place / "idle").exists()) == (2, True, False)


def test_digits_are_told_apart(place: Path) -> None:
    done = plexus(
        "fit", "--epochs", 8, "--limit", 600, "--width", 16, "--run", "digits", folder=place
    )  # fmt: skip
    assert done.code == 0, done.err
    record: Any = FitRecord.read(place / "digits" / "record.json")
    final, uncut = record.results
    assert (final.name, uncut.name) == ("final", "uncut")
    assert final.parameters < 0.8 * uncut.parameters
    assert final.macs < 0.8 * uncut.macs
    maps = [edge.maps for edge in record.edges]
    assert [kept > 0 for kept, _ in maps] == [edge.kept for edge in record.edges]
    assert sum(kept for kept, _ in maps) == record.budgets[0].edges < 0.9 * sum(whole for _, whole in maps)
    from plexus.data import load

    test = load("digits", limit=600).test
    images = []
    for k in range(30):
        images.append(place / f"digit{k}.png")
        Image.fromarray(test.images[k, 0].numpy().astype(np.uint8)).save(images[-1])
    found = json.loads(plexus("predict", "digits", "--json", *images, folder=place).out)
    right = sum(entry["label"] == record.data.classes[label] for entry, label in zip(found, test.labels, strict=False))
    assert right / 30 >= record.results[0].ci[0] - 0.1
    assert right >= 20
