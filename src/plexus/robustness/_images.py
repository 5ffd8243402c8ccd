"""The images that all models of a probe are shown: test images, none that a run was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from plexus.data import ImageData, Memory, Split, load, read_batches
from plexus.errors import ConfigError, DataError
from plexus.training import Opened, check_classes


@dataclass(frozen=True, eq=False)
class Chosen:
    """Test images, drawn from one data set, the same for all models.

    Args:
        pixels: uint8, (N, C, S, S).
        labels: class indices, (N,).
        names: where each came from.
        facts: of the data, for the record.
        summary: the data in a line, for people.
    """

    pixels: Tensor
    labels: Tensor
    names: tuple[str, ...]
    facts: dict[str, Any]
    summary: str = ""


def choose_images(opened: Sequence[Opened], spec: str | Memory, count: int, *, seed: int, size: int | None) -> Chosen:
    """Draw test images of a data set in the shape that the models take.

    The data is split as the runs split it, so that a run's own data gives the images it was tested on.

    Args:
        opened: the models.
        spec: ``digits``, a folder or a hub id; or images in memory, which are all for the test.
        count: how many, at most.
        seed: of the draw; of the split too, where no model is a run.
        size: resize to SIZE x SIZE, where no model fixes it.

    Raises:
        DataError: data that cannot be loaded, or whose classes are not the model's.
        ConfigError: models that take different images or were tested on different ones.
    """
    shape = _shape(opened, size)
    if isinstance(spec, Memory):
        data = _all_of(opened, spec, shape, size)
    else:
        data = _load(opened, spec, shape, size, seed)
        for each in opened:
            check_classes(each, data.name, data.classes)
    test = data.test
    draw = np.random.default_rng(seed).permutation(len(test))[:count]
    rows = torch.from_numpy(np.sort(draw))
    pixels = test.images[rows]
    if pixels.shape[2] != pixels.shape[3]:
        side = f"{pixels.shape[2]}x{pixels.shape[3]}"
        raise ConfigError(f"{data.name}: images of {side} cannot be turned; give --size to make them squares")
    facts = {
        "name": data.name,
        "spec": data.name if isinstance(spec, Memory) else spec,
        "fingerprint": data.fingerprint,
        "classes": list(data.classes),
        "in_shape": list(pixels.shape[1:]),
        "images": len(rows),
        "test": len(test),
        "own": [bool(each.fingerprint) and each.fingerprint == data.fingerprint for each in opened],
    }
    return Chosen(pixels, test.labels[rows], tuple(test.names[row] for row in rows.tolist()), facts, data.summary)


def _all_of(
    opened: Sequence[Opened], memory: Memory, shape: tuple[int, int, int] | None, size: int | None
) -> ImageData:
    """All images in memory as test images, their labels in the order of the models' classes."""
    samples = memory.samples
    if not samples.has_labels:
        raise DataError(f"{samples.where}: no labels: give one class per image")
    if shape is None:
        first = samples.pixels(0)
        shape = (3 if first.ndim == 3 else 1, *((size, size) if size is not None else first.shape[:2]))
    fit, white = next(((each.fit, each.white) for each in opened if each.config is not None), ("squash", None))
    images = torch.cat([pixels for _, pixels in read_batches([samples], shape, fit=fit, white=white)])
    classes = next((each.classes for each in opened if each.classes is not None), None)
    if classes is None and memory.numbers:  # a module knows classes by their number alone
        with torch.inference_mode():
            logits = opened[0].model(images[:1].float())
        classes = tuple(map(str, range(logits.shape[-1])))
    classes = classes or samples.classes
    index = {name: i for i, name in enumerate(classes)}
    names = [str(sample.label) for sample in samples.samples]
    if strange := sorted(set(names) - set(classes)):
        raise DataError(f"{samples.where}: label {strange[0]!r} is none of the model's {len(classes)} classes")
    split = Split(images, torch.tensor([index[name] for name in names]), tuple(s.name for s in samples.samples))
    return ImageData(samples.name, split, split, split, classes, "")


def _shape(opened: Sequence[Opened], size: int | None) -> tuple[int, int, int] | None:
    """Find the one shape that models fix, if any does."""
    fixed = {each.in_shape: each for each in opened if each.in_shape is not None}
    if len(fixed) > 1:
        kinds = ", ".join(f"{each.name} {_times(shape)}" for shape, each in fixed.items() if shape)
        raise ConfigError(f"the models take different images ({kinds}); probe them one at a time")
    if not fixed:
        return None
    shape, each = next(iter(fixed.items()))
    assert shape is not None
    if shape[1] != shape[2]:
        raise ConfigError(f"{each.source}: takes images of {shape[1]}x{shape[2]}, and only squares can be turned")
    if size is not None and size != shape[1]:
        raise ConfigError(f"--size {size}: {each.source} takes images of {shape[1]}x{shape[2]}; leave --size out")
    if shape[0] not in (1, 3):
        raise ConfigError(f"{each.source}: takes {shape[0]} channels; expected 1 (grey) or 3 (colour)")
    return shape


def _load(
    opened: Sequence[Opened], spec: str, shape: tuple[int, int, int] | None, size: int | None, seed: int
) -> ImageData:
    runs = [(each.config, each.white) for each in opened if each.config is not None]
    options: dict[str, Any] = {"size": size} if shape is None else {"size": shape[1:], "channels": shape[0]}

    def split(config: Any, white: int | None) -> ImageData:
        own = str(Path(spec).absolute()) == config.data or spec == config.data
        return load(
            spec, seed=config.seed, val=config.val, test=config.test, limit=config.limit,
            label=config.label if own else None, skip_unreadable=config.skip_unreadable,
            fit=getattr(config, "fit", None) or "auto", cache=getattr(config, "cache", None),
            white=None if own else white, **options,
        )  # fmt: skip

    if not runs:
        return load(spec, seed=seed, **options)
    first = split(*runs[0])
    splits = {(c.seed, c.val, c.test, c.limit, white): (c, white) for c, white in runs}
    for other in list(splits.values())[1:]:
        if not _same(split(*other).test, first.test):
            raise ConfigError(
                f"{spec}: the runs were tested on different images (their seeds, splits or 16-bit images differ); "
                "probe them one at a time, or on data with a test split of its own"
            )
    return first


def _same(a: Split, b: Split) -> bool:
    return a.names == b.names and torch.equal(a.labels, b.labels) and torch.equal(a.images, b.images)


def _times(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))
