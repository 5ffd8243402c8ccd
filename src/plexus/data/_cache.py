"""Decoded images in a file that is mapped into memory, for sets that are larger than memory.

A set lies in `KEY.images`, its pixels one image after the other, and `KEY.json`, which is written last and holds the
digest of every block. While it is made the pixels are in `KEY.part` and the blocks that are whole in `KEY.blocks`, so
that a reading that was stopped goes on. The key is made of the files' names, sizes and times, and of all that decides
what the pixels are.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import mmap
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from plexus.data._decode import Pixels
from plexus.data._pixels import Fit, Size, stack
from plexus.data._read import read_each
from plexus.data._samples import SampleSet
from plexus.data._sources import Cell
from plexus.data._split import Indices
from plexus.errors import DataError
from plexus.record import atomic_write

SHARE = 0.25
"""A set that takes more of the free memory than this is kept in a file."""
_FORMAT = 2
_BLOCK = 256  # images that are written, and checked, at once
_KEPT = 3  # other sets that stay in the folder, the latest used


def cache_home() -> Path:
    """Return the folder of the sets where none is named: ``plexus/images`` in the user's cache, or a temporary one."""
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        home = Path(base) if base else Path.home() / ".cache"
    except RuntimeError:  # a user without a home
        home = Path(tempfile.gettempdir())
    return home / "plexus" / "images"


def is_large(size: int) -> bool:
    """Return whether so many bytes are too many to hold in memory beside a training."""
    return size > SHARE * free_memory()


def free_memory() -> int:
    """Return the bytes that can be had without swapping: of the machine, or of the container where that is less."""
    free = 2**63 - 1
    with contextlib.suppress(OSError, ValueError, IndexError):
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    with contextlib.suppress(OSError, ValueError):
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text())
        free = min(free, limit - int(Path("/sys/fs/cgroup/memory.current").read_text()))
    return max(free, 0)


@dataclass(frozen=True, eq=False)
class Mapped:
    """Images of a set in a file.

    Args:
        images: uint8, (N, C, H, W), mapped: what is read comes from the disk, and what is not leaves the memory.
        kept: the rows that they are of.
        skipped: ``name: reason`` of those that cannot be read.
        path: of the file.
        reused: it was there and whole.
        white: of its 16-bit images, where there are any.
        remarks: what was noted when they were decoded.
    """

    images: Tensor
    kept: Indices
    skipped: tuple[str, ...]
    path: Path
    reused: bool
    white: int | None = None
    remarks: tuple[Mapping[str, Any], ...] = ()

    def take(self, at: Indices) -> Tensor:
        """Return some of all images, mapped too: see `gather`."""
        return self.gather(self.images, at)

    def gather(self, images: Tensor, at: Indices) -> Tensor:
        """Return some of these images, mapped too: a part of their file, or another one without a name.

        A file without a name goes with the process that has it mapped.
        """
        if len(at) and np.array_equal(at, np.arange(at[0], at[0] + len(at))):
            return images[int(at[0]) : int(at[0]) + len(at)]
        with _told(self.path.parent), tempfile.TemporaryFile(dir=self.path.parent) as file:
            source = images.numpy()
            for i in range(0, len(at), _BLOCK):
                _write(file, source[at[i : i + _BLOCK]])
            file.flush()
            return _map(file, (len(at), *source.shape[1:]))


def read_mapped(
    samples: SampleSet, rows: Indices, size: Size | None, channels: int | None, fit: Fit, *, skip_unreadable: bool,
    folder: Path,
) -> Mapped:  # fmt: skip
    """Decode images into a file, or take them from the file of an earlier reading.

    Args:
        samples, rows, size, channels, fit, skip_unreadable: see `read_each`.
        folder: where the files are; made where it is not there.

    Raises:
        DataError: an image that cannot be read, images of several sizes, or a folder or disk that cannot take them.
    """
    with _told(folder):
        folder.mkdir(parents=True, exist_ok=True)
        key = _key(samples, rows, (size, channels, fit))
        with _alone(folder / f"{key}.lock"):
            if (whole := _whole(folder, key)) is not None:
                samples.white.value = samples.white.value or whole.white
                for remarks in whole.remarks:
                    samples.remarks.again(remarks)
                return whole
            writer = _Writer(folder, key, channels, samples)
            done = writer.resume()
            for row, outcome in read_each(
                samples, rows[done:], size, channels, fit=fit, skip_unreadable=skip_unreadable, memory=2**63 - 1
            ):
                writer.add(row, outcome)
            writer.finish(samples.white.value)
            _tidy(folder, key)
            whole = _whole(folder, key, check=False)
            assert whole is not None
            return whole


