"""A small classification task for the tests of training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from plexus.data import ImageData, Split
from plexus.models import Classifier, head
from plexus.nn import Supernet
from plexus.training import FitConfig
from plexus.training._phase import Phases
from plexus.training._task import Normalize, Schedule

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


def phases(folder: Path, entries: list[dict[str, Any]] | None = None, **options: Any) -> Phases:
    """Phases on `images()`; every epoch's entry goes to `entries`."""
    listen = (lambda entry: None) if entries is None else entries.append
    config = FitConfig(batch_size=8, **options)
    return Phases(folder, config, images(), normalize(), listen=listen, progress=False)
