"""The folder of a segmentation run: made whole, its record read and written; knows no torch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from plexus.errors import PlexusError, RunError
from plexus.segment._config import SegmentConfig
from plexus.training import _run_folder
from plexus.training._run_folder import absolute, make_run, open_folder

KIND, VERB = "segment", "segment train"


def new_run(config: SegmentConfig, folder: str | Path | None, *, command: str) -> tuple[Path, SegmentConfig]:
    """Creates the run folder.

    Args:
        config: options of the run.
        folder: where; by default `runs/DATA-DATE-TIME`.
        command: the command line that reproduces it.

    Returns:
        The folder, and the config it holds: its paths are absolute, so that a run can go on from anywhere.

    Raises:
        RunError: the folder exists and is not empty, or cannot be made.
    """
    config = replace(config, data=absolute(config.data), folds=config.folds and absolute(config.folds))
    return make_run(config, folder, {"kind": KIND, "verb": VERB, "command": command}), config


def open_run(folder: str | Path) -> tuple[SegmentConfig, dict[str, Any]]:
    """The config and record of a run folder.

    Raises:
        RunError: there is none, or it is broken or of another kind.
    """
    record = open_folder(folder, kind=KIND, verb=VERB)
    try:
        return SegmentConfig.read(Path(folder) / "config.yaml"), record
    except PlexusError as error:
        raise RunError(f"{error}; the run folder was changed or is of another version of plexus") from None


def read_record(path: Path) -> dict[str, Any]:
    """The record of a segmentation run.

    Raises:
        RunError: it is missing, broken or of another kind.
    """
    return _run_folder.read_record(path, kind=KIND, verb=VERB)


def finished(run: str | Path) -> bool:
    """Whether a run reached its end and its nets are there.

    Args:
        run: a run folder.

    Raises:
        RunError: not a run folder, or a broken one.

    Example:
        >>> finished("nowhere")
        Traceback (most recent call last):
        plexus.errors.RunError: nowhere: not a run folder (it has no config.yaml); name one of `plexus segment train`
    """
    _, record = open_run(run)
    if record.get("finished") and not record.get("folds"):
        raise RunError(f"{Path(run) / 'record.json'}: broken: it has no folds; train anew")
    nets = [Path(run) / f"model-{fold['fold']}.safetensors" for fold in record.get("folds", [])]
    return bool(record.get("finished") and nets and all(net.is_file() for net in nets))
