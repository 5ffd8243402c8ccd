"""Reading all images once, in threads: digests, and rows of a fingerprint, kept by the hash of the files' bytes.

A second run, or one that goes on after an interruption, need not decode what the cache holds.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from plexus.data import Look
from plexus.errors import ConfigError, DataError
from plexus.progress import bar
from plexus.record import atomic_write, cores

Rows = NDArray[Any]
SHARD = 256
"""Images after which the cache is written: what an interruption costs at most."""
BATCH = 32
"""Images that a network takes at once."""
READ, UNREADABLE, CONSTANT, ZERO = range(4)
TEXT = 200
"""Characters of an error that the cache keeps."""
DIGEST = "digest"
CHECK, FACTS = 16, 8
"""Bytes of a digest of pixels, and whole numbers that say what there is to tell of an image."""


class Images(Protocol):
    """A source of images, such as `plexus.data.SampleSet`."""

    def __len__(self) -> int: ...

    def content(self, i: int) -> bytes:
        """Return the file's bytes."""

    def look(self, i: int) -> Look:
        """Return the image by itself; `DataError` where it cannot be read."""

    def tell(self, facts: NDArray[np.int64]) -> None:
        """Note what is worth telling, of all images, (N, 8)."""


@dataclass(frozen=True)
class Method:
    """A way from one image to a row.

    Args:
        name: with everything that the row depends on, for the cache; None: not kept.
        shape, dtype: of a row.
        prepare: pixels to what `finish` takes, in a thread.
        finish: a stack of them to rows; None: they are rows already.
    """

    name: str | None
    shape: tuple[int, ...]
    dtype: type
    prepare: Callable[[NDArray[np.uint8]], Rows]
    finish: Callable[[Rows], Rows] | None = None


@dataclass(frozen=True, eq=False)
class Scan:
    """All images: rows, and what the reading found; `state` is one of READ, UNREADABLE, CONSTANT, ZERO."""

    rows: Rows
    digests: NDArray[np.uint8]
    checks: NDArray[np.uint8]
    sizes: NDArray[np.int64]
    states: NDArray[np.int64]
    texts: list[str]


def scan(images: Images, method: Method, *, cache: Path | None, workers: int | None, progress: bool) -> Scan:
    """Hash every file, and decode those that the cache does not know."""
    n = len(images)
    out = Scan(
        np.zeros((n, *method.shape), method.dtype),
        np.zeros((n, 32), np.uint8),
        np.zeros((n, CHECK), np.uint8),
        np.zeros((n, 2), np.int64),
        np.full(n, UNREADABLE),
        [""] * n,
    )
    facts = np.zeros((n, FACTS), np.int64)
    cached = Cache(cache if method.name is not None else None, f"{method.name}-2").open()

    def one(i: int) -> Rows | None:
        """Return the prepared image, or None where all is known."""
        try:
            content = images.content(i)
            digest = hashlib.sha256(content).digest()
            del content  # many threads: no file is held while its pixels are decoded
            out.digests[i] = np.frombuffer(digest, np.uint8)
            if (entry := cached.get(digest)) is not None and entry["row"].shape == method.shape:
                out.rows[i], out.checks[i], out.sizes[i] = entry["row"], entry["check"], entry["size"]
                out.states[i], out.texts[i], facts[i] = entry["state"], str(entry["text"]), entry["facts"]
                return None
            look = images.look(i)
        except DataError as error:
            out.texts[i] = one_line(error)
            return None
        pixels, facts[i] = look.pixels, look.facts
        out.checks[i], out.sizes[i] = np.frombuffer(_check(look, digest), np.uint8), pixels.shape[:2]
        out.states[i] = READ if not look.is_constant else CONSTANT if pixels.any() else ZERO
        return method.prepare(pixels)

    with pool(workers) as threads, bar("reading images", n, progress) as step:
        for start in range(0, n, SHARD):
            fresh: list[int] = []
            prepared: list[Rows] = []
            for i, row in enumerate(threads.map(one, range(start, min(start + SHARD, n))), start):
                if row is not None:
                    fresh.append(i)
                    prepared.append(row)
                step(1 if row is None or method.finish is None else 0)
            for j in range(0, len(fresh), BATCH):
                part = np.stack(prepared[j : j + BATCH])
                out.rows[fresh[j : j + BATCH]] = part if method.finish is None else method.finish(part)
                step(0 if method.finish is None else len(part))
            if fresh:
                texts = np.array([out.texts[i][:TEXT] for i in fresh], dtype=f"U{TEXT}")
                parts = {"row": out.rows, "check": out.checks, "size": out.sizes, "state": out.states}
                parts |= {"facts": facts}
                cached.put(out.digests[fresh], {**{k: v[fresh] for k, v in parts.items()}, "text": texts})
    images.tell(facts)  # the same, whether it was decoded now or is in the cache
    return out


