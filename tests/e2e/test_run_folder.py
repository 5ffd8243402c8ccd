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
    assert [
        part for part, value in record.to_dict().items() if value in ([], {}, "", None) and part != "mistakes"
    ] == []
    assert record.command.startswith("plexus fit images --legos legos.py:three")
    assert record.data.classes == sorted(CLASSES)
    assert record.data.counts == {"train": 41, "val": 7, "test": 12}
    assert [row.name for row in record.results] == ["chain", "supernet", "pruned", "final"]
    assert sum(map(sum, record.confusion)) == 12
    right = sum(row[k] for k, row in enumerate(record.confusion))
    assert record.results[-1].accuracy == right / 12
    assert record.nodes == ["input", "lego1", "lego2", "lego3", "head"]
    keeps = [budget.edges for budget in record.budgets]
    assert keeps == sorted(keeps, reverse=True)
    assert record.budgets[0].edges == len(record.edges) == 9


def test_gates_are_recorded_every_epoch_and_end_at_0_where_cut(trained: Path) -> None:
    record: Any = FitRecord.read(trained / "record.json")
    phases = [(e.phase, e.epoch) for e in record.epochs]
    assert phases == [
        *(("chain", k) for k in range(4)),
        ("learn", 0),
        *(("supernet", k) for k in (1, 2, 3)),
        ("learn", 1),
        ("learn", 2),
        ("final", 3),
    ]
    learning = [e.gates for e in record.epochs if e.phase == "learn"]
    assert all(len(gates) == len(record.edges) for gates in learning)
    kept = [edge.kept for edge in record.edges]
    assert [gate > 0 for gate in learning[0]] == [True] * 9
    assert [gate != 0 for gate in learning[-1]] == kept
    assert not any(e.gates for e in record.epochs if e.phase in ("chain", "final"))


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


def test_the_models_hold_the_weights_of_the_last_phase(trained: Path) -> None:
    last = load_file(trained / "checkpoints" / "final" / "weights.safetensors")
    handed = load_file(trained / "model.safetensors")
    assert handed.keys() == last.keys() | {"pixel_mean", "pixel_std"}
    assert all(torch.equal(handed[name], last[name]) for name in last)


def test_logs_and_page_are_there(trained: Path) -> None:
    for phase in ("chain", "learn", "supernet", "anneal", "final"):
        (figures,) = (trained / "logs" / phase).glob("from-*/metrics.csv")
        assert "val_accuracy" in figures.read_text().splitlines()[0]
        assert list((trained / "logs" / phase / "board").glob("events.out.tfevents.*"))
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


def test_prune_cuts_to_another_budget(place: Path, trained: Path) -> None:
    before = {file: file.read_bytes() for file in trained.rglob("*") if file.is_file()}
    done = plexus("prune", trained, "--keep", ".7", "--run", "pruned", "--then", "retrain", folder=place)
    assert done.code == 0, done.err
    run = place / "pruned"
    record: Any = FitRecord.read(run / "record.json")
    assert sum(e.kept for e in record.edges) == 6
    assert (record.finished, record.then, record.config["keep"]) == (True, "retrain", 0.7)
    for phase in ("chain", "learn", "supernet"):
        weights = f"checkpoints/{phase}/weights.safetensors"
        assert (run / weights).read_bytes() == (trained / weights).read_bytes()
        assert f"\n{phase} " not in f"\n{done.err}".replace("learn    epoch   2", "").replace("learn    epoch   3", "")
    assert {file: file.read_bytes() for file in trained.rglob("*") if file.is_file()} == before


def test_digits_are_told_apart(place: Path) -> None:
    done = plexus(
        "fit", "--epochs", 6, "--no-controls", "--limit", 600, "--width", 8, "--run", "digits", folder=place
    )  # fmt: skip
    assert done.code == 0, done.err
    record: Any = FitRecord.read(place / "digits" / "record.json")
    sizes = [row.parameters for row in record.results]
    assert max(sizes) <= 1.01 * min(sizes)
    assert [row.name for row in record.results] == ["supernet", "pruned", "final"]
    from plexus.data import load

    test = load("digits", limit=600).test
    images = []
    for k in range(30):
        images.append(place / f"digit{k}.png")
        Image.fromarray(test.images[k, 0].numpy().astype(np.uint8)).save(images[-1])
    found = json.loads(plexus("predict", "digits", "--json", *images, folder=place).out)
    right = sum(entry["label"] == record.data.classes[label] for entry, label in zip(found, test.labels, strict=False))
    assert right / 30 >= record.results[-1].ci[0] - 0.1
    assert right >= 20
