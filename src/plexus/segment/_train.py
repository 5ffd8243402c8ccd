"""Training: every fold's net, then the figures. Torch is loaded once the folder is there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plexus.errors import ConfigError, PlexusError, RunError
from plexus.segment._config import SegmentConfig
from plexus.segment._folder import finished, new_run, open_run
from plexus.training._run_folder import Lock, discard, is_rank_zero

if TYPE_CHECKING:
    from plexus.segment._work import Work

Listener = Callable[[dict[str, Any]], None]


def train(
    config: SegmentConfig,
    *,
    run: str | Path | None = None,
    command: str = "",
    listen: Listener | None = None,
    progress: bool = False,
) -> Path:
    """Trains segmenters on images and masks, chooses when a mask is left empty, and leaves all of it in a run folder.

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
        plexus.errors.RunError: nowhere: not a run folder (it has no config.yaml); name one of `plexus segment train`
    """
    folder = Path(run)
    config, _ = open_run(folder)
    if finished(folder):
        return folder
    with Lock(folder):
        _run(_prepared(folder, config, listen, progress))
    return folder


def _prepared(folder: Path, config: SegmentConfig, listen: Listener | None, progress: bool) -> Work:
    """The data is there and the same as ever, and the nets can be built."""
    from plexus.segment._work import Work

    def nothing(entry: dict[str, Any]) -> None:
        """Only the process that leads is listened to."""

    work = Work(folder, config, listen if listen and is_rank_zero() else nothing, progress=progress)
    before = open_run(folder)[1].get("data", {}).get("fingerprint")
    if before not in (None, work.pairs.fingerprint):
        raise RunError(
            f"the images under {config.data} are not those the run started with; bring them back, or train anew"
        )
    work.begin()
    return work


def _run(work: Work) -> None:
    from plexus.segment._judge import judge

    nets = work.train()
    if is_rank_zero():
        judge(work, nets)
