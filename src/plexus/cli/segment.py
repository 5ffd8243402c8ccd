"""`plexus segment`: masks of images in which the target may be absent."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable
from dataclasses import fields, make_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

import plexus.segment
from plexus.errors import ConfigError
from plexus.segment import SegmentConfig
from plexus.train import read_yaml

segment = App(name="segment", help="Segment images in which the target may be absent.")
_TYPES: dict[str, Any] = {
    "str": str, "int": int, "float": float, "bool": bool, "int | tuple[int, int]": tuple[int, ...],
}  # fmt: skip
Gate = Annotated[str | None, Parameter(help="none, expected, or a probability [default: the run's].")]
Flips = Annotated[bool, Parameter(negative="", help="Average over the left-right mirror image, too.")]
Window = Annotated[bool, Parameter(negative="", help="Slide over images larger than in training; do not shrink them.")]
Skip = Annotated[bool, Parameter(negative="", help="Leave out images that cannot be read.")]


def _parameter(name: str, text: str) -> Parameter:
    if name == "size":
        return Parameter(help=text, show_default=False, consume_multiple=True, negative="")
    return Parameter(help=text, show_default=False)


def _options() -> type:
    """SegmentConfig's fields as options that may be left out, so that a config file can fill them."""
    text = re.sub(r"\n {12,}", " ", SegmentConfig.__doc__ or "")
    found = re.findall(r"^ {8}(?P<names>[a-z_, ]+): (?P<text>.+)$", text, re.MULTILINE)
    lines = {name: line for names, line in found for name in names.split(", ")}
    made = []
    for f in fields(SegmentConfig):
        if f.name == "data":
            continue
        kind = _TYPES[str(f.type).removesuffix(" | None")]
        shown = "" if f.default is None else f" [default: {f.default}]"
        made.append((f.name, Annotated[kind | None, _parameter(f.name, lines[f.name] + shown)], None))
    options = make_dataclass("Options", made, kw_only=True)
    options.__module__ = __name__
    return options


Options = _options()
NONE = Options()


@segment.command
def train(
    data: str | None = None,
    *,
    run: Annotated[Path | None, Parameter(help="The run folder to make [default: runs/DATA-DATE].")] = None,
    resume: Annotated[Path | None, Parameter(help="Go on with this run folder; other options are not read.")] = None,
    config: Annotated[Path | None, Parameter(help="A YAML file of options; the command line overrides it.")] = None,
    print_config: Annotated[bool, Parameter(help="Print all options as YAML and stop.", negative="")] = False,
    options: Annotated[Options, Parameter(name="*")] = NONE,  # type: ignore[valid-type]
) -> None:
    """Train on images with masks; leave nets, figures and a page in a run folder.

    Parameters
    ----------
    data
        Images with masks: NAME.png and NAME_mask.png, folders images/ and masks/, a CSV manifest, or parquet files.
    """
    given = {k: v for k, v in vars(options).items() if v is not None}
    if data is not None:
        given["data"] = data
    if resume is not None:
        if given or run or config:
            raise ConfigError(f"--resume goes on with what {resume} was started with; leave the other options out")
        if plexus.segment.finished(resume):
            print(f"{resume}: the run is finished; its report is written again", file=sys.stderr)
        _trained(lambda listen: plexus.segment.resume(resume, listen=listen, progress=True))
        return
    raw = read_yaml(config) if config is not None else {}
    settings = SegmentConfig.from_mapping({**raw, **given}, name=str(config or "options"))
    if print_config:
        print(settings.to_yaml(), end="")
        return
    command = _command()
    _trained(lambda listen: plexus.segment.train(settings, run=run, command=command, listen=listen, progress=True))


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
        mask_suffix=mask_suffix, missing_mask=missing_mask, skip_unreadable=skip_unreadable, command=_command(),
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


def _command() -> str:
    return shlex.join(["plexus", *sys.argv[1:]])
