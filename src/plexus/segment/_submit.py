"""Masks of new images as one table of run lengths."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from plexus.errors import RunError
from plexus.record import atomic_write
from plexus.segment._images import Told, answer_images, open_finished
from plexus.segment._rle import encode
from plexus.training.run_folder import check_place


def submit(
    run: str | Path,
    images: Sequence[str | Path],
    out: str | Path = "submission.csv",
    *,
    gate: str | None = None,
    flips: bool = False,
    window: bool = False,
    tell: Told = lambda line: None,
) -> Path:
    """Writes `img,pixels` as Kaggle's nerve segmentation wanted it: run lengths down the columns, counted from 1.

    Args:
        run: a finished run; the mean of its nets answers.
        images: image files, or folders of them; where all names are numbers, `img` is the number.
        out: the file to write.
        gate, flips, window, tell: see `predict`.

    Returns:
        The file.

    Raises:
        RunError: the run is not finished, or the file exists or cannot be made.
        DataError: an image that cannot be read, or two of the same name.

    Example:
        >>> submit("nowhere", ["test"], "masks-of-test.csv")
        Traceback (most recent call last):
        plexus.errors.RunError: nowhere: not a run folder (it has no config.yaml); name one of `plexus segment train`
    """
    file = Path(out)
    if file.exists():
        raise RunError(f"{file}: exists; name another with --out")
    check_place(file)
    found = [
        (each.name, encode(each.mask))
        for each in answer_images(
            open_finished(run), images, gate=gate, flips=flips, window=window, skip_unreadable=False, tell=tell
        )
    ]
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(["img", "pixels"])
    rows.writerows(_numbered(found))
    file.parent.mkdir(parents=True, exist_ok=True)
    return atomic_write(file, table.getvalue().encode(errors="surrogateescape"))


def _numbered(found: list[tuple[str, str]]) -> list[tuple[str | int, str]]:
    """Numbers in order where all names are different numbers; else the names as they came."""
    numbers = [int(name) for name, _ in found if name.isascii() and name.isdigit()]
    if len(set(numbers)) < len(found):
        return list(found)
    return sorted((int(name), pixels) for name, pixels in found)
