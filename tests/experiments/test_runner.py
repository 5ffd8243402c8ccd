"""Trials are independent, a record is written as each ends, and what is there stays."""

from __future__ import annotations

import fcntl
import json
import multiprocessing
import os
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from plexus.errors import ConfigError, RunError, TrainingError
from plexus.experiments import Job, Progress, Scale, Study, Variant, failures, records, run, stale
from tests.experiments.toy import STUDY, toy

GOOD, BAD = Variant("none", {"gain": 0}), Variant("bad", {"gain": 0, "fault": "raise"})


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*.json")}


def metrics(folder: Path, study: Study = STUDY) -> dict[tuple[str, int], Any]:
    """Metrics that must not depend on the way the trials were run."""
    found = records(folder, study, "quick")
    return {(r.variant, r.seed): (r.metrics["test_accuracy"], r.metrics["drawn"]) for r in found}


def stop_at(n: int) -> Any:
    """A listener that presses Ctrl-C when the n-th trial has ended."""
    seen = 0

    def listen(progress: Progress) -> None:
        nonlocal seen
        seen += progress.ended is not None
        if seen == n:
            raise KeyboardInterrupt

    return listen


def test_every_variant_has_a_record_from_every_seed(tmp_path: Path) -> None:
    run(STUDY, scale="quick", results=tmp_path)
    found = records(tmp_path, STUDY, "quick")
    assert [(r.variant, r.seed) for r in found] == [(v, s) for s in (0, 1) for v in ("none", "some", "much")]
    assert sorted(p.name for p in (tmp_path / "toy" / "quick").iterdir()) == sorted(
        [".lock", *(f"{r.variant}~{r.seed}.json" for r in found)]
    )


def test_a_record_says_what_it_is_and_holds_plain_values(tmp_path: Path) -> None:
    data = tmp_path / "photos"
    data.mkdir()
    run(STUDY, scale="quick", seeds=1, data=str(data), results=tmp_path / "r")
    text = (tmp_path / "r" / "toy" / "quick" / "some~0.json").read_text()
    record = json.loads(text)
    assert {k: record[k] for k in ("study", "variant", "options", "seed", "scale", "settings", "data")} == {
        "study": "toy",
        "variant": "some",
        "options": {"gain": 1},
        "seed": 0,
        "scale": "quick",
        "settings": {"images": 10, "epochs": 1, "options": {}},
        "data": {"spec": "photos", "fingerprint": "sha256:0", "images": 10},
    }
    assert record["metrics"]["train_loss"] == [1.0, None]
    assert record["metrics"]["test_accuracy"] == pytest.approx(81 + sum(record["metrics"]["drawn"]), abs=1e-12)
    assert record["versions"]["torch"].startswith(torch.__version__.partition("+")[0])
    assert str(tmp_path) not in text


def test_a_trial_may_return_arrays_and_tensors(tmp_path: Path) -> None:
    def trial(job: Job) -> dict[str, Any]:
        curve = torch.tensor([1.0, 0.5, float("nan")], requires_grad=True)
        return {
            "test_accuracy": np.float32(50),
            "train_loss": np.array([2.0, 1.0]),
            "val_loss": curve,
            "grid": np.eye(2),
        }

    run(replace(STUDY, trial=trial), scale="quick", seeds=1, results=tmp_path)
    found = {"train_loss": [2.0, 1.0], "val_loss": [1.0, 0.5, None], "grid": [[1.0, 0.0], [0.0, 1.0]]}
    for record in records(tmp_path, STUDY, "quick"):
        assert record.metrics == {"test_accuracy": 50.0} | found


def test_paired_seeds_give_every_variant_the_same_randomness(tmp_path: Path) -> None:
    run(STUDY, scale="quick", seeds=3, results=tmp_path)
    drawn = {key: tuple(d) for key, (_, d) in metrics(tmp_path).items()}
    by_seed = [{drawn[v.name, seed] for v in STUDY.variants} for seed in range(3)]
    assert [len(s) for s in by_seed] == [1, 1, 1]
    assert len(set.union(*by_seed)) == 3


def test_neither_order_nor_processes_nor_what_ran_before_change_a_result(tmp_path: Path) -> None:
    run(STUDY, scale="quick", results=tmp_path / "a")
    random.seed(99)
    np.random.seed(99)
    torch.manual_seed(99)
    run(toy(*reversed(STUDY.variants)), scale="quick", results=tmp_path / "b")
    run(STUDY, scale="quick", results=tmp_path / "c", jobs=2)
    assert metrics(tmp_path / "a") == metrics(tmp_path / "b") == metrics(tmp_path / "c")
    pids = {r.metrics["pid"] for r in records(tmp_path / "c", STUDY, "quick")}
    assert len(pids) in (1, 2)
    assert multiprocessing.active_children() == []


