"""Seeded choice of images that keeps the share of every class."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from plexus.errors import DataError

Indices = NDArray[np.int64]


class Stage(IntEnum):
    """The choices; each has its own randomness, so that none of them changes another."""

    TEST = 0
    LIMIT = 1
    VAL = 2


def apportion(counts: Sequence[int], total: int, *, low: int, spare: int) -> Indices:
    r"""Share ``total`` out over classes by largest remainders, within bounds.

    Class k gets floor or ceil of :math:`t\,n_k / \sum_j n_j`, but at least ``low`` and at most :math:`n_k` - ``spare``;
    where a bound bites, the classes furthest from their share make up for it. Ties go to the first class.

    Example:
        >>> apportion([70, 20, 10], 15, low=1, spare=1).tolist()
        [11, 3, 1]
    """
    n = np.asarray(counts, np.int64)
    if (n < low + spare).any():
        raise ValueError(f"counts {n.tolist()} have no room for bounds {low} and {spare}")
    lowest, highest = np.full_like(n, low), n - spare
    total = int(np.clip(total, lowest.sum(), highest.sum()))
    ideal = total * n / n.sum()
    share = np.clip(np.floor(ideal).astype(np.int64), lowest, highest)
    while (missing := total - int(share.sum())) != 0:
        room = share < highest if missing > 0 else share > lowest
        wish = np.where(room, (ideal - share) * np.sign(missing), -np.inf)
        most = np.argsort(-wish, kind="stable")[: min(abs(missing), int(room.sum()))]
        share[most] += np.sign(missing)
    return share


def choose(labels: Indices, total: int, classes: int, seed: int, stage: Stage, *, low: int, spare: int) -> Indices:
    """Choose images at random, class by class, as `apportion` says; return indices into ``labels``, ascending."""
    share = apportion(np.bincount(labels, minlength=classes).tolist(), total, low=low, spare=spare)
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(int(stage),)))
    order = rng.permutation(len(labels))
    by_class = order[np.argsort(labels[order], kind="stable")]
    ends = np.cumsum(np.bincount(labels, minlength=classes))
    starts = ends - np.bincount(labels, minlength=classes)
    return np.sort(np.concatenate([by_class[a : a + k] for a, k in zip(starts, share, strict=True)]))


def require(labels: Indices, classes: Sequence[str], needed: Sequence[str], where: str) -> None:
    """Refuse a class with fewer images than there are splits that need one of it."""
    counts = np.bincount(labels, minlength=len(classes))
    smallest = int(counts.argmin())
    if counts[smallest] < len(needed):
        has = f"class {classes[smallest]!r} has {counts[smallest]} usable images of the {len(needed)} needed"
        raise DataError(f"{where}: {has} (one for {', '.join(needed)}): add images or remove the class")
