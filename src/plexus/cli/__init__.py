"""The command line: one file per verb, loaded when it is called; and what `plexus` shows when it is given nothing."""

from __future__ import annotations

import errno
import io
import os
import sys
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

from cyclopts import App, CycloptsError

from plexus import __version__
from plexus.cli import _signals
from plexus.errors import PlexusError, PlexusWarning, one_line

VERBS = {
    "fit": ("Learn a wiring; keep a plain model.", "plexus fit photos --size 64"),
    "predict": ("Classify images with a run's model.", "plexus predict runs/try photos --top 3"),
    "report": ("Write a run's page again.", "plexus report runs/try"),
    "probe": ("Turn images; see how models hold up.", "plexus probe runs/try digits"),
    "study": ("Run experiments with statistics.", "plexus study run mine.py"),
    "claims": ("Say of each claim whether it holds.", "plexus claims --html claims.html"),
    "prune": ("Cut a learned network to another budget.", "plexus prune runs/try --keep 0.1"),
    "audit": ("Find duplicates, contradictions, leaks.", "plexus audit photos"),
    "segment": ("Segment targets that may be absent.", "plexus segment train scans --cv 5"),
    "represent": ("Learn a Z that rebuilds and recognises.", "plexus represent train photos --dim 16"),
    "essay": ("Answer five small questions exactly.", "plexus essay squares 25"),
    "doctor": ("Say what is installed and what is not.", "plexus doctor"),
}
"""Verb -> what it does, in 40 letters or so, and one command line."""


# OpenMP's threads wait for work by spinning; beside other busy processes that was seen to slow small networks
# down tenfold, and a short spin was not. It is read when torch is loaded.
os.environ.setdefault("GOMP_SPINCOUNT", "2000")

app = App(
    name="plexus",
    help="Learn how a network's layers should be connected, prune the rest, keep a plain PyTorch model.",
    version=__version__,
    version_flags=["--version"],
    suppress_keyboard_interrupt=False,  # `main` says that it stopped
)
for verb, (summary, example) in VERBS.items():
    app.command(f"plexus.cli.{verb}:{verb}", name=verb, help=f"{summary}\n\nExample: {example}")
app.register_install_completion_command(
    help="Let the shell complete what you type.\n\nExample: plexus --install-completion --shell bash"
)

PATHS = {
    errno.ENAMETOOLONG: "no file has such a name; give a path",
    errno.EACCES: "make it readable, or writable where plexus should write, or name another",
    errno.EPERM: "make it readable, or writable where plexus should write, or name another",
    errno.EROFS: "nothing can be written there; name another place",
    errno.ELOOP: "its links lead back to themselves; name the file itself",
    errno.ENOENT: "it, or its folder, is gone: see what takes it away, and begin anew",
    errno.ENOTDIR: "a part of the path is a file; name another",
    errno.ESTALE: "the file system was taken away; bring it back, then go on",
    errno.EIO: "the disk cannot be read or written there; see to it, then go on",
}
"""What a path can have that no look at it beforehand is safe from -> the remedy."""


def front() -> str:
    """Return one screen of 80 columns and 24 rows."""
    width = max(len(example) for _, example in VERBS.values())
    return "\n".join(
        [
            f"plexus {__version__}: learn how a network's layers should be connected,",
            "prune the rest, keep a plain PyTorch model.",
            "",
            *(f"{example:<{width}}  {summary}" for summary, example in VERBS.values()),
            "",
            f"{'plexus fit':<{width}}  Try it: 1,797 digits, about a minute.",
            f"{'plexus VERB --help':<{width}}  All options of a verb.",
            f"{'plexus --install-completion':<{width}}  Let the shell complete what you type.",
        ]
    )


def main(arguments: list[str] | None = None) -> None:
    """Run the `plexus` command; a user's mistake is one line on stderr and exit code 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # names of files and classes may hold what a terminal cannot show
            stream.reconfigure(errors="backslashreplace")
    show, warnings.showwarning = warnings.showwarning, partial(_warn, warnings.showwarning)
    try:
        with _signals.unwinding():
            _run(arguments)
    except KeyboardInterrupt:  # it came while another error was told
        _stopped()
    finally:
        warnings.showwarning = show


def _warn(otherwise: Callable[..., None], message: Warning | str, category: type[Warning], *more: Any) -> None:
    """Print a warning of ours as a line, and any other as it is."""
    if issubclass(category, PlexusWarning):
        print(f"plexus: {one_line(' '.join(str(message).split()))}", file=sys.stderr, flush=True)
    else:
        otherwise(message, category, *more)


def _run(arguments: list[str] | None) -> None:
    try:
        if not (sys.argv[1:] if arguments is None else arguments):
            print(front(), flush=True)
            return
        app(arguments, exit_on_error=False, print_error=False)
    except PlexusError as error:
        if _signals.STOP.at is not None:
            _stopped()
        _leave(str(error), error.exit_code)
    except CycloptsError as error:
        _leave(f"{error} See `{' '.join(['plexus', *(error.command_chain or ()), '--help'])}`", 2)
    except KeyboardInterrupt:
        _stopped()
    except SystemExit as left:
        if _signals.STOP.at is not None and not left.code:
            _stopped()
        raise
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        if _signals.STOP.at is not None:  # libraries make other errors of a KeyboardInterrupt
            _stopped()
        if _short_of_memory(error):
            _leave(MEMORY, 1)
        if not isinstance(error, OSError):
            raise
        _leave(*_told(error))


def _stopped() -> None:
    _signals.say()
    sys.exit(_signals.CODE)


MEMORY = (
    "memory is short: end other programs, raise the limit (ulimit -v), or take fewer or smaller images (--limit, "
    "--size, --batch-size); a run goes on with --resume RUN"
)
_SHORT = (
    "allocate memory", "failed to map segment", "start new thread", "bad_alloc", "bad alloc", "out of memory",
    "could not create a primitive", "error return without exception set",
)  # fmt: skip
"""In the messages of loaders, torch, oneDNN, compiled modules and numba where a MemoryError is meant."""


def _short_of_memory(error: BaseException | None) -> bool:
    """Tell if there was too little memory, whatever was made of that on the way."""
    seen = set[int]()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, MemoryError) or any(words in str(error).lower() for words in _SHORT):
            return True
        error = error.__cause__ or error.__context__
    return False


def _told(error: OSError) -> tuple[str, int]:
    """Return the line that says what the system refused, and the exit code."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}the disk is full; make room, then go on; a run with --resume RUN", 1
    if error.filename is None and error.errno == errno.ENOENT and not os.stat(os.curdir).st_nlink:
        return "the folder that you are in is gone: go to another", 2
    if error.filename is None or error.errno not in PATHS:
        raise error
    return f"{_short(error.filename)}: {error.strerror}; {PATHS[error.errno]}", 2


def _short(path: object, most: int = 200) -> str:
    """A path that fits into a message."""
    text = os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else str(path)
    return text if len(text) <= most else f"{text[: most // 2]}...{text[-most // 2 :]}"


def _leave(message: str, code: int) -> None:
    print(f"plexus: {one_line(' '.join(message.split()))}", file=sys.stderr)
    sys.exit(code)
