"""Runs one phase of training to its end, or on from where it was stopped."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import RichProgressBar
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from rich.console import Console
from safetensors.torch import load_file, save
from torch import nn

from plexus.data import ImageData, loader
from plexus.errors import RunError
from plexus.record import atomic_write
from plexus.train._callbacks import AtomicCheckpoints, EveryEpoch, History, quiet
from plexus.train._config import FitConfig
from plexus.train._task import ClassifyTask, Normalize, Schedule


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
        quiet()

    @property
    def steps(self) -> int:
        """Optimiser steps in an epoch."""
        per_process = -(-len(self.data.train) // self.config.devices)
        return -(-per_process // self.config.batch_size)

    def done(self, name: str) -> bool:
        """Whether a phase has run to its end."""
        return (self._place(name) / "history.json").exists()

    def run(
        self, name: str, net: nn.Module, schedule: Schedule, *, label: str | None = None,
        callbacks: Sequence[L.Callback] = (), penalty: float = 0.0, costs: torch.Tensor | None = None,
    ) -> tuple[nn.Module, list[dict[str, Any]]]:  # fmt: skip
        """Trains `net` in place and returns it with the phase's history; a phase that is done is read back."""
        place = self._place(name)
        if self.done(name):
            net.load_state_dict(load_file(place / "weights.safetensors"))
            return net, json.loads((place / "history.json").read_text())
        history = History(label or name, first=schedule.first, listen=self.listen)
        classes = len(self.data.classes)
        task = ClassifyTask(net, self.normalize, classes, schedule, self.steps, penalty=penalty, costs=costs)
        self._fit(place, task, [*callbacks, history, EveryEpoch(place / "last.ckpt")])
        if int(os.environ.get("LOCAL_RANK", "0")) == 0:
            place.mkdir(parents=True, exist_ok=True)
            state = {k: v.contiguous() for k, v in net.state_dict().items()}
            atomic_write(place / "weights.safetensors", save(state))
            atomic_write(place / "history.json", json.dumps(history.epochs))
            (place / "last.ckpt").unlink(missing_ok=True)
        return net, history.epochs

    def _place(self, name: str) -> Path:
        return self.folder / "checkpoints" / name

    def _fit(self, place: Path, task: ClassifyTask, callbacks: list[L.Callback]) -> None:
        config, schedule, name = self.config, task.schedule, place.name
        bar = self.progress and Console(stderr=True).is_terminal
        if bar:
            callbacks.append(_Bar(name))
        logs = self.folder / "logs"
        trainer = L.Trainer(
            max_epochs=schedule.epochs,
            accelerator="auto",
            devices=config.devices,
            strategy=config.strategy,
            precision=config.precision,  # type: ignore[arg-type]
            callbacks=callbacks,
            plugins=[AtomicCheckpoints()],
            logger=[CSVLogger(logs, name=name, version=f"from-{int(time.time())}"), TensorBoardLogger(logs, name=name, version="board")],
            use_distributed_sampler=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=bar,
            num_sanity_val_steps=0,
            log_every_n_steps=10**9,
            default_root_dir=self.folder,
        )
        rank, world = trainer.global_rank, trainer.world_size
        size, seed = config.batch_size, schedule.seed
        checkpoint = place / "last.ckpt"
        trainer.fit(
            task,
            loader(self.data.train, size, seed=seed, shuffle=True, rank=rank, world=world),
            loader(self.data.val, max(size, 256), seed=seed, shuffle=False, rank=rank, world=world),
            ckpt_path=str(checkpoint) if checkpoint.exists() else None,
            weights_only=True,
        )
        if trainer.interrupted:
            raise KeyboardInterrupt
        expected = schedule.epochs * task.steps
        if trainer.global_step != expected:
            raise RunError(f"phase {name} ended after {trainer.global_step} of {expected} steps; go on with --resume")


class _Bar(RichProgressBar):
    """Lightning's live bar, named by the phase."""

    def __init__(self, phase: str) -> None:
        super().__init__(leave=True)
        self.phase = phase

    def _get_train_description(self, current_epoch: int) -> str:
        return f"{self.phase:<8} {super()._get_train_description(current_epoch)}"
