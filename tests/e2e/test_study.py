"""`plexus study` as a whole: killed, stopped, and on a Ray cluster that loses a node."""

from __future__ import annotations

import json
import os
import select
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from plexus.experiments import Job, Progress, Scale, Study, Variant, records, run
from tests.e2e.commands import Command, plexus

pytestmark = pytest.mark.e2e

OWN = '''
"""Trials that do arithmetic; the third tells its process and stands still until a file is there."""
import os, sys, threading
from plexus.experiments import Scale, Study, Variant

def trial(job):
    if job.seed == 1 and not os.path.exists("go"):
        with open("pid.tmp", "w") as file:
            file.write(str(os.getpid()))
        os.rename("pid.tmp", "pid")
        print("standing still", file=sys.stderr, flush=True)
        threading.Event().wait()
    return {"test_accuracy": 50.0 + job.seed + job.variant.options["x"]}

STUDY = Study(
    name="own", question="Does x matter?", baseline="a", variants=(Variant("a", {"x": 0}), Variant("b", {"x": 1})),
    scales={"quick": Scale(None, 1, 3)}, data="digits", trial=trial,
)
'''


@pytest.fixture
def own(tmp_path: Path) -> Path:
    (tmp_path / "own.py").write_text(OWN)
    return tmp_path


def found(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in (folder / "results" / "own" / "quick").glob("*~*.json")}


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_driver_that_is_killed_loses_the_running_trials_only(own: Path, jobs: int) -> None:
    command = Command("study", "run", "own.py", "--jobs", jobs, folder=own)
    for line in command.lines():
        if "standing still" in line:
            break
    kept = found(own)
    watch = os.pidfd_open(int((own / "pid").read_text()))
    command.process.kill()
    assert command.wait().code == -signal.SIGKILL
    assert select.select([watch], [], [], 60)[0], "the trial's process outlives the driver"
    os.close(watch)
    assert {"a~0.json", "b~0.json"} >= set(kept)
    (own / "go").touch()
    done = plexus("study", "run", "own.py", "--resume", folder=own)
    assert done.code == 0, done.err
    assert sorted(found(own)) == [f"{v}~{s}.json" for v in "ab" for s in range(3)]
    assert {k: found(own)[k] for k in kept} == kept
    if jobs == 1:
        assert set(kept) == {"a~0.json", "b~0.json"}
    assert not list(own.rglob("*.tmp"))


def test_ctrl_c_says_how_to_go_on(own: Path) -> None:
    command = Command("study", "run", "own.py", folder=own)
    for line in command.lines():
        if "standing still" in line:
            command.interrupt()
    done = command.wait()
    assert done.code == 130
    assert done.err.splitlines()[-1] == "plexus: stopped; go on with `plexus study run own.py --resume`"
    assert "Traceback" not in done.err
    (own / "go").touch()
    done = plexus("study", "run", "own.py", "--resume", folder=own)
    assert (done.code, done.out) == (0, "records in results/own/quick; see `plexus study report own.py`\n")


def test_killed_while_a_record_is_written_leaves_no_half(own: Path) -> None:
    (own / "go").touch()
    for write in (1, 2, 4):
        killed = plexus("study", "run", "own.py", "--resume", folder=own, fault=("write", write))
        assert killed.code == -signal.SIGKILL
        for content in found(own).values():
            json.loads(content)
    assert plexus("study", "run", "own.py", "--resume", folder=own).code == 0
    assert len(found(own)) == 6


def far(job: Job) -> dict[str, Any]:
    """The second trial on a node other than the head's kills that node; the head's wait with theirs until then."""
    import ray

    place = Path(job.data)
    node = ray.get_runtime_context().get_node_id()
    second = (place / node).exists()
    (place / node).touch()
    if node != (place / "head").read_text() and second:
        (place / "dead").write_text(f"{job.variant.name}~{job.seed}")
        for process in (os.getppid(), os.getpid()):  # the node's own process, the raylet, and this one
            os.kill(process, signal.SIGKILL)
    while second and not (place / "dead").exists():
        threading.Event().wait(0.01)
    return {"test_accuracy": 50.0 + job.seed, "node": node, "threads": os.environ["OMP_NUM_THREADS"]}


@pytest.fixture
def cluster() -> Iterator[Any]:
    pytest.importorskip("ray", reason="needs plexus-nn[ray]")
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    made.add_node(num_cpus=1)
    made.wait_for_nodes()
    yield made
    made.shutdown()


@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_a_cluster_that_loses_a_node_loses_no_finished_trial(
    cluster: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    place, results = tmp_path / "shared", tmp_path / "results"
    place.mkdir()
    (place / "head").write_text(cluster.head_node.node_id)
    study = Study(
        name="far",
        question="Does it survive?",
        baseline="a",
        variants=(Variant("a"), Variant("b")),
        scales={"quick": Scale(None, 1, 4)},
        data=str(place),
        trial=far,
    )
    before: dict[str, bytes] = {}

    def listen(progress: Progress) -> None:
        if progress.ended and not (place / "dead").exists():
            for path in results.rglob("*~*.json"):
                before[path.name] = path.read_bytes()

    run(study, scale="quick", engine="ray", address=cluster.address, results=results, listen=listen)
    found = {f"{r.variant}~{r.seed}": r.metrics for r in records(results, study, "quick")}
    assert sorted(found) == [f"{v}~{s}" for v in "ab" for s in range(4)]
    nodes = [m["node"] for m in found.values()]
    assert sorted(nodes.count(node) for node in set(nodes)) == [1, 7]
    assert found[(place / "dead").read_text()]["node"] == cluster.head_node.node_id
    assert {m["threads"] for m in found.values()} == {"1"}
    after = {path.name: path.read_bytes() for path in results.rglob("*~*.json")}
    assert {k: after[k] for k in before} == before
    assert "raylet" not in capfd.readouterr().out
