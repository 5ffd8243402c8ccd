"""`plexus segment`: masks of images in which the target may be absent."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

import plexus.segment
from plexus.cli._options import (
    Config,
    PrintConfig,
    Resume,
    Run,
    command,
    given,
    option_class,
    refuse_more,
    settings,
)
from plexus.errors import ConfigError
from plexus.segment import SegmentConfig

segment = App(name="segment", help="Segment images in which the target may be absent.")
Gate = Annotated[str | None, Parameter(help="none, expected, or a probability [default: the run's].")]
Flips = Annotated[bool, Parameter(negative="", help="Average over the left-right mirror image, too.")]
Window = Annotated[bool, Parameter(negative="", help="Slide over images larger than in training; do not shrink them.")]
Skip = Annotated[bool, Parameter(negative="", help="Leave out images that cannot be read.")]


Options = option_class(
    SegmentConfig,
    __name__,
    {"str": str, "int": int, "float": float, "bool": bool, "int | tuple[int, int]": tuple[int, ...]},
    ["size"],
)
NONE = Options()


@segment.command
def train(
    data: str | None = None,
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
    said = given(data, options)
    if resume is not None:
        refuse_more(resume, said, run, config)
        if plexus.segment.finished(resume):
            print(f"{resume}: the run is finished; its report is written again", file=sys.stderr)
        _trained(lambda listen: plexus.segment.resume(resume, listen=listen, progress=True))
        return
    made = settings(SegmentConfig, said, config)
    if print_config:
        print(made.to_yaml(), end="")
        return
    _trained(lambda listen: plexus.segment.train(made, run=run, command=command(), listen=listen, progress=True))


@segment.command
def predict(
    run: Path,
    /,
    *images: Path,
    out: Annotated[Path, Parameter(help="The folder to make.")],
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
    _named(images, f"plexus segment predict {run} IMAGES --out DIR")
    print(
        plexus.segment.predict(
            run, images, out, gate=gate, flips=flips, window=window, skip_unreadable=skip_unreadable, tell=_tell
        )
    )


@segment.command
def evaluate(
    run: Path,
    data: str,
    /,
    *,
    out: Annotated[Path | None, Parameter(help="Folder for record and page [default: RUN/evaluation].")] = None,
    gate: Gate = None,
    flips: Flips = False,
    window: Window = False,
    unseen: Annotated[bool, Parameter(negative="", help="Leave out images that were in the run.")] = False,
    group_from: Annotated[str | None, Parameter(help="As for train [default: the run's].")] = None,
    mask_suffix: Annotated[str | None, Parameter(help="As for train [default: the run's].")] = None,
    missing_mask: Annotated[Literal["error", "empty"] | None, Parameter(help="As for train.")] = None,
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
    from plexus.cli._segment_show import show
    from plexus.report import write_segment

    record = plexus.segment.evaluate(
        run, data, out=out, gate=gate, flips=flips, window=window, unseen=unseen, group_from=group_from,
        mask_suffix=mask_suffix, missing_mask=missing_mask, skip_unreadable=skip_unreadable, command=command(),
        tell=_tell,
    )  # fmt: skip
    show(record, write_segment(record, (out or run / "evaluation") / "report.html"))


@segment.command
def submit(
    run: Path,
    /,
    *images: Path,
    out: Annotated[Path, Parameter(help="The file to write.")] = Path("submission.csv"),
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
    _named(images, f"plexus segment submit {run} IMAGES --out FILE")
    print(plexus.segment.submit(run, images, out, gate=gate, flips=flips, window=window, tell=_tell))


def _trained(work: Callable[[Callable[[dict[str, Any]], None]], Path]) -> None:
    from plexus.cli._segment_show import trained

    trained(work)


def _named(images: tuple[Path, ...], usage: str) -> None:
    if not images:
        raise ConfigError(f"name at least one image or folder: {usage}")


def _tell(line: str) -> None:
    print(f"plexus: {' '.join(line.split())}", file=sys.stderr, flush=True)
