"""The search through all poses: candidates are registered, and of each pair the pose that fits best is kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from plexus.audit._align import score
from plexus.audit._before import agreeing
from plexus.audit._equal import SEVERAL
from plexus.audit._fingerprint import Fingerprints
from plexus.audit._poses import F64, IDENTITY, KINDS, Finder, Found, composed, inverse, poses, tiled
from plexus.audit._reduced import F32, I64, Copies
from plexus.audit._scan import bar
from plexus.audit._scenes import NONE, Scenes, once, scenes

GOOD = 0.85
"""A pair with this score is not tried in further poses."""
ENLARGED = 0.05
"""More than this that one image shows larger than the other, along either side, makes a crop of it."""
UPRIGHT = 0.04
"""Less than this that the sides of one image lean in the other, some two degrees, and it is not tilted."""
SCORED = 0.5
"""Candidates of a lower score are forgotten: no threshold goes so far."""


@dataclass(frozen=True, eq=False)
class Scored:
    """Pairs a < b, each once, with their scores, the maps from a into b, and their kinds as numbers.

    `plain` are the scores that they had as they lie, 0 for pairs that were found in another pose alone.
    """

    a: I64
    b: I64
    scores: F32
    maps: F64
    kinds: I64
    plain: F32

    def chosen(self, which: NDArray[np.bool_]) -> Scored:
        return Scored(*(getattr(self, field.name)[which] for field in fields(self)))


@dataclass(frozen=True, eq=False)
class Search:
    """Findings of the search.

    Args:
        pairs: with a score that may count.
        truncated: images with more neighbours than are kept.
        compared: alignments of two images.
        scenes: groups of nearly equal images.
    """

    pairs: Scored
    truncated: int
    compared: int
    scenes: Scenes


def registered(
    fingerprints: Fingerprints,
    finder: Finder,
    kinds: tuple[str, ...],
    within: I64 | None,
    neighbours: int,
    progress: bool,
    certain: Callable[[I64, I64], NDArray[np.bool_]] | None,
) -> Search:
    """Return all pairs that come near in any pose; of scenes only those with the images that stand for them."""
    usual = np.median(fingerprints.sizes[fingerprints.usable], 0) if fingerprints.usable.any() else np.ones(2)
    tried = poses(kinds, float(usual[1] / usual[0]))
    n, truncated, compared, parts, scene = len(fingerprints), 0, 0, [], NONE
    good, copies = np.zeros(0, np.int64), fingerprints.copies
    number = scene.numbered(n)
    with bar("comparing images", n * (len(tried) + ("bordered" in kinds)), progress) as step:
        for pose in tried:
            met = _inside(finder.search(pose, step), within)
            if pose is IDENTITY and certain is not None:
                scene = scenes(fingerprints, finder.plain, met.a, met.b, certain)
                number = scene.numbered(n)
                more = [_agreeing(copies, rows) for rows in scene.groups]
                if len(scene.a):
                    a, b = once(np.concatenate([[scene.a, scene.b], *more], 1))
                    scores, maps = score(copies, copies, a, b, tiled(pose, len(a)))
                    parts.append(scored(a, b, scores, maps, pose.kind, True))
                    compared += len(a)
            met = _unknown(_apart(met, met.b, number), good, n)
            # of few images all pairs come, the unlike ones too, and none may push out another
            found, further = (met, 0) if finder.few else _fewer(fingerprints, met, neighbours)
            truncated, compared = max(truncated, further), compared + len(found.a)
            scores, maps = score(copies, copies, found.a, found.b, found.poses)
            parts.append(scored(found.a, found.b, scores, maps, found.kind, pose is IDENTITY))
            good = np.union1d(good, (parts[-1].a * n + parts[-1].b)[parts[-1].scores >= GOOD])
        if "bordered" in kinds:
            found, contents, whole, outer = finder.bordered(fingerprints.rows, step)
            found = _apart(found, whole[found.b], number)
            compared += len(found.a)
            scores, maps = score(copies, contents, found.a, found.b, found.poses)
            b = whole[found.b]
            inside = np.ones(len(b), bool) if within is None else (within[found.a] == within[b]) & (within[b] >= 0)
            maps = composed(maps, outer[found.b])
            parts.append(scored(found.a[inside], b[inside], scores[inside], maps[inside], found.kind))
    return Search(best(parts, n), truncated, compared, scene)


def _agreeing(copies: Copies, rows: I64) -> I64:
    """Pairs of a scene, (2, P), that show the same before its ground, where anything stands there."""
    hub = np.full(len(rows), rows[0])
    return rows[agreeing(copies.rows[rows], score(copies, copies, hub, rows, tiled(IDENTITY, len(rows)))[1]).T]


def _chosen(found: Found, which: NDArray[np.bool_]) -> Found:
    return found if which.all() else Found(found.a[which], found.b[which], found.poses[which], found.kind)


def _inside(found: Found, within: I64 | None) -> Found:
    """Pairs of one group, where only these are compared."""
    if within is None:
        return found
    return _chosen(found, (within[found.a] == within[found.b]) & (within[found.a] >= 0))


def _apart(found: Found, b: I64, number: I64) -> Found:
    """Pairs that are not of one scene, the second images of which are given."""
    return _chosen(found, (number[found.a] != number[b]) | (number[b] < 0))


def scored(a: I64, b: I64, scores: F32, maps: F64, kind: str, as_they_lie: bool = False) -> Scored:
    """Pairs with a score that may count, the smaller index first."""
    kept = scores >= SCORED
    a, b, maps = a[kept], b[kept], maps[kept]
    maps = np.where((a > b)[:, None], inverse(maps), maps)
    plain = scores[kept] * np.float32(as_they_lie)
    return Scored(np.minimum(a, b), np.maximum(a, b), scores[kept], maps, np.full(len(a), KINDS.index(kind)), plain)


def _unknown(found: Found, good: I64, n: int) -> Found:
    """Pairs whose score in another pose is not so good already that it needs no other."""
    if not len(good):
        return found
    new = np.flatnonzero(~np.isin(np.minimum(found.a, found.b) * n + np.maximum(found.a, found.b), good))
    return Found(found.a[new], found.b[new], found.poses[new], found.kind)


def _fewer(fingerprints: Fingerprints, found: Found, neighbours: int) -> tuple[Found, int]:
    """Of an image with very many pairs those in other splits, and as many others as are kept."""
    a, b = found.a, found.b
    counts = np.bincount(a, minlength=1)
    if not len(a) or counts.max() <= neighbours:
        return found, 0
    number = {split: i for i, split in enumerate(dict.fromkeys(fingerprints.splits))}
    splits = np.array([number[split] for split in fingerprints.splits])
    order = np.lexsort((b, (splits[a] == splits[b]) & (splits[a] != number.get(SEVERAL)), a))
    place = np.arange(len(a)) - (np.cumsum(counts) - counts)[a[order]]
    one, two = splits[a[order]], splits[b[order]]
    kept = np.sort(order[(place < neighbours) | (one != two) | (one == number.get(SEVERAL))])
    return Found(a[kept], b[kept], found.poses[kept], found.kind), int((counts > neighbours).sum())


def best(parts: Sequence[Scored], n: int, slight: float = 0.0) -> Scored:
    """Return, of a pair that was found in several poses, the one with the highest score.

    Another pose than the one as they lie counts only where it fits better by more than `slight`, and a pose of another
    kind than same by more than twice that.
    """
    if not parts:
        none = np.zeros(0, np.int64)
        return Scored(none, none, np.zeros(0, np.float32), np.zeros((0, 6)), none, np.zeros(0, np.float32))
    a, b, scores, maps, kinds, plain = (
        np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Scored)
    )
    further = 1.0 * (plain == 0) + (kinds != KINDS.index(IDENTITY.kind))
    order = np.lexsort((kinds, slight * further - scores, b, a))
    begins = np.flatnonzero(np.diff(a[order] * n + b[order], prepend=-1))
    first = order[begins]
    plain = np.maximum.reduceat(plain[order], begins) if len(begins) else plain
    return Scored(a[first], b[first], scores[first], maps[first], kinds[first], plain)


def named(pairs: Scored, kinds: tuple[str, ...]) -> Scored:
    """Return the pairs, named by their maps where these say another kind than the poses in which they were found."""
    number, same = pairs.kinds, KINDS.index(IDENTITY.kind)
    if IDENTITY.kind in kinds:
        upright = np.abs(pairs.maps[:, [2, 4]]).max(1) < UPRIGHT
        number = np.where(upright & (number == KINDS.index("tilted")), same, number)
    if "cropped" in kinds:
        larger = np.abs(pairs.maps[:, [1, 5]] - 1).max(1) > ENLARGED
        number = np.where(larger & (number == same), KINDS.index("cropped"), number)
    return replace(pairs, kinds=number)
