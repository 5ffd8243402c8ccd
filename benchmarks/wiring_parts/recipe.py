"""What is said to speed up the training of small nets, one change at a time, on the default family."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import lightning as L
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plexus.data import Augmentation, ImageData, pixel_statistics
from plexus.nn import Connection
from plexus.record import machine
from plexus.training import (
    Batches,
    ClassificationModule,
    FitConfig,
    GradualCut,
    Loop,
    Normalize,
    Schedule,
    accuracy,
    gated,
    load_data,
    one_cycle,
    plan,
)
from plexus.training.evaluation import renormed
from plexus.training.nets import Nets

IMAGES, EPOCHS, SEEDS = 5_000, 5, range(3)
MIX_RATE = 1e-2
CHANGES = {
    "smoothing": "labels smoothed by .1",
    "ema": "weights averaged, decay .99",
    "biases": "4 times the rate for biases of batch norms",
    "cutout": "a quarter of the side cut out",
    "flips": "every image mirrored in every second epoch",
    "muon": "Muon for the mixes",
    "zero": "mixes that add nothing at first",
    "whitened": "a first convolution that whitens",
}


def run(results: Any, *, data: str, seeds: list[int] | None, **_: Any) -> None:
    """Train 5,000 images for 5 epochs; measured on as many others of the training images, never on the test images."""
    for seed in SEEDS if seeds is None else seeds:
        config = FitConfig(data=data, seed=seed, limit=2 * IMAGES, val=0.5)
        images = load_data(config)
        for change in ("none", *CHANGES):
            if f"recipe-{change}/{seed}" not in results:
                results.put(f"recipe-{change}/{seed}", _trained(images, config, change) | {"machine": machine()})


def _trained(images: ImageData, config: FitConfig, change: str) -> dict[str, Any]:
    mean, std = pixel_statistics(images.train.images)
    normalize, classes, chosen = Normalize(mean, std), len(images.classes), plan(config, images.in_shape, 10)
    net: Any = Nets(replace(config, width=chosen.width), images.in_shape, classes).supernet()
    few = images.val.take(torch.arange(256))
    batches = Batches(images.train, few, config.batch_size, 10 * config.seed + 2)
    augment = Augmentation(flip=change != "flips", cutout=0.25 if change == "cutout" else 0.0)
    schedule = Schedule(
        epochs=EPOCHS, whole=EPOCHS, first=0, lr=config.lr, gate_lr=MIX_RATE, weight_decay=config.weight_decay,
        seed=batches.seed, augment=augment,
    )  # fmt: skip
    cut = GradualCut(net.body, chosen.target, EPOCHS * batches.steps, chance=0.1)
    callbacks: list[L.Callback] = [cut]
    if change == "ema":
        callbacks.append(Average())
    if change == "flips":
        callbacks.append(Mirror(images.train.images, config.seed))
    if change == "zero":
        for norm, adds in zip(net.body.norms, net.body.adds, strict=True):
            nn.init.constant_(norm.weight, 0.0 if adds else 1.0)
    if change == "whitened":
        whiten(net.body.legos[0][0], normalize(images.train.images[:1_000]))
    module = Module(net, normalize, classes, schedule, batches.steps, change)
    before = images.train.images.clone()
    with tempfile.TemporaryDirectory() as folder:
        loop = Loop(folder, logs=(), save_every=1e9)
        loop.run("net", module, batches, callbacks=callbacks)
    images.train.images.copy_(before)
    if change == "ema":
        renormed(net, normalize, images.train.images[:2_000])
    return {"accuracy": accuracy(net, normalize, images.val), "train_seconds": loop.spent["net"]}


class Module(ClassificationModule):
    """A classifier whose training differs in one thing."""

    def __init__(
        self, net: nn.Module, normalize: nn.Module, classes: int, schedule: Schedule, steps: int, change: str
    ) -> None:
        super().__init__(net, normalize, classes, schedule, steps)
        self.change = change

    def loss(self, images: Tensor, targets: Tensor, generator: torch.Generator) -> Tensor:
        if self.change != "smoothing":
            return super().loss(images, targets, generator)
        logits = self(self.schedule.augment(images, generator))  # type: ignore[operator]
        self.hits = logits.detach().argmax(1).eq(targets).double().mean().item()
        return F.cross_entropy(logits, targets, label_smoothing=0.1)

    def configure_optimizers(self) -> Any:
        mixes = [c.weight for c in gated(self.net)]
        biases = [m.bias for m in self.net.modules() if isinstance(m, nn.BatchNorm2d) and self.change == "biases"]
        apart = {id(p) for p in (*mixes, *biases)}
        rate = self.schedule.lr
        others = [p for p in self.net.parameters() if id(p) not in apart]
        groups = [{"params": others, "weight_decay": self.schedule.weight_decay, "lr": rate}]
        groups += [{"params": biases, "weight_decay": 0.0, "lr": 4 * rate}] if biases else []
        groups += [] if self.change == "muon" else [{"params": mixes, "weight_decay": 0.0, "lr": MIX_RATE}]
        optimizer = WithMuon(groups, gated(self.net)) if self.change == "muon" else torch.optim.AdamW(groups)
        whole = EPOCHS * self.steps
        cycle = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: one_cycle(step / whole))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": cycle, "interval": "step"}}


class WithMuon(torch.optim.AdamW):
    """AdamW, and Muon for mixes under the same cycle (Jordan et al. 2024); torch's own is in bfloat16, slow on CPUs."""

    def __init__(self, groups: Any, mixes: list[Connection]) -> None:
        super().__init__(groups)
        self.mixes = mixes
        self.moments = [torch.zeros_like(mix.weight[:, mix.first :]) for mix in mixes]

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        loss = super().step(closure)
        rate = MIX_RATE * self.param_groups[0]["lr"] / self.param_groups[0]["initial_lr"]
        for mix, moment in zip(self.mixes, self.moments, strict=True):
            assert mix.weight.grad is not None
            grad = mix.weight.grad[:, mix.first :]
            moment.lerp_(grad, 0.05)
            turned = orthogonal(grad.lerp(moment, 0.95))
            mix.weight[:, mix.first :] -= rate * 0.2 * max(turned.shape) ** 0.5 * turned
        return loss

    def zero_grad(self, set_to_none: bool = True) -> None:
        super().zero_grad(set_to_none)
        for mix in self.mixes:
            mix.weight.grad = None


