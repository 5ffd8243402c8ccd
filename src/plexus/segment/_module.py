"""The training of a segmenter as a module: mask and presence together; the loss of overlap, pixels and presence."""

from __future__ import annotations

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics import MeanMetric

from plexus.data import augment_pair
from plexus.errors import ConfigError, DataError
from plexus.models import Segmentation, UNet
from plexus.segment._config import SegmentConfig
from plexus.training import Normalize, Schedule, TrainingModule

KINDS = ("image", "batch")
_TINY = 1e-12  # smooth=0 and nothing anywhere: 0 / 0 counts as 0


def segmentation_loss(
    out: Segmentation,
    mask: Tensor,
    *,
    kind: str = "image",
    positives_only: bool = False,
    presence_weight: float = 0.5,
    smooth: float = 1.0,
    ignored: Tensor | None = None,
) -> Tensor:
    r"""Return the loss that a segmenter is trained by.

    .. math::
        L = -D + B_{pixels} + w\,B_{presence}, \quad
        D = \frac{2 \sum p\,t + s}{\sum p + \sum t + s}

    where p = sigmoid(mask logits) and t is the truth. With `image`, D is the mean over images of each one's own Dice,
    and B_pixels the mean binary cross-entropy of all pixels. With `batch` (the notes') the sums go over the whole
    batch, and there is no B_pixels. B_presence is the binary cross-entropy of the presence logit; the truth is present
    where an image's mask has a pixel.

    Args:
        out: logits, (N, 1, H, W) and (N,).
        mask: the truth, (N, 1, H, W) or (N, H, W), boolean or 0 to 1.
        kind: image | batch.
        positives_only: D over the images with a target alone; 0 where the batch has none.
        presence_weight: w.
        smooth: s, in pixels.
        ignored: true at pixels that count in no sum and no mean, of the mask's shape.

    Returns:
        A scalar, in float32 or wider; the least is -1, where all is right and certain.

    Raises:
        ConfigError: an unknown kind, or a weight or smoothing below 0.
        DataError: a mask of another shape than the logits.

    Source: the notes' loss for the ultrasound nerve challenge; Dice loss after Milletari et al. 2016.

    Example:
        >>> sure = Segmentation(torch.full((1, 1, 4, 4), 50.0), torch.tensor([50.0]))
        >>> segmentation_loss(sure, torch.ones(1, 1, 4, 4))
        tensor(-1.)
    """
    if kind not in KINDS:
        raise ConfigError(f"segmentation_loss: kind={kind!r} is unknown; choose from {', '.join(KINDS)}")
    if not presence_weight >= 0 or not smooth >= 0:
        raise ConfigError(f"segmentation_loss: presence_weight={presence_weight} and smooth={smooth} must be 0 or more")
    logits, presence = out
    if mask.dim() == 3:
        mask = mask[:, None]
    if mask.shape != logits.shape:
        raise DataError(f"segmentation_loss: logits of shape {tuple(logits.shape)}, but masks {tuple(mask.shape)}")
    wide = torch.promote_types(logits.dtype, torch.float32)  # sums over a batch's pixels overflow half types
    logits, presence, truth = logits.to(wide), presence.to(wide), mask.to(wide)
    counted = torch.ones_like(truth) if ignored is None else (~ignored.bool()).to(wide).reshape(truth.shape)
    truth = truth * counted
    present = (truth > 0).flatten(1).any(1)
    loss = -_dice(
        logits, truth, counted, present, per_image=kind == "image", positives_only=positives_only, smooth=smooth
    )
    if kind == "image":
        pixels = F.binary_cross_entropy_with_logits(logits, truth, counted, reduction="sum")
        loss = loss + pixels / counted.sum().clamp_min(1)
    return loss + presence_weight * F.binary_cross_entropy_with_logits(presence, present.to(wide))


def _dice(
    logits: Tensor, truth: Tensor, pixels: Tensor, present: Tensor, *, per_image: bool, positives_only: bool,
    smooth: float,
) -> Tensor:  # fmt: skip
    """The soft Dice: of the batch, or the mean over images; `pixels` is 0 where they do not count."""
    counted = present.to(truth.dtype) if positives_only else torch.ones_like(present, dtype=truth.dtype)
    probability = logits.sigmoid() * pixels
    common, total = (probability * truth).sum((1, 2, 3)), (probability + truth).sum((1, 2, 3))
    count = counted.sum()
    if not per_image:
        whole = (2 * (common * counted).sum() + smooth) / ((total * counted).sum() + smooth).clamp_min(_TINY)
        return whole * (count > 0)
    each = (2 * common + smooth) / (total + smooth).clamp_min(_TINY)
    return (each * counted).sum() / count.clamp_min(1)


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
        c, (targets, ignored) = self.config, _two(targets)
        if self.schedule.augment:
            channels = images.shape[1]
            # what is ignored moves as the image does: a mask would lose or gain pixels at its rim
            images = images.float() if ignored is None else torch.cat([images.float(), ignored.float()], 1)
            images, targets = augment_pair(
                images, targets, generator, rotation=c.rotation, shift=c.shift, gain=c.gain, elastic=c.elastic,
                flip=c.flip,
            )  # fmt: skip
            images, ignored = images[:, :channels], None if ignored is None else images[:, channels:] > 1e-3
        return self._compared(self(images), targets, ignored)

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        images, (masks, ignored) = batch[0], _two(batch[1])
        out = self(images)
        self.val_loss.update(self._compared(out, masks, ignored), len(images))
        counted = torch.ones_like(masks, dtype=torch.bool) if ignored is None else ~ignored
        drawn = (out.mask_logits > 0) & (out.presence_logit > 0)[:, None, None, None]  # the gate is chosen at the end
        self.val_dice.update(batch_dice(drawn & counted, (masks > 0) & counted).mean(), len(images))

    def measured(self) -> dict[str, Any]:
        return self.take(train_loss=self.train_loss, val_loss=self.val_loss, val_dice=self.val_dice)

    def _compared(self, out: Segmentation, masks: Tensor, ignored: Tensor | None) -> Tensor:
        c = self.config
        return segmentation_loss(
            out, masks.float(), kind=c.loss, positives_only=c.positives_only, presence_weight=c.presence_weight,
            ignored=ignored,
        )  # fmt: skip


def _two(targets: Tensor) -> tuple[Tensor, Tensor | None]:
    """Masks, and what is to be ignored, of targets (N, 1, H, W) or (N, 2, H, W)."""
    return targets[:, :1], targets[:, 1:] > 0 if targets.shape[1] > 1 else None


def batch_dice(prediction: Tensor, truth: Tensor) -> Tensor:
    """Dice of each mask of a batch, 1 where both are empty.

    Example:
        >>> batch_dice(torch.tensor([[[[True, False]]]]), torch.tensor([[[[True, True]]]])).item()
        0.666...
    """
    sizes = (prediction.flatten(1).sum(1) + truth.flatten(1).sum(1)).float()
    both = (prediction & truth).flatten(1).sum(1).float()
    return torch.where(sizes > 0, 2 * both / sizes.clamp_min(1), 1.0)
