"""The Ray engine: trials on a cluster, or on one machine as if it were one."""

from __future__ import annotations

import logging
import os
import pickle
import socket
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any, TextIO, cast

from plexus.errors import ConfigError
from plexus.experiments._files import Home, home_of
from plexus.experiments._study import Study
from plexus.experiments._trial import Event, Failure, Outcome, Task, perform

RETRIES = 3  # how often a trial is begun anew whose node or process died


class RayEngine:
    """Runs every trial as a Ray task; the data is read by each from a path that all nodes share.

    A trial whose node or process dies is begun anew elsewhere; what has ended is with the driver already.

    Args:
        address: "auto" for a running cluster, "local" to start one here, or `HOST:PORT`.
        cpus, gpus: what a trial needs; it computes with as many threads as it has CPUs.

    Raises:
        ConfigError: Ray is not installed, no cluster is there, or none of its nodes has room for a trial.
    """

    def __init__(self, address: str = "auto", *, cpus: float = 1, gpus: float = 0) -> None:
        if cpus <= 0 or gpus < 0:
            raise ConfigError(f"a trial needs more than 0 CPUs and no fewer than 0 GPUs, not {cpus:g} and {gpus:g}")
        self.ray = _ray()
        self.address, self.cpus, self.gpus = address, cpus, gpus
        self.slots = 1

    def __call__(self, study: Study, tasks: list[Task]) -> Generator[Event, None, None]:
        """Yield an event as a trial may start, and as it ends."""
        if not tasks:
            return
        with _connected(self.ray, self.address):
            self.slots = self._room()
            parcel = self.ray.put((home_of(study, travels=True), _whole(self.ray, study)))
            threads = max(1, int(self.cpus))
            remote = self.ray.remote(
                num_cpus=self.cpus, num_gpus=self.gpus, max_retries=RETRIES, runtime_env=_environment(threads)
            )(_far)
            under_way = {remote.remote(parcel, task, threads): task for task in tasks}
            try:
                yield from self._follow(under_way)
            finally:
                for left in under_way:  # of a run that was stopped
                    self.ray.cancel(left, force=True)

    def _follow(self, under_way: dict[Any, Task]) -> Generator[Event, None, None]:
        """Ray starts tasks by and by, in the order they came; the first of them count as running."""
        started: set[str] = set()
        while under_way:
            for task in list(under_way.values())[: self.slots]:
                if task.name not in started:
                    started.add(task.name)
                    yield task, None
            ended, _ = self.ray.wait(list(under_way))
            for reference in ended:
                task = under_way.pop(reference)
                try:
                    yield task, self.ray.get(reference)
                except self.ray.exceptions.RayError as error:
                    first = str(error).strip().partition("\n")[0]
                    yield task, Failure(f"{type(error).__name__}: {first}")

    def _room(self) -> int:
        """The number of trials that the cluster can run at once, as it is now."""
        nodes = [n["Resources"] for n in self.ray.nodes() if n["Alive"]]
        room = sum(min(_fits(n, "CPU", self.cpus), _fits(n, "GPU", self.gpus)) for n in nodes)
        if not room:
            most = max((n.get("CPU", 0) for n in nodes), default=0), max((n.get("GPU", 0) for n in nodes), default=0)
            raise ConfigError(
                f"no node of the Ray cluster has the {self.cpus:g} CPUs and {self.gpus:g} GPUs that a trial asks for: "
                f"the largest has {most[0]:g} and {most[1]:g}; lower --cpus or --gpus"
            )
        return room


def _far(parcel: tuple[Home | None, bytes], task: Task, threads: int) -> Outcome:
    """Perform a trial on some node."""
    import torch

    torch.set_num_threads(threads)
    home, study = parcel
    if home is not None:
        home.enter()
    return perform(pickle.loads(study), task)


def _fits(node: dict[str, float], kind: str, each: float) -> int:
    return int(node.get(kind, 0) / each) if each else sys.maxsize


def _environment(threads: int) -> dict[str, Any]:
    return {"env_vars": {"OMP_NUM_THREADS": str(threads)}}


def _ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError:
        raise ConfigError("the engine 'ray' needs Ray: pip install 'plexus-nn[ray]'") from None
    return ray


@contextmanager
def _connected(ray: Any, address: str) -> Iterator[None]:
    """Leaves a connection as it was found; Ray's own lines are for those who run the cluster."""
    if ray.is_initialized():
        yield
        return
    try:
        _reach(address)
        ray.init(
            address=address,
            log_to_driver=False,
            logging_level=logging.ERROR,
            **({"include_dashboard": False} if address == "local" else {}),
        )
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).strip().partition("\n")[0].partition(". ")[0].rstrip(".")
        raise ConfigError(
            f"no Ray cluster at {address!r}: {reason}; start one with `ray start --head`, or pass --address local"
        ) from None
    with redirect_stdout(cast(TextIO, _Quiet(sys.stdout))):  # the shutdown, too, has things to say
        try:
            yield
        finally:
            ray.shutdown()


def _reach(address: str) -> None:
    """Asks whether anything listens there: Ray itself tries for minutes.

    Raises:
        OSError: nothing does.
        ValueError: the port is no number.
    """
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()


class _Quiet:
    """Standard output without the pages that Ray prints there, whatever its log level, when a node dies."""

    def __init__(self, out: TextIO) -> None:
        self.out = out
        self.dropped = False

    def write(self, text: str) -> int:
        """Passes on what is not Ray's; `print` writes a line and its end one after the other."""
        end, self.dropped = self.dropped and text == "\n", "(raylet)" in text
        return len(text) if end or self.dropped else self.out.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.out, name)


def _whole(ray: Any, study: Study) -> bytes:
    """Pickle a study so that a node can read it which lacks its file: by value, or beside the sources of its folder."""
    module = sys.modules[study.trial.__module__]
    if module.__name__.partition(".")[0] == "plexus" or module.__name__ == "__main__" or home_of(study) is not None:
        return cast(bytes, ray.cloudpickle.dumps(study))
    ray.cloudpickle.register_pickle_by_value(module)
    try:
        return cast(bytes, ray.cloudpickle.dumps(study))
    finally:
        ray.cloudpickle.unregister_pickle_by_value(module)
