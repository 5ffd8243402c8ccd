"""A part of `benchmarks/audit.py`: the search against the registration of all pairs, and pairs alone and among many."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
from audit_kinds import CIFAR10
from measure import Results
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates, shift

from plexus.audit import Fingerprints, NearDuplicates, fingerprint, near_duplicates
from plexus.data import open_samples

IMAGES = int(os.environ.get("PLEXUS_BRUTE_IMAGES", "3000"))
"""All pairs of so many are registered: a third of them copies."""
AMONG = 7000
"""Further photos that the same pairs lie among."""
AT_ONCE = 100_000
SIDE, SIGMA, AROUND, NOISE = 48, 2.5, 4.0, 4.0
"""Of the detail that is compared: the square's side, the blurs of what is taken away and of the contrast, its floor."""
U8 = NDArray[np.uint8]
F64 = NDArray[np.float64]
Pairs = dict[tuple[int, int], float]


def brute(results: Results, work: Path) -> None:
    """Photos and copies of kind "same"; the threshold is the set's own, the same for all sets.

    All pairs are registered from the pose in which they are. Some that lie otherwise in each other are found by that
    and by no pose of the search; some by a pose of the search alone, which are counted apart. Each pair that is found,
    whatever its kind, is searched again as a set of two, and among further photos.
    """
    if not CIFAR10.is_dir():
        print(f"{CIFAR10} is not there: put the parquet files of uoft-cs/cifar10 there")
        return
    samples, random = open_samples(CIFAR10), np.random.default_rng(17)
    originals, copies = IMAGES - IMAGES // 3, IMAGES // 3
    photos = [samples.pixels(i) for i in range(originals + AMONG)]
    images = [*photos[:originals], *(_copy(image, random) for image in photos[:copies])]
    prints = fingerprint(images)
    near = near_duplicates(prints, kinds=("same",))
    found, truth = _pairs(near), {(i, originals + i) for i in range(copies)}
    used = time.process_time()
    every = _registered(prints, near.threshold)
    default = _pairs(near_duplicates(prints, threshold=near.threshold))
    figures: dict[str, Any] = {
        "images": IMAGES,
        "pairs": IMAGES * (IMAGES - 1) // 2,
        "threshold": near.threshold,
        "under": len(every),
        "recall": len(every.keys() & found.keys()) / max(len(every), 1),
        "copies_under": len(every.keys() & truth),
        "copies_recall": len(every.keys() & truth & found.keys()) / max(len(every.keys() & truth), 1),
        "others_under": len(every.keys() - truth),
        "others_found": len((every.keys() & found.keys()) - truth),
        "others_beyond": len(found.keys() - every.keys() - truth),
        "default_recall": len(every.keys() & default.keys()) / max(len(every), 1),
        "sure_others": sum((a, b) not in truth for a, b in _pairs(near, sure=True)),
        "cpu": time.process_time() - used,
        "formula_difference": _formula(prints, near),
    }
    results.put("brute/all", figures)
    twos = {pair: _two([images[i] for i in pair], near.threshold) for pair in default}
    results.put("brute/alone", _beside(default, {pair: d for pair, d in twos.items() if d is not None}))
    many = near_duplicates(fingerprint([*images, *photos[originals:]]), threshold=near.threshold)
    inside = {(a, b): d for (a, b), d in _pairs(many).items() if b < IMAGES}
    results.put("brute/among", {"images": IMAGES + AMONG} | _beside(default, inside))


def _beside(found: Pairs, other: Pairs) -> dict[str, Any]:
    """The same pairs in two sets: how many of the first are in the other, further ones, and how distances differ."""
    both = found.keys() & other.keys()
    return {
        "pairs": len(found),
        "recall": len(both) / max(len(found), 1),
        "more": len(other.keys() - found.keys()),
        "difference": max((abs(other[pair] - found[pair]) for pair in both), default=0.0),
    }


