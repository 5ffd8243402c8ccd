"""One phase of training as a Lightning module."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import lightning as L
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassAccuracy

from plexus.data import augment
from plexus.errors import TrainingError
from plexus.nn import UNIT_LAYERS, Connection
from plexus.training._state import beside


@dataclass(frozen=True)
class Schedule:
    """How a phase trains: AdamW, under a part of one cycle of the learning rate.

    Args:
        epochs: passes over the training images.
        whole: epochs of the whole cycle.
        first: epochs of the cycle that came before this phase.
        lr: peak learning rate.
        gate_lr: peak learning rate of the gates.
        weight_decay: of everything but the gates, and the weights of unit and spherical layers: their lengths mean
            nothing, gradients are at right angles to them.
        warmup: share of the cycle for which gates stay as they are.
        seed: of augmentation and dropout.
        augment: shift and flip the images.
        channels_last: memory layout of maps; faster on CPU for two spatial axes.
    """

    epochs: int
    whole: int
    first: int
    lr: float
    gate_lr: float = 0.0
    weight_decay: float = 5e-4
    warmup: float = 0.0
    seed: int = 0
    augment: bool = False
    channels_last: bool = True


class Normalize(nn.Module):
    """y = (x - mean) / std, one mean and one deviation per map, on pixels 0..255.

    Shape:
        (N, C, H, W) of any dtype -> float32 of the same shape.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean.view(1, -1, 1, 1).float())
        self.register_buffer("std", std.view(1, -1, 1, 1).float())

    def forward(self, x: Tensor) -> Tensor:
        return (x.float() - self.mean) / self.std


