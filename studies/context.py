"""The images of one seed, how a net is trained on them, and nets from a seed: what trials of classification share."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import lightning as L
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plexus.data import ImageData, Split, load, pixel_statistics
from plexus.errors import TrainingError
from plexus.experiments import Job
from plexus.graph import HEAD, Wiring
from plexus.models import Classifier, head
from plexus.nn import Supernet
from plexus.training import (
    Batches,
    ClassificationModule,
    Loop,
    Schedule,
    gated,
    logits_of,
    seed_generators,
    step_seed,
)
from plexus.training import History as Entries
from plexus.wiring import rebuild, trace

Legos = Callable[[Sequence[int]], list[nn.Module]]
Turn = Callable[[Tensor, torch.Generator], Tensor]
VAL = 0.2
_SAVE_EVERY = 60.0  # seconds of work that a stopped trial may lose
_EVALUATED = 500  # images in one forward pass, as in `logits_of`


@dataclass(frozen=True)
class Recipe:
    """A way to train every net of a study.

    Args:
        name: `notes` is Adam, its rate divided by 10 when the validation loss has stalled for 5 epochs, on images less
            their mean image, divided by 128; `cycle` is AdamW under one cycle of the rate, on standardised channels,
            as `plexus fit` does.
        lr: the rate, or its peak.
        gate_lr: that of gates under `cycle`; the notes knew one rate for all.
        batch_size: images in a batch.
        channels_last: memory layout, which mixes of single maps would only undo.
    """

    name: str
    lr: float
    batch_size: int
    gate_lr: float = 5e-2
    channels_last: bool = True


NOTES = Recipe("notes", lr=1e-3, batch_size=32)
CYCLE = Recipe("cycle", lr=6e-3, batch_size=64)


@dataclass
class History:
    """Figures of every epoch; losses are means over images, accuracy is in percent."""

    train_loss: list[float] = field(default_factory=list)
    val_loss: list[float] = field(default_factory=list)
    val_accuracy: list[float] = field(default_factory=list)
    gates: list[list[float]] = field(default_factory=list)

    def extend(self, later: History) -> None:
        """Add what a later part of the training has left."""
        for mine, more in zip(vars(self).values(), vars(later).values(), strict=True):
            mine += more


class Pixels(nn.Module):
    """y = (x - mean) / std within a mask, and 0 outside.

    Shape:
        (N, C, H, W) on the scale 0..255, of any dtype -> float32 of the same shape.
    """

    mean: Tensor
    mask: Tensor

    def __init__(self, mean: Tensor, std: float, mask: Tensor | None = None) -> None:
        super().__init__()
        self.std = std
        self.register_buffer("mean", mean.float())
        self.register_buffer("mask", torch.ones(mean.shape[-2:]) if mask is None else mask.float())

    def forward(self, x: Tensor) -> Tensor:
        return (x.float() - self.mean) * (self.mask / self.std)


class TrialModule(ClassificationModule):
    """Trains by a recipe, and measures an epoch as records want it: over all validation images at once, and rounded.

    Args:
        net, pixels, classes, schedule, steps, turn: see `ClassificationModule`.
        recipe: how to train.
    """

    def __init__(
        self, net: nn.Module, pixels: Pixels, classes: int, schedule: Schedule, steps: int,
        *, recipe: Recipe, turn: Turn | None,
    ) -> None:  # fmt: skip
        super().__init__(net, pixels, classes, schedule, steps, vary=turn)
        self.recipe = recipe
        self.answers: list[tuple[Tensor, Tensor]] = []

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        images, labels = batch
        self.answers.append((self(images).float().cpu(), labels.cpu()))

    def measured(self) -> dict[str, Any]:
        logits, labels = (torch.cat(parts) for parts in zip(*self.answers, strict=True))
        self.answers.clear()
        total, count = self.train_loss.mean_value.item(), self.train_loss.weight.item()  # their quotient in double
        self.train_loss.reset()
        val_loss, val_accuracy = worth(logits, labels)
        figures: dict[str, Any] = {"train_loss": round(total / count, 5), "val_loss": round(val_loss, 5)}
        figures["val_accuracy"] = val_accuracy
        return figures | ({"gates": gates(self.net)} if gated(self.net) else {})

    def diverged(self, what: str, value: float) -> str:
        return f"the {what} became {value} in epoch {self.schedule.first + self.current_epoch + 1}"

    def configure_optimizers(self) -> Any:
        if self.recipe.name == "notes":
            return torch.optim.Adam(self.net.parameters(), self.recipe.lr)
        return super().configure_optimizers()

    def on_train_epoch_start(self) -> None:
        if self.recipe.name == "notes":
            entries = next(c for c in self.trainer.callbacks if isinstance(c, Entries)).epochs  # type: ignore[attr-defined]
            for group in self.trainer.optimizers[0].param_groups:
                group["lr"] = self.recipe.lr * 0.1 ** drops([entry["val_loss"] for entry in entries])


class TrialContext:
    """The images of one seed, and the training of nets on them.

    Split, order and augmentation follow from the job's seed, the epoch and the step alone, so that the trials of one
    seed see the same batches whatever the variant. The test images are read by `test` only.

    Args:
        job: the trial.
        recipe: how to train.
        small: rows and columns of the digits, whose own 8 are too few for some nets.
        mask: (H, W) of zeros and ones, which every image is multiplied by; made for the side of the images.
        brief: a training takes a second or less, and nothing is kept of one that was stopped; see `trained_briefly`.
    """

    def __init__(
        self, job: Job, recipe: Recipe, *,
        small: int | None = None, mask: Callable[[int], Tensor] | None = None, brief: bool = False,
    ) -> None:  # fmt: skip
        self.job, self.recipe, self.brief = job, recipe, brief
        limit = None if job.scale.images is None else round(job.scale.images / (1 - VAL))
        self.data = images(job.data, job.seed, limit, small if job.data == "digits" else None)
        self.in_shape, self.classes = self.data.in_shape, len(self.data.classes)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.pixels = self._pixels(mask).to(self.device)
        self.steps = self.batches().steps

    def facts(self) -> dict[str, Any]:
        """Return the entry `data` of the record."""
        sizes = {"images": len(self.data.train), "validation": len(self.data.val), "test": len(self.data.test)}
        return {"fingerprint": self.data.fingerprint, **sizes}

    def batches(self, first: int = 0) -> Batches:
        """Deal the images into batches, from some epoch of the whole training on."""
        size = self.recipe.batch_size
        return Batches(self.data.train, self.data.val, size, self.job.seed, val_size=_EVALUATED, first=first)

    def read(self, x: Tensor) -> Tensor:
        """Pixels as nets read them."""
        scaled: Tensor = self.pixels(x.to(self.device))
        return scaled.contiguous(memory_format=torch.channels_last)

    def train(
        self,
        net: nn.Module,
        *,
        name: str = "net",
        span: tuple[int, int] | None = None,
        turn: Turn | None = None,
        callbacks: Sequence[L.Callback] = (),
    ) -> History:
        """Train a net in place; go on from where a stopped trial was, if it left anything in the job's folder.

        Images are shifted and flipped, but for digits.

        Args:
            net: gives (N, classes).
            name: of the training, once in a trial.
            span: the first and the last of the scale's epochs, where this is a part of a longer training.
            turn: a further augmentation of a batch of pixels.
            callbacks: of Lightning.

        Raises:
            TrainingError: the loss is no longer a number.
        """
        first, last = span or (0, self.job.scale.epochs)
        schedule = Schedule(
            epochs=last - first, whole=self.job.scale.epochs, first=first, lr=self.recipe.lr,
            gate_lr=self.recipe.gate_lr, seed=self.job.seed, augment=self.job.data != "digits",
            channels_last=self.recipe.channels_last,
        )  # fmt: skip
        history = History(gates=[gates(net)] if gated(net) else [])
        patience: int | None = self.job.scale.options.get("patience")

        def stop(entries: Sequence[dict[str, Any]]) -> bool:
            return patience is not None and stalled([entry["val_loss"] for entry in entries]) >= patience

        module = TrialModule(
            net.train(), self.pixels, self.classes, schedule, self.steps, recipe=self.recipe, turn=turn
        )
        if self.brief:
            entries = trained_briefly(module.to(self.device), self.batches(first))
        else:
            loop = Loop(self.job.folder, logs=(), save_every=_SAVE_EVERY)
            entries = loop.run(name, module, self.batches(first), callbacks=callbacks, stop=stop if patience else None)
            module.to(self.device)  # the loop leaves it on the CPU
        for entry in entries:
            for key in vars(history).keys() & entry.keys():
                getattr(history, key).append(entry[key])
        return history

    def score(self, net: nn.Module, split: Split) -> tuple[float, float]:
        """Return the mean loss, and the accuracy in percent."""
        return worth(logits_of(net, self.pixels, split.images), split.labels)

    def test(self, net: nn.Module) -> float:
        """Return the accuracy on the test images, in percent."""
        return self.score(net, self.data.test)[1]

    def metrics(self, net: nn.Module, history: History) -> dict[str, Any]:
        """Return what every trial reports; the test images are touched here, once."""
        return {
            "test_accuracy": self.test(net),
            "val_accuracy": history.val_accuracy[-1],
            "best_val_accuracy": max(history.val_accuracy),
            "train_loss": history.train_loss,
            "val_loss": history.val_loss,
            "val_accuracy_curve": history.val_accuracy,
            "parameters": sum(p.numel() for p in net.parameters()),
            "data": self.facts(),
        }

    def _pixels(self, mask: Callable[[int], Tensor] | None) -> Pixels:
        within = None if mask is None else mask(self.in_shape[-1])
        if self.recipe.name == "notes":
            return Pixels(self.data.mean, 128.0, within)
        pixels = self.data.train.images
        mean = pixel_statistics(pixels)[0].view(-1, 1, 1).expand(self.in_shape)
        std = pixel_statistics(pixels.flatten(1)[:, None, None])[1]  # one for all channels
        return Pixels(mean, float(std.clamp_min(1.0)), within)


def trained_briefly(module: TrialModule, batches: Batches) -> list[dict[str, Any]]:
    """Train as `Loop` does, to the same bits, but without Lightning, whose hooks cost a millisecond in every step.

    That is a fifth of the trials of `search`, which take less than a second and are thousands; see docs/log.md.
    """
    parts, at = module.configure_optimizers(), next(module.net.parameters()).device
    optimizer, cycle = parts["optimizer"], parts["lr_scheduler"]["scheduler"]
    (train, val), seed, entries = batches.loaders(), module.schedule.seed, list[dict[str, Any]]()
    for epoch in range(module.schedule.epochs):
        train.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
        for step, (images, labels) in enumerate(train, epoch * module.steps):
            seed_generators(step_seed(seed, step))
            random = torch.Generator().manual_seed(step_seed(seed, step))
            loss = module.loss(images.to(at), labels.to(at), random)
            if not torch.isfinite(loss):
                raise TrainingError(f"the loss became {loss.item()} in epoch {epoch + 1}")
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            cycle.step()
            module.train_loss.update(loss.detach(), len(labels))
        module.eval()
        with torch.inference_mode():
            for i, (images, labels) in enumerate(val):
                module.validation_step((images.to(at), labels.to(at)), i)
        module.train()
        entries.append(module.measured())
    return entries


def gated_trial(job: Job, legos: Legos, kind: str) -> dict[str, Any]:
    """Train one supernet with the variant's options of connections as the notes did: `edges`, and `gates` by epoch.

    Args:
        job: the trial.
        legos, kind: see `supernet`.

    Returns:
        The metrics.
    """
    context = TrialContext(job, NOTES, small=16)
    net = supernet(context, legos, kind, **job.variant.options)
    history = context.train(net)
    return context.metrics(net, history) | {"edges": edges(net.body.wiring()), "gates": history.gates}  # type: ignore[operator]


def supernet(context: TrialContext, legos: Legos, kind: str, **options: Any) -> Classifier:
    """Make a supernet and its head; weights follow from the seed alone, whatever the start of the gates.

    Args:
        context: gives seed, images' shape and classes.
        legos: makes them for a shape.
        kind: of head, gap or flatten512.
        **options: of the connections.
    """
    random = torch.Generator().manual_seed(context.job.seed)
    torch.manual_seed(context.job.seed)
    body = Supernet(legos(context.in_shape), context.in_shape, generator=random, **options)
    return headed(body, body.out_channels, kind, context)


def pattern(context: TrialContext, legos: Legos, kind: str, wiring: Wiring, **options: Any) -> nn.Module:
    """Make a wiring from fresh weights, gates at 1, as a plain net."""
    torch.manual_seed(context.job.seed)
    body = rebuild(legos(context.in_shape), wiring, context.in_shape, **options)
    with torch.no_grad():
        channels = body.eval()(torch.zeros(2, *context.in_shape)).shape[1]
    return trace(headed(body, channels, kind, context)).train()


def headed(body: nn.Module, channels: int, kind: str, context: TrialContext) -> Classifier:
    """Put a head on a body, and size it."""
    net = Classifier(body, head(kind, channels, context.classes)).eval()
    with torch.no_grad():
        net(torch.zeros(2, *context.in_shape))
    return net.train()


def edges(wiring: Wiring, *, strengths: bool = False) -> list[list[Any]]:
    """List [source, target] for each edge, and its strength if asked for."""
    return [[e.source, e.target, *([round(e.strength, 4)] if strengths else [])] for e in wiring.edges]


@lru_cache(maxsize=1)
def images(spec: str, seed: int, limit: int | None, size: int | None) -> ImageData:
    """Load the images of one seed; the next trial of the same seed finds them decoded."""
    return load(spec, seed=seed, val=VAL, limit=limit, size=size)


def worth(logits: Tensor, labels: Tensor) -> tuple[float, float]:
    """Return the mean loss of logits (N, classes), and their accuracy in percent."""
    right = logits.argmax(1).eq(labels).double().mean().item()
    return F.cross_entropy(logits, labels).item(), round(100 * right, 4)


def gates(net: nn.Module) -> list[float]:
    """List every gate, in the order of the wiring's edges; the mean over maps where each map has one."""
    return [round(g.mean().item(), 4) for c in gated(net) for g in c.split_gates()]


