"""`plexus study`: experiments with statistics."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App

from plexus.cli._options import DATA, HARDWARE, OUTPUT, TRAINING
from plexus.errors import RunError

if TYPE_CHECKING:
    from plexus.experiments import Study

study = App(name="study", help="Run experiments: variants of one question, several seeds, statistics.")
Results = Annotated[Path, OUTPUT("The folder of records.")]


@study.command(name="list")
def list_() -> None:
    """List the studies that plexus brings, with their questions.

    Example: plexus study list
    """
    from plexus.experiments import load, names

    found = [load(name) for name in names()]
    width = max((len(s.name) for s in found), default=0)
    for one in found:
        print(f"{one.name:<{width}}  {one.question}")
        trials = (f"{name} {len(one.variants)} x {scale.seeds}" for name, scale in one.scales.items())
        print(f"{'':<{width}}  variants x seeds: {', '.join(trials)}; data {one.data}")


@study.command
def run(
    name: str,
    /,
    *,
    data: Annotated[str | None, DATA("`digits`, a folder or a hub id.", default="the study's own")] = None,
    scale: Annotated[str | None, TRAINING("quick, standard or full.", default="quick")] = None,
    seeds: Annotated[int | None, TRAINING("How many, from 0.", default="the scale's number")] = None,
    only: Annotated[
        tuple[str, ...], TRAINING("Variants to run; the rest can follow with --resume.", consume_multiple=True)
    ] = (),
    engine: Annotated[Literal["local", "ray"], HARDWARE("This machine, or a Ray cluster.")] = "local",
    address: Annotated[str, HARDWARE("Of the Ray cluster: auto, local (starts one here) or HOST:PORT.")] = "auto",
    jobs: Annotated[int, HARDWARE("Trials at once on this machine, with a share of its cores each.")] = 1,
    cpus: Annotated[float, HARDWARE("CPUs that Ray sets aside for a trial.")] = 1,
    gpus: Annotated[float, HARDWARE("GPUs that Ray sets aside for a trial; .5 lets two share one.")] = 0,
    resume: Annotated[bool, OUTPUT("Keep what is done; run the rest and what failed.", negative="")] = False,
    results: Results = Path("results"),
) -> None:
    """Run the trials of a study; each leaves a small record in RESULTS/STUDY/SCALE.

    Example: plexus study run pruning --scale quick

    Parameters
    ----------
    name
        One of `plexus study list`, or a Python file with a constant STUDY.
    """
    from plexus.experiments import load
    from plexus.experiments import run as start
    from plexus.experiments._live import Show

    chosen = load(name)
    scale = scale or _default(chosen)
    try:
        with Show() as show:
            start(
                chosen, scale=scale, seeds=seeds, only=only, data=data, engine=engine, address=address, jobs=jobs,
                cpus=cpus, gpus=gpus, results=results, resume=resume, listen=show,
            )  # fmt: skip
    except KeyboardInterrupt:
        print(f"\nplexus: stopped; go on with `{_again()}`", file=sys.stderr, flush=True)
        sys.exit(130)
    place = "" if results == Path("results") else f" --results {shlex.quote(str(results))}"
    print(f"records in {results / chosen.name / scale}; see `plexus study report {shlex.quote(name)}{place}`")


@study.command
def report(
    name: str,
    /,
    *,
    scale: Annotated[str | None, DATA("Which trials.", default="the largest with records")] = None,
    results: Results = Path("results"),
    out: Annotated[Path | None, OUTPUT("The page.", default="RESULTS/STUDY/SCALE.html")] = None,
) -> None:
    """Write the page of a study from its records.

    Example: plexus study report pruning

    Parameters
    ----------
    name
        One of `plexus study list`, or a Python file with a constant STUDY.
    """
    from plexus.experiments import failures, load, records, stale

    chosen = load(name)
    scale = scale or _largest(chosen, results)
    found = records(results, chosen, scale)
    for trial, why in {**stale(results, chosen, scale), **failures(results, chosen, scale)}.items():
        print(f"plexus: left out {trial}: {why}", file=sys.stderr)
    if not found:
        command = f"plexus study run {shlex.quote(name)} --scale {scale}"
        raise RunError(f"{results / chosen.name / scale}: no records yet; run `{command}`")
    from plexus.experiments._summary import summary
    from plexus.report import write_study

    page = out if out is not None else results / chosen.name / f"{scale}.html"
    print(write_study(summary(chosen, found), found, page))


def _default(chosen: Study) -> str:
    return "quick" if "quick" in chosen.scales else next(iter(chosen.scales))


def _largest(chosen: Study, results: Path) -> str:
    """The last of the study's scales that has records, or else the first."""
    from plexus.experiments import records

    return next((s for s in reversed(list(chosen.scales)) if records(results, chosen, s)), _default(chosen))


def _again() -> str:
    """The command that goes on."""
    command = ["plexus", *sys.argv[1:]]
    return shlex.join(command if "--resume" in command else [*command, "--resume"])
