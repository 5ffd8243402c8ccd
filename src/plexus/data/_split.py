"""Seeded choice of images that keeps the share of every class, and groups together."""

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


def choose(
    labels: Indices,
    total: int,
    classes: int,
    seed: int,
    stage: Stage,
    *,
    low: int,
    spare: int,
    groups: Indices | None = None,
) -> Indices:
    """Choose images at random, class by class, as `apportion` says; return indices into ``labels``, ascending.

    With the group of every image, whole groups are chosen, and the shares are met as nearly as these allow; every class
    has at least ``low`` groups among the chosen (as far as they are free) and ``spare`` among the others.
    """
    if groups is not None:
        return _choose_groups(labels, groups, total, classes, seed, stage, low=low, spare=spare)
    share = apportion(np.bincount(labels, minlength=classes).tolist(), total, low=low, spare=spare)
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(int(stage),)))
    order = rng.permutation(len(labels))
    by_class = order[np.argsort(labels[order], kind="stable")]
    ends = np.cumsum(np.bincount(labels, minlength=classes))
    starts = ends - np.bincount(labels, minlength=classes)
    return np.sort(np.concatenate([by_class[a : a + k] for a, k in zip(starts, share, strict=True)]))


def _choose_groups(
    labels: Indices, groups: Indices, total: int, classes: int, seed: int, stage: Stage, *, low: int, spare: int
) -> Indices:
    rows, of = np.unique(groups, return_inverse=True)
    counts = np.zeros((len(rows), classes), np.int64)
    np.add.at(counts, (of, labels), 1)
    share = apportion(counts.sum(0).tolist(), total, low=low, spare=spare)
    got = np.zeros(classes, np.int64)  # images chosen, of each class
    left = (counts > 0).sum(0)  # groups of each class that are not chosen
    chosen = np.zeros(len(rows), bool)
    order = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(int(stage),))).permutation(len(rows))
    for least in (False, True):  # first what brings the shares nearer, then one group of a class that has none
        for row in order[~chosen[order]].tolist():
            here = counts[row]
            has = here > 0
            wanted = got[has] < low if least else np.abs(share - got - here).sum() < np.abs(share - got).sum()
            if np.any(wanted) and (left[has] > spare).all():
                chosen[row] = True
                got, left = got + here, left - has
    return np.flatnonzero(chosen[of])


def require(
    labels: Indices, classes: Sequence[str], needed: Sequence[str], where: str, groups: Indices | None = None
) -> None:
    """Refuse a class with fewer images, or groups of images, than there are splits that need one of it."""
    if groups is not None:
        pairs = np.unique(np.stack([labels, groups]), axis=1)[0]
        counts = np.bincount(pairs, minlength=len(classes))
        smallest = int(counts.argmin())
        if counts[smallest] < len(needed):
            has = f"class {classes[smallest]!r} has {counts[smallest]} of the {len(needed)} groups needed"
            raise DataError(
                f"{where}: {has} (one for {', '.join(needed)}): add groups, or leave them out for splits that tear them"
            )
    counts = np.bincount(labels, minlength=len(classes))
    smallest = int(counts.argmin())
    if counts[smallest] < len(needed):
        has = f"class {classes[smallest]!r} has {counts[smallest]} usable images of the {len(needed)} needed"
        raise DataError(f"{where}: {has} (one for {', '.join(needed)}): add images or remove the class")