def test_without_resume_nothing_is_overwritten(tmp_path: Path) -> None:
    run(STUDY, scale="quick", seeds=1, results=tmp_path)
    before = content(tmp_path)
    with pytest.raises(RunError, match=r"3 of 6 trials are done already: go on with --resume"):
        run(STUDY, scale="quick", results=tmp_path)
    assert content(tmp_path) == before


def test_resume_does_what_is_missing_and_nothing_else(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(STUDY, scale="quick", results=tmp_path, listen=stop_at(2))
    before = content(tmp_path)
    assert len(before) == 2
    told: list[Progress] = []
    run(STUDY, scale="quick", results=tmp_path, resume=True, listen=told.append)
    after = content(tmp_path)
    assert {k: after[k] for k in before} == before
    assert len(after) == 6
    assert [p.ended for p in told if p.ended] == ["much~0", "none~1", "some~1", "much~1"]
    run(STUDY, scale="quick", results=tmp_path / "whole")
    assert metrics(tmp_path) == metrics(tmp_path / "whole")
    run(STUDY, scale="quick", results=tmp_path, resume=True)
    assert content(tmp_path / "toy") == {k.removeprefix("toy/"): v for k, v in after.items()}


def test_some_variants_can_be_run_first_and_the_others_later(tmp_path: Path) -> None:
    run(STUDY, scale="quick", only=["much", "none"], results=tmp_path)
    assert {(r.variant, r.seed) for r in records(tmp_path, STUDY, "quick")} == {
        (v, s) for v in ("none", "much") for s in (0, 1)
    }
    run(STUDY, scale="quick", resume=True, results=tmp_path)
    run(STUDY, scale="quick", results=tmp_path / "at once")
    assert metrics(tmp_path) == metrics(tmp_path / "at once")


def test_a_variant_that_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^study 'toy' has no variant 'mcuh': there are none, some, much$"):
        run(STUDY, scale="quick", only=["mcuh"], results=tmp_path)
    assert not list(tmp_path.iterdir())


def test_resume_takes_more_seeds(tmp_path: Path) -> None:
    run(STUDY, scale="quick", seeds=1, results=tmp_path)
    run(STUDY, scale="quick", seeds=3, results=tmp_path, resume=True)
    assert sorted(metrics(tmp_path)) == sorted((v.name, s) for v in STUDY.variants for s in range(3))


def test_a_scale_may_begin_behind_the_seeds_that_were_read(tmp_path: Path) -> None:
    run(STUDY, scale="quick", seeds=1, results=tmp_path)
    fresh = replace(STUDY, scales={"quick": replace(STUDY.scales["quick"], first=7)})
    run(fresh, scale="quick", seeds=2, results=tmp_path)
    assert sorted(metrics(tmp_path)) == sorted((v.name, s) for v in STUDY.variants for s in (0, 7, 8))


def test_a_trial_that_raises_is_told_and_the_others_go_on(tmp_path: Path) -> None:
    study = toy(BAD, GOOD)
    with pytest.raises(TrainingError) as caught:
        run(study, scale="quick", results=tmp_path)
    assert caught.value.exit_code == 1
    assert "2 of 4 trials failed" in str(caught.value)
    assert "bad~0: ZeroDivisionError: too few; bad~1: ZeroDivisionError: too few" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert sorted(metrics(tmp_path, study)) == [("none", 0), ("none", 1)]
    assert failures(tmp_path, study, "quick") == dict.fromkeys(("bad~0", "bad~1"), "ZeroDivisionError: too few")
    note = json.loads((tmp_path / "toy" / "quick" / "bad~0.failed.json").read_text())
    assert [frame.partition(":")[0] for frame in note["at"]] == ["toy.py"]


def test_what_failed_is_tried_again_and_a_success_clears_it(tmp_path: Path) -> None:
    def mended(job: Any) -> dict[str, Any]:
        return {"test_accuracy": 50.0}

    study = toy(BAD, GOOD)
    with pytest.raises(TrainingError):
        run(study, scale="quick", results=tmp_path)
    run(replace(study, trial=mended), scale="quick", results=tmp_path, resume=True)
    assert failures(tmp_path, study, "quick") == {}
    assert len(records(tmp_path, study, "quick")) == 4


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("error", "photos/: no images found: expected photos/CLASS/IMAGE.png"),
        ("exit", "SystemExit: 3"),
        ("nan", "ValueError: the measure 'test_accuracy' must be a finite number, not nan"),
    ],
)
def test_the_reason_is_one_line(tmp_path: Path, fault: str, reason: str) -> None:
    study = toy(GOOD, Variant("bad", {"gain": 0, "fault": fault}))
    with pytest.raises(TrainingError):
        run(study, scale="quick", seeds=1, results=tmp_path)
    assert failures(tmp_path, study, "quick") == {"bad~0": reason}


