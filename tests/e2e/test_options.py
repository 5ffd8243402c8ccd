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
    record = fitted(place, "sized", *options, "--max-params", "0.7k", "--precision", "bf16-mixed")
    assert record.config["keep"] is None
    final, uncut = record.results
    assert final.parameters <= 700 < uncut.parameters
    assert all(len(e.gates) == len(record.edges) for e in record.epochs)


def test_the_notes_own_net(place: Path) -> None:
    """Blocks, flatten512, augmented, no penalty."""
    options = ("--preset", "blocks", "--head", "flatten512", "--size", 32, "--augment")
    record = fitted(place, "notes", *options, "--penalty", 0, "--epochs", 3)
    assert [(e.phase, e.epoch) for e in record.epochs] == [("fit", k) for k in (0, 1, 2)]
    assert (record.config["augment"], record.data.in_shape) == (True, [3, 32, 32])
    final, uncut = record.results
    assert final.parameters < uncut.parameters


def test_an_impossible_budget_is_told_before_anything(place: Path) -> None:
    options = ("--legos", "legos.py:three", "--epochs", 3, "--max-params", 3)
    done = plexus("fit", "images", *options, "--run", "tight", folder=place)
    assert (done.code, len(done.err.splitlines())) == (2, 1)
    assert "max_params=3 cannot be met" in done.err
    assert not (place / "tight").exists()


def test_a_budget_that_cuts_nothing_is_told(place: Path) -> None:
    options = ("--legos", "legos.py:three", "--epochs", 3, "--merge", "concat", "--max-params", "1M")
    done = plexus("fit", "images", *options, "--run", "ample", folder=place)
    assert done.code == 0, done.err
    assert "nothing is cut for it" in " ".join(done.out.split())
    record: Any = FitRecord.read(place / "ample" / "record.json")
    assert all(edge.kept for edge in record.edges)


def test_two_processes(place: Path) -> None:
    """Data parallel: the second process follows the first one, writes nothing, and ends with it."""
    command = [Path(sys.executable).with_name("plexus")]  # Lightning starts the script again
    options = ("--devices", "2", "--strategy", "ddp", "--run", "two")
    done = subprocess.run(
        [*command, "fit", "images", *map(str, SMALL), *options],
        cwd=place, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    record: Any = FitRecord.read(place / "two" / "record.json")
    assert record.finished
    assert len(done.stdout.split("learned wiring")) == 2
    told = [line.partition("epoch ")[2][0] for line in done.stderr.splitlines() if "validation loss" in line]
    assert told == [str(e.epoch + 1) for e in record.epochs]  # by one process
    assert not list((place / "two").rglob("*.tmp"))


def test_eight_bits_stand_beside_the_float_model(place: Path) -> None:
    record = fitted(place, "eight", "--legos", "legos.py:three", "--merge", "concat", "--epochs", 3, "--int8")
    final, small = record.results[:2]
    assert (final.name, small.name) == ("final", "int8")
    assert small.kb == (place / "eight" / "model-int8.onnx").stat().st_size / 1000 < final.kb
    assert small.accuracy == pytest.approx(final.accuracy, abs=0.1)
    assert small.latency_ms > 0
    assert (small.parameters, small.macs) == (final.parameters, final.macs)