def orthogonal(x: Tensor) -> Tensor:
    """Bring all singular values near 1, by five steps of Newton and Schulz."""
    wide = x.shape[0] <= x.shape[1]
    y = (x if wide else x.T) / (x.norm() + 1e-7)
    for _ in range(5):
        square = y @ y.T
        y = 3.4445 * y + (-4.775 * square + 2.0315 * square @ square) @ y
    return y if wide else y.T


class Average(L.Callback):
    """Ends with the running mean of the weights."""

    def on_train_batch_end(self, trainer: Any, module: Any, *_: Any) -> None:
        weights = list(module.net.parameters())
        if trainer.global_step == 1:
            self.means = [w.detach().clone() for w in weights]
        torch._foreach_lerp_(self.means, [w.detach() for w in weights], min(0.01, 1.0))

    @torch.no_grad()
    def on_train_end(self, trainer: Any, module: Any) -> None:
        for weight, mean in zip(module.net.parameters(), self.means, strict=True):
            weight.copy_(mean)


class Mirror(L.Callback):
    """Mirrors all images before every epoch but the first; half of them are mirrored at the start (Jordan 2024)."""

    def __init__(self, images: Tensor, seed: int) -> None:
        self.images = images
        half = torch.rand(len(images), generator=torch.Generator().manual_seed(seed)) < 0.5
        images[half] = images[half].flip(3)

    def on_train_epoch_start(self, trainer: Any, module: Any) -> None:
        if trainer.current_epoch:
            self.images.copy_(self.images.flip(3))


@torch.no_grad()
def whiten(conv: nn.Conv2d, x: Tensor) -> None:
    """Let the first filters be the principal directions of 3x3 patches, of equal variance (Jordan 2024)."""
    patches = F.unfold(x, conv.kernel_size, padding=conv.padding).transpose(1, 2).flatten(0, 1)[::7]
    values, vectors = torch.linalg.eigh(torch.cov(patches.T))
    filters = (vectors / (values + 1e-2).sqrt()).T.flip(0)[: conv.out_channels]
    conv.weight[: len(filters)] = filters.view(-1, *conv.weight.shape[1:]) * conv.weight.std() / filters.std()


def table(values: Mapping[str, Any], points: Any) -> Iterator[tuple[str, str, str, bool]]:
    """The rows of this part; `points` writes differences with their interval."""

    def runs(change: str) -> dict[str, Any]:
        return {k.split("/")[1]: v for k, v in values.items() if k.startswith(f"recipe-{change}/")}

    base = runs("none")
    for change, label in CHANGES.items():
        both = [(run, base[seed]) for seed, run in runs(change).items() if seed in base]
        if both:
            gain = [100 * (a["accuracy"] - b["accuracy"]) for a, b in both]
            ratio = np.mean([a["train_seconds"] for a, _ in both]) / np.mean([b["train_seconds"] for _, b in both])
            yield (
                f"default family, {IMAGES:,} images, {EPOCHS} epochs, {len(both)} seeds: {label}, "
                f"{ratio:.2f}x the time", "", points(gain), True,
            )  # fmt: skip
