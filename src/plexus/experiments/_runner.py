"""Runs the trials of a study that are not there yet, and writes a record as each ends."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import IO, Any, Protocol

from plexus.errors import ConfigError, RunError, TrainingError
from plexus.experiments._progress import Progress, best, to_go
from plexus.experiments._records import difference, file_of, plain, records, settings, stale
from plexus.experiments._study import Study, Variant
from plexus.experiments._trial import Outcome, Task, public
from plexus.record import atomic_write

Event = tuple[Task, Outcome | None]
"""A trial that starts (None), or one that ended."""


class Engine(Protocol):
    """Gives every task to `perform`, somewhere, and yields an event as each starts and as each ends."""

    slots: int
    """How many trials run at once."""

    def __call__(self, study: Study, tasks: list[Task]) -> Iterator[Event]:
        """Closing the iterator stops what is under way."""
        ...


def run(
    study: Study,
    *,
    scale: str,
    seeds: int | None = None,
    only: Collection[str] = (),
    data: str | None = None,
    engine: str | Engine = "local",
    address: str = "auto",
    jobs: int = 1,
    cpus: float = 1,
    gpus: float = 0,
    results: str | Path = "results",
    resume: bool = False,
    listen: Callable[[Progress], None] | None = None,
) -> None:
    """Trains every variant from every seed, and leaves one record for each in `RESULTS/STUDY/SCALE`.

    Trials are independent, and a record is written whole as its trial ends: whatever is killed, at most the trials
    under way are lost, and `resume` does what is missing. A trial that raises does not stop the others.

    Args:
        study: what to run.
        scale: one of the study's scales.
        seeds: how many, from 0; the scale's own number unless given.
        only: names of variants; the others are left for another time. None names all.
        data: instead of the study's own, a spec for `plexus.data.load`.
        engine: "local" runs trials in this process or in `jobs` processes; "ray" on a Ray cluster.
        address: of the cluster; "auto" finds a running one, "local" starts one on this machine.
        jobs: processes of the local engine, each with its share of the cores.
        cpus, gpus: what Ray sets aside for each trial.
        results: the folder of records.
        resume: keep the records that are there, and run the rest and what failed.
        listen: called as trials start and end.

    Raises:
        ConfigError: no such scale or variant, seeds or jobs below 1, an unknown engine, Ray is not there.
        RunError: records are there already, or made with other options, or another run is at work on them.
        TrainingError: trials failed; the others are done.

    Example:
        >>> import tempfile
        >>> from plexus.experiments import Scale, Study, Variant, records, run
        >>> def trial(job):
        ...     return {"test_accuracy": 90.0 + job.variant.options["gain"]}
        >>> variants = Variant("none", {"gain": 0.0}), Variant("some", {"gain": 1.0})
        >>> scales = {"quick": Scale(images=None, epochs=1, seeds=2)}
        >>> study = Study("gain", "Does the gain matter?", "none", variants, scales, "digits", trial)
        >>> with tempfile.TemporaryDirectory() as results:
        ...     run(study, scale="quick", results=results)
        ...     [record["metrics"]["test_accuracy"] for record in records(results, study, "quick")]
        [90.0, 91.0, 90.0, 91.0]
    """
    if scale not in study.scales:
        raise ConfigError(f"study {study.name!r} has no scale {scale!r}: there are {', '.join(study.scales)}")
    count = study.scales[scale].seeds if seeds is None else seeds
    if count < 1:
        raise ConfigError(f"seeds must be 1 or more, not {count}")
    if strangers := sorted(set(only) - {v.name for v in study.variants}):
        known = ", ".join(v.name for v in study.variants)
        raise ConfigError(f"study {study.name!r} has no variant {strangers[0]!r}: there are {known}")
    work = _engine(engine, address=address, jobs=jobs, cpus=cpus, gpus=gpus)
    place = Path(results) / study.name / scale
    spec = _absolute(study.data if data is None else data)
    with _alone(place):
        for half in place.glob(".*.tmp"):  # of a run that was killed while it wrote
            half.unlink()
        kept = _kept(study, scale, count, Path(results), spec, resume)
        done = {(r["variant"], r["seed"]) for r in kept}
        tasks = [
            Task(v.name, seed, scale, spec, _scratch(study, place, v, scale, seed, spec))
            for seed in range(count)
            for v in study.variants
            if (v.name, seed) not in done and (not only or v.name in only)
        ]
        failed = _Books(study, scale, Path(results), kept, tasks, work, listen or (lambda _: None)).keep()
    if failed:
        said = "; ".join(f"{name}: {why}" for name, why in failed.items())
        raise TrainingError(f"{len(failed)} of {len(tasks)} trials failed; --resume tries them again: {said}")


class _Books:
    """Keeps the records and the progress of one run."""

    def __init__(
        self,
        study: Study,
        scale: str,
        results: Path,
        kept: list[dict[str, Any]],
        tasks: list[Task],
        work: Engine,
        listen: Callable[[Progress], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.study, self.scale, self.results, self.work = study, scale, results, work
        self.records = list(kept)
        self.tasks = tasks
        self.listen, self.clock = listen, clock
        self.since: dict[str, float] = {}
        self.failed: dict[str, str] = {}
        self.waiting = {t.name: t for t in tasks}

    def keep(self) -> dict[str, str]:
        """Runs the tasks; returns which failed, and why."""
        self._tell()
        with contextlib.closing(self.work(self.study, self.tasks)) as events:  # type: ignore[type-var]
            for task, outcome in events:
                if outcome is None:
                    self.since.setdefault(task.name, self.clock())
                    self._tell()
                else:
                    self._end(task, outcome)
        with contextlib.suppress(OSError):
            (self.results / self.study.name / self.scale / ".trials").rmdir()
        return self.failed

    def _end(self, task: Task, outcome: Outcome) -> None:
        record, note = (
            file_of(self.results, self.study.name, self.scale, task.variant, task.seed, failed=failed)
            for failed in (False, True)
        )
        self.since.pop(task.name, None)
        del self.waiting[task.name]
        shutil.rmtree(task.folder, ignore_errors=True)
        if "error" in outcome:
            atomic_write(note, text({"variant": task.variant, "seed": task.seed, **outcome}))
            self.failed[task.name] = outcome["error"]
            self._tell(task.name)
            return
        atomic_write(record, text(outcome))
        note.unlink(missing_ok=True)
        self.records.append(outcome)
        self._tell(task.name, outcome["metrics"][self.study.measure], outcome["seconds"])

    def _tell(self, ended: str | None = None, value: float | None = None, seconds: float | None = None) -> None:
        now = self.clock()
        waiting = [t.variant for t in self.waiting.values()]
        running = {name: now - then for name, then in self.since.items()}
        self.listen(
            Progress(
                study=self.study.name,
                scale=self.scale,
                total=len(self.records) + len(self.failed) + len(waiting),
                records=tuple(self.records),
                running=tuple(running),
                failed=dict(self.failed),
                left=len(waiting) - len(running),
                to_go=to_go(self.records, waiting, running, self.work.slots),
                best=best(self.records, self.study.measure),
                measure=self.study.measure,
                ended=ended,
                value=value,
                seconds=seconds,
            )
        )


def text(record: dict[str, Any]) -> str:
    """The text of a record: one part a line."""
    parts = (f"{json.dumps(k)}: {json.dumps(v, ensure_ascii=False, allow_nan=False)}" for k, v in record.items())
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _engine(engine: str | Engine, *, address: str, jobs: int, cpus: float, gpus: float) -> Engine:
    if jobs < 1:
        raise ConfigError(f"jobs must be 1 or more, not {jobs}")
    if not isinstance(engine, str):
        return engine
    if engine == "local":
        from plexus.experiments._local import Local

        return Local(jobs)
    if engine == "ray":
        from plexus.experiments._ray import RayEngine

        return RayEngine(address, cpus=cpus, gpus=gpus)
    raise ConfigError(f"unknown engine {engine!r}: there are local and ray")


def _scratch(study: Study, place: Path, variant: Variant, scale: str, seed: int, data: str) -> str:
    """The trial's folder; with other options or data it is another one, so that no trial goes on with a stale half."""
    made_of = json.dumps([plain(variant.options), settings(study.scales[scale]), data], sort_keys=True)
    mark = hashlib.sha256(made_of.encode()).hexdigest()[:8]
    return str(place.absolute() / ".trials" / f"{variant.name}~{seed}-{mark}")


