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
ROUNDS = 64
"""Images whose vectors are compared with all that might be their copies."""


def equal(fingerprints: Fingerprints, a: I64, b: I64) -> NDArray[np.bool_]:
    """The same file, or the same pixels in another one."""
    same = (fingerprints.digests[a] == fingerprints.digests[b]).all(1)
    checks, sizes, rows = fingerprints.checks, fingerprints.sizes, fingerprints.rows
    doubtful = np.flatnonzero(~same & (checks[a] == checks[b]) & (sizes[a] == sizes[b]).all(1))
    for p, i, j in zip(doubtful, a[doubtful], b[doubtful], strict=True):  # a network's rows are not equal to the bit
        same[p] = np.allclose(rows[i], rows[j], rtol=1e-3, atol=1e-3 * float(np.abs(rows[i]).max()))
    found: NDArray[np.bool_] = same
    return found


def large_groups(fingerprints: Fingerprints, within: I64 | None = None) -> tuple[I64, ...]:
    """Groups of more than 8 exact copies; of each first the image that the others are listed beside, then by index.

    That is one of the last split (test, val, train), with the label that most have there.

    Args:
        fingerprints: of the images.
        within: numbers of groups that no pair crosses, -1 for images without any pair; None: all are compared.
    """
    rows = np.flatnonzero(fingerprints.usable if within is None else fingerprints.usable & (within >= 0))
    apart = np.zeros(len(rows), np.int64) if within is None else within[rows]
    key = np.column_stack([fingerprints.checks[rows], fingerprints.sizes[rows], apart])
    found = [part for some in _parts(rows, key) for part in _split(fingerprints, some)]
    return tuple(hub_first(fingerprints, part) for part in sorted(found, key=lambda part: int(part[0])))


def _parts(rows: I64, key: NDArray[np.generic]) -> Iterator[I64]:
    """Rows with equal keys, where there are many."""
    if not len(rows):
        return
    _, inverse, counts = np.unique(key, axis=0, return_inverse=True, return_counts=True)
    order = np.argsort(inverse.ravel(), kind="stable")
    for part in np.split(order, np.cumsum(counts)[:-1]):
        if len(part) > MANY:
            yield rows[part]


def _split(fingerprints: Fingerprints, rows: I64) -> Iterator[I64]:
    """Those of some images with equal sums of pixels that are equal indeed, where there are many."""
    if fingerprints.registered:
        number: dict[bytes, int] = {}
        same_copy = [number.setdefault(copy.tobytes(), len(number)) for copy in fingerprints.rows[rows]]
        yield from _parts(rows, np.array(same_copy)[:, None])
        return
    for _ in range(ROUNDS):
        if len(rows) <= MANY:
            return
        same = equal(fingerprints, np.full(len(rows), rows[0]), rows)
        if same.sum() > MANY:
            yield rows[same]
        rows = rows[~same]


def hub_first(fingerprints: Fingerprints, rows: I64, rank: I64 | None = None) -> I64:
    """The same rows, first the one that stands for all: of the last split, with the label that most have there.

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
    """The same images, of which one of each group takes part."""
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
