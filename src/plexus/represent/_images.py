"""Images as an autoencoder reads them, from wherever they lie, a batch at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from plexus.data import SampleSet, UnreadableError, load, open_samples
from plexus.data._parts import printable
from plexus.data._pixels import stack
from plexus.errors import ConfigError, DataError

Pixels = NDArray[np.uint8]
BATCH = 256


@dataclass
class Reader:
    """Decodes images of a set; what cannot be read stops it, or is left out and listed.

    Args:
        samples: the set.
        size: rows and columns of every image; None takes them as they are.
        skip_unreadable: leave out what cannot be read.
    """

    samples: SampleSet
    size: tuple[int, int] | None
    skip_unreadable: bool
    skipped: list[str] = field(default_factory=list)

    def all(self, rows: Sequence[int]) -> tuple[list[Pixels], list[str]]:
        """The images of some rows with their names."""
        found = [(self.samples.samples[i].name, p) for i in rows if (p := self.one(i)) is not None]
        if not found:
            raise DataError(f"{self.samples.where}: no image can be read: replace the images")
        return [p for _, p in found], [name for name, _ in found]

    def one(self, row: int) -> Pixels | None:
        """One image; None where it is left out.

        Raises:
            DataError: it cannot be read.
        """
        try:
            return self.samples.pixels(row, self.size)
        except UnreadableError as error:
            name, reason = printable(self.samples.samples[row].name), " ".join(str(error).split())
            if not self.skip_unreadable:
                raise DataError(
                    f"{self.samples.where}: {name}: {reason}: replace or remove it, or leave out such images with "
                    "--skip-unreadable"
                ) from None
            self.skipped.append(f"{name}: {reason}")
            return None


@dataclass(frozen=True, eq=False)
class Batch:
    """Images of one set as a model reads them.

    Args:
        paths: where each is from, below what the user named.
        labels: names of their classes, where known.
        images: uint8, (N, C, H, W).
    """

    paths: tuple[str, ...]
    labels: tuple[str | None, ...]
    images: Tensor


def batches(places: Sequence[str | Path], shape: Sequence[int], *, skip_unreadable: bool = False) -> Iterator[Batch]:
    """Every image of some files, folders, tables or data sets, resized to a model's shape; grey or colour as it asks.

    Args:
        places: image files, folders of them, CSV or parquet tables, `digits`, or hub ids.
        shape: (C, H, W) of the model.
        skip_unreadable: leave out images that cannot be read.

    Raises:
        DataError: nothing there, or an image that cannot be read.
        ConfigError: no place is named.
    """
    if not places:
        raise ConfigError("name at least one image, folder or data set")
    for place in places:
        if Path(place).exists():
            yield from _of_files(place, shape, skip_unreadable=skip_unreadable)
        else:
            yield from _of_set(str(place), shape, skip_unreadable=skip_unreadable)


def to_shape(pixels: Pixels, channels: int) -> Pixels:
    """Pixels (H, W) or (H, W, 3) with so many channels: grey repeated, or colours as their luminance."""
    if channels == 1 and pixels.ndim == 3:
        pixels = np.asarray(Image.fromarray(pixels).convert("L"))
    return stack([pixels], channels)[0]


def _of_files(place: str | Path, shape: Sequence[int], *, skip_unreadable: bool) -> Iterator[Batch]:
    samples = open_samples(place, masks=False)
    reader = Reader(samples, (shape[1], shape[2]), skip_unreadable=skip_unreadable)
    prefix = f"{place}/" if Path(place).is_dir() else ""
    for start in range(0, len(samples), BATCH):
        rows = range(start, min(start + BATCH, len(samples)))
        read = [(i, p) for i in rows if (p := reader.one(i)) is not None]
        if read:
            names = tuple(f"{prefix}{samples.samples[i].name}" for i, _ in read)
            images = torch.from_numpy(np.stack([to_shape(p, shape[0]) for _, p in read]))
            yield Batch(names, tuple(samples.samples[i].label for i, _ in read), images)


def _of_set(place: str, shape: Sequence[int], *, skip_unreadable: bool) -> Iterator[Batch]:
    """A data set that is no file: `digits`, or from the hub."""
    data = load(place, size=(shape[1], shape[2]), skip_unreadable=skip_unreadable)
    for part in (data.train, data.val, data.test):
        for start in range(0, len(part), BATCH):
            images = part.images[start : start + BATCH]
            if images.shape[1] != shape[0]:
                rows = [p.permute(1, 2, 0).numpy() if p.shape[0] == 3 else p[0].numpy() for p in images]
                images = torch.from_numpy(np.stack([to_shape(p, shape[0]) for p in rows]))
            names = tuple(f"{place}/{name}" for name in part.names[start : start + BATCH])
            yield Batch(names, tuple(data.classes[k] for k in part.labels[start : start + BATCH].tolist()), images)