def _absolute(data: str) -> str:
    """A folder's whole path: workers run elsewhere."""
    return str(Path(data).absolute()) if Path(data).exists() else data


def _kept(study: Study, scale: str, count: int, results: Path, data: str, resume: bool) -> list[dict[str, Any]]:
    """The records that stay; nothing is ever overwritten."""
    place = results / study.name / scale
    names = {v.name for v in study.variants}
    old = {name: why for name, why in stale(results, study, scale).items() if name.rpartition("~")[0] in names}
    if old:
        said = "; ".join(f"{name}: {why}" for name, why in old.items())
        raise RunError(
            f"{place}: {len(old)} records are stale, made with other options than the study's now ({said}): "
            "move them away, or choose another folder with --results"
        )
    found = records(results, study, scale)
    wanted = [r for r in found if r["seed"] < count]
    other = sorted({r["data"].get("spec", "") for r in wanted} - {public(data)})
    if other:
        raise RunError(f"{place}: its records are of the data {', '.join(other)}, not {public(data)}; use --results")
    if wanted and not resume:
        raise RunError(
            f"{place}: {len(wanted)} of {len(study.variants) * count} trials are done already: go on with --resume, "
            "or choose another folder with --results"
        )
    assert all(difference(study, r) is None for r in found)
    return wanted


@contextlib.contextmanager
def _alone(place: Path) -> Iterator[None]:
    """No second run writes to the same folder meanwhile; the lock goes with this process, however that ends."""
    try:
        place.mkdir(parents=True, exist_ok=True)
        file: IO[str] = (place / ".lock").open("w")
    except OSError as error:
        raise RunError(f"{place}: cannot be made: {error.strerror}; choose another folder with --results") from None
    with file:
        try:
            import fcntl
        except ImportError:  # no such locks on this system
            yield
            return
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise RunError(f"{place}: another `plexus study run` is at work there; wait until it ends") from None
        yield
