"""Classification: the module that learns logits, and what logits are worth."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassAccuracy

from plexus.data import Augmentation, Split
from plexus.nn import Connection
from plexus.training._module import Entry, Schedule, TrainingModule, gated

Vary = Callable[[Tensor, torch.Generator], Tensor]
Taught = Callable[[Tensor, Tensor, Tensor, Tensor | None], Tensor]


def device() -> torch.device:
    """Return the accelerator, or the CPU where there is none.

    Example:
        >>> device().type != ""
        True
    """
    accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return accelerator or torch.device("cpu")


class Normalize(nn.Module):
    r"""Pixels as a net reads them: one mean and one standard deviation per channel.

    .. math:: y = (x - m) / s

    Args:
        mean: m, (C,).
        std: s, (C,).

    Shape:
        (N, C, H, W) of any dtype, 0..255 -> float32 of the same shape.

    Source: standardisation, as everywhere.

    Example:
        >>> Normalize(torch.tensor([100.0]), torch.tensor([50.0]))(torch.full((1, 1, 1, 1), 150)).item()
        1.0
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean.view(1, -1, 1, 1).float())
        self.register_buffer("std", std.view(1, -1, 1, 1).float())

    def forward(self, x: Tensor) -> Tensor:
        return (x.float() - self.mean) / self.std


class ClassificationModule(TrainingModule):
    r"""Train logits by cross-entropy, or by `distillation` from a teacher, plus a penalty on gates.

    .. math:: L = -\log \mathrm{softmax}(f(x))_y + \lambda \, \mathrm{mean}_e \, c_e g_e

    Args:
        net: f, gives (N, classes).
        normalize: pixels to the net's input.
        classes: how many.
        schedule: how to train; with `augment` images are shifted and flipped.
        steps: optimiser steps of an epoch.
        penalty: lambda.
        costs: c, one per edge, in the order of the connections' gates.
        vary: a further augmentation of a batch of float pixels, which draws from the generator.
        weights: of the classes in the loss of training, (classes,); validation counts every image alike.
        taught: the loss of logits, labels and the pixels that they are of, where there is a teacher.

    Raises:
        ConfigError: images of another shape than (N, C, H, W) are to be augmented.

    Source: cross-entropy as in torch; the penalty is that of the notes' supernets, weighted by cost.

    Example:
        >>> plan = Schedule(epochs=1, whole=1, first=0, lr=1e-3)
        >>> net = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
        >>> module = ClassificationModule(net, nn.Identity(), 2, plan, steps=3)
        >>> module.loss(torch.zeros(5, 1, 4, 4), torch.tensor([0, 1, 0, 1, 0]), torch.Generator()).shape
        torch.Size([])
    """

    costs: Tensor | None
    weights: Tensor | None
    hits = 0.0  # accuracy of the last training batch
    again = "fit anew"

    def __init__(
        self, net: nn.Module, normalize: Callable[[Tensor], Tensor], classes: int, schedule: Schedule, steps: int,
        *, penalty: float = 0.0, costs: Tensor | None = None, vary: Vary | None = None,
        weights: Tensor | None = None, taught: Taught | None = None,
    ) -> None:  # fmt: skip
        super().__init__(net, schedule, steps)
        self.normalize, self.penalty, self.vary, self.taught = normalize, penalty, vary, taught
        self.register_buffer("costs", costs, persistent=False)
        self.register_buffer("weights", weights, persistent=False)
        self.val_loss, self.val_accuracy = MeanMetric(), MulticlassAccuracy(classes, average="micro")

    def prepare(self, images: Tensor) -> Tensor:
        return super().prepare(self.normalize(images))

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.net(self.prepare(images))
        return logits

    def loss(self, images: Tensor, targets: Tensor, generator: torch.Generator) -> Tensor:
        if how := self.schedule.augment:
            images = (how if isinstance(how, Augmentation) else Augmentation())(images, generator)
        if self.vary is not None:
            images = self.vary(images.float(), generator)
        logits = self(images)
        self.hits = logits.detach().argmax(1).eq(targets).double().mean().item()
        if self.taught is not None:
            return self.taught(logits, targets, images, self.weights)
        return F.cross_entropy(logits, targets, self.weights)

    def regularization(self) -> Tensor | None:
        if not self.penalty:
            return None
        assert self.costs is not None
        gates = torch.stack([g.abs().mean() for c in gated(self.net) for g in c.split_gates()])
        return self.penalty * (gates * self.costs).mean()

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        images, labels = batch
        logits = self(images)
        self.val_loss.update(F.cross_entropy(logits, labels), len(labels))
        self.val_accuracy.update(logits, labels)

    def measured(self) -> Entry:
        figures = self.take(train_loss=self.train_loss, val_loss=self.val_loss, val_accuracy=self.val_accuracy)
        if connections := gated(self.net):
            figures["gates"] = [_size(c, c.split_gates()[k]).item() for c in connections for k in c.reached()]
        return figures


def _size(connection: Connection, gate: Tensor) -> Tensor:
    """The one number that tells how wide a connection is open for a source: its gate, or what its weights amount to."""
    return gate.square().mean().sqrt() if connection.merge == "mix" else gate.mean()


@torch.no_grad()
def logits_of(
    net: nn.Module, normalize: Callable[[Tensor], Tensor], images: Tensor, *, batch: int | None = None
) -> Tensor:
    """Return a net's logits in evaluation mode, whatever mode it is in.

    Args:
        net: reads what `normalize` gives.
        normalize: pixels to the net's input.
        images: uint8, (N, C, H, W).
        batch: images in one forward pass; by default 500, and fewer of images beyond 64x64.

    Returns:
        (N, classes), float32 on the CPU.

    Example:
        >>> logits_of(nn.Flatten(), nn.Identity(), torch.ones(2, 1, 1, 3)).tolist()
        [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
    """
    modes = {m: m.training for m in net.modules()}
    net.eval()
    at = next((p.device for p in net.parameters()), torch.device("cpu"))
    if batch is None:
        batch = max(8, min(500, 500 * 64 * 64 // max(1, images.shape[2] * images.shape[3])))
    try:
        return torch.cat(
            [
                net(normalize(x.to(at)).contiguous(memory_format=torch.channels_last)).float().cpu()
                for x in images.split(batch)
            ]
        )
    finally:
        for module, training in modes.items():
            module.training = training


def accuracy(net: nn.Module, normalize: Callable[[Tensor], Tensor], split: Split) -> float:
    """Return the fraction of images whose most likely class is the true one.

    Args:
        net, normalize: see `logits_of`.
        split: images with labels.

    Example:
        >>> split = Split(torch.tensor([[[[0, 1]]], [[[3, 2]]]], dtype=torch.uint8), torch.tensor([1, 1]), ("a", "b"))
        >>> accuracy(nn.Flatten(), nn.Identity(), split)
        0.5
    """
    return logits_of(net, normalize, split.images).argmax(1).eq(split.labels).double().mean().item()
