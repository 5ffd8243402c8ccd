"""Near-duplicates planted among images with masks, some of them without their mask."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from plexus.audit import audit
from plexus.data import open_samples
from plexus.errors import DataError
from plexus.experiments._masks import Pairs, shrunk

PLANTED, EMPTIED = 0.6, 2 / 3
"""Share of the images that get a twin, and of the twins that lose their mask."""
SHIFT, GAIN, OFFSET, NOISE = 3, 0.06, 8.0, (1.0, 5.0)
"""How a twin may differ: pixels each way, share, grey values, and the deviation of the noise in grey values."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Planted:
    """Originals and twins at one size, and what the audit makes of them.

    Args:
        images: uint8 (N, 1, H, W).
        right, given: bool (N, 1, H, W), the masks as they were and as the training set has them.
        keep: (N,), what the audit keeps.
        reported: contradictory pairs that the audit reports.
        planted: those that are there.
    """

    images: Tensor
    right: Tensor
    given: Tensor
    keep: list[bool]
    reported: frozenset[tuple[int, int]]
    planted: frozenset[tuple[int, int]]

    def training(self, way: str) -> tuple[Tensor, Tensor]:
        """`all`, those the audit has `kept`, `neither` of a reported pair, or all with the `right` masks."""
        gone = {i for pair in self.reported for i in pair}
        stays = {
            "all": [True] * len(self.images),
            "right": [True] * len(self.images),
            "kept": self.keep,
            "neither": [i not in gone for i in range(len(self.images))],
        }[way]
        at = torch.tensor(stays)
        return self.images[at], (self.right if way == "right" else self.given)[at]

    def facts(self) -> dict[str, Any]:
        """For the record: percentage of contradictory images, percentage of the pairs found, and false pairs."""
        here = 100 * len(self.planted & self.reported) / len(self.planted) if self.planted else None
        contradictory = 100 * 2 * len(self.planted) / len(self.images)
        return {"contradictory": contradictory, "found": here, "false": len(self.reported - self.planted)}


def plant(found: Pairs, rows: NDArray[np.int64], seed: int, folder: Path) -> Planted:
    """Writes the images of some rows and their twins to a folder, and audits it; see `Planted`.

    Files are numbered in a random order, so that no name tells a twin.

    Args:
        found: the whole set.
        rows: of the images to use.
        seed: of everything random.
        folder: for the files.
    """
    random = np.random.default_rng(seed)
    count = round(PLANTED * len(rows))
    chosen = random.permutation(len(rows))[:count].tolist()
    emptied = set(chosen[: round(EMPTIED * count)])
    originals = [_read(found, row) for row in rows]
    twins = [twin(originals[i][0], originals[i][1], random) for i in chosen]
    all_of = [*originals, *twins]
    blank = [False] * len(rows) + [i in emptied for i in chosen]
    number = random.permutation(len(all_of)).tolist()
    for (pixels, mask), empty, n in zip(all_of, blank, number, strict=True):
        Image.fromarray(pixels).save(folder / f"{n:05}.png")
        Image.fromarray(mask & (not empty)).convert("L").save(folder / f"{n:05}_mask.png")
    report = audit(open_samples(folder, masks=True), seed=seed)
    kept = {int(row["name"][:5]): row["keep"] for row in report.findings["images"]}
    index = {n: i for i, n in enumerate(number)}
    names = [int(row["name"][:5]) for row in report.findings["images"]]
    reported = [(index[names[p["a"]]], index[names[p["b"]]]) for p in report.findings["pairs"] if p["contradiction"]]
    size = found.images.shape[-1]
    right = torch.stack([shrunk(torch.from_numpy(np.array(mask)), size) for _, mask in all_of])[:, None]
    return Planted(
        torch.stack([_small(pixels, size) for pixels, _ in all_of])[:, None],
        right,
        right & ~torch.tensor(blank)[:, None, None, None],
        [kept[n] for n in number],
        frozenset((min(p), max(p)) for p in reported),
        frozenset((i, len(rows) + k) for k, i in enumerate(chosen) if i in emptied),
    )


def twin(pixels: NDArray[np.uint8], mask: Mask, random: np.random.Generator) -> tuple[NDArray[np.uint8], Mask]:
    """An image and its mask as a neighbouring frame might show them; the edge's pixels fill what the shift leaves."""
    down, right = random.integers(-SHIFT, SHIFT + 1, 2).tolist()
    rows = np.clip(np.arange(pixels.shape[0]) - down, 0, pixels.shape[0] - 1)
    columns = np.clip(np.arange(pixels.shape[1]) - right, 0, pixels.shape[1] - 1)
    moved = pixels[np.ix_(rows, columns)].astype(np.float64)
    noise = random.normal(0, random.uniform(*NOISE), moved.shape)
    changed = moved * random.uniform(1 - GAIN, 1 + GAIN) + random.uniform(-OFFSET, OFFSET) + noise
    return np.clip(np.rint(changed), 0, 255).astype(np.uint8), mask[np.ix_(rows, columns)]


def _read(found: Pairs, row: int) -> tuple[NDArray[np.uint8], Mask]:
    pixels, mask = found.samples.pixels(row), found.samples.mask(row)
    if mask is None:
        raise DataError(f"{found.samples.where}: {found.samples.samples[row].name} has no mask: add it")
    return pixels, mask


def _small(pixels: NDArray[np.uint8], size: int) -> Tensor:
    image = Image.fromarray(pixels).resize((size, size), Image.Resampling.BILINEAR)
    return torch.from_numpy(np.array(image))
