"""Poses: the ways in which one image of a pair may lie in the other, and the search for pairs in each of them.

A pose is an affine map (6,) of coordinates from -1 to 1, from the first image into the second:
y' = p0 + p1 y + p2 x, x' = p3 + p4 y + p5 x.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plexus.audit._reduced import (
    BITS,
    F32,
    I64,
    U8,
    Copies,
    centred,
    coarse,
    content,
    differing,
    sketches,
    unit_vectors,
    within,
)
from plexus.audit._scan import pool
from plexus.errors import ConfigError

F64 = NDArray[np.float64]
KINDS = ("same", "mirrored", "turned", "cropped", "bordered", "tilted")
"""Kinds of copies that are searched."""
LOOSE, NEAR, POSED = 0.6, 0.65, 0.7
"""Least correlation of vectors: of images as they are, shifted or stretched a little, and in other poses."""
SAME = 0.95
"""Least correlation of vectors that were not centred: the frames of one scene, where most images show it."""
TILT = math.radians(5)
MOVED = 0.05
"""Half-sides by which a first guess is moved, a fortieth of a side."""
SHIFTED, STRETCHED = 0.1, 0.82
"""Half-sides between the shifts that are searched, and the share of one side that may fill the other image's."""
FEW = 50
"""Images that do not count in the mean that is taken off: with few in a set it is nearly none."""
ALL = 32
"""Images up to which every pair is registered in every pose: no likeness of vectors chooses among so few."""
ROWS, BUFFER = 512, 1 << 20


@dataclass(frozen=True)
class Pose:
    """One pose.

    Args:
        kind: of `KINDS`.
        map: (6,).
        symmetric: True where it is its own inverse, so that each pair is looked at once.
    """

    kind: str
    map: tuple[float, float, float, float, float, float]
    symmetric: bool = False


IDENTITY = Pose("same", (0, 1, 0, 0, 0, 1), symmetric=True)
MIRROR = Pose("mirrored", (0, 1, 0, 0, 0, -1), symmetric=True)
UPSIDE_DOWN = Pose("mirrored", (0, -1, 0, 0, 0, 1), symmetric=True)


def poses(kinds: tuple[str, ...], aspect: float = 1.0) -> list[Pose]:
    """Return all poses of some kinds, but for the borders, which differ from image to image.

    Args:
        kinds: of `KINDS`.
        aspect: usual width over height of the images; a tilt depends on it.
    """
    found = [IDENTITY] if "same" in kinds else []
    if "same" in kinds:
        shifts = ((SHIFTED, 0.0), (0.0, SHIFTED), (SHIFTED, SHIFTED), (SHIFTED, -SHIFTED))
        found += [Pose("same", (down, 1, 0, right, 0, 1)) for down, right in shifts]
        found += [Pose("same", (0, STRETCHED, 0, 0, 0, 1)), Pose("same", (0, 1, 0, 0, 0, STRETCHED))]
    if "mirrored" in kinds:
        found += [
            MIRROR,
            UPSIDE_DOWN,
            Pose("mirrored", (0, 0, 1, 0, 1, 0), symmetric=True),
            Pose("mirrored", (0, 0, -1, 0, -1, 0), symmetric=True),
        ]
    if "turned" in kinds:
        found += [Pose("turned", (0, -1, 0, 0, 0, -1), symmetric=True), Pose("turned", (0, 0, 1, 0, -1, 0))]
    if "cropped" in kinds:
        for scale in (0.9, 0.8):
            rest = 1 - scale
            places = ((0, 0), (-rest, -rest), (-rest, rest), (rest, -rest), (rest, rest))
            found += [Pose("cropped", (down, scale, 0, right, 0, scale)) for down, right in places]
    if "tilted" in kinds:
        # both ways, though one is the other's inverse: what turned out of an image is black in the one that was turned,
        # so that laying it onto the other finds pairs that the reverse does not
        for angle in (TILT, -TILT):
            cos, sin = math.cos(angle), math.sin(angle)
            found.append(Pose("tilted", (0, cos, sin * aspect, 0, -sin / aspect, cos)))
    return found


