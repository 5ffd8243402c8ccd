"""Small speckle images, and sets of them on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

U8 = NDArray[np.uint8]
HIGH, WIDE = 144, 192


def scene(seed: int | list[int], margin: int = 8) -> NDArray[np.float64]:
    """A random texture with structure at several scales, larger than an image by a margin."""
    random = np.random.default_rng(seed)
    shape = (HIGH + 2 * margin, WIDE + 2 * margin)
    fine, middle = (gaussian_filter(random.standard_normal(shape), s) for s in (1.5, 4))
    made: NDArray[np.float64] = 120 + 25 * (fine / fine.std() + middle / middle.std())
    return made


def view(made: NDArray[np.float64], down: int = 0, right: int = 0, margin: int = 8) -> U8:
    """The image that begins `down` and `right` of the middle one."""
    cut = made[margin + down :, margin + right :][:HIGH, :WIDE]
    return np.clip(np.rint(cut), 0, 255).astype(np.uint8)


def disc(row: int, column: int, radius: int = 20) -> NDArray[np.bool_]:
    """A mask."""
    y, x = np.ogrid[:HIGH, :WIDE]
    inside: NDArray[np.bool_] = (y - row) ** 2 + (x - column) ** 2 <= radius**2
    return inside


def save(path: Path, pixels: NDArray[np.generic]) -> Path:
    """A PNG file; masks become 0 and 255."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = pixels.astype(np.uint8) * 255 if pixels.dtype == bool else pixels
    Image.fromarray(image).save(path)
    return path


def pair(folder: Path, name: str, pixels: U8, mask: NDArray[np.bool_] | None) -> None:
    """An image and its mask."""
    save(folder / f"{name}.png", pixels)
    if mask is not None:
        save(folder / f"{name}_mask.png", mask)