class _Writer:
    """Writes images one after the other, and after every block what it was."""

    def __init__(self, folder: Path, key: str, channels: int | None, samples: SampleSet) -> None:
        self.folder, self.key, self.samples = folder, key, samples
        self.channels: int = channels or 1
        self.fixed = channels is not None
        self.part, self.log = folder / f"{key}.part", folder / f"{key}.blocks"
        self.blocks: list[dict[str, Any]] = []
        self.images: list[Pixels] = []
        self.rows: list[int] = []
        self.skipped: list[str] = []
        self.shape: tuple[int, ...] = ()

    def resume(self) -> int:
        """Find the blocks of an earlier reading that are whole; return how many rows they are of."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError), open(self.part, "rb") as file:
            for line in self.log.read_text().splitlines():
                block = json.loads(line)
                count = int(np.prod(block["shape"]))
                if hashlib.sha256(file.read(count)).hexdigest() != block["sha256"]:
                    break
                self.blocks.append(block)
        for block in self.blocks:
            self.samples.remarks.again(block["remarks"])
        if self.blocks:
            self.shape = tuple(self.blocks[0]["shape"][1:])
            self.channels = self.shape[0]
        size = sum(int(np.prod(block["shape"])) for block in self.blocks)
        with open(self.part, "ab") as file:
            file.truncate(size)
        self.log.write_text("".join(json.dumps(block) + "\n" for block in self.blocks))
        return sum(len(block["rows"]) + len(block["skipped"]) for block in self.blocks)

    def add(self, row: int, outcome: Pixels | str) -> None:
        if isinstance(outcome, str):
            self.skipped.append(outcome)
        else:
            if outcome.ndim == 3 and self.channels == 1 and not self.fixed:
                self._widen()
            self.images.append(outcome)
            self.rows.append(row)
        if len(self.images) + len(self.skipped) >= _BLOCK:
            self.flush()

    def flush(self) -> None:
        """Write what is waiting: the pixels first, then that they are there."""
        if not self.rows and not self.skipped:
            return
        if self.images and self.shape and self.images[0].shape[:2] != self.shape[1:]:
            self.images = []  # of several sizes, which is an error in the end
            return
        names = [self.samples.samples[row].name for row in self.rows]
        block: dict[str, Any] = {"rows": self.rows, "skipped": self.skipped}
        block["remarks"] = self.samples.remarks.kept(names)
        pixels = (
            stack(self.images, self.channels) if self.images else np.empty((0, *(self.shape or (1, 1, 1))), np.uint8)
        )
        with open(self.part, "ab") as file:
            _write(file, pixels)
        block |= {"shape": list(pixels.shape), "sha256": hashlib.sha256(pixels.tobytes()).hexdigest()}
        self.shape = self.shape or (pixels.shape[1:] if len(pixels) else ())
        with open(self.log, "a") as log:
            log.write(json.dumps(block) + "\n")
        self.blocks.append(block)
        self.images, self.rows, self.skipped = [], [], []

    def _widen(self) -> None:
        """The first image in colour: greys that were written get three channels."""
        wide = self.part.with_suffix(".wide")
        with open(self.part, "rb") as old, open(wide, "wb") as new:
            for block in self.blocks:
                count, _, height, width = block["shape"]
                grey = np.frombuffer(old.read(count * height * width), np.uint8).reshape(count, 1, height, width)
                pixels = np.repeat(grey, 3, axis=1)
                _write(new, pixels)
                block |= {"shape": list(pixels.shape), "sha256": hashlib.sha256(pixels.tobytes()).hexdigest()}
        self.log.unlink(missing_ok=True)  # it speaks of the old file
        wide.replace(self.part)
        self.log.write_text("".join(json.dumps(block) + "\n" for block in self.blocks))
        self.channels, self.shape = 3, (3, *self.shape[1:]) if self.shape else ()

    def finish(self, white: int | None) -> None:
        self.flush()
        self.part.replace(self.folder / f"{self.key}.images")
        atomic_write(self.folder / f"{self.key}.json", json.dumps({"white": white, "blocks": self.blocks}))
        self.log.unlink(missing_ok=True)


def _whole(folder: Path, key: str, *, check: bool = True) -> Mapped | None:
    """Return a set that is there, once every block has the digest that was written down; None where it has not."""
    path, index = folder / f"{key}.images", folder / f"{key}.json"
    try:
        facts = json.loads(index.read_text())
        blocks = facts["blocks"]
        with open(path, "rb") as file:
            for block in blocks if check else ():
                if hashlib.sha256(file.read(int(np.prod(block["shape"])))).hexdigest() != block["sha256"]:
                    return None
            count = sum(block["shape"][0] for block in blocks)
            shape = next((block["shape"][1:] for block in blocks if block["shape"][0]), [1, 1, 1])
            images = _map(file, (count, *shape))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    with contextlib.suppress(OSError):
        os.utime(index)  # used now: see `_tidy`
    kept = np.array([row for block in blocks for row in block["rows"]], np.int64)
    skipped = tuple(line for block in blocks for line in block["skipped"])
    remarks = tuple(block["remarks"] for block in blocks)
    return Mapped(images, kept, skipped, path, check, facts["white"], remarks)


def _map(file: BinaryIO | Any, shape: tuple[int, ...]) -> Tensor:
    """Map a file of pixels; it stays mapped when it is closed and when its name is gone."""
    if not int(np.prod(shape)):
        return torch.empty(shape, dtype=torch.uint8)
    # Private and writable, as torch wants its memory; nobody writes, so that nothing is copied.
    mapped = mmap.mmap(file.fileno(), int(np.prod(shape)), access=mmap.ACCESS_COPY)
    return torch.from_numpy(np.frombuffer(mapped, np.uint8).reshape(shape))


def _write(file: Any, pixels: NDArray[np.uint8]) -> None:
    file.write(np.ascontiguousarray(pixels).data)


def _key(samples: SampleSet, rows: Indices, options: tuple[Any, ...]) -> str:
    """Name a set by its files, as far as that can be told without reading them, and by what is made of them."""
    white = () if samples.white.given is None else (samples.white.given,)
    digest = hashlib.sha256(json.dumps([_FORMAT, options, len(samples), *white]).encode())
    digest.update(np.asarray(rows, "<i8").tobytes())
    for i, (sample, source) in enumerate(zip(samples.samples, samples.images, strict=True)):
        digest.update(f"{sample.name}\0".encode(errors="surrogateescape"))
        if isinstance(source, Path):
            with contextlib.suppress(OSError, ValueError):  # it is told when it is read
                facts = source.stat()
                digest.update(f"{source}\0{facts.st_size}\0{facts.st_mtime_ns}\0".encode(errors="surrogateescape"))
        elif isinstance(source, Cell):
            with contextlib.suppress(DataError):
                digest.update(hashlib.sha256(samples.content(i)).digest())
        else:
            digest.update(source.tobytes())
    return digest.hexdigest()[:32]


def _tidy(folder: Path, key: str) -> None:
    """Take away the sets that were not used for longest, and readings that nobody went on with."""
    found = sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime, reverse=True)
    for index in [path for path in found if path.stem != key][_KEPT:]:
        for suffix in (".json", ".images", ".lock"):
            index.with_suffix(suffix).unlink(missing_ok=True)


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Wait until no other process makes the same set."""
    with open(path, "wb") as file:
        with contextlib.suppress(ImportError, OSError):  # not on this system, or on this file system
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _told(folder: Path) -> Iterator[None]:
    """Tell in one line that a folder or a disk cannot take the images."""
    try:
        yield
    except DataError:
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            free = shutil.disk_usage(folder).free / 1e9
            raise DataError(
                f"{folder}: the disk is full ({free:.1f} GB free) before all images are decoded into it: name a folder "
                "of another disk with --cache, or a smaller --size"
            ) from None
        raise DataError(
            f"{folder}: cannot keep decoded images here: {error.strerror}: name another folder with --cache"
        ) from None
