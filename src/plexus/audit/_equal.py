"""Exact copies: images with the same pixels; and large groups of them, of which the search sees one image each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from plexus.audit._reduced import I64

if TYPE_CHECKING:
    from plexus.audit._fingerprint import Fingerprints

MANY = 8
"""Exact copies up to which all their pairs are listed; of more each is listed beside one of them."""
SEVERAL = "several splits"
"""The split of an image that stands for copies in more than one."""
ORDER = {"train": 0, "val": 1, "test": 2}
PLACE = {**ORDER, SEVERAL: len(ORDER)}
"""Split -> its place: what stands for several is of the last."""


def equal(fingerprints: Fingerprints, a: I64, b: I64) -> NDArray[np.bool_]:
    """Tell which pairs are the same file, or the same pixels in another one."""
    same: NDArray[np.bool_] = (fingerprints.digests[a] == fingerprints.digests[b]).all(1)
    same |= (fingerprints.checks[a] == fingerprints.checks[b]).all(1)
    return same


def copies(fingerprints: Fingerprints, rows: I64, apart: I64 | None = None) -> Iterator[I64]:
    """Groups of exact copies among some images, of those of one number `apart` where that is given."""
    if not len(rows):
        return
    key = fingerprints.checks[rows].view(np.int64)
    key = key if apart is None else np.column_stack([key, apart])
    _, inverse, counts = np.unique(key, axis=0, return_inverse=True, return_counts=True)
    order = np.argsort(inverse.ravel(), kind="stable")
    yield from (rows[part] for part in np.split(order, np.cumsum(counts)[:-1]) if len(part) > 1)


def large_groups(fingerprints: Fingerprints, within: I64 | None = None) -> tuple[I64, ...]:
    """Groups of more than 8 exact copies; of each first the image that the others are listed beside, then by index.

    That is one of the last split (test, val, train), with the label that most have there.

    Args:
        fingerprints: of the images.
        within: numbers of groups that no pair crosses, -1 for images without any pair; None: all are compared.
    """
    rows = np.flatnonzero(fingerprints.usable if within is None else fingerprints.usable & (within >= 0))
    found = [part for part in copies(fingerprints, rows, None if within is None else within[rows]) if len(part) > MANY]
    return tuple(hub_first(fingerprints, part) for part in sorted(found, key=lambda part: int(part[0])))


def hub_first(fingerprints: Fingerprints, rows: I64, rank: I64 | None = None) -> I64:
    """Return the same rows, first the one that stands for all: of the last split, with the label that most have there.

    Args:
        fingerprints: of the images.
        rows: of some of them.
        rank: of several the one with most; else the first.
    """
    place = [PLACE.get(str(fingerprints.splits[i]), -1) for i in rows.tolist()]
    latest = [i for i, at in zip(rows.tolist(), place, strict=True) if at == max(place)]
    labels = fingerprints.labels or (None,) * len(fingerprints)
    often = Counter(labels[i] for i in latest if labels[i] is not None)
    usual = often.most_common(1)[0][0] if often else None
    fit = [i for i in latest if labels[i] == usual]
    hub = fit[0] if rank is None else max(fit, key=lambda i: (rank[i], -i))
    return np.array([hub, *(i for i in rows.tolist() if i != hub)], np.int64)


def without_copies(fingerprints: Fingerprints, groups: Sequence[I64]) -> Fingerprints:
    """Return the same images, of which one of each group takes part."""
    if not groups:
        return fingerprints
    usable, splits = fingerprints.usable.copy(), list(fingerprints.splits)
    for rows in groups:
        usable[rows[1:]] = False
        if len({splits[i] for i in rows.tolist()}) > 1:
            splits[int(rows[0])] = SEVERAL
    few = replace(fingerprints, usable=usable, splits=tuple(splits))
    if few.registered:
        vars(few)["copies"] = fingerprints.copies  # they are the same, and large
    return few


def told(groups: Sequence[I64]) -> list[str]:
    """Say in words that not all pairs are listed."""
    if not groups:
        return []
    count, most = len(groups), max(map(len, groups))
    text = f"a group of {most:,} exact copies" if count == 1 else f"{count:,} groups of up to {most:,} exact copies"
    return [f"{text}: each copy is listed beside one of its group, not beside all others"]
