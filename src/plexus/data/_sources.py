"""The places of images: files, cells of a table, finished pixels; read when asked for, 16 bits on one scale."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from plexus.data._decode import Pixels, UnreadableError, highest, quiet
from plexus.data._remarks import Remarks
from plexus.data._wide import WIDEST, white_of
from plexus.record import read_file


@dataclass(frozen=True, eq=False, slots=True)
class Cell:
    """One cell of an arrow column, of bytes or of Hugging Face's bytes and path; asked for only when it is read.

    With `files` the table may name files, rather than hold their bytes.
    """

    column: Any
    row: int
    files: bool = False

    def read(self) -> Path | bytes:
        """Return the bytes, or the path of a file where the table may name one."""
        cell = self.column[self.row].as_py()
        content, path = (cell.get("bytes"), cell.get("path")) if isinstance(cell, dict) else (cell, None)
        if content is not None:
            return bytes(content)
        if self.files and path and Path(path).is_absolute():
            return Path(path)
        raise UnreadableError("no image data")


Source = Path | Cell | Pixels
"""The place of an image: a file, a cell of a table, or finished pixels."""


class Joined(NamedTuple):
    """Several masks of one image, which are taken together: a pixel is inside where any of them says so."""

    parts: tuple[Path, ...]


Masked = Source | Joined
"""The place of a mask, or of several."""


class White:
    """The value that is white in the 16-bit images of a set: the largest of 8, 10, 12, 14 or 16 bits that they need.

    Cameras and scanners leave the upper bits of 16 empty. It is found when a 16-bit image is first read, from all of
    the set, so that all are scaled alike; threads may ask at once.

    Args:
        images: the place of each image.
        remarks: gets a line where white is not 65535.
        value: where it is known already, as that of a run's training is.
    """

    def __init__(self, images: Sequence[Source] = (), remarks: Remarks | None = None, value: int | None = None) -> None:
        self._images, self._remarks, self._lock = tuple(images), remarks, threading.Lock()
        self.value = self.given = value

    def __call__(self) -> int:
        """Return it; read all 16-bit images where that was not done yet."""
        with self._lock:
            if self.value is None:
                highest = 0
                for source in self._images:
                    if white_of(highest := max(highest, _highest(source))) == WIDEST:
                        break
                self._set(highest)
            assert self.value is not None
            return self.value

    def learn(self, highest: int) -> None:
        """Take it from the highest value of all images, where it is not known yet; 0: none has 16 bits."""
        with self._lock:
            if self.value is None and highest:
                self._set(highest)

    def _set(self, highest: int) -> None:
        self.value = white_of(highest) if highest else WIDEST
        if self._remarks is not None and self.value != WIDEST:
            bits = self.value.bit_length()
            self._remarks.state(f"16-bit images hold values up to {highest}: scaled as {bits} bits")

    def __reduce__(self) -> tuple[type[White], tuple[tuple[Source, ...], None, int | None]]:
        """Pickle without the lock."""
        return White, (self._images, None, self.value)


def _highest(source: Source) -> int:
    """Return the largest value of a 16-bit image, and 0 for any other or one that cannot be read."""
    if isinstance(source, np.ndarray):
        return 0
    with quiet(), suppress(UnreadableError, OSError):
        return highest(open_source(source))  # type: ignore[arg-type]
    return 0


def open_source(source: Source) -> Path | bytes | Pixels:
    """Return the path, the bytes or the pixels of a source."""
    return source.read() if isinstance(source, Cell) else source


def source_file(source: Source) -> Path | bytes:
    """Return the path or the bytes of a mask, which is never finished pixels."""
    opened = open_source(source)
    assert not isinstance(opened, np.ndarray), "masks are files"
    return opened


def source_bytes(source: Source) -> bytes:
    """Return what a digest of a source is taken of: its file's bytes, or shape and pixels.

    Raises:
        UnreadableError: the file cannot be read, or a cell holds no image.
    """
    opened = open_source(source)
    if isinstance(opened, np.ndarray):
        return repr(opened.shape).encode() + opened.tobytes()
    if isinstance(opened, bytes):
        return opened
    try:
        return read_file(opened)
    except FileNotFoundError:
        raise UnreadableError("no such file") from None
    except (OSError, ValueError) as error:  # a path may hold what no file system takes
        raise UnreadableError(getattr(error, "strerror", None) or str(error)) from None
