"""The training of one net as a Lightning module, with its history."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import lightning as L
import torch
from torch import Tensor
from torchmetrics import MeanMetric

from plexus.data import augment_pair
from plexus.errors import TrainingError
from plexus.models import Segmentation, UNet
from plexus.segment._config import SegmentConfig
from plexus.segment._loss import segmentation_loss
from plexus.training._task import ClassifyTask, Normalize, Schedule


class SegmentTask(ClassifyTask):
    """Trains mask and presence; optimiser, schedule and exact checkpoints are those of every plexus training.

    Args:
        net: the U-Net.
        normalize: pixels to the net's input.
        schedule: how to train.
        steps: optimiser steps of an epoch.
        config: loss and augmentation.
    """

    def __init__(self, net: UNet, normalize: Normalize, schedule: Schedule, steps: int, config: SegmentConfig) -> None:
        super().__init__(net, normalize, 2, schedule, steps)
        self.config = config
        self.val_dice = MeanMetric()

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        images, masks = batch
        seed = (self.schedule.seed * 1_000_003 + self.place) * 64 + self.global_rank
        seed %= 2**63  # torch takes no more than 64 bits
        torch.manual_seed(seed)  # dropout
        if self.schedule.augment:
            images, masks = self._varied(images.float(), masks, torch.Generator().manual_seed(seed))
        loss = self._loss(self(images), masks)
        if not torch.isfinite(loss):
            raise TrainingError(self.diverged("loss", loss.item()))
        self.train_loss.update(loss.detach(), len(images))
        return loss

    def forward(self, images: Tensor) -> Segmentation:
        """Pixels to a segmentation, in float32 whatever the precision of the training."""
        out = self.net(self.prepare(images))
        return Segmentation(out.mask_logits.float(), out.presence_logit.float())

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        images, masks = batch
        out = self(images)
        self.val_loss.update(self._loss(out, masks), len(images))
        self.val_dice.update(batch_dice(out.mask_logits > 0, masks > 0).mean(), len(images))

    def diverged(self, what: str, value: float) -> str:
        return super().diverged(what, value).replace("fit anew", "train anew")

    def _loss(self, out: Segmentation, masks: Tensor) -> Tensor:
        config = self.config
        return segmentation_loss(
            out, masks.float(), kind=config.loss, positives_only=config.positives_only,
            presence_weight=config.presence_weight,
        )  # fmt: skip

    def _varied(self, images: Tensor, masks: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        config = self.config
        return augment_pair(
            images, masks, generator, rotation=config.rotation, shift=config.shift, gain=config.gain,
            elastic=config.elastic, flip=config.flip,
        )  # fmt: skip


def batch_dice(prediction: Tensor, truth: Tensor) -> Tensor:
    """Dice of each mask of a batch, 1 where both are empty.

    Example:
        >>> batch_dice(torch.tensor([[[[True, False]]]]), torch.tensor([[[[True, True]]]])).item()
        0.666...
    """
    sizes = (prediction.flatten(1).sum(1) + truth.flatten(1).sum(1)).float()
    both = (prediction & truth).flatten(1).sum(1).float()
    return torch.where(sizes > 0, 2 * both / sizes.clamp_min(1), 1.0)


class SegmentHistory(L.Callback):
    """Losses and Dice of every epoch; part of the checkpoint.

    Args:
        fold: written into what is listened to.
        phase: likewise.
        first: the number of the first epoch.
        listen: called with every new entry.
    """

    def __init__(
        self, fold: int, phase: str, *, first: int = 0, listen: Callable[[dict[str, Any]], None] | None = None
    ) -> None:
        self.fold, self.phase, self.first, self.listen = fold, phase, first, listen
        self.epochs: list[dict[str, Any]] = []
        self._start = 0.0

    def on_train_epoch_start(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        self._start = time.monotonic()

    def on_train_epoch_end(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        assert isinstance(task, SegmentTask)
        entry: dict[str, Any] = {
            "epoch": self.first + trainer.current_epoch,
            "train_loss": task.train_loss.compute().item(),
            "val_loss": task.val_loss.compute().item(),
            "val_dice": task.val_dice.compute().item(),
            "seconds": time.monotonic() - self._start,
        }
        if not math.isfinite(entry["val_loss"]):
            raise TrainingError(task.diverged("validation loss", entry["val_loss"]))
        for metric in (task.train_loss, task.val_loss, task.val_dice):
            metric.reset()
        self.epochs.append(entry)
        task.log_dict({k: entry[k] for k in ("train_loss", "val_loss", "val_dice")}, rank_zero_only=True)
        if self.listen is not None and trainer.is_global_zero:
            self.listen({"fold": self.fold, "phase": self.phase, **entry})

    def state_dict(self) -> dict[str, Any]:
        return {"epochs": self.epochs}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.epochs = state["epochs"]
