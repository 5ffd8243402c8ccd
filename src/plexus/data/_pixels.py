"""Pixels and masks at another size and with other channels, and many of them in one array."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from PIL import Image

from plexus.data._decode import Pixels
from plexus.data._mask_file import Mask

Size = tuple[int, int]
"""Rows and columns."""
Fit = Literal["letterbox", "crop", "squash"]
"""What becomes of an image of another aspect ratio."""
_PADDING = 128
COLOURLESS = 2
"""The largest difference between the channels of a pixel of a grey image, of 255."""


def resize_image(pixels: Pixels, size: Size | None, channels: int | None = None, fit: Fit = "squash") -> Pixels:
    """Return an image at another size, by antialiased bilinear filtering.

    Args:
        pixels: (H, W) or (H, W, 3), 0..255.
        size: rows and columns; None keeps them.
        channels: 1 takes the luminance of colours, before they are resized; greys stay (H, W) whatever it is.
        fit: what becomes of another aspect ratio: ``squash`` changes it, ``letterbox`` keeps the whole image and fills
            the rest with middle grey (128), ``crop`` fills the size and cuts off what stands over at both ends.

    Returns:
        uint8, (H, W) or (H, W, 3).

    Example:
        >>> resize_image(np.full((4, 6, 3), 9, np.uint8), (2, 3), channels=1).tolist()
        [[9, 9, 9], [9, 9, 9]]
    """
    if (size is None or pixels.shape[:2] == tuple(size)) and not (channels == 1 and pixels.ndim == 3):
        return pixels
    return to_pixels(Image.fromarray(np.ascontiguousarray(pixels)), size, channels, fit)


def to_pixels(image: Image.Image, size: Size | None, channels: int | None = None, fit: Fit = "squash") -> Pixels:
    """Do what `resize_image` does, to a Pillow image."""
    if channels == 1 and image.mode != "L":
        image = image.convert("L")
    if size is None or image.size == (size[1], size[0]):
        return np.asarray(image)
    box = None
    inner = (size[1], size[0])
    if fit != "squash" and image.width * size[0] != image.height * size[1]:
        across, down = size[1] / image.width, size[0] / image.height
        if fit == "crop":
            width, height = size[1] / max(across, down), size[0] / max(across, down)
            left, top = (image.width - width) / 2, (image.height - height) / 2
            box = (left, top, left + width, top + height)
        else:
            scale = min(across, down)
            inner = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    image = image.resize(inner, Image.Resampling.BILINEAR, box=box)
    if inner != (size[1], size[0]):
        whole = Image.new(image.mode, (size[1], size[0]), _PADDING if image.mode == "L" else (_PADDING,) * 3)
        whole.paste(image, ((size[1] - inner[0]) // 2, (size[0] - inner[1]) // 2))
        image = whole
    return np.asarray(image)


def resize_mask(mask: Mask, size: Size) -> Mask:
    """Return a mask at another size: a pixel is set where at least half its area is.

    A mask too small for any such pixel keeps the fullest one, so that its image does not turn into one without.

    Args:
        mask: (H, W), true inside.
        size: rows and columns.

    Returns:
        bool, (H, W).

    Example:
        >>> resize_mask(np.array([[1, 1, 0, 0], [1, 0, 0, 0]], bool), (1, 2)).tolist()
        [[True, False]]
    """
    if mask.shape == tuple(size):
        return mask
    area = np.asarray(Image.fromarray(mask.astype(np.float32)).resize((size[1], size[0]), Image.Resampling.BOX))
    inside = area >= 0.5 - 1e-6  # an exact half may come out as a little less
    return area == area.max() if mask.any() and not inside.any() else inside


def to_shape(pixels: Pixels, in_shape: Sequence[int], fit: Fit = "squash") -> Pixels:
    """Return an image in the shape that a model takes: resized, colour as luminance or grey repeated.

    Args:
        pixels: (H, W) or (H, W, 3), 0..255.
        in_shape: channels (1 or 3), rows, columns.
        fit: see `resize_image`.

    Returns:
        uint8, (C, H, W).

    Example:
        >>> to_shape(np.full((4, 6), 9, np.uint8), (3, 2, 2)).shape
        (3, 2, 2)
    """
    channels, *size = in_shape
    return stack([resize_image(pixels, (size[0], size[1]), channels, fit)], channels)[0]


def stack(pixels: Sequence[Pixels], channels: int | None = None) -> Pixels:
    """Return grey and colour images of one size as one array; greys are repeated over the channels.

    Args:
        pixels: each (H, W) or (H, W, 3).
        channels: of the result; by default 3 where an image is in colour, and else 1.

    Returns:
        uint8, (N, C, H, W).

    Example:
        >>> stack([np.zeros((2, 2), np.uint8), np.zeros((2, 2, 3), np.uint8)]).shape
        (2, 3, 2, 2)
    """
    wanted = channels or (3 if any(image.ndim == 3 for image in pixels) else 1)
    out = np.empty((len(pixels), wanted, *pixels[0].shape[:2]), np.uint8)
    for target, image in zip(out, pixels, strict=True):
        target[:] = image if image.ndim == 2 else image.transpose(2, 0, 1)
    return out


def data_uri(image: Image.Image, kind: Literal["PNG", "JPEG"] = "PNG", **options: Any) -> str:
    """Write a picture as a data URI, which a record or a page can hold.

    Args:
        image: a Pillow image of a mode that the kind knows.
        kind: PNG | JPEG.
        **options: of Pillow's `Image.save`, such as `quality`; without any the file is made small by `optimize`.

    Returns:
        `data:image/KIND;base64,...`

    Example:
        >>> data_uri(Image.new("L", (1, 1)))[:22]
        'data:image/png;base64,'
    """
    file = io.BytesIO()
    image.save(file, kind, **(options or {"optimize": True}))
    return f"data:image/{kind.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"
