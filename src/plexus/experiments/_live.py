"""Shows a study at work: a live table on a terminal, a line for each trial elsewhere."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table

from plexus.experiments._progress import Progress


class Show:
    """A listener for `run`, used as a context.

    Args:
        console: where to show; stderr unless given.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, highlight=False)
        self.progress: Progress | None = None
        self.at = time.monotonic()
        self.live = Live(get_renderable=self._table, console=self.console, refresh_per_second=1, transient=False)

    def __enter__(self) -> Show:
        if self.console.is_terminal:
            self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.console.is_terminal:
            self.live.stop()

    def __call__(self, progress: Progress) -> None:
        """Takes the news."""
        self.progress, self.at = progress, time.monotonic()
        if progress.ended is not None and (not self.console.is_terminal or progress.value is None):
            self.console.print(escape(line(progress)), soft_wrap=True)

    def _table(self) -> RenderableType:
        return "" if self.progress is None else table(self.progress, time.monotonic() - self.at)


def line(progress: Progress) -> str:
    """One line on the trial that has just ended."""
    name, of = progress.ended, f"{len(progress.records) + len(progress.failed)}/{progress.total}"
    if progress.value is None:
        return f"{of}  {name}  failed: {progress.failed[str(name)]}"
    rest = f"  {duration(progress.to_go)} to go" if progress.to_go else ""
    return f"{of}  {name}  {progress.measure} {progress.value:.2f}  {duration(progress.seconds)}{rest}"


def table(progress: Progress, since: float = 0.0) -> RenderableType:
    """Done, running, left, time to go, best so far.

    Args:
        progress: the last news.
        since: seconds since they came.
    """
    done = len(progress.records)
    rows = Table(box=None, show_header=False, pad_edge=False)
    rows.add_column(style="dim")
    rows.add_column()
    rows.add_row(f"{progress.study} {progress.scale}", ProgressBar(progress.total, done + len(progress.failed), 40))
    rows.add_row("done", f"{done} of {progress.total}" + _count(len(progress.failed), "failed"))
    rows.add_row("running", escape(_some(progress.running)))
    rows.add_row("left", str(progress.left))
    rows.add_row("time to go", duration(None if progress.to_go is None else max(0.0, progress.to_go - since)))
    if progress.best is not None:
        name, mean, seeds = progress.best
        of = f"{seeds} seed{'s' if seeds > 1 else ''}"
        rows.add_row("best so far", escape(f"{name}  {progress.measure} {mean:.2f} ({of})"))
    return Group(rows)


def duration(seconds: float | None) -> str:
    """A time in words.

    Args:
        seconds: None where it is not known.

    Example:
        >>> duration(0.42), duration(75), duration(7300), duration(None)
        ('0.4 s', '1 min 15 s', '2 h 1 min', 'not known yet')
    """
    if seconds is None:
        return "not known yet"
    if seconds < 59.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min {rest} s"


def _count(n: int, what: str) -> str:
    return f", {n} {what}" if n else ""


def _some(names: tuple[str, ...], most: int = 4) -> str:
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")
