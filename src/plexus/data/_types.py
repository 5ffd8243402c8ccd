"""What loading gives: images and labels in three splits, as tensors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

_CHUNK = 4096


@dataclass(frozen=True, eq=False)
class Split:
    """Images with their labels.

    Args:
        images: uint8 pixels, (N, C, H, W), 0..255; C is 1 (grey) or 3 (red, green, blue).
        labels: int64 class indices, (N,).
        names: where each image came from: a path below the data folder, or ``row 17``.

    Example:
        >>> len(Split(torch.zeros(2, 1, 8, 8, dtype=torch.uint8), torch.tensor([0, 1]), ("row 0", "row 1")))
        2
    """

    images: Tensor
    labels: Tensor
    names: tuple[str, ...]

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.names)


@dataclass(frozen=True, eq=False)
class ImageData:
    """A classification data set held in memory.

    Args:
        name: a short name for people: ``digits``, the folder's name, or the last part of a hub id.
        train: what weights are learned from.
        val: what choices are made by.
        test: what is reported; nothing is ever chosen by it.
        classes: the class names; a label is an index into them.
        fingerprint: ``sha256:`` and the digest of pixels, labels and class names, as they stood before
            validation and test images were split off: it names the data, whatever the seed of the split.
        skipped: one ``name: reason`` for each image left out because it could not be read.

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
