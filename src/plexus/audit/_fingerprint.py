"""Fingerprints of a set of images: read, reduce, remember."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from plexus.audit._blockhist import BINS, BLOCK, blockhist, blockhist_published
from plexus.audit._embedding import embedder
from plexus.audit._fingerprints import Fingerprints, Problem
from plexus.audit._reduce import COLUMNS, ROWS, reduced
from plexus.audit._scan import CONSTANT, READ, UNREADABLE, ZERO, Images, Method, scan
from plexus.data import SampleSet
from plexus.errors import ConfigError, DataError

if TYPE_CHECKING:
    from torch import nn

KINDS = ("thumbnail", "blockhist", "embedding", "blockhist-published")
U8 = NDArray[np.uint8]
_WORDS = {CONSTANT: ("constant", "every pixel has the same value"), ZERO: ("zero", "every pixel is 0")}


def fingerprint(
    images: SampleSet | Sequence[U8],
    kind: str = "thumbnail",
    *,
    model: nn.Module | str | Path | None = None,
    size: int | tuple[int, int] | None = None,
    cache: str | Path | None = None,
    workers: int | None = None,
    progress: bool = False,
) -> Fingerprints:
    """Reads every image once and keeps what near-duplicates are found by.

    Args:
        images: a set that `plexus.data.open_samples` gave, or arrays (H, W) or (H, W, 3), 0..255.
        kind: ``thumbnail``: a reduced copy, compared in a band of its spectrum after registration, so that gain,
            offset, noise and a few pixels of shift hardly count. ``blockhist``: the notes' histograms of blocks, by
            cosine; ``blockhist-published`` is what their code did. ``embedding``: vectors of ``model``, centred, by
            cosine.
        model: a module of the user's, FILE.py:function or an ONNX file; takes float pixels (N, C, H, W), 0..255.
        size: of the images for histograms (default: the most frequent one) and for the model (default 224).
        cache: a folder, or None for none; see `cache_folder`. Models in Python files are not cached.
        workers: threads; default one for each core.
        progress: show a bar where stderr is a terminal.

    Shape:
        N fingerprints; images that cannot be read, or are constant, are named in ``problems`` and never paired.

    Raises:
        ConfigError: an unknown kind, or a model that is missing or cannot take the images.

    Example:
        >>> speckle = np.random.default_rng(0).integers(0, 256, (3, 96, 128), dtype=np.uint8)
        >>> found = fingerprint([*speckle, np.zeros((96, 128), np.uint8)])
        >>> len(found), found.vectors.shape, [p.kind for p in found.problems]
        (4, (4, 292), ['zero'])
    """
    if kind not in KINDS:
        raise ConfigError(f"fingerprint={kind!r} is unknown; choose from {', '.join(KINDS)}")
    if (model is not None) != (kind == "embedding"):
        raise ConfigError("a model and the fingerprint 'embedding' belong together: give both or none")
    source: Images = images if isinstance(images, SampleSet) else _Arrays(images)
    start = time.monotonic()
    found = scan(
        source, _method(kind, source, model, size),
        cache=None if cache is None else Path(cache), workers=workers, progress=progress,
    )  # fmt: skip
    samples = images.samples if isinstance(images, SampleSet) else None
    names = tuple(s.name for s in samples) if samples else tuple(f"image {i}" for i in range(len(images)))
    problems = []
    for i in np.flatnonzero(found.states != READ).tolist():
        unreadable = found.states[i] == UNREADABLE
        problems.append(Problem(names[i], *(("unreadable", found.texts[i]) if unreadable else _WORDS[found.states[i]])))
    return Fingerprints(
        kind, names, found.rows, found.digests, found.checks, found.sizes, found.states == READ, tuple(problems),
        tuple(s.group for s in samples) if samples else (None,) * len(names),
        tuple(s.split for s in samples) if samples else (None,) * len(names),
        {"reading": time.monotonic() - start},
    )  # fmt: skip


def _method(kind: str, images: Images, model: Any, size: int | tuple[int, int] | None) -> Method:
    if kind == "thumbnail":
        return Method("thumbnail", (ROWS, COLUMNS), np.uint8, reduced)
    wanted = (size, size) if isinstance(size, int) else size
    if kind == "embedding":
        return _embedding(images, model, wanted)
    high, wide = wanted or _usual_size(images)
    if high < BLOCK or wide < BLOCK:
        raise DataError(f"images of {high} x {wide} pixels hold no block of {BLOCK} x {BLOCK}: use the thumbnails")
    grey = _resized((1, high, wide))
    many = high // BLOCK * (1 if kind == "blockhist-published" else wide // BLOCK) * BINS
    made: Callable[[U8], Any] = blockhist_published if kind == "blockhist-published" else blockhist
    return Method(f"{kind}-{high}x{wide}", (many,), np.float32, lambda pixels: made(grey(pixels)[0]))


def _embedding(images: Images, model: Any, size: tuple[int, int] | None) -> Method:
    """A trial on a blank image says how long the vectors are, and how many channels the model wants."""
    embed, name, shape = embedder(model)
    high, wide = size or (224, 224)
    shapes = [shape] if shape is not None else [(1, high, wide), (3, high, wide)]
    errors = []
    for each in shapes:
        try:
            width = embed(np.zeros((2, *each), np.uint8)).shape[1]
        except ConfigError as error:
            errors.append(error)
            continue
        key = None if name is None else f"embedding-{name}-{'x'.join(map(str, each))}"
        return Method(key, (width,), np.float32, _resized(tuple(each)), embed)
    raise errors[-1]


def _resized(shape: tuple[int, ...]) -> Callable[[U8], U8]:
    """Pixels to (C, H, W), C of 1 or 3."""
    channels, high, wide = shape

    def prepare(pixels: U8) -> U8:
        image = Image.fromarray(np.ascontiguousarray(pixels)).convert("L" if channels == 1 else "RGB")
        if image.size != (wide, high):
            image = image.resize((wide, high), Image.Resampling.BILINEAR)
        found = np.asarray(image)
        return found[None] if channels == 1 else np.ascontiguousarray(found.transpose(2, 0, 1))

    return prepare


def _usual_size(images: Images) -> tuple[int, int]:
    """The most frequent size among up to 50 images, spread evenly."""
    sizes: Counter[tuple[int, int]] = Counter()
    for i in np.unique(np.linspace(0, len(images) - 1, 50).astype(int)).tolist() if len(images) else []:
        try:
            high, wide = images.pixels(i).shape[:2]
        except DataError:
            continue
        sizes[high, wide] += 1
    return max(sizes, key=lambda s: (sizes[s], s)) if sizes else (420, 580)


class _Arrays:
    """Arrays as a source of images."""

    def __init__(self, arrays: Sequence[U8]) -> None:
        self.arrays = arrays

    def __len__(self) -> int:
        return len(self.arrays)

    def content(self, i: int) -> bytes:
        return repr(self.arrays[i].shape).encode() + self.arrays[i].tobytes()

    def pixels(self, i: int) -> U8:
        return self.arrays[i]
