"""Masks and labels: presence and area of every target, and near-duplicates that are labelled differently."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from plexus.audit._fingerprint import Problem
from plexus.audit._near import NearDuplicates
from plexus.audit._scan import SHARD, Cache, bar, one_line, pool
from plexus.data import SampleSet
from plexus.errors import ConfigError, DataError

MIN_DICE = 0.5
BOOL = NDArray[np.bool_]


@dataclass(frozen=True)
class Labels:
    """Presence and area of the targets in a set, as the masks tell them.

    Args:
        present: True where a target is there; None without a mask.
        area: its fraction of the image; None without a mask.
        problems: masks that cannot be used.

    Example:
        >>> Labels(present=(True, False, None), area=(0.12, 0.0, None), problems=()).present.count(True)
        1
    """

    present: tuple[bool | None, ...]
    area: tuple[float | None, ...]
    problems: tuple[Problem, ...]


@dataclass(frozen=True)
class Contradiction:
    """Two images that are nearly the same and are said to show different things.

    Args:
        a, b: indices of the images.
        pair: index of the pair.
        kind: ``class``; ``presence``: one mask is empty; ``overlap``: the masks lie elsewhere.
        dice: of the masks, where both hold something.

    Example:
        >>> Contradiction(a=3, b=17, pair=0, kind="presence").dice is None
        True
    """

    a: int
    b: int
    pair: int
    kind: Literal["class", "presence", "overlap"]
    dice: float | None = None


def read_labels(
    samples: SampleSet, *, cache: Path | None = None, workers: int | None = None, progress: bool = False
) -> Labels:
    """Read every mask once, in threads; those that the cache knows are not decoded.

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
    cached = Cache(cache, "mask-2").open()
    digests = np.zeros((n, 32), np.uint8)
    areas: list[float | None] = [None] * n
    told = np.zeros(n, np.int64)
    texts = [""] * n

    def one(i: int) -> bool:
        """True where it was decoded anew."""
        try:
            content = samples.mask_content(i)
            key = b"" if content is None else _key(samples, i, content)
            if key and (entry := cached.get(key)) is not None:
                areas[i] = float(entry["area"])
                samples.tell_of_mask(i, int(entry["told"]))
                return False
            mask = samples.mask(i)
            told[i] = samples.told_of_mask(i)
        except DataError as error:
            texts[i] = one_line(error)
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
            cached.put(digests[fresh], {"area": np.array([areas[i] for i in fresh], np.float64), "told": told[fresh]})
    problems = [Problem(samples.samples[i].name, "mask", text) for i, text in enumerate(texts) if text]
    return Labels(tuple(None if area is None else area > 0 for area in areas), tuple(areas), tuple(problems))


def _key(samples: SampleSet, i: int, content: bytes) -> bytes:
    """Hash of the mask and of the image: a mask is only good for an image of its size."""
    parts = hashlib.sha256(content).digest() + hashlib.sha256(samples.content(i)).digest()
    # several masks that are joined, and ignored values, make another mask of the same bytes
    joined = isinstance(samples.masks[i], tuple)
    rest = b"" if samples.ignore is None and not joined else f"{samples.ignore} {joined}".encode()
    return hashlib.sha256(parts + rest).digest()


def contradictions(
    samples: SampleSet, near: NearDuplicates, *, min_dice: float = MIN_DICE, labels: Labels | None = None
) -> tuple[Contradiction, ...]:
    """Compare the labels of every sure near-duplicate pair: classes, presence of the target, overlap of the masks.

    Args:
        samples: the set that the pairs are of.
        near: of `near_duplicates`.
        min_dice: masks of a pair that overlap less contradict each other; 0: overlap is not looked at.
        labels: of `read_labels`, where they were read before.

    Returns:
        One for each pair that contradicts itself.

    Raises:
        ConfigError: ``min_dice`` is not in 0..1.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> from plexus.audit import fingerprint, near_duplicates
        >>> from plexus.data import open_samples
        >>> speckle = np.random.default_rng(0).integers(0, 256, (2, 72, 96), dtype=np.uint8)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for i, value in enumerate((255, 255, 0)):  # the third is the first again, and said to be empty
        ...         Image.fromarray(speckle[i % 2]).save(f"{folder}/{i}.png")
        ...         Image.new("L", (96, 72), value).save(f"{folder}/{i}_mask.png")
        ...     samples = open_samples(folder)
        ...     near = near_duplicates(fingerprint(samples))
        ...     contradictions(samples, near)
        (Contradiction(a=0, b=2, pair=0, kind='presence', dice=None),)
    """
    return compare_labels(samples, near, min_dice=min_dice, labels=labels)[0]


