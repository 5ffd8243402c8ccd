"""A small classification task for the tests of training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from plexus.data import ImageData, Split
from plexus.models import Classifier, head
from plexus.nn import Supernet
from plexus.training import Batches, ClassificationModule, Loop, Normalize, Schedule

SHAPE = (1, 8, 8)


def images(n: int = 24, seed: int = 0) -> ImageData:
    """Bright and dark noise, two classes."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % 2
    pixels = torch.randint(0, 128, (n, *SHAPE), generator=generator) + 100 * labels.view(-1, 1, 1, 1)
    split = Split(pixels.to(torch.uint8), labels, tuple(f"row {k}" for k in range(n)))
    return ImageData("noise", split, split, split, ("dark", "bright"), "sha256:0")


def supernet(**options: Any) -> Classifier:
    """Three convolutions, every connection, two classes."""
    torch.manual_seed(0)
    legos = [nn.Sequential(nn.LazyConv2d(4, 3, padding=1), nn.ReLU(), nn.Dropout(0.1)) for _ in range(3)]
    body = Supernet(legos, SHAPE, **{"merge": "sum", "gate_init": (0.9, 0.3), **options})
    net = Classifier(body, head("gap", body.out_channels, 2))
    with torch.no_grad():
        net.eval()(torch.zeros(2, *SHAPE))  # from here on every step takes the same path through the sums
    return net.train()


def normalize() -> Normalize:
    return Normalize(torch.tensor([100.0]), torch.tensor([50.0]))


def schedule(**changes: Any) -> Schedule:
    return Schedule(**{"epochs": 2, "whole": 2, "first": 0, "lr": 1e-2, "gate_lr": 1e-2, "seed": 3, **changes})


def batches(plan: Schedule, *, size: int = 8) -> Batches:
    """`images()`, eight at a time."""
    data = images()
    return Batches(data.train, data.val, size=size, seed=plan.seed)


def learn(
    loop: Loop, name: str, net: nn.Module, plan: Schedule, *, label: str = "", callbacks: Sequence[Any] = (),
    **options: Any,
) -> list[dict[str, Any]]:  # fmt: skip
    """Train a net on `images()`, in place; its history."""
    served = batches(plan)
    module = ClassificationModule(net, normalize(), 2, plan, served.steps, **options)
    return loop.run(name, module, served, tags={"phase": label or name}, callbacks=callbacks)
