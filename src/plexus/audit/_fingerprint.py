"""Fingerprints of a set of images: every image read once, and what near-duplicates are found by."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from plexus.audit._kinds import KINDS, method_of
from plexus.audit._poses import IDENTITY, inverse
from plexus.audit._reduced import F32, I64, U8, Copies, coarse, unit_vectors
from plexus.audit._scan import CONSTANT, READ, UNREADABLE, ZERO, Images, scan
from plexus.data import Look, SampleSet
from plexus.errors import ConfigError

if TYPE_CHECKING:
    from torch import nn

SAME = 1e-4
"""Vectors that differ by no more than that share are of one image: centred, they were noise."""
_WORDS = {CONSTANT: ("constant", "every pixel has the same value"), ZERO: ("zero", "every pixel is 0")}


@dataclass(frozen=True)
class Problem:
    """An image that cannot be used.

    Args:
        name: of the image.
        kind: ``unreadable``, ``constant``, ``zero`` or ``mask``.
        text: what is wrong, for people.

    Example:
        >>> Problem("scan 4.png", "constant", "every pixel has the same value").kind
        'constant'
    """

    name: str
    kind: str
    text: str


@dataclass(frozen=True, eq=False)
class Fingerprints:
    """A set of images as numbers that can be compared; made by `fingerprint`.

    Args:
        kind: ``thumbnail``, ``blockhist``, ``blockhist-published`` or ``embedding``.
        names: of the images, unique.
        rows: reduced copies (N, 72, 96) for thumbnails, else float32 vectors (N, D) as they were computed.
        digests: of the files' bytes, (N, 32).
        checks: digests of the pixels, (N, 16): only equal images have equal ones; of a file of several frames, of its
            bytes.
        sizes: rows and columns of the images, (N, 2); 0 where unreadable.
        usable: which images are compared: those that could be read and are not constant, (N,).
        problems: what is wrong with the others.
        groups, splits, labels: of the images, or None where not known.
        seconds: what each part of the work took.

    Example:
        >>> from plexus.audit import fingerprint
        >>> prints = fingerprint(np.random.default_rng(0).integers(0, 256, (3, 72, 96), dtype=np.uint8))
        >>> len(prints), prints.rows.shape, prints.usable.tolist()
        (3, (3, 72, 96), [True, True, True])
    """

    kind: str
    names: tuple[str, ...]
    rows: NDArray[Any]
    digests: U8
    checks: U8
    sizes: I64
    usable: NDArray[np.bool_]
    problems: tuple[Problem, ...] = ()
    groups: tuple[str | None, ...] = ()
    splits: tuple[str | None, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)
    labels: tuple[str | None, ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def copies(self) -> Copies:
        """Thumbnails, as they are and as squares."""
        return Copies(self.rows, coarse(self.rows))

    @cached_property
    def vectors(self) -> F32:
        """Unit vectors (N, D) whose dot product says how alike two images are; 0 for images that are not usable.

        Thumbnails: their cosine coefficients of 3 to 12 half-waves. Embeddings are centred
        first; histograms are not, as in the notes.
        """
        if self.registered:
            unit = unit_vectors(self.copies.squares)
        else:
            unit = np.array(self.rows, np.float32)
            if self.kind == "embedding" and self.usable.any():
                centred: F32 = unit - unit[self.usable].mean(0, dtype=np.float32)
                if np.abs(centred[self.usable]).max() > SAME * np.abs(unit[self.usable]).max():
                    unit = centred
            length = np.linalg.norm(unit, axis=1, keepdims=True)
            unit /= np.where(length > 0, length, 1)
        unit[~self.usable] = 0
        return unit

    @property
    def registered(self) -> bool:
        """True where the distance of a pair is taken after registration."""
        return self.kind == "thumbnail"

    def compare(self, a: I64, b: I64) -> tuple[F32, F32 | None]:
        """Distances of pairs (P,), and shifts in pixels (P, 2) by which b lies further down and right, or None.

        Thumbnails: 1 - correlation of their detail where they cover each other best, from the pose in which they are;
        else 1 - cosine.
        """
        if not self.registered:
            return np.maximum(1 - self.cosines(a, b, np.float64), 0).astype(np.float32), None
        from plexus.audit._align import score

        one, two = np.minimum(a, b), np.maximum(a, b)
        scores, maps = score(self.copies, self.copies, one, two, np.tile(np.array(IDENTITY.map, float), (len(a), 1)))
        maps = np.where((a > b)[:, None], inverse(maps), maps)
        return 1 - scores, self.shifts(b, maps)

    def shifts(self, b: I64, maps: NDArray[np.float64]) -> F32:
        """Shifts in pixels (P, 2) that maps (P, 6) into the images b come to at their middle."""
        return (maps[:, [0, 3]] * self.sizes[b] / 2).astype(np.float32)

    def cosines(self, a: I64, b: I64, dtype: type = np.float32) -> NDArray[Any]:
        """Dot products of the vectors of pairs, (P,)."""
        v = self.vectors
        starts = range(0, len(a), 1024)
        parts = [np.einsum("pd,pd->p", v[a[i : i + 1024]], v[b[i : i + 1024]], dtype=dtype) for i in starts]
        return np.concatenate([np.zeros(0, dtype), *parts])


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
    """Read every image once and keep what near-duplicates are found by.

    Images are taken by themselves: 16-bit values are stretched to full contrast, whatever else is in the set.

    Args:
        images: a set that `plexus.data.open_samples` gave, or arrays (H, W) or (H, W, 3), 0..255.
        kind: ``thumbnail``: a reduced copy, compared in a band of its spectrum after registration, so that gain,
            offset, noise and a few pixels of shift hardly count. ``blockhist``: the notes' histograms of blocks, by
            cosine; ``blockhist-published`` is what their code did. ``embedding``: vectors of ``model``, centred, by
            cosine.
        model: a module of the user's that takes float pixels (N, C, H, W), 0..255, and gives one tensor, flattened
            here, such as `plexus.models.efficientnet_embedding()`; or ``FILE.py:function``, which returns one and may
            be followed by ``+WEIGHTS.safetensors``; or an ``.onnx`` file.
        size: of the images for histograms (default: the most frequent one) and for the model (default: its attribute
            ``in_shape``, or 224).
        cache: a folder, or None for none; see `cache_folder`. Vectors of a module are kept where it says by its
            attribute ``cache_key`` what its weights are.
        workers: threads; default one for each core.
        progress: show bars where stderr is a terminal.

    Shape:
        N fingerprints; images that cannot be read, or are constant, are named in ``problems`` and never paired.

    Raises:
        ConfigError: an unknown kind, or a model that is missing or cannot take the images.
        RunError: an ONNX file that is missing or broken.

    Example:
        >>> speckle = np.random.default_rng(0).integers(0, 256, (3, 96, 128), dtype=np.uint8)
        >>> prints = fingerprint([*speckle, np.zeros((96, 128), np.uint8)])
        >>> len(prints), prints.vectors.shape, [p.kind for p in prints.problems]
        (4, (4, 114), ['zero'])
    """
    if kind not in KINDS:
        raise ConfigError(f"fingerprint={kind!r} is unknown; choose from {', '.join(KINDS)}")
    if (model is not None) != (kind == "embedding"):
        raise ConfigError(
            "a model and the fingerprint 'embedding' belong together: give both or none; "
            "plexus.models.efficientnet_embedding() makes one"
        )
    source: Images = images if isinstance(images, SampleSet) else _Arrays(images)
    start = time.monotonic()
    method = method_of(kind, source, model, (size, size) if isinstance(size, int) else size)
    read = scan(source, method, cache=None if cache is None else Path(cache), workers=workers, progress=progress)
    samples = images.samples if isinstance(images, SampleSet) else None
    names = tuple(s.name for s in samples) if samples else tuple(f"image {i}" for i in range(len(images)))
    problems = []
    for i in np.flatnonzero(read.states != READ).tolist():
        unreadable = read.states[i] == UNREADABLE
        problems.append(Problem(names[i], *(("unreadable", read.texts[i]) if unreadable else _WORDS[read.states[i]])))
    return Fingerprints(
        kind, names, read.rows, read.digests, read.checks, read.sizes, read.states == READ, tuple(problems),
        tuple(s.group for s in samples) if samples else (None,) * len(names),
        tuple(s.split for s in samples) if samples else (None,) * len(names),
        {"reading": time.monotonic() - start},
        tuple(s.label for s in samples) if samples else (None,) * len(names),
    )  # fmt: skip


class _Arrays:
    """Arrays as a source of images."""

    def __init__(self, arrays: Sequence[U8]) -> None:
        self.arrays = arrays

    def __len__(self) -> int:
        return len(self.arrays)

    def content(self, i: int) -> bytes:
        return repr(self.arrays[i].shape).encode() + self.arrays[i].tobytes()

    def look(self, i: int) -> Look:
        return Look(self.arrays[i])

    def tell(self, facts: I64) -> None:
        """Arrays are as they are: there is nothing to tell."""
