"""Images to learn a representation from: all classes or some, all labels, few or none."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from plexus.data import ImageData, Split, load
from plexus.errors import ConfigError, DataError
from plexus.represent._config import RepresentConfig


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
        """The number of labels that are learned from."""
        return len(self.few) if self.few is not None else len(self.data.train) if self.data.classes else 0


def load_images(config: RepresentConfig) -> Images:
    """Load the images of a config.

    Raises:
        DataError: data that cannot be used, or too few labels of a class.
        ConfigError: classes that are not there.
    """
    data = load(
        config.data, size=config.size, seed=config.seed, val=config.val, test=config.test,
        skip_unreadable=config.skip_unreadable, limit=config.limit if config.classes is None else None,
        label=config.label, group_from=config.group_from, unlabelled=config.labels == "none",
    )  # fmt: skip
    if config.classes is not None:
        if not data.classes:
            raise ConfigError(f"classes={list(config.classes)}: the images of {config.data} have no labels")
        data = data.only(config.classes)
        if config.limit is not None:
            data = _limited(data, config.limit, config.seed)
    if config.labels == "none" or config.few is None:
        return Images(data)
    return Images(data, _few(data, config.few, config.seed))


def _limited(data: ImageData, limit: int, seed: int) -> ImageData:
    """Keep at most `limit` images of training and validation together, in their proportion."""
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
    return split.take(np.sort(order[:count]))


def _few(data: ImageData, count: int, seed: int) -> Split:
    """Draw so many training images of each class by the seed."""
    order = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(12,))).permutation(len(data.train))
    labels = data.train.labels.numpy()[order]
    rows = [order[labels == k][:count] for k in range(len(data.classes))]
    least = min(range(len(rows)), key=lambda k: len(rows[k]))
    if len(rows[least]) < count:
        raise DataError(
            f"{data.name}: labels={count} asks for {count} images of each class, but class {data.classes[least]!r} has "
            f"{len(rows[least])} to train on; ask for fewer, or for all"
        )
    return data.train.take(np.sort(np.concatenate(rows)))
