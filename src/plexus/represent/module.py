"""The training of an autoencoder as a module, and the losses that shape Z."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import MeanMetric, Metric
from torchmetrics.classification import MulticlassAccuracy

from plexus.data import Split, warp
from plexus.models import Autoencoder
from plexus.represent._config import RepresentConfig
from plexus.training import Schedule, TrainingModule

_PROJECTED = 64  # outputs of the projection behind the contrastive term
_ACTIVE = 0.01  # of the variance: units below carry nothing
_LEAD = 0.5  # the balance that a training starts with


def share_gradient(z: Tensor, share: float) -> Tensor:
    r"""Z as it is, whose gradient is scaled: the heads behind it learn whole, what is before it learns by a share.

    .. math:: y = z, \qquad \partial L / \partial z = s\,\partial L / \partial y

    Args:
        z: any shape.
        share: s, 0 to 1.

    Example:
        >>> z = torch.ones(1, requires_grad=True)
        >>> (3 * share_gradient(z, 0.5)).backward()
        >>> z.grad.item()
        1.5
    """
    return z if share == 1 else z.detach() if share == 0 else share * z + (1 - share) * z.detach()


def generative_loss(unexplained: Tensor) -> Tensor:
    r"""Negative log-likelihood of a pixel under Gaussian noise of the best variance, less a constant.

    .. math:: G = \tfrac12 \log \frac{\mathrm{mean}\,(x - \hat x)^2}{\sigma_x^2}

    Its gradient grows as the error falls, so that a balance means the same early and late, for any kind of image.

    Args:
        unexplained: share of the pixels' variance that a reconstruction leaves, a scalar.

    Source: Rybkin et al. 2021, "Simple and effective VAE training with calibrated decoders".

    Example:
        >>> generative_loss(torch.tensor(1.0)).item()
        0.0
    """
    return 0.5 * unexplained.clamp_min(1e-8).log()


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    r"""Kullback-Leibler divergence of N(mean, variance) from N(0, 1), in nats, of every unit: (N, d) -> (d,).

    .. math:: \tfrac12 (\mu^2 + \sigma^2 - 1 - \log \sigma^2)

    Example:
        >>> divergence(torch.zeros(4, 2), torch.zeros(4, 2)).tolist()
        [0.0, 0.0]
    """
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean(0)


def contrastive_loss(a: Tensor, b: Tensor, temperature: float) -> Tensor:
    r"""Normalised-temperature cross-entropy: each view should know its twin among all other views of the batch.

    .. math:: -\frac1{2n} \sum_i \log \frac{\exp(u_i \cdot u_{i'} / t)}{\sum_{j \ne i} \exp(u_i \cdot u_j / t)}

    with u the views scaled to length 1, and i' the twin of i.

    Args:
        a, b: two views of the same images, (n, k).
        temperature: t.

    Source: Chen et al. 2020, SimCLR.

    Example:
        >>> contrastive_loss(torch.eye(2), torch.eye(2), 0.01).item() < 1e-6
        True
    """
    n = len(a)
    views = F.normalize(torch.cat([a, b]).float(), dim=1)
    itself = torch.eye(2 * n, dtype=torch.bool, device=a.device)
    scores = (views @ views.T / temperature).masked_fill(itself, -torch.inf)
    twins = torch.arange(2 * n, device=a.device).roll(n)
    return F.cross_entropy(scores, twins)


def pseudo_label_loss(plain: Tensor, varied: Tensor, confidence: float) -> Tensor:
    """Cross-entropy of the logits of varied images against what the plain ones are surely taken for.

    Args:
        plain: logits of the images as they are, (n, classes); they give the targets and no gradient.
        varied: logits of the same images after augmentation, (n, classes).
        confidence: images whose largest probability is lower count as 0.

    Source: Sohn et al. 2020, FixMatch.

    Example:
        >>> unsure = torch.zeros(1, 2)
        >>> pseudo_label_loss(unsure, torch.tensor([[5.0, 0.0]]), 0.95).item()
        0.0
    """
    sure, target = plain.detach().softmax(1).max(1)
    return (F.cross_entropy(varied, target, reduction="none") * (sure >= confidence)).mean()


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
    r"""Train encoder, decoder and classifier together.

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
        encoded, few_labels = pixels, targets[:0]
        if config.objective == "denoise":
            encoded = pixels + config.noise * model.std * torch.randn(pixels.shape, device=pixels.device)
        views = [encoded]
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
        metrics: dict[str, Metric] = {"train_loss": self.train_loss, "val_unexplained": self.val_unexplained}
        metrics |= {"val_accuracy": self.val_accuracy} if model.classifier is not None else {}
        metrics |= {"divergence": self.val_divergence} if model.variational else {}
        active = active_units(z, prior=model.variational)
        return {"val_accuracy": None, "divergence": None, "active": active, **self.take(**metrics)}


def balance_at(balance: float, t: float) -> float:
    """Return the balance at share t of the training: recognition leads at first, and what it found is cheap to keep.

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
    """Count the units of Z that vary by more than a hundredth of the largest variance, or of 1 if that is less.

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
