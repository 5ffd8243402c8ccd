"""The run folder: made once, owned by one process at a time, readable at every moment."""

from __future__ import annotations

import datetime
import os
import platform
import sys
from pathlib import Path
from typing import Any

import torch

import plexus
from plexus.errors import RunError
from plexus.record import RunRecord, atomic_write
from plexus.train._config import FitConfig

_RUN = "PLEXUS_RUN"  # the processes that Lightning starts for other devices find the run folder by it


def new_run(config: FitConfig, folder: str | Path | None, *, command: str, now: datetime.datetime | None = None) -> Path:
    """Creates the run folder with its config and an unfinished record.

    Args:
        config: options of the run.
        folder: where; by default `runs/DATA-DATE-TIME`.
        command: the command line that reproduces it.
        now: the time to name and stamp it with.

    Raises:
        RunError: the folder exists and is not empty.
    """
    if not leader():  # another process of the same run made it
        return Path(os.environ[_RUN])
    now = now or datetime.datetime.now(datetime.UTC)
    stem = Path(config.data).name or "data"
    place = Path(folder) if folder is not None else Path("runs") / f"{stem}-{now:%Y%m%d-%H%M%S}"
    if place.exists() and (not place.is_dir() or any(place.iterdir())):
        remedy = f"go on with `plexus fit --resume {place}`" if (place / "config.yaml").exists() else "name another with --run"
        raise RunError(f"{place}: the run folder exists and is not empty; {remedy}")
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{place}: cannot create the run folder: {error.strerror}") from None
    record = RunRecord(
        kind="fit",
        created=f"{now:%Y-%m-%dT%H:%M:%SZ}",
        command=command,
        seed=config.seed,
        versions={"plexus": plexus.__version__, "python": platform.python_version(), "torch": torch.__version__},
        machine={"processor": _processor(), "cores": torch.get_num_threads(), "system": platform.platform(terse=True)},
    )
    record.write(place / "record.json")
    atomic_write(place / "config.yaml", config.to_yaml())
    os.environ[_RUN] = str(place)
    return place


def last_run() -> Path | None:
    """The run folder this process made or opened last."""
    return Path(os.environ[_RUN]) if _RUN in os.environ else None


def open_run(folder: str | Path) -> tuple[FitConfig, RunRecord]:
    """The config and record of a run folder.

    Raises:
        RunError: there is none, or it is broken.
    """
    place = Path(folder)
    if not (place / "config.yaml").is_file():
        raise RunError(f"{place}: not a run folder (it has no config.yaml); name one that `plexus fit` made")
    os.environ[_RUN] = str(place)
    return FitConfig.read(place / "config.yaml"), RunRecord.read(place / "record.json")


class Lock:
    """Keeps a second process out of a run folder; gone with the process, however it ends."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / ".lock"

    def __enter__(self) -> Lock:
        import fcntl

        self._file = self.path.open("a+")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.close()
            raise RunError(f"{self.path.parent}: another process is training in this run folder; wait for it, or stop it") from None
        return self

    def __exit__(self, *_: Any) -> None:
        self._file.close()
        self.path.unlink(missing_ok=True)


def leader() -> bool:
    """Whether this process is the one that writes files (the only one, or rank 0 of several)."""
    return int(os.environ.get("LOCAL_RANK", "0")) == 0 and int(os.environ.get("NODE_RANK", "0")) == 0


def _processor() -> str:
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
