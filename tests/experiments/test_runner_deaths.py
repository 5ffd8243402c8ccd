"""Whoever dies, at most the running trials are lost."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from plexus.errors import TrainingError
from plexus.experiments import Progress, Variant, failures, records, run
from tests.experiments.toy import toy

GOOD = Variant("none", {"gain": 0})


def test_a_trial_whose_process_dies_is_begun_anew_once(tmp_path: Path) -> None:
    study = toy(GOOD, Variant("once", {"gain": 1, "fault": "kill once"}), Variant("dead", {"gain": 2, "fault": "kill"}))
    with pytest.raises(TrainingError, match=r"1 of 3 trials failed.*dead~0: its process died 2 times.*SIGKILL"):
        run(study, scale="quick", seeds=1, results=tmp_path, jobs=2)
    assert [r.variant for r in records(tmp_path, study, "quick")] == ["none", "once"]
    assert list(failures(tmp_path, study, "quick")) == ["dead~0"]
    assert not list(tmp_path.rglob("begun"))
    assert multiprocessing.active_children() == []


def test_ctrl_c_ends_the_processes_and_keeps_the_trials_folder(tmp_path: Path) -> None:
    study = toy(GOOD, Variant("slow", {"gain": 1, "fault": "hang once"}))

    def listen(progress: Progress) -> None:
        if progress.ended == "none~1":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(study, scale="quick", results=tmp_path, jobs=2, listen=listen)
    assert multiprocessing.active_children() == []
    assert {(r.variant, r.seed) for r in records(tmp_path, study, "quick")} >= {("none", 0), ("none", 1)}
    begun = list((tmp_path / "toy" / "quick" / ".trials").rglob("begun"))
    for file in begun:
        with pytest.raises(ProcessLookupError):
            os.kill(int(file.read_text()), 0)
    run(study, scale="quick", results=tmp_path, resume=True)
    assert len(records(tmp_path, study, "quick")) == 4
    assert not (tmp_path / "toy" / "quick" / ".trials").exists()


@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_ctrl_c_while_a_process_starts_leaves_none_alive(
    at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the moment when a process was just started, or given its first trial, and nothing else has happened since."""
    submit, calls = ProcessPoolExecutor.submit, itertools.count(1)

    def interrupted(self: ProcessPoolExecutor, *arguments: Any) -> Future[Any]:
        future = submit(self, *arguments)
        if next(calls) == at:
            signal.raise_signal(signal.SIGINT)
        return future

    monkeypatch.setattr(ProcessPoolExecutor, "submit", interrupted)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            run(toy(Variant("none", {"gain": 1, "fault": "hang"})), scale="quick", results=tmp_path, jobs=2)
    finally:
        signal.signal(signal.SIGINT, before)
    assert multiprocessing.active_children() == []
