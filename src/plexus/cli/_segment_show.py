"""What a segmentation prints."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from plexus.cli._printing import Epochs, or_stopped


class Lines(Epochs):
    """A line per epoch, where no live progress bar can be shown."""

    def line(self, entry: dict[str, Any]) -> str:
        """One epoch."""
        losses = f"loss {entry['train_loss']:.3f}   validation loss {entry['val_loss']:.3f}"
        return f"fold {entry['fold']} epoch {entry['epoch'] + 1:>3}   {losses}   Dice {entry['val_dice']:.3f}"


def trained(work: Callable[[Lines], Path]) -> None:
    """Runs a training, then writes its page and prints its figures; a stop from the keyboard says how to go on."""
    from plexus.report import write_segment
    from plexus.segment import open_run
    from plexus.training import is_rank_zero

    with or_stopped("segment train"):
        folder = work(Lines())
        if not is_rank_zero():
            return
        record = open_run(folder)[1].to_dict()
        page = write_segment(record, folder / "report.html")
    for note in record["data"]["notes"]:
        print(f"plexus: {note}", file=sys.stderr)
    show(record, page)


def show(record: dict[str, Any], page: Path) -> None:
    """The figures of every gate as a table, and where to look."""
    table = Table(title=None, box=None, pad_edge=False)
    table.add_column("gate", justify="left", no_wrap=True)
    for title in ("Dice", "95 %", "if present", "false masks", "missed"):  # 80 columns hold all for 9,999 images
        table.add_column(title, justify="right", no_wrap=True)
    for kind, row in record["results"].items():
        dice, there, errors = row["dice"], row["dice_present"], row["presence"]
        table.add_row(
            f"{kind} (chosen)" if kind == record["chosen"] else kind,
            f"{dice['mean']:.3f}",
            f"{dice['low']:.3f}-{dice['high']:.3f}" if dice["low"] is not None else "-",
            f"{there['mean']:.3f}" if there else "-",
            f"{errors['false_positives']} of {errors['negatives']}",
            f"{errors['false_negatives']} of {errors['positives']}",
        )
    console = Console(highlight=False)
    console.print(table)
    where = escape(f"{len(record['images'])} images, {record['measured_on']}")
    console.print(f"{where}; open [bold]{escape(str(page))}[/bold]", soft_wrap=True)
