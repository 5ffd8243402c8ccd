"""`plexus segment`: masks of images in which the target may be absent."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

import plexus.segment
from plexus.cli._options import (
    DATA,
    OUTPUT,
    Config,
    Data,
    PrintConfig,
    Resume,
    Run,
    Skip,
    command,
    named,
    option_class,
    tell,
    train_or_resume,
)
from plexus.cli._show import segment_summary
from plexus.errors import one_line
from plexus.segment import SegmentConfig

segment = App(name="segment", help="Segment images in which the target may be absent.")
Gate = Annotated[str | None, OUTPUT("none, expected, or a probability.", default="the run's")]
Flips = Annotated[bool, DATA("Average over the left-right mirror image, too.", negative="")]
Window = Annotated[bool, DATA("Slide over images larger than in training; do not shrink them.", negative="")]
Options = option_class(SegmentConfig, __name__)
NONE = Options()


@segment.command
def train(
    data: Data = None,
    *,
    run: Run = None,
    resume: Resume = None,
    config: Config = None,
    print_config: PrintConfig = False,
    options: Annotated[Options, Parameter(name="*")] = NONE,  # type: ignore[valid-type]
) -> None:
    """Train on images with masks; leave nets, figures and a page in a run folder.

    Example: plexus segment train scans --cv 5

    Parameters
    ----------
    data
        Images with masks: NAME.png and NAME_mask.png, folders images/ and masks/, a CSV manifest, or parquet files.
    """
    train_or_resume(
        "segment train", SegmentConfig, plexus.segment, plexus.segment.train, data=data, options=options, file=config,
        run=run, resume=resume, print_config=print_config,
    )  # fmt: skip


@segment.command
def predict(
    run: Path,
    /,
    *images: Path,
    out: Annotated[Path, OUTPUT("The folder to make.")],
    gate: Gate = None,
    flips: Flips = False,
    window: Window = False,
    skip_unreadable: Skip = False,
) -> None:
    """Write NAME_mask.png for each image, at its own size, and presence.csv.

    Example: plexus segment predict runs/scans new-scans --out masks

    Parameters
    ----------
    run
        A run folder that `plexus segment train` made.
    images
        Image files, or folders of them.
    """
    named(images, f"plexus segment predict {run} IMAGES --out DIR")
    folder = plexus.segment.predict(
        run, images, out, gate=gate, flips=flips, window=window, skip_unreadable=skip_unreadable, tell=tell
    )
    print(one_line(str(folder)))


@segment.command
def evaluate(
    run: Path,
    data: str,
    /,
    *,
    out: Annotated[Path | None, OUTPUT("Folder for record and page.", default="RUN/evaluation")] = None,
    gate: Gate = None,
    flips: Flips = False,
    window: Window = False,
    unseen: Annotated[bool, DATA("Leave out images that were in the run.", negative="")] = False,
    group_from: Annotated[str | None, DATA("As for train.", default="the run's")] = None,
    mask_suffix: Annotated[str | None, DATA("As for train.", default="the run's")] = None,
    missing_mask: Annotated[Literal["error", "empty"] | None, DATA("As for train.", default="the run's")] = None,
    ignore: Annotated[int | None, DATA("As for train.", default="the run's")] = None,
    skip_unreadable: Skip = False,
) -> None:
    """Measure a run on other images with masks; write evaluation.json and its page.

    Example: plexus segment evaluate runs/scans other-scans

    Parameters
    ----------
    run
        A run folder that `plexus segment train` made.
    data
        Images with masks; where they have a test split, it is measured.
    """
    from plexus.record import SegmentRecord
    from plexus.report import render

    measured = plexus.segment.evaluate(
        run, data, out=out, gate=gate, flips=flips, window=window, unseen=unseen, group_from=group_from,
        mask_suffix=mask_suffix, missing_mask=missing_mask, ignore=ignore, skip_unreadable=skip_unreadable,
        command=command(), page=render, tell=tell,
    )  # fmt: skip
    segment_summary(SegmentRecord.from_dict(measured), (out or run / "evaluation") / "report.html")


@segment.command
def submit(
    run: Path,
    /,
    *images: Path,
    out: Annotated[Path, OUTPUT("The file to write.")] = Path("submission.csv"),
    gate: Gate = None,
    flips: Flips = False,
    window: Window = False,
) -> None:
    """Write the masks as Kaggle's run lengths: img,pixels; down the columns, counted from 1.

    Example: plexus segment submit runs/scans test-scans --out submission.csv

    Parameters
    ----------
    run
        A run folder that `plexus segment train` made.
    images
        Image files, or folders of them; where all names are numbers, `img` is the number.
    """
    named(images, f"plexus segment submit {run} IMAGES --out FILE")
    file = plexus.segment.submit(run, images, out, gate=gate, flips=flips, window=window, tell=tell)
    print(one_line(str(file)))
