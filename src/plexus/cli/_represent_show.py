"""What a representation prints."""

from __future__ import annotations

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
        known = entry["val_accuracy"] is not None
        accuracy = f"   accuracy {entry['val_accuracy']:.1%}" if known else ""
        figures = f"loss {entry['train_loss']:.3f}   unexplained {entry['val_unexplained']:.1%}{accuracy}"
        return f"{entry['phase']:<6} epoch {entry['epoch'] + 1:>3}   {figures}"


def trained(work: Callable[[Lines], Path]) -> None:
    """Runs a training, then writes its page and prints its figures; a stop from the keyboard says how to go on."""
    from plexus.training import is_rank_zero

    with or_stopped("represent train"):
        folder = work(Lines())
        if not is_rank_zero():
            return
        where = page(folder)
    from plexus.represent import open_run

    record = open_run(folder)[1].to_dict()
    results, units = record["results"], record["units"]
    table = Table(title=None, box=None, pad_edge=False)
    for title in ("on test images", "", "95 %"):
        table.add_column(title, justify="left" if title else "right")
    table.add_row("pixel variance left unexplained", f"{results['unexplained']:.1%}", "")
    for name, title in (("classifier", "classifier on Z"), ("linear", "a line on Z, all labels"), ("knn", "5 nearest")):
        if found := results.get(name):
            table.add_row(title, f"{found['value']:.1%}", f"{found['low']:.1%} .. {found['high']:.1%}")
    console = Console(highlight=False)
    console.print(table)
    if units["collapsed"]:
        use = f"only {units['active']} of {units['dim']} numbers of Z are in use"
        remedy = "lower --beta or --dim" if record["config"]["objective"] == "vae" else "lower --dim"
        console.print(f"{use}: the rest has collapsed; {remedy}")
    console.print(f"Z of {units['dim']}; open [bold]{escape(str(where))}[/bold]", soft_wrap=True)


def page(run: Path) -> Path:
    """Writes the page of a run again."""
    from plexus.report import write_represent
    from plexus.represent import open_run

    return write_represent(open_run(run)[1].to_dict(), run / "report.html")


def fewshot_table(found: dict[str, Any], where: Path) -> None:
    """Heads with their intervals, and their gain over raw pixels."""
    table = Table(title=None, box=None, pad_edge=False)
    table.add_column(f"{found['ways']}-way {found['shots']}-shot", justify="left")
    for title in ("accuracy", "95 %", "over pixels", "95 %"):
        table.add_column(title, justify="right")
    for name, head in found["heads"].items():
        cells = [f"{head['mean']:.1%}", f"{head['low']:.1%} .. {head['high']:.1%}"]
        if gain := found["gains"].get(name):
            cells += [f"{100 * gain['mean']:+.1f} pt", f"{100 * gain['low']:+.1f} .. {100 * gain['high']:+.1f}"]
        table.add_row(name, *cells)
    console = Console(highlight=False)
    console.print(table)
    drawn = escape(f"{found['episodes']} episodes of {', '.join(found['classes'])}, none of them seen in training")
    console.print(f"{drawn}; open [bold]{escape(str(where))}[/bold]", soft_wrap=True)


def probe_table(rows: list[dict[str, Any]], where: Path) -> None:
    """Recognition and reconstruction of every model."""
    table = Table(title=None, box=None, pad_edge=False)
    for title in ("Z of", "balance", "unexplained", "linear", "5 nearest", "moved by 90°"):
        table.add_column(title, justify="right")
    for row in rows:
        shares = [f"{row[name]['value']:.1%}" if name in row else "-" for name in ("linear", "knn")]
        turn = row["turning"]
        moved = f"{turn['moved'][turn['angles'].index(90)]:.2f}" if turn else "-"
        table.add_row(str(row["dim"]), f"{row['balance']:g}", f"{row['unexplained']:.1%}", *shares, moved)
    console = Console(highlight=False)
    console.print(table)
    console.print(f"open [bold]{escape(str(where))}[/bold]", soft_wrap=True)