def stalled(losses: list[float]) -> int:
    """Count the epochs since the lowest loss.

    Example:
        >>> stalled([3.0, 1.0, 2.0, 2.0]), stalled([])
        (2, 0)
    """
    return len(losses) - 1 - losses.index(min(losses)) if losses else 0


def drops(losses: list[float], patience: int = 5) -> int:
    """Count the divisions of the rate: whenever the lowest loss was `patience` epochs ago, or the last division.

    Example:
        >>> drops([1.0] * 5), drops([1.0] * 6), drops([1.0] * 11), drops([1.0] * 6 + [0.5])
        (0, 1, 2, 1)
    """
    best, waited, times = math.inf, 0, 0
    for loss in losses:
        best, waited = (loss, 0) if loss < best else (best, waited + 1)
        if waited == patience:
            times, waited = times + 1, 0
    return times


class MaskAnnealing(L.Callback):
    """Take the edges that will be cut to 0, step by step: their mask falls linearly to 0 over 60 % of the steps."""

    def __init__(self, body: Supernet, kept: Wiring, steps: int) -> None:
        self.body, self.kept, self.span = body, set(kept.strengths()), max(1.0, 0.6 * steps)

    def on_train_batch_start(self, trainer: L.Trainer, module: L.LightningModule, batch: Any, index: int) -> None:
        names, mask = self.body.node_names(), max(0.0, 1 - (trainer.global_step + 1) / self.span)
        for target, connection in zip([*names[2:-1], HEAD], gated(self.body), strict=True):
            for k in range(len(connection.channels)):
                if (names[k], target) not in self.kept:
                    connection.mask[connection.entries(k)] = mask
