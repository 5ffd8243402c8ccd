"""The run folder: made whole, owned by one process at a time, readable at every moment; knows no torch."""

from __future__ import annotations

import datetime
import errno
import fcntl
import os
import platform
import shutil
import sys
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import plexus
from plexus.errors import PlexusError, RunError
from plexus.record import FitRecord, atomic_write
from plexus.training._config import FitConfig

_RUN = "PLEXUS_RUN"  # the processes that Lightning starts for other devices find the run folder by it


def new_run(
    config: FitConfig, folder: str | Path | None, *, command: str, now: datetime.datetime | None = None
) -> tuple[Path, FitConfig]:
    """Creates the run folder with its config and an unfinished record: both or nothing.

    Args:
        config: options of the run.
        folder: where; by default `runs/DATA-DATE-TIME`.
        command: the command line that reproduces it.
        now: the time to name and stamp it with.

    Returns:
        The folder, and the config it holds: its paths are absolute, so that a run can go on from anywhere.

    Raises:
        RunError: the folder exists and is not empty, or cannot be made.
    """
    config = _absolute(config)
    if not leader():  # the process that leads made it
        return Path(os.environ[_RUN]), config
    now = now or datetime.datetime.now(datetime.UTC)
    stem = Path(config.data).name or "data"
    place = Path(folder) if folder is not None else Path("runs") / f"{stem}-{now:%Y%m%d-%H%M%S}"
    record = FitRecord(
        kind="fit",
        created=f"{now:%Y-%m-%dT%H:%M:%SZ}",
        command=command,
        seed=config.seed,
        versions={
            "plexus": plexus.__version__,
            "python": platform.python_version(),
            **{name: _version(name) for name in ("torch", "lightning")},
        },
        machine={"processor": _processor(), "cores": _cores(), "system": platform.platform(terse=True)},
    )
    _make(place, record, config)
    os.environ[_RUN] = str(place)
    return place, config


def _make(place: Path, record: FitRecord, config: FitConfig) -> None:
    """Fills a folder beside the place and moves it there, so that a run folder is there whole or not at all."""
    _refuse_used(place)
    aside = place.absolute().with_name(f".{place.absolute().name}.{os.getpid()}.new")
    try:
        aside.mkdir(parents=True)
        record.write(aside / "record.json")
        atomic_write(aside / "config.yaml", config.to_yaml())
        aside.rename(place)  # replaces an empty folder, and refuses any other
    except OSError as error:
        _refuse_used(place)  # another process made it just now
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise RunError(
            f"{place}: cannot create the run folder: {error.strerror}; choose a folder you may write to"
        ) from None
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _refuse_used(place: Path) -> None:
    try:
        used = place.exists() and (not place.is_dir() or any(place.iterdir()))
    except OSError as error:
        raise RunError(f"{place}: cannot look into the run folder: {error.strerror}; name another with --run") from None
    if used:
        resumable = place.is_dir() and (place / "config.yaml").exists()
        remedy = f"go on with `plexus fit --resume {place}`, or n" if resumable else "n"
        raise RunError(f"{place}: the run folder exists and is not empty; {remedy}ame another with --run")


def discard(folder: Path) -> None:
    """Takes back a run folder in which nothing was trained."""
    if leader():
        shutil.rmtree(folder, ignore_errors=True)
        os.environ.pop(_RUN, None)


def last_run() -> Path | None:
    """The run folder this process made or opened last.

    Example:
        >>> last_run() is None or last_run().name != ""
        True
    """
    return Path(os.environ[_RUN]) if _RUN in os.environ else None


def open_run(folder: str | Path) -> tuple[FitConfig, FitRecord]:
    """The config and record of a run folder.

    Args:
        folder: a run folder.

    Returns:
        Both, as they stand in `config.yaml` and `record.json`.

    Raises:
        RunError: there is none, or it is broken or of another kind.

    Example:
        >>> open_run("nowhere")
        Traceback (most recent call last):
        plexus.errors.RunError: nowhere: not a run folder (it has no config.yaml); name one that `plexus fit` made
    """
    place = Path(folder)
    if not (place / "config.yaml").is_file():
        raise RunError(f"{place}: not a run folder (it has no config.yaml); name one that `plexus fit` made")
    try:
        config = FitConfig.read(place / "config.yaml")
    except PlexusError as error:
        raise RunError(f"{error}; the run folder was changed or is of another version of plexus") from None
    return config, FitRecord.read(place / "record.json")


class Lock:
    """Keeps a second process out of a run folder; gone with the process, however it ends.

    Raises:
        RunError: on entry, where another process holds it or the folder may not be written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __enter__(self) -> Lock:
        if not leader():
            return self
        try:
            self._file = (self.folder / "config.yaml").open("r+b")  # written once and never replaced
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise RunError(
                f"{self.folder}: another process is at work in this run folder; wait for it, or stop it"
            ) from None
        except OSError as error:
            raise RunError(f"{self.folder}: cannot go on in this run folder: {error.strerror}") from None
        os.environ[_RUN] = str(self.folder)
        for left in self.folder.rglob(".*.tmp"):  # what a killed process was about to write
            left.unlink(missing_ok=True)
        return self

    def __exit__(self, *_: Any) -> None:
        if leader():
            self._file.close()


def leader() -> bool:
    """Whether this process is the one that writes files (the only one, or rank 0 of several).

    Example:
        >>> leader()  # nothing else was started
        True
    """
    return int(os.environ.get("LOCAL_RANK", "0")) == 0 and int(os.environ.get("NODE_RANK", "0")) == 0


def _absolute(config: FitConfig) -> FitConfig:
    data = os.path.abspath(config.data) if os.path.exists(config.data) else config.data
    legos = config.legos
    if legos is not None and ":" in legos:
        file, _, name = legos.rpartition(":")
        legos = f"{Path(file).absolute()}:{name}"
    start = os.path.abspath(config.start_from) if config.start_from is not None else None
    return replace(config, data="digits" if config.data == "digits" else data, legos=legos, start_from=start)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "unknown"


def _processor() -> str:
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
