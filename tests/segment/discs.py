"""Synthetic ultrasound: a bright disc in speckle, or speckle alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from plexus.segment import SegmentConfig

SIDE = 32


def disc(i: int, *, present: bool, side: int = SIDE) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Image and mask number i."""
    rng = np.random.default_rng(i)
    y, x = np.mgrid[:side, :side]
    cy, cx = rng.uniform(0.3 * side, 0.7 * side, 2)
    mask = ((y - cy) ** 2 + (x - cx) ** 2 <= (side / 5) ** 2) & present
    speckle = rng.rayleigh(30, (side, side)) + 90 * mask
    return np.clip(speckle, 0, 255).astype(np.uint8), mask


def write_discs(folder: Path, count: int = 16, *, absent: int = 4, side: int = SIDE, first: int = 0) -> Path:
    """NAME.png and NAME_mask.png; every `absent`-th image is empty; two successive ones are of one patient."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(first, first + count):
        pixels, mask = disc(i, present=i % absent != absent - 1, side=side)
        Image.fromarray(pixels).save(folder / f"p{i // 2}-{i}.png")
        Image.fromarray(mask.astype(np.uint8) * 255).save(folder / f"p{i // 2}-{i}_mask.png")
    return folder


def small(data: Path, **more: Any) -> SegmentConfig:
    """The smallest training there is."""
    options: dict[str, Any] = {
        "epochs": 2,
        "width": 4,
        "levels": 3,
        "size": SIDE,
        "batch_size": 4,
        "onnx": False,
        **more,
    }
    return SegmentConfig(data=str(data), **options)


def read_record(path: Path) -> dict[str, Any]:
    """The parts of a record as they stand in the file."""
    parts: dict[str, Any] = json.loads(path.read_text())
    return parts


def write_wide(folder: Path, shades: int, bits: int, count: int = 12) -> Path:
    """NAME.png and NAME_mask.png, from black to `shades` of 255; the same greys in 8 bits and in 12 of 16."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        pixels, mask = disc(i, present=i % 4 != 3)
        grey = (pixels.astype(float) * shades / 255).round()
        stored = grey.astype(np.uint8) if bits == 8 else (grey * 4095 / 255).round().astype(np.uint16)
        Image.fromarray(stored).save(folder / f"p{i}.png")
        Image.fromarray(mask.astype(np.uint8) * 255).save(folder / f"p{i}_mask.png")
    return folder
