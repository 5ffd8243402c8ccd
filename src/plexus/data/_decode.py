"""One image file to 8-bit grey or RGB pixels."""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from plexus.errors import DataError

FORMATS = ("JPEG", "PNG", "TIFF", "GIF", "BMP", "WEBP", "PPM", "JPEG2000", "AVIF")  # JPEG reads MPO too
SUFFIXES = frozenset(
    f".{suffix}"
    for kinds in ("avif bmp gif webp", "jfif jpe jpeg jpg mpo jp2", "pbm pgm png pnm ppm", "tif tiff")
    for suffix in kinds.split()
)
MAX_PIXELS = 89_478_485  # 256 MiB of RGB, where Pillow starts to warn of decompression bombs

Pixels = NDArray[np.uint8]


class UnreadableError(DataError):
    """Why one image cannot be used; the caller adds its name.

    Example:
        >>> str(UnreadableError("not an image of a known format"))
        'not an image of a known format'
    """


_QUIET_LOCK = threading.Lock()
_quiet_now: list[warnings.catch_warnings[None]] = []  # one entry for every block that runs, the filters' keeper first


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Pillow's warnings back: what matters in them is an error here, and the rest is not the user's concern.

    Blocks may run in several threads at once: the filters, which all threads share, come back after the last.
    """
    keeper = warnings.catch_warnings()
    with _QUIET_LOCK:
        if not _quiet_now:
            keeper.__enter__()
            warnings.simplefilter("ignore")
        _quiet_now.append(keeper)
    try:
        yield
    finally:
        with _QUIET_LOCK:
            first = _quiet_now[0]
            _quiet_now.pop()
            if not _quiet_now:
                first.__exit__(None, None, None)


def decode(source: str | Path | bytes) -> Image.Image:
    """Read an image file as 8-bit grey ("L") or colour ("RGB").

    EXIF orientation is applied; of an animation the first frame is taken; 16-bit values are divided by 257, so that
    0..65535 becomes 0..255 and nothing is clipped; palettes, 1-bit, CMYK and other colour spaces are converted
    (without colour profiles); transparent images are laid on white, as a page shows them, because the colours
    hidden under full transparency are arbitrary. An image whose red, green and blue agree everywhere is grey.

    Args:
        source: a path, or the bytes of a file.

    Returns:
        A Pillow image of mode "L" or "RGB".

    Raises:
        DataError: no image of a known format, damaged, larger than 89 million pixels, or with float pixels, which
            have no fixed range.

    Example:
        >>> decode(b"P2 2 1 255 0 255 ").mode
        'L'
    """
    with quiet():
        try:
            return read(source)
        except UnreadableError as error:
            raise DataError(f"{'image' if isinstance(source, bytes) else source}: {error}") from error


def read_image(path: str | Path, in_shape: Sequence[int]) -> Tensor:
    """Read an image file into the shape a model was trained on.

    Decodes and resizes as `load` does with ``size``; colour becomes luminance where the model wants grey.

    Args:
        path: the image file.
        in_shape: channels (1 or 3), rows, columns.

    Returns:
        uint8 pixels, (C, H, W), 0..255.

    Raises:
        DataError: see `decode`.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Image.new("L", (6, 4), 90).save(f"{folder}/a.png")
        ...     read_image(f"{folder}/a.png", (3, 8, 8)).shape
        torch.Size([3, 8, 8])
    """
    channels, height, width = in_shape
    image = decode(path)
    if channels == 1:
        image = image.convert("L")
    pixels = to_pixels(image, (height, width))
    out = np.empty((channels, height, width), np.uint8)
    out[:] = pixels if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    return torch.from_numpy(out)


def read(source: str | Path | bytes) -> Image.Image:
    """Do what `decode` does; raise `UnreadableError` without a name. Call it under `quiet`."""
    with open_checked(source) as image:
        with suppress(Exception):  # damaged EXIF: viewers too show such an image as it lies
            ImageOps.exif_transpose(image, in_place=True)
        return _normalized(image)


@contextmanager
def open_checked(source: str | Path | bytes) -> Iterator[Image.Image]:
    """Open and load an image, `telling` what goes wrong in the block. Call it under `quiet`."""
    with telling(), _open(source) as image:
        image.load()
        yield image


@contextmanager
def telling() -> Iterator[None]:
    """Turn whatever goes wrong at an image into `UnreadableError` without a name."""
    try:
        yield
    except UnreadableError:
        raise
    except UnidentifiedImageError:
        raise UnreadableError("not an image of a known format") from None
    except FileNotFoundError:
        raise UnreadableError("no such file") from None
    except OSError as error:
        raise UnreadableError(error.strerror or str(error)) from None
    except Exception as error:  # Pillow's readers raise nearly anything at damaged files
        raise UnreadableError(f"damaged image ({type(error).__name__}: {error})") from None


def upright_size(source: str | Path | bytes) -> tuple[int, int]:
    """Return (rows, columns) after EXIF orientation, from the header where the format allows. Call it under `quiet`."""
    with _open(source) as image:
        width, height = image.size
        sideways = False
        with suppress(Exception):
            sideways = image.format != "TIFF" and image.getexif().get(0x0112, 1) in (5, 6, 7, 8)  # TIFF tells it turned
    return (width, height) if sideways else (height, width)


def to_pixels(image: Image.Image, size: tuple[int, int] | None) -> Pixels:
    """Return (H, W) or (H, W, 3), resized to ``size`` (rows, columns) by antialiased bilinear filtering."""
    if size is not None and image.size != (size[1], size[0]):
        image = image.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return np.asarray(image)


def _open(source: str | Path | bytes) -> Image.Image:
    if isinstance(source, bytes) and not source:
        raise UnreadableError("empty")
    if not isinstance(source, bytes) and Path(source).is_file() and Path(source).stat().st_size == 0:
        raise UnreadableError("empty file")
    file: str | Path | BinaryIO = io.BytesIO(source) if isinstance(source, bytes) else source
    try:
        image = Image.open(file, formats=FORMATS)
    except Image.DecompressionBombError:
        raise UnreadableError(f"more than {MAX_PIXELS} pixels: scale it down") from None
    if image.width * image.height > MAX_PIXELS:
        image.close()
        raise UnreadableError(f"more than {MAX_PIXELS} pixels: scale it down")
    return image


def _normalized(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise UnreadableError("float pixels have no fixed range: save it with 8 or 16 bits a channel")
    if image.mode == "I" or image.mode.startswith("I;16"):
        return Image.fromarray(_from_16_bits(image))
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    if image.mode in ("1", "L"):
        return image.convert("L")
    rgb = image.convert("RGB")
    pixels = np.asarray(rgb)
    grey = np.array_equal(pixels[..., 0], pixels[..., 1]) and np.array_equal(pixels[..., 0], pixels[..., 2])
    return rgb.convert("L") if grey else rgb


def _from_16_bits(image: Image.Image) -> Pixels:
    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise UnreadableError("pixel values outside 0..65535: save it with 8 or 16 bits a channel")
    clear = image.info.get("transparency")
    if isinstance(clear, int):
        values[values == clear] = 65535
    return ((values + 128) // 257).astype(np.uint8)
