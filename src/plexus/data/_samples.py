"""Image files with what is said of them: a class, a mask, a group, a split."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from plexus.data import _dicom
from plexus.data._decode import Pixels, UnreadableError, quiet, read, telling, to_pixels, upright_size
from plexus.data._mask import Mask, read_mask
from plexus.data._parts import printable


@dataclass(frozen=True)
class Sample:
    """One image, as it is named.

    Args:
        name: the path below the data folder, or ``row 17``; no two are equal.
        label: its class.
        mask: where its mask is; empty where there is none and the image therefore counts as empty.
        group: the patient, the video or whatever else must stay together.
        split: ``train``, ``val`` or ``test``, where the data says so.

    Example:
        >>> Sample("scans/7.png", mask="scans/7_mask.png", group="patient 3").split is None
        True
    """

    name: str
    label: str | None = None
    mask: str | None = None
    group: str | None = None
    split: str | None = None


@dataclass(frozen=True, eq=False)
class Cell:
    """One cell of a table that holds a file's bytes."""

    table: Any
    column: str
    row: int

    def read_bytes(self) -> bytes:
        """Return the bytes; the table is asked only now."""
        cell = self.table[self.row : self.row + 1].column(self.column)[0].as_py()
        content = cell.get("bytes") if isinstance(cell, dict) else cell
        if content is None:
            raise UnreadableError("no image data")
        return bytes(content)


Place = Path | Cell


class Remarks:
    """Treatments worth telling, gathered while images are read; threads may add at once."""

    def __init__(self, stated: Sequence[str] = ()) -> None:
        self._stated = tuple(stated)
        self._found: dict[str, set[str]] = {}
        self._lock = threading.Lock()

    def add(self, treatment: str, name: str) -> None:
        """Note that an image was treated so."""
        with self._lock:
            self._found.setdefault(treatment, set()).add(name)

    def lines(self) -> tuple[str, ...]:
        """Return one line for each treatment, with its count and its first image."""
        with self._lock:
            found = [(treatment, len(names), min(names)) for treatment, names in sorted(self._found.items())]
        return (
            *self._stated,
            *(f"{count} masks with {what} (first: {printable(name)})" for what, count, name in found),
        )

    def __reduce__(self) -> tuple[type[Remarks], tuple[tuple[str, ...]]]:
        """Pickle without the lock: a copy in another process tells what it finds itself."""
        return Remarks, (self._stated,)


@dataclass(frozen=True, eq=False)
class SampleSet:
    """Images found but not yet decoded; every method that reads may run in several threads at once.

    Args:
        name: a short name for people.
        where: what the user called it; begins every message.
        layout: ``classes``, ``pairs``, ``folders``, ``manifest``, ``parquet`` or ``images``.
        samples: one entry per image.
        classes: the class names in order; empty without labels.
        images: where each image is.
        masks: where each mask is.
        remarks: what is worth telling.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> from plexus.data import open_samples
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Image.new("L", (6, 4)).save(f"{folder}/a.png")
        ...     found = open_samples(folder)
        ...     len(found), found.layout, found.size(0), found.pixels(0).shape
        (1, 'images', (4, 6), (4, 6))
    """

    name: str
    where: str
    layout: str
    samples: tuple[Sample, ...]
    classes: tuple[str, ...]
    images: tuple[Place, ...]
    masks: tuple[Place | None, ...]
    remarks: Remarks = field(default_factory=Remarks)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.samples)

    @property
    def notes(self) -> tuple[str, ...]:
        """Stated treatments and files left aside, one line each; reading masks may add to them."""
        return self.remarks.lines()

    @property
    def has_labels(self) -> bool:
        """Whether any image has a class."""
        return any(sample.label is not None for sample in self.samples)

    @property
    def has_masks(self) -> bool:
        """Whether any image has a mask."""
        return any(sample.mask is not None for sample in self.samples)

    @property
    def has_groups(self) -> bool:
        """Whether any image has a group."""
        return any(sample.group is not None for sample in self.samples)

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that images are in, train first."""
        found = {sample.split for sample in self.samples}
        return tuple(split for split in ("train", "val", "test") if split in found)

    def content(self, i: int) -> bytes:
        """Return the bytes of an image's file.

        Raises:
            UnreadableError: no such file, or no data.
        """
        return _content(self.images[i])

    def pixels(self, i: int, size: tuple[int, int] | None = None) -> Pixels:
        """Decode an image, uint8 (H, W) or (H, W, 3), resized to ``size`` (rows, columns) where given.

        Raises:
            UnreadableError: why it cannot be read, without its name.
        """
        place = self.images[i]
        if isinstance(place, Path) and _dicom.is_dicom(place):
            return to_pixels(_dicom.read_dicom(place), size)
        with quiet():
            return to_pixels(read(_source(place)), size)

    def mask_content(self, i: int) -> bytes | None:
        """Return the bytes of a mask's file; empty where an absent mask counts as empty, None where none is declared.

        Raises:
            UnreadableError: no such file, or no data.
        """
        place = self.masks[i]
        return _content(place) if place is not None else None if self.samples[i].mask is None else b""

    def mask(self, i: int) -> Mask | None:
        """Decode a mask, bool (H, W) of the image's size; None where none is declared.

        Raises:
            UnreadableError: why the mask, or the image's size, cannot be read, without a name.
        """
        place, sample = self.masks[i], self.samples[i]
        if sample.mask is None:
            return None
        if place is None:
            return np.zeros(self.size(i), bool)
        with quiet():
            try:
                mask, treatment = read_mask(_source(place))
            except UnreadableError as error:
                raise UnreadableError(f"mask {printable(sample.mask)}: {error}") from None
        size = self.size(i)
        if mask.shape != size:
            rows, columns = mask.shape
            raise UnreadableError(
                f"mask {printable(sample.mask)} is {columns}x{rows}, the image {size[1]}x{size[0]} (width x height)"
            )
        if treatment is not None:
            self.remarks.add(treatment, sample.name)
        return mask

    def size(self, i: int) -> tuple[int, int]:
        """Return an image's rows and columns, from the file's head where the format allows.

        Raises:
            UnreadableError: why it cannot be read, without its name.
        """
        place = self.images[i]
        if isinstance(place, Path) and _dicom.is_dicom(place):
            height, width = _dicom.read_dicom(place).size[::-1]
            return height, width
        with quiet(), telling():
            return upright_size(_source(place))

    def take(self, rows: Sequence[int]) -> SampleSet:
        """Return the images of some rows, in that order; the classes stay."""
        at = [int(row) for row in rows]
        return replace(
            self,
            samples=tuple(self.samples[i] for i in at),
            images=tuple(self.images[i] for i in at),
            masks=tuple(self.masks[i] for i in at),
        )


def _source(place: Place) -> Path | bytes:
    return place if isinstance(place, Path) else place.read_bytes()


def _content(place: Place) -> bytes:
    try:
        return place.read_bytes()
    except FileNotFoundError:
        raise UnreadableError("no such file") from None
    except OSError as error:
        raise UnreadableError(error.strerror or str(error)) from None
