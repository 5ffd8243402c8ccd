"""Train a segmentation, or go on with one. Torch is loaded when that begins."""

from __future__ import annotations

from pathlib import Path

from plexus.errors import ConfigError
from plexus.record import SegmentRecord
from plexus.segment._config import SegmentConfig
from plexus.training import engine
from plexus.training.engine import Kind, Listener


def _outputs(record: SegmentRecord) -> list[str]:
    """The nets of a finished run."""
    if record.finished and not record.folds:
        raise ValueError("it has no folds")
    return [f"model-{fold.fold}.safetensors" for fold in record.folds]


SEGMENT = Kind(
    name="segment",
    verb="segment train",
    config=SegmentConfig,
    record=SegmentRecord,
    task="plexus.segment._task:SegmentTask",
    paths={"data": (), "folds": ()},
    outputs=_outputs,
)


def train(
    config: SegmentConfig,
    *,
    run: str | Path | None = None,
    command: str = "",
    listen: Listener | None = None,
    progress: bool = False,
) -> Path:
    """Train segmenters on images and masks, choose when a mask is left empty, and leave all of it in a run folder.

    With `folds` or `cv` there is one net per fold, and every figure is of images that its net did not see.

    Args:
        config: what to do.
        run: the run folder; by default `runs/DATA-DATE-TIME`.
        command: the command line that reproduces the run, for the record.
        listen: called with every epoch's figures.
        progress: show live progress bars where stderr is a terminal.

    Returns:
        The run folder.

    Raises:
        PlexusError: see its children; each message says what to do.

    Example:
        >>> train(SegmentConfig(cv=5))
        Traceback (most recent call last):
        plexus.errors.ConfigError: name the data: a folder of images and masks, a CSV manifest, or parquet files
    """
    if not config.data:
        raise ConfigError("name the data: a folder of images and masks, a CSV manifest, or parquet files")
    return engine.start(SEGMENT, config, run=run, command=command, listen=listen, progress=progress)


def resume(run: str | Path, *, listen: Listener | None = None, progress: bool = False) -> Path:
    """Go on with a run that was stopped, to the very weights it would have reached.

    Args:
        run: a run folder.
        listen, progress: as for `train`.

    Returns:
        The run folder.

    Raises:
        RunError: not a run folder, or the images or the folds are no longer what they were.

    Example:
        >>> resume("nowhere")
        Traceback (most recent call last):
        plexus.errors.RunError: nowhere: not a run folder (it has no config.yaml); name one of `plexus segment train`
    """
    return engine.resume(SEGMENT, run, listen=listen, progress=progress)


def finished(run: str | Path) -> bool:
    """Return whether a run reached its end and its nets are there.

    Args:
        run: a run folder.

    Raises:
        RunError: not a run folder, or a broken one.

    Example:
        >>> finished("nowhere")
        Traceback (most recent call last):
        plexus.errors.RunError: nowhere: not a run folder (it has no config.yaml); name one of `plexus segment train`
    """
    return engine.finished(SEGMENT, run)


def open_run(folder: str | Path) -> tuple[SegmentConfig, SegmentRecord]:
    """Return the config and record of a run folder.

    Args:
        folder: a run folder.

    Returns:
        Both, as they stand in `config.yaml` and `record.json`.

    Raises:
        RunError: there is none, or it is broken or of another kind.

    Example:
        >>> open_run("nowhere")
        Traceback (most recent call last):
        plexus.errors.RunError: nowhere: not a run folder (it has no config.yaml); name one of `plexus segment train`
    """
    return engine.open_run(SEGMENT, folder)
