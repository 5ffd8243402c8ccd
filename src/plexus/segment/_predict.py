"""Masks of new images, in a folder of their own."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from plexus.segment._images import Told, answer_images, open_finished
from plexus.training.run_folder import make_folder, refuse_used


def predict(
    run: str | Path,
    images: Sequence[str | Path],
    out: str | Path,
    *,
    gate: str | None = None,
    flips: bool = False,
    window: bool = False,
    skip_unreadable: bool = False,
    tell: Told = lambda line: None,
) -> Path:
    """Writes NAME_mask.png (0 or 255, at the image's own size) for each image, and `presence.csv` for all.

    Args:
        run: a finished run; the mean of its nets answers.
        images: image files, or folders of them.
        out: the folder to make; it is there whole or not at all.
        gate: none | expected | a probability; by default the run's own.
        flips: average over the left-right mirror image, too.
        window: slide over images larger than those of the training, in place of shrinking them.
        skip_unreadable: leave out images that cannot be read.
        tell: called with a line for each of those.

    Returns:
        The folder.

    Raises:
        RunError: the run is not finished, or the folder is in use.
        DataError: an image that cannot be read, or two of the same name.

    Example:
        >>> predict("nowhere", ["new"], "masks-of-new")
        Traceback (most recent call last):
        plexus.errors.RunError: nowhere: not a run folder (it has no config.yaml); name one of `plexus segment train`
    """
    folder = Path(out)
    refuse_used(folder)
    files: dict[str, bytes] = {}
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(["name", "presence", "area", "empty"])
    for found in answer_images(
        open_finished(run), images, gate=gate, flips=flips, window=window, skip_unreadable=skip_unreadable, tell=tell
    ):
        files[f"{found.name}_mask.png"] = to_png(found.mask)
        area = found.mask.mean()
        rows.writerow([found.name, f"{found.presence:.4f}", f"{area:.6f}", int(area == 0)])
    files["presence.csv"] = table.getvalue().encode(errors="surrogateescape")
    make_folder(folder, files)
    return folder


def to_png(mask: NDArray[np.bool_]) -> bytes:
    """A mask as a grey PNG of 0 and 255."""
    file = io.BytesIO()
    Image.fromarray(mask.astype(np.uint8) * 255).save(file, "PNG", optimize=True)
    return file.getvalue()