def _copy(image: U8, random: np.random.Generator) -> U8:
    """Shifted by up to a twentieth of a side, another gain, noise of deviation 1 to 8."""
    far = [*random.uniform(-1.2, 1.2, 2), *[0] * (image.ndim - 2)]
    moved = shift(image.astype(np.float64), far, order=1, mode="nearest") * random.uniform(0.9, 1.1)
    return np.clip(np.rint(moved + random.normal(0, random.uniform(1, 8), moved.shape)), 0, 255).astype(np.uint8)


def _pairs(near: NearDuplicates, *, sure: bool = False) -> Pairs:
    kept = near.sure if sure else np.ones(len(near), bool)
    return dict(
        zip(zip(near.a[kept].tolist(), near.b[kept].tolist(), strict=True), near.distance[kept].tolist(), strict=True)
    )


def _two(images: list[U8], threshold: float) -> float | None:
    near = near_duplicates(fingerprint(images), threshold=threshold)
    return float(near.distance[0]) if len(near) else None


def _registered(prints: Fingerprints, threshold: float) -> Pairs:
    """All pairs up to the threshold: each is registered, and no search chooses any."""
    first, second = np.triu_indices(len(prints), 1)
    under: Pairs = {}
    for i in range(0, len(first), AT_ONCE):
        a, b = first[i : i + AT_ONCE], second[i : i + AT_ONCE]
        distance, _ = prints.compare(a, b)
        near = np.flatnonzero(distance <= threshold)
        keys = zip(a[near].tolist(), b[near].tolist(), strict=True)
        under |= dict(zip(keys, distance[near].tolist(), strict=True))
    return under


def _formula(prints: Fingerprints, near: NearDuplicates) -> float:
    """The largest difference of a distance from the formula, written anew with SciPy in double precision.

    At the map that was found; of pairs without even borders, whose frames the fingerprint leaves out.
    """
    assert near.maps is not None
    worst = 0.0
    for p, (a, b) in enumerate(zip(near.a.tolist(), near.b.tolist(), strict=True)):
        one, two = (prints.rows[i].astype(np.float64) for i in (a, b))
        if near.exact[p] or any(_even(x) for x in (one, two)):
            continue
        pose, details = near.maps[p], (_detail(one), _detail(two))
        turned = np.linalg.inv([[pose[1], pose[2], pose[0]], [pose[4], pose[5], pose[3]], [0, 0, 1]])
        back = turned[:2, [2, 0, 1]].ravel()  # a pair is compared from one of its images, whichever it was found by
        ways = _correlation(*details, pose), _correlation(*details[::-1], back)
        worst = max(worst, min(abs(1 - way - float(near.distance[p])) for way in ways))
    return worst


def _even(copy: F64) -> bool:
    """An edge of one value."""
    return any(np.ptp(edge) <= 20 for edge in (copy[0], copy[-1], copy[:, 0], copy[:, -1]))


def _detail(copy: F64) -> F64:
    """72 x 96 to 48 x 48 means, without its blur, over its local contrast."""
    fine = np.kron(copy, np.ones((2, 1))).reshape(SIDE, 3, SIDE, 2).mean((1, 3))
    detail = fine - gaussian_filter(fine, SIGMA, mode="nearest")
    made: F64 = detail / (np.sqrt(gaussian_filter(detail**2, AROUND, mode="nearest")) + NOISE)
    return made


def _correlation(one: F64, two: F64, pose: F64) -> float:
    """Pearson's, over the points of one that lie in two."""
    y, x = np.meshgrid(*[(2 * np.arange(SIDE) + 1) / SIDE - 1] * 2, indexing="ij")
    at = np.stack([pose[0] + pose[1] * y + pose[2] * x, pose[3] + pose[4] * y + pose[5] * x])
    where = (at + 1) * SIDE / 2 - 0.5
    inside = ((where >= -0.5) & (where <= SIDE - 0.5)).all(0)
    moved = map_coordinates(two, where.clip(0, SIDE - 1.001), order=1)
    return float(np.corrcoef(one[inside], moved[inside])[0, 1])
