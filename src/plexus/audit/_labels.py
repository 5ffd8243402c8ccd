"""Presence and area of the masks of a set."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from plexus.audit._cache import Cache
from plexus.audit._fingerprints import Problem
from plexus.audit._scan import SHARD, bar, pool
from plexus.data import SampleSet
from plexus.errors import DataError


@dataclass(frozen=True)
class Labels:
    """What the masks say.

    Args:
        present: whether a target is there; None without a mask.
        area: its share of the image; None without a mask.
        problems: masks that cannot be used.

    Example:
        >>> Labels(present=(True, False, None), area=(0.12, 0.0, None), problems=()).present.count(True)
        1
    """

    present: tuple[bool | None, ...]
    area: tuple[float | None, ...]
    problems: tuple[Problem, ...]


def read_labels(
    samples: SampleSet, *, cache: Path | None = None, workers: int | None = None, progress: bool = False
) -> Labels:
    """Reads every mask once, in threads; those that the cache knows are not decoded.

    Args:
        samples: the set.
        cache: a folder, or None for none.
        workers: threads; default one for each core.
        progress: show a bar where stderr is a terminal.

    Returns:
        Presence, area and problems, one for each image; a broken mask is a problem and raises nothing.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> from plexus.data import open_samples
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name, value in (("a", 90), ("a_mask", 255), ("b", 80), ("b_mask", 0)):
        ...         Image.new("L", (8, 8), value).save(f"{folder}/{name}.png")
        ...     read_labels(open_samples(folder)).area
        (1.0, 0.0)
    """
    n = len(samples)
    if not samples.has_masks:
        return Labels((None,) * n, (None,) * n, ())
    known = Cache(cache, "mask-1").open()
    digests = np.zeros((n, 32), np.uint8)
    areas: list[float | None] = [None] * n
    texts = [""] * n

    def one(i: int) -> bool:
        """Whether it was decoded anew."""
        try:
            content = samples.mask_content(i)
            key = b"" if content is None else _key(samples, i, content)
            if key and (found := known.get(key)) is not None:
                areas[i] = float(found["area"])
                return False
            mask = samples.mask(i)
        except DataError as error:
            texts[i] = " ".join(str(error).split()) or type(error).__name__
            return False
        areas[i] = None if mask is None else float(mask.mean())
        if not key or mask is None:
            return False
        digests[i] = np.frombuffer(key, np.uint8)
        return True

    with pool(workers) as threads, bar("reading masks", n, progress) as step:
        for start in range(0, n, SHARD):
            fresh = []
            for i, new in enumerate(threads.map(one, range(start, min(start + SHARD, n))), start):
                fresh += [i] if new else []
                step(1)
            known.put(digests[fresh], {"area": np.array([areas[i] for i in fresh], np.float64)})
    problems = [Problem(samples.samples[i].name, "mask", text) for i, text in enumerate(texts) if text]
    return Labels(tuple(None if area is None else area > 0 for area in areas), tuple(areas), tuple(problems))


def _key(samples: SampleSet, i: int, content: bytes) -> bytes:
    """Of the mask and of the image: a mask is only good for an image of its size."""
    return hashlib.sha256(hashlib.sha256(content).digest() + hashlib.sha256(samples.content(i)).digest()).digest()
