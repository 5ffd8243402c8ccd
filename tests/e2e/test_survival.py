"""Whenever a run is stopped, going on leads to the same bits."""

from __future__ import annotations

import fcntl
import json
import re
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from plexus.record import FitRecord
from tests.e2e.commands import Command, Fault, plexus
from tests.e2e.conftest import SMALL

pytestmark = pytest.mark.e2e


def history(run: Path) -> list[dict[str, Any]]:
    entries = json.loads((run / "checkpoints" / "fit" / "history.json").read_text())
    return [{k: v for k, v in entry.items() if not k.endswith("seconds")} for entry in entries]


def assert_same(run: Path, whole: Path) -> None:
    assert (run / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    weights = Path("checkpoints", "fit", "weights.safetensors")
    assert (run / weights).read_bytes() == (whole / weights).read_bytes()
    assert history(run) == history(whole)
    ours, theirs = (FitRecord.read(folder / "record.json") for folder in (run, whole))
    assert ours.finished
    for part in ("edges", "chosen", "plan", "confusion", "data"):
        assert getattr(ours, part) == getattr(theirs, part)
    assert [b.model_dump(exclude={"latency_ms"}) for b in ours.budgets] == [
        b.model_dump(exclude={"latency_ms"}) for b in theirs.budgets
    ]
    assert [e.phase for e in ours.epochs] == [e.phase for e in theirs.epochs]


def test_killed_again_and_again(place: Path, trained: Path) -> None:
    """In the middle of an epoch, and just before a file takes its place: checkpoints, weights, history, record, models.

    An epoch has eleven steps; edges are cut after 20 steps, 30 and 40.
    """
    faults: list[Fault] = [
        ("write", 6), ("step", 5), ("write", 2), ("step", 14), *(("write", k) for k in (4, 2, 3, 4, 5)),
    ]  # fmt: skip
    done = plexus("fit", "images", *SMALL, "--run", "killed", folder=place, fault=faults[0])
    assert done.code == -signal.SIGKILL
    for fault in faults[1:]:
        assert plexus("fit", "--resume", "killed", folder=place, fault=fault).code == -signal.SIGKILL
    done = plexus("fit", "--resume", "killed", folder=place)
    assert (done.code, "Warning" in done.err) == (0, False), done.err
    assert_same(place / "killed", trained)
    assert not list((place / "killed").rglob("*.tmp"))
    assert not list(place.glob(".*"))


@pytest.mark.parametrize("writes", [1, 2, 3, 4])
def test_killed_before_the_training_begins(place: Path, writes: int) -> None:
    run = place / f"early{writes}"
    assert plexus("fit", "images", *SMALL, "--run", run.name, folder=place, fault=("write", writes)).code == -9
    again = ("fit", "--resume", run.name) if run.exists() else ("fit", "images", *SMALL, "--run", run.name)
    assert not run.exists() or (run / "config.yaml").is_file()
    assert plexus(*again, folder=place, fault=("step", 1)).code == -signal.SIGKILL
    assert FitRecord.read(run / "record.json").data.fingerprint.startswith("sha256:")


def test_interrupted_by_hand(place: Path, trained: Path) -> None:
    command = Command("fit", "images", *SMALL, "--run", "by hand", folder=place)
    for line in command.lines():
        if "learning  epoch 3 of" in line:
            command.interrupt()
            break
    stopped = command.wait()
    assert stopped.code == 130
    assert stopped.err.endswith("plexus: stopped; go on with `plexus fit --resume 'by hand'`\n")
    assert "Traceback" not in stopped.err
    checkpoint = place / "by hand" / "checkpoints" / "fit" / "last.ckpt"
    state = torch.load(checkpoint, weights_only=True)
    assert state["lr_schedulers"]
    assert state["optimizer_states"]
    assert state["callbacks"]["GradualCut"]["began"] is not None  # cutting is under way
    assert any(value.eq(0).any() for name, value in state["state_dict"].items() if name.endswith(".mask"))
    assert not FitRecord.read(place / "by hand" / "record.json").finished
    done = plexus("fit", "--resume", "by hand", folder=place)
    assert done.code == 0, done.err
    assert set(re.findall(r"learning  epoch (\d+) of", done.err)) <= {"3", "4"}
    assert_same(place / "by hand", trained)


def test_a_finished_run_says_so_and_gets_its_page_again(place: Path, trained: Path) -> None:
    before = (trained / "record.json").read_bytes()
    (trained / "report.html").unlink()
    done = plexus("fit", "--resume", trained, folder=place)
    assert (done.code, "is finished" in done.err) == (0, True)
    assert (trained / "report.html").is_file()
    assert (trained / "record.json").read_bytes() == before


def test_a_run_belongs_to_one_process_and_to_its_images(place: Path, trained: Path) -> None:
    assert plexus("fit", "images", *SMALL, "--run", "shared", folder=place, fault=("step", 3)).code == -signal.SIGKILL
    run = place / "shared"
    with (run / "config.yaml").open("r+b") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        second = plexus("fit", "--resume", run, folder=place)
    assert (second.code, "another process is at work" in second.err) == (2, True)
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("limit: null", "limit: 30"))
    other = plexus("fit", "--resume", run, folder=place)
    assert (other.code, "are not those the run started with" in other.err) == (2, True)
    assert [len(done.err.splitlines()) for done in (second, other)] == [1, 1]
