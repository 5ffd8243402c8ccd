"""Ctrl-C and SIGTERM: one line and exit code 130, at whatever moment they come; loads nothing heavy."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType

CODE = 130
_BOTH = (signal.SIGINT, signal.SIGTERM)
_TOGETHER = 0.5
"""Seconds in which further signals count as the first: a terminal or a scheduler may send several."""


@dataclass
class Stop:
    """The stop that was asked for.

    Args:
        at: the time of the first signal; None before it.
        told: the line is printed.
    """

    at: float | None = None
    told: bool = False


STOP = Stop()


def say(hint: str = "") -> None:
    """Print the line that says so, once."""
    if not STOP.told:
        STOP.told = True
        start = "\n" if sys.stderr.isatty() else ""  # behind a progress bar
        print(f"{start}plexus: stopped{hint}", file=sys.stderr, flush=True)


def at_once(signum: int, frame: FrameType | None) -> None:
    """Leave while modules are loaded or torn down, when an exception would be a traceback: nothing is under way."""
    if not STOP.told:
        os.write(2, b"plexus: stopped\n")
    os._exit(CODE)


def _unwind(signum: int, frame: FrameType | None) -> None:
    """The first signal unwinds, so that what is open is closed; one that comes when that takes long ends it."""
    if STOP.at is None:
        STOP.at = time.monotonic()
        raise KeyboardInterrupt
    if time.monotonic() - STOP.at > _TOGETHER:
        at_once(signum, frame)


def begin() -> None:
    """Leave at once on a signal, where this process is the `plexus` command itself."""
    processes = sys.modules.get("multiprocessing.process")  # a worker's driver ends it
    if os.path.basename(sys.argv[0]) == "plexus" and (processes is None or processes.parent_process() is None):
        _install(at_once)


@contextlib.contextmanager
def unwinding() -> Iterator[None]:
    """Let a signal raise a KeyboardInterrupt, the first one only; afterwards the handlers are what they were."""
    STOP.at, STOP.told = None, False
    before = _install(_unwind)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _install(handler: signal._HANDLER) -> dict[signal.Signals, signal._HANDLER]:
    """Set the handler where nobody asked to be left alone, as `nohup` and a shell's background jobs do."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    before = {number: signal.getsignal(number) for number in _BOTH}
    before = {number: old for number, old in before.items() if old not in (signal.SIG_IGN, None)}
    for number in before:
        signal.signal(number, handler)
    return before
