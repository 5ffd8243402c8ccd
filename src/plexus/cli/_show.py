"""Printing of the verbs: how to go on after a stop, tables of figures, and text in one line."""

from __future__ import annotations

import json
import math
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from plexus.cli import _signals
from plexus.errors import one_line
from plexus.progress import whole

STEPS = 3
"""Sentences on what to do next that the terminal shows; the page has all."""


def print_json(value: Any) -> None:
    """Print figures as JSON; infinity, which JSON does not have, as text."""
    print(json.dumps(_finite(value), indent=1, ensure_ascii=not says_unicode(), allow_nan=False))


def says_unicode() -> bool:
    """Return whether stdout takes every letter; in a file format, others are then escaped as the format does."""
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def print_lines(lines: Iterable[str]) -> None:
    """Print lines that hold names of the user's; none of them can end a line, or move the cursor."""
    print("\n".join(map(one_line, lines)))


def table(titles: Sequence[str], rows: Sequence[Sequence[str]], text: str, page: Path) -> None:
    """Print a table with its first column to the left, and a line below it that says where to look.

    Args:
        titles: of the columns.
        rows: their cells; missing ones stay empty.
        text: how the line begins.
        page: what to open.
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    drawn = Table(title=None, box=None, pad_edge=False)
    for i, title in enumerate(titles):
        drawn.add_column(one_line(title), justify="right" if i else "left", no_wrap=True)
    for row in rows:
        drawn.add_row(*map(one_line, row))
    console = Console(highlight=False)
    console.print(drawn)
    text = "\n".join(map(one_line, text.split("\n")))
    console.print(f"{escape(text)}open [bold]{escape(one_line(str(page)))}[/bold]", soft_wrap=True)


@contextmanager
def or_stopped(verb: str) -> Iterator[None]:
    """Let a stop from the keyboard say how to go on, and leave with 130."""
    from plexus.training import is_rank_zero, last_run

    try:
        yield
    except BaseException as error:
        if not isinstance(error, KeyboardInterrupt) and _signals.STOP.at is None:  # libraries make others of it
            raise
        folder = last_run()
        if is_rank_zero():
            _signals.say(
                one_line(f"; go on with `plexus {verb} --resume {shlex.quote(str(folder))}`") if folder else ""
            )
        sys.exit(_signals.CODE)


def trained(verb: str, work: Callable[[], Path]) -> None:
    """Run a training, then write its page and print its figures; a stop from the keyboard says how to go on.

    Args:
        verb: fit, `segment train` or `represent train`: what goes on with it, and says what is printed.
        work: trains and gives the run folder.
    """
    from plexus.training import is_rank_zero

    with whole() as progress, or_stopped(verb):
        folder = work()
        if not is_rank_zero():
            return
        with progress.part("writing the page"):
            from plexus.report import write_run  # charts take a second or two to load

            record, page = write_run(folder)
    SUMMARIES[verb](record, page)


def fit_summary(record: Any, page: Path) -> None:
    """Print the networks of a fit, what their figures say to do next, and where to look."""
    from plexus.report import next_steps
    from plexus.results import Results

    results = Results(record)
    steps = [f"next: {one_line(step)}" for step in next_steps(record, plain=True)[:STEPS]]
    table(results.titles, results.cells(), "".join(f"{line}\n" for line in [*record.remarks(), *steps]), page)


def interval(low: float, high: float) -> str:
    """Return two shares in percent."""
    return f"{low:.1%} .. {high:.1%}"


def segment_summary(record: Any, page: Path) -> None:
    """Print the figures of every gate, and where to look."""
    for note in record.data.notes:
        print(f"plexus: {one_line(note)}", file=sys.stderr)
    rows = []
    for kind, row in record.results.items():
        dice, present, errors = row.dice, row.dice_present, row.presence
        rows.append((
            f"{kind} (chosen)" if kind == record.chosen else kind,
            f"{dice.mean:.3f}",
            f"{dice.low:.3f}-{dice.high:.3f}" if dice.low is not None else "-",
            f"{present.mean:.3f}" if present else "-",
            f"{errors.false_positives} of {errors.negatives}",
            f"{errors.false_negatives} of {errors.positives}",
        ))  # fmt: skip
    found = record.results[record.chosen].presence if record.chosen in record.results else None
    if found and 0 < found.positives == found.false_negatives:
        alone = ": its Dice comes of empty images alone" if found.negatives else ""
        missed = f"the target was missed wherever it is{record.missed_by_gate() or alone}"
        print(f"plexus: nothing was found, {missed}", file=sys.stderr)
    titles = ("gate", "Dice", "95 %", "if present", "false masks", "missed")  # 80 columns hold all for 9,999 images
    table(titles, rows, f"{len(record.images)} images, {record.measured_on}; ", page)


def represent_summary(record: Any, page: Path) -> None:
    """Print reconstruction and recognition of a representation, what of Z is in use, and where to look."""
    results, units = record.results, record.units
    rows = [("pixel variance left unexplained", f"{results.unexplained:.1%}", "")]
    for figure, title in (
        (results.classifier, "classifier on Z"), (results.linear, "a line on Z, all labels"), (results.knn, "5 nearest")
    ):  # fmt: skip
        if figure:
            rows.append((title, f"{figure.value:.1%}", interval(figure.low, figure.high)))
    text = f"Z of {units.dim}; "
    if units.collapsed:
        use = f"only {units.active} of {units.dim} numbers of Z are in use"
        remedy = "lower --beta or --dim" if record.config["objective"] == "vae" else "lower --dim"
        text = f"{use}: the rest has collapsed; {remedy}\n{text}"
    table(("on test images", "", "95 %"), rows, text, page)


SUMMARIES: dict[str, Callable[[Any, Path], None]] = {
    "fit": fit_summary, "segment train": segment_summary, "represent train": represent_summary,
}  # fmt: skip
"""Verb -> what is printed of the record and the page."""


def fewshot_table(record: dict[str, Any], page: Path) -> None:
    """Print heads with their intervals, and their gain over raw pixels."""
    rows = []
    for name, head in record["heads"].items():
        cells = [name, f"{head['mean']:.1%}", interval(head["low"], head["high"])]
        if gain := record["gains"].get(name):
            cells += [f"{100 * gain['mean']:+.1f} pt", f"{100 * gain['low']:+.1f} .. {100 * gain['high']:+.1f}"]
        rows.append(cells)
    text = f"{record['episodes']} episodes of {', '.join(record['classes'])}, none of them seen in training; "
    titles = (f"{record['ways']}-way {record['shots']}-shot", "accuracy", "95 %", "over pixels", "95 %")
    table(titles, rows, text, page)


def probe_table(models: list[dict[str, Any]], page: Path) -> None:
    """Print recognition and reconstruction of every model."""
    rows = []
    for row in models:
        shares = [f"{row[name]['value']:.1%}" if name in row else "-" for name in ("linear", "knn")]
        turn = row["turning"]
        moved = f"{turn['moved'][turn['angles'].index(90)]:.2f}" if turn else "-"
        rows.append([str(row["dim"]), f"{row['balance']:g}", f"{row['unexplained']:.1%}", *shares, moved])
    table(("Z of", "balance", "unexplained", "linear", "5 nearest", "moved by 90°"), rows, "", page)
