"""What can be asked of training: a fit, going on with one, another budget. Torch is loaded once the folder is there."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plexus.errors import ConfigError, PlexusError, RunError
from plexus.record import FitRecord, atomic_write
from plexus.training._config import FitConfig
from plexus.training._run_folder import Lock, absolute, discard, is_rank_zero, make_run

if TYPE_CHECKING:
    from plexus.training._training import Training

Listener = Callable[[dict[str, Any]], None]


def fit(
    config: FitConfig,
    *,
    run: str | Path | None = None,
    command: str = "",
    listen: Listener | None = None,
    progress: bool = False,
) -> Path:
    """Learns a wiring from images, prunes it, and leaves model, record and evidence in a run folder.

    The folder with the config is there before anything long begins, so that a run that is stopped at any moment can
    be gone on with; it is taken back where the data or the legos turn out to be unusable.

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
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:  # too few images; the run folder is taken back
        ...     fit(FitConfig(data="digits", limit=5), run=f"{folder}/run")
        Traceback (most recent call last):
        plexus.errors.DataError: --limit 5 is too low for 10 classes: at least 20
    """
    folder, config = new_run(config, run, command=command)
    with Lock(folder):
        try:
            work = _prepared(folder, config, listen, progress)
        except (PlexusError, OSError):
            discard(folder)
            raise
        _run(work)
    return folder


def resume(run: str | Path, *, listen: Listener | None = None, progress: bool = False) -> Path:
    """Goes on with a run that was stopped, to the very weights it would have reached.

    Args:
        run: a run folder.
        listen, progress: as for `fit`.

    Returns:
        The run folder.

    Raises:
        RunError: not a run folder, or the data is no longer what it was.

    Example:
        >>> resume("nowhere")
        Traceback (most recent call last):
        plexus.errors.RunError: nowhere: not a run folder (it has no config.yaml); name one that `plexus fit` made
    """
    folder = Path(run)
    config, _ = open_run(folder)
    if finished(folder):
        return folder
    with Lock(folder):
        work = _prepared(folder, config, listen, progress)
        _run(work)
    return folder


def finished(run: str | Path) -> bool:
    """Whether a run reached its end and its models are there.

    Args:
        run: a run folder.

    Raises:
        RunError: not a run folder, or a broken one.

    Example:
        >>> finished("nowhere")
        Traceback (most recent call last):
        plexus.errors.RunError: nowhere: not a run folder (it has no config.yaml); name one that `plexus fit` made
    """
    folder = Path(run)
    _, record = open_run(folder)
    return record.finished and all((folder / name).is_file() for name in ("model.safetensors", "model.onnx"))


def reprune(
    source: str | Path,
    *,
    keep: float | None = None,
    max_params: int | str | None = None,
    then: str | None = None,
    run: str | Path | None = None,
    command: str = "",
    listen: Listener | None = None,
    progress: bool = False,
) -> Path:
    """Cuts the supernet that a run learned to another budget and trains on, in a new run folder.

    Args:
        source: a run folder whose learning is done.
        keep, max_params: the new budget; exactly one of them.
        then: finetune | retrain; by default as in that run.
        run: the new run folder; by default beside the old one, named by the budget.
        command, listen, progress: as for `fit`.

    Returns:
        The new run folder.

    Raises:
        ConfigError: not exactly one budget, or one out of range.
        RunError: the source has not finished learning, or the new folder exists.

    Example:
        >>> reprune("nowhere", keep=0.2)
        Traceback (most recent call last):
        plexus.errors.RunError: nowhere: not a run folder (it has no config.yaml); name one that `plexus fit` made
    """
    source = Path(source)
    config, record = open_run(source)
    if (keep is None) == (max_params is None):
        raise ConfigError("give one budget: --keep or --max-params")
    budget = {"keep": keep, "max_params": max_params, "then": then or config.then}
    config = replace(config, **FitConfig.from_mapping(budget, name="options").choice())
    if not _done(source, "learn"):
        raise RunError(f"{source}: the learning is not done; finish it with `plexus fit --resume {source}`")
    name = f"{source.absolute().name}-" + (f"keep-{config.keep:g}" if config.keep else f"max-{config.max_params}")
    folder, config = new_run(config, run if run is not None else source.absolute().with_name(name), command=command)
    with Lock(folder):
        try:
            if is_rank_zero():
                for phase in ("chain", "learn", "supernet"):
                    _copy(source, folder, phase)
            work = _prepared(folder, config, listen, progress, expected=record.data.fingerprint or None)
        except (PlexusError, OSError):
            discard(folder)
            raise
        _run(work)
    return folder


def new_run(config: FitConfig, folder: str | Path | None, *, command: str) -> tuple[Path, FitConfig]:
    """Creates the run folder; the config it holds has absolute paths."""
    legos = config.legos
    if legos is not None and ":" in legos:
        file, _, name = legos.rpartition(":")
        legos = f"{Path(file).absolute()}:{name}"
    start = os.path.abspath(config.start_from) if config.start_from is not None else None
    data = config.data if config.data == "digits" else absolute(config.data)
    config = replace(config, data=data, legos=legos, start_from=start)
    return make_run(config, folder, {"kind": "fit", "verb": "fit", "command": command}), config


def open_run(folder: str | Path) -> tuple[FitConfig, FitRecord]:
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


def _done(folder: Path, phase: str) -> bool:
    return (folder / "checkpoints" / phase / "history.json").is_file()


def _copy(source: Path, folder: Path, phase: str) -> None:
    """Takes over a phase that is done; the history comes last, as it says that the rest is there."""
    if _done(source, phase):
        to = folder / "checkpoints" / phase
        to.mkdir(parents=True, exist_ok=True)
        for name in ("weights.safetensors", "history.json"):
            atomic_write(to / name, (source / "checkpoints" / phase / name).read_bytes())


def _prepared(
    folder: Path, config: FitConfig, listen: Listener | None, progress: bool, *, expected: str | None = None
) -> Training:
    """The data is there and the same as ever, and the nets can be built."""
    from plexus.data import load
    from plexus.training._training import Training

    data = load(
        config.data,
        size=config.size,
        seed=config.seed,
        val=config.val,
        test=config.test,
        skip_unreadable=config.skip_unreadable,
        limit=config.limit,
        label=config.label,
    )
    before = expected or FitRecord.read(folder / "record.json").data.fingerprint or None
    if before not in (None, data.fingerprint):
        raise RunError(
            f"the images under {config.data} are not those the run started with; bring them back, or fit anew"
        )
    return Training(
        folder, config, data, listen if listen and is_rank_zero() else lambda entry: None, progress=progress
    )


def _run(work: Training) -> None:
    from plexus.training._judge import judge

    work.train()
    if is_rank_zero():
        judge(work)
