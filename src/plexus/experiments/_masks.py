"""What the trials on images and masks share: one fold held back, and how a net is trained on the others."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from plexus.audit import fingerprint, folds, near_duplicates
from plexus.data import SampleSet, augment_pair, open_samples
from plexus.errors import DataError, TrainingError
from plexus.metrics import dice
from plexus.models import UNet
from plexus.segment._loss import segmentation_loss

FOLDS = 5
BATCH = 8
LR = 1e-2
_EVALUATED = 32  # images in one forward pass


@dataclass(frozen=True, eq=False)
class Pairs:
    """Grey images with masks, at one size.

    Args:
        images: uint8 (N, 1, H, W).
        masks: bool (N, 1, H, W).
        fold: (N,), 0 to FOLDS - 1; neither near-duplicates nor images of one group are in two.
        samples: where they come from.
    """

    images: Tensor
    masks: Tensor
    fold: NDArray[np.int64]
    samples: SampleSet

    def split(
        self, seed: int, limit: int | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Rows for training (at most `limit`), validation (the next fold) and test (fold `seed`)."""
        test, val = seed % FOLDS, (seed + 1) % FOLDS
        rows = np.arange(len(self.fold))
        chosen = rows[(self.fold != test) & (self.fold != val)]
        if limit is not None:
            chosen = np.sort(np.random.default_rng(seed).permutation(chosen)[:limit])
        return chosen, rows[self.fold == val], rows[self.fold == test]


@dataclass
class Trained:
    """A net, and what its training left: mean losses and validation Dice in percent, one for each pass."""

    net: UNet
    train_loss: list[float]
    val_loss: list[float]
    val_dice: list[float]


@lru_cache(maxsize=1)
def pairs(spec: str, size: int, group_from: str | None = None) -> Pairs:
    """All images of a set with masks, whatever split they are in, resized to squares; and leak-free folds of them."""
    samples = open_samples(spec, masks=True, group_from=group_from)
    images = torch.empty(len(samples), 1, size, size, dtype=torch.uint8)
    masks = torch.empty(len(samples), 1, size, size, dtype=torch.bool)
    for i in range(len(samples)):
        pixels, mask = samples.pixels(i, (size, size)), samples.mask(i)
        if pixels.ndim == 3 or mask is None:
            raise DataError(f"{samples.where}: {samples.samples[i].name}: give grey images with masks")
        images[i, 0] = torch.from_numpy(np.array(pixels))
        masks[i, 0] = shrunk(torch.from_numpy(mask), size)
    near = near_duplicates(fingerprint(samples))
    found = folds(samples, near, k=FOLDS, seed=0)
    fold = np.array([found.fold[sample.name] for sample in samples.samples])
    return Pairs(images, masks, fold, samples)


def shrunk(mask: Tensor, size: int) -> Tensor:
    """A mask (H, W) at another size: where half of the area is in it."""
    return F.interpolate(mask[None, None].float(), (size, size), mode="area")[0, 0] >= 0.5


def train(
    images: Tensor, masks: Tensor, val: tuple[Tensor, Tensor], *, steps: int, passes: int, seed: int, width: int = 8
) -> Trained:
    """Trains a U-Net from one seed for a number of steps, under one cycle of the rate.

    Args:
        images, masks: as in `Pairs`.
        val: images and masks that the history looks at.
        steps: optimiser steps, the same for every number of images.
        passes: how often in between the history is written.
        seed: of weights, order and augmentation.
        width: of the net's first level.

    Raises:
        TrainingError: the loss is no longer a number.
    """
    torch.manual_seed(seed)
    net = UNet(1, width=width, levels=4)
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(net.parameters(), LR, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LR, total_steps=steps)
    made = Trained(net, [], [], [])
    total, count, order = 0.0, 0, torch.empty(0, dtype=torch.long)
    for step in range(steps):
        random = torch.Generator().manual_seed(seed * 1_000_003 + step)
        if len(order) < BATCH:
            order = torch.cat([order, torch.randperm(len(images), generator=random)])
        rows, order = order[:BATCH], order[BATCH:]
        x, y = augment_pair(images[rows].float(), masks[rows].float(), random)
        torch.manual_seed(seed * 1_000_003 + step)  # dropout
        loss = segmentation_loss(net.train()(scaled(x)), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        total, count = total + loss.item(), count + 1
        if (step + 1) * passes // steps > step * passes // steps:
            if not math.isfinite(total):
                raise TrainingError(f"the training loss became {total} after {step + 1} steps")
            made.train_loss.append(round(total / count, 5))
            _look(made, val)
            total, count = 0.0, 0
    return made


def scaled(pixels: Tensor) -> Tensor:
    """Pixels 0..255 as the net reads them, each image with mean 0 and deviation 1."""
    x = pixels.float()
    deviation, mean = torch.std_mean(x, (1, 2, 3), keepdim=True, correction=0)
    return ((x - mean) / deviation.clamp_min(1.0)).contiguous(memory_format=torch.channels_last)


def predict(net: UNet, images: Tensor) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Probability of every pixel, (N, H, W), and the logit that the target is there, (N,)."""
    masks, logits = [], []
    with torch.inference_mode():
        for batch in images.split(_EVALUATED):
            out = net.eval()(scaled(batch))
            masks.append(out.mask_logits[:, 0].sigmoid().float())
            logits.append(out.presence_logit.double())
    return torch.cat(masks).numpy(), torch.cat(logits).numpy()


def _look(made: Trained, val: tuple[Tensor, Tensor]) -> None:
    losses = []
    with torch.inference_mode():
        for x, y in zip(val[0].split(_EVALUATED), val[1].split(_EVALUATED), strict=True):
            losses += [segmentation_loss(made.net.eval()(scaled(x)), y.float()).item()] * len(x)
    probability, _ = predict(made.net, val[0])
    scores: NDArray[Any] = dice(probability > 0.5, val[1][:, 0].numpy())
    made.val_loss.append(round(float(np.mean(losses)), 5))
    made.val_dice.append(round(100 * float(scores.mean()), 4))
