"""Runs one phase of training to its end, or on from where it was stopped."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import RichProgressBar
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from lightning.pytorch.utilities.exceptions import MisconfigurationException, SIGTERMException
from rich.console import Console
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn
from torch.utils.data import DataLoader

from plexus.data import ImageData, loader
from plexus.errors import ConfigError, RunError
from plexus.record import atomic_write
from plexus.training._callbacks import AtomicCheckpoints, EveryEpoch, History, quiet
from plexus.training._config import FitConfig
from plexus.training._run import leader
from plexus.training._state import exact_state, load_exact
from plexus.training._task import ClassifyTask, Normalize, Schedule


class Phases:
    """The phases of one run: each leaves its weights and its history in the run folder, and is never done twice.

    Args:
        folder: the run folder.
        config: options of the run.
        data: images.
        normalize: pixels to the nets' input.
        listen: called with every epoch's entry.
        progress: show a live progress bar.
    """

    def __init__(
        self, folder: Path, config: FitConfig, data: ImageData, normalize: Normalize,
        *, listen: Callable[[dict[str, Any]], None], progress: bool,
    ) -> None:  # fmt: skip
        self.folder, self.config, self.data, self.normalize = folder, config, data, normalize
        self.listen, self.progress = listen, progress

    @property
    def steps(self) -> int:
        """Optimiser steps in an epoch."""
        per_process = -(-len(self.data.train) // self.config.devices)
        return -(-per_process // self.config.batch_size)

    def done(self, name: str) -> bool:
        """Whether a phase has run to its end."""
        return (self._place(name) / "history.json").exists()

    def run(
        self,
        name: str,
        net: nn.Module,
        schedule: Schedule,
        *,
        label: str | None = None,
        callbacks: Sequence[L.Callback] = (),
        penalty: float = 0.0,
        costs: torch.Tensor | None = None,
    ) -> tuple[nn.Module, list[dict[str, Any]]]:
        """Trains `net` in place and returns it with the phase's history; a phase that is done is read back.

        Raises:
            TrainingError: the loss is no longer a number, or the disk is full.
            RunError: what an earlier process left does not belong to this net.
            KeyboardInterrupt: stopped by SIGINT or SIGTERM; the last epoch's checkpoint is there.
        """
        place = self._place(name)
        if not self.done(name):
            history = History(label or name, first=schedule.first, listen=self.listen)
            classes = len(self.data.classes)
            task = ClassifyTask(net, self.normalize, classes, schedule, self.steps, penalty=penalty, costs=costs)
            with quiet():
                self._fit(place, task, [*callbacks, history])
            if leader():
                leave(place, net, history.epochs)
            wait()
            if leader():
                return net, history.epochs
        return net, _read_back(place, net)  # every process goes on with the leader's weights

    def _place(self, name: str) -> Path:
        return self.folder / "checkpoints" / name

    def _fit(self, place: Path, task: ClassifyTask, callbacks: list[L.Callback]) -> None:
        config, size, seed = self.config, self.config.batch_size, task.schedule.seed
        logs = TensorBoardLogger(self.folder / "logs", name=place.name, version="board")
        run_task(
            place, task, config, callbacks,
            lambda rank, world: (
                loader(self.data.train, size, seed=seed, shuffle=True, rank=rank, world=world),
                loader(self.data.val, max(size, 256), seed=seed, shuffle=False, rank=rank, world=world),
            ),
            loggers=[logs], bar=place.name if self.progress else None,
        )  # fmt: skip


Loaders = tuple[DataLoader[Any], DataLoader[Any]]


def run_task(
    place: Path,
    task: Any,
    config: Any,
    callbacks: Sequence[L.Callback],
    loaders: Callable[[int, int], Loaders],
    *,
    loggers: Sequence[Logger] = (),
    bar: str | None = None,
) -> None:
    """Trains a task to its end, or on from its checkpoint, which it leaves after every epoch.

    Args:
        place: RUN/checkpoints/NAME; the checkpoint lies there, the log in RUN/logs/NAME.
        task: a Lightning module with a `schedule` and the number of `steps` in an epoch.
        config: says devices, strategy and precision.
        callbacks: the history among them.
        loaders: of training and validation, for (rank, world).
        loggers: beside that of CSV files.
        bar: the name before a live progress bar, where stderr is a terminal; None shows none.

    Raises:
        RunError: a checkpoint that does not belong to this net, or a training that ended early.
        KeyboardInterrupt: stopped by SIGINT or SIGTERM; the last epoch's checkpoint is there.
    """
    live = bar is not None and leader() and Console(stderr=True).is_terminal
    checkpoint, folder = place / "last.ckpt", place.parents[1]
    trainer = _trainer(
        config,
        max_epochs=task.schedule.epochs,
        callbacks=[*callbacks, EveryEpoch(checkpoint), *([_Bar(str(bar))] if live else [])],
        plugins=[AtomicCheckpoints()],
        logger=[CSVLogger(folder / "logs", name=place.name, version=f"from-{time.time_ns()}"), *loggers],
        enable_progress_bar=live,
        default_root_dir=folder,
    )
    if checkpoint.exists():
        _check(checkpoint, task)
    try:
        trainer.fit(
            task,
            *loaders(trainer.global_rank, trainer.world_size),
            ckpt_path=str(checkpoint) if checkpoint.exists() else None,
            weights_only=True,
        )
    except (SystemExit, SIGTERMException):  # Lightning turns Ctrl-C into an exit of its own, and then ignores more
        signal.signal(signal.SIGINT, signal.default_int_handler)
        raise KeyboardInterrupt from None
    if trainer.interrupted:
        raise KeyboardInterrupt
    expected = task.schedule.epochs * task.steps
    if trainer.global_step != expected:
        raise RunError(f"{place.name} ended after {trainer.global_step} of {expected} steps; go on with --resume")


def leave(place: Path, net: nn.Module, epochs: Sequence[dict[str, Any]]) -> None:
    """Writes what a phase has made; the history comes last, as it says that the rest is there."""
    place.mkdir(parents=True, exist_ok=True)
    state = {k: v.cpu().contiguous() for k, v in exact_state(net).items()}
    atomic_write(place / "weights.safetensors", save(state))
    atomic_write(place / "history.json", json.dumps(epochs))
    (place / "last.ckpt").unlink(missing_ok=True)


def check_devices(config: Any) -> None:
    """Tells early where Lightning will not have the devices, the strategy or the precision.

    Raises:
        ConfigError: with Lightning's own words.
    """
    with quiet():
        _trainer(config, logger=False, enable_progress_bar=False)


def wait() -> None:
    """Until all processes of the run are here."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.barrier()


