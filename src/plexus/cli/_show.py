"""What a training prints."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from plexus.cli._printing import Epochs, or_stopped
from plexus.record import FitRecord


class Lines(Epochs):
    """A line per epoch, where no live progress bar can be shown."""

    def line(self, entry: dict[str, Any]) -> str:
        """One epoch."""
        losses = f"loss {entry['train_loss']:.3f}   validation loss {entry['val_loss']:.3f}"
        return f"{entry['phase']:<8} epoch {entry['epoch'] + 1:>3}   {losses}   accuracy {entry['val_accuracy']:.1%}"


def trained(work: Callable[[Lines], Path]) -> None:
    """Runs a training, then writes its page and prints its results; a stop from the keyboard says how to go on."""
    from plexus.report import write_report
    from plexus.training import is_rank_zero

    with or_stopped("fit"):
        folder = work(Lines())
        if not is_rank_zero():
            return
        record = FitRecord.read(folder / "record.json")
        write_report(record, folder / "report.html")
    _summary(record, folder)


def _summary(record: FitRecord, folder: Path) -> None:
    """The results as a table, and where to look."""
    table = Table(title=None, box=None, pad_edge=False)
    table.add_column("network", justify="left")
    for title in ("test accuracy", "95 %", "parameters", "multiply-adds"):
        table.add_column(title, justify="right")
    for row in record.results:
        interval = f"{row.ci[0]:.1%} .. {row.ci[1]:.1%}" if row.ci else "-"
        table.add_row(row.label, f"{row.accuracy:.1%}", interval, f"{row.parameters:,}", f"{row.macs:,}")
    console = Console(highlight=False)
    console.print(table)
    kept = sum(edge.kept is True for edge in record.edges)
    page = escape(str(folder / "report.html"))
    console.print(f"kept {kept} of {len(record.edges)} connections; open [bold]{page}[/bold]", soft_wrap=True)
