"""Images, legos and one finished run that many tests look at."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.e2e.commands import plexus

collect_ignore = ["preload.py"]  # what the forked processes import, no test module

LEGOS = """
from torch import nn

def three(in_shape):
    block = lambda: nn.Sequential(nn.LazyConv2d(4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.1))
    return [block() for _ in range(3)]

def deep(in_shape):
    return [nn.Sequential(nn.LazyConv2d(4, 3), nn.MaxPool2d(4)) for _ in range(3)]

def wrong(in_shape):
    return 3

def failing(in_shape):
    raise ZeroDivisionError("too\\nfew")
"""
CLASSES = ("<img src=x onerror=alert(1)>", 'quotes \' " """ and\na new line')


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Before the first command: sums in another order give other bits, and other processes need the cores."""
    os.environ["OMP_NUM_THREADS"] = "1"


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `images` (two classes with hostile names, 16x16, colour) and `legos.py`."""
    folder = tmp_path_factory.mktemp("plexus")
    (folder / "legos.py").write_text(LEGOS)
    rng = np.random.default_rng(0)
    for k, name in enumerate(CLASSES):
        (folder / "images" / name).mkdir(parents=True)
        for i in range(30):
            pixels = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
            pixels[:, :, k] //= 3
            Image.fromarray(pixels).save(folder / "images" / name / f"{i}.png")
    return folder


SMALL = ("--legos", "legos.py:three", "--epochs", 4, "--batch-size", 4)


@pytest.fixture(scope="session")
def trained(place: Path) -> Path:
    """A run that was never interrupted."""
    done = plexus("fit", "images", *SMALL, "--run", "whole", folder=place)
    assert done.code == 0, done.err
    return place / "whole"
