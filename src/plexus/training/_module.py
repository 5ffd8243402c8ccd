"""The base of every training: AdamW under one cycle, everything random from (seed, epoch, step), exact checkpoints."""

from __future__ import annotations

import copy
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn
from torchmetrics import MeanMetric

from plexus.data import Augmentation
from plexus.errors import TrainingError
from plexus.nn import UNIT_LAYERS, Connection
from plexus.training._seeds import seed_generators, step_seed

Entry = dict[str, Any]


@dataclass(frozen=True)
class Schedule:
    """The schedule of a phase: AdamW, under a part of one cycle of the learning rate.

    Args:
        epochs: passes over the training images.
        whole: epochs of the whole cycle.
        first: epochs of the cycle that came before this phase.
        lr: peak learning rate.
        gate_lr: peak learning rate of the gates.
        start_lr: that of what stands before the body, where it differs: of a net's ``start``.
        weight_decay: of everything but the gates, and the weights of unit and spherical layers: their lengths mean
            nothing, gradients are at right angles to them.
        warmup: fraction of the cycle for which gates stay as they are.
        seed: of augmentation and dropout; any whole number.
        augment: vary the training images: as `augment` does by itself, or as told.
        channels_last: memory layout of the net and its input; faster on CPU for two spatial axes.

    Example:
        >>> Schedule(epochs=2, whole=10, first=8, lr=1e-3).first
        8
    """

    epochs: int
    whole: int
    first: int
    lr: float
    gate_lr: float = 0.0
    start_lr: float | None = None
    weight_decay: float = 5e-4
    warmup: float = 0.0
    seed: int = 0
    augment: bool | Augmentation = False
    channels_last: bool = True


