"""Read images: one in a model's shape, batches of many from anywhere, or all of a set on a few threads."""

from __future__ import annotations

import os
import sys
from collections import Counter, deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from plexus.data._decode import Pixels, UnreadableError, decode, quiet
from plexus.data._memory import places
from plexus.data._open import open_samples
from plexus.data._pixels import Fit, Size, stack, to_shape
from plexus.data._samples import Sample, SampleSet
from plexus.data._split import Indices
from plexus.errors import ConfigError, DataError, printable
from plexus.progress import bar
from plexus.record import cores

_CHUNK = 128
_LARGE_CHUNK = 8
_LARGE = 10_000  # pixels, measured: two threads are 1.5x slower at 32x32 and 1.9x faster at 512x512
_MANY = 1000
_AHEAD = 4

_T = TypeVar("_T")
Outcome = Pixels | Size | str
"""An image's pixels; its size alone, once sizes are known to differ; or why it cannot be read."""


def read_image(path: str | Path, in_shape: Sequence[int], *, fit: Fit = "squash", white: int | None = None) -> Tensor:
    """Read an image file into the shape a model was trained on.

    Decodes and resizes as `load` does with ``size``; colour becomes luminance where the model wants grey.

    Args:
        path: the image file.
        in_shape: channels (1 or 3), rows, columns.
        fit: what becomes of another aspect ratio: letterbox | crop | squash, see `resize_image`.
        white: of 16-bit images, as in the training data: see `decode`.

    Returns:
        uint8 pixels, (C, H, W), 0..255.

    Raises:
        DataError: see `decode`.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Image.new("L", (6, 4), 90).save(f"{folder}/a.png")
        ...     read_image(f"{folder}/a.png", (3, 8, 8)).shape
        torch.Size([3, 8, 8])
    """
    return torch.from_numpy(to_shape(np.asarray(decode(path, white=white)), in_shape, fit))


def located(spec: str | Path, samples: SampleSet, sample: Sample) -> str:
    """Return where an image of a place is, as the user reaches it: the path of a file, or a row of a table.

    Args:
        spec: the place, as it was named.
        samples: the set that was found there.
        sample: one of its images.

    Example:
        >>> from plexus.data import open_samples
        >>> digits = open_samples("digits")
        >>> located("digits", digits, digits.samples[3])
        'digits/row 3'
    """
    place = Path(spec)
    if place.is_file() and samples.layout != "parquet":  # one image, or a manifest, which names files beside itself
        place = place.parent
    return str(place / sample.name)


def read_batches(
    specs: str | Path | Sequence[str | Path | SampleSet],
    in_shape: Sequence[int],
    *,
    batch_size: int = 256,
    skip_unreadable: bool = False,
    fit: Fit = "squash",
    white: int | None = None,
) -> Iterator[tuple[tuple[Sample, ...], Tensor]]:
    """Read every image of some files, folders, tables or data sets into a model's shape, a batch at a time.

    Args:
        specs: an image file, folder of images, CSV or parquet table, ``digits``, hub id, or several of these, or of
            sets of samples: see `open_samples`.
        in_shape: channels (1 or 3), rows, columns.
        batch_size: images in a batch, at most.
        skip_unreadable: leave out images that cannot be read.
        fit: what becomes of another aspect ratio: letterbox | crop | squash, see `resize_image`.
        white: of 16-bit images, as in the training data; by default that of each set.

    Returns:
        Batches of samples, their names as `located` says, but in sets of samples, and pixels: uint8, (N, C, H, W).

    Raises:
        DataError: nothing there, or an image that cannot be read.
        ConfigError: nothing is named.

    Example:
        >>> samples, images = next(read_batches(["digits"], (3, 8, 8), batch_size=4))
        >>> samples[0].name, samples[0].label, images.shape
        ('digits/row 0', '0', torch.Size([4, 3, 8, 8]))
    """
    specs = places(specs)
    if not specs:
        raise ConfigError("name at least one image, folder or data set")
    channels, height, width = in_shape
    how: dict[str, Any] = {"skip_unreadable": skip_unreadable, "progress": False, "fit": fit}
    for spec in specs:
        own = isinstance(spec, SampleSet)
        samples = (spec if isinstance(spec, SampleSet) else open_samples(spec, masks=False)).scaled(white)
        with samples.telling():
            for start in range(0, len(samples), batch_size):
                rows = np.arange(start, min(start + batch_size, len(samples)))
                pixels, kept, _ = read_all(samples, rows, (height, width), channels, **how)
                if pixels:
                    named = (samples.samples[i] for i in kept.tolist())
                    batch = tuple(named if own else (replace(s, name=located(spec, samples, s)) for s in named))
                    yield batch, torch.from_numpy(stack(pixels, channels))


def read_all(
    samples: SampleSet,
    rows: Indices,
    size: Size | None,
    channels: int | None = None,
    *,
    skip_unreadable: bool,
    progress: bool = True,
    fit: Fit = "squash",
) -> tuple[list[Pixels], Indices, tuple[str, ...]]:
    """Decode some images of a set: their pixels, the rows that they are of, and ``name: reason`` for those left out.

    Raises:
        DataError: an unreadable image, images of several sizes, or more than half of the machine's memory.
    """
    pixels: list[Pixels] = []
    kept: list[int] = []
    skipped: list[str] = []
    for row, outcome in read_each(
        samples, rows, size, channels, skip_unreadable=skip_unreadable, progress=progress, fit=fit
    ):
        if isinstance(outcome, str):
            skipped.append(outcome)
        else:
            pixels.append(outcome)
            kept.append(row)
    return pixels, np.array(kept, np.int64), tuple(skipped)


