"""What a training prints."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from plexus.record import RunRecord


class Lines:
    """A line per epoch, where no live progress bar can be shown."""

    def __init__(self) -> None:
        self.quiet = Console(stderr=True).is_terminal

    def __call__(self, entry: dict[str, Any]) -> None:
        if not self.quiet:
            figures = f"loss {entry['train_loss']:.3f}   validation loss {entry['val_loss']:.3f}   accuracy {entry['val_accuracy']:.1%}"
            print(f"{entry['phase']:<6} epoch {entry['epoch'] + 1:>3}   {figures}", file=sys.stderr, flush=True)


def summary(record: RunRecord, folder: Path) -> None:
    """The results as a table, and where to look."""
    table = Table(title=None, box=None, pad_edge=False)
    for title, side in (("network", "left"), ("test accuracy", "right"), ("95 %", "right"), ("parameters", "right"), ("multiply-adds", "right")):
        table.add_column(title, justify=side)  # type: ignore[arg-type]
    for row in record.results:
        low, high = row["ci"]
        interval = f"{low:.1%} .. {high:.1%}"
        table.add_row(row["label"], f"{row['accuracy']:.1%}", interval, f"{row['parameters']:,}", f"{row['macs']:,}")
    console = Console(highlight=False)
    console.print(table)
    kept = sum(e["kept"] for e in record.edges)
    console.print(f"kept {kept} of {len(record.edges)} connections; open [bold]{escape(str(folder / 'report.html'))}[/bold]", soft_wrap=True)
