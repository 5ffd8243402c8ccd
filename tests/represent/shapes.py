"""Made images of 12 x 12 pixels: bars, discs, crosses and stripes, each at its own place; and the smallest training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from plexus.represent import RepresentConfig

SIDE = 12
KINDS = ("bar", "cross", "disc", "rows", "tee")


def shape(kind: str, i: int, *, side: int = SIDE) -> NDArray[np.uint8]:
    """Image number i of a kind."""
    rng = np.random.default_rng([KINDS.index(kind), i])
    y, x = np.mgrid[:side, :side] - (side - 1) / 2 - rng.uniform(-1.5, 1.5, 2)[:, None, None]
    inside = {
        "bar": abs(x) < 1.5,
        "cross": (abs(x) < 1.2) | (abs(y) < 1.2),
        "disc": x**2 + y**2 < 12,
        "rows": np.sin(y * 2) > 0,
        "tee": ((abs(y + 3) < 1.3) | (abs(x) < 1.3)) & (y > -4.3),
    }[kind]
    return np.clip(30 + 160 * inside + rng.normal(0, 12, (side, side)), 0, 255).astype(np.uint8)


def write_shapes(folder: Path, *kinds: str, count: int = 14, colour: bool = False, side: int = SIDE) -> Path:
    """KIND/NUMBER.png."""
    for kind in kinds or KINDS:
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            image = Image.fromarray(shape(kind, i, side=side))
            tinted = Image.merge("RGB", [image, image.point(lambda v: v // 2), image.point(lambda v: 255 - v)])
            (tinted if colour else image).save(folder / kind / f"{i:02}.png")
    return folder


def write_flat(folder: Path, count: int = 30) -> Path:
    """NUMBER.png, with no classes."""
    folder.mkdir(parents=True)
    for i in range(count):
        Image.fromarray(shape(KINDS[i % 3], i)).save(folder / f"{i:02}.png")
    return folder


def small(data: Path | str, **more: Any) -> RepresentConfig:
    """The smallest training there is."""
    options: dict[str, Any] = {"dim": 5, "width": 4, "epochs": 2, "batch_size": 16, "onnx": False, **more}
    return RepresentConfig(data=str(data), **options)


def read_record(path: Path) -> dict[str, Any]:
    """The parts of a record as they stand in the file."""
    parts: dict[str, Any] = json.loads(path.read_text())
    return parts
