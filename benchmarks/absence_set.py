"""Crops of ultrasound images of which 60 % hold no target, for trials of segmentation with absence.

    python benchmarks/absence_set.py USGRA FOLDER [--seed 0] [--side 160]

From every image of USGRA (pairs `NAME.png`, `NAME_mask.png` below `train` and `test`; usgra-seg by Timm Kandaouroff,
CC-BY 4.0) come windows of SIDE x SIDE pixels as they are: one with half of the target or more, and one or two that it
does not touch, wherever such windows lie, drawn evenly. Images of which no such window exists give fewer. Files are
named CLUSTER-IMAGE-KIND.png: near-duplicate images share the cluster, so that `--group-from '^(\\d+)-'` keeps all crops
of theirs in one fold.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from plexus.audit import fingerprint, near_duplicates
from plexus.data import open_samples

ANY = NDArray[np.bool_]


def windows(mask: ANY, side: int) -> NDArray[np.int64]:
    """Target pixels in every window, (H - side + 1, W - side + 1), from one summed-area table."""
    table = np.pad(mask.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    return table[side:, side:] - table[:-side, side:] - table[side:, :-side] + table[:-side, :-side]


def draw(where: ANY, count: int, random: np.random.Generator) -> list[tuple[int, int]]:
    """Up to `count` of the places where it is true."""
    rows, columns = np.nonzero(where)
    chosen = random.permutation(len(rows))[:count]
    return [(int(rows[i]), int(columns[i])) for i in chosen]


def clusters(count: int, pairs: list[tuple[int, int]]) -> list[int]:
    """The least index of everything an image is connected with."""
    found = list(range(count))
    for a, b in sorted(pairs):
        low, high = sorted((found[a], found[b]))
        found = [low if c == high else c for c in found]
    return found


def build(source: Path, folder: Path, *, seed: int, side: int) -> tuple[int, int]:
    """Writes the crops; returns how many hold the target, and how many do not."""
    samples = open_samples(source)
    near = near_duplicates(fingerprint(samples))
    of = clusters(len(samples), [(int(a), int(b)) for a, b in zip(near.a, near.b, strict=True)])
    random = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    counts = [0, 0]
    for i in range(len(samples)):
        pixels, mask = samples.pixels(i), samples.mask(i)
        if mask is None or min(mask.shape) < side:
            continue
        inside = windows(mask, side)
        kinds = (("with", inside >= mask.sum() / 2, 1), ("without", inside == 0, 1 + i % 2))
        for kind, where, wanted in kinds:
            for k, (y, x) in enumerate(draw(where, wanted, random)):
                stem = f"{of[i]:03}-{i:03}-{kind}{k}"
                cut = (slice(y, y + side), slice(x, x + side))
                Image.fromarray(pixels[cut]).save(folder / f"{stem}.png")
                Image.fromarray(mask[cut]).convert("L").save(folder / f"{stem}_mask.png")
                counts[kind == "without"] += 1
    return counts[0], counts[1]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--side", type=int, default=160)
    given = parser.parse_args()
    present, absent = build(given.source, given.folder, seed=given.seed, side=given.side)
    print(f"{given.folder}: {present} crops with the target, {absent} without")
