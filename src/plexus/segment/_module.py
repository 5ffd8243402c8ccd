"""The training of a segmenter as a module: mask and presence together."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor
from torchmetrics import MeanMetric

from plexus.data import augment_pair
from plexus.models import Segmentation, UNet
from plexus.segment._config import SegmentConfig
from plexus.segment._loss import segmentation_loss
from plexus.training import Normalize, Schedule, TrainingModule


class SegmentationModule(TrainingModule):
    """Trains mask and presence.

    Args:
        net: the U-Net.
        normalize: pixels to the net's input; copied, as training moves it to a device.
        schedule: how to train.
        steps: optimiser steps of an epoch.
        config: loss and augmentation.
    """

    net: UNet

    def __init__(self, net: UNet, normalize: Normalize, schedule: Schedule, steps: int, config: SegmentConfig) -> None:
        super().__init__(net, schedule, steps)
        self.normalize, self.config = copy.deepcopy(normalize), config
        self.val_loss, self.val_dice = MeanMetric(), MeanMetric()

    def prepare(self, images: Tensor) -> Tensor:
        return super().prepare(self.normalize(images))

    def forward(self, images: Tensor) -> Segmentation:
        """Pixels to a segmentation, in float32 whatever the precision of the training."""
        out = self.net(self.prepare(images))
        return Segmentation(out.mask_logits.float(), out.presence_logit.float())

    def loss(self, images: Tensor, targets: Tensor, generator: torch.Generator) -> Tensor:
        c = self.config
        if self.schedule.augment:
            images, targets = augment_pair(
                images.float(), targets, generator, rotation=c.rotation, shift=c.shift, gain=c.gain, elastic=c.elastic,
                flip=c.flip,
            )  # fmt: skip
        return self._compared(self(images), targets)

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        images, masks = batch
        out = self(images)
        self.val_loss.update(self._compared(out, masks), len(images))
        self.val_dice.update(batch_dice(out.mask_logits > 0, masks > 0).mean(), len(images))

    def measured(self) -> dict[str, Any]:
        return self.take(train_loss=self.train_loss, val_loss=self.val_loss, val_dice=self.val_dice)

    def _compared(self, out: Segmentation, masks: Tensor) -> Tensor:
        c = self.config
        return segmentation_loss(
            out, masks.float(), kind=c.loss, positives_only=c.positives_only, presence_weight=c.presence_weight
        )


def batch_dice(prediction: Tensor, truth: Tensor) -> Tensor:
    """Dice of each mask of a batch, 1 where both are empty.

    Example:
        >>> batch_dice(torch.tensor([[[[True, False]]]]), torch.tensor([[[[True, True]]]])).item()
        0.666...
    """
    sizes = (prediction.flatten(1).sum(1) + truth.flatten(1).sum(1)).float()
    both = (prediction & truth).flatten(1).sum(1).float()
    return torch.where(sizes > 0, 2 * both / sizes.clamp_min(1), 1.0)
