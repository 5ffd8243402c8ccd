"""Images and labels from anywhere, split and ready for training."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from plexus.data._arrays import ImageData, Split
from plexus.data._cache import Mapped, cache_home, is_large, read_mapped
from plexus.data._decode import Pixels, UnreadableError
from plexus.data._open import open_labelled, open_samples
from plexus.data._pixels import Fit, Size, stack
from plexus.data._read import read_all
from plexus.data._samples import SampleSet
from plexus.data._split import Indices, Stage, choose, require
from plexus.errors import DataError


def load(
    spec: str | Path | SampleSet,
    *,
    size: int | tuple[int, int] | None = None,
    channels: int | None = None,
    seed: int = 0,
    val: float = 0.15,
    test: float = 0.2,
    skip_unreadable: bool = False,
    limit: int | None = None,
    label: str | None = None,
    group_from: str | None = None,
    unlabelled: bool = False,
    fit: Fit | Literal["auto"] = "squash",
    cache: str | Path | None = None,
    white: int | None = None,
) -> ImageData:
    """Load images with class labels, split into training, validation and test images.

    A test or validation split that the data brings is kept whole. Otherwise test images are chosen first, out of all;
    then ``limit`` keeps that many of the others; then validation images are chosen out of what is left. Every choice
    keeps the shares of the classes (at least one image of each class everywhere) and follows from the seed and from
    the order of the images: sorted by class and path in folders, as stored elsewhere. Where images have groups
    (patients, videos, clusters of near-duplicates), whole groups are chosen for test and validation. Where all images
    are grey they keep one channel; one colour image gives all of them three.

    Args:
        spec: ``digits`` (scikit-learn's), a folder of class folders (alone or below ``train``, ``val``, ``test``), a
            folder of parquet files in the Hugging Face image layout, a CSV manifest (``path``, ``label``, and ``split``
            where there are splits), a hub id such as ``uoft-cs/cifar10``, or a `SampleSet`.
        size: resize every image to this many rows and columns (antialiased bilinear); one number for squares.
        channels: 1 takes the luminance of colours, 3 repeats greys; by default 3 where an image is in colour.
        seed: chooses the splits; 0 or more.
        val: the fraction of validation images among those left for training and validation.
        test: the fraction of test images among all.
        skip_unreadable: leave out images that cannot be read, and list them in ``skipped``.
        limit: the number of images for training and validation together; of a given validation split none count.
        label: the label column, where a table has several that could be it.
        group_from: a regular expression searched for in each file name; its first group names the patient, the video or
            whatever else must stay together. A manifest may have the column ``group`` instead.
        unlabelled: take a folder of images without classes too; its labels are -1.
        fit: what becomes of images of another aspect ratio than `size`: squash | letterbox | crop, see `resize_image`;
            auto squashes where all images have one aspect ratio, as far as 512 of them tell, and else takes letterbox.
        cache: a folder for the decoded images, which are then mapped rather than held in memory, and found again by
            the next reading; ``none`` for memory. By default a set that takes more than a quarter of the free memory
            goes to ``~/.cache/plexus/images``.
        white: of 16-bit images, as in the training of the run that they are for; by default that of the set.

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
    asked = _Asked(shape, channels, fit, cache, skip_unreadable)
    if unlabelled and not isinstance(spec, SampleSet) and Path(spec).is_dir():
        samples = open_samples(spec, masks=False).scaled(white)
        if not samples.has_labels:
            if group_from is not None:
                raise DataError("--group-from needs classes: images without are split one by one; leave it out")
            rows = _random_splits(samples, seed, test, val, limit)
            none = np.full(len(samples), -1)
            parts, _, facts = asked.decoded(samples, none, rows)
            given = tuple(split for split in ("val", "test") if split in samples.splits)
            fingerprint = _fingerprint(parts, ())
            return _in_order(samples, parts, classes=(), fingerprint=fingerprint, given=given, **facts)

    if group_from is not None and isinstance(spec, SampleSet):
        raise DataError("--group-from reads names of files; images in memory have none")
    samples = (spec if isinstance(spec, SampleSet) else open_labelled(spec, label, group_from)).scaled(white)
    if not all(sample.label is not None for sample in samples.samples):
        raise DataError(f"{samples.where}: no labels: give one class per image")
    labels, rows = _labels(samples), _given_splits(samples)
    given = tuple(split for split in ("val", "test") if split in rows)
    _check_classes(samples, {split: labels[at] for split, at in rows.items()})
    pool, classes = labels[rows["train"]], len(samples.classes)
    carved = [split for split in ("val", "test") if split not in given]
    groups = _groups(samples)
    told = () if groups is None else (samples.groups_told,)
    in_pool = None if groups is None else groups[rows["train"]]
    require(pool, samples.classes, ["train", *carved], samples.where, in_pool)

    to_test = np.zeros(len(pool), bool)
    if "test" in carved:
        spare = len(carved)
        total = round(test * len(pool))
        to_test[choose(pool, total, classes, seed, Stage.TEST, low=1, spare=spare, groups=in_pool)] = True
    test_rows, rest = rows["train"][to_test], rows["train"][~to_test]
    if limit is not None and limit < len(rest):
        low = 1 + ("val" in carved)
        if limit < low * classes:
            raise DataError(f"--limit {limit} is too low for {classes} classes: at least {low * classes}")
        keep = choose(labels[rest], limit, classes, seed, Stage.LIMIT, low=low, spare=0)
        rows["train"] = np.union1d(rest[keep], test_rows)

    parts, kept, facts = asked.decoded(samples, labels, rows)
    fingerprint = _fingerprint(parts, samples.classes)
    is_test = np.isin(kept["train"], test_rows)
    in_rest = None if groups is None else groups[kept["train"][~is_test]]
    if "test" in carved:
        parts["test"] = parts["train"].take(np.flatnonzero(is_test))
        parts["train"] = parts["train"].take(np.flatnonzero(~is_test))
    left = parts["train"].labels.numpy()
    require(left, samples.classes, ["train", "val"] if "val" in carved else ["train"], samples.where, in_rest)
    facts["notes"] = (*facts.get("notes", ()), *told)
    if "val" in carved:
        chosen = choose(left, round(val * len(left)), classes, seed, Stage.VAL, low=1, spare=1, groups=in_rest)
        parts["val"] = parts["train"].take(chosen)
        parts["train"] = parts["train"].take(np.setdiff1d(np.arange(len(left)), chosen))
    return _in_order(samples, parts, classes=samples.classes, fingerprint=fingerprint, given=given, **facts)


def _in_order(samples: SampleSet, parts: Mapping[str, Split], **facts: Any) -> ImageData:
    facts |= {"skipped": (*samples.left_out, *facts["skipped"]), "white": samples.white.value}
    facts["notes"] = (*samples.notes, *facts.get("notes", ()))
    return ImageData(samples.name, parts["train"], parts["val"], parts["test"], **facts)


def _check_arguments(size: Size | None, seed: int, shares: Mapping[str, float], limit: int | None) -> None:
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


def _check_classes(samples: SampleSet, labels: Mapping[str, Indices]) -> None:
    counts = {split: np.bincount(part, minlength=len(samples.classes)) for split, part in labels.items()}
    for split, count in counts.items():
        strangers = np.flatnonzero((count > 0) & (counts["train"] == 0))
        if len(strangers):
            name = samples.classes[strangers[0]]
            raise DataError(
                f"{samples.where}: class {name!r} is in {split} but not in train: add training images of it, "
                f"or take it out of {split}"
            )
    if len(samples.classes) < 2:
        raise DataError(f"{samples.where}: one class only ({samples.classes[0]!r}): give images of two classes or more")


def _labels(samples: SampleSet) -> Indices:
    index = {name: i for i, name in enumerate(samples.classes)}
    return np.array([index[str(sample.label)] for sample in samples.samples], np.int64)


def _groups(samples: SampleSet) -> Indices | None:
    """Groups as numbers, an image without one by itself; None where no image has one."""
    named = [sample.group for sample in samples.samples]
    number = {group: i for i, group in enumerate(dict.fromkeys(group for group in named if group is not None))}
    if not number:
        return None
    return np.array([len(number) + i if group is None else number[group] for i, group in enumerate(named)])


def _given_splits(samples: SampleSet) -> dict[str, Indices]:
    """Return the rows of each split that the data brings; without any, all are for training."""
    split_of = np.array([sample.split or "train" for sample in samples.samples])
    return {split: np.flatnonzero(split_of == split) for split in ("train", "val", "test") if split in split_of}


def _random_splits(samples: SampleSet, seed: int, test: float, val: float, limit: int | None) -> dict[str, Indices]:
    """Choose splits of images without classes; those that the data brings are kept."""
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(13,)))
    given = _given_splits(samples)
    split = np.full(len(samples), "train")
    for name, at in given.items():
        split[at] = name
    for name, fraction in (("test", test), ("val", val)):
        if name not in given:
            pool = rng.permutation(np.flatnonzero(split == "train"))
            split[pool[: max(1, round(fraction * len(pool)))]] = name
    if limit is not None:
        pool = rng.permutation(np.flatnonzero(split != "test"))
        split[pool[limit:]] = ""
    rows = {name: np.flatnonzero(split == name) for name in ("train", "val", "test")}
    if not all(len(at) for at in rows.values()):
        raise DataError(f"{samples.where}: too few images to train, validate and test on: add some")
    return rows


