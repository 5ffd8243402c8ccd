"""What happens beside the training steps: history, fading of gates, checkpoints, a line per epoch."""

from __future__ import annotations

import logging
import math
import os
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from plexus.errors import TrainingError
from plexus.graph import HEAD, Wiring
from plexus.nn import Supernet
from plexus.record import atomic_write
from plexus.training._task import ClassifyTask, gated

_NOT_CONCERNING = (
    ".*does not have many workers",  # images are in memory
    ".*smaller than the logging interval",  # figures are logged by the epoch
    ".*LeafSpec",  # Lightning asks for a class that torch renamed
    ".*It is recommended to use `self.log",  # the metrics are the same in all processes already
)


class History(L.Callback):
    """Losses, accuracy and gates of every epoch; part of the checkpoint.

    Args:
        phase: written into every entry.
        first: the number of the first epoch.
        listen: called with every new entry.
    """

    def __init__(self, phase: str, *, first: int = 0, listen: Callable[[dict[str, Any]], None] | None = None) -> None:
        self.phase, self.first, self.listen = phase, first, listen
        self.epochs: list[dict[str, Any]] = []
        self._start = 0.0

    def on_train_epoch_start(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        self._start = time.monotonic()

    def on_train_epoch_end(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        assert isinstance(task, ClassifyTask)
        entry: dict[str, Any] = {
            "phase": self.phase,
            "epoch": self.first + trainer.current_epoch,
            "train_loss": task.train_loss.compute().item(),
            "val_loss": task.val_loss.compute().item(),
            "val_accuracy": task.val_accuracy.compute().item(),
            "seconds": time.monotonic() - self._start,
        }
        if not math.isfinite(entry["val_loss"]):
            raise TrainingError(task.diverged("validation loss", entry["val_loss"]))
        for metric in (task.train_loss, task.val_loss, task.val_accuracy):
            metric.reset()
        connections = gated(task.net)
        if connections:
            entry["gates"] = [g.mean().item() for c in connections for g in c.split_gates()]
        self.epochs.append(entry)
        task.log_dict({k: entry[k] for k in ("train_loss", "val_loss", "val_accuracy")}, rank_zero_only=True)
        if self.listen is not None and trainer.is_global_zero:
            self.listen(entry)

    def state_dict(self) -> dict[str, Any]:
        return {"epochs": self.epochs}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.epochs = state["epochs"]


class Fade(L.Callback):
    """Takes the edges that will be cut to 0, step by step: their mask falls linearly to 0 over 60 % of the phase.

    Args:
        body: the supernet.
        kept: the wiring that stays.
        steps: optimiser steps of the phase.
    """

    def __init__(self, body: Supernet, kept: Wiring, steps: int) -> None:
        self.body, self.kept, self.span = body, set(kept.strengths()), max(1.0, 0.6 * steps)

    def on_train_batch_start(self, trainer: L.Trainer, task: L.LightningModule, batch: Any, index: int) -> None:
        set_masks(self.body, self.kept, max(0.0, 1 - (trainer.global_step + 1) / self.span))


def set_masks(body: Supernet, kept: set[tuple[str, str]], others: float) -> None:
    """Sets the mask of every edge outside `kept`."""
    names = body.node_names()
    for target, connection in zip([*names[2:-1], HEAD], gated(body), strict=True):
        for k in range(len(connection.channels)):
            if (names[k], target) not in kept:
                connection.mask[connection.entries(k)] = others


class AtomicCheckpoints(TorchCheckpointIO):
    """Writes a checkpoint whole or not at all, whenever the process dies."""

    def save_checkpoint(self, checkpoint: Mapping[str, Any], path: Any, storage_options: Any = None) -> None:
        buffer = BytesIO()
        torch.save(dict(checkpoint), buffer)
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        atomic_write(Path(path), buffer.getvalue())


class EveryEpoch(L.Callback):
    """Leaves one checkpoint, `last.ckpt`, replaced after every epoch."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_epoch_end(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        trainer.save_checkpoint(self.path)


@contextmanager
def quiet() -> Iterator[None]:
    """Silences Lightning's tips, and the warnings that do not concern a user of plexus."""
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