@contextmanager
def pool(workers: int | None) -> Iterator[ThreadPoolExecutor]:
    """Threads, one for each core that this process may use; an interruption does not wait for what is queued."""
    threads = ThreadPoolExecutor(workers or cores())
    try:
        yield threads
    finally:
        threads.shutdown(cancel_futures=True)


def one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _check(look: Look, digest: bytes) -> bytes:
    """A digest of what an image shows: of its shape and its pixels, or 16-bit values; of several frames, of the file.

    Only the first frame is decoded, and the others may differ.
    """
    if look.has_frames:
        return digest[:CHECK]
    parts = [look.pixels] if look.values is None else [look.values]
    if look.values is not None and not look.is_wide:
        parts.append(look.pixels)  # of the same values DICOM files may show different windows
    whole = hashlib.sha256(repr([(part.shape, part.dtype.str) for part in parts]).encode())
    for part in parts:
        whole.update(np.ascontiguousarray(part).data)
    return whole.digest()[:CHECK]


def cache_folder(given: str | Path | None = None) -> Path:
    """Return the folder that was named, or plexus' own below the user's cache.

    Args:
        given: a folder, or None for the usual one.

    Returns:
        The folder; it need not be there yet.

    Raises:
        ConfigError: ~NAME of nobody.

    Example:
        >>> cache_folder("fingerprints").name, cache_folder().parts[-2:]
        ('fingerprints', ('plexus', 'audit'))
    """
    if given is not None:
        try:
            return Path(given).expanduser()
        except RuntimeError:
            raise ConfigError(f"{given}: there is no such home; name a folder for --cache") from None
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "plexus" / "audit"


class Cache:
    """Rows of arrays by digest, in files of a few hundred rows; a damaged file is as good as none.

    Args:
        folder: where all caches are, or None for none.
        kind: what the rows are computed by; another kind never reads them.
    """

    def __init__(self, folder: Path | None, kind: str) -> None:
        safe = re.sub(r"[^\w.-]", "_", kind)
        self.folder = None if folder is None else folder / safe
        self.parts: list[dict[str, Rows]] = []
        self.position: dict[bytes, tuple[int, int]] = {}

    def open(self) -> Cache:
        """Read what is there."""
        if self.folder is None or not self.folder.is_dir():
            return self
        for file in sorted(self.folder.glob("*.npz")):
            part = _read(file)
            if part is not None:
                for row, digest in enumerate(part[DIGEST]):
                    self.position[digest.tobytes()] = (len(self.parts), row)
                self.parts.append(part)
        return self

    def get(self, digest: bytes) -> dict[str, Any] | None:
        """Return one row of each array."""
        if digest not in self.position:
            return None
        part, row = self.position[digest]
        return {name: values[row] for name, values in self.parts[part].items() if name != DIGEST}

    def put(self, digests: NDArray[np.uint8], arrays: Mapping[str, Rows]) -> None:
        """Keep rows on the disk, whole or not at all; where that cannot be, do without."""
        if self.folder is None or not len(digests):
            return
        out = io.BytesIO()
        np.savez(out, **{DIGEST: digests}, **dict(arrays), allow_pickle=False)
        name = hashlib.sha256(digests.tobytes()).hexdigest()[:32]
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            atomic_write(self.folder / f"{name}.npz", out.getvalue())
        except Exception:  # a full disk, a folder that may not be written: the audit itself goes on
            self.folder = None


def _read(file: Path) -> dict[str, Rows] | None:
    try:
        with np.load(io.BytesIO(file.read_bytes()), allow_pickle=False) as stored:
            part = {name: stored[name] for name in stored.files}
    except Exception:  # a damaged archive raises nearly anything
        return None
    rows = {len(values) if values.ndim else -1 for values in part.values()}
    digest = part.get(DIGEST)
    if digest is None or len(rows) != 1 or digest.shape[1:] != (32,) or digest.dtype != np.uint8:
        return None
    return part
