"""`plexus represent`: one Z that reconstructs and recognises, and what can be done with it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

import plexus.represent
from plexus.cli._options import (
    DATA,
    NETWORK,
    OUTPUT,
    TRAINING,
    Config,
    Data,
    Json,
    Label,
    PrintConfig,
    Resume,
    Run,
    Seed,
    Skip,
    named,
    option_class,
    train_or_resume,
)
from plexus.cli._show import fewshot_table, print_json, probe_table
from plexus.errors import one_line
from plexus.progress import whole
from plexus.report import write_run
from plexus.represent import RepresentConfig

represent = App(name="represent", help="Learn a small latent Z that reconstructs images and recognises them.")
Options = option_class(RepresentConfig, __name__)
NONE = Options()


@represent.command
def train(
    data: Data = None,
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
    train_or_resume(
        "represent train", RepresentConfig, plexus.represent, plexus.represent.train, data=data, options=options,
        file=config, run=run, resume=resume, print_config=print_config,
    )  # fmt: skip


@represent.command
def embed(
    run: Path,
    /,
    *images: str,
    out: Annotated[Path, OUTPUT("The file to make; nothing is overwritten.")] = Path("z.parquet"),
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
    named(images, f"plexus represent embed {run} IMAGES")
    with whole():
        file = plexus.represent.embed(run, images, out, skip_unreadable=skip_unreadable)
    print(one_line(str(file)))


@represent.command
def search(
    run: Path,
    query: Path,
    /,
    *data: str,
    most: Annotated[int, OUTPUT("How many images to name.")] = 10,
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
    named(data, f"plexus represent search {run} {query} DATA")
    with whole():
        answer = plexus.represent.search(run, query, data, most=most, skip_unreadable=skip_unreadable)
    if as_json:
        print_json({k: v for k, v in answer.items() if k != "picture"})
        return
    for entry in answer["found"]:
        print(f"{entry['similarity']:.3f}\t{one_line(entry['path'])}\t{one_line(entry['label'] or '')}".rstrip())


@represent.command
def vary(
    run: Path,
    image: Path,
    /,
    *,
    to: Annotated[Path | None, DATA("Another image: decode the line between both.")] = None,
    directions: Annotated[int, OUTPUT("How many directions of Z, those that change images most.")] = 8,
    steps: Annotated[int, OUTPUT("Images of a row; odd.")] = 9,
    reach: Annotated[float, OUTPUT("Deviations of Z to either side.")] = 2.0,
    out: Annotated[Path | None, OUTPUT("The picture.", default="RUN/vary/NAME.png")] = None,
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
    with whole():
        page = plexus.represent.vary(run, image, to=to, directions=directions, steps=steps, reach=reach, out=out)
    print(one_line(str(page)))
    write_run(run)


@represent.command
def fewshot(
    run: Path,
    data: str,
    /,
    *,
    ways: Annotated[int, DATA("Classes of an episode.")] = 5,
    shots: Annotated[int, DATA("Labelled images of each class.")] = 1,
    episodes: Annotated[int, DATA("How many, each of classes drawn anew.")] = 1000,
    queries: Annotated[int, DATA("Other images of each class, to be recognised.")] = 15,
    classes: Annotated[
        tuple[str, ...] | None, DATA("Draw from these only.", consume_multiple=True, negative="")
    ] = None,
    seed: Annotated[Seed, DATA("Of the episodes.")] = 0,
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
    with whole():
        record = plexus.represent.fewshot(
            run, data, ways=ways, shots=shots, episodes=episodes, queries=queries, classes=classes, seed=seed,
            label=label,
        )  # fmt: skip
    page = write_run(run)[1]
    if as_json:
        print_json(record)
    else:
        fewshot_table(record, page)


@represent.command
def probe(
    run: Path,
    data: str,
    /,
    *,
    dim: Annotated[
        tuple[int, ...], NETWORK("Sizes of Z to train siblings for.", consume_multiple=True, negative="")
    ] = (),
    balance: Annotated[
        tuple[float, ...], TRAINING("Balances to train siblings for.", consume_multiple=True, negative="")
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
    with whole():
        rows = plexus.represent.probe(run, data, dims=dim, balances=balance, label=label, progress=True)
    page = write_run(run)[1]
    if as_json:
        print_json(rows)
    else:
        probe_table(rows, page)
