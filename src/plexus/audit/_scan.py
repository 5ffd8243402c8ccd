"""Reads all images once, in threads: hashes, checks, and whatever a fingerprint keeps of each."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from plexus.audit._cache import Cache
from plexus.errors import DataError

Rows = NDArray[Any]
SHARD = 256
"""Images after which the cache is written: what an interruption costs at most."""
READ, UNREADABLE, CONSTANT, ZERO = range(4)
TEXT = 200


class Images(Protocol):
    """What is read; a `plexus.data.SampleSet` does."""

    def __len__(self) -> int: ...

    def content(self, i: int) -> bytes:
        """The file's bytes."""

    def pixels(self, i: int) -> NDArray[np.uint8]:
        """(H, W) or (H, W, 3); `DataError` where it cannot be read."""


@dataclass(frozen=True)
class Method:
    """How one image becomes a row.

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
    checks: NDArray[np.int64]
    sizes: NDArray[np.int64]
    states: NDArray[np.int64]
    texts: list[str]


def scan(images: Images, method: Method, *, cache: Path | None, workers: int | None, progress: bool) -> Scan:
    """Hashes every file; decodes those that the cache does not know."""
    n = len(images)
    out = Scan(
        np.zeros((n, *method.shape), method.dtype),
        np.zeros((n, 32), np.uint8),
        np.zeros(n, np.int64),
        np.zeros((n, 2), np.int64),
        np.full(n, UNREADABLE),
        [""] * n,
    )
    known = Cache(cache if method.name is not None else None, f"{method.name}-1").open()

    def one(i: int) -> Rows | None:
        """The prepared image, or None where all is known."""
        try:
            content = images.content(i)
        except DataError as error:
            out.texts[i] = _line(error)
            return None
        digest = hashlib.sha256(content).digest()
        out.digests[i] = np.frombuffer(digest, np.uint8)
        del content
        if (found := known.get(digest)) is not None and found["row"].shape == method.shape:
            out.rows[i], out.checks[i], out.sizes[i] = found["row"], found["check"], found["size"]
            out.states[i], out.texts[i] = found["state"], str(found["text"])
            return None
        try:
            pixels = images.pixels(i)
        except DataError as error:
            out.texts[i] = _line(error)
            return None
        out.checks[i], out.sizes[i] = _check(pixels), pixels.shape[:2]
        low, high = int(pixels.min()), int(pixels.max())
        out.states[i] = READ if low < high else CONSTANT if high else ZERO
        return method.prepare(pixels)

    with pool(workers) as threads, bar("reading images", n, progress) as step:
        for start in range(0, n, SHARD):
            fresh: list[int] = []
            made: list[Rows] = []
            for i, row in enumerate(threads.map(one, range(start, min(start + SHARD, n))), start):
                if row is not None:
                    fresh.append(i)
                    made.append(row)
                step(1)
            if fresh:
                stack = np.stack(made)
                out.rows[fresh] = method.finish(stack) if method.finish else stack
                texts = np.array([out.texts[i][:TEXT] for i in fresh], dtype=f"U{TEXT}")
                parts = {"row": out.rows, "check": out.checks, "size": out.sizes, "state": out.states}
                known.put(out.digests[fresh], {**{k: v[fresh] for k, v in parts.items()}, "text": texts})
    return out


@contextmanager
def pool(workers: int | None) -> Iterator[ThreadPoolExecutor]:
    """Threads, one for each core that this process may use; an interruption does not wait for what is queued."""
    affinity = getattr(os, "sched_getaffinity", None)
    threads = ThreadPoolExecutor(workers or (len(affinity(0)) if affinity else os.cpu_count()))
    try:
        yield threads
    finally:
        threads.shutdown(cancel_futures=True)


@contextmanager
def bar(title: str, total: int, show: bool) -> Iterator[Callable[[int], None]]:
    """A progress bar on stderr, where that is a terminal; yields what moves it on."""
    if not show or not total:
        yield lambda count: None
        return
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task(title, total=total)
        yield lambda count: progress.advance(task, count)


def _check(pixels: NDArray[np.uint8]) -> np.int64:
    """The sum of the pixels, eight at a time: equal images have equal ones, and it costs next to nothing."""
    flat = np.ascontiguousarray(pixels).ravel()
    whole = len(flat) // 8 * 8
    with np.errstate(over="ignore"):
        return flat[:whole].view(np.int64).sum() + np.int64(flat[whole:].sum())


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