class ClassifyTask(L.LightningModule):
    """Trains logits = net(normalize(images)) by cross-entropy, plus a penalty on gates.

    Everything random is drawn from (seed, epoch, step), so that a run that was interrupted goes on bit by bit.

    Args:
        net: gives (N, classes).
        normalize: pixels to the net's input.
        classes: how many.
        schedule: how to train.
        steps: optimiser steps of an epoch.
        penalty: weight of sum(cost * gate) / edges in the loss.
        costs: one per edge, in the order of the connections' gates.
    """

    costs: Tensor | None

    def __init__(
        self, net: nn.Module, normalize: Normalize, classes: int, schedule: Schedule, steps: int,
        *, penalty: float = 0.0, costs: Tensor | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.net, self.normalize, self.schedule, self.steps = net, normalize, schedule, steps
        self.penalty = penalty
        self.register_buffer("costs", costs, persistent=False)
        self.layout = torch.channels_last if schedule.channels_last else torch.contiguous_format
        self.net.to(memory_format=self.layout)  # type: ignore[call-overload]
        self.train_loss, self.val_loss = MeanMetric(), MeanMetric()
        self.val_accuracy = MulticlassAccuracy(classes, average="micro")

    @property
    def place(self) -> int:
        """Steps of the whole cycle taken so far."""
        return self.schedule.first * self.steps + self.global_step

    def state_dict(self, *args: Any, **options: Any) -> Any:
        """For checkpoints, which a run goes on from bit by bit."""
        state = super().state_dict(*args, **options)
        state.update(beside(self, state))
        return state

    @torch.no_grad()
    def load_state_dict(self, state_dict: Mapping[str, Any], *args: Any, **options: Any) -> Any:
        """What `state_dict` gave."""
        extra = beside(self, super().state_dict())
        rest = {k: v for k, v in state_dict.items() if k not in extra} if extra else state_dict
        found = super().load_state_dict(rest, *args, **options)
        for name, own in extra.items():
            own.copy_(state_dict[name])
        return found

    def prepare(self, images: Tensor) -> Tensor:
        """Pixels as the net reads them."""
        return self.normalize(images).contiguous(memory_format=self.layout)

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        images, labels = batch
        seed = (self.schedule.seed * 1_000_003 + self.place) * 64 + self.global_rank
        torch.manual_seed(seed)  # dropout
        if self.schedule.augment:
            images = augment(images, torch.Generator().manual_seed(seed))
        loss = F.cross_entropy(self.net(self.prepare(images)), labels)
        if not torch.isfinite(loss):
            raise TrainingError(self.diverged("loss", loss.item()))
        self.train_loss.update(loss.detach(), len(labels))
        return loss + self._gate_cost() if self.penalty else loss

    def diverged(self, what: str, value: float) -> str:
        """What to say where training has gone wrong for good."""
        epoch = self.schedule.first + self.current_epoch + 1
        return f"the {what} became {value} in epoch {epoch}; fit anew with a lower --lr than {self.schedule.lr:g}"

    def _gate_cost(self) -> Tensor:
        gates = torch.stack([g.abs().mean() for c in gated(self.net) for g in c.split_gates()])
        assert self.costs is not None
        return self.penalty * (gates * self.costs).mean()

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        images, labels = batch
        logits = self.net(self.prepare(images))
        self.val_loss.update(F.cross_entropy(logits, labels), len(labels))
        self.val_accuracy.update(logits, labels)

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        if self.place < self.schedule.warmup * self.schedule.whole * self.steps:
            for connection in gated(self.net):
                connection.weight.grad = None

    def configure_optimizers(self) -> Any:
        gates = [c.weight for c in gated(self.net) if c.weight.requires_grad]
        spheres = directions(self.net)
        apart = {id(p) for p in (*gates, *spheres)}
        others = [p for p in self.net.parameters() if id(p) not in apart]
        groups: list[dict[str, Any]] = [{"params": others, "weight_decay": self.schedule.weight_decay}]
        rates = [self.schedule.lr]
        if gates:
            groups.append({"params": gates, "weight_decay": 0.0})
            rates.append(self.schedule.gate_lr)
        if spheres:
            groups.append({"params": spheres, "weight_decay": 0.0})
            rates.append(self.schedule.lr)
        for group, rate in zip(groups, rates, strict=True):
            group["lr"] = rate
        optimizer = torch.optim.AdamW(groups)
        whole = self.schedule.whole * self.steps
        shift = self.schedule.first * self.steps
        cycle = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: one_cycle((shift + step) / whole) * (ramp(step / self.steps) if shift else 1.0)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": cycle, "interval": "step"}}


def one_cycle(t: float) -> float:
    """The learning rate at share t of a cycle, relative to its peak.

    Cosine up from 1/25 to 1 at t = .3, then cosine down to 0.

    Source: "Super-convergence" (Smith and Topin, 2018), with torch's `OneCycleLR` defaults.

    Example:
        >>> [round(one_cycle(t), 2) for t in (0, 0.3, 1)]
        [0.04, 1.0, 0.0]
    """
    if t < 0.3:
        return 0.04 + 0.96 * (1 - math.cos(math.pi * t / 0.3)) / 2
    return (1 + math.cos(math.pi * (min(t, 1.0) - 0.3) / 0.7)) / 2


def ramp(epochs: float) -> float:
    """How much of its rate a phase in the middle of a cycle takes: a straight line to 1 over half an epoch.

    Its optimiser knows no gradients yet, and Adam's first steps are as long as the rate whatever the gradient.

    Example:
        >>> ramp(0), ramp(0.25), ramp(3)
        (0.02, 0.51, 1.0)
    """
    return min(1.0, 0.02 + 0.98 * epochs / 0.5)


def gated(net: nn.Module) -> list[Connection]:
    """The connections of a net, in order."""
    return [module for module in net.modules() if isinstance(module, Connection)]


def directions(net: nn.Module) -> list[nn.Parameter]:
    """What unit and spherical layers learn beside their biases, each parameter once."""
    layers = [module for module in net.modules() if isinstance(module, UNIT_LAYERS)]
    found = {id(p): p for layer in layers for name, p in layer.named_parameters(recurse=False) if name != "bias"}
    return list(found.values())
