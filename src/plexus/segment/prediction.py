"""Masks of new images by a finished run: opened, answered a few at a time, written as PNG files or run lengths."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from plexus.data import SampleSet, UnreadableError, open_samples, places, to_shape
from plexus.errors import DataError, RunError
from plexus.record import atomic_write, check_place, spreadsheet_cell
from plexus.segment._config import SegmentConfig, read_gate
from plexus.segment._train import finished, open_run
from plexus.segment.gate import Gate
from plexus.segment.measure import KINDS, Mask, gated, in_parallel
from plexus.segment.nets import Floats, Segmenter, enlarge, load_nets, predict_proba, windowed
from plexus.segment.rle import encode
from plexus.training import device
from plexus.training.engine import parts_of
from plexus.training.run_folder import make_folder, refuse_used

_AT_ONCE = 16

Told = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Run:
    """A finished run.

    Args:
        config: its options.
        record: what it says of itself.
        nets: of all folds, on the device that answers.
    """

    config: SegmentConfig
    record: dict[str, Any]
    nets: list[Segmenter]

    @property
    def white(self) -> int | None:
        """The value of 16-bit images that is white, as in the training; None where there were none."""
        white: int | None = self.record["data"].get("white")
        return white

    def gate(self, kind: str | None) -> Gate:
        """Return the run's own gate, or the one of another kind that it keeps.

        Raises:
            ConfigError: an unknown kind.
        """
        kept: dict[str, Any] = self.record["gates"]
        kind = self.record["chosen"] if kind is None else kind
        threshold = read_gate(kind)
        if threshold is None or kind in kept:
            return Gate.from_dict(kept[kind])
        return replace(Gate.from_dict(kept["0.5"]), threshold=threshold)

    def answer(self, pixels: Sequence[NDArray[np.uint8]], *, flips: bool, window: bool) -> list[tuple[Floats, float]]:
        """Probabilities at the nets' scale and a presence logit for some images."""
        size, facts = self.config.shape, self.record["data"]
        channels = int(facts["channels"])
        if window:
            usual = (float(facts["trained_size"][0]), float(facts["trained_size"][1]))
            return [windowed(self.nets, p, size, usual, channels=channels, flips=flips) for p in pixels]
        images = torch.from_numpy(np.stack([to_shape(p, (channels, *size)) for p in pixels]))
        maps, logits = predict_proba(self.nets, images, flips=flips)
        return list(zip(maps, logits.tolist(), strict=True))


def open_finished(run: str | Path) -> Run:
    """Open a run with its nets.

    Raises:
        RunError: it is not finished, or broken.
    """
    folder = Path(run)
    config, typed = open_run(folder)
    record = parts_of(typed)
    if not finished(folder):
        raise RunError(f"{folder}: the run is not finished; go on with `plexus segment train --resume {folder}`")
    try:
        nets = load_nets(folder, [fold["fold"] for fold in record["folds"]])
        opened = Run(config, record, [net.to(device()) for net in nets])
        for kind in (None, *KINDS):
            opened.gate(kind)
        if missing := {"machine", "model"} - record.keys():
            raise ValueError(f"no {min(missing)}")
        channels, sides = record["data"]["channels"], record["data"]["trained_size"]
        if any(net.net.options["in_channels"] != channels for net in nets):
            raise ValueError(f"channels {channels}, but its nets read others")
        if len(sides) != 2 or not all(side > 0 for side in sides):
            raise ValueError(f"trained_size {sides}")
        return opened
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise RunError(f"{folder / 'record.json'}: broken: {error!r}; train anew") from None


@dataclass(frozen=True, eq=False)
class Answered:
    """The answer of a run for one image.

    Args:
        name: of the image, without suffix.
        mask: at the image's own size, after the gate.
        presence: the calibrated probability that the target is there.
    """

    name: str
    mask: Mask
    presence: float


