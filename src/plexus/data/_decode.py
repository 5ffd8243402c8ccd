"""One file to 8-bit grey or RGB pixels, or to a mask: all that is known of formats, depths, EXIF and DICOM."""

from __future__ import annotations

import importlib.util
import io
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from plexus.errors import ConfigError, DataError
from plexus.record import open_file

FORMATS = ("JPEG", "PNG", "TIFF", "GIF", "BMP", "WEBP", "PPM", "JPEG2000", "AVIF")  # JPEG reads MPO too
DICOM = ".dcm"
SUFFIXES = frozenset(
    f".{suffix}"
    for kinds in ("avif bmp gif webp", "jfif jpe jpeg jpg mpo jp2", "pbm pgm png pnm ppm", "tif tiff", "dcm")
    for suffix in kinds.split()
)
MAX_PIXELS = 89_478_485  # 256 MiB of RGB, where Pillow starts to warn of decompression bombs
SOFT = "soft greys: half of white and more is inside"
TURNED = "no EXIF beside an image that EXIF turns: taken as drawn on the turned image"
_ORIENTATION = 0x0112
_FIXED = "save it with 0 outside and 255 inside"

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]


class UnreadableError(DataError):
    """The reason why one image cannot be used; the caller adds its name.

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
    Of a DICOM file (``.dcm``) the first frame is taken: colour becomes RGB; grey goes through the file's rescale and
    window, or without a window its darkest and brightest values become 0 and 255, unless it has 8 bits, which are kept.

    Args:
        source: a path, or the bytes of a file.

    Returns:
        A Pillow image of mode "L" or "RGB".

    Raises:
        DataError: no image of a known format, damaged, larger than 89 million pixels, or with float pixels, which
            have no fixed range.
        ConfigError: a DICOM file, and pydicom is not installed.

    Example:
        >>> decode(b"P2 2 1 255 0 255 ").mode
        'L'
    """
    if is_dicom(source):
        require_pydicom(str(source))
    with quiet():
        try:
            return read(source)
        except UnreadableError as error:
            raise DataError(f"{'image' if isinstance(source, bytes) else source}: {error}") from error


def read(source: str | Path | bytes) -> Image.Image:
    """Do what `decode` does; raise `UnreadableError` without a name. Call it under `quiet`."""
    if is_dicom(source):
        return _read_dicom(str(source))
    with _upright(source) as (image, _):
        return _normalized(image)


def header(source: str | Path | bytes) -> tuple[int, int, bool]:
    """Return rows and columns after EXIF orientation, and True where EXIF turns or mirrors the image.

    From the file's head where the format allows. Call it under `quiet`.
    """
    if is_dicom(source):
        width, height = _read_dicom(str(source)).size
        return height, width, False
    with _telling(), _open(source) as image:
        orientation = _orientation(image)
        width, height = image.size
        sideways = orientation > 4 and image.format != "TIFF"  # Pillow tells a TIFF's size as turned
        return *((width, height) if sideways else (height, width)), orientation > 1


def read_mask(source: Path | bytes) -> tuple[Mask, str | None, bool]:
    """Read a mask file as true (inside) and false; call it under `quiet`.

    Where a mask holds zero and one other value, whatever that is (1, 255, an index of a palette), the other value is
    inside. Every index of a palette but 0 is inside. Of soft greys, half of white and more is inside, which is told.
    Transparency is laid on black. Turned as EXIF says, like the image. All else is refused.

    Returns:
        The mask, (H, W); how it was read, where that is worth telling; and True where EXIF turned it.
    """
    with _upright(source) as (image, turned):
        if image.mode == "P" and "transparency" not in image.info:
            return *_from_palette(image), turned
        return *_from_values(_values(image)), turned


def is_dicom(source: str | Path | bytes) -> bool:
    """Return True for a file that is named as DICOM."""
    return not isinstance(source, bytes) and str(source).lower().endswith(DICOM)


def require_pydicom(where: str) -> None:
    """Refuse DICOM files where nothing can read them; say how to get what does."""
    if importlib.util.find_spec("pydicom") is None:
        raise ConfigError(f"{where}: DICOM files need pydicom: pip install 'plexus-nn[dicom]'")


