"""One file to a mask: which of its values are inside, and which are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from plexus.data._decode import UnreadableError, upright
from plexus.data._remarks import MASK_FRAMES, SOFT, Treatment

_FIXED = "save it with 0 outside and 255 inside"
Mask = NDArray[np.bool_]
LABELS = 32
"""Largest mask value that is taken for the number of a class where 255 stands beside it."""


class Drawn(NamedTuple):
    """A mask as it was read.

    Args:
        inside: (H, W), true inside.
        ignored: (H, W), true where pixels say neither inside nor outside; None where no value is to be ignored.
        treatments: how it was read, where that is worth telling.
        turned: True where EXIF turned it.
    """

    inside: Mask
    ignored: Mask | None
    treatments: tuple[Treatment, ...]
    turned: bool


def read_mask(source: Path | bytes, ignore: int | None = None) -> Drawn:
    """Read a mask file as true (inside) and false; call it under `quiet`.

    Where a mask holds zero and one other value, whatever that is (1, 255, an index of a palette), the other value is
    inside. Every index of a palette but 0 is inside. Of soft greys, half of white and more is inside, which is told.
    Transparency is laid on black. Turned as EXIF says, like the image. All else is refused.

    Args:
        source: the file.
        ignore: a value, or an index of a palette, that says neither inside nor outside.
    """
    with upright(source) as (image, turned, several):
        told = (MASK_FRAMES,) if several else ()
        if ignore is not None:
            values = np.asarray(image) if image.mode == "P" else _values(image)
            ignored: Mask = values == ignore
            if image.mode == "P":
                return Drawn((values > 0) & ~ignored, ignored, told, turned)
            inside, soft = _from_values(values[~ignored]) if not ignored.all() else (np.zeros(0, bool), ())
            whole = np.zeros(values.shape, bool)
            whole[~ignored] = inside
            return Drawn(whole, ignored, told + soft, turned)
        if image.mode == "P" and "transparency" not in image.info:
            inside, soft = _from_palette(image)
        else:
            inside, soft = _from_values(_values(image))
        return Drawn(inside, None, told + soft, turned)


def _values(image: Image.Image) -> NDArray[Any]:
    if image.mode in ("1", "L", "I", "F") or image.mode.startswith("I;16"):
        return np.asarray(image)
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, "black"), rgba)
        if np.ptp(np.asarray(rgba)[..., 3]) and not np.asarray(image)[..., :3].any():
            raise UnreadableError(f"a transparent mask that is black throughout: {_FIXED}")
    pixels = np.asarray(image.convert("RGB"))
    if (pixels[..., 0] != pixels[..., 1]).any() or (pixels[..., 0] != pixels[..., 2]).any():
        raise UnreadableError(f"a mask in colours: {_FIXED}")
    return pixels[..., 0]


def _from_palette(image: Image.Image) -> tuple[Mask, tuple[Treatment, ...]]:
    """Take every index but 0, unless a palette of greys makes something else than black of 0."""
    first = (image.getpalette("RGB") or [0, 0, 0])[:3]
    if any(first):
        return _from_values(_values(image.convert("RGB")))
    indices = np.asarray(image)
    _refuse_ignored(np.unique(indices))
    return indices > 0, ()


def _refuse_ignored(kinds: NDArray[Any]) -> None:
    """Refuse labels with 255 beside them, which many sets mean as neither inside nor outside."""
    if len(kinds) > 2 and kinds[-1] == 255 and kinds[-2] <= LABELS:
        shown = ", ".join(str(value) for value in kinds[:3]) + (" ..." if len(kinds) > 3 else "")
        raise UnreadableError(f"mask values {shown} are labels with one to be ignored: {_FIXED}, or pass --ignore 255")


def _from_values(values: NDArray[Any]) -> tuple[Mask, tuple[Treatment, ...]]:
    if values.dtype == np.bool_:
        return np.asarray(values, bool), ()
    # counting is several times as fast as sorting, and most masks have 8 bits
    kinds = (
        np.flatnonzero(np.bincount(values.ravel(), minlength=256)) if values.dtype == np.uint8 else np.unique(values)
    )
    low, high = float(kinds[0]), float(kinds[-1])
    if not np.isfinite([low, high]).all() or low < 0:
        raise UnreadableError(f"mask values from {low:g} to {high:g}: {_FIXED}")
    if len(kinds) == 1 or (len(kinds) == 2 and low == 0):
        return values > 0, ()
    if values.dtype == np.uint8:
        _refuse_ignored(kinds)
    white = 1 if values.dtype.kind == "f" and high <= 1 else 255 if high <= 255 else 65535
    if high > white or 2 * high <= white:
        shown = ", ".join(str(value) for value in kinds[:4]) + (" ..." if len(kinds) > 4 else "")
        raise UnreadableError(f"mask values {shown} are neither two nor greys up to white: {_FIXED}")
    return 2 * values.astype(np.float64) > white, (SOFT,)
