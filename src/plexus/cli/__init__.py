"""The command line: one file per verb, loaded when it is called."""

from __future__ import annotations

import errno
import os
import sys

from cyclopts import App, CycloptsError

from plexus import __version__
from plexus.cli._front import VERBS, front
from plexus.errors import PlexusError

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
}
"""What a path can have that no look at it beforehand is safe from -> the remedy."""


def main(arguments: list[str] | None = None) -> None:
    """The `plexus` command; a user's mistake is one line on stderr and exit code 2."""
    if not (sys.argv[1:] if arguments is None else arguments):
        print(front())
        return
    try:
        app(arguments, exit_on_error=False, print_error=False)
    except PlexusError as error:
        _leave(str(error), error.exit_code)
    except CycloptsError as error:
        _leave(f"{error} See `plexus --help`", 2)
    except KeyboardInterrupt:
        _leave("stopped", 130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            where = error.filename or "the disk"
            _leave(f"{where}: the disk is full; make room, then go on; a run with --resume RUN", 1)
        if error.filename is None or error.errno not in PATHS:
            raise
        _leave(f"{_short(error.filename)}: {error.strerror}; {PATHS[error.errno]}", 2)


def _short(path: object, most: int = 200) -> str:
    """A path that fits into a message."""
    text = os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else str(path)
    return text if len(text) <= most else f"{text[: most // 2]}...{text[-most // 2 :]}"


def _leave(message: str, code: int) -> None:
    print(f"plexus: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(code)
