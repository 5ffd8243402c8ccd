"""Lightning beside the training steps: checkpoints that are whole, an early end, progress, and silence."""

from __future__ import annotations

import logging
import os
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from plexus.progress import Step, current
from plexus.training._module import Entry, History
from plexus.training.run_folder import write_checked

_NOT_CONCERNING = (
    ".*does not have many workers",  # images are in memory
    ".*smaller than the logging interval",  # figures are logged by the epoch
    ".*LeafSpec",  # Lightning asks for a class that torch renamed
    ".*It is recommended to use `self.log",  # the metrics are the same in all processes already
)


@contextmanager
def quiet() -> Iterator[None]:
    """Silence Lightning's tips, and the warnings that do not concern a user of plexus."""
    os.environ.setdefault("TENSORBOARD_SUPPRESS_WARNINGS", "1")
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric", "lightning")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        for message in _NOT_CONCERNING:
            warnings.filterwarnings("ignore", message=message)
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


class AtomicCheckpoints(TorchCheckpointIO):
    """Writes a checkpoint whole or not at all, whenever the process dies."""

    def save_checkpoint(self, checkpoint: Mapping[str, Any], path: Any, storage_options: Any = None) -> None:
        buffer = BytesIO()
        torch.save(dict(checkpoint), buffer)
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        write_checked(Path(path), buffer.getvalue())


class Checkpoints(L.Callback):
    """Leave one checkpoint, replaced at the end of an epoch where the last one is old enough."""

    def __init__(self, path: Path, every: float) -> None:
        self.path, self.every, self.saved = path, every, time.monotonic()

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if time.monotonic() - self.saved >= self.every:
            trainer.save_checkpoint(self.path)
            self.saved = time.monotonic()


class EarlyEnd(L.Callback):
    """End the training where a rule over its history says so."""

    def __init__(self, history: History, stop: Callable[[Sequence[Entry]], bool]) -> None:
        self.history, self.stop = history, stop

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Ask the rule before the first step: a checkpoint may be of the very epoch after which it held."""
        trainer.should_stop = self.stop(self.history.epochs)

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        trainer.should_stop = self.stop(self.history.epochs)


class Steps(L.Callback):
    """Moves the progress on with every batch, and tells the figures of every epoch."""

    def __init__(self, history: History, step: Step) -> None:
        self.history, self.step = history, step
        self.latest = ""  # what the last epoch was measured at

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if trainer.global_step:  # an earlier process did them
            self.step(trainer.global_step, skipped=True)

    def on_train_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        words = ""
        if current().due():
            words = f"{self._epoch(trainer, module)}  loss {outputs['loss'].item():.3f}{self.latest}"
        self.step(1, words)

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        entry = self.history.epochs[-1]
        self.latest = "".join(
            f"  {name} {entry[key]:{form}}" for key, (name, form) in FIGURES.items() if entry.get(key) is not None
        )
        current().note(f"{self._epoch(trainer, module)}  loss {entry['train_loss']:.3f}{self.latest}")

    def _epoch(self, trainer: L.Trainer, module: L.LightningModule) -> str:
        schedule: Any = module.schedule
        return f"epoch {schedule.first + trainer.current_epoch + 1} of {schedule.first + schedule.epochs}"


FIGURES = {
    "val_loss": ("validation loss", ".3f"),
    "val_accuracy": ("accuracy", ".1%"),
    "val_dice": ("Dice", ".3f"),
    "val_unexplained": ("unexplained", ".1%"),
}
"""Figures of an epoch that progress tells, with their names and forms."""