def check_kinds(kinds: tuple[str, ...]) -> None:
    """Refuse kinds that are not known."""
    for kind in kinds:
        if kind not in KINDS:
            raise ConfigError(f"kinds: {kind!r} is unknown; choose from {', '.join(KINDS)}")
    if not kinds:
        raise ConfigError(f"kinds: give one or more of {', '.join(KINDS)}")


@dataclass(frozen=True, eq=False)
class Found:
    """Pairs of a search: of the first image, and of the second, in which it lies as the pose says."""

    a: I64
    b: I64
    poses: F64
    kind: str


class Finder:
    """All images of a set as vectors and sketches, searched in one pose after another; `few` of them pair with all.

    Args:
        squares: of `coarse`, (N, 24, 24).
        usable: which images take part, (N,).
    """

    def __init__(self, squares: F32, usable: NDArray[np.bool_]) -> None:
        self.squares, self.usable = squares, usable
        raw = unit_vectors(squares)
        raw[~usable] = 0
        # of few images the mean is mostly the images themselves: taken off whole, two copies alone would be opposites
        self.mean: F32 = raw.sum(0) / (usable.sum(dtype=np.float32) + FEW)
        self.vectors = centred(raw, self.mean)
        self.bits = sketches(self.vectors)
        self.plain = raw
        self.few = np.count_nonzero(raw.any(1)) <= ALL

    def search(self, pose: Pose, step: Callable[[int], None]) -> Found:
        """Return the pairs of one pose; `step` is called with the number of images done."""
        vectors = self.vectors if pose is IDENTITY else self.posed(pose)
        least = LOOSE if pose is IDENTITY else NEAR if pose.kind == IDENTITY.kind else POSED
        a, b = self._close(self.vectors, vectors, least, pose.symmetric, step)
        if pose is IDENTITY:
            one, two = self._close(self.plain, self.plain, SAME, True, None)
            n = len(self.plain)
            keys = np.unique(np.concatenate([a * n + b, one * n + two]))
            a, b = np.divmod(keys, n)
        return Found(a, b, tiled(pose, len(a)), pose.kind)

    def bordered(self, copies: U8, step: Callable[[int], None]) -> tuple[Found, Copies, I64, F64]:
        """Pairs of a whole image and of what lies within the border or the bars of another.

        The second of each pair is an index into the contents, which are returned too, with the images they are of, and
        the maps from the contents into these.
        """
        contents, second, maps = contents_of(copies, self.usable)
        a, k = self._close(
            self.vectors, centred(unit_vectors(contents.squares), self.mean), LOOSE, False, None, own=False
        )
        step(len(self.vectors))
        apart = a != second[k]
        return Found(a[apart], k[apart], tiled(IDENTITY, int(apart.sum())), "bordered"), contents, second, maps

    def posed(self, pose: Pose, rows: slice | I64 = slice(None)) -> F32:
        """Vectors of images as they look in a pose."""
        from plexus.audit._kernels import warp_all

        squares = self.squares[rows]
        out = np.empty((len(squares), len(self.mean)), np.float32)
        map_ = np.array(pose.map, np.float64)

        def part(i: int) -> None:
            moved = np.empty_like(squares[i : i + 2048])
            warp_all(squares[i : i + 2048], map_, moved)
            out[i : i + 2048] = centred(unit_vectors(moved), self.mean)

        with pool(None) as threads:
            list(threads.map(part, range(0, len(squares), 2048)))
        out[~self.usable[rows]] = 0
        return out

    def _close(
        self,
        known: F32,
        asked: F32,
        least: float,
        symmetric: bool,
        step: Callable[[int], None] | None,
        own: bool = True,
    ) -> tuple[I64, I64]:
        """Indices of known and asked vectors whose product is at least so large; each pair once where symmetric.

        Vectors that are 0 are in no pair; they are left out before, as all their sketches are equal.
        """
        there, wanted = (np.flatnonzero(vectors.any(1)) for vectors in (known, asked))
        if own:  # places of one image, which must stay the same in both
            there = wanted = np.union1d(there, wanted)
        if self.few:
            b, a = np.indices((len(wanted), len(there))).reshape(2, -1)
            kept = ((a > b) if symmetric else (a != b)) if own else np.ones(len(a), bool)
            if step:
                step(len(asked))
            return there[a[kept]], wanted[b[kept]]
        if len(there) == len(known) and len(wanted) == len(asked):
            return self._close_all(known, asked, least, symmetric, step, own)
        a, b = self._close_all(known[there], asked[wanted], least, symmetric, step, own)
        if step:
            step(len(asked) - len(wanted))
        return there[a], wanted[b]

    def _close_all(
        self,
        known: F32,
        asked: F32,
        least: float,
        symmetric: bool,
        step: Callable[[int], None] | None,
        own: bool,
    ) -> tuple[I64, I64]:
        from plexus.audit._kernels import close_sketches

        one, other = (self.bits if vectors is self.vectors else sketches(vectors) for vectors in (known, asked))
        bits, most = np.ascontiguousarray(one.T), np.uint64(min(differing(least), BITS))
        n = len(known)
        size = max(BUFFER, n)

        def part(first: int) -> tuple[I64, I64, int]:
            rows, columns = np.empty(size, np.int64), np.empty(size, np.int64)
            query, begin = other[first : first + ROWS], 0
            kept: list[tuple[I64, I64]] = []
            while begin < len(query):
                count, begin = close_sketches(query, bits, first, begin, most, own, symmetric, rows, columns)
                kept.append(as_alike(known, asked, columns[:count], rows[:count], least))
            a, b = (np.concatenate(side) for side in zip(*kept, strict=True))
            return a, b, len(query)

        found: list[tuple[I64, I64]] = [(np.zeros(0, np.int64),) * 2]
        with pool(None) as threads:
            for a, b, count in threads.map(part, range(0, len(other), ROWS)):
                found.append((a, b))
                if step:
                    step(count)
        a, b = (np.concatenate(side) for side in zip(*found, strict=True))
        return a, b


