"""A second look at sure pairs: what was compared is grey, and images that differ in colour alone are no copies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from plexus.audit._fingerprint import Fingerprints
from plexus.audit._near import NearDuplicates
from plexus.audit._poses import F64, IDENTITY
from plexus.audit._reduced import F32, I64, U8
from plexus.audit._scan import SHARD, Cache, bar, pool
from plexus.audit._scenes import without
from plexus.data import SampleSet
from plexus.errors import DataError, plural

ROWS, COLUMNS = 12, 16
"""Cells of an image whose mean chroma is compared."""
STRONG = 24.0
"""Chroma, of 0 to 128 and more, below which a cell counts as grey: so grey copies, and tints of lamps, are copies."""
APART = 0.5
"""Cosine of two colours below which they are different ones: hues that are 60 degrees apart."""
LEAST = 2
"""Cells in which both images have a colour below which nothing is said."""


def told_apart(
    samples: SampleSet,
    prints: Fingerprints,
    near: NearDuplicates,
    *,
    cache: Path | None = None,
    workers: int | None = None,
    progress: bool = False,
) -> NearDuplicates:
    """Return the same pairs, of which those are not sure that differ in colour where both have one.

    Args:
        samples: the set.
        prints: its fingerprints.
        near: its pairs; exact copies stay as they are.
        cache: a folder, or None for none.
        workers: threads; default one for each core.
        progress: show a bar where stderr is a terminal.
    """
    asked = np.flatnonzero(near.sure & ~near.exact)
    if not len(asked):
        return near
    images = np.unique(np.concatenate([near.a[asked], near.b[asked]]))
    chroma = _chroma(samples, prints, images, cache, workers, progress)
    place = np.zeros(len(near.names), np.int64)
    place[images] = np.arange(len(images))
    other = np.zeros(len(near), bool)
    for p in asked.tolist():
        map_ = np.array(IDENTITY.map, np.float64) if near.maps is None else near.maps[p]
        other[p] = differ(chroma[place[near.a[p]]], chroma[place[near.b[p]]], map_)
    if not other.any():
        return near
    note = f"{plural(int(other.sum()), 'pair')} of images that differ in their colours are not sure: look at them"
    return replace(
        near, sure=near.sure & ~other, expected=np.where(other, np.nan, near.expected), notes=(*near.notes, note),
        scenes=without(near.scenes, near.a[other], near.b[other]),
    )  # fmt: skip


def _chroma(
    samples: SampleSet, prints: Fingerprints, images: I64, cache: Path | None, workers: int | None, progress: bool
) -> F32:
    """Mean chroma of the cells of some images, (N, 2, 12, 16); those that the cache knows are not decoded."""
    cached, found = Cache(cache, "chroma-1").open(), np.zeros((len(images), 2, ROWS, COLUMNS), np.int8)

    def one(k: int) -> bool:
        """True where it was decoded anew."""
        i = int(images[k])
        entry = cached.get(prints.digests[i].tobytes())
        if entry is not None and entry["chroma"].shape == found.shape[1:]:
            found[k] = entry["chroma"]
            return False
        try:
            found[k] = chroma_of(samples.pixels(i))
        except DataError:  # it could be read a moment ago
            return False
        return True

    with pool(workers) as threads, bar("comparing colours", len(images), progress) as step:
        for start in range(0, len(images), SHARD):
            part = range(start, min(start + SHARD, len(images)))
            fresh = [k for k, new in zip(part, threads.map(one, part), strict=True) if new]
            cached.put(prints.digests[images[fresh]], {"chroma": found[fresh]})
            step(len(part))
    return found.astype(np.float32)


def chroma_of(pixels: U8) -> NDArray[np.int8]:
    """Mean Cb and Cr of 12 x 16 cells about grey: (H, W) or (H, W, 3) to (2, 12, 16), -128..127.

    Example:
        >>> red = np.zeros((24, 32, 3), np.uint8)
        >>> red[:, :, 0] = 255
        >>> cb, cr = chroma_of(red)[:, 0, 0].tolist()
        >>> -45 <= cb <= -42, cr, int(np.abs(chroma_of(red[:, :, 0])).max())
        (True, 127, 0)
    """
    if pixels.ndim == 2:
        return np.zeros((2, ROWS, COLUMNS), np.int8)
    image = Image.fromarray(np.ascontiguousarray(pixels)).convert("YCbCr")
    parts: Sequence[Image.Image] = [part.resize((COLUMNS, ROWS), Image.Resampling.BOX) for part in image.split()[1:]]
    return np.stack([np.asarray(part).astype(np.int16) - 128 for part in parts]).astype(np.int8)


def differ(one: F32, two: F32, map_: F64) -> bool:
    """Tell if most cells that are coloured in both images have another colour there.

    Args:
        one, two: chroma, (2, 12, 16).
        map_: from the first into the second, (6,).
    """
    y, x = ((2 * np.arange(n) + 1) / n - 1 for n in (ROWS, COLUMNS))
    rows = np.floor((map_[0] + map_[1] * y[:, None] + map_[2] * x + 1) * ROWS / 2 + 1e-6).astype(np.int64)
    columns = np.floor((map_[3] + map_[4] * y[:, None] + map_[5] * x + 1) * COLUMNS / 2 + 1e-6).astype(np.int64)
    inside = (rows >= 0) & (rows < ROWS) & (columns >= 0) & (columns < COLUMNS)
    there = two[:, rows.clip(0, ROWS - 1), columns.clip(0, COLUMNS - 1)]
    length, its_length = np.hypot(*one), np.hypot(*there)
    coloured = inside & (length >= STRONG) & (its_length >= STRONG)
    apart = coloured & ((one * there).sum(0) < APART * length * its_length)
    return bool(coloured.sum() >= LEAST and 2 * apart.sum() > coloured.sum())
