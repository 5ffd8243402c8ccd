"""What a set of images is compared by."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plexus.audit._reduce import U8, vectors
from plexus.audit._register import register

F32 = NDArray[np.float32]
I64 = NDArray[np.int64]


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
        rows: reduced copies (N, 72, 96) for thumbnails, else float32 vectors (N, D) as they were made.
        digests: of the files' bytes, (N, 32).
        checks: of the pixels, (N,); equal images have equal ones.
        sizes: rows and columns of the images, (N, 2); 0 where unreadable.
        usable: which images are compared: those that could be read and are not constant, (N,).
        problems: what is wrong with the others.
        groups, splits: of the images, or None where not known.
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
    checks: I64
    sizes: I64
    usable: NDArray[np.bool_]
    problems: tuple[Problem, ...] = ()
    groups: tuple[str | None, ...] = ()
    splits: tuple[str | None, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def vectors(self) -> F32:
        """Unit vectors (N, D) whose dot product says how alike two images are; 0 for images that are not usable.

        Thumbnails: the band of 3 to 10 cycles. Embeddings are centred first; histograms are not, as in the notes.
        """
        if self.kind == "thumbnail":
            made = vectors(self.rows)
        else:
            made = np.array(self.rows, np.float32)
            if self.kind == "embedding" and self.usable.any():
                made -= made[self.usable].mean(0)
            length = np.linalg.norm(made, axis=1, keepdims=True)
            made /= np.where(length > 0, length, 1)
        made[~self.usable] = 0
        return made

    @property
    def registered(self) -> bool:
        """Whether the distance of a pair is taken after registration."""
        return self.kind == "thumbnail"

    def compare(self, a: I64, b: I64) -> tuple[F32, F32 | None]:
        """Distances of pairs (P,), and shifts in pixels (P, 2) where they were registered.

        Thumbnails: 1 - correlation at the best shift, see `register`; else 1 - cosine.
        """
        if self.registered:
            distance, shift = register(self.rows, a, b)
            return distance, shift * (self.sizes[a] / self.rows.shape[1:]).astype(np.float32)
        v = self.vectors
        parts = [
            np.einsum("pd,pd->p", v[a[i : i + 1024]], v[b[i : i + 1024]], dtype=np.float64)
            for i in range(0, len(a), 1024)
        ]
        return np.maximum(1 - np.concatenate([np.zeros(0), *parts]), 0).astype(np.float32), None
