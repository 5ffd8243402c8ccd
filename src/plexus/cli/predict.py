"""`plexus predict`: classes of images."""

from __future__ import annotations

import csv as tables
import io
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

from plexus.cli._options import OUTPUT, Json, named, tell
from plexus.cli._show import print_json
from plexus.errors import one_line, plural
from plexus.progress import STARTING, whole

NAMED = 3
"""Unreadable images that are named on the terminal; tables and JSON name all."""


def predict(
    run: Path,
    /,
    *images: Path,
    top: Annotated[int, Parameter(validator=Number(gte=1)), OUTPUT("How many classes of each image to tell.")] = 1,
    csv: Annotated[Path | None, OUTPUT("Write a table to this file.")] = None,
    as_json: Json = False,
) -> None:
    """Print the most likely class of each image, and its probability.

    An image that is unlike those of the training, in channels, size, or because it is almost constant, is told.

    Parameters
    ----------
    run
        A run folder that `plexus fit` made.
    images
        Image files, or folders of them; read and resized as in training.
    """
    named(images, f"plexus predict {run} IMAGE...")
    with whole(weights={"classifying": 1}) as shown:
        with shown.part(STARTING):
            from plexus.record import atomic_write, check_place

            if csv is not None:
                check_place(csv, remedy="name another file with --csv")
            from plexus.training import predict as classify
        several = len(images) > 1 or images[0].is_dir()
        answers = classify(run, images, skip_unreadable=several, progress=True)
    if csv is not None:
        csv.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(csv, table(answers, top))
    if as_json:
        print_json(answers)
    elif csv is None:
        for entry in answers:
            if "label" in entry:
                best = "\t".join(f"{one_line(name)}\t{share:.3f}" for name, share in ranked(entry)[:top])
                print(f"{one_line(entry['image'])}\t{best}")
    for line in remarks(answers):
        tell(line)
    if csv is not None and not as_json:
        print(f"{plural(len(answers), 'image')}; open {one_line(str(csv))}")


def ranked(entry: dict[str, Any]) -> list[tuple[str, float]]:
    """Return the classes of an image with their probabilities, the most likely first."""
    return sorted(entry["probabilities"].items(), key=lambda pair: -pair[1])


def table(answers: list[dict[str, Any]], top: int) -> str:
    """Answers as CSV; a text never begins a formula."""
    from plexus.record import spreadsheet_cell

    out = io.StringIO()
    rows = tables.writer(out, lineterminator="\n")
    pairs = [(f"label{k}", f"probability{k}") for k in ("", *range(2, top + 1))]
    rows.writerow(["image", *(title for pair in pairs for title in pair), "unlike the training images", "error"])
    for entry in answers:
        best = ranked(entry)[:top] if "label" in entry else []
        cells = [cell for name, share in best for cell in (name, f"{share:.6f}")]
        cells += [""] * (2 * top - len(cells))
        row = [entry["image"], *cells, ", ".join(entry.get("unlike", [])), entry.get("error", "")]
        rows.writerow([spreadsheet_cell(cell) for cell in row])
    return out.getvalue()


def remarks(answers: list[dict[str, Any]]) -> list[str]:
    """Tell of the answers: images unlike the training's, and those that could not be read, with counts."""
    lines = []
    counts = Counter(words for entry in answers for words in entry.get("unlike", []))
    if counts:
        kinds = "; ".join(f"{count} {words}" for words, count in counts.items())
        unlike = sum(bool(entry.get("unlike")) for entry in answers)
        lines.append(
            f"{unlike} of {plural(len(answers), 'image')} {'is' if unlike == 1 else 'are'} unlike the training images "
            f"({kinds}): their classes may mean nothing"
        )
    failed = [entry for entry in answers if "error" in entry]
    if failed:
        shown = "; ".join(f"{one_line(entry['image'])}: {entry['error']}" for entry in failed[:NAMED])
        more = f"; and {len(failed) - NAMED} more" if len(failed) > NAMED else ""
        lines.append(f"{len(failed)} of {plural(len(answers), 'image')} could not be read: {shown}{more}")
    return lines