class TrainingModule(L.LightningModule, ABC):
    r"""Trains a net by a loss that a subclass gives; the optimiser is AdamW under one cycle of the rate.

    Before step k every random number starts from :math:`((10^6 + 3)\,\mathrm{seed} + k) \cdot 64 + \mathrm{rank}`, so
    that a run that was interrupted goes on bit by bit. A subclass says what is learned in `loss`, what is measured in
    `validation_step`, and what an epoch has to say in `measured`.

    Args:
        net: what is trained; its layout becomes the schedule's.
        schedule: how to train.
        steps: optimiser steps of an epoch.

    Raises:
        TrainingError: a loss that is no longer a finite number.

    Example:
        >>> class Brightness(TrainingModule):  # learns the mean of every image
        ...     def loss(self, images, targets, generator):
        ...         return (self.net(images.flatten(1)) - images.flatten(1).mean(1, keepdim=True)).square().mean()
        ...
        ...     def measured(self):
        ...         return {"val_loss": 0.0, **self.take(train_loss=self.train_loss)}
        >>> Brightness(nn.Linear(4, 1), Schedule(epochs=1, whole=1, first=0, lr=1e-3), steps=3).steps
        3
    """

    guarded = ("val_loss", "validation loss")  # of `measured`: what must stay a number, and its name for people
    again = "train anew"  # what a message asks for

    def __init__(self, net: nn.Module, schedule: Schedule, steps: int) -> None:
        super().__init__()
        self.net, self.schedule, self.steps = net, schedule, steps
        last = schedule.channels_last and not any(map(_miscomputed, net.modules()))
        self.layout = torch.channels_last if last else torch.contiguous_format
        self.net.to(memory_format=self.layout)  # type: ignore[call-overload]
        self.train_loss = MeanMetric()
        self._needs_two: bool | None = None

    @abstractmethod
    def loss(self, images: Tensor, targets: Tensor, generator: torch.Generator) -> Tensor:
        """Return the loss of a batch of pixels, a scalar; augmentation draws from the generator."""

    @abstractmethod
    def measured(self) -> Entry:
        """Return the figures of the epoch that ends; metrics begin anew."""

    def regularization(self) -> Tensor | None:
        """Return a term that is learned from but not part of the reported loss."""
        return None

    @property
    def place(self) -> int:
        """Steps of the whole cycle taken so far."""
        return self.schedule.first * self.steps + self.global_step

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        images, targets = batch
        seed = step_seed(self.schedule.seed, self.place, self.global_rank)
        seed_generators(seed)  # dropout, noise
        if len(images) == 1 and self.needs_two(images):
            images, targets = (part.repeat_interleave(2, 0) for part in batch)
        loss = self.loss(images, targets, torch.Generator().manual_seed(seed))
        if not torch.isfinite(loss):
            raise TrainingError(self.diverged("loss", loss.item()))
        self.train_loss.update(loss.detach(), len(batch[0]))
        extra = self.regularization()
        return loss if extra is None else loss + extra

    def needs_two(self, images: Tensor) -> bool:
        """Return whether the net refuses a batch of one image, of which batch norm on 1x1 maps has no statistics."""
        if self._needs_two is None:
            # Tried on a copy: what stands before the layer that refuses would have kept its statistics.
            with torch.random.fork_rng(devices=[]), torch.no_grad():
                try:
                    copy.deepcopy(self.net)(self.prepare(images))
                    self._needs_two = False
                except ValueError:
                    self._needs_two = True
        return self._needs_two

    @staticmethod
    def take(**metrics: Any) -> Entry:
        """Compute metrics, and let them begin anew: name -> number."""
        values = {name: metric.compute().item() for name, metric in metrics.items()}
        for metric in metrics.values():
            metric.reset()
        return values

    def prepare(self, images: Tensor) -> Tensor:
        """Pixels as the net reads them."""
        return images.contiguous(memory_format=self.layout)

    def diverged(self, what: str, value: float) -> str:
        """Return the message where training has gone wrong for good."""
        epoch = self.schedule.first + self.current_epoch + 1
        return f"the {what} became {value} in epoch {epoch}; {self.again} with a lower --lr than {self.schedule.lr:g}"

    def state_dict(self, *args: Any, **options: Any) -> Any:
        """Return the state for checkpoints, which a run goes on from bit by bit."""
        state = super().state_dict(*args, **options)
        state.update(extra_state(self, state))
        return state

    @torch.no_grad()
    def load_state_dict(self, state_dict: Mapping[str, Any], *args: Any, **options: Any) -> Any:
        """Load what `state_dict` gave."""
        extra = extra_state(self, super().state_dict())
        rest = {k: v for k, v in state_dict.items() if k not in extra} if extra else state_dict
        keys = super().load_state_dict(rest, *args, **options)
        for name, own in extra.items():
            own.copy_(state_dict[name])
        return keys

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        # None, not 0: AdamW would move a parameter of gradient 0 by its moments and its decay.
        if self.place < self.schedule.warmup * self.schedule.whole * self.steps:
            for connection in gated(self.net):
                connection.weight.grad = None

    def configure_optimizers(self) -> Any:
        gates = [c.weight for c in gated(self.net) if c.weight.requires_grad]
        turned = directions(self.net)
        plan = self.schedule
        start = [p for name, p in self.net.named_parameters() if name.startswith("start.")]
        start = start if plan.start_lr is not None else []
        apart = {id(p) for p in (*gates, *turned, *start)}
        others = [p for p in self.net.parameters() if id(p) not in apart]
        groups: list[dict[str, Any]] = [{"params": others, "weight_decay": plan.weight_decay, "lr": plan.lr}]
        groups += [{"params": start, "weight_decay": plan.weight_decay, "lr": plan.start_lr}] if start else []
        groups += [{"params": gates, "weight_decay": 0.0, "lr": plan.gate_lr}] if gates else []
        groups += [{"params": turned, "weight_decay": 0.0, "lr": plan.lr}] if turned else []
        optimizer = torch.optim.AdamW(groups)
        whole, shift = plan.whole * self.steps, plan.first * self.steps
        cycle = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: one_cycle((shift + step) / whole) * (ramp(step / self.steps) if shift else 1.0)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": cycle, "interval": "step"}}


class History(L.Callback):
    """The figures of every epoch, as the module gives them; part of the checkpoint.

    Args:
        tags: written into every entry.
        listen: called with every new entry, by one process.

    Raises:
        TrainingError: from a hook, where a loss is no longer a finite number.

    Example:
        >>> History({"phase": "learn"}).epochs
        []
    """

    def __init__(self, tags: Mapping[str, Any], listen: Callable[[Entry], None] | None = None) -> None:
        self.tags, self.listen = dict(tags), listen
        self.epochs: list[Entry] = []
        self._start = self._spent = 0.0

    def on_train_epoch_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._start, self._spent = time.monotonic(), time.process_time()

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        assert isinstance(module, TrainingModule)
        figures = module.measured()
        key, name = module.guarded
        if not math.isfinite(figures[key]):
            raise TrainingError(module.diverged(name, figures[key]))
        epoch = module.schedule.first + trainer.current_epoch
        spent = {"seconds": time.monotonic() - self._start, "processor_seconds": time.process_time() - self._spent}
        entry = {**self.tags, "epoch": epoch, **figures, **spent}
        self.epochs.append(entry)
        if trainer.loggers:
            module.log_dict({k: v for k, v in figures.items() if isinstance(v, float)}, rank_zero_only=True)
        if self.listen is not None and trainer.is_global_zero:
            self.listen(entry)

    def state_dict(self) -> dict[str, Any]:
        return {"epochs": self.epochs}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.epochs = state["epochs"]


