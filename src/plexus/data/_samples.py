"""Images with what is said of them: a class, a mask, a group, a split; found, but not yet decoded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from plexus.data._decode import Pixels, UnreadableError, header, is_constant, quiet, read
from plexus.data._mask_file import Drawn, Mask, read_mask
from plexus.data._pixels import Fit, resize_image, to_pixels
from plexus.data._remarks import FRAMES, OF_IMAGES, OF_MASKS, TURNED, Remarks, few_levels, from_bits, to_bits
from plexus.data._sources import Joined, Masked, Source, White, open_source, source_bytes, source_file
from plexus.data._wide import WHITES, depth, is_poor, levels, scaled, stretched
from plexus.errors import plural, printable
from plexus.progress import current


@dataclass(frozen=True)
class Sample:
    """One image, as it is named.

    Args:
        name: the path below the data folder, or ``row 17``; no two are equal.
        label: its class.
        mask: the name of its mask; empty where there is none and the image therefore counts as empty.
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


class Entry(NamedTuple):
    """A sample with the places of its image and its mask."""

    sample: Sample
    image: Source
    mask: Masked | None = None


class Look(NamedTuple):
    """An image looked at by itself, whatever else is in its set; made by `SampleSet.look`.

    Args:
        pixels: uint8, (H, W) or (H, W, 3); 16-bit values stretched so that they are constant only where the values are.
        values: as they are in the file, where pixels alone do not tell them, or None.
        facts: 8 whole numbers that `SampleSet.tell` takes: how it was read, and how deep its values are.

    Example:
        >>> Look(np.full((4, 4, 3), (255, 0, 0), np.uint8)).is_constant, Look(np.eye(4, dtype=np.uint8)).is_constant
        (True, False)
    """

    pixels: Pixels
    values: np.ndarray[Any, Any] | None = None
    facts: tuple[int, ...] = (0,) * 8

    @property
    def is_constant(self) -> bool:
        """True where all pixels are equal, also in colour."""
        return is_constant(self.pixels)

    @property
    def is_wide(self) -> bool:
        """True where the values have 16 bits and tell the pixels."""
        return self.facts[2] > 0

    @property
    def has_frames(self) -> bool:
        """True where the file holds more frames than this one."""
        return FRAMES in from_bits(self.facts[0], OF_IMAGES)


