"""Images with masks: one fold held back, a net trained on the others, and planted near-duplicates; for trials."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader

from plexus.audit import audit, fingerprint, folds, near_duplicates
from plexus.data import SampleSet, Split, augment_pair, open_samples
from plexus.errors import DataError, TrainingError
from plexus.metrics import dice
from plexus.models import UNet
from plexus.segment import segmentation_loss
from plexus.training import Batches, Loop, Schedule, TrainingModule, seed_generators

FOLDS = 5
BATCH = 8
LR = 1e-2
_EVALUATED = 32  # images in one forward pass


@dataclass(frozen=True, eq=False)
class MaskedImages:
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

    net: nn.Module
    train_loss: list[float]
    val_loss: list[float]
    val_dice: list[float]


@lru_cache(maxsize=1)
def pairs(spec: str, size: int, group_from: str | None = None) -> MaskedImages:
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
    dealt = folds(samples, near, k=FOLDS, seed=0)
    fold = np.array([dealt.fold[sample.name] for sample in samples.samples])
    return MaskedImages(images, masks, fold, samples)


def shrunk(mask: Tensor, size: int) -> Tensor:
    """A mask (H, W) at another size: where half of the area is in it."""
    return F.interpolate(mask[None, None].float(), (size, size), mode="area")[0, 0] >= 0.5


class TrialModule(TrainingModule):
    """Trains a U-Net under one cycle of the rate, for as many steps whatever the number of images.

    Images come in an order that runs on over the passes, and which the seed and the step alone decide.

    Args:
        net: what is trained.
        images, masks: as in `MaskedImages`.
        steps, passes, seed, augment, lr, positives_only: see `train`.
        presence: weight of presence in the loss.
    """

    def __init__(
        self, net: nn.Module, images: Tensor, masks: Tensor, *, steps: int, passes: int, seed: int, presence: float,
        augment: Mapping[str, Any], lr: float, positives_only: bool,
    ) -> None:  # fmt: skip
        super().__init__(net, Schedule(epochs=passes, whole=passes, first=0, lr=lr, seed=seed), steps // passes)
        self.images, self.masks, self.augment = images, masks, augment
        self.loss_options: dict[str, Any] = {"presence_weight": presence, "positives_only": positives_only}
        self.order, self.total = torch.empty(0, dtype=torch.long), 0.0
        self.losses, self.dice = list[float](), list[float]()

    def training_step(self, batch: Any, index: int) -> Tensor:
        seed = self.schedule.seed * 1_000_003 + self.global_step
        random = torch.Generator().manual_seed(seed)
        if len(self.order) < BATCH:
            self.order = torch.cat([self.order, torch.randperm(len(self.images), generator=random)])
        rows, self.order = self.order[:BATCH], self.order[BATCH:]
        x, y = augment_pair(self.images[rows].float(), self.masks[rows].float(), random, **self.augment)
        seed_generators(seed)  # dropout
        loss = self.loss(x.to(self.device), y.to(self.device), random)
        self.total += loss.item()
        return loss

    def loss(self, images: Tensor, targets: Tensor, generator: torch.Generator) -> Tensor:
        return segmentation_loss(self.net(scaled(images)), targets, **self.loss_options)

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.AdamW(self.net.parameters(), self.schedule.lr, weight_decay=1e-2)
        total = self.schedule.epochs * self.steps
        cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, self.schedule.lr, total_steps=total)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": cycle, "interval": "step"}}

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        images, masks = batch
        out = self.net(scaled(images))
        self.losses += [segmentation_loss(out, masks.float(), **self.loss_options).item()] * len(images)
        probability = out.mask_logits[:, 0].sigmoid().float()
        self.dice += dice(probability.cpu().numpy() > 0.5, masks[:, 0].cpu().numpy()).tolist()

    def measured(self) -> dict[str, float]:
        if not math.isfinite(self.total):
            raise TrainingError(f"the training loss became {self.total} after {self.global_step} steps")
        figures = {
            "train_loss": round(self.total / self.steps, 5),
            "val_loss": round(float(np.mean(self.losses)), 5),
            "val_dice": round(100 * float(np.mean(self.dice)), 4),
        }
        self.total, self.losses, self.dice = 0.0, [], []
        return figures


@dataclass(frozen=True, eq=False)
class Steps(Batches):
    """Numbers in place of batches of training, which the module draws itself.

    Args:
        train, val, size, seed, val_size, first, devices: see `Batches`.
        count: steps of a pass.
    """

    count: int = 1

    @property
    def steps(self) -> int:
        """Steps of a pass."""
        return self.count

    def loaders(self, rank: int = 0, world: int = 1) -> tuple[DataLoader[Any], DataLoader[Any]]:
        """Return the numbers of steps, and the batches of validation."""
        numbers: Any = range(self.count)
        return DataLoader(numbers, batch_size=None), super().loaders(rank, world)[1]


def train(
    images: Tensor, masks: Tensor, val: tuple[Tensor, Tensor], *, steps: int, passes: int, seed: int, width: int = 8,
    stem: int = 1, net: nn.Module | None = None, augment: Mapping[str, Any] = MappingProxyType({}),
    lr: float = LR, positives_only: bool = False,
) -> Trained:  # fmt: skip
    """Train a U-Net from one seed for a number of steps.

    Args:
        images, masks: as in `MaskedImages`.
        val: images and masks that the history looks at.
        steps: optimiser steps, the same for every number of images; a multiple of `passes`.
        passes: how often in between the history is written.
        seed: of weights, order and augmentation.
        width, stem: of the net, see `UNet`.
        net: a net of one's own, which has no answer on presence, in place of the U-Net.
        augment: strengths of `augment_pair`, where they are not its own.
        lr: peak learning rate.
        positives_only: the Dice term counts images with a target only.

    Raises:
        TrainingError: the loss is no longer a number.
    """
    torch.manual_seed(seed)
    presence = 0.5 if net is None else 0.0
    net = (UNet(1, width=width, levels=4, stem=stem) if net is None else net).train()
    module = TrialModule(
        net, images, masks, steps=steps, passes=passes, seed=seed, presence=presence, augment=augment, lr=lr,
        positives_only=positives_only,
    )  # fmt: skip
    held = Split(*val, names=("",) * len(val[0]))
    batches = Steps(held, held, BATCH, seed, val_size=_EVALUATED, count=steps // passes)
    with TemporaryDirectory() as folder:  # a trial of minutes begins anew
        entries = Loop(folder, logs=(), save_every=math.inf).run("net", module, batches)
    return Trained(net, *([entry[key] for entry in entries] for key in ("train_loss", "val_loss", "val_dice")))


def scaled(pixels: Tensor) -> Tensor:
    """Pixels 0..255 as the net reads them, each image with mean 0 and standard deviation 1."""
    x = pixels.float()
    std, mean = torch.std_mean(x, (1, 2, 3), keepdim=True, correction=0)
    return ((x - mean) / std.clamp_min(1.0)).contiguous(memory_format=torch.channels_last)


def predict(net: nn.Module, images: Tensor) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Probability of every pixel, (N, H, W), and the logit that the target is there, (N,)."""
    masks, logits, at = [], [], next(net.parameters()).device
    with torch.inference_mode():
        for batch in images.split(_EVALUATED):
            out = net.eval()(scaled(batch.to(at)))
            masks.append(out.mask_logits[:, 0].sigmoid().float().cpu())
            logits.append(out.presence_logit.double().cpu())
    return torch.cat(masks).numpy(), torch.cat(logits).numpy()


