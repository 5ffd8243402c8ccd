"""Options that change what is trained, each on a run of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import onnxruntime
import pytest

from plexus.record import FitRecord
from tests.e2e.commands import plexus
from tests.e2e.conftest import SMALL

pytestmark = pytest.mark.e2e


def fitted(place: Path, name: str, *options: object) -> Any:
    done = plexus("fit", "images", *options, "--run", name, folder=place)
    assert done.code == 0, done.err
    record = FitRecord.read(place / name / "record.json")
    assert record.finished
    onnxruntime.InferenceSession(place / name / "model.onnx", providers=["CPUExecutionProvider"])
    return record


def test_max_params_is_met(place: Path) -> None:
    options = ("--legos", "legos.py:three", "--merge", "concat", "--gate", "channel", "--epochs", 3)
    record = fitted(place, "sized", *options, "--max-params", "0.7k", "--no-controls", "--precision", "bf16-mixed")
    assert record.config["keep"] is None
    whole, *_, final = record.results
    assert final.parameters <= 700 < whole.parameters
    assert all(len(e.gates) == len(record.edges) for e in record.epochs if e.phase == "learn")


def test_the_notes_own_procedure(place: Path) -> None:
    """No annealing, no penalty; blocks, flatten512, augmented, retrained."""
    options = ("--preset", "blocks", "--head", "flatten512", "--size", 32, "--augment", "--anneal", "off")
    record = fitted(place, "notes", *options, "--penalty", 0, "--then", "retrain", "--epochs", 3, "--no-controls")
    assert [(e.phase, e.epoch) for e in record.epochs] == [
        *(("learn", k) for k in (0, 1)),
        *(("final", k) for k in (0, 1, 2)),
    ]
    assert (record.then, record.config["augment"], record.data.in_shape) == ("retrain", True, [3, 32, 32])
    assert not (place / "notes" / "checkpoints" / "anneal").exists()
    final = {row.name: row for row in record.results}
    assert final["final"].parameters < final["supernet"].parameters


def test_an_impossible_budget_keeps_what_was_learned(place: Path) -> None:
    options = ("--legos", "legos.py:three", "--epochs", 3, "--no-controls", "--max-params", 3)
    done = plexus("fit", "images", *options, "--run", "tight", folder=place)
    assert done.code == 2
    assert "max_params=3 cannot be met" in done.err.splitlines()[-1]
    assert (place / "tight" / "checkpoints" / "learn" / "history.json").is_file()


def test_two_processes(place: Path) -> None:
    """Data parallel: the second process follows the first one, writes nothing, and ends with it."""
    command = [Path(sys.executable).with_name("plexus")]  # Lightning starts the script again
    options = ("--devices", "2", "--strategy", "ddp", "--no-controls", "--run", "two")
    done = subprocess.run(
        [*command, "fit", "images", *map(str, SMALL), *options],
        cwd=place, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    record: Any = FitRecord.read(place / "two" / "record.json")
    assert record.finished
    assert len(done.stdout.split("kept ")) == 2
    assert [line.split()[0] for line in done.stderr.splitlines()] == [e.phase for e in record.epochs]
    assert not list((place / "two").rglob("*.tmp"))
