"""Images and masks at the size of the nets, in memory; true masks at their own size, read when they are asked for."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from plexus.data import SampleSet, Split
from plexus.data._decode import UnreadableError
from plexus.errors import DataError
from plexus.training.run_folder import digest

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Pairs:
    """Images with their masks.

    Args:
        source: where they came from; sample i is image i.
        images: uint8, (N, C, H, W), at the size of the nets.
        masks: uint8, 0 or 1, (N, 1, H, W).
        sizes: rows and columns of each image as it is in its file.
        present: whether the target is in each image, at that size.
        hashes: of each image's file.
        fingerprint: of all images and masks.
        skipped: `name: reason` of each image that was left out.
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
        return len(self.images)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the images, each once."""
        return tuple(sample.name for sample in self.source.samples)

    @property
    def groups(self) -> tuple[str | None, ...]:
        """The patient or video of each image."""
        return tuple(sample.group for sample in self.source.samples)

    def split(self, rows: Sequence[int] | NDArray[np.int64]) -> Split:
        """Some of the images, with masks in the place of labels."""
        at = torch.as_tensor(np.asarray(rows, np.int64))
        return Split(self.images[at], self.masks[at], tuple(self.names[i] for i in at.tolist()))

    def truth(self, i: int) -> Mask:
        """The mask of image i at the image's own size."""
        mask = self.source.mask(i)
        return np.zeros(self.sizes[i], bool) if mask is None else mask

    def take(self, rows: Sequence[int]) -> Pairs:
        """Some of the pairs."""
        at = torch.tensor(list(rows), dtype=torch.int64)
        sizes, hashes = ([part[i] for i in rows] for part in (self.sizes, self.hashes))
        return Pairs(
            self.source.take(list(rows)), self.images[at], self.masks[at], tuple(sizes),  # type: ignore[arg-type]
            self.present[list(rows)], tuple(hashes), self.fingerprint, self.skipped,  # type: ignore[arg-type]
        )  # fmt: skip


def load_pairs(
    source: SampleSet,
    size: tuple[int, int],
    *,
    channels: int | None = None,
    missing_mask: str = "error",
    skip_unreadable: bool = False,
) -> Pairs:
    """Reads all images and masks, several at a time.

    Args:
        source: the samples.
        size: rows and columns to resize to: images by antialiased bilinear filtering, masks by area, at least half.
        channels: 1 or 3; by default 3 where an image is in colour.
        missing_mask: `error`, or `empty` for an image without a mask.
        skip_unreadable: leave out what cannot be read.

    Raises:
        DataError: an image or mask that cannot be read, or an image without a mask; all by name.
    """

    def read(i: int) -> tuple[Any, ...] | str:
        name = source.samples[i].name
        try:
            image = source.pixels(i)
            mask = source.mask(i)
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
        return resize_image(image, size), resize_mask(mask, size), image.shape[:2], bool(mask.any()), whole, both

    found = in_parallel(read, len(source))
    skipped = tuple(entry for entry in found if isinstance(entry, str))
    if skipped and not skip_unreadable:
        more = f" (and {len(skipped) - 1} more)" if len(skipped) > 1 else ""
        raise DataError(f"{skipped[0]}{more}: mend it, or leave such images out with --skip-unreadable")
    rows = [i for i, entry in enumerate(found) if not isinstance(entry, str)]
    if not rows:
        raise DataError(f"{source.where}: no image can be read: {skipped[0] if skipped else 'there is none'}")
    images, masks, sizes, present, hashes, both = zip(*(found[i] for i in rows), strict=True)
    return Pairs(
        source=source.take(rows),
        images=stack(images, channels),
        masks=torch.from_numpy(np.stack(masks)[:, None].astype(np.uint8)),
        sizes=tuple((int(h), int(w)) for h, w in sizes),
        present=np.array(present, bool),
        hashes=tuple(hashes),
        fingerprint=digest(*(text.encode() for text in both)),
        skipped=skipped,
    )


def in_parallel(function: Any, count: int) -> list[Any]:
    """function(0), ..., function(count - 1); Pillow lets go of the interpreter while it decodes."""
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        return list(pool.map(function, range(count)))


def resize_image(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """(H, W) or (H, W, 3) at another size, by antialiased bilinear filtering."""
    if pixels.shape[:2] == size:
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((size[1], size[0]), Image.Resampling.BILINEAR))


def resize_mask(mask: Mask, size: tuple[int, int]) -> Mask:
    """A mask at another size: a pixel is set where at least half its area is.

    A mask too small for any such pixel keeps the fullest one, so that its image does not turn into one without.

    Example:
        >>> resize_mask(np.array([[1, 1, 0, 0], [1, 0, 0, 0]], bool), (1, 2)).tolist()
        [[True, False]]
    """
    if mask.shape == size:
        return mask
    area = np.asarray(Image.fromarray(mask.astype(np.float32)).resize((size[1], size[0]), Image.Resampling.BOX))
    found = area >= 0.5 - 1e-6
    return area == area.max() if mask.any() and not found.any() else found


def stack(images: Sequence[Pixels], channels: int | None = None) -> Tensor:
    """Grey and colour images of one size as uint8 (N, C, H, W).

    Args:
        images: each (H, W) or (H, W, 3).
        channels: 1 takes the luminance of colours, 3 repeats greys; by default 3 where an image is in colour.
    """
    wanted = channels or (3 if any(image.ndim == 3 for image in images) else 1)
    out = np.empty((len(images), wanted, *images[0].shape[:2]), np.uint8)
    for place, image in zip(out, images, strict=True):
        if image.ndim == 3 and wanted == 1:
            place[0] = np.asarray(Image.fromarray(image).convert("L"))
        else:
            place[:] = image if image.ndim == 2 else image.transpose(2, 0, 1)
    return torch.from_numpy(out)