def answer_images(
    run: Run, images: str | Path | Sequence[str | Path], *, gate: str | None, flips: bool, window: bool,
    skip_unreadable: bool, tell: Told,
) -> Iterator[Answered]:  # fmt: skip
    """Masks of images, one after the other.

    Raises:
        DataError: an image that cannot be read, or two of the same name.
    """
    rule = run.gate(gate)
    sets = [open_samples(spec, masks=False).scaled(run.white) for spec in places(images)]
    names = [name for source in sets for name in short_names(source)]
    if twice := next((name for name, times in Counter(names).items() if times > 1), None):
        raise DataError(f"{twice}: two images have this name, and one result would replace the other; rename one")
    names_left = iter(names)
    for source in sets:
        tell(source.summary)
        with source.telling(tell):
            for first in range(0, len(source), _AT_ONCE):
                rows = list(range(first, min(first + _AT_ONCE, len(source))))
                read = _decoded(source, rows)
                use = []
                for row, pixels in zip(rows, read, strict=True):
                    name = next(names_left)
                    if isinstance(pixels, str):
                        problem = f"{source.samples[row].name}: {pixels}"
                        if not skip_unreadable:
                            raise DataError(f"{problem}: mend it, or leave such images out with --skip-unreadable")
                        tell(f"left out {problem}")
                    else:
                        use.append((name, pixels))
                answers = run.answer([pixels for _, pixels in use], flips=flips, window=window) if use else []
                for (name, pixels), (small, logit) in zip(use, answers, strict=True):
                    mask, _ = gated(rule, small, enlarge(small, (pixels.shape[0], pixels.shape[1])), logit)
                    yield Answered(name, mask, float(rule.presence(np.array([logit], np.float32), small[None])[0]))


def short_names(source: SampleSet) -> list[str]:
    """Names without suffix, and without a way out of a folder.

    Raises:
        DataError: nothing is left of a name.
    """
    short = []
    for sample in source.samples:
        path = PurePosixPath(sample.name)
        parts = [part for part in path.parts if part not in ("..", "/", ".")]
        if not parts:
            raise DataError(f"{source.where}: {sample.name!r} is no name for a file; rename it")
        suffix = path.suffix if not sample.name.startswith("row ") else ""
        short.append("/".join(parts).removesuffix(suffix))
    return short


def _decoded(source: SampleSet, rows: Sequence[int]) -> list[NDArray[np.uint8] | str]:
    def read(k: int) -> NDArray[np.uint8] | str:
        try:
            return source.pixels(rows[k])
        except UnreadableError as error:
            return str(error)

    return in_parallel(read, len(rows))


def predict(
    run: str | Path,
    images: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    gate: str | None = None,
    flips: bool = False,
    window: bool = False,
    skip_unreadable: bool = False,
    tell: Told = lambda line: None,
) -> Path:
    """Write NAME_mask.png (0 or 255, at the image's own size) for each image, and `presence.csv` for all.

    A name that a spreadsheet would take for a formula has an apostrophe before it in the table.

    Args:
        run: a finished run; the mean of its nets answers.
        images: an image file or a folder of them, or several.
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
    check_place(folder, folder=True)
    files: dict[str, bytes] = {}
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(["name", "presence", "area", "empty"])
    for answer in answer_images(
        open_finished(run), images, gate=gate, flips=flips, window=window, skip_unreadable=skip_unreadable, tell=tell
    ):
        files[f"{answer.name}_mask.png"] = to_png(answer.mask)
        area = answer.mask.mean()
        rows.writerow([spreadsheet_cell(answer.name), f"{answer.presence:.4f}", f"{area:.6f}", int(area == 0)])
    files["presence.csv"] = table.getvalue().encode(errors="surrogateescape")
    make_folder(folder, files)
    return folder


def to_png(mask: NDArray[np.bool_]) -> bytes:
    """Return a mask as a grey PNG of 0 and 255."""
    file = io.BytesIO()
    Image.fromarray(mask.astype(np.uint8) * 255).save(file, "PNG", optimize=True)
    return file.getvalue()


def submit(
    run: str | Path,
    images: str | Path | Sequence[str | Path],
    out: str | Path = "submission.csv",
    *,
    gate: str | None = None,
    flips: bool = False,
    window: bool = False,
    tell: Told = lambda line: None,
) -> Path:
    """Write `img,pixels` as Kaggle's nerve segmentation wanted it: run lengths down the columns, counted from 1.

    Args:
        run: a finished run; the mean of its nets answers.
        images: an image file or a folder of them, or several; where all names are numbers, `img` is the number.
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
    rows_of = [
        (each.name, encode(each.mask, min_area=0))  # the gate alone decides, as for `predict`
        for each in answer_images(
            open_finished(run), images, gate=gate, flips=flips, window=window, skip_unreadable=False, tell=tell
        )
    ]
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(["img", "pixels"])
    rows.writerows(_numbered(rows_of))
    file.parent.mkdir(parents=True, exist_ok=True)
    return atomic_write(file, table.getvalue().encode(errors="surrogateescape"))


def _numbered(masks: list[tuple[str, str]]) -> list[tuple[str | int, str]]:
    """Numbers in order where all names are different numbers; else the names as they came."""
    numbers = [int(name) for name, _ in masks if name.isascii() and name.isdigit()]
    if len(set(numbers)) < len(masks):
        return list(masks)
    return sorted((int(name), pixels) for name, pixels in masks)