def test_a_trial_must_return_its_measure(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="must return a dict of metrics, not 3"):
        run(toy(trial=lambda job: 3), scale="quick", seeds=1, results=tmp_path)
    with pytest.raises(TrainingError, match="the measure 'test_accuracy' must be a finite number, not None"):
        run(toy(trial=lambda job: {}), scale="quick", seeds=1, results=tmp_path)


def test_records_of_other_options_are_named_and_left_alone(tmp_path: Path) -> None:
    run(STUDY, scale="quick", results=tmp_path)
    before = content(tmp_path)
    now = toy(GOOD, Variant("some", {"gain": 1.5}), Variant("new", {"gain": 3}))
    assert stale(tmp_path, now, "quick") == {
        "some~0": "gain was 1, is 1.5",
        "some~1": "gain was 1, is 1.5",
        "much~0": "no such variant any more",
        "much~1": "no such variant any more",
    }
    for resume in (False, True):
        with pytest.raises(RunError, match=r"2 records are stale.*some~0: gain was 1, is 1.5"):
            run(now, scale="quick", results=tmp_path, resume=resume)
    assert content(tmp_path) == before
    assert {r.variant for r in records(tmp_path, now, "quick")} == {"none"}
    longer = toy(scales={"quick": Scale(images=10, epochs=2, seeds=2)})
    assert set(stale(tmp_path, longer, "quick").values()) == {"epochs was 1, is 2"}
    more_seeds = toy(scales={"quick": Scale(images=10, epochs=1, seeds=9)})
    assert stale(tmp_path, more_seeds, "quick") == {}


def test_records_of_other_data_are_not_mixed_in(tmp_path: Path) -> None:
    run(STUDY, scale="quick", seeds=1, results=tmp_path)
    with pytest.raises(RunError, match="its records are of the data digits, not cifar"):
        run(STUDY, scale="quick", data="cifar", results=tmp_path, resume=True)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"study": "toy", "scale": "quick", "variant": "a", "seed": 1}'])
def test_a_broken_record_is_named(tmp_path: Path, text: str) -> None:
    place = tmp_path / "toy" / "quick" / "a~1.json"
    place.parent.mkdir(parents=True)
    place.write_text(text)
    with pytest.raises(RunError, match=r"a~1\.json: (not|broken).*delete it and run --resume"):
        records(tmp_path, "toy", "quick")


def test_two_runs_do_not_share_a_folder(tmp_path: Path) -> None:
    (tmp_path / "toy" / "quick").mkdir(parents=True)
    with (tmp_path / "toy" / "quick" / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(RunError, match="another `plexus study run` is at work there"):
            run(STUDY, scale="quick", results=tmp_path)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"scale": "huge"}, "study 'toy' has no scale 'huge': there are quick, full"),
        ({"seeds": 0}, "seeds must be 1 or more, not 0"),
        ({"jobs": 0}, "jobs must be 1 or more, not 0"),
        ({"engine": "slurm"}, "unknown engine 'slurm': there are local and ray"),
    ],
)
def test_mistakes_are_told_before_anything_is_made(tmp_path: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        run(STUDY, **{"scale": "quick", "results": tmp_path / "r", **options})
    assert not (tmp_path / "r").exists()


def test_progress_adds_up(tmp_path: Path) -> None:
    told: list[Progress] = []
    with pytest.raises(TrainingError):
        run(toy(GOOD, BAD, Variant("much", {"gain": 2})), scale="quick", results=tmp_path, listen=told.append)
    for p in told:
        assert len(p.records) + len(p.failed) + len(p.running) + p.left == p.total == 6
    assert (told[0].to_go, told[0].best) == (None, None)
    assert [p.running for p in told[:3]] == [(), ("none~0",), ()]
    assert told[-1].best is not None
    assert (told[-1].best[0], told[-1].best[2], told[-1].to_go) == ("much", 2, 0.0)


@pytest.mark.parametrize(("most", "threads"), [("", 2), ("1", 1)])
def test_threads_are_shared_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: str, threads: int) -> None:
    """Four cores and two processes are two threads each; OMP_NUM_THREADS, where it is set, is the most."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    monkeypatch.setenv("OMP_NUM_THREADS", most)
    run(STUDY, scale="quick", results=tmp_path, jobs=2)
    assert {r.metrics["threads"] for r in records(tmp_path, STUDY, "quick")} == {threads}
    assert os.environ["OMP_NUM_THREADS"] == most


@pytest.mark.parametrize("name", ["", "a b", "../a", "a~1", ".hidden", "a/b"])
def test_a_name_that_cannot_name_a_file_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="cannot name a file"):
        toy(GOOD, Variant(name, {}))
