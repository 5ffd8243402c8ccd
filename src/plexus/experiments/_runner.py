"""Runs the trials of a study that are not there yet, writes a record as each ends, and tells how far it is."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import IO, Literal

from plexus.errors import ConfigError, RunError, TrainingError
from plexus.experiments._local import Local
from plexus.experiments._records import FAILED, records, settings, stale
from plexus.experiments._study import Study, Variant
from plexus.experiments._trial import Engine, Failure, Outcome, Task, public
from plexus.record import TrialRecord, atomic_write, plain, to_json


@dataclass(frozen=True)
class Progress:
    """Progress of a study: given to a listener when the study starts, and whenever a trial starts or ends.

    Args:
        study, scale: whose progress.
        total: trials of the study.
        records: of the trials that are done, those of earlier runs included.
        running: `VARIANT~SEED` of the trials under way.
        failed: `VARIANT~SEED` -> reason.
        left: trials not yet begun.
        to_go: seconds until the end as far as can be told, or None.
        best: name, mean of the measure and number of seeds of the best variant so far, or None.
        measure: what `best` compares.
        ended: `VARIANT~SEED` of the trial that has just ended, or None.
        value: its measure, where it did not fail.
        seconds: what it took.

    Example:
        >>> Progress("dropout", "quick", 10, (), ("none~0",), {}, 9, None, None, "test_accuracy").left
        9
    """

    study: str
    scale: str
    total: int
    records: tuple[TrialRecord, ...]
    running: tuple[str, ...]
    failed: Mapping[str, str]
    left: int
    to_go: float | None
    best: tuple[str, float, int] | None
    measure: str
    ended: str | None = None
    value: float | None = None
    seconds: float | None = None


def run(
    study: Study,
    *,
    scale: str,
    seeds: int | None = None,
    only: Collection[str] = (),
    data: str | None = None,
    engine: Literal["local", "ray"] = "local",
    address: str = "auto",
    jobs: int = 1,
    cpus: float = 1,
    gpus: float = 0,
    results: str | Path = "results",
    resume: bool = False,
    listen: Callable[[Progress], None] | None = None,
) -> None:
    """Train every variant from every seed, and leave one record for each in `RESULTS/STUDY/SCALE`.

    Trials are independent, and a record is written whole as its trial ends: whatever is killed, at most the trials
    under way are lost, and `resume` does what is missing. A trial that raises does not stop the others.

    Args:
        study: what to run.
        scale: one of the study's scales.
        seeds: how many, from the scale's first; its own number unless given.
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
        ...     [trial.metrics["test_accuracy"] for trial in records(results, study, "quick")]
        [90.0, 91.0, 90.0, 91.0]
    """
    if scale not in study.scales:
        raise ConfigError(f"study {study.name!r} has no scale {scale!r}: there are {', '.join(study.scales)}")
    each = study.scales[scale].each(seeds)
    if not each:
        raise ConfigError(f"seeds must be 1 or more, not {seeds if seeds is not None else study.scales[scale].seeds}")
    names = [v.name for v in study.variants]
    if unknown := sorted(set(only) - set(names)):
        raise ConfigError(f"study {study.name!r} has no variant {unknown[0]!r}: there are {', '.join(names)}")
    trials = _engine(engine, address=address, jobs=jobs, cpus=cpus, gpus=gpus)
    folder = Path(results) / study.name / scale
    spec = _absolute(study.data if data is None else data)
    with _alone(folder):
        for half in folder.glob(".*.tmp"):  # of a run that was killed while it wrote
            half.unlink()
        kept = _kept(study, scale, each, Path(results), spec, resume)
        done = {(trial.variant, trial.seed) for trial in kept}
        tasks = [
            Task(v.name, seed, scale, spec, _scratch(study, folder, v, scale, seed, spec))
            for seed in each
            for v in study.variants
            if (v.name, seed) not in done and (not only or v.name in only)
        ]
        failed = _Books(study, folder, kept, tasks, trials, listen or (lambda _: None)).keep()
    if failed:
        reasons = "; ".join(f"{name}: {why}" for name, why in failed.items())
        raise TrainingError(f"{len(failed)} of {len(tasks)} trials failed; --resume tries them again: {reasons}")


class _Books:
    """Keeps the records and the progress of one run."""

    def __init__(
        self,
        study: Study,
        folder: Path,
        records: list[TrialRecord],
        tasks: list[Task],
        engine: Engine,
        listen: Callable[[Progress], None],
    ) -> None:
        self.study, self.folder, self.engine, self.listen = study, folder, engine, listen
        self.records, self.tasks = records, tasks
        self.since: dict[str, float] = {}
        self.failed: dict[str, str] = {}
        self.waiting = {task.name: task for task in tasks}

    def keep(self) -> dict[str, str]:
        """Run the tasks; return which failed, and why."""
        self._tell()
        with contextlib.closing(self.engine(self.study, self.tasks)) as events:
            for task, outcome in events:
                if outcome is None:
                    self.since.setdefault(task.name, time.monotonic())
                    self._tell()
                else:
                    self._end(task, outcome)
        with contextlib.suppress(OSError):
            (self.folder / ".trials").rmdir()
        return self.failed

    def _end(self, task: Task, outcome: Outcome) -> None:
        note = self.folder / f"{task.name}{FAILED}"
        self.since.pop(task.name, None)
        del self.waiting[task.name]
        shutil.rmtree(task.folder, ignore_errors=True)
        if isinstance(outcome, Failure):
            atomic_write(note, to_json({"variant": task.variant, "seed": task.seed, **asdict(outcome)}))
            self.failed[task.name] = outcome.error
            self._tell(task.name)
            return
        outcome.write(self.folder / f"{task.name}.json")
        note.unlink(missing_ok=True)
        self.records.append(outcome)
        self._tell(task.name, outcome.metrics[self.study.measure], _seconds(outcome))

    def _tell(self, ended: str | None = None, value: float | None = None, seconds: float | None = None) -> None:
        now = time.monotonic()
        waiting = [task.variant for task in self.waiting.values()]
        running = {name: now - then for name, then in self.since.items()}
        self.listen(
            Progress(
                study=self.study.name,
                scale=self.folder.name,
                total=len(self.records) + len(self.failed) + len(waiting),
                records=tuple(self.records),
                running=tuple(running),
                failed=dict(self.failed),
                left=len(waiting) - len(running),
                to_go=_to_go(self.records, waiting, sum(running.values()), self.engine.slots),
                best=_best(self.records, self.study.measure),
                measure=self.study.measure,
                ended=ended,
                value=value,
                seconds=seconds,
            )
        )


def _by_variant(trials: Sequence[TrialRecord], number: Callable[[TrialRecord], float]) -> dict[str, list[float]]:
    values: dict[str, list[float]] = {}
    for trial in trials:
        values.setdefault(trial.variant, []).append(number(trial))
    return values


def _seconds(trial: TrialRecord) -> float:
    return trial.seconds.get("total") or 0.0


def _best(trials: Sequence[TrialRecord], measure: str) -> tuple[str, float, int] | None:
    """The variant with the highest mean so far: its name, the mean, the number of its seeds."""
    values = _by_variant(trials, lambda trial: trial.metrics[measure])
    return max(((name, fmean(v), len(v)) for name, v in values.items()), key=lambda row: row[1], default=None)


def _to_go(trials: Sequence[TrialRecord], variants: Sequence[str], spent: float, slots: int) -> float | None:
    """Seconds until the last trial ends, if each takes as long as its variant did so far, or else as all did.

    Args:
        trials: that are finished.
        variants: of every trial that has not ended, those under way included.
        spent: seconds that those under way have taken.
        slots: how many trials run at once.
    """
    if not trials:
        return None
    every = fmean(map(_seconds, trials))
    means = {name: fmean(values) for name, values in _by_variant(trials, _seconds).items()}
    return max(0.0, (sum(means.get(v, every) for v in variants) - spent) / slots)


def _engine(engine: str, *, address: str, jobs: int, cpus: float, gpus: float) -> Engine:
    if jobs < 1:
        raise ConfigError(f"jobs must be 1 or more, not {jobs}")
    if engine == "local":
        return Local(jobs)
    if engine == "ray":
        from plexus.experiments._ray import RayEngine

        return RayEngine(address, cpus=cpus, gpus=gpus)
    raise ConfigError(f"unknown engine {engine!r}: there are local and ray")


def _scratch(study: Study, folder: Path, variant: Variant, scale: str, seed: int, data: str) -> str:
    """The trial's folder; with other options or data it is another one, so that no trial goes on with a stale half."""
    made_of = json.dumps([plain(variant.options), settings(study.scales[scale]), data], sort_keys=True)
    mark = hashlib.sha256(made_of.encode()).hexdigest()[:8]
    return str(folder.absolute() / ".trials" / f"{variant.name}~{seed}-{mark}")