def tiled(pose: Pose, count: int) -> F64:
    return np.tile(np.array(pose.map, np.float64), (count, 1))


def contents_of(copies: U8, usable: NDArray[np.bool_]) -> tuple[Copies, I64, F64]:
    """Cut what lies within even borders or bars; return it, the copies it is of, and the maps into these, (M, 6)."""
    rows, rectangles = content(copies)
    rows, rectangles = rows[usable[rows]], rectangles[usable[rows]]
    inner = within(copies, rows, rectangles)
    top, bottom, left, right = rectangles.T.astype(np.float64)
    zero = np.zeros_like(top)
    maps = np.stack([top + bottom - 1, bottom - top, zero, left + right - 1, zero, right - left], 1)
    return Copies(inner, coarse(inner)), rows, maps


def as_alike(known: F32, asked: F32, a: I64, b: I64, least: float) -> tuple[I64, I64]:
    """Return those of the pairs of known and asked vectors whose product is at least so large."""
    from plexus.audit._kernels import alike

    right = np.empty(len(a), bool)
    alike(known, asked, a, b, np.float32(least), right)
    return a[right].copy(), b[right].copy()


def inverse(maps: F64) -> F64:
    """Return the maps back, (P, 6)."""
    p0, p1, p2, p3, p4, p5 = maps.T
    det = p1 * p5 - p2 * p4
    det = np.where(np.abs(det) < 1e-6, 1e-6, det)
    a, b, c, d = p5 / det, -p2 / det, -p4 / det, p1 / det
    return np.stack([-(a * p0 + b * p3), a, b, -(c * p0 + d * p3), c, d], 1)


def composed(first: F64, second: F64) -> F64:
    """Return the maps that do the first and then the second, (P, 6)."""
    p0, p1, p2, p3, p4, p5 = first.T
    q0, q1, q2, q3, q4, q5 = second.T
    down = [q0 + q1 * p0 + q2 * p3, q1 * p1 + q2 * p4, q1 * p2 + q2 * p5]
    right = [q3 + q4 * p0 + q5 * p3, q4 * p1 + q5 * p4, q4 * p2 + q5 * p5]
    return np.stack([*down, *right], 1)


def batches(count: int, size: int) -> Iterator[slice]:
    """Slices of a range."""
    return (slice(i, i + size) for i in range(0, count, size))
