"""Training: the autoencoder, its figures and pictures. Torch is loaded once the folder is there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plexus.errors import PlexusError, RunError
from plexus.represent._config import RepresentConfig
from plexus.training._run_folder import Lock, discard, is_rank_zero

if TYPE_CHECKING:
    from plexus.represent._work import Work

Listener = Callable[[dict[str, Any]], None]


def train(
    config: RepresentConfig,
    *,
    run: str | Path | None = None,
    command: str = "",
    listen: Listener | None = None,
    progress: bool = False,
) -> Path:
    """Learns a latent Z that reconstructs and recognises, and leaves it with its evidence in a run folder.

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
    from plexus.represent._folder import new_run

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
        listen, progress: as for `train`.

    Returns:
        The run folder.

    Raises:
        RunError: not a run folder, or the data is no longer what it was.

    Example:
        >>> resume("nowhere")
        Traceback (most recent call last):
        plexus.errors.RunError: nowhere: ...
    """
    from plexus.represent._folder import finished, open_run

    folder = Path(run)
    config, _ = open_run(folder)
    if finished(folder):
        return folder
    with Lock(folder):
        _run(_prepared(folder, config, listen, progress))
    return folder


def _prepared(folder: Path, config: RepresentConfig, listen: Listener | None, progress: bool) -> Work:
    """The data is there and the same as ever, and the net can be built."""
    from plexus.represent._folder import open_run
    from plexus.represent._work import Work

    work = Work(folder, config, listen if listen and is_rank_zero() else None, progress=progress)
    before = (open_run(folder)[1].get("data") or {}).get("fingerprint")
    if before not in (None, work.images.data.fingerprint):
        raise RunError(
            f"the images under {config.data} are not those the run started with; bring them back, or train anew"
        )
    work.begin()
    return work


def _run(work: Work) -> None:
    from plexus.represent._judge import judge

    model = work.train()
    if is_rank_zero():
        judge(work, model)
