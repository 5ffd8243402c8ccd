"""What several verbs print: a line per epoch, how to go on after a stop, and text of the user's in one line."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console


class Epochs:
    """Prints a line per epoch, where no live progress bar can be shown."""

    def __init__(self) -> None:
        self.quiet = Console(stderr=True).is_terminal

    def __call__(self, entry: dict[str, Any]) -> None:
        if not self.quiet:
            print(self.line(entry), file=sys.stderr, flush=True)

    def line(self, entry: dict[str, Any]) -> str:
        """One epoch."""
        raise NotImplementedError


@contextmanager
def or_stopped(verb: str) -> Iterator[None]:
    """A stop from the keyboard says how to go on, and leaves with 130."""
    from plexus.training import is_rank_zero, last_run

    try:
        yield
    except KeyboardInterrupt:
        place = last_run()
        if is_rank_zero():
            hint = f"; go on with `plexus {verb} --resume {shlex.quote(str(place))}`" if place else ""
            print(f"\nplexus: stopped{hint}", file=sys.stderr, flush=True)
        sys.exit(130)


def one_line(text: str) -> str:
    """Text that stays in its column: what cannot be printed is escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