@dataclass(frozen=True)
class _Asked:
    """The shape that images are to have, and where they are to be."""

    size: Size | None
    channels: int | None
    fit: Fit | Literal["auto"]
    cache: str | Path | None
    skip_unreadable: bool

    def decoded(
        self, samples: SampleSet, labels: Indices, rows: Mapping[str, Indices]
    ) -> tuple[dict[str, Split], dict[str, Indices], dict[str, Any]]:
        """Return the images of each split, the rows that could be read of each, and more for `ImageData`."""
        together = np.concatenate([*rows.values()])
        sizes = self._sizes(samples, together)
        fit = self.fit if self.fit != "auto" else "letterbox" if _varies(sizes) else "squash"
        facts: dict[str, Any] = {"fit": fit}
        if sizes:
            height, width = np.median(sizes, axis=0).astype(int).tolist()
            facts["original"] = (height, width)
        folder = self._folder(samples, together, fit)
        pixels: list[Pixels] = []
        mapped: Mapped | None = None
        if folder is not None:
            mapped = read_mapped(
                samples, together, self.size, self.channels, fit, skip_unreadable=self.skip_unreadable, folder=folder
            )
            kept, facts["skipped"] = mapped.kept, mapped.skipped
            verb = "found" if mapped.reused else "kept"
            facts["notes"] = (f"decoded images {verb} in {mapped.path}, {mapped.images.numel() / 1e9:.2f} GB",)
        else:
            pixels, kept, facts["skipped"] = read_all(
                samples, together, self.size, self.channels, fit=fit, skip_unreadable=self.skip_unreadable
            )
        wanted = self.channels or (3 if any(image.ndim == 3 for image in pixels) else 1)
        parts: dict[str, Split] = {}
        kept_of = {split: kept[np.isin(kept, at)] for split, at in rows.items()}
        first = 0
        for split, at in kept_of.items():
            if not len(at):
                raise DataError(f"{samples.where}: no image of the {split} split can be read: replace the images")
            if mapped is not None:
                images = mapped.take(np.arange(first, first + len(at)))
                first += len(at)
            else:
                images = torch.from_numpy(stack(pixels[: len(at)], wanted))
                del pixels[: len(at)]  # the data would otherwise be held twice
            names = tuple(samples.samples[row].name for row in at.tolist())
            parts[split] = Split(images, torch.from_numpy(labels[at]), names, mapped.gather if mapped else None)
        return parts, kept_of, facts

    def _sizes(self, samples: SampleSet, rows: Indices, most: int = 512) -> list[Size]:
        """Read the sizes of some images, evenly drawn, from their heads; none where nothing is resized."""
        sizes = []
        for row in rows[:: max(1, len(rows) // most)].tolist() if self.size is not None else ():
            with suppress(UnreadableError):
                sizes.append(samples.size(row))
        return sizes

    def _folder(self, samples: SampleSet, rows: Indices, fit: Fit) -> Path | None:
        """Return the folder of the cache, where there is to be one."""
        if self.cache == "none":
            return None
        if self.cache is not None:
            return Path(self.cache).expanduser()
        for row in rows[:8].tolist():
            with suppress(UnreadableError):
                one = samples.pixels(row, self.size, self.channels, fit)
                return cache_home() if is_large(one.size * len(rows)) else None
        return None


def _varies(sizes: Sequence[Size]) -> bool:
    """Tell if there are different aspect ratios."""
    ratios = [math.log(width / height) for height, width in sizes]
    return bool(ratios) and max(ratios) - min(ratios) > 0.02


def _fingerprint(parts: Mapping[str, Split], classes: tuple[str, ...]) -> str:
    shapes = {split: list(part.images.shape) for split, part in parts.items()}
    digest = hashlib.sha256(json.dumps([classes, shapes], sort_keys=True).encode())
    for split in sorted(parts):
        digest.update(parts[split].labels.numpy().astype("<i8").tobytes())
        images = parts[split].images.numpy()
        for first in range(0, len(images), 1024):  # mapped images come from the disk piece by piece
            digest.update(images[first : first + 1024].data)
    return f"sha256:{digest.hexdigest()}"