def _trainer(config: Any, **more: Any) -> L.Trainer:
    try:
        return L.Trainer(
            accelerator="auto",
            devices=config.devices,
            strategy=config.strategy,
            precision=config.precision,
            use_distributed_sampler=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            log_every_n_steps=10**9,
            **more,
        )
    except (ValueError, RuntimeError, MisconfigurationException) as error:
        asked = f"devices={config.devices}, strategy={config.strategy!r}, precision={config.precision!r}"
        raise ConfigError(f"{asked}: {str(error).splitlines()[0]}") from None


def _read_back(place: Path, net: nn.Module) -> list[dict[str, Any]]:
    """Loads what a phase left into the net and returns its history."""
    try:
        load_exact(net, load_file(place / "weights.safetensors"))
        return json.loads((place / "history.json").read_text())
    except (RuntimeError, ValueError, OSError, SafetensorError) as error:
        raise RunError(f"{place}: {_misfit(error)}") from None


def _check(checkpoint: Path, task: nn.Module) -> None:
    """Refuses a checkpoint that is broken or of another net, before Lightning does it with a traceback."""
    try:
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)["state_dict"]
        shapes = [{k: v.shape for k, v in kind.items()} for kind in (state, task.state_dict())]
    except Exception as error:  # a broken file can raise anything
        raise RunError(f"{checkpoint}: {_misfit(error)}") from None
    if shapes[0] != shapes[1]:
        raise RunError(f"{checkpoint}: {_misfit(ValueError('other layers'))}")


def _misfit(error: Exception) -> str:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return f"broken, or not of these legos ({reason}); remove it to train the phase anew"


class _Bar(RichProgressBar):
    """Lightning's live bar, named by the phase."""

    def __init__(self, phase: str) -> None:
        super().__init__(leave=True)
        self.phase = phase

    def _get_train_description(self, current_epoch: int) -> str:
        return f"{self.phase:<8} {super()._get_train_description(current_epoch)}"
