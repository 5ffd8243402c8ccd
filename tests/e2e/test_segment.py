"""`plexus segment` from images to masks; stopped by hand, and gone on with to the same bits."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from PIL import Image

from tests.e2e.commands import Command, plexus
from tests.segment.discs import disc, write_discs

pytestmark = pytest.mark.e2e

OPTIONS = ("--width", 4, "--levels", 3, "--size", 32, "--batch-size", 8, "--epochs", 8, "--lr", 0.01, "--cv", 2,
           "--stem", 1, "--group-from", r"^p\d+")  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("segment")
    write_discs(folder / "scans", 32)
    write_discs(folder / "other", 8, first=100)
    return folder


@pytest.fixture(scope="module")
def trained(place: Path) -> Path:
    """A run that was never interrupted."""
    done = plexus("segment", "train", "scans", *OPTIONS, "--run", "whole", folder=place)
    assert done.code == 0, done.err
    assert "(chosen)" in done.out
    return place / "whole"


def record(run: Path, name: str = "record.json") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / name).read_text())
    return found


def test_a_run_learns_and_explains_itself(trained: Path) -> None:
    said = record(trained)
    assert said["finished"]
    assert said["results"]["none"]["dice_present"]["mean"] > 0.5
    assert (trained / "report.html").stat().st_size > 5_000
    for k in (0, 1):
        assert (trained / f"model-{k}.safetensors").is_file()
        session = onnxruntime.InferenceSession(str(trained / f"model-{k}.onnx"), providers=["CPUExecutionProvider"])
        pixels = disc(200, present=True)[0].astype(np.float32)[None, None]
        mask, presence = session.run(None, {"pixels": pixels})
        assert (mask.shape, presence.shape) == ((1, 1, 32, 32), (1,))


def test_the_page_is_written_again(trained: Path) -> None:
    page = trained / "report.html"
    before = page.read_bytes()
    page.unlink()
    done = plexus("report", trained.name, folder=trained.parent)
    assert (done.code, done.out) == (0, f"{trained.name}/report.html\n"), done.err
    assert page.read_bytes() == before


def test_stopped_by_hand_and_gone_on_with(place: Path, trained: Path) -> None:
    command = Command("segment", "train", "scans", *OPTIONS, "--run", "by hand", folder=place)
    for line in command.lines():
        if "fold 1  epoch 3 of" in line:
            command.interrupt()
            break
    stopped = command.wait()
    assert stopped.code == 130
    assert stopped.err.endswith("plexus: stopped; go on with `plexus segment train --resume 'by hand'`\n")
    assert "Traceback" not in stopped.err
    assert not record(place / "by hand")["finished"]
    done = plexus("segment", "train", "--resume", "by hand", folder=place)
    assert done.code == 0, done.err
    assert "fold 0  epoch" not in done.err
    for k in (0, 1):
        ours, theirs = ((run / f"model-{k}.safetensors").read_bytes() for run in (place / "by hand", trained))
        assert ours == theirs
    assert record(place / "by hand")["results"] == record(trained)["results"]


def test_masks_figures_and_run_lengths(place: Path, trained: Path) -> None:
    done = plexus("segment", "predict", trained, "other", "--out", "masks", "--flips", folder=place)
    assert (done.code, done.out) == (0, "masks\n"), done.err
    with (place / "masks" / "presence.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 8
    for row in rows:
        with Image.open(place / "masks" / f"{row['name']}_mask.png") as mask:
            assert mask.size == (32, 32)
    again = plexus("segment", "predict", trained, "other", "--out", "masks", folder=place)
    assert (again.code, again.err.count("\n")) == (2, 1)
    done = plexus("segment", "evaluate", trained, "other", folder=place)
    assert done.code == 0, done.err
    assert record(trained / "evaluation", "evaluation.json")["measured_on"] == "other"
    assert (trained / "evaluation" / "report.html").is_file()
    seen = plexus("segment", "evaluate", trained, "scans", "--out", "seen", folder=place)
    assert "32 of 32 images (first: p0-0.png) were in the run's training" in seen.err
    done = plexus("segment", "submit", trained, "other", folder=place)
    assert (done.code, done.out) == (0, "submission.csv\n"), done.err
    assert (place / "submission.csv").read_text().startswith("img,pixels\n")