@dataclass(frozen=True, eq=False)
class SampleSet:
    """Images found but not yet decoded; every method that reads may run in several threads at once.

    Args:
        name: a short name for people.
        where: what the user called it; begins every message.
        layout: ``classes``, ``pairs``, ``folders``, ``manifest``, ``parquet``, ``hub``, ``arrays`` or ``images``.
        samples: one entry per image.
        classes: the class names in order; empty without labels.
        images: the place of each image: a file, a cell of a table, or uint8 pixels (H, W) or (H, W, 3).
        masks: the place of each mask; of an image with several masks all places.
        remarks: what is worth telling.
        white: of its 16-bit images.
        left_out: ``name: reason`` for each file that is an image of a format that is not read.
        ignore: the value in masks that says neither inside nor outside, or None.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> from plexus.data import open_samples
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Image.new("L", (6, 4)).save(f"{folder}/a.png")
        ...     samples = open_samples(folder)
        ...     len(samples), samples.layout, samples.size(0), samples.pixels(0).shape
        (1, 'images', (4, 6), (4, 6))
    """

    name: str
    where: str
    layout: str
    samples: tuple[Sample, ...]
    classes: tuple[str, ...]
    images: tuple[Source, ...]
    masks: tuple[Masked | None, ...]
    remarks: Remarks = field(default_factory=Remarks)
    white: White = field(default_factory=White)
    left_out: tuple[str, ...] = ()
    ignore: int | None = None

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.samples)

    @property
    def notes(self) -> tuple[str, ...]:
        """Stated treatments and files left aside, one line each; reading masks may add to them."""
        return self.remarks.lines()

    @contextmanager
    def telling(self, tell: Callable[[str], None] | None = None) -> Iterator[None]:
        """Tell at the end what is noted while images are read inside, for verbs that show no notes of a record.

        Args:
            tell: called with each line; by default the progress that is under way says it.
        """
        before = self.notes
        try:
            yield
        except GeneratorExit:  # of a reader that was asked for its first images only
            self._tell_since(before, tell)
            raise
        self._tell_since(before, tell)

    def _tell_since(self, before: tuple[str, ...], tell: Callable[[str], None] | None) -> None:
        for line in self.notes:
            if line not in before:
                (tell or current().say)(line if tell else f"note    {line}")

    @property
    def has_labels(self) -> bool:
        """True where any image has a class."""
        return any(sample.label is not None for sample in self.samples)

    @property
    def has_masks(self) -> bool:
        """True where any image has a mask."""
        return any(sample.mask is not None for sample in self.samples)

    @property
    def has_groups(self) -> bool:
        """True where any image has a group."""
        return any(sample.group is not None for sample in self.samples)

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that images are in, train first."""
        named = {sample.split for sample in self.samples}
        return tuple(split for split in ("train", "val", "test") if split in named)

    @property
    def torn_groups(self) -> tuple[str, ...]:
        """The groups that are in several of the splits that the data brings; what is in none is for training."""
        splits: dict[str, set[str]] = {}
        for sample in self.samples:
            if sample.group is not None:
                splits.setdefault(sample.group, set()).add(sample.split or "train")
        return tuple(group for group, held in splits.items() if len(held) > 1)

    @property
    def groups_told(self) -> str:
        """One line for people: the number of groups, and of those that the data's own splits tear."""
        named = [sample.group for sample in self.samples]
        text = plural(len(set(named) - {None}) + named.count(None), "group")  # an image without is one by itself
        if torn := self.torn_groups:
            return f"{text}, {len(torn):,} of them in several of the data's own splits (first: {printable(torn[0])})"
        return f"{text}, each in one split"

    @property
    def summary(self) -> str:
        """One line for people: what was read as what, and what was left out."""
        labels = Counter(sample.label for sample in self.samples if sample.label is not None)
        parts = [f"{self.where}: {plural(len(self), 'image')} {_LAYOUTS.get(self.layout, '')}".rstrip()]
        parts += [f"{plural(len(labels), 'class', 'classes')} ({few(labels)})"] if labels else []
        if splits := Counter(sample.split for sample in self.samples if sample.split is not None):
            parts.append(f"splits {', '.join(f'{name} {splits[name]:,}' for name in self.splits)}")
        if masked := sum(bool(sample.mask) for sample in self.samples):
            parts.append(f"{masked:,} with a mask")
        if groups := len({sample.group for sample in self.samples if sample.group is not None}):
            parts.append(plural(groups, "group"))
        return "; ".join([*parts, *self.notes])

    def address(self, i: int) -> str:
        """Return what a message calls an image: its name below ``where``, on one line."""
        name = printable(self.samples[i].name)
        if self.layout in ("manifest", "parquet", "hub", "arrays"):
            return f"{self.where}, {name}"
        return f"{self.where}/{name}" if len(self.samples) > 1 or not self.where.endswith(name) else self.where

    def content(self, i: int) -> bytes:
        """Return the bytes of an image's file; of an array its shape and its pixels.

        Raises:
            UnreadableError: no such file, or no data.
        """
        return source_bytes(self.images[i])

    def pixels(
        self, i: int, size: tuple[int, int] | None = None, channels: int | None = None, fit: Fit = "squash"
    ) -> Pixels:
        """Decode an image, uint8 (H, W) or (H, W, 3).

        Args:
            i: which image.
            size: rows and columns to resize to, see `resize_image`; None keeps its own.
            channels: 1 makes colours grey.
            fit: what becomes of another aspect ratio, see `resize_image`.

        Raises:
            UnreadableError: why it cannot be read, without its name.
        """
        source = open_source(self.images[i])
        if isinstance(source, np.ndarray):
            return resize_image(source, size, channels, fit)
        with quiet():
            reading = read(source, lambda _: scaled(self.white()))
        for treatment in reading.treatments:
            self.remarks.add(treatment, self.samples[i].name)
        if (counts := reading.counts) is not None:
            white = self.white()
            if is_poor(levels(counts, white), int(np.count_nonzero(counts))):
                self.remarks.add(few_levels(white), self.samples[i].name)
        return to_pixels(reading.image, size, channels, fit)

    def look(self, i: int) -> Look:
        """Decode an image by itself, at its own size, as audits do: what comes depends on its file alone.

        Args:
            i: which image.

        Raises:
            UnreadableError: why it cannot be read, without its name.
        """
        source = open_source(self.images[i])
        if isinstance(source, np.ndarray):
            return Look(source)
        with quiet():
            reading = read(source, stretched)
        deep = (0,) * 7 if reading.counts is None else depth(reading.counts)
        return Look(np.asarray(reading.image), reading.values, (to_bits(reading.treatments, OF_IMAGES), *deep))

    def tell(self, facts: Sequence[Sequence[int]] | np.ndarray[Any, Any]) -> None:
        """Note what `pixels` would note, from what `look` found now or at an earlier time.

        Args:
            facts: of all images, (N, 8).
        """
        rows = np.asarray(facts, np.int64).reshape(-1, 8)
        self.white.learn(int(rows[:, 1].max(initial=0)))
        white = self.white.value
        for i in np.flatnonzero(rows.any(1)).tolist():
            name = self.samples[i].name
            for treatment in from_bits(int(rows[i, 0]), OF_IMAGES):
                self.remarks.add(treatment, name)
            if white in WHITES and is_poor(int(rows[i, 3 + WHITES.index(white)]), int(rows[i, 2])):
                self.remarks.add(few_levels(white), name)

    def mask_content(self, i: int) -> bytes | None:
        """Return the bytes of a mask's file; empty where an absent mask counts as empty, None where none is declared.

        Raises:
            UnreadableError: no such file, or no data.
        """
        source = self.masks[i]
        if isinstance(source, Joined):
            return b"".join(len(part).to_bytes(8, "big") + part for part in map(source_bytes, source.parts))
        return source_bytes(source) if source is not None else None if self.samples[i].mask is None else b""

    def mask(self, i: int) -> Mask | None:
        """Decode a mask, bool (H, W) of the image's size; None where none is declared.

        Of several masks of one image it is what any of them covers. What is to be ignored is not inside.

        Raises:
            UnreadableError: why the mask, or the image's size, cannot be read, without the image's name.
        """
        return self.mask_and_ignored(i)[0]

    def mask_and_ignored(self, i: int) -> tuple[Mask | None, Mask | None]:
        """Decode a mask as `mask` does, and where it says neither inside nor outside; None where that is nowhere.

        Raises:
            UnreadableError: see `mask`.
        """
        source, sample = self.masks[i], self.samples[i]
        if sample.mask is None:
            return None, None
        if source is None:
            return np.zeros(self.size(i), bool), None
        names = [sample.mask] if not isinstance(source, Joined) else [part.name for part in source.parts]
        parts = source.parts if isinstance(source, Joined) else (source,)
        read = [self._part(i, part, printable(name)) for part, name in zip(parts, names, strict=True)]
        inside = np.logical_or.reduce([part.inside for part in read])
        seen = [part.ignored for part in read if part.ignored is not None and part.ignored.any()]
        return inside, np.logical_or.reduce(seen) & ~inside if seen else None

    def told_of_mask(self, i: int) -> int:
        """Return what was noted of a mask when it was read, as one number for `tell_of_mask`."""
        return to_bits(self.remarks.of(self.samples[i].name), OF_MASKS)

    def tell_of_mask(self, i: int, told: int) -> None:
        """Note what was noted of a mask when it was read at an earlier time."""
        for treatment in from_bits(told, OF_MASKS):
            self.remarks.add(treatment, self.samples[i].name)

    def _part(self, i: int, source: Source, name: str) -> Drawn:
        """One mask of an image."""
        sample = self.samples[i]
        with quiet():
            try:
                read = read_mask(source_file(source), self.ignore)
            except UnreadableError as error:
                raise UnreadableError(f"mask {name}: {error}") from None
        mask, turned = read.inside, read.turned
        *size, image_turned = self._header(i)
        if list(mask.shape) != size:
            problem = f"mask {name} is {mask.shape[1]}x{mask.shape[0]}, the image {size[1]}x{size[0]} (width x height)"
            if image_turned and not turned and list(mask.shape) == size[::-1]:
                problem += ", which EXIF turns and the mask not: save both upright and without EXIF"
            raise UnreadableError(problem)
        for treatment in (*read.treatments, *([TURNED] if image_turned and not turned else [])):
            self.remarks.add(treatment, sample.name)
        return read

    def size(self, i: int) -> tuple[int, int]:
        """Return an image's rows and columns, from the file's head where the format allows.

        Raises:
            UnreadableError: why it cannot be read, without its name.
        """
        return self._header(i)[:2]

    def take(self, rows: Sequence[int]) -> SampleSet:
        """Return the images of some rows, in that order; the classes stay."""
        at = [int(row) for row in rows]
        return replace(
            self,
            samples=tuple(self.samples[i] for i in at),
            images=tuple(self.images[i] for i in at),
            masks=tuple(self.masks[i] for i in at),
        )

    def scaled(self, white: int | None) -> SampleSet:
        """Return the set with the white of its 16-bit images as in a training; None leaves it the set's own."""
        return self if white is None else replace(self, white=White(value=white))

    def _header(self, i: int) -> tuple[int, int, bool]:
        source = open_source(self.images[i])
        if isinstance(source, np.ndarray):
            return source.shape[0], source.shape[1], False
        with quiet():
            return header(source)


_LAYOUTS = {
    "classes": "in class folders",
    "pairs": "with masks beside them",
    "folders": "in folders of images and masks",
    "manifest": "of a table",
    "parquet": "of parquet files",
    "hub": "of the hub",
}


def few(counts: Mapping[str, int], most: int = 8) -> str:
    """Name classes with their numbers, at most so many."""
    shown = [f"{printable(name)[:40]} {counts[name]:,}" for name in sorted(counts)[:most]]
    return ", ".join([*shown, *([f"and {len(counts) - most} more"] if len(counts) > most else [])])
