"""Images and labels from anywhere, split and ready for training."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from plexus.data._parts import Source
from plexus.data._pixels import Pool, decode_parts, stack
from plexus.data._sources import open_source
from plexus.data._split import Indices, Stage, choose, require
from plexus.data._types import ImageData, Split
from plexus.errors import DataError


def load(
    spec: str | Path,
    *,
    size: int | tuple[int, int] | None = None,
    seed: int = 0,
    val: float = 0.15,
    test: float = 0.2,
    skip_unreadable: bool = False,
    limit: int | None = None,
    label: str | None = None,
) -> ImageData:
    """Load images with class labels, split into training, validation and test images.

    A test or validation split that the data brings is kept whole. Otherwise test images are chosen first, out of all;
    then ``limit`` keeps that many of the others; then validation images are chosen out of what is left. Every choice
    keeps the shares of the classes (at least one image of each class everywhere) and follows from the seed and from
    the order of the images: sorted by class and path in folders, as stored elsewhere. Where all images are grey they
    keep one channel; one colour image gives all of them three.

    Args:
        spec: ``digits`` (scikit-learn's), a folder of class folders (alone or below ``train``, ``val``, ``test``), a
            folder of parquet files in the Hugging Face image layout, or a hub id such as ``uoft-cs/cifar10``.
        size: resize every image to this many rows and columns (antialiased bilinear, no cropping, the aspect ratio
            is not kept); one number for squares.
        seed: chooses the splits; 0 or more.
        val: the share of validation images among those left for training and validation.
        test: the share of test images among all.
        skip_unreadable: leave out images that cannot be read, and list them in ``skipped``.
        limit: the number of images for training and validation together; of a given validation split none count.
        label: the label column, where a table has several that could be it.

    Returns:
        The three splits; images uint8 (N, C, H, W) on the scale 0..255.

    Raises:
        DataError: anything that prevents it; one line that names the thing and the remedy.

    Example:
        >>> digits = load("digits", seed=0)
        >>> len(digits.train), len(digits.val), len(digits.test), digits.in_shape
        (1222, 216, 359, (1, 8, 8))
    """
    shape = (size, size) if isinstance(size, int) else size
    _check_arguments(shape, seed, {"val": val, "test": test}, limit)
    source = open_source(spec, label)
    _check_classes(source)
    pool = source.parts["train"].labels
    carved = [split for split in ("val", "test") if split not in source.parts]
    require(pool, source.classes, ["train", *carved], source.where)

    rows = {split: np.arange(len(part.labels)) for split, part in source.parts.items()}
    classes = len(source.classes)
    to_test = np.zeros(len(pool), bool)
    if "test" in carved:
        spare = len(carved)
        to_test[choose(pool, round(test * len(pool)), classes, seed, Stage.TEST, low=1, spare=spare)] = True
    if limit is not None and limit < (~to_test).sum():
        low = 1 + ("val" in carved)
        if limit < low * classes:
            raise DataError(f"--limit {limit} is too low for {classes} classes: at least {low * classes}")
        rest = np.flatnonzero(~to_test)
        keep = rest[choose(pool[rest], limit, classes, seed, Stage.LIMIT, low=low, spare=0)]
        rows["train"] = np.union1d(keep, np.flatnonzero(to_test))

    pools, skipped = decode_parts(source, rows, shape, skip_unreadable=skip_unreadable)
    channels = 3 if any(image.ndim == 3 for pool in pools.values() for image in pool.pixels) else 1
    whole = {split: _whole(pool, channels) for split, pool in pools.items()}
    digest = _fingerprint(whole, source.classes)

    is_test = to_test[pools["train"].rows]
    if "test" in carved:
        whole["test"] = _take(whole["train"], np.flatnonzero(is_test))
        whole["train"] = _take(whole["train"], np.flatnonzero(~is_test))
    labels = whole["train"].labels.numpy()
    require(labels, source.classes, ["train", "val"] if "val" in carved else ["train"], source.where)
    if "val" in carved:
        chosen = choose(labels, round(val * len(labels)), classes, seed, Stage.VAL, low=1, spare=1)
        whole["val"] = _take(whole["train"], chosen)
        whole["train"] = _take(whole["train"], np.setdiff1d(np.arange(len(labels)), chosen))
    return ImageData(source.name, whole["train"], whole["val"], whole["test"], source.classes, digest, skipped)


def _check_arguments(size: tuple[int, int] | None, seed: int, shares: Mapping[str, float], limit: int | None) -> None:
    for name, share in shares.items():
        if not 0 < share < 1:
            raise DataError(
                f"--{name} {share} is not a share of the images: give a number between 0 and 1, such as 0.2"
            )
    if size is not None and min(size) < 1:
        raise DataError(f"--size {size[0]}x{size[1]} is not a size in pixels: give 1 or more, such as 32")
    if limit is not None and limit < 1:
        raise DataError(f"--limit {limit} keeps no images: give 1 or more")
    if seed < 0:
        raise DataError(f"--seed {seed} is negative: give 0 or more")


def _check_classes(source: Source) -> None:
    counts = {split: np.bincount(part.labels, minlength=len(source.classes)) for split, part in source.parts.items()}
    for split, count in counts.items():
        strangers = np.flatnonzero((count > 0) & (counts["train"] == 0))
        if len(strangers):
            name = source.classes[strangers[0]]
            raise DataError(
                f"{source.where}: class {name!r} is in {split} but not in train: add training images of it, "
                f"or take it out of {split}"
            )
    if len(source.classes) < 2:
        raise DataError(f"{source.where}: one class only ({source.classes[0]!r}): give images of two classes or more")


def _whole(pool: Pool, channels: int) -> Split:
    images = torch.from_numpy(stack(pool.pixels, channels))
    pool.pixels.clear()  # the data would otherwise be held twice
    return Split(images, torch.from_numpy(pool.labels), pool.names)


def _take(split: Split, rows: Indices) -> Split:
    at = torch.from_numpy(rows)
    return Split(split.images[at], split.labels[at], tuple(split.names[row] for row in rows.tolist()))


def _fingerprint(parts: Mapping[str, Split], classes: tuple[str, ...]) -> str:
    shapes = {split: list(part.images.shape) for split, part in parts.items()}
    digest = hashlib.sha256(json.dumps([classes, shapes], sort_keys=True).encode())
    for split in sorted(parts):
        digest.update(parts[split].labels.numpy().astype("<i8").tobytes())
        digest.update(parts[split].images.numpy().data)
    return f"sha256:{digest.hexdigest()}"