def read_each(
    samples: SampleSet,
    rows: Indices,
    size: Size | None,
    channels: int | None = None,
    *,
    skip_unreadable: bool,
    progress: bool = True,
    fit: Fit = "squash",
    memory: int | None = None,
) -> Iterator[tuple[int, Pixels | str]]:
    """Decode some images of a set, in their order: each row with its pixels, or with ``name: reason`` if left out.

    Args:
        samples: the set.
        rows: which of its images.
        size, channels, fit: see `resize_image`.
        skip_unreadable: leave out what cannot be read.
        progress: count, where progress is shown.
        memory: bytes that all of them may take; by default half of the machine's.

    Raises:
        DataError: as for `read_all`.
    """
    reader = _Reader(samples, size, channels, fit, len(rows), _half_of_memory() if memory is None else memory)
    threads = min(8, cores()) if len(rows) and reader.is_large(int(rows[0])) else 1
    step = _CHUNK if threads == 1 else _LARGE_CHUNK
    jobs = [rows[i : i + step] for i in range(0, len(rows), step)]
    with quiet(), closing(_mapped(reader, jobs, threads)) as results:  # closing drops what has not begun
        shown = _shown(results, len(jobs)) if progress and len(rows) > _MANY else results
        for row, outcome in zip(rows.tolist(), (one for chunk in shown for one in chunk), strict=True):
            if isinstance(outcome, str):
                if not skip_unreadable:
                    raise DataError(
                        f"{samples.address(row)}: {outcome}: replace or remove it, or leave out such images with "
                        "--skip-unreadable"
                    )
                yield row, f"{samples.samples[row].name}: {outcome}"
                continue
            reader.see(samples.samples[row].name, outcome)
            if isinstance(outcome, np.ndarray):
                yield row, outcome
    reader.require_one_size()


@dataclass
class _Reader:
    """Reads chunks, and watches the sizes that come by."""

    samples: SampleSet
    size: Size | None
    channels: int | None
    fit: Fit
    total: int
    memory: int
    sizes: Counter[Size] = field(default_factory=Counter)
    examples: dict[Size, str] = field(default_factory=dict)

    def __call__(self, rows: Indices) -> list[Outcome]:
        return [self._one(row) for row in rows.tolist()]

    def is_large(self, row: int) -> bool:
        """Tell whether threads pay: small images are mostly Python, and threads only get in each other's way."""
        with suppress(UnreadableError):  # it is named when its turn comes
            height, width = self.samples.size(row)
            return height * width >= _LARGE
        return False

    def see(self, name: str, outcome: Pixels | Size) -> None:
        """Count the size of an image; refuse at the first one what cannot fit in memory."""
        size: Size = outcome.shape[:2] if isinstance(outcome, np.ndarray) else outcome
        if not self.sizes and isinstance(outcome, np.ndarray) and outcome.size * self.total > self.memory:
            need, have = outcome.size * self.total / 2**30, self.memory / 2**30
            raise DataError(
                f"{self.samples.where}: {self.total} images of {_text(size)} need {need:.1f} GiB of memory, "
                f"{have:.1f} may be used: pass a smaller --size, or fewer images with --limit, or a folder with --cache"
            )
        self.sizes[size] += 1
        self.examples.setdefault(size, name)

    def require_one_size(self) -> None:
        """Raise an error where images of several sizes came by."""
        if len(self.sizes) > 1:
            examples = [f"{printable(name)} is {_text(size)}" for size, name in [*self.examples.items()][:2]]
            raise DataError(
                f"{self.samples.where}: images of {len(self.sizes)} sizes: {' and '.join(examples)} (width x height): "
                f"resize all with --size, for example --size {self._example()}"
            )

    def _example(self) -> int:
        """A size to name: the power of two that every image seen so far fills, 128 at most."""
        least = min(min(size) for size in self.sizes)
        return min(128, 1 << max(3, least.bit_length() - 1))

    def _one(self, row: int) -> Outcome:
        try:
            if len(self.sizes) > 1:  # all are refused in the end: their headers tell what there is
                return self.samples.size(row)
            return self.samples.pixels(row, self.size, self.channels, self.fit)
        except UnreadableError as error:
            return " ".join(str(error).split())


def _mapped(reader: _Reader, jobs: Sequence[Indices], threads: int) -> Generator[list[Outcome], None, None]:
    if threads == 1:
        yield from map(reader, jobs)
        return
    with ThreadPoolExecutor(threads) as pool:
        # A few chunks ahead and no more: what is decoded waits in memory.
        waiting: deque[Future[list[Outcome]]] = deque()
        try:
            for job in jobs:
                waiting.append(pool.submit(reader, job))
                if len(waiting) > _AHEAD * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _shown(chunks: Iterable[_T], count: int) -> Iterator[_T]:
    """Tell the progress: of the run that is under way, or on a terminal."""
    with bar("reading images", count, sys.stderr.isatty()) as step:
        for chunk in chunks:
            yield chunk
            step()


def _text(size: Size) -> str:
    return f"{size[1]}x{size[0]}"


def _half_of_memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    except (AttributeError, OSError, ValueError):  # not on this system: let the allocation itself decide
        return sys.maxsize
