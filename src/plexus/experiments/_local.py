"""The local engine: trials in this process, or in a few others."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from typing import Any

from plexus.experiments._runner import Event
from plexus.experiments._study import Study
from plexus.experiments._trial import Outcome, Task, cores, perform

_SPAWN = multiprocessing.get_context("spawn")
_AGAIN = 1  # how often a trial is begun anew whose process died


class Local:
    """Runs trials one at a time in this process, or in `jobs` processes with a share of the cores each.

    Args:
        jobs: how many processes; with 1, none.
    """

    def __init__(self, jobs: int = 1) -> None:
        self.slots = jobs

    def __call__(self, study: Study, tasks: list[Task]) -> Iterator[Event]:
        """Yields an event as a trial starts and as it ends."""
        if self.slots == 1:
            for task in tasks:
                yield task, None
                yield task, perform(study, task)
        elif tasks:
            yield from self._spread(study, tasks)

    def _spread(self, study: Study, tasks: list[Task]) -> Iterator[Event]:
        parcel = (home_of(study), pickle.dumps(study))
        threads = share(self.slots)
        waiting, deaths = deque(tasks), dict.fromkeys((t.name for t in tasks), 0)
        workers: list[_Worker] = []
        try:
            while waiting or any(w.task for w in workers):
                idle = [w for w in workers if w.task is None]
                while waiting and (idle or len(workers) < self.slots):
                    if not idle:
                        workers.append(_Worker(parcel, threads))
                        idle = workers[-1:]
                    task = waiting.popleft()
                    idle.pop().give(task)
                    if not deaths[task.name]:
                        yield task, None
                for worker in _first_to_speak(workers):
                    task, outcome = worker.take()
                    if outcome is None:  # it died; so may the trial's next process, but not for ever
                        workers.remove(worker)
                        deaths[task.name] += 1
                        if deaths[task.name] <= _AGAIN:
                            waiting.appendleft(task)
                            continue
                        outcome = {"error": f"its process died {deaths[task.name]} times, {worker.death()}", "at": []}
                    yield task, outcome
        finally:
            for worker in workers:
                worker.stop()


class _Worker:
    """A process that runs one trial after another."""

    def __init__(self, parcel: tuple[str | None, bytes], threads: int) -> None:
        self.task: Task | None = None
        self.pipe, theirs = _SPAWN.Pipe()
        self.process = _SPAWN.Process(target=_work, args=(theirs, *parcel, threads), daemon=False)
        with _born(threads):
            self.process.start()
        theirs.close()

    def give(self, task: Task) -> None:
        """Begins a trial."""
        self.task = task
        with suppress(OSError):  # it died while idle; `take` will say so
            self.pipe.send(task)

    def take(self) -> tuple[Task, Outcome | None]:
        """The trial it ran and what became of it, None if the process died."""
        assert self.task is not None
        task, self.task = self.task, None
        try:
            return task, self.pipe.recv()
        except (EOFError, OSError):
            self.process.join()
            return task, None

    def death(self) -> str:
        """How it died, in words."""
        code = self.process.exitcode or 0
        if code == -9:
            return "at last by SIGKILL: perhaps out of memory, take fewer --jobs"
        return f"at last by {signal.Signals(-code).name}" if code < 0 else f"at last with exit code {code}"

    def stop(self) -> None:
        """Ends the process, in the middle of a trial if need be."""
        self.pipe.close()
        if self.task is not None:
            self.process.terminate()
        self.process.join(5)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


def share(jobs: int) -> int:
    """Threads for each of `jobs` processes; OMP_NUM_THREADS, where it is set, is the most."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    most = int(asked) if asked.isdecimal() and int(asked) else cores()
    return max(1, min(most, cores() // jobs))


def home_of(study: Study) -> str | None:
    """The file that other processes must load before they can unpickle the study, or None where a plain import does."""
    name = study.trial.__module__
    return sys.modules[name].__file__ if name.startswith("plexus_study_") else None


def _first_to_speak(workers: list[_Worker]) -> list[_Worker]:
    busy: dict[Any, _Worker] = {w.pipe: w for w in workers if w.task}
    return [busy[pipe] for pipe in wait(list(busy))]  # the end of a process closes its pipe


@contextmanager
def _born(threads: int) -> Iterator[None]:
    """What a process inherits: its number of threads, which libraries read as they load, and a deaf ear for Ctrl-C.

    The terminal sends Ctrl-C to every process; this one ends the others.
    """
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = str(threads)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}) if hasattr(signal, "pthread_sigmask") else None
    try:
        yield
    finally:
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = before
        if mask is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _work(pipe: Connection, home: str | None, parcel: bytes, threads: int) -> None:
    """A worker's life: ends when the pipe closes, and at once when the process that started it dies."""
    threading.Thread(target=_die_with_parent, daemon=True).start()
    import torch

    torch.set_num_threads(threads)
    if home is not None:
        from plexus.experiments._find import load

        load(home)
    study: Study = pickle.loads(parcel)
    while True:
        try:
            task = pipe.recv()
        except EOFError:
            return
        pipe.send(perform(study, task))


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
