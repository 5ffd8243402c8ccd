"""Ctrl-C and SIGTERM: one line and exit code 130, at whatever moment they come; loads nothing heavy."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from types import FrameType
from typing import Any

from plexus.start import CODE, STOP, at_once, install

__all__ = ["CODE", "STOP", "say", "unwinding"]

_TOGETHER = 0.5
"""Seconds in which further signals count as the first: a terminal or a scheduler may send several."""


def say(hint: str = "") -> None:
    """Print the line that says so, once."""
    if not STOP.told:
        STOP.told = True
        start = "\n" if sys.stderr.isatty() else ""  # behind a progress bar
        print(f"{start}plexus: stopped{hint}", file=sys.stderr, flush=True)


def _unwind(signum: int, frame: FrameType | None) -> None:
    """The first signal unwinds, so that what is open is closed; one that comes when that takes long ends it."""
    if STOP.at is None:
        STOP.at, STOP.by = time.monotonic(), signum
        raise KeyboardInterrupt
    if time.monotonic() - STOP.at > _TOGETHER:
        at_once(signum, frame)


def _send_again(otherwise: Callable[[Any], object], sending: list[threading.Timer], lost: Any) -> None:
    """Send a KeyboardInterrupt anew that was lost, as it is where Python cannot raise: while it takes objects away."""
    if STOP.at is None or not issubclass(lost.exc_type, KeyboardInterrupt):
        otherwise(lost)
        return
    STOP.at = None
    sending.append(threading.Timer(0.01, os.kill, (os.getpid(), STOP.by)))
    sending[-1].daemon = True
    sending[-1].start()


@contextlib.contextmanager
def unwinding() -> Iterator[None]:
    """Let a signal raise a KeyboardInterrupt, the first one only; afterwards the handlers are what they were."""
    STOP.at, STOP.told = None, False
    ours = threading.current_thread() is threading.main_thread()  # no other may set a handler
    before = install(_unwind) if ours else {}
    sending: list[threading.Timer] = []
    unraisable, sys.unraisablehook = sys.unraisablehook, partial(_send_again, sys.unraisablehook, sending)
    try:
        yield
    finally:
        sys.unraisablehook = unraisable
        for timer in sending:
            timer.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)
