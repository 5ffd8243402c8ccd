"""Train a representation, or go on with one. Torch is loaded when that begins."""

from __future__ import annotations

from pathlib import Path

from plexus.record import RepresentRecord
from plexus.represent._config import RepresentConfig
from plexus.training import engine
from plexus.training.engine import Kind, Listener

REPRESENT = Kind(
    name="represent",
    verb="represent train",
    config=RepresentConfig,
    record=RepresentRecord,
    task="plexus.represent._task:RepresentTask",
    paths={"data": ("digits",), "wiring": ("learn",)},
    outputs=lambda record: ("model/model.safetensors",),
)


def train(
    config: RepresentConfig,
    *,
    run: str | Path | None = None,
    command: str = "",
    listen: Listener | None = None,
    progress: bool = False,
) -> Path:
    """Learn a latent Z that reconstructs and recognises, and leave it with its evidence in a run folder.

    Args:
        config: what to do.
        run: the run folder; by default `runs/DATA-DATE-TIME`.
        command: the command line that reproduces the run, for the record.
        listen: called with every epoch's figures.
        progress: show live progress bars where stderr is a terminal.

    Returns:
        The run folder: `model/` (weights and options, as `Autoencoder.from_pretrained` reads them), `encoder.onnx`,
        `decoder.onnx`, `space.npz`, `record.json`.

    Raises:
        PlexusError: see its children; each message says what to do.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     train(RepresentConfig(data="nowhere"), run=f"{folder}/run")
        Traceback (most recent call last):
        plexus.errors.DataError: nowhere...
    """
    return engine.start(REPRESENT, config, run=run, command=command, listen=listen, progress=progress)


def resume(run: str | Path, *, listen: Listener | None = None, progress: bool = False) -> Path:
    """Go on with a run that was stopped, to the very weights it would have reached.

    Args:
        run: a run folder.
        listen, progress: as for `train`.

    Returns:
        The run folder.

    Raises:
        RunError: not a run folder, or the images or the wiring are no longer what they were.

    Example:
        >>> resume("nowhere")
        Traceback (most recent call last):
        plexus.errors.RunError: nowhere: ...
    """
    return engine.resume(REPRESENT, run, listen=listen, progress=progress)


def finished(run: str | Path) -> bool:
    """Return whether a run reached its end and its model is there.

    Args:
        run: a run folder.

    Raises:
        RunError: not a run folder, or a broken one.

    Example:
        >>> finished("nowhere")
        Traceback (most recent call last):
        plexus.errors.RunError: nowhere: ...
    """
    return engine.finished(REPRESENT, run)


def open_run(folder: str | Path) -> tuple[RepresentConfig, RepresentRecord]:
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
        plexus.errors.RunError: nowhere: ...
    """
    return engine.open_run(REPRESENT, folder)
