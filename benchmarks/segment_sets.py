"""Sets for `benchmarks/segment_gates.py`: whole ultrasound images by one of their masks, and speckled phantoms.

Files are named CLUSTER-NAME.png and CLUSTER-NAME_mask.png, as those of `benchmarks/absence_set.py`: what shares a
cluster is drawn together.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from absence_set import clusters
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from plexus.audit import fingerprint, near_duplicates
from plexus.data import open_samples

COUNT, SIDE = 400, 64


def whole_images(source: Path, folder: Path, suffix: str) -> Path:
    """Link the images of USGRA and their masks of a suffix; where an image has none, its mask is black."""
    if folder.is_dir():
        return folder
    samples = open_samples(source, masks=True)
    near = near_duplicates(fingerprint(samples))
    of = clusters(len(samples), [(int(a), int(b)) for a, b in zip(near.a, near.b, strict=True)])
    folder.mkdir(parents=True)
    for i, sample in enumerate(samples.samples):
        image = (source / sample.name).resolve()
        mask = image.with_name(f"{image.stem}{suffix}.png")
        stem = folder / f"{of[i]:03}-{i:03}"
        stem.with_suffix(".png").symlink_to(image)
        small = stem.with_name(f"{stem.name}_mask.png")
        if mask.is_file():
            small.symlink_to(mask)
        else:
            Image.new("L", Image.open(image).size).save(small)
    return folder


def made(folder: Path, *, count: int = COUNT, side: int = SIDE, seed: int = 0) -> Path:
    """Write phantoms: speckle that fades with depth, layers and dark or bright blobs, and in half of them the target.

    The target is an ellipse a little darker inside, with a rim a little brighter; blobs have one of both only, so that
    an image without the target shows what resembles it.
    """
    if folder.is_dir():
        return folder
    folder.mkdir(parents=True)
    random = np.random.default_rng(seed)
    for i in range(count):
        pixels, mask = phantom(random, side, present=i % 2 == 0)
        Image.fromarray(pixels).save(folder / f"{i:03}-made.png")
        Image.fromarray(mask).convert("L").save(folder / f"{i:03}-made_mask.png")
    return folder


def phantom(
    random: np.random.Generator, side: int, *, present: bool
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:  # fmt: skip
    """Draw one image and its mask."""
    y, x = np.mgrid[:side, :side] / side
    depth = np.exp(-random.uniform(0.2, 1.2) * y)
    layers = 0.25 * np.sin(2 * np.pi * (random.uniform(1, 3) * y + random.uniform(-0.5, 0.5) * x + random.random()))
    loudness = np.log(depth) + layers + gaussian_filter(random.normal(0, 3.0, (side, side)), side / 12)
    for _ in range(random.integers(2, 5)):
        radius = ellipse(random, x, y)
        contrast = random.uniform(0.6, 1.2)
        if random.random() < 0.5:  # dark, without a rim
            loudness = loudness - contrast * soft(radius)
        else:  # a rim, and as bright inside as outside
            loudness = loudness + contrast * np.exp(-(((radius - 1) / 0.15) ** 2))
    mask = np.zeros((side, side), bool)
    if present:
        radius = ellipse(random, x, y)
        loudness = loudness - random.uniform(0.6, 1.2) * soft(radius)
        loudness = loudness + random.uniform(0.6, 1.2) * np.exp(-(((radius - 1) / 0.15) ** 2))
        mask = radius < 1
    grain = gaussian_filter(random.normal(size=(2, side, side)), (0, 0.7, 1.1))
    echo = np.exp(loudness) * np.hypot(grain[0], grain[1]) / grain.std()
    shown = 110 + 60 * np.log(echo + 0.02)
    return shown.clip(0, 255).astype(np.uint8), mask


def ellipse(
    random: np.random.Generator, x: NDArray[np.float64], y: NDArray[np.float64]
) -> NDArray[np.float64]:  # fmt: skip
    """Distance from the centre of a random ellipse, 1 on its rim."""
    row, column = random.uniform(0.2, 0.8, 2)
    long, short = random.uniform(0.13, 0.22), random.uniform(0.08, 0.13)
    turn = random.uniform(0, np.pi)
    along = (x - column) * np.cos(turn) + (y - row) * np.sin(turn)
    across = (y - row) * np.cos(turn) - (x - column) * np.sin(turn)
    return np.hypot(along / long, across / short)


def soft(radius: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 inside, 0 outside, with a soft rim."""
    return np.asarray(1 / (1 + np.exp((radius - 1) / 0.06)))
