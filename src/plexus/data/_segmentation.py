"""Images with masks in memory, at the size of the nets; true masks at their own size, read when they are asked for."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from plexus.data._arrays import Split
from plexus.data._decode import Pixels, UnreadableError
from plexus.data._mask_file import Mask
from plexus.data._pixels import resize_image, resize_mask, stack
from plexus.data._samples import SampleSet
from plexus.errors import DataError
from plexus.record import digest


@dataclass(frozen=True, eq=False)
class SegmentationDataset:
    """Images with their masks.

    Args:
        source: the set they came from; sample i is image i.
        images: uint8, (N, C, H, W), at the size of the nets.
        masks: uint8, 0 or 1, (N, 1, H, W); where a value is ignored (N, 2, H, W), the second 1 at what is ignored.
        sizes: rows and columns of each image as it is in its file.
        present: True where the target is in an image, at its own size, (N,).
        hashes: of each image's file.
        fingerprint: of all images and masks.
        skipped: ``name: reason`` of each image that was left out.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> from plexus.data import load_segmentation, open_samples
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Image.new("L", (8, 6)).save(f"{folder}/a.png")
        ...     Image.new("L", (8, 6), 255).save(f"{folder}/a_mask.png")
        ...     data = load_segmentation(open_samples(folder, masks=True), (4, 4))
        >>> data.images.shape, data.masks.sum().item(), data.sizes, data.present.tolist()
        (torch.Size([1, 1, 4, 4]), 16, ((6, 8),), [True])
    """

    source: SampleSet
    images: Tensor
    masks: Tensor
    sizes: tuple[tuple[int, int], ...]
    present: NDArray[np.bool_]
    hashes: tuple[str, ...]
    fingerprint: str
    skipped: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.images)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the images, each once."""
        return tuple(sample.name for sample in self.source.samples)

    @property
    def groups(self) -> tuple[str | None, ...]:
        """The patient or video of each image."""
        return tuple(sample.group for sample in self.source.samples)

    def split(self, rows: Sequence[int] | NDArray[np.int64]) -> Split:
        """Return some of the images, with masks, and what they ignore, in the place of labels."""
        return Split(self.images, self.masks, self.names).take(rows)

    def truth(self, i: int) -> Mask:
        """Return the mask of image i at the image's own size."""
        mask = self.source.mask(i)
        return np.zeros(self.sizes[i], bool) if mask is None else mask

    def ignored(self, i: int) -> Mask | None:
        """Return where the mask of image i says neither inside nor outside, at the image's own size, or None."""
        return self.source.mask_and_ignored(i)[1] if self.source.ignore is not None else None

    def take(self, rows: Sequence[int] | NDArray[np.int64]) -> SegmentationDataset:
        """Return some of the images with their masks."""
        at = np.asarray(rows, np.int64)
        index = torch.from_numpy(at)
        return replace(
            self,
            source=self.source.take(at.tolist()),
            images=self.images[index],
            masks=self.masks[index],
            sizes=tuple(self.sizes[i] for i in at.tolist()),
            present=self.present[at],
            hashes=tuple(self.hashes[i] for i in at.tolist()),
        )


class _Read(NamedTuple):
    """One image with its mask."""

    image: Pixels
    mask: NDArray[np.bool_]
    size: tuple[int, int]
    present: bool
    hash: str
    both: str


def load_segmentation(
    source: SampleSet,
    size: tuple[int, int],
    *,
    channels: int | None = None,
    missing_mask: str = "error",
    skip_unreadable: bool = False,
) -> SegmentationDataset:
    """Read all images and masks of a set, several at a time.

    Args:
        source: the samples.
        size: rows and columns to resize to: images by antialiased bilinear filtering, masks by area, at least half.
        channels: 1 or 3; by default 3 where an image is in colour.
        missing_mask: ``error``, or ``empty`` for an image without a mask.
        skip_unreadable: leave out what cannot be read.

    Raises:
        DataError: an image or mask that cannot be read, or an image without a mask; all by name.

    Example:
        >>> from plexus.data import SampleSet
        >>> load_segmentation(SampleSet("scans", "scans", "pairs", (), (), (), ()), (32, 32))
        Traceback (most recent call last):
        plexus.errors.DataError: scans: no image can be read: there is none
    """

    def read(i: int) -> _Read | str:
        name = source.samples[i].name
        try:
            image = source.pixels(i)
            mask, ignored = source.mask_and_ignored(i)
        except UnreadableError as error:
            return f"{name}: {error}"
        if mask is None:
            if missing_mask != "empty":
                raise DataError(
                    f"{name}: has no mask; add one, or pass --missing-mask empty if that says there is nothing to see"
                )
            mask = np.zeros(image.shape[:2], bool)
        whole = digest(source.content(i))
        both = digest(whole.encode(), source.mask_content(i) or b"", name.encode())
        height, width = image.shape[:2]
        small = resize_image(image, size, channels)
        masks = [resize_mask(mask, size)]
        if source.ignore is not None:
            masks.append(_touched(np.zeros_like(mask) if ignored is None else ignored, size))
        return _Read(small, np.stack(masks), (height, width), bool(mask.any()), whole, both)

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:  # Pillow lets go of the interpreter while it decodes
        outcomes = list(pool.map(read, range(len(source))))
    skipped = tuple(outcome for outcome in outcomes if isinstance(outcome, str))
    if skipped and not skip_unreadable:
        more = f" (and {len(skipped) - 1} more)" if len(skipped) > 1 else ""
        raise DataError(f"{skipped[0]}{more}: mend it, or leave such images out with --skip-unreadable")
    rows = [i for i, outcome in enumerate(outcomes) if not isinstance(outcome, str)]
    if not rows:
        raise DataError(f"{source.where}: no image can be read: {skipped[0] if skipped else 'there is none'}")
    parts = [outcome for outcome in outcomes if not isinstance(outcome, str)]
    return SegmentationDataset(
        source=source.take(rows),
        images=torch.from_numpy(stack([part.image for part in parts], channels)),
        masks=torch.from_numpy(np.stack([part.mask for part in parts]).astype(np.uint8)),
        sizes=tuple(part.size for part in parts),
        present=np.array([part.present for part in parts], bool),
        hashes=tuple(part.hash for part in parts),
        fingerprint=digest(*(part.both.encode() for part in parts)),
        skipped=skipped,
    )


def _touched(ignored: Mask, size: tuple[int, int]) -> Mask:
    """The pixels of another size that hold anything of what is to be ignored."""
    if ignored.shape == tuple(size):
        return ignored
    area = Image.fromarray(ignored.astype(np.float32)).resize((size[1], size[0]), Image.Resampling.BOX)
    touched: Mask = np.asarray(area) > 1e-6
    return touched