def _miscomputed(layer: nn.Module) -> bool:
    """Tell whether torch writes where it must not: 1x1 convolutions with a stride over fewer than 8 channels, backward.

    Seen with torch 2.13 on CPUs, channels last: the heap is corrupted, and the process dies a few steps later.
    """
    return (
        isinstance(layer, nn.Conv2d)
        and layer.in_channels < 8
        and set(layer.kernel_size) == {1}
        and max(layer.stride) > 1
    )


def one_cycle(t: float) -> float:
    """Return the learning rate at fraction t of a cycle, relative to its peak.

    Cosine up from 1/25 to 1 at t = .3, then cosine down to 0.

    Args:
        t: from 0 to 1; beyond, it stays at 0.

    Source: "Super-convergence" (Smith and Topin, 2018), with torch's `OneCycleLR` defaults.

    Example:
        >>> [round(one_cycle(t), 2) for t in (0, 0.3, 1)]
        [0.04, 1.0, 0.0]
    """
    if t < 0.3:
        return 0.04 + 0.96 * (1 - math.cos(math.pi * t / 0.3)) / 2
    return (1 + math.cos(math.pi * (min(t, 1.0) - 0.3) / 0.7)) / 2


def ramp(epochs: float) -> float:
    """Return the fraction of its rate that a phase within a cycle takes: a straight line to 1 over half an epoch.

    Its optimiser knows no gradients yet, and Adam's first steps are as long as the rate whatever the gradient.

    Args:
        epochs: since the phase began, with fractions.

    Example:
        >>> ramp(0), ramp(0.25), ramp(3)
        (0.02, 0.51, 1.0)
    """
    return min(1.0, 0.02 + 0.98 * epochs / 0.5)


def gated(net: nn.Module) -> list[Connection]:
    """Return the connections of a net, in order.

    Args:
        net: any module.

    Example:
        >>> from plexus.nn import Supernet
        >>> len(gated(Supernet([nn.Conv2d(1, 1, 1), nn.Conv2d(2, 1, 1)], (1, 4, 4))))
        2
    """
    return [module for module in net.modules() if isinstance(module, Connection)]


def directions(net: nn.Module) -> list[nn.Parameter]:
    """Return the parameters that unit and spherical layers learn beside their biases, each once."""
    layers = [module for module in net.modules() if isinstance(module, UNIT_LAYERS)]
    own = {id(p): p for layer in layers for name, p in layer.named_parameters(recurse=False) if name != "bias"}
    return list(own.values())


def extra_state(module: nn.Module, state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Parameters that a state does not hold under their own names.

    The angles of spherical layers: their state has weights, which give the angles back to rounding only.
    """
    return {name: p.detach() for name, p in module.named_parameters() if name not in state}


def exact_state(net: nn.Module) -> dict[str, Tensor]:
    """Return the state of a net to the last bit: its `state_dict` and its `extra_state`.

    Args:
        net: any module.

    Example:
        >>> from plexus.nn import SphericalLinear
        >>> sorted(exact_state(SphericalLinear(5, 2)))
        ['angles', 'bias', 'weight']
    """
    state = net.state_dict()
    return {**state, **extra_state(net, state)}


@torch.no_grad()
def load_exact(net: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load what `exact_state` gave.

    Args:
        net: of the same layers.
        state: names and tensors; where the extra ones are missing, they follow from the others.

    Raises:
        RuntimeError: as `load_state_dict`.

    Example:
        >>> from plexus.nn import SphericalLinear
        >>> a, b = SphericalLinear(5, 2), SphericalLinear(5, 2)
        >>> load_exact(b, exact_state(a))
        >>> torch.equal(a.angles, b.angles)
        True
    """
    extra = extra_state(net, net.state_dict())
    net.load_state_dict({name: value for name, value in state.items() if name not in extra})
    for name, own in extra.items():
        if name in state:
            own.copy_(state[name])
