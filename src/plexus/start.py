"""The first moments of the `plexus` command, before anything that takes long is loaded: signals, and names in UTF-8."""

from __future__ import annotations

import atexit
import os
import signal
import sys

CODE = 130
BOTH = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """The stop that was asked for."""

    at: float | None = None
    """The time of the first signal; None before it."""
    by: int = signal.SIGTERM
    """Its number."""
    told = False
    """The line is printed."""


STOP = Stop()


def at_once(signum: int, frame: object) -> None:
    """Leave while modules are loaded or torn down, when an exception would be a traceback: nothing is under way."""
    if not STOP.told:
        os.write(2, b"plexus: stopped\n")
    os._exit(CODE)


def install(handler: signal._HANDLER) -> dict[signal.Signals, signal._HANDLER]:
    """Set the handler where nobody asked to be left alone, as `nohup` and a shell's background jobs do."""
    before = {number: signal.getsignal(number) for number in BOTH}
    before = {number: old for number, old in before.items() if old not in (signal.SIG_IGN, None)}
    for number in before:
        signal.signal(number, handler)
    return before


def _is_command() -> bool:
    """Tell if this process is the `plexus` command itself; its workers, whom it ends, are not."""
    called = (*sys.argv, "")[0]  # where Python is embedded there may be none
    own = "plexus" in sys.orig_argv if called == "-m" else os.path.basename(called) == "plexus"
    processes = sys.modules.get("multiprocessing.process")
    return own and (processes is None or processes.parent_process() is None)


def _open_streams() -> None:
    """Put nothing where a stream is closed: the next file to be opened would take its number, and be written over."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, open(number, "w" if number else "r", closefd=False))  # noqa: SIM115 - until the end


def _in_utf8() -> None:
    """Start once more with names in UTF-8 where the locale is ASCII: they are, and Python would not read them."""
    if sys.getfilesystemencoding() != "ascii" or "utf8" in sys._xoptions or not sys.executable:
        return
    os.environ["PYTHONUTF8"] = "1"  # of the processes that this one starts
    signal.pthread_sigmask(signal.SIG_BLOCK, BOTH)  # what comes meanwhile waits
    os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])


if _is_command():
    install(at_once)
    _open_streams()
    atexit.register(install, signal.SIG_IGN)  # the last of them: then Python takes its handlers away and is torn down
    _in_utf8()
    if "utf8" in sys._xoptions and hasattr(signal, "pthread_sigmask"):  # not on Windows
        signal.pthread_sigmask(signal.SIG_UNBLOCK, BOTH)
