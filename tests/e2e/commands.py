"""Runs `plexus` in processes of its own, forked from one that has loaded torch already."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["tests.e2e.preload"])

Fault = tuple[str, int]
"""Die by SIGKILL at the n-th event of a kind: `step` (of training), `write` (just before a file takes its place)."""


@dataclass
class Done:
    """What a command left."""

    code: int
    out: str
    err: str


class Command:
    """A `plexus` command that was started.

    Args:
        arguments: of the command line.
        folder: where it runs; its output is kept there.
        fault: see `Fault`.
    """

    def __init__(self, *arguments: object, folder: Path, fault: Fault | None = None, space: int | None = None) -> None:
        self.out, self.err = folder / "out.txt", folder / "err.txt"
        for file in (self.out, self.err):
            file.write_text("")
        self.process = SERVER.Process(target=_run, args=([str(a) for a in arguments], folder, fault, space))
        self.process.start()

    def lines(self) -> Iterator[str]:
        """The lines of stderr, as they come, until the command ends."""
        with self.err.open() as file:
            part = ""
            while True:
                alive = self.process.is_alive()
                part += file.readline()
                if part.endswith("\n"):
                    yield part
                    part = ""
                elif not alive:
                    return
                else:
                    self.process.join(0.01)  # a turn for the command, which may need this core

    def interrupt(self) -> None:
        """Ctrl-C."""
        assert self.process.pid is not None
        os.kill(self.process.pid, signal.SIGINT)

    def wait(self) -> Done:
        """Until it ends."""
        self.process.join()
        assert self.process.exitcode is not None
        return Done(self.process.exitcode, self.out.read_text(), self.err.read_text())


def plexus(*arguments: object, folder: Path, fault: Fault | None = None, space: int | None = None) -> Done:
    """Runs a command to its end."""
    return Command(*arguments, folder=folder, fault=fault, space=space).wait()


def _run(arguments: list[str], folder: Path, fault: Fault | None, space: int | None) -> None:
    os.chdir(folder)
    for number, name in ((1, "out.txt"), (2, "err.txt")):
        os.dup2(os.open(folder / name, os.O_WRONLY | os.O_APPEND), number)
    sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115 - until the end
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job begins with Ctrl-C ignored
    sys.argv = ["plexus", *arguments]
    if fault is not None:
        _arm(*fault)
    if space is not None:
        _limit(space)
    from plexus.cli import main

    main(arguments)


def _arm(kind: str, at: int) -> None:
    """Dies at the n-th event."""
    from plexus.training import TrainingModule

    owner: Any = TrainingModule if kind == "step" else os
    name = "training_step" if kind == "step" else "fsync"
    setattr(owner, name, _counted(getattr(owner, name), at))


def _counted(function: Callable[..., Any], at: int) -> Callable[..., Any]:
    seen = 0

    def counted(*arguments: Any) -> Any:
        nonlocal seen
        seen += 1
        if seen == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments)

    return counted


def _limit(most: int) -> None:
    """No file grows beyond this many bytes: the disk is as good as full."""
    import errno

    sync = os.fsync

    def full(file: int) -> None:
        if os.fstat(file).st_size > most:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(file)

    os.fsync = full  # type: ignore[assignment]
