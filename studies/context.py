"""The images of one seed, how a net is trained on them, and nets from a seed: what trials of classification share."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plexus.data import EpochSampler, ImageData, Split, augment, load, loader, pixel_statistics
from plexus.errors import TrainingError
from plexus.experiments import Job
from plexus.graph import Wiring
from plexus.models import Classifier, head
from plexus.nn import Supernet
from plexus.record import atomic_write
from plexus.training import ClassificationModule, Schedule, exact_state, gated, load_exact, logits_of
from plexus.wiring import rebuild, trace

Legos = Callable[[Sequence[int]], list[nn.Module]]
VAL = 0.2
_SAVE_EVERY = 60.0  # seconds of work that a stopped trial may lose


@dataclass(frozen=True)
class Recipe:
    """How every net of a study is trained.

    Args:
        name: `notes` is Adam, its rate divided by 10 when the validation loss has stalled for 5 epochs, on images less
            their mean image, divided by 128; `cycle` is AdamW under one cycle of the rate, on standardised channels,
            as `plexus fit` does.
        lr: the rate, or its peak.
        gate_lr: that of gates under `cycle`; the notes knew one rate for all.
        batch_size: images in a batch.
    """

    name: str
    lr: float
    batch_size: int
    gate_lr: float = 5e-2


NOTES = Recipe("notes", lr=1e-3, batch_size=32)
CYCLE = Recipe("cycle", lr=6e-3, batch_size=64)


@dataclass
class History:
    """What an epoch after the other has left; losses are means over images, accuracy is in percent."""

    train_loss: list[float] = field(default_factory=list)
    val_loss: list[float] = field(default_factory=list)
    val_accuracy: list[float] = field(default_factory=list)
    gates: list[list[float]] = field(default_factory=list)

    def extend(self, later: History) -> None:
        """Adds what a later part of the training has left."""
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


class TrialContext:
    """The images of one seed, and the training of nets on them.

    Split, order and augmentation follow from the job's seed, the epoch and the step alone, so that the trials of one
    seed see the same batches whatever the variant. The test images are read by `test` only.

    Args:
        job: the trial.
        recipe: how to train.
        small: rows and columns of the digits, whose own 8 are too few for some nets.
        mask: (H, W) of zeros and ones, which every image is multiplied by; made for the side of the images.
    """

    def __init__(
        self, job: Job, recipe: Recipe, *, small: int | None = None, mask: Callable[[int], Tensor] | None = None
    ) -> None:
        self.job, self.recipe = job, recipe
        limit = None if job.scale.images is None else round(job.scale.images / (1 - VAL))
        self.data = images(job.data, job.seed, limit, small if job.data == "digits" else None)
        self.in_shape, self.classes = self.data.in_shape, len(self.data.classes)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.pixels = self._pixels(mask).to(self.device)
        self.steps = -(-len(self.data.train) // recipe.batch_size)

    def facts(self) -> dict[str, Any]:
        """The entry `data` of the record."""
        sizes = {"images": len(self.data.train), "validation": len(self.data.val), "test": len(self.data.test)}
        return {"fingerprint": self.data.fingerprint, **sizes}

    def batches(self, epoch: int, turn: Callable[[Tensor, torch.Generator], Tensor] | None = None) -> Iterator[Any]:
        """(step, images as the net reads them, labels); shifted and flipped, but for digits.

        Args:
            epoch: of the whole training.
            turn: a further augmentation of a batch of pixels.
        """
        batches = loader(self.data.train, self.recipe.batch_size, seed=self.job.seed, shuffle=True)
        cast(EpochSampler, batches.sampler).set_epoch(epoch)
        for i, (x, y) in enumerate(batches):
            step = epoch * self.steps + i
            random = torch.Generator().manual_seed(self.seed_of(step))
            if self.job.data != "digits":
                x = augment(x, random)
            if turn is not None:
                x = turn(x.float(), random)
            yield step, self.read(x), y.to(self.device)

    def seed_of(self, step: int) -> int:
        """Where the random numbers of a step start."""
        return (self.job.seed * 1_000_003 + step) * 64

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
        turn: Callable[[Tensor, torch.Generator], Tensor] | None = None,
        each: Callable[[int], None] | None = None,
    ) -> History:
        """Trains a net in place; goes on from its checkpoint in the job's folder, if a stopped trial left one.

        Args:
            net: gives (N, classes).
            name: of the checkpoint, once in a trial.
            span: the first and the last of the scale's epochs, where this is a part of a longer training.
            turn: see `batches`.
            each: called before every step with its number.

        Raises:
            TrainingError: the loss is no longer a number.
        """
        first, last = span or (0, self.job.scale.epochs)
        net.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        optimizer, schedule = self._optimizer(net, first, last)
        history, path = History(), self.job.folder / f"{name}.ckpt"
        if path.exists():
            history = _restore(path.read_bytes(), net, optimizer, schedule)
        elif gated(net):
            history.gates.append(gates(net))
        begun = saved = time.monotonic()
        patience = self.job.scale.options.get("patience")
        for epoch in range(first + len(history.train_loss), last):
            if patience and stalled(history.val_loss) >= patience:
                break
            if schedule is None:
                for group in optimizer.param_groups:
                    group["lr"] = self.recipe.lr * 0.1 ** drops(history.val_loss)
            self._epoch(net, epoch, optimizer, schedule, history, turn, each)
            if time.monotonic() - saved > _SAVE_EVERY or (epoch + 1 == last and saved > begun):
                atomic_write(path, _saved(net, optimizer, schedule, history))
                saved = time.monotonic()
        return history

    def _epoch(
        self, net: nn.Module, epoch: int, optimizer: Any, schedule: Any, history: History, turn: Any, each: Any
    ) -> None:
        net.train()
        total = torch.zeros((), device=self.device)
        for step, x, y in self.batches(epoch, turn):
            if each is not None:
                each(step)
            torch.manual_seed(self.seed_of(step))  # dropout
            loss = F.cross_entropy(net(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if schedule is not None:
                schedule.step()
            total += loss.detach() * len(y)
        mean = total.item() / len(self.data.train)
        if not math.isfinite(mean):
            raise TrainingError(f"the training loss became {mean} in epoch {epoch + 1}")
        val_loss, right = self.score(net, self.data.val)
        history.train_loss.append(round(mean, 5))
        history.val_loss.append(round(val_loss, 5))
        history.val_accuracy.append(right)
        if gated(net):
            history.gates.append(gates(net))

    def score(self, net: nn.Module, split: Split) -> tuple[float, float]:
        """Mean loss, and accuracy in percent."""
        logits = logits_of(net, self.pixels, split.images)
        right = logits.argmax(1).eq(split.labels).double().mean().item()
        return F.cross_entropy(logits, split.labels).item(), round(100 * right, 4)

    def test(self, net: nn.Module) -> float:
        """Accuracy on the test images, in percent."""
        return self.score(net, self.data.test)[1]

    def metrics(self, net: nn.Module, history: History) -> dict[str, Any]:
        """What every trial reports; the test images are touched here, once."""
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
        images = self.data.train.images
        mean = pixel_statistics(images)[0].view(-1, 1, 1).expand(self.in_shape)
        std = pixel_statistics(images.flatten(1)[:, None, None])[1]  # one for all channels
        return Pixels(mean, float(std.clamp_min(1.0)), within)

    def _optimizer(self, net: nn.Module, first: int, last: int) -> tuple[torch.optim.Optimizer, Any]:
        if self.recipe.name == "notes":
            return torch.optim.Adam(net.parameters(), self.recipe.lr), None
        whole = self.job.scale.epochs
        schedule = Schedule(
            epochs=last - first, whole=whole, first=first, lr=self.recipe.lr, gate_lr=self.recipe.gate_lr
        )
        parts = ClassificationModule(net, self.pixels, self.classes, schedule, self.steps).configure_optimizers()
        return parts["optimizer"], parts["lr_scheduler"]["scheduler"]


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
    """The images of one seed; the next trial of the same seed finds them decoded."""
    return load(spec, seed=seed, val=VAL, limit=limit, size=size)


def gates(net: nn.Module) -> list[float]:
    """Every gate, in the order of the wiring's edges; the mean over maps where each map has one."""
    return [round(g.mean().item(), 4) for c in gated(net) for g in c.split_gates()]


def stalled(losses: list[float]) -> int:
    """Epochs since the lowest loss.

    Example:
        >>> stalled([3.0, 1.0, 2.0, 2.0]), stalled([])
        (2, 0)
    """
    return len(losses) - 1 - losses.index(min(losses)) if losses else 0


def drops(losses: list[float], patience: int = 5) -> int:
    """How often the rate has been divided: whenever the lowest loss was `patience` epochs ago, or the last division.

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


def _saved(net: nn.Module, optimizer: torch.optim.Optimizer, schedule: Any, history: History) -> bytes:
    buffer = io.BytesIO()
    state = schedule.state_dict() if schedule else None
    parts = {"net": exact_state(net), "optimizer": optimizer.state_dict(), "schedule": state, "history": vars(history)}
    torch.save(parts, buffer)
    return buffer.getvalue()


def _restore(content: bytes, net: nn.Module, optimizer: torch.optim.Optimizer, schedule: Any) -> History:
    parts = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    load_exact(net, parts["net"])
    optimizer.load_state_dict(parts["optimizer"])
    if schedule:
        schedule.load_state_dict(parts["schedule"])
    return History(**parts["history"])
