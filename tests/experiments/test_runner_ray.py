"""The Ray engine against a cluster of one process that stands in for Ray's; the real one is in tests/e2e."""

from __future__ import annotations

import pickle
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from plexus.errors import ConfigError, TrainingError
from plexus.experiments import Progress, Variant, failures, load, records, run
from tests.experiments.test_files import write
from tests.experiments.toy import STUDY, toy


class RayError(Exception):
    """Raised by Ray for a task whose node died once too often."""


class Cluster:
    """Ends the tasks in reverse order; those named in `lost` never end well."""

    def __init__(self, *nodes: dict[str, float], lost: frozenset[str] = frozenset()) -> None:
        self.resources, self.lost = nodes or ({"CPU": 4.0},), lost
        self.asked: dict[str, Any] = {}
        self.cancelled: list[int] = []
        self.calls: list[Any] = []
        self.exceptions = SimpleNamespace(RayError=RayError)
        self.cloudpickle = SimpleNamespace(
            dumps=pickle.dumps,
            register_pickle_by_value=lambda module: None,
            unregister_pickle_by_value=lambda module: None,
        )

    def is_initialized(self) -> bool:
        return True

    def nodes(self) -> list[dict[str, Any]]:
        return [{"Alive": True, "Resources": r} for r in self.resources] + [{"Alive": False, "Resources": {"CPU": 99}}]

    def put(self, value: Any) -> Any:
        return value

    def remote(self, **options: Any) -> Any:
        self.asked = options

        def made(function: Any) -> Any:
            def call(*arguments: Any) -> int:
                self.calls.append(lambda: function(*arguments))
                if arguments[1].name in self.lost:
                    self.calls[-1] = None
                return len(self.calls) - 1

            return SimpleNamespace(remote=call)

        return made

    def wait(self, references: list[int]) -> tuple[list[int], list[int]]:
        return references[-1:], references[:-1]

    def get(self, reference: int) -> Any:
        if self.calls[reference] is None:
            raise RayError("the node died\nand so on")
        return self.calls[reference]()

    def cancel(self, reference: int, *, force: bool) -> None:
        assert force
        self.cancelled.append(reference)


class Strangers(Cluster):
    """Nodes of their own: a task runs in a new process, which knows no more than it is sent."""

    def get(self, reference: int) -> Any:
        function, arguments = self.calls[reference]
        code = "import pickle, sys; f, a = pickle.load(sys.stdin.buffer); sys.stdout.buffer.write(pickle.dumps(f(*a)))"
        sent = pickle.dumps((function, arguments))
        done = subprocess.run([sys.executable, "-c", code], input=sent, capture_output=True, check=True)
        return pickle.loads(done.stdout)

    def remote(self, **options: Any) -> Any:
        def begin(function: Any, *arguments: Any) -> int:
            self.calls.append((function, arguments))
            return len(self.calls) - 1

        return lambda function: SimpleNamespace(remote=partial(begin, function))


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """Makes a cluster the one that `import ray` finds."""
    return lambda cluster: monkeypatch.setitem(sys.modules, "ray", cluster)


def test_a_cluster_gives_the_same_metrics_as_this_machine(tmp_path: Path, use: Callable[[Any], None]) -> None:
    cluster = Cluster()
    use(cluster)
    run(STUDY, scale="quick", engine="ray", cpus=2, results=tmp_path / "ray")
    run(STUDY, scale="quick", results=tmp_path / "local")
    theirs, ours = (
        [(r.variant, r.seed, r.metrics["drawn"]) for r in records(tmp_path / name, STUDY, "quick")]
        for name in ("ray", "local")
    )
    assert theirs == ours
    assert cluster.asked == {
        "num_cpus": 2,
        "num_gpus": 0,
        "max_retries": 3,
        "runtime_env": {"env_vars": {"OMP_NUM_THREADS": "2"}},
    }
    assert cluster.cancelled == []


def test_a_file_and_what_lies_beside_it_travel_to_nodes_that_lack_them(
    tmp_path: Path, use: Callable[[Any], None]
) -> None:
    use(Strangers())
    study = load(write(tmp_path / "here", 2))
    own = tmp_path / "here"

    def listen(progress: Progress) -> None:
        if progress.running:  # it is on its way
            shutil.rmtree(own, ignore_errors=True)

    run(study, scale="quick", seeds=2, only=["a"], engine="ray", results=tmp_path, listen=listen)
    assert [r.metrics["test_accuracy"] for r in records(tmp_path, study, "quick")] == [1.0, 21.0]


