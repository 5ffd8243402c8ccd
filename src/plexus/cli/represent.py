"""`plexus represent`: one Z that reconstructs and recognises, and what can be done with it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

import plexus.represent
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
from plexus.represent import RepresentConfig

represent = App(name="represent", help="Learn a small latent Z that reconstructs images and recognises them.")
Json = Annotated[bool, Parameter(name="--json", negative="", help="Print the figures as JSON.")]
Skip = Annotated[bool, Parameter(negative="", help="Leave out images that cannot be read.")]
Label = Annotated[str | None, Parameter(help="The column of the labels, where a table has several.")]
Options = option_class(
    RepresentConfig,
    __name__,
    {"str": str, "int": int, "float": float, "bool": bool, "tuple[str, ...]": tuple[str, ...]},
    ["classes"],
)
NONE = Options()


@represent.command
def train(
    data: str | None = None,
    *,
    run: Run = None,
    resume: Resume = None,
    config: Config = None,
    print_config: PrintConfig = False,
    options: Annotated[Options, Parameter(name="*")] = NONE,  # type: ignore[valid-type]
) -> None:
    """Train encoder, decoder and a classifier on Z together; leave models, figures and a page in a run folder.

    Example: plexus represent train digits --dim 16 --labels 10

    Parameters
    ----------
    data
        `digits` (the default; built in), a folder of class folders, parquet files, or a hub id; with --labels none any
        folder of images.
    """
    said = given(data, options)
    if resume is not None:
        refuse_more(resume, said, run, config)
        if plexus.represent.finished(resume):
            print(f"{resume}: the run is finished; its report is written again", file=sys.stderr)
        _trained(lambda listen: plexus.represent.resume(resume, listen=listen, progress=True))
        return
    made = settings(RepresentConfig, said, config)
    if print_config:
        print(made.to_yaml(), end="")
        return
    _trained(lambda listen: plexus.represent.train(made, run=run, command=command(), listen=listen, progress=True))


@represent.command
def embed(
    run: Path,
    /,
    *images: str,
    out: Annotated[Path, Parameter(help="The file to make; nothing is overwritten.")] = Path("z.parquet"),
    skip_unreadable: Skip = False,
) -> None:
    """Write Z of images as parquet: path, z, and label where it is known.

    Example: plexus represent embed runs/z photos --out z.parquet

    Parameters
    ----------
    run
        A run folder that `plexus represent train` made.
    images
        Image files, folders of them, tables, `digits`, or hub ids.
    """
    _named(images, f"plexus represent embed {run} IMAGES")
    print(plexus.represent.embed(run, images, out, skip_unreadable=skip_unreadable))


@represent.command
def search(
    run: Path,
    query: Path,
    /,
    *data: str,
    most: Annotated[int, Parameter(help="How many images to name.")] = 10,
    as_json: Json = False,
    skip_unreadable: Skip = False,
) -> None:
    """Name the images whose Z lies nearest to that of another.

    Example: plexus represent search runs/z cat.jpg photos

    Parameters
    ----------
    run
        A run folder that `plexus represent train` made.
    query
        An image file.
    data
        Image files, folders of them, tables, `digits`, or hub ids; or the parquet file that `embed` made of them.
    """
    _named(data, f"plexus represent search {run} {query} DATA")
    found = plexus.represent.search(run, query, data, most=most, skip_unreadable=skip_unreadable)
    if as_json:
        print(json.dumps({k: v for k, v in found.items() if k != "picture"}, indent=1, ensure_ascii=False))
        return
    from plexus.cli._printing import one_line

    for entry in found["found"]:
        print(f"{entry['similarity']:.3f}\t{one_line(entry['path'])}\t{one_line(entry['label'] or '')}".rstrip())


@represent.command
def vary(
    run: Path,
    image: Path,
    /,
    *,
    to: Annotated[Path | None, Parameter(help="Another image: decode the line between both.")] = None,
    directions: Annotated[int, Parameter(help="How many directions of Z, those that change images most.")] = 8,
    steps: Annotated[int, Parameter(help="Images of a row; odd.")] = 9,
    reach: Annotated[float, Parameter(help="Deviations of Z to either side.")] = 2.0,
    out: Annotated[Path | None, Parameter(help="The picture [default: RUN/vary/NAME.png].")] = None,
) -> None:
    """Decode variations of an image: along directions of Z, or on the way to another image.

    Example: plexus represent vary runs/z seven.png --to one.png

    Parameters
    ----------
    run
        A run folder that `plexus represent train` made.
    image
        An image file.
    """
    from plexus.cli._represent_show import page

    print(plexus.represent.vary(run, image, to=to, directions=directions, steps=steps, reach=reach, out=out))
    page(run)


@represent.command
def fewshot(
    run: Path,
    data: str,
    /,
    *,
    ways: Annotated[int, Parameter(help="Classes of an episode.")] = 5,
    shots: Annotated[int, Parameter(help="Labelled images of each class.")] = 1,
    episodes: Annotated[int, Parameter(help="How many.")] = 1000,
    queries: Annotated[int, Parameter(help="Other images of each class, to be recognised.")] = 15,
    classes: Annotated[
        tuple[str, ...] | None, Parameter(consume_multiple=True, negative="", help="Draw from these only.")
    ] = None,
    seed: Annotated[int, Parameter(help="Of the episodes.")] = 0,
    label: Label = None,
    as_json: Json = False,
) -> None:
    """Recognise classes never seen in training from a few images of each, with 95 % intervals.

    Example: plexus represent fewshot runs/z photos --ways 5 --shots 1

    Parameters
    ----------
    run
        A run folder that `plexus represent train --classes ...` made.
    data
        Images with classes; those that the run was trained on are never drawn.
    """
    found = plexus.represent.fewshot(
        run, data, ways=ways, shots=shots, episodes=episodes, queries=queries, classes=classes, seed=seed, label=label
    )
    from plexus.cli._represent_show import fewshot_table, page

    where = page(run)
    if as_json:
        print(json.dumps(found, indent=1, ensure_ascii=False))
    else:
        fewshot_table(found, where)


@represent.command
def probe(
    run: Path,
    data: str,
    /,
    *,
    dim: Annotated[
        tuple[int, ...], Parameter(consume_multiple=True, negative="", help="Sizes of Z to train siblings for.")
    ] = (),
    balance: Annotated[
        tuple[float, ...], Parameter(consume_multiple=True, negative="", help="Balances to train siblings for.")
    ] = (),
    label: Label = None,
    as_json: Json = False,
) -> None:
    """Measure Z: neighbours, a line, reconstruction, turned images; and the trade-off over sizes and balances.

    Example: plexus represent probe runs/z photos --balance 0 0.25 0.5 0.75 1

    Parameters
    ----------
    run
        A run folder that `plexus represent train` made.
    data
        Images with classes.
    """
    from plexus.cli._represent_show import Lines, page, probe_table

    rows = plexus.represent.probe(
        run, data, dims=dim, balances=balance, label=label, listen=Lines(), progress=True
    )  # fmt: skip
    where = page(run)
    if as_json:
        print(json.dumps(rows, indent=1, ensure_ascii=False))
    else:
        probe_table(rows, where)


def _trained(work: Any) -> None:
    from plexus.cli._represent_show import trained

    trained(work)


def _named(images: tuple[str, ...], usage: str) -> None:
    if not images:
        raise ConfigError(f"name at least one image or folder: {usage}")
