"""Made images for the gallery: ellipses in speckle, a third of them absent, some copied with another gain and noise.

Command: python scripts/scans.py FOLDER
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

SIDE, COUNT, TWINS = 96, 150, 12


def scan(i: int) -> tuple[np.ndarray, np.ndarray]:
    """Image and mask number i."""
    rng = np.random.default_rng(i)
    y, x = np.mgrid[:SIDE, :SIDE]
    cy, cx, ry, rx = *rng.uniform(0.3 * SIDE, 0.7 * SIDE, 2), rng.uniform(8, 14), rng.uniform(12, 24)
    mask = (((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 <= 1) & (i % 3 != 2)
    tissue = 60 + 40 * gaussian_filter(rng.standard_normal((SIDE, SIDE)), 9) / 0.03 * 0.5
    image = (tissue + 35 * gaussian_filter(mask.astype(float), 2)) * rng.gamma(6, 1 / 6, (SIDE, SIDE))
    return np.clip(gaussian_filter(image, 0.7), 0, 255), mask


def main(folder: Path) -> None:
    """Writes pairs NAME.png and NAME_mask.png below train and test; the last images are copies of the first."""
    for i in range(COUNT + TWINS):
        pixels, mask = scan(i if i < COUNT else 5 * (i - COUNT))
        if i >= COUNT:
            pixels = np.clip(pixels * 1.15 + np.random.default_rng(i).normal(0, 3, pixels.shape), 0, 255)
            mask = mask & (i % 2 == 0)  # of some copies the mask is missing
        place = folder / ("test" if i % 6 == 5 else "train")
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8)).save(place / f"scan-{i:03}.png")
        Image.fromarray(mask.astype(np.uint8) * 255).save(place / f"scan-{i:03}_mask.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
