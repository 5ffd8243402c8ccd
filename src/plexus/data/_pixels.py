"""Decode many images on a few threads."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Generator, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

from plexus.data._decode import Pixels, UnreadableError, quiet, read, to_pixels, upright_size
from plexus.data._parts import Item, Source, printable
from plexus.data._split import Indices
from plexus.errors import DataError

_CHUNK = 128
_LARGE_CHUNK = 8
_LARGE = 10_000  # pixels, measured: two threads are 1.5x slower at 32x32 and 1.9x faster at 512x512
_MANY = 2000

_T = TypeVar("_T")
Shape = tuple[int, int]
Outcome = Pixels | Shape | str
"""An image's pixels; its size alone, once sizes are known to differ; or why it cannot be read."""


@dataclass
class Pool:
    """Decoded images of one split, in the source's order.

    Args:
        pixels: one (H, W) or (H, W, 3) array per image that could be read.
        rows: their rows in the source, ascending, (N,).
        labels: their class indices, (N,).
        names: their names.
    """

    pixels: list[Pixels]
    rows: Indices
    labels: Indices
    names: tuple[str, ...]


def decode_parts(
    source: Source,
    rows: Mapping[str, Indices],
    size: Shape | None,
    *,
    skip_unreadable: bool,
    memory: int | None = None,
) -> tuple[dict[str, Pool], tuple[str, ...]]:
    """Decode the chosen rows of every split.

    Args:
        source: where the images come from.
        rows: the rows wanted of each split, ascending.
        size: (rows, columns) of every image, or None to take them as they are.
        skip_unreadable: leave out what cannot be read instead of stopping.
        memory: how many bytes the images may take; None for half of the machine's.

    Returns:
        One pool per split, and ``name: reason`` for every image left out.

    Raises:
        DataError: an unreadable image, images of several sizes, or more than fits in memory.
    """
    total = sum(map(len, rows.values()))
    reader = _Reader(source, size, total, _half_of_memory() if memory is None else memory)
    threads = min(8, os.cpu_count() or 1) if total and reader.first_is_large(rows) else 1
    step = _CHUNK if threads == 1 else _LARGE_CHUNK
    jobs = [(split, rows[split][i : i + step]) for split in rows for i in range(0, len(rows[split]), step)]
    pools: dict[str, Pool] = {}
    kept: dict[str, list[int]] = {split: [] for split in rows}
    pixels: dict[str, list[Pixels]] = {split: [] for split in rows}
    skipped: list[str] = []
    with quiet(), closing(_mapped(reader, jobs, threads)) as results:  # closing drops what has not begun
        for (split, chunk), outcomes in _shown(zip(jobs, results, strict=True), len(jobs), total):
            for row, outcome in zip(chunk.tolist(), outcomes, strict=True):
                name = source.parts[split].names[row]
                if not isinstance(outcome, str):
                    reader.see(name, outcome)
                elif skip_unreadable:
                    skipped.append(f"{name}: {outcome}")
                    continue
                else:
                    raise DataError(
                        f"{source.where}{source.join}{printable(name)}: {outcome}: replace or remove it, "
                        "or leave out such images with --skip-unreadable"
                    )
                if isinstance(outcome, np.ndarray):
                    pixels[split].append(outcome)
                    kept[split].append(row)
    reader.require_one_size()
    for split, part in source.parts.items():
        at = np.array(kept[split], np.int64)
        pools[split] = Pool(pixels[split], at, part.labels[at], tuple(part.names[row] for row in kept[split]))
        if not len(at):
            raise DataError(f"{source.where}: no image of the {split} split can be read: replace the images")
    return pools, tuple(skipped)


def stack(pixels: Sequence[Pixels], channels: int) -> Pixels:
    """Return (N, C, H, W) of arrays (H, W) or (H, W, 3); grey ones are repeated over the channels."""
    out = np.empty((len(pixels), channels, *pixels[0].shape[:2]), np.uint8)
    for target, image in zip(out, pixels, strict=True):
        target[:] = image if image.ndim == 2 else image.transpose(2, 0, 1)
    return out


@dataclass
class _Reader:
    """Reads chunks, and watches the sizes that come by."""

    source: Source
    size: Shape | None
    total: int
    memory: int
    sizes: Counter[Shape] = field(default_factory=Counter)
    examples: dict[Shape, str] = field(default_factory=dict)

    def __call__(self, split: str, rows: Indices) -> list[Outcome]:
        return [self._one(item) for item in self.source.parts[split].fetch(rows)]

    def first_is_large(self, rows: Mapping[str, Indices]) -> bool:
        """Say whether threads pay: small images are mostly Python, and threads only get in each other's way."""
        split = next(split for split in rows if len(rows[split]))
        (item,) = self.source.parts[split].fetch(rows[split][:1])
        with quiet(), suppress(Exception):  # an unreadable image is named when its turn comes
            if isinstance(item, Path | bytes):
                height, width = upright_size(item)
                return height * width >= _LARGE
        return False

    def see(self, name: str, outcome: Pixels | Shape) -> None:
        """Count the size of an image; refuse at the first one what cannot fit in memory."""
        shape: Shape = outcome.shape[:2] if isinstance(outcome, np.ndarray) else outcome
        if not self.sizes and isinstance(outcome, np.ndarray) and outcome.size * self.total > self.memory:
            need, have = outcome.size * self.total / 2**30, self.memory / 2**30
            raise DataError(
                f"{self.source.where}: {self.total} images of {_text(shape)} need {need:.1f} GiB of memory, "
                f"{have:.1f} may be used: pass a smaller --size, or fewer images with --limit"
            )
        self.sizes[shape] += 1
        self.examples.setdefault(shape, name)

    def require_one_size(self) -> None:
        """Raise an error where images of several sizes came by."""
        if len(self.sizes) > 1:
            examples = [f"{printable(name)} is {_text(shape)}" for shape, name in [*self.examples.items()][:2]]
            raise DataError(
                f"{self.source.where}: images of {len(self.sizes)} sizes: {' and '.join(examples)} (width x height): "
                "resize all with --size, for example --size 32"
            )

    def _one(self, item: Item) -> Outcome:
        try:
            if item is None:
                raise UnreadableError("no image data")
            if len(self.sizes) > 1 and isinstance(item, Path | bytes):
                return upright_size(item)
            return to_pixels(Image.fromarray(item) if isinstance(item, np.ndarray) else read(item), self.size)
        except UnreadableError as error:
            return " ".join(str(error).split())


def _mapped(reader: _Reader, jobs: Sequence[tuple[str, Indices]], threads: int) -> Generator[list[Outcome], None, None]:
    if threads == 1:
        yield from (reader(*job) for job in jobs)
        return
    with ThreadPoolExecutor(threads) as pool:
        yield from pool.map(lambda job: reader(*job), jobs)


def _shown(chunks: Iterable[_T], count: int, images: int) -> Iterable[_T]:
    """Draw a progress bar on a terminal where the images are many."""
    if images <= _MANY or not sys.stderr.isatty():
        return chunks
    from rich.console import Console
    from rich.progress import track

    return track(chunks, "Reading images", total=count, console=Console(stderr=True), transient=True)


def _text(shape: Shape) -> str:
    return f"{shape[1]}x{shape[0]}"


def _half_of_memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    except (AttributeError, OSError, ValueError):  # not on this system: let the allocation itself decide
        return sys.maxsize
