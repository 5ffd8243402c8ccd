"""One trial, in whichever process: from a variant and a seed to a record, or to the reason why there is none."""

from __future__ import annotations

import datetime
import random
import tempfile
import time
import traceback
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from plexus.errors import PlexusError
from plexus.experiments._records import settings
from plexus.experiments._study import Job, Study
from plexus.record import TrialRecord, machine, plain, versions


@dataclass(frozen=True)
class Failure:
    """Why there is no record of a trial.

    Args:
        error: in one line.
        at: the way to the mistake.
    """

    error: str
    at: list[str] = field(default_factory=list)


Outcome = TrialRecord | Failure


@dataclass(frozen=True)
class Task:
    """A trial to do, as it travels to a worker.

    Args:
        variant, seed: which.
        scale: its name.
        data: a spec for `plexus.data.load`.
        folder: private to the trial.
    """

    variant: str
    seed: int
    scale: str
    data: str
    folder: str

    @property
    def name(self) -> str:
        """VARIANT~SEED."""
        return f"{self.variant}~{self.seed}"


Event = tuple[Task, Outcome | None]
"""A trial that starts (None), or one that ended."""


class Engine(Protocol):
    """Gives every task to `perform`, somewhere, and yields an event as each starts and as each ends."""

    slots: int
    """How many trials run at once."""

    def __call__(self, study: Study, tasks: list[Task]) -> Generator[Event, None, None]:
        """Closing the iterator stops what is under way."""
        ...


def perform(study: Study, task: Task) -> Outcome:
    """Run the study's trial function; whatever it raises becomes an outcome.

    The global generators of Python, numpy and torch start from the trial's seed, so that no trial depends on those
    that ran before it in the same process.

    Args:
        study: gives the function.
        task: which trial.
    """
    job = Job(
        study=study.name,
        variant=study.variant(task.variant),
        seed=task.seed,
        scale=study.scales[task.scale],
        scale_name=task.scale,
        data=task.data,
        folder=_folder(task),
    )
    started, start = datetime.datetime.now(datetime.UTC), time.perf_counter()
    try:
        _seed(job.seed)
        metrics = _checked(study, study.trial(job))
        seconds = round(time.perf_counter() - start, 3)
        return TrialRecord(
            created=f"{started:%Y-%m-%dT%H:%M:%SZ}",
            study=study.name,
            variant=job.variant.name,
            options=plain(job.variant.options),
            seed=job.seed,
            scale=job.scale_name,
            settings=settings(job.scale),
            data={"spec": public(job.data), **metrics.pop("data", {})},
            metrics=metrics,
            versions=versions("torch", "lightning", "numpy"),
            machine=machine(),
            seconds={"total": seconds},
        )
    except (Exception, SystemExit) as error:
        return Failure(_reason(error), _where(error))


def public(data: str) -> str:
    """Return the data's spec as records keep it: of a folder its last part only."""
    return Path(data).name if Path(data).is_absolute() or Path(data).exists() else data


def _folder(task: Task) -> Path:
    """The trial's folder; elsewhere than on the driver's machine its place may not be there, and any other will do."""
    folder = Path(task.folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return Path(tempfile.mkdtemp(prefix="plexus-"))
    return folder


def _seed(seed: int) -> None:
    import numpy as np
    import torch  # at once, whether or not the trial uses it: a trial that loads it later would find it unseeded

    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def _checked(study: Study, metrics: Any) -> dict[str, Any]:
    if not isinstance(metrics, dict):
        raise TypeError(f"the trial function must return a dict of metrics, not {metrics!r:.40}")
    checked: dict[str, Any] = plain(metrics)
    value = checked.get(study.measure)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"the measure {study.measure!r} must be a finite number, not {metrics.get(study.measure)!r}")
    if not isinstance(checked.get("data", {}), dict):
        raise TypeError(f"the entry 'data' must be a dict, not {checked['data']!r:.40}")
    return checked


def _reason(error: BaseException) -> str:
    text = " ".join(str(error).split())
    if isinstance(error, PlexusError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _where(error: BaseException) -> list[str]:
    """The way to the mistake, without the machine's folders."""
    frames = traceback.extract_tb(error.__traceback__)[1:]
    return [f"{Path(f.filename).name}:{f.lineno} in {f.name}" for f in frames]
