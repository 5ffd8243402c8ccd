"""Trains the net of one fold to its end, or on from where it was stopped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from plexus.data import Split, loader
from plexus.models import UNet
from plexus.segment._config import SegmentConfig
from plexus.segment._nets import Segmenter, build, statistics
from plexus.segment._task import SegmentHistory, SegmentTask
from plexus.training._callbacks import quiet
from plexus.training._phase import _read_back, leave, run_task, wait
from plexus.training._run import leader
from plexus.training._task import Normalize, Schedule


class FoldTraining:
    """One fold: each phase leaves its weights and its history in the run folder, and is never done twice.

    Args:
        folder: the run folder.
        config: options of the run.
        fold: its number.
        train: images and masks that the net learns from.
        validation: those that it is measured on.
        listen: called with every epoch's entry.
        progress: show a live progress bar where stderr is a terminal.
    """

    def __init__(
        self, folder: Path, config: SegmentConfig, fold: int, train: Split, validation: Split,
        *, listen: Callable[[dict[str, Any]], None], progress: bool,
    ) -> None:  # fmt: skip
        self.folder, self.config, self.fold = folder, config, fold
        self.train, self.validation, self.listen, self.progress = train, validation, listen, progress
        self.normalize = statistics(train)
        self.epochs: list[dict[str, Any]] = []

    def run(self) -> Segmenter:
        """All epochs of the fold; learned skip connections are cut on the way.

        Raises:
            TrainingError: the loss is no longer a number, or the disk is full.
            RunError: what an earlier process left does not belong to this net.
            KeyboardInterrupt: stopped by SIGINT or SIGTERM; the last epoch's checkpoint is there.
        """
        config, whole = self.config, self.config.epochs
        net = build(config, self.train.images.shape[1], config.seed * 1000 + self.fold)
        if config.wiring == "skips":
            cut = min(max(round(config.cut * whole), 1), whole - 1)
            self._phase("learn", net, 0, cut)
            net = net.prune(float(config.keep))
            self._phase("final", net, cut, whole)
        else:
            self._phase("final", net, 0, whole)
        return Segmenter(net, self.normalize).eval()

    def _phase(self, phase: str, net: UNet, first: int, last: int) -> None:
        place = self.folder / "checkpoints" / f"fold-{self.fold}-{phase}"
        if not (place / "history.json").exists():
            history = SegmentHistory(self.fold, phase, first=first, listen=self.listen)
            task = SegmentTask(net, _copy(self.normalize), self._schedule(first, last, phase), self._steps, self.config)
            with quiet():
                self._fit(place, task, history)
            if leader():
                leave(place, net, history.epochs)
            wait()
        net.cpu()
        self.epochs += _read_back(place, net)  # every process goes on with the leader's weights

    def _fit(self, place: Path, task: SegmentTask, history: SegmentHistory) -> None:
        size, seed = self.config.batch_size, task.schedule.seed
        run_task(
            place, task, self.config, [history],
            lambda rank, world: (
                loader(self.train, size, seed=seed, shuffle=True, rank=rank, world=world),
                loader(self.validation, max(size, 16), seed=seed, shuffle=False, rank=rank, world=world),
            ),
            bar=f"fold {self.fold}" if self.progress else None,
        )  # fmt: skip

    @property
    def _steps(self) -> int:
        """Optimiser steps in an epoch."""
        per_process = -(-len(self.train) // self.config.devices)
        return -(-per_process // self.config.batch_size)

    def _schedule(self, first: int, last: int, phase: str) -> Schedule:
        config = self.config
        return Schedule(
            epochs=last - first,
            whole=config.epochs,
            first=first,
            lr=config.lr,
            gate_lr=config.gate_lr,
            weight_decay=config.weight_decay,
            seed=(config.seed * 1000 + self.fold) * 2 + (phase == "learn"),
            augment=config.augment,
        )


def _copy(normalize: Normalize) -> Normalize:
    """A task moves its parts to its device; the fold's own stay here."""
    return Normalize(normalize.mean.flatten().clone(), normalize.std.flatten().clone())