PLANTED, EMPTIED = 0.6, 2 / 3
"""Share of the images that get a twin, and of the twins that lose their mask."""
SHIFT, GAIN, OFFSET, NOISE = 3, 0.06, 8.0, (1.0, 5.0)
"""How a twin may differ: pixels each way, share, grey values, and the deviation of the noise in grey values."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Planted:
    """Originals and twins at one size, and what the audit makes of them.

    Args:
        images: uint8 (N, 1, H, W).
        right, given: bool (N, 1, H, W), the masks as they were and as the training set has them.
        keep: (N,), what the audit keeps.
        reported: contradictory pairs that the audit reports.
        planted: those that are there.
    """

    images: Tensor
    right: Tensor
    given: Tensor
    keep: list[bool]
    reported: frozenset[tuple[int, int]]
    planted: frozenset[tuple[int, int]]

    def training(self, way: str) -> tuple[Tensor, Tensor]:
        """`all`, those the audit has `kept`, `neither` of a reported pair, or all with the `right` masks."""
        gone = {i for pair in self.reported for i in pair}
        stays = {
            "all": [True] * len(self.images),
            "right": [True] * len(self.images),
            "kept": self.keep,
            "neither": [i not in gone for i in range(len(self.images))],
        }[way]
        at = torch.tensor(stays)
        return self.images[at], (self.right if way == "right" else self.given)[at]

    def facts(self) -> dict[str, Any]:
        """For the record: percentage of contradictory images, percentage of the pairs found, and false pairs."""
        share = 100 * len(self.planted & self.reported) / len(self.planted) if self.planted else None
        contradictory = 100 * 2 * len(self.planted) / len(self.images)
        return {"contradictory": contradictory, "found": share, "false": len(self.reported - self.planted)}


def plant(whole: MaskedImages, rows: NDArray[np.int64], seed: int, folder: Path) -> Planted:
    """Writes the images of some rows and their twins to a folder, and audits it; see `Planted`.

    Files are numbered in a random order, so that no name tells a twin.

    Args:
        whole: the whole set.
        rows: of the images to use.
        seed: of everything random.
        folder: for the files.
    """
    random = np.random.default_rng(seed)
    count = round(PLANTED * len(rows))
    chosen = random.permutation(len(rows))[:count].tolist()
    emptied = set(chosen[: round(EMPTIED * count)])
    originals = [_read(whole, row) for row in rows]
    twins = [twin(originals[i][0], originals[i][1], random) for i in chosen]
    all_of = [*originals, *twins]
    blank = [False] * len(rows) + [i in emptied for i in chosen]
    number = random.permutation(len(all_of)).tolist()
    for (pixels, mask), empty, n in zip(all_of, blank, number, strict=True):
        Image.fromarray(pixels).save(folder / f"{n:05}.png")
        Image.fromarray(mask & (not empty)).convert("L").save(folder / f"{n:05}_mask.png")
    report = audit(open_samples(folder, masks=True), seed=seed)
    kept = {int(image.name[:5]): bool(image.keep) for image in report.findings.images}
    index = {n: i for i, n in enumerate(number)}
    names = [int(image.name[:5]) for image in report.findings.images]
    reported = [(index[names[p.a]], index[names[p.b]]) for p in report.findings.pairs if p.contradiction]
    size = whole.images.shape[-1]
    right = torch.stack([shrunk(torch.from_numpy(np.array(mask)), size) for _, mask in all_of])[:, None]
    return Planted(
        torch.stack([_small(pixels, size) for pixels, _ in all_of])[:, None],
        right,
        right & ~torch.tensor(blank)[:, None, None, None],
        [kept[n] for n in number],
        frozenset((min(p), max(p)) for p in reported),
        frozenset((i, len(rows) + k) for k, i in enumerate(chosen) if i in emptied),
    )


def twin(pixels: NDArray[np.uint8], mask: Mask, random: np.random.Generator) -> tuple[NDArray[np.uint8], Mask]:
    """An image and its mask as a neighbouring frame might show them; the edge's pixels fill what the shift leaves."""
    down, right = random.integers(-SHIFT, SHIFT + 1, 2).tolist()
    rows = np.clip(np.arange(pixels.shape[0]) - down, 0, pixels.shape[0] - 1)
    columns = np.clip(np.arange(pixels.shape[1]) - right, 0, pixels.shape[1] - 1)
    moved = pixels[np.ix_(rows, columns)].astype(np.float64)
    noise = random.normal(0, random.uniform(*NOISE), moved.shape)
    changed = moved * random.uniform(1 - GAIN, 1 + GAIN) + random.uniform(-OFFSET, OFFSET) + noise
    return np.clip(np.rint(changed), 0, 255).astype(np.uint8), mask[np.ix_(rows, columns)]


def _read(whole: MaskedImages, row: int) -> tuple[NDArray[np.uint8], Mask]:
    pixels, mask = whole.samples.pixels(row), whole.samples.mask(row)
    if mask is None:
        raise DataError(f"{whole.samples.where}: {whole.samples.samples[row].name} has no mask: add it")
    return pixels, mask


def _small(pixels: NDArray[np.uint8], size: int) -> Tensor:
    image = Image.fromarray(pixels).resize((size, size), Image.Resampling.BILINEAR)
    return torch.from_numpy(np.array(image))