def check_dice(min_dice: float) -> None:
    if not 0 <= min_dice <= 1:
        raise ConfigError(f"min_dice={min_dice:g}: give a Dice of 0 to 1")


def compare_labels(
    samples: SampleSet, near: NearDuplicates, *, min_dice: float, labels: Labels | None = None
) -> tuple[tuple[Contradiction, ...], list[float | None]]:
    """Return the contradictions, and the Dice of every pair in which both masks hold something."""
    check_dice(min_dice)
    labels = read_labels(samples) if labels is None else labels
    contradictory: list[Contradiction] = []
    overlaps: list[float | None] = []
    for pair, (a, b) in enumerate(zip(near.a.tolist(), near.b.tolist(), strict=True)):
        pose = None if near.maps is None else near.maps[pair]
        overlap = _overlap(samples, a, b, pose) if labels.present[a] and labels.present[b] else None
        overlaps.append(overlap)
        if not near.sure[pair]:
            continue
        one, two = samples.samples[a].label, samples.samples[b].label
        if one is not None and two is not None and one != two:
            contradictory.append(Contradiction(a, b, pair, "class", overlap))
        elif {labels.present[a], labels.present[b]} == {True, False}:
            contradictory.append(Contradiction(a, b, pair, "presence"))
        elif overlap is not None and overlap < min_dice:
            contradictory.append(Contradiction(a, b, pair, "overlap", overlap))
    return tuple(contradictory), overlaps


def _overlap(samples: SampleSet, a: int, b: int, pose: NDArray[np.float64] | None) -> float | None:
    """Dice of two masks where the images cover each other, the second one brought onto the first by the pair's map."""
    try:
        (one, skip), (two, skipped) = samples.mask_and_ignored(a), samples.mask_and_ignored(b)
    except DataError:  # it could be read a moment ago
        return None
    if one is None or two is None:
        return None
    pose = np.array([0, 1, 0, 0, 0, 1.0]) if pose is None else pose
    moved, inside = _moved(two, one.shape, pose)
    if skip is not None:
        inside &= ~skip
    if skipped is not None:
        inside &= ~_moved(skipped, one.shape, pose)[0]
    one, moved = one & inside, moved & inside
    return float(2 * (one & moved).sum() / max(int(one.sum()) + int(moved.sum()), 1))


def _moved(mask: BOOL, shape: tuple[int, ...], pose: NDArray[np.float64]) -> tuple[BOOL, BOOL]:
    """A mask at the points that an affine map takes a grid of this shape to, nearest; and which lie inside."""
    y, x = ((2 * np.arange(n) + 1) / n - 1 for n in shape)
    rows = np.floor((pose[0] + pose[1] * y[:, None] + pose[2] * x + 1) * mask.shape[0] / 2 + 1e-6).astype(np.int64)
    columns = np.floor((pose[3] + pose[4] * y[:, None] + pose[5] * x + 1) * mask.shape[1] / 2 + 1e-6).astype(np.int64)
    inside: BOOL = (rows >= 0) & (rows < mask.shape[0]) & (columns >= 0) & (columns < mask.shape[1])
    sampled = mask[rows.clip(0, mask.shape[0] - 1), columns.clip(0, mask.shape[1] - 1)]
    return sampled & inside, inside
