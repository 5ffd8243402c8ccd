"""The command line: one file per verb, loaded when it is called."""

from __future__ import annotations

import errno
import os
import sys

from cyclopts import App, CycloptsError

from plexus import __version__
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
for verb, summary in {
    "fit": "Learn a wiring from images; leave a model and its evidence in a folder.",
    "predict": "Classify images with a run's model.",
    "report": "Write a run's report page again.",
    "probe": "Turn images through every angle and see how models hold up.",
    "study": "Run experiments: variants of one question, several seeds, statistics.",
    "claims": "Say of each claim whether it holds, from the studies' records.",
    "prune": "Cut a run's learned network to another budget.",
    "audit": "Find near-duplicates, contradictory labels and leaks in a set of images.",
    "segment": "Train and use segmenters for targets that may be absent.",
    "represent": "Learn a small Z that reconstructs and recognises; start new tasks from it.",
    "essay": "Five small questions, answered exactly: squares, shields, fitness, kleiber, keystrokes.",
}.items():
    app.command(f"plexus.cli.{verb}:{verb}", name=verb, help=summary)


def main(arguments: list[str] | None = None) -> None:
    """The `plexus` command; a user's mistake is one line on stderr and exit code 2."""
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
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        where = error.filename or "the disk"
        _leave(f"{where}: the disk is full; make room, then go on; a run with --resume RUN", 1)


def _leave(message: str, code: int) -> None:
    print(f"plexus: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(code)
