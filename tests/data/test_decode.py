"""Every kind of image file becomes the 8-bit pixels a viewer shows."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from plexus.data import decode, open_samples, read_image
from plexus.errors import DataError
from tests.data.images import grey, png, png_header


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def pixels(source: bytes | Path, **options: Any) -> tuple[str, list[Any]]:
    image = decode(source, **options)
    return image.mode, np.asarray(image).tolist()


def image_of(mode: str, *values: Any) -> Image.Image:
    image = Image.new(mode, (len(values), 1))
    for x, value in enumerate(values):
        image.putpixel((x, 0), value)
    return image


SIXTEEN = np.array([[0, 128, 129, 257], [40000, 65278, 65407, 65535]], np.uint16)
EIGHT = [[0, 0, 1, 1], [156, 254, 255, 255]]  # SIXTEEN / 257, to the nearest


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM", "JPEG2000"])
def test_16_bits_are_scaled_not_clipped(kind: str) -> None:
    assert pixels(encoded(Image.fromarray(SIXTEEN), kind)) == ("L", EIGHT)


def test_big_endian_16_bits_are_scaled() -> None:
    image = Image.frombytes("I;16B", (4, 2), SIXTEEN.astype(">u2").tobytes())
    assert pixels(encoded(image, "TIFF")) == ("L", EIGHT)


def test_a_transparent_16_bit_value_is_white() -> None:
    assert pixels(encoded(Image.fromarray(SIXTEEN), transparency=40000)) == ("L", [EIGHT[0], [255, 254, 255, 255]])


@pytest.mark.parametrize("values", [[0, 70000], [-1, 5]])
def test_32_bits_beyond_16_are_refused(values: list[int]) -> None:
    with pytest.raises(DataError, match=r"outside 0\.\.65535: save it with 8 or 16 bits"):
        decode(encoded(Image.fromarray(np.array([values], np.int32)), "TIFF"))


def test_float_pixels_are_refused() -> None:
    with pytest.raises(DataError, match="float pixels have no fixed range: save it"):
        decode(encoded(Image.fromarray(np.array([[0.0, 0.5]], np.float32)), "TIFF"))


RED, GREEN, GREY = [255, 0, 0], [0, 255, 0], [90, 90, 90]


@pytest.mark.parametrize(
    ("image", "mode", "expected"),
    [
        (image_of("L", 0, 7, 255), "L", [0, 7, 255]),
        (image_of("1", 0, 1), "L", [0, 255]),
        (image_of("RGB", (255, 0, 0), (1, 2, 3)), "RGB", [RED, [1, 2, 3]]),
        (image_of("RGB", (90, 90, 90), (3, 3, 3)), "L", [90, 3]),
        (image_of("RGB", (90, 90, 90), (3, 3, 4)), "RGB", [GREY, [3, 3, 4]]),
        (image_of("RGBA", (255, 0, 0, 255), (0, 255, 0, 0)), "RGB", [RED, [255, 255, 255]]),
        (image_of("RGBA", (255, 0, 0, 128), (0, 0, 0, 51)), "RGB", [[255, 127, 127], [204, 204, 204]]),
        (image_of("LA", (9, 255), (9, 0)), "L", [9, 255]),
        (image_of("LA", (255, 255), (9, 0)), "L", [255, 0]),  # nothing is to be seen on white
        (image_of("RGBA", (255, 255, 255, 51), (0, 9, 0, 0)), "L", [51, 0]),
        (image_of("LA", (255, 255), (255, 255)), "L", [255, 255]),
        (image_of("LA", (0, 0), (9, 0)), "L", [255, 255]),
    ],
)
def test_colours_grey_and_alpha(image: Image.Image, mode: str, expected: list[Any]) -> None:
    assert pixels(encoded(image)) == (mode, [expected])


def test_colours_hidden_under_full_transparency_do_not_matter() -> None:
    one, other = image_of("RGBA", (255, 0, 0, 0)), image_of("RGBA", (0, 0, 9, 0))
    assert pixels(encoded(one)) == pixels(encoded(other)) == ("L", [[255]])


@pytest.mark.parametrize(
    ("options", "expected"), [({}, [RED, GREEN, GREY]), ({"transparency": 1}, [RED, [255, 255, 255], GREY])]
)
def test_palettes(options: dict[str, Any], expected: list[Any]) -> None:
    image = image_of("P", 0, 1, 2)
    image.putpalette([*RED, *GREEN, *GREY])
    assert pixels(encoded(image, **options)) == ("RGB", [expected])


def test_a_palette_of_greys_is_grey() -> None:
    image = image_of("P", 0, 1)
    image.putpalette([*GREY, 5, 5, 5])
    assert pixels(encoded(image, "GIF")) == ("L", [[90, 5]])


def test_cmyk() -> None:
    assert pixels(encoded(image_of("CMYK", (0, 0, 0, 0), (0, 255, 255, 0)), "TIFF")) == ("RGB", [[[255] * 3, RED]])


def test_the_first_frame_of_an_animation() -> None:
    frames = [Image.new("RGB", (2, 2), color) for color in ("red", "lime")]
    for kind in ("GIF", "PNG", "TIFF"):
        first = pixels(encoded(frames[0], kind, save_all=True, append_images=frames[1:]))
        assert first == ("RGB", [[RED, RED], [RED, RED]])


@pytest.mark.parametrize("kind", ["GIF", "PNG", "TIFF", "WEBP", "MPO"])
def test_that_only_the_first_frame_is_read_is_told(kind: str, tmp_path: Path) -> None:
    frames = [Image.fromarray(grey(k, 16, 16)) for k in (0, 40, 80)]
    suffix = "jpg" if kind == "MPO" else kind.lower()
    for name in ("b", "a"):
        content = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
        (tmp_path / f"{name}.{suffix}").write_bytes(content)
    (tmp_path / f"one.{suffix}").write_bytes(encoded(frames[0], "JPEG" if kind == "MPO" else kind))
    samples = open_samples(tmp_path)
    for i in range(3):
        samples.pixels(i)
    assert samples.notes == (f"2 files hold several frames: the first is read (first: a.{suffix})",)


def test_a_white_drawing_on_a_transparent_16_bit_value_is_seen_on_black() -> None:
    drawing = np.array([[0, 65535, 65535, 0]], np.uint16)
    assert pixels(encoded(Image.fromarray(drawing), transparency=0)) == ("L", [[0, 255, 255, 0]])


def test_the_first_picture_of_a_stereo_pair() -> None:
    one, other = Image.new("RGB", (8, 8), "red"), Image.new("RGB", (8, 8), "lime")
    pair = encoded(one, "MPO", save_all=True, append_images=[other])
    assert pixels(pair) == pixels(encoded(one, "JPEG"))


UPRIGHT = np.arange(6, dtype=np.uint8).reshape(2, 3)
STORED = {
    1: UPRIGHT,
    2: UPRIGHT[:, ::-1],
    3: UPRIGHT[::-1, ::-1],
    4: UPRIGHT[::-1],
    5: UPRIGHT.T,
    6: np.rot90(UPRIGHT),  # a quarter turn clockwise puts it right
    7: UPRIGHT[::-1, ::-1].T,
    8: np.rot90(UPRIGHT, -1),
}


@pytest.mark.parametrize(("bits", "highest"), [(8, 200), (10, 256), (12, 1050), (12, 4095), (14, 4096), (16, 16384)])
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_files_are_scaled_by_the_bits_they_use_alike_over_a_set(
    bits: int, highest: int, kind: str, tmp_path: Path
) -> None:
    """Every camera leaves the upper bits empty; the darker images of a set are scaled as its brightest."""
    white = 2**bits - 1
    values = {"bright": np.linspace(0, highest, 12).astype(np.uint16), "dark": np.arange(12, dtype=np.uint16)}
    for name, row in values.items():
        Image.fromarray(row.reshape(3, 4)).save(tmp_path / f"{name}.{kind.lower()}")
    Image.fromarray(np.full((3, 4), 255, np.uint8)).save(tmp_path / "plain.png")
    samples = open_samples(tmp_path)
    for i, row in enumerate(values.values()):
        expected = np.floor(row.astype(float) * 255 / white + 0.5)
        np.testing.assert_array_equal(samples.pixels(i).ravel(), expected)
    assert samples.pixels(2).tolist() == [[255] * 4] * 3
    stated = () if bits == 16 else (f"16-bit images hold values up to {highest}: scaled as {bits} bits",)
    poor = (
        f"1 image of 16 bits keeps fewer than 16 grey levels, as {white} is white in all (first: dark.{kind.lower()})"
    )
    assert samples.notes == (*stated, *([poor] if bits > 8 else []))
    alone = np.asarray(decode(tmp_path / f"bright.{kind.lower()}")).ravel()
    np.testing.assert_array_equal(alone, samples.pixels(0).ravel())


def test_a_faint_target_of_12_bits_is_seen(tmp_path: Path) -> None:
    y, x = np.mgrid[:64, :64]
    disc = (y - 20) ** 2 + (x - 32) ** 2 < 100
    Image.fromarray((950 + 100 * disc).astype(np.uint16)).save(tmp_path / "a.tif")
    low, high = np.unique(np.asarray(decode(tmp_path / "a.tif"))).tolist()
    assert high - low == 6


def test_a_run_reads_new_16_bit_images_as_those_it_learned_from(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 4), 100, np.uint16)).save(tmp_path / "dark.png")
    assert read_image(tmp_path / "dark.png", (1, 4, 4), white=4095).unique().tolist() == [6]
    assert read_image(tmp_path / "dark.png", (1, 4, 4), white=65535).unique().tolist() == [0]


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_exif_orientation_is_applied(orientation: int, kind: str, depth: type, tmp_path: Path) -> None:
    stored: NDArray[Any] = np.ascontiguousarray(STORED[orientation]).astype(depth) * (257 if depth is np.uint16 else 1)
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(Image.fromarray(stored), kind, exif=exif)
    (tmp_path / "a.png").write_bytes(content)
    wide = {"white": 65535}
    assert pixels(content, **wide) == pixels(tmp_path / "a.png", **wide) == ("L", UPRIGHT.tolist())
    assert open_samples(tmp_path / "a.png").size(0) == UPRIGHT.shape


def test_damaged_exif_is_passed_over() -> None:
    content = encoded(Image.fromarray(grey(3)), exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xff")
    assert pixels(content) == ("L", grey(3).tolist())


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"no image", "not an image of a known format"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image of a known format"),
        (png(grey(0, 64, 64))[:-40], "truncated|damaged"),
        (png_header(10_000, 10_000), "more than 89478485 pixels: scale it down"),
        (png_header(20_000, 20_000), "more than 89478485 pixels: scale it down"),
    ],
)
def test_what_cannot_be_read_is_named(content: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"a\.png: .*({reason})"):
        decode(path)
    with pytest.raises(DataError, match=rf"^image: .*({reason})"):
        decode(content)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"b\.png: no such file"):
        decode(tmp_path / "b.png")


def test_read_image_gives_the_shape_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png(grey(0)))
    assert read_image(path, (1, 4, 4)).tolist() == [grey(0).tolist()]
    assert read_image(path, (3, 4, 4)).tolist() == [grey(0).tolist()] * 3
    path.write_bytes(png(np.array([[RED, GREEN]], np.uint8)))
    assert read_image(path, (3, 1, 2)).tolist() == [[[255, 0]], [[0, 255]], [[0, 0]]]
    assert read_image(path, (1, 1, 2)).tolist() == [[[76, 150]]]  # luminance, ITU-R 601


def test_resizing_averages_what_it_shrinks(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png(np.kron([[0, 200], [100, 40]], np.ones((8, 8))).astype(np.uint8)))
    assert read_image(path, (1, 1, 1)).item() == 85  # the mean of all pixels: filtered, not one pixel picked
    assert read_image(path, (1, 4, 3)).shape == (1, 4, 3)
