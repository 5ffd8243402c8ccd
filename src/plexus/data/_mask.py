"""One mask file to true and false, by stated rules."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from plexus.data._decode import UnreadableError, open_checked

Mask = NDArray[np.bool_]
SOFT = "soft greys: half of white and more is inside"
_FIXED = "save it with 0 outside and 255 inside"


def read_mask(source: Path | bytes) -> tuple[Mask, str | None]:
    """Read a mask file as true (inside) and false; call it under `quiet`.

    Where a mask holds zero and one other value, whatever that is (1, 255, an index of a palette), the other value is
    inside. Every index of a palette but 0 is inside. Of soft greys, half of white and more is inside, which is told.
    Transparency is laid on black. Turned as EXIF says, like the image.

    Args:
        source: a path, or the bytes of a file.

    Returns:
        The mask, (H, W), and how it was read where that is worth telling.

    Raises:
        UnreadableError: damaged, coloured, or of several values that are neither soft greys nor two.
    """
    with open_checked(source) as image:
        with suppress(Exception):  # damaged EXIF: the image too is taken as it lies
            ImageOps.exif_transpose(image, in_place=True)
        if image.mode == "P" and "transparency" not in image.info:
            return _from_palette(image)
        return _from_values(_values(image))


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


def _from_palette(image: Image.Image) -> tuple[Mask, str | None]:
    """Take every index but 0, unless a palette of greys makes something else than black of 0."""
    first = (image.getpalette("RGB") or [0, 0, 0])[:3]
    if any(first):
        return _from_values(_values(image.convert("RGB")))
    return np.asarray(image) > 0, None


def _from_values(values: NDArray[Any]) -> tuple[Mask, str | None]:
    if values.dtype == np.bool_:
        return np.asarray(values, bool), None
    found = (
        np.flatnonzero(np.bincount(values.ravel(), minlength=256)) if values.dtype == np.uint8 else np.unique(values)
    )
    low, high = float(found[0]), float(found[-1])
    if not np.isfinite([low, high]).all() or low < 0:
        raise UnreadableError(f"mask values from {low:g} to {high:g}: {_FIXED}")
    if len(found) == 1 or (len(found) == 2 and low == 0):
        return values > 0, None
    white = 1 if values.dtype.kind == "f" and high <= 1 else 255 if high <= 255 else 65535
    if high > white or 2 * high <= white:
        shown = ", ".join(str(value) for value in found[:4]) + (" ..." if len(found) > 4 else "")
        raise UnreadableError(f"mask values {shown} are neither two nor greys up to white: {_FIXED}")
    return 2 * values.astype(np.float64) > white, SOFT
