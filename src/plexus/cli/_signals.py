"""Ctrl-C and SIGTERM: one line and exit code 130, at whatever moment they come; loads nothing heavy."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType

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
        STOP.at = time.monotonic()
        raise KeyboardInterrupt
    if time.monotonic() - STOP.at > _TOGETHER:
        at_once(signum, frame)


@contextlib.contextmanager
def unwinding() -> Iterator[None]:
    """Let a signal raise a KeyboardInterrupt, the first one only; afterwards the handlers are what they were."""
    STOP.at, STOP.told = None, False
    ours = threading.current_thread() is threading.main_thread()  # no other may set a handler
    before = install(_unwind) if ours else {}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
