"""Images and labels in memory, in three splits."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from plexus.data._pixels import COLOURLESS, Fit
from plexus.data._samples import few
from plexus.errors import ConfigError, plural, printable

_CHUNK = 256
_LOOKED = 1000


@dataclass(frozen=True, eq=False)
class Split:
    """Images with their labels.

    Args:
        images: uint8 pixels, (N, C, H, W), 0..255; C is 1 (grey) or 3 (red, green, blue).
        labels: int64 class indices, (N,); or masks, uint8 (N, 1, H, W).
        names: the origin of each image: a path below the data folder, or ``row 17``.
        gather: takes some of the images as a tensor, where that is not simply by index: mapped ones stay mapped.

    Example:
        >>> len(Split(torch.zeros(2, 1, 8, 8, dtype=torch.uint8), torch.tensor([0, 1]), ("row 0", "row 1")))
        2
    """

    images: Tensor
    labels: Tensor
    names: tuple[str, ...]
    gather: Callable[[Tensor, NDArray[np.int64]], Tensor] | None = None

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.names)

    def take(self, rows: Sequence[int] | NDArray[np.int64]) -> Split:
        """Return some of the images, in the order given."""
        index = np.asarray(rows, np.int64)
        at = torch.as_tensor(index)
        images = self.images[at] if self.gather is None else self.gather(self.images, index)
        return Split(images, self.labels[at], tuple(self.names[row] for row in at.tolist()), self.gather)


@dataclass(frozen=True, eq=False)
class ImageData:
    """A classification data set held in memory.

    Args:
        name: a short name for people: ``digits``, the folder's name, or the last part of a hub id.
        train: the images that weights are learned from.
        val: the images that choices are made by.
        test: the images that are reported; nothing is ever chosen by them.
        classes: the class names; a label is an index into them. Without classes all labels are -1.
        fingerprint: ``sha256:`` and the digest of pixels, labels and class names, as they stood before
            validation and test images were split off: it names the data, whatever the seed of the split.
        skipped: one ``name: reason`` for each image left out because it could not be read.
        given: the splits that the data brought, rather than have them chosen.
        notes: files left aside and treatments of all images, one line each.
        fit: what became of images of another aspect ratio: squash | letterbox | crop.
        white: the value of 16-bit files that became 255, where there were such files.
        original: rows and columns of the images before they were resized, the median of each; None where they were not.

    Shape:
        Images are uint8 (N, C, H, W), 0..255, in every split alike.

    Example:
        >>> part = Split(torch.full((2, 1, 8, 8), 3, dtype=torch.uint8), torch.tensor([0, 1]), ("a", "b"))
        >>> data = ImageData("two", part, part, part, ("cat", "dog"), "sha256:0")
        >>> data.in_shape, data.mean.unique().tolist()
        ((1, 8, 8), [3.0])
    """

    name: str
    train: Split
    val: Split
    test: Split
    classes: tuple[str, ...]
    fingerprint: str
    skipped: tuple[str, ...] = ()
    given: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    fit: Fit = "squash"
    white: int | None = None
    original: tuple[int, int] | None = None

    @property
    def splits(self) -> dict[str, Split]:
        """The splits by name, train first."""
        return {"train": self.train, "val": self.val, "test": self.test}

    @property
    def summary(self) -> str:
        """One line for people: what was read as what, and what was left out."""
        total, (channels, height, width) = sum(map(len, self.splits.values())), self.in_shape
        parts = [f"{self.name}: {plural(total, 'image')}"]
        if self.classes:
            counts = torch.cat([s.labels for s in self.splits.values()]).bincount(minlength=len(self.classes)).tolist()
            named = few(dict(zip(self.classes, counts, strict=True)))
            parts[0] += f" of {plural(len(self.classes), 'class', 'classes')} ({named})"
        chosen = [name for name in self.splits if name not in self.given and name != "train"]
        sizes = ", ".join(f"{name} {len(split):,}" for name, split in self.splits.items())
        parts.append(f"{sizes} ({' and '.join(chosen)} drawn by the seed)" if chosen else sizes)
        shapes = {"squash": "", "letterbox": ", letterboxed", "crop": ", cropped"}[self.fit]
        parts.append(f"{'grey' if channels == 1 else 'colour'}, {width}x{height}{shapes}")
        if self.skipped:
            parts.append(f"{plural(len(self.skipped), 'image')} left out, such as {printable(self.skipped[0])}")
        return "; ".join([*parts, *self.notes])

    @property
    def in_shape(self) -> tuple[int, int, int]:
        """Channels, rows and columns of every image."""
        channels, height, width = self.train.images.shape[1:]
        return channels, height, width

    @cached_property
    def mean(self) -> Tensor:
        r"""The mean image of the training split, float32 (C, H, W) on the scale 0..255.

        .. math:: m = \frac{1}{N} \sum_n x_n
        """
        total = torch.zeros(self.in_shape, dtype=torch.int64)
        for chunk in self.train.images.split(_CHUNK):  # a whole float copy would take four times the data's memory
            total += chunk.sum(0, dtype=torch.int64)
        return (total.double() / len(self.train)).float()

    def greys(self) -> int:
        """Count the training images without colour in their channels, among a thousand of them.

        Example:
            >>> images = torch.tensor([[9, 9, 9], [9, 8, 7], [9, 0, 0]], dtype=torch.uint8).view(3, 3, 1, 1)
            >>> part = Split(images, torch.tensor([0, 1, 1]), ("a", "b", "c"))
            >>> ImageData("three", part, part, part, ("cat", "dog"), "sha256:0").greys()
            2
        """
        count = len(self.train)
        rows = torch.arange(count) if count <= _LOOKED else torch.linspace(0, count - 1, _LOOKED).long()
        images = (self.train.images[row] for row in rows.tolist())
        return sum(len(image) > 1 and int((image.amax(0) - image.amin(0)).max()) <= COLOURLESS for image in images)

    def copies(self) -> dict[str, int]:
        """Count the validation and the test images that are training images, too, pixel by pixel.

        Constant images are alike for another reason, and do not count.

        Example:
            >>> images = torch.tensor([[[[3, 1]]], [[[2, 2]]]], dtype=torch.uint8)
            >>> part = Split(images, torch.tensor([0, 1]), ("a", "b"))
            >>> ImageData("two", part, part, part, ("cat", "dog"), "sha256:0").copies()
            {'val': 1, 'test': 1}
        """
        trained = set(_digests(self.train.images))
        return {name: sum(d in trained for d in _digests(self.splits[name].images)) for name in ("val", "test")}

    def only(self, classes: Sequence[str]) -> ImageData:
        """Return the images of some classes, which are numbered anew in the order given.

        Raises:
            ConfigError: a class that is not there, or fewer than two.
        """
        if strange := [name for name in classes if name not in self.classes]:
            raise ConfigError(f"classes: {strange[0]!r} is none of {self.name}: it has {', '.join(self.classes)}")
        if len(classes) < 2:
            raise ConfigError(f"classes={list(classes)}: name two classes or more")
        index = torch.full((len(self.classes),), -1)
        index[[self.classes.index(name) for name in classes]] = torch.arange(len(classes))

        def kept(split: Split) -> Split:
            part = split.take((index[split.labels] >= 0).nonzero().flatten().numpy())
            return replace(part, labels=index[part.labels])

        return replace(self, train=kept(self.train), val=kept(self.val), test=kept(self.test), classes=tuple(classes))


def _digests(images: Tensor) -> Iterator[bytes]:
    """A digest of every image that is not constant."""
    for image in images.numpy():
        if image.min() != image.max():
            yield hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16).digest()


def pixel_statistics(images: Tensor, *, correction: int = 1) -> tuple[Tensor, Tensor]:
    r"""Return mean and standard deviation of the pixels of each channel, in one pass over the images.

    .. math:: s^2 = \frac{n \sum_i x_i^2 - (\sum_i x_i)^2}{n (n - c)}

    over all n pixels of a channel, with the correction c. The sums are whole numbers and exact, whatever the order;
    no copy of the images is made.

    Args:
        images: uint8 pixels, (N, C, H, W).
        correction: 1 for the estimate from a sample, 0 for the deviation of these pixels themselves.

    Returns:
        Two float64 tensors, (C,).

    Source: the definition, with the sums kept as integers.

    Example:
        >>> mean, std = pixel_statistics(torch.tensor([[[[0, 2]]], [[[4, 6]]]], dtype=torch.uint8), correction=0)
        >>> mean.item(), std.item() ** 2
        (3.0, 5.000000000000001)
    """
    n = images[:, 0].numel()
    sums, squares = (torch.zeros(images.shape[1], dtype=torch.int64) for _ in range(2))
    for chunk in images.split(_CHUNK):
        sums += chunk.sum((0, 2, 3), dtype=torch.int64)
        squares += chunk.to(torch.int32).square().sum((0, 2, 3), dtype=torch.int64)
    # Python's integers have no end: n * squares would pass 2^63 with some ten thousand large images
    variances = [
        (n * square - total * total) / max(1, n * (n - correction))
        for total, square in zip(sums.tolist(), squares.tolist(), strict=True)
    ]
    return sums.double() / n, torch.tensor(variances, dtype=torch.float64).sqrt()
