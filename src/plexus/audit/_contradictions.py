"""Near-duplicates that are labelled differently."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from plexus.audit._labels import Labels, read_labels
from plexus.audit._near import NearDuplicates
from plexus.data import SampleSet
from plexus.errors import ConfigError, DataError

MIN_DICE = 0.5
ANY = NDArray[np.bool_]


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
    kind: str
    dice: float | None = None


def contradictions(
    samples: SampleSet, near: NearDuplicates, *, min_dice: float = MIN_DICE, labels: Labels | None = None
) -> tuple[Contradiction, ...]:
    """Compares the labels of every near-duplicate pair: classes, presence of the target, overlap of the masks.

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
    found, _ = compared(samples, near, min_dice=min_dice, labels=labels)
    return found


def check_dice(min_dice: float) -> None:
    if not 0 <= min_dice <= 1:
        raise ConfigError(f"min_dice={min_dice:g}: give a Dice of 0 to 1")


def compared(
    samples: SampleSet, near: NearDuplicates, *, min_dice: float, labels: Labels | None = None
) -> tuple[tuple[Contradiction, ...], list[float | None]]:
    """The contradictions, and the Dice of every pair in which both masks hold something."""
    check_dice(min_dice)
    labels = read_labels(samples) if labels is None else labels
    found: list[Contradiction] = []
    overlaps: list[float | None] = []
    for pair, (a, b) in enumerate(zip(near.a.tolist(), near.b.tolist(), strict=True)):
        shift = None if near.shift is None else near.shift[pair]
        overlap = _overlap(samples, a, b, shift) if labels.present[a] and labels.present[b] else None
        overlaps.append(overlap)
        one, two = samples.samples[a].label, samples.samples[b].label
        if one is not None and two is not None and one != two:
            found.append(Contradiction(a, b, pair, "class", overlap))
        elif {labels.present[a], labels.present[b]} == {True, False}:
            found.append(Contradiction(a, b, pair, "presence"))
        elif overlap is not None and overlap < min_dice:
            found.append(Contradiction(a, b, pair, "overlap", overlap))
    return tuple(found), overlaps


def _overlap(samples: SampleSet, a: int, b: int, shift: NDArray[np.float32] | None) -> float | None:
    """Dice of two masks, the second moved back by the shift of its image."""
    try:
        one, two = samples.mask(a), samples.mask(b)
    except DataError:  # it could be read a moment ago
        return None
    if one is None or two is None:
        return None
    if two.shape != one.shape:
        two = np.asarray(Image.fromarray(two).resize((one.shape[1], one.shape[0]), Image.Resampling.NEAREST))
    if shift is not None:
        two = moved(two, -round(float(shift[0])), -round(float(shift[1])))
    return float(2 * (one & two).sum() / max(int(one.sum()) + int(two.sum()), 1))


def moved(mask: ANY, down: int, right: int) -> ANY:
    """A mask moved by whole pixels; False comes in.

    Example:
        >>> moved(np.eye(3, dtype=bool), 0, 1).astype(int).tolist()
        [[0, 1, 0], [0, 0, 1], [0, 0, 0]]
    """
    out = np.zeros_like(mask)
    high, wide = mask.shape
    rows, columns = max(0, high - abs(down)), max(0, wide - abs(right))
    top, left = max(0, down), max(0, right)
    out[top : top + rows, left : left + columns] = mask[max(0, -down) :, max(0, -right) :][:rows, :columns]
    return out
