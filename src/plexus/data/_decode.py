"""One file to 8-bit grey or RGB pixels: all that is known of formats, depths, EXIF and DICOM."""

from __future__ import annotations

import importlib.util
import io
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from plexus.data._dicom import read_dicom, size_of_dicom
from plexus.data._remarks import FRAMES, ON_BLACK, Treatment
from plexus.data._wide import I64, WIDEST, ToTable, by_itself, counted, is_wide, scaled
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
_NARROW = frozenset((".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".bmp", ".gif", ".webp"))  # never more than 8 bits
_ORIENTATION = 0x0112

Pixels = NDArray[np.uint8]


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


def decode(source: str | Path | bytes, *, white: int | None = None) -> Image.Image:
    """Read an image file as 8-bit grey ("L") or colour ("RGB").

    EXIF orientation is applied; of an animation the first frame is taken; 16-bit values are scaled so that 0..white
    becomes 0..255, and nothing is clipped: white is 255, 1023, 4095, 16383 or 65535, whichever the image needs, as
    cameras leave upper bits empty (a set of images has one white for all, see `SampleSet`); palettes, 1-bit, CMYK and
    other colour spaces are converted (without colour profiles); transparent images are laid on white, as a page shows
    them, because the colours hidden under full transparency are arbitrary, or on black where nothing is to be seen on
    white. An image whose red, green and blue agree everywhere is grey.
    Of a DICOM file (``.dcm``) the first frame is taken: colour becomes RGB; grey goes through the file's rescale and
    window, or without a window its darkest and brightest values become 0 and 255, unless it has 8 bits, which are kept.

    Args:
        source: a path, or the bytes of a file.
        white: of 16-bit images; higher values are clipped to it. By default the image's own.

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
            return read(source, by_itself if white is None else lambda _: scaled(white)).image
        except UnreadableError as error:
            raise DataError(f"{'image' if isinstance(source, bytes) else source}: {error}") from error


class Reading(NamedTuple):
    """An image as it was read.

    Args:
        image: of mode "L" or "RGB".
        values: as they are in the file, where pixels alone do not tell them: of 16-bit images, -1 where they are
            transparent, and of DICOM files.
        counts: of a 16-bit image the number of pixels of each value, from 0 to the highest.
        treatments: how it was read, where that is worth telling.
    """

    image: Image.Image
    values: NDArray[Any] | None = None
    counts: I64 | None = None
    treatments: tuple[Treatment, ...] = ()


def read(source: str | Path | bytes, to_table: ToTable = by_itself) -> Reading:
    """Do what `decode` does; raise `UnreadableError` without a name. Call it under `quiet`.

    `to_table` says which grey the values of a 16-bit image become.
    """
    if is_dicom(source):
        with _reading_dicom():
            image, values, several = read_dicom(str(source))
            return Reading(image, values, treatments=(FRAMES,) if several else ())
    with upright(source) as (image, _, several):
        reading = _normalized(image, to_table)
        return reading._replace(treatments=(FRAMES, *reading.treatments)) if several else reading


def highest(source: str | Path | bytes) -> int:
    """Return the largest value of a 16-bit image, and 0 of any other, from whose head alone that is told."""
    if is_dicom(source) or (not isinstance(source, bytes) and Path(source).suffix.lower() in _NARROW):
        return 0
    with _telling(), _open(source) as image:
        if not is_wide(image):
            return 0
        return int(np.asarray(image).max())


def header(source: str | Path | bytes) -> tuple[int, int, bool]:
    """Return rows and columns after EXIF orientation, and True where EXIF turns or mirrors the image.

    From the file's head where the format allows. Call it under `quiet`.
    """
    if is_dicom(source):
        with _reading_dicom():
            return *size_of_dicom(str(source)), False
    with _telling(), _open(source) as image:
        orientation = _orientation(image)
        width, height = image.size
        sideways = orientation > 4 and image.format != "TIFF"  # Pillow tells a TIFF's size as turned
        return *((width, height) if sideways else (height, width)), orientation > 1


def is_dicom(source: str | Path | bytes) -> bool:
    """Return True for a file that is named as DICOM."""
    return not isinstance(source, bytes) and str(source).lower().endswith(DICOM)


def require_pydicom(where: str) -> None:
    """Refuse DICOM files where nothing can read them; say how to get what does."""
    if importlib.util.find_spec("pydicom") is None:
        raise ConfigError(f"{where}: DICOM files need pydicom: pip install 'plexus-nn[dicom]'")


@contextmanager
def upright(source: str | Path | bytes) -> Iterator[tuple[Image.Image, bool, bool]]:
    """Load an image and turn it as EXIF says; True where it says anything, and where there are more frames.

    `_telling` what goes wrong.
    """
    with _telling(), _open(source) as image:
        several = False
        with suppress(Exception):  # frames that are cut off: the first may be whole
            several = bool(getattr(image, "is_animated", False))
        turned = _orientation(image) > 1  # before loading: Pillow then turns a TIFF itself, and forgets the tag
        image.load()
        with suppress(Exception):  # damaged EXIF: viewers too show such an image as it lies
            ImageOps.exif_transpose(image, in_place=True)
        yield image, turned, several


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


def opaque(image: Image.Image) -> tuple[Image.Image, bool]:
    """Lay an image on white where it is transparent, or on black, which is True, where white would leave it constant.

    Drawings in white, such as icons, are seen on black alone.
    """
    if not image.has_transparency_data:
        return image, False
    rgba = image.convert("RGBA")
    laid = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    if is_constant(np.asarray(laid)):
        black = Image.alpha_composite(Image.new("RGBA", rgba.size, "black"), rgba)
        if not is_constant(np.asarray(black)):
            return black, True
    return laid, False


def is_constant(pixels: NDArray[Any]) -> bool:
    """Return True where all pixels (H, W) or (H, W, C) are equal; of most images the first row tells that they are not.

    Rows are taken in parts, each twice as large as the one before.
    """
    start, count = 0, 1
    while start < len(pixels):
        if (pixels[start : start + count] != pixels[0, 0]).any():
            return False
        start, count = start + count, 2 * count
    return True


def _normalized(image: Image.Image, to_table: ToTable) -> Reading:
    if image.mode == "F":
        raise UnreadableError("float pixels have no fixed range: save it with 8 or 16 bits a channel")
    if is_wide(image):
        return _from_16_bits(image, to_table)
    image, on_black = opaque(image)
    treatments = (ON_BLACK,) if on_black else ()
    if image.mode in ("1", "L"):
        return Reading(image.convert("L"), treatments=treatments)
    rgb = image.convert("RGB")
    pixels = np.asarray(rgb)
    grey = np.array_equal(pixels[..., 0], pixels[..., 1]) and np.array_equal(pixels[..., 0], pixels[..., 2])
    return Reading(rgb.convert("L") if grey else rgb, treatments=treatments)


def _from_16_bits(image: Image.Image, to_table: ToTable) -> Reading:
    values = np.asarray(image)
    if values.min() < 0 or values.max() > WIDEST:
        raise UnreadableError("pixel values outside 0..65535: save it with 8 or 16 bits a channel")
    values = values.astype(np.uint16)
    clear = image.info.get("transparency")
    if not isinstance(clear, int):
        counts = counted(values)
        return Reading(Image.fromarray(to_table(counts)[values]), values, counts)
    hidden = values == clear
    values[hidden] = 0  # so that it does not count for white
    counts = counted(values)
    own, grey = by_itself(counts)[values], to_table(counts)[values]
    on_black = is_constant(np.where(hidden, 255, own)) and not is_constant(own)  # by the file alone
    if not on_black:
        grey[hidden] = 255
    values = np.where(hidden, np.int32(-1), values)
    return Reading(Image.fromarray(grey), values, counts, (ON_BLACK,) if on_black else ())


@contextmanager
def _reading_dicom() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise UnreadableError("no such file") from None
    except Exception as error:  # pydicom's readers raise nearly anything at damaged files
        raise UnreadableError(f"cannot be read as DICOM ({type(error).__name__}: {error})") from None