@contextmanager
def _upright(source: str | Path | bytes) -> Iterator[tuple[Image.Image, bool]]:
    """Load an image and turn it as EXIF says, which is True where it says anything; `_telling` what goes wrong."""
    with _telling(), _open(source) as image:
        turned = _orientation(image) > 1  # before loading: Pillow then turns a TIFF itself, and forgets the tag
        image.load()
        with suppress(Exception):  # damaged EXIF: viewers too show such an image as it lies
            ImageOps.exif_transpose(image, in_place=True)
        yield image, turned


@contextmanager
def _telling() -> Iterator[None]:
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


@contextmanager
def _open(source: str | Path | bytes) -> Iterator[Image.Image]:
    # Never by name: Pillow 13 maps an uncompressed TIFF into memory then, and does not turn it as its EXIF says.
    with io.BytesIO(source) if isinstance(source, bytes) else open_file(source) as file:
        if not file.read(1):
            raise UnreadableError("empty" if isinstance(source, bytes) else "empty file")
        file.seek(0)
        try:
            image = Image.open(file, formats=FORMATS)
        except Image.DecompressionBombError:
            raise UnreadableError(f"more than {MAX_PIXELS} pixels: scale it down") from None
        with image:
            if image.width * image.height > MAX_PIXELS:
                raise UnreadableError(f"more than {MAX_PIXELS} pixels: scale it down")
            yield image


def _orientation(image: Image.Image) -> int:
    """Return 1 for an image that is upright, 2 to 8 for one that is to be turned or mirrored."""
    with suppress(Exception):
        orientation = image.getexif().get(_ORIENTATION, 1)
        return int(orientation) if orientation in range(1, 9) else 1
    return 1


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


def _read_dicom(path: str) -> Image.Image:
    """Read the first frame of a DICOM file; MONOCHROME1 is inverted."""
    import pydicom
    from pydicom.pixels import apply_rescale, pixel_array

    try:
        with quiet():
            with open_file(path) as file:
                dataset = pydicom.dcmread(file)
            frame = pixel_array(dataset, index=0)  # YBR becomes RGB
        if frame.ndim == 3:
            return Image.fromarray(np.ascontiguousarray(frame, np.uint8))
        values = apply_rescale(frame, dataset).astype(np.float64)
        if "WindowCenter" in dataset:
            centre, width = (float(np.atleast_1d(dataset[key].value)[0]) for key in ("WindowCenter", "WindowWidth"))
            low, high = centre - width / 2, centre + width / 2 - 1
        elif frame.dtype == np.uint8:
            values, low, high = frame.astype(np.float64), 0.0, 255.0
        else:
            low, high = float(values.min()), float(values.max())
        grey = np.clip((values - low) * (255 / max(high - low, 1e-12)), 0, 255)
        if dataset.PhotometricInterpretation == "MONOCHROME1":
            grey = 255 - grey
        return Image.fromarray(np.rint(grey).astype(np.uint8))
    except FileNotFoundError:
        raise UnreadableError("no such file") from None
    except Exception as error:  # pydicom's readers raise nearly anything at damaged files
        raise UnreadableError(f"cannot be read as DICOM ({type(error).__name__}: {error})") from None


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
    # counting is several times as fast as sorting, and most masks have 8 bits
    kinds = (
        np.flatnonzero(np.bincount(values.ravel(), minlength=256)) if values.dtype == np.uint8 else np.unique(values)
    )
    low, high = float(kinds[0]), float(kinds[-1])
    if not np.isfinite([low, high]).all() or low < 0:
        raise UnreadableError(f"mask values from {low:g} to {high:g}: {_FIXED}")
    if len(kinds) == 1 or (len(kinds) == 2 and low == 0):
        return values > 0, None
    white = 1 if values.dtype.kind == "f" and high <= 1 else 255 if high <= 255 else 65535
    if high > white or 2 * high <= white:
        shown = ", ".join(str(value) for value in kinds[:4]) + (" ..." if len(kinds) > 4 else "")
        raise UnreadableError(f"mask values {shown} are neither two nor greys up to white: {_FIXED}")
    return 2 * values.astype(np.float64) > white, SOFT
