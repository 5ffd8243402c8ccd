"""The training of one autoencoder as a module: encoder, decoder and classifier together."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassAccuracy

from plexus.data import Split, warp
from plexus.models import Autoencoder
from plexus.represent._config import RepresentConfig
from plexus.represent._losses import (
    contrastive_loss,
    divergence,
    generative_loss,
    pseudo_label_loss,
    share_gradient,
)
from plexus.training import Schedule, TrainingModule

_PROJECTED = 64
_ACTIVE = 0.01
_LEAD = 0.5


class Trained(nn.Module):
    """The autoencoder, and what only its training needs: the projection behind the contrastive term."""

    def __init__(self, model: Autoencoder, *, projected: bool) -> None:
        super().__init__()
        self.model = model
        wide = 2 * _PROJECTED
        self.projection = (
            nn.Sequential(nn.Linear(model.dim, wide), nn.BatchNorm1d(wide), nn.ReLU(), nn.Linear(wide, _PROJECTED))
            if projected
            else nn.Identity()
        )


class RepresentationModule(TrainingModule):
    r"""Trains encoder, decoder and classifier together.

    .. math:: \nabla_\theta = (1 - b)\,\nabla_\theta G + b\,\nabla_\theta (R + K)

    for the encoder: G the generative loss, R the cross-entropy of labelled images, K the consistency of the others,
    b the balance (see `balance_at`). The decoder and the classifier follow their own loss whole, so that at b = 0 a
    linear classifier of a plain autoencoder's Z is measured, and at b = 1 how much of an image a recogniser's Z holds.

    Args:
        net: the autoencoder.
        schedule: how to train.
        steps: optimiser steps of an epoch.
        config: balance, objective, consistency and augmentation.
        few: the images with labels, where not all have one.
    """

    net: Trained
    guarded = ("val_unexplained", "reconstruction error")

    def __init__(
        self, net: Trained, schedule: Schedule, steps: int, config: RepresentConfig, few: Split | None
    ) -> None:
        super().__init__(net, schedule, steps)
        self.config, self.few = config, few
        self.val_unexplained, self.val_divergence = MeanMetric(), MeanMetric()
        self.val_accuracy = MulticlassAccuracy(max(2, len(net.model.classes)), average="micro")
        self.seen: list[Tensor] = []

    def needs_two(self, images: Tensor) -> bool:
        return True  # Z of one image has no statistics either

    @property
    def balance(self) -> float:
        """The balance of this step."""
        return balance_at(self.config.balance, self.place / (self.schedule.whole * self.steps))

    def loss(self, images: Tensor, targets: Tensor, generator: torch.Generator) -> Tensor:
        """G + R + K; one pass of the encoder over every view of the batch."""
        config, model, n = self.config, self.net.model, len(images)
        varies = config.balance > 0
        pixels = images.float()
        given, few_labels = pixels, targets[:0]
        if config.objective == "denoise":
            given = pixels + config.noise * model.std * torch.randn(pixels.shape, device=pixels.device)
        views = [given]
        teaches = config.teaches if varies else "none"
        if teaches != "none" or (varies and config.labels == "all"):
            views += [self._varied(pixels, generator) for _ in range(2 if teaches == "contrast" else 1)]
        if self.few is not None:
            few, few_labels = self._drawn(generator)
            views.append(self._varied(few, generator) if varies else few)
        mean, log_variance = model.posterior(torch.cat(views).contiguous(memory_format=self.layout))
        loss = self._generative(pixels, mean[:n], log_variance[:n])
        z = share_gradient(mean, self.balance)
        if model.classifier is not None:
            if self.few is not None:
                loss = loss + F.cross_entropy(model.classify(z[-len(few_labels) :]), few_labels)
            elif config.labels == "all":
                loss = loss + F.cross_entropy(model.classify(z[n : 2 * n] if varies else z[:n]), targets)
        if teaches == "pseudo":
            return loss + pseudo_label_loss(model.classify(z[:n]), model.classify(z[n : 2 * n]), config.confidence)
        if teaches == "contrast":
            projected = self.net.projection(z[n : 3 * n])
            return loss + contrastive_loss(projected[:n], projected[n:], config.temperature)
        return loss

    def _generative(self, pixels: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
        """Reconstruction, and for a variational encoder the divergence per pixel."""
        model, share = self.net.model, 1 - self.balance
        z, extra = mean, torch.zeros((), device=mean.device)
        if model.variational:
            z = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
            extra = self.config.beta * divergence(mean, log_variance).sum() / math.prod(model.in_shape)
        rest = unexplained(model, pixels, model.decode(share_gradient(z, share)))
        return generative_loss(rest) + share * extra

    def _varied(self, pixels: Tensor, generator: torch.Generator) -> Tensor:
        c = self.config
        return warp(
            pixels, generator, rotation=c.rotation, shift=c.shift, gain=c.gain, elastic=c.elastic, flip=c.flip
        )  # fmt: skip

    def _drawn(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """A quarter of a batch of labelled images."""
        assert self.few is not None
        rows = torch.randint(len(self.few), (max(2, self.config.batch_size // 4),), generator=generator)
        return self.few.images[rows].to(self.device).float(), self.few.labels[rows].to(self.device)

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        images, labels = batch
        model = self.net.model
        mean, log_variance = model.posterior(images.contiguous(memory_format=self.layout))
        rest = unexplained(model, images.float(), model.decode(mean))
        self.val_unexplained.update(rest, len(images))
        if model.variational:
            self.val_divergence.update(divergence(mean, log_variance).sum(), len(images))
        if model.classifier is not None:
            self.val_accuracy.update(model.classify(mean), labels)
        self.seen.append(mean.float().cpu())

    def measured(self) -> dict[str, Any]:
        model, z = self.net.model, torch.cat(self.seen)
        self.seen.clear()
        metrics = {"train_loss": self.train_loss, "val_unexplained": self.val_unexplained}
        metrics |= {"val_accuracy": self.val_accuracy} if model.classifier is not None else {}
        metrics |= {"divergence": self.val_divergence} if model.variational else {}
        active = active_units(z, prior=model.variational)
        return {"val_accuracy": None, "divergence": None, "active": active, **self.take(**metrics)}


def balance_at(balance: float, t: float) -> float:
    """The balance at share t of the training: recognition leads at first, and what it has found is cheap to keep.

    From 1/2 it falls in a straight line to the balance asked for, which it reaches at half of the training; 0 stays 0,
    and 1/2 and more stay as they are.

    Example:
        >>> [round(balance_at(0.1, t), 2) for t in (0, 0.25, 0.5, 1)], balance_at(0, 0)
        ([0.5, 0.3, 0.1, 0.1], 0)
    """
    return balance if balance == 0 or balance >= _LEAD else balance + (_LEAD - balance) * max(0.0, 1 - 2 * t)


def unexplained(model: Autoencoder, pixels: Tensor, decoded: Tensor) -> Tensor:
    """Share of the pixels' variance that the decoded images leave, each channel by its own deviation."""
    return ((decoded - pixels) / model.std).float().square().mean()


def active_units(z: Tensor, *, prior: bool = False) -> int:
    """How many units of Z vary: by more than a hundredth of the largest variance, or of 1 if that is less.

    A variational encoder's prior has variance 1, and a unit that carries nothing falls to 0; all of them may.

    Args:
        z: (n, d).
        prior: Z has a prior of variance 1, and a hundredth of that is what counts.

    Source: Burda et al. 2016, "Importance weighted autoencoders", for the threshold.

    Example:
        >>> active_units(torch.tensor([[0.0, 1.0], [0.0, -1.0]]))
        1
    """
    spread = z.double().var(0, correction=0)
    least = _ACTIVE if prior else _ACTIVE * spread.max().clamp_max(1.0)
    return int((spread > least).sum())