def _absolute(data: str) -> str:
    """A folder's whole path: workers run elsewhere."""
    return str(Path(data).absolute()) if Path(data).exists() else data


def _kept(study: Study, scale: str, seeds: range, results: Path, data: str, resume: bool) -> list[TrialRecord]:
    """The records that stay; nothing is ever overwritten."""
    folder = results / study.name / scale
    names = {v.name for v in study.variants}
    if old := {name: why for name, why in stale(results, study, scale).items() if name.rpartition("~")[0] in names}:
        reasons = "; ".join(f"{name}: {why}" for name, why in old.items())
        raise RunError(
            f"{folder}: {len(old)} records are stale, made with other options than the study's now ({reasons}): "
            "move them away, or choose another folder with --results"
        )
    kept = [trial for trial in records(results, study, scale) if trial.seed in seeds]
    if other := sorted({trial.data.get("spec", "") for trial in kept} - {public(data)}):
        raise RunError(f"{folder}: its records are of the data {', '.join(other)}, not {public(data)}; use --results")
    if kept and not resume:
        raise RunError(
            f"{folder}: {len(kept)} of {len(study.variants) * len(seeds)} trials are done already: go on with "
            "--resume, or choose another folder with --results"
        )
    return kept


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """No second run writes to the same folder meanwhile; the lock goes with this process, however that ends."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file: IO[str] = (folder / ".lock").open("w")
    except OSError as error:
        raise RunError(f"{folder}: cannot be made: {error.strerror}; choose another folder with --results") from None
    with file:
        try:
            import fcntl
        except ImportError:  # no such locks on this system
            yield
            return
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise RunError(f"{folder}: another `plexus study run` is at work there; wait until it ends") from None
        yield
