"""Folds that keep groups and near-duplicates together, with every label spread evenly."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np

from plexus.audit._clusters import components
from plexus.audit._contradictions import Labels, read_labels
from plexus.audit._near import NearDuplicates
from plexus.audit._reduced import I64
from plexus.data import SampleSet
from plexus.errors import ConfigError, DataError

FORMAT = 1


@dataclass(frozen=True)
class Folds:
    """The fold of each image.

    Args:
        k: number of folds.
        seed: of the order in which equals are dealt.
        fold: 0..k-1 by name.
        dropped: names that are in none.

    Example:
        >>> Folds(k=2, seed=0, fold={"a.png": 0, "b.png": 1}).to_dict()["folds"]
        {'a.png': 0, 'b.png': 1}
    """

    k: int
    seed: int
    fold: dict[str, int]
    dropped: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the content of `folds.json`."""
        return {
            "format": FORMAT, "kind": "folds", "k": self.k, "seed": self.seed, "folds": self.fold,
            "dropped": list(self.dropped),
        }  # fmt: skip


def folds(
    samples: SampleSet,
    near: NearDuplicates,
    k: int = 5,
    seed: int = 0,
    *,
    dropped: Collection[str] = (),
    labels: Labels | None = None,
) -> Folds:
    """Deal images to k folds so that no group and no cluster of near-duplicates is torn apart.

    Images that hang together, by groups and pairs, are dealt as one, see `deal`.

    Args:
        samples: the set.
        near: its near-duplicates.
        k: number of folds.
        seed: of the order among parts of one size.
        dropped: names of images that go into no fold; they tear nothing apart, and still tie others together.
        labels: of `read_labels`, where they were read before; presence counts where there are no classes.

    Returns:
        The fold of every image that is not dropped.

    Raises:
        ConfigError: k below 2.
        DataError: fewer parts than folds.

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
        ...     dealt = folds(samples, near, k=2)
        >>> dealt.fold["0.png"] == dealt.fold["2.png"] != dealt.fold["1.png"]
        True
    """
    check_folds(k, seed)
    gone = set(dropped)
    kept = np.array([sample.name not in gone for sample in samples.samples], bool)
    _, parts = np.unique(parts_of(samples, near.a, near.b)[kept], return_inverse=True)
    count = len(np.unique(parts))
    if count < k:
        if not count:
            raise DataError(f"{samples.where}: no image is left to deal to {k} folds")
        if count == 1:
            raise DataError(f"{samples.where}: all images that stay belong together, by groups and near-duplicates")
        raise DataError(
            f"{samples.where}: {count} groups of images that belong together cannot fill {k} folds; "
            f"at most --folds {count}"
        )
    fold = deal(parts, _strata(samples, labels)[kept], k, seed)
    names = [sample.name for sample in samples.samples if sample.name not in gone]
    return Folds(
        k, seed, dict(zip(names, fold.tolist(), strict=True)), tuple(s.name for s in samples.samples if s.name in gone)
    )


def check_folds(k: int, seed: int) -> None:
    if k < 2:
        raise ConfigError(f"folds={k}: give 2 or more")
    if seed < 0:
        raise ConfigError(f"seed={seed}: give 0 or more")


def deal(groups: I64, strata: I64, k: int, seed: int) -> I64:
    """Deal samples to folds: groups stay whole, the largest first, each where the counts of every stratum stay even.

    Args:
        groups: of the samples, numbered from 0, every number used.
        strata: of the samples, numbered from 0: their classes, or whether a target is there.
        k: number of folds.
        seed: of the order among groups of one size.

    Shape:
        (N,) and (N,) to (N,), folds 0..k-1; with fewer groups than folds some stay empty.

    Returns:
        The fold of each sample.

    Source: greedy dealing as in scikit-learn's StratifiedGroupKFold; sums of squares in place of its deviations.

    Example:
        >>> fold = deal(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 0]), 2, seed=0)
        >>> fold[0] == fold[1] != fold[2] == fold[3]
        np.True_
    """
    counts = np.zeros((int(groups.max(initial=-1)) + 1, int(strata.max(initial=-1)) + 1), np.int64)
    np.add.at(counts, (groups, strata), 1)
    total = counts.sum(0)
    weight = 1 / np.maximum(total, 1)
    order = np.random.default_rng(seed).permutation(len(counts))
    order = order[np.argsort(-counts[order].sum(1), kind="stable")]
    have = np.zeros((k, counts.shape[1]))
    fold = np.empty(len(counts), np.int64)
    for group in order:
        # the sum of squares of all fractions grows by this much in each fold; all samples count as one stratum more
        growth = ((2 * have + counts[group]) * counts[group] * weight**2).sum(1)
        size = counts[group].sum()
        growth += (2 * have.sum(1) + size) * size / max(int(total.sum()), 1) ** 2
        # rounded, so that equal folds are equal whatever the order of a sum; of equals the emptiest, then the first
        chosen = int(np.lexsort((have.sum(1), growth.round(15)))[0])
        fold[group] = chosen
        have[chosen] += counts[group]
    return fold[groups]


def parts_of(samples: SampleSet, one: I64, other: I64) -> I64:
    """Return the part of each image: those that hang together by pairs and groups have one number."""
    first: dict[str, int] = {}
    a, b = [one], [other]
    for i, sample in enumerate(samples.samples):
        if sample.group is not None:
            a.append(np.array([first.setdefault(sample.group, i)]))
            b.append(np.array([i]))
    return components(len(samples), np.concatenate(a), np.concatenate(b))


def _strata(samples: SampleSet, labels: Labels | None) -> I64:
    """A number for each label: the class, or with masks whether a target is there."""
    if labels is None:
        labels = read_labels(samples)
    keys = [(s.label, p) for s, p in zip(samples.samples, labels.present, strict=True)]
    number = {key: i for i, key in enumerate(sorted(set(keys), key=repr))}
    return np.array([number[key] for key in keys], np.int64)