def test_a_trial_that_ray_gave_up_is_a_failed_one(tmp_path: Path, use: Callable[[Any], None]) -> None:
    use(Cluster(lost=frozenset({"some~0"})))
    with pytest.raises(TrainingError, match=r"1 of 6 trials failed.*some~0: RayError: the node died$"):
        run(STUDY, scale="quick", engine="ray", results=tmp_path)
    assert len(records(tmp_path, STUDY, "quick")) == 5
    assert failures(tmp_path, STUDY, "quick") == {"some~0": "RayError: the node died"}


def test_a_trial_that_raises_is_not_begun_anew(tmp_path: Path, use: Callable[[Any], None]) -> None:
    use(Cluster())
    study = toy(Variant("none", {"gain": 0}), Variant("bad", {"gain": 0, "fault": "raise"}))
    with pytest.raises(TrainingError, match="bad~0: ZeroDivisionError: too few"):
        run(study, scale="quick", seeds=1, engine="ray", results=tmp_path)


def test_a_stop_cancels_what_is_under_way(tmp_path: Path, use: Callable[[Any], None]) -> None:
    cluster = Cluster()
    use(cluster)

    def stop(progress: Progress) -> None:
        if progress.ended:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(STUDY, scale="quick", engine="ray", results=tmp_path, listen=stop)
    assert cluster.cancelled == [0, 1, 2, 3, 4]
    assert len(records(tmp_path, STUDY, "quick")) == 1


@pytest.mark.parametrize(
    ("nodes", "options", "slots"),
    [
        ([{"CPU": 4.0}, {"CPU": 3.0}], {"cpus": 2}, 3),
        ([{"CPU": 4.0}], {"cpus": 0.5}, 8),
        ([{"CPU": 8.0, "GPU": 1.0}, {"CPU": 8.0}], {"gpus": 0.25}, 4),
    ],
)
def test_room_is_counted_node_by_node(
    tmp_path: Path, use: Callable[[Any], None], nodes: list[dict[str, float]], options: Any, slots: int
) -> None:
    use(Cluster(*nodes))
    running = []
    run(
        STUDY, scale="quick", seeds=3, engine="ray", results=tmp_path, listen=lambda p: running.append(len(p.running)),
        **options,
    )  # fmt: skip
    assert max(running) == slots


def test_a_trial_larger_than_every_node_is_refused(tmp_path: Path, use: Callable[[Any], None]) -> None:
    use(Cluster({"CPU": 2.0}, {"CPU": 3.0}))
    with pytest.raises(ConfigError, match="has the 4 CPUs and 0 GPUs that a trial asks for: the largest has 3 and 0"):
        run(STUDY, scale="quick", engine="ray", cpus=4, results=tmp_path)


def test_without_ray_the_remedy_is_told(tmp_path: Path, use: Callable[[Any], None]) -> None:
    use(None)
    with pytest.raises(ConfigError, match=r"needs Ray: pip install 'plexus-nn\[ray\]'"):
        run(STUDY, scale="quick", engine="ray", results=tmp_path)


def test_no_cluster_is_one_line(tmp_path: Path, use: Callable[[Any], None]) -> None:
    class Nowhere(Cluster):
        def is_initialized(self) -> bool:
            return False

        def init(self, **options: Any) -> None:
            raise ConnectionError("Could not find any running Ray instance. Please specify the one to connect to")

    use(Nowhere())
    with pytest.raises(ConfigError, match=r"^no Ray cluster at 'auto': Could not find any running Ray instance; start"):
        run(STUDY, scale="quick", engine="ray", results=tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as server:
        free = "127.0.0.1:" + str(server.getsockname()[1])
    for address, reason in ((free, "refused"), ("head:six", "invalid literal")):
        with pytest.raises(ConfigError, match=rf"^no Ray cluster at '{address}': .*{reason}.*; start one with"):
            run(STUDY, scale="quick", engine="ray", address=address, results=tmp_path)


def test_only_the_lines_of_ray_are_dropped(
    tmp_path: Path, use: Callable[[Any], None], capsys: pytest.CaptureFixture[str]
) -> None:
    class Talks(Cluster):
        def is_initialized(self) -> bool:
            return False

        def init(self, **options: Any) -> None:
            assert options["address"] == "local"

        def shutdown(self) -> None:
            for line in ("one", "(raylet) a node died:\n many lines", "two", ""):
                print(line)

    use(Talks())
    run(STUDY, scale="quick", seeds=1, engine="ray", address="local", results=tmp_path)
    assert capsys.readouterr().out == "one\ntwo\n\n"
