"""`plexus study`: experiments with statistics."""

from __future__ import annotations

import shlex
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table

from plexus.cli import _signals
from plexus.cli._options import DATA, HARDWARE, OUTPUT, TRAINING
from plexus.cli._show import print_lines
from plexus.errors import RunError, one_line, plural
from plexus.progress import duration

if TYPE_CHECKING:
    from plexus.experiments import Progress, Study

study = App(name="study", help="Run experiments: variants of one question, several seeds, statistics.")
Results = Annotated[Path, OUTPUT("The folder of records.")]


@study.command(name="list")
def list_() -> None:
    """List the studies in the nearest folder studies/, with their questions, and say where it was looked.

    Example: plexus study list
    """
    from plexus.experiments import load, names, studies_folder

    folder = studies_folder()
    if folder is None:
        told = (
            f"no studies: {Path.cwd()} and the folders above it have no studies/ with any; those of the notes are in "
        )
        print_lines([f"{told}a clone of plexus. Run one of your own with `plexus study run FILE.py`."])
        return
    studies = [load(folder / f"{name}.py") for name in names()]
    width = max(len(one.name) for one in studies)
    lines = []
    for one in studies:
        lines.append(f"{one.name:<{width}}  {one.question}")
        trials = (f"{name} {len(one.variants)} x {scale.seeds}" for name, scale in one.scales.items())
        lines.append(f"{'':<{width}}  variants x seeds: {', '.join(trials)}; data {one.data}")
    print_lines([*lines, "", f"from {folder}; run one by its name, or any other with `plexus study run FILE.py`"])


@study.command
def run(
    name: str,
    /,
    *,
    data: Annotated[str | None, DATA("`digits`, a folder or a hub id.", default="the study's own")] = None,
    scale: Annotated[str | None, TRAINING("quick, standard or full.", default="quick")] = None,
    seeds: Annotated[int | None, TRAINING("How many, from the scale's first.", default="the scale's number")] = None,
    only: Annotated[
        tuple[str, ...],
        TRAINING(
            "Variants to run; the rest can follow with --resume.", default="all", consume_multiple=True, negative=""
        ),
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

    Example: plexus study run mine.py --scale quick --jobs 4

    Parameters
    ----------
    name
        A Python file with a constant STUDY, or one of `plexus study list`.
    """
    from plexus.experiments import load
    from plexus.experiments import run as start

    chosen = load(name)
    scale = scale or _default(chosen)
    try:
        with Show() as show:
            start(
                chosen, scale=scale, seeds=seeds, only=only, data=data, engine=engine, address=address, jobs=jobs,
                cpus=cpus, gpus=gpus, results=results, resume=resume, listen=show,
            )  # fmt: skip
    except KeyboardInterrupt:
        _signals.say(one_line(f"; go on with `{_again()}`"))
        sys.exit(_signals.CODE)
    where = "" if results == Path("results") else f" --results {shlex.quote(str(results))}"
    again = f"records in {results / chosen.name / scale}; see `plexus study report {shlex.quote(name)}{where}`"
    print(one_line(again))


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

    Example: plexus study report mine.py

    Parameters
    ----------
    name
        A Python file with a constant STUDY, or one of `plexus study list`.
    """
    from plexus.experiments import failures, load, records, stale, summary
    from plexus.report import write

    chosen = load(name)
    scale = scale or _largest(chosen, results)
    trials = records(results, chosen, scale)
    for trial, why in {**stale(results, chosen, scale), **failures(results, chosen, scale)}.items():
        print(one_line(f"plexus: left out {trial}: {why}"), file=sys.stderr)
    if not trials:
        command = f"plexus study run {shlex.quote(name)} --scale {scale}"
        raise RunError(f"{results / chosen.name / scale}: no records yet; run `{command}`")
    page = out if out is not None else results / chosen.name / f"{scale}.html"
    print(one_line(str(write({**summary(chosen, trials), "records": trials}, page))))


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


class Show:
    """A listener for `run`, used as a context.

    Args:
        console: where to show; stderr unless given.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, highlight=False)
        self.progress: Progress | None = None
        self.at = time.monotonic()
        self.live = Live(get_renderable=self._table, console=self.console, refresh_per_second=1, transient=False)

    def __enter__(self) -> Show:
        if self.console.is_terminal:
            self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.console.is_terminal:
            self.live.stop()

    def __call__(self, progress: Progress) -> None:
        """Take the news."""
        self.progress, self.at = progress, time.monotonic()
        if progress.ended is not None and (not self.console.is_terminal or progress.value is None):
            self.console.print(escape(one_line(line(progress))), soft_wrap=True)

    def _table(self) -> RenderableType:
        return "" if self.progress is None else table(self.progress, time.monotonic() - self.at)


def line(progress: Progress) -> str:
    """Say in one line how the trial went that has just ended."""
    name, of = progress.ended, f"{len(progress.records) + len(progress.failed)}/{progress.total}"
    if progress.value is None:
        return f"{of}  {name}  failed: {progress.failed[str(name)]}"
    rest = f"  {duration(progress.to_go)} to go" if progress.to_go else ""
    return f"{of}  {name}  {progress.measure} {progress.value:.2f}  {duration(progress.seconds)}{rest}"


def table(progress: Progress, since: float = 0.0) -> RenderableType:
    """Lay out what is done, running and left, the time to go and the best so far.

    Args:
        progress: the last news.
        since: seconds since they came.
    """
    done = len(progress.records)
    rows = Table(box=None, show_header=False, pad_edge=False)
    rows.add_column(style="dim")
    rows.add_column()
    rows.add_row(
        escape(one_line(f"{progress.study} {progress.scale}")),
        ProgressBar(progress.total, done + len(progress.failed), 40),
    )
    rows.add_row(
        "done", f"{done} of {progress.total}" + (f", {len(progress.failed)} failed" if progress.failed else "")
    )
    rows.add_row("running", escape(one_line(_some(progress.running))))
    rows.add_row("left", str(progress.left))
    rows.add_row("time to go", duration(None if progress.to_go is None else max(0.0, progress.to_go - since)))
    if progress.best is not None:
        name, mean, seeds = progress.best
        rows.add_row(
            "best so far", escape(one_line(f"{name}  {progress.measure} {mean:.2f} ({plural(seeds, 'seed')})"))
        )
    return Group(rows)


def _some(names: tuple[str, ...], most: int = 4) -> str:
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")
