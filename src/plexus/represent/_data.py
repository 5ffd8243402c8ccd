"""Images to learn a representation from: all classes or some, all labels, few or none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from plexus.data import ImageData, SampleSet, Split, load, open_samples
from plexus.data._load import _fingerprint
from plexus.data._pixels import stack
from plexus.errors import ConfigError, DataError
from plexus.represent._config import RepresentConfig
from plexus.represent._images import Reader


@dataclass(frozen=True, eq=False)
class Images:
    """Images in three splits, and those whose labels may be learned from.

    Args:
        data: the splits; without classes all labels are -1.
        few: the labelled images, where only some of the training images have a label that may be read.
    """

    data: ImageData
    few: Split | None = None

    @property
    def labelled(self) -> int:
        """How many labels are learned from."""
        return len(self.few) if self.few is not None else len(self.data.train) if self.data.classes else 0


def load_images(config: RepresentConfig) -> Images:
    """The images of a config.

    Raises:
        DataError: data that cannot be used, or too few labels of a class.
        ConfigError: classes that are not there.
    """
    if config.labels == "none" and Path(config.data).is_dir():
        samples = open_samples(config.data, masks=False)
        if not samples.has_labels:
            if config.classes is not None:
                raise ConfigError(f"classes={list(config.classes)}: the images of {config.data} have no labels")
            return Images(_unlabelled(samples, config))
    data = load(
        config.data, size=config.size, seed=config.seed, val=config.val, test=config.test,
        skip_unreadable=config.skip_unreadable, limit=config.limit if config.classes is None else None,
        label=config.label,
    )  # fmt: skip
    if config.classes is not None:
        data = only_classes(data, config.classes)
        if config.limit is not None:
            data = _limited(data, config.limit, config.seed)
    if config.labels == "none":
        return Images(data)
    if config.few is None:
        return Images(data, None)
    return Images(data, _few(data, config.few, config.seed))


def only_classes(data: ImageData, names: Sequence[str]) -> ImageData:
    """The images of some classes, which are numbered anew in the order given.

    Raises:
        ConfigError: a class that is not there, or fewer than two.
    """
    strange = [name for name in names if name not in data.classes]
    if strange:
        raise ConfigError(f"classes: {strange[0]!r} is none of {data.name}: it has {', '.join(data.classes)}")
    if len(names) < 2:
        raise ConfigError(f"classes={list(names)}: name two classes or more")
    at = torch.full((len(data.classes),), -1)
    at[[data.classes.index(name) for name in names]] = torch.arange(len(names))

    def kept(split: Split) -> Split:
        rows = (at[split.labels] >= 0).nonzero().flatten()
        taken = tuple(split.names[i] for i in rows.tolist())
        return Split(split.images[rows], at[split.labels[rows]], taken)

    return replace(data, train=kept(data.train), val=kept(data.val), test=kept(data.test), classes=tuple(names))


def _limited(data: ImageData, limit: int, seed: int) -> ImageData:
    """At most `limit` images of training and validation together, in their proportion."""
    whole = len(data.train) + len(data.val)
    if limit >= whole:
        return data
    return replace(
        data,
        train=_drawn(data.train, max(1, round(limit * len(data.train) / whole)), seed),
        val=_drawn(data.val, max(1, round(limit * len(data.val) / whole)), seed),
    )


def _drawn(split: Split, count: int, seed: int) -> Split:
    order = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(11,))).permutation(len(split))
    return _rows(split, np.sort(order[:count]))


def _few(data: ImageData, count: int, seed: int) -> Split:
    """So many training images of each class, drawn by the seed."""
    order = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(12,))).permutation(len(data.train))
    labels = data.train.labels.numpy()[order]
    found = [order[labels == k][:count] for k in range(len(data.classes))]
    least = min(range(len(found)), key=lambda k: len(found[k]))
    if len(found[least]) < count:
        raise DataError(
            f"{data.name}: labels={count} asks for {count} images of each class, but class {data.classes[least]!r} has "
            f"{len(found[least])} to train on; ask for fewer, or for all"
        )
    return _rows(data.train, np.sort(np.concatenate(found)))


def _rows(split: Split, rows: np.ndarray) -> Split:
    at = torch.from_numpy(rows)
    return Split(split.images[at], split.labels[at], tuple(split.names[i] for i in rows.tolist()))


def _unlabelled(samples: SampleSet, config: RepresentConfig) -> ImageData:
    """Three splits of images without classes; a split that the data names is kept."""
    rng = np.random.default_rng(np.random.SeedSequence(config.seed, spawn_key=(13,)))
    named = np.array([sample.split or "" for sample in samples.samples])
    split = np.where(named == "", "train", named)
    for part, share in (("test", config.test), ("val", config.val)):
        if part not in named:
            pool = rng.permutation(np.flatnonzero(split == "train"))
            split[pool[: max(1, round(share * len(pool)))]] = part
    if config.limit is not None:
        pool = rng.permutation(np.flatnonzero(split != "test"))
        split[pool[config.limit :]] = ""
    size = None if config.size is None else (config.size, config.size)
    reader = Reader(samples, size, skip_unreadable=config.skip_unreadable)
    pixels, names = reader.all(np.flatnonzero(split != "").tolist())
    if len({p.shape[:2] for p in pixels}) > 1:
        raise DataError(f"{config.data}: images of several sizes: resize all with --size, for example --size 32")
    channels = 3 if any(p.ndim == 3 for p in pixels) else 1
    images = torch.from_numpy(stack(pixels, channels))
    where = {sample.name: part for sample, part in zip(samples.samples, split.tolist(), strict=True)}
    parts = {}
    for part in ("train", "val", "test"):
        rows = np.array([i for i, name in enumerate(names) if where[name] == part], np.int64)
        if not len(rows):
            raise DataError(f"{config.data}: too few images to train, validate and test on: add some")
        parts[part] = _rows(Split(images, torch.full((len(names),), -1), tuple(names)), rows)
    digest = _fingerprint(parts, ())
    return ImageData(samples.name, parts["train"], parts["val"], parts["test"], (), digest, tuple(reader.skipped))
