"""The local engine: trials in this process, or in a few others."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import pickle
import signal
import sys
import threading
from collections import Counter, deque
from collections.abc import Generator, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

from plexus.experiments._files import Home, home_of
from plexus.experiments._study import Study
from plexus.experiments._trial import Event, Failure, Outcome, Task, perform
from plexus.record import cores

_SPAWN = multiprocessing.get_context("spawn")
_AGAIN = 1  # how often a trial is begun anew whose process died


class Local:
    """Runs trials one at a time in this process, or in `jobs` processes with a share of the cores each.

    Args:
        jobs: how many processes; with 1, none.
    """

    def __init__(self, jobs: int = 1) -> None:
        self.slots = jobs

    def __call__(self, study: Study, tasks: list[Task]) -> Generator[Event, None, None]:
        """Yield an event as a trial starts and as it ends."""
        if self.slots == 1:
            for task in tasks:
                yield task, None
                yield task, perform(study, task)
        elif tasks:
            yield from self._spread(study, tasks)

    def _spread(self, study: Study, tasks: list[Task]) -> Generator[Event, None, None]:
        parcel = (home_of(study), pickle.dumps(study))
        waiting, deaths = deque(tasks), Counter[str]()
        workers: list[_Worker] = []
        idle: list[_Worker] = []
        busy: dict[Future[Outcome], tuple[_Worker, Task]] = {}
        # Signals interrupt the main thread only: what another one has begun to start is on the list to end.
        with ThreadPoolExecutor(1) as starter:
            try:
                while waiting or busy:
                    while waiting and len(busy) < self.slots:
                        if not idle:
                            starter.submit(lambda: workers.append(_Worker(*parcel, share(self.slots)))).result()
                            idle.append(workers[-1])
                        worker, task = idle.pop(), waiting.popleft()
                        busy[worker.begin(task)] = worker, task
                        if not deaths[task.name]:
                            yield task, None
                    for future in wait(busy, return_when=FIRST_COMPLETED).done:
                        worker, task = busy.pop(future)
                        error = future.exception()
                        if not isinstance(error, BrokenProcessPool):
                            idle.append(worker)
                            yield task, future.result()
                            continue
                        worker.stop()  # it died; so may the trial's next process, but not for ever
                        deaths[task.name] += 1
                        if deaths[task.name] <= _AGAIN:
                            waiting.appendleft(task)
                            continue
                        yield task, Failure(f"its process died {deaths[task.name]} times, {worker.death()}")
            finally:
                starter.submit(_end, workers, idle).result()


def _end(workers: list[_Worker], idle: list[_Worker]) -> None:
    """End all processes, and those in the middle of a trial at once."""
    for worker in workers:
        if worker not in idle:
            worker.process.kill()
    for worker in workers:
        worker.stop()


class _Worker:
    """A process that runs one trial after another.

    It is a pool of one: when a process of a pool dies, the pool fails every trial it was given, and cannot say which of
    them it was.
    """

    def __init__(self, home: Home | None, study: bytes, threads: int) -> None:
        self.pool = ProcessPoolExecutor(1, _SPAWN, initializer=_enter, initargs=(home, study, threads))
        others = set(multiprocessing.active_children())
        with _born(threads):
            self.pool.submit(int)  # a pool starts its process when it is first given something
        (self.process,) = set(multiprocessing.active_children()) - others

    def begin(self, task: Task) -> Future[Outcome]:
        """Begin a trial."""
        try:
            return self.pool.submit(_perform, task)
        except BrokenProcessPool as error:  # it died while idle
            future: Future[Outcome] = Future()
            future.set_exception(error)
            return future

    def death(self) -> str:
        """Say how a stopped process died."""
        code = self.process.exitcode or 0
        if code == -9:
            return "at last by SIGKILL: perhaps out of memory, take fewer --jobs"
        return f"at last by {signal.Signals(-code).name}" if code < 0 else f"at last with exit code {code}"

    def stop(self) -> None:
        """End the process, and wait until it has."""
        self.pool.shutdown(cancel_futures=True)


def share(jobs: int) -> int:
    """Threads for each of `jobs` processes; OMP_NUM_THREADS, where it is set, is the most."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    most = int(asked) if asked.isdecimal() and int(asked) else cores()
    return max(1, min(most, cores() // jobs))


@contextmanager
def _born(threads: int) -> Iterator[None]:
    """Set what a process inherits: its number of threads, which libraries read as they load, and a deaf ear for Ctrl-C.

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


_PR_SET_PDEATHSIG = 1
_STUDIES: list[Study] = []
"""Of a worker: the one that it runs trials of."""


def _enter(home: Home | None, study: bytes, threads: int) -> None:
    """Begin a worker's life, which ends at once when the process that started it dies."""
    if sys.platform == "linux":  # also while a library is loaded, when no thread of Python can look
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    import torch

    torch.set_num_threads(threads)
    if home is not None:
        home.enter()
    _STUDIES.append(pickle.loads(study))


def _perform(task: Task) -> Outcome:
    return perform(_STUDIES[0], task)


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
