"""An image is judged by itself: neither the rest of its set nor the cache changes what is found and told of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from plexus.audit import audit, fingerprint, near_duplicates
from plexus.data import SampleSet, in_memory, open_samples

U8 = NDArray[np.uint8]
U16 = NDArray[np.uint16]


def noise(seed: int, top: int = 256, dtype: type = np.uint8) -> NDArray[Any]:
    return np.random.default_rng(seed).integers(0, top, (48, 64)).astype(dtype)


def save(folder: Path, **images: NDArray[Any]) -> SampleSet:
    folder.mkdir(exist_ok=True)
    for name, pixels in images.items():
        Image.fromarray(pixels).save(folder / f"{name}.png")
    return open_samples(folder)


def exact(samples: SampleSet | list[U8], kind: str = "thumbnail") -> set[tuple[int, int]]:
    near = near_duplicates(fingerprint(samples, kind), threshold=1.9)
    return {(int(a), int(b)) for a, b, same in zip(near.a, near.b, near.exact, strict=True) if same}


@pytest.mark.parametrize("kind", ["thumbnail", "blockhist"])
def test_images_are_exact_copies_only_where_all_pixels_are_equal(kind: str) -> None:
    points = [np.zeros((512, 512), np.uint8) for _ in range(4)]
    for k, image in enumerate(points):  # equal sums, sizes and thumbnails
        image[100 + k, 40] = 255
    assert exact(points, kind) == set()
    assert exact([*points, points[2].copy()], kind) == {(2, 4)}
    stripes = np.tile(np.arange(64, dtype=np.uint8), (64, 1))
    shapes = [stripes, np.repeat(stripes[..., None], 3, 2), stripes.reshape(32, 128)]
    assert exact(shapes, kind) == exact(in_memory(shapes).samples, kind) == set()


def test_cleaning_drops_no_image_that_differs_in_a_pixel(tmp_path: Path) -> None:
    points = {f"{k}": np.zeros((512, 512), np.uint8) for k in range(4)}
    for k, image in enumerate(points.values()):
        image[100 + k, 40] = 255
    assert audit(save(tmp_path / "set", **points), k=2).cleaned.keep == (True,) * 4


def test_16_bit_images_are_judged_by_their_own_values(tmp_path: Path) -> None:
    dark = {f"{k}": noise(k, 100, np.uint16) for k in range(6)}
    hot: U16 = noise(9, 100, np.uint16)
    hot[3, 3] = 65535
    alone = fingerprint(save(tmp_path / "alone", **dark))
    beside = save(tmp_path / "beside", **dark, hot=hot, copy=dark["4"], zero=0 * hot, one=0 * hot + 1)
    names = [sample.name for sample in beside.samples]
    for cache in (None, tmp_path / "cache", tmp_path / "cache"):
        found = fingerprint(beside, cache=cache)
        np.testing.assert_array_equal(found.rows[:6], alone.rows)
        assert {p.name: p.kind for p in found.problems} == {"one.png": "constant", "zero.png": "zero"}
    assert exact(beside) == {(4, names.index("copy.png"))}
    spread = found.rows[names.index("hot.png")].astype(float).std()
    assert spread > 0.5 * alone.rows[0].astype(float).std()  # one hot pixel takes no contrast from the others
    for name in ("hot", "copy", "zero", "one"):
        (tmp_path / "beside" / f"{name}.png").unlink()
    rest = fingerprint(open_samples(tmp_path / "beside"), cache=tmp_path / "cache")
    np.testing.assert_array_equal(rest.rows, alone.rows)
    assert rest.problems == ()


def test_values_that_only_look_alike_in_8_bits_are_no_copies(tmp_path: Path) -> None:
    image = noise(0, 60000, np.uint16)
    other = image.copy()
    other[0, 0] ^= 1
    assert exact(save(tmp_path, a=image, b=other, c=image)) == {(0, 2)}


def test_files_of_several_frames_are_copies_where_their_bytes_are_equal(tmp_path: Path) -> None:
    first, *others = (Image.fromarray(noise(k)) for k in range(3))
    for name, more in (("a", others[:1]), ("b", others[1:]), ("c", others[:1])):
        first.save(tmp_path / f"{name}.tif", save_all=True, append_images=more)
    first.save(tmp_path / "one.tif")
    first.save(tmp_path / "two.png")
    samples = open_samples(tmp_path)
    assert exact(samples) == {(0, 2), (3, 4)}
    assert samples.notes == ("3 files hold several frames: the first is read (first: a.tif)",)


def test_one_colour_is_constant_and_white_drawings_on_nothing_are_not(tmp_path: Path) -> None:
    icons = {}
    for k in range(5):
        icon = np.full((48, 64, 4), 255, np.uint8)
        icon[..., 3] = 255 * (noise(k) > 128)
        icons[f"{k}"] = icon
    blank = np.zeros((48, 64, 4), np.uint8)
    red, black = np.full((48, 64, 3), (255, 0, 0), np.uint8), np.zeros((48, 64, 3), np.uint8)
    samples = save(tmp_path, **icons, blank=blank, red=red, zero=black)
    found = fingerprint(samples)
    assert {p.name: p.kind for p in found.problems} == {
        "blank.png": "constant",
        "red.png": "constant",
        "zero.png": "zero",
    }
    assert samples.notes == ("5 images show nothing on white where they are transparent: laid on black (first: 0.png)",)
    np.testing.assert_array_equal(samples.pixels(0), icons["0"][..., 3])


def test_a_second_run_tells_the_same(tmp_path: Path) -> None:
    root = tmp_path / "set"
    mask: U8 = np.zeros((48, 64), np.uint8)
    mask[9:30, 9:30] = 255
    soft = mask.copy()
    soft[8, 8] = 200
    icon = np.dstack([np.full((48, 64, 3), 255, np.uint8), noise(7)])
    images = {"wide": noise(0, 4080, np.uint16), "poor": noise(1, 200, np.uint16), "icon": icon, "turned": noise(2)}
    save(root, **images)
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.fromarray(images["turned"]).save(root / "turned.png", exif=exif)
    frames = [Image.fromarray(noise(k)) for k in (3, 4)]
    frames[0].save(root / "frames.gif", save_all=True, append_images=frames[1:])
    for name in (*images, "frames"):
        Image.fromarray(soft if name == "wide" else mask).save(root / f"{name}_mask.png")
    Image.fromarray(mask).save(root / "poor_mask.png", "TIFF", save_all=True, append_images=[Image.fromarray(soft)])
    told = [audit(open_samples(root), k=2, cache=tmp_path / "cache").findings.data.notes for _ in range(2)]
    assert told[0] == told[1]
    assert {*told[0]} >= {
        "16-bit images hold values up to 4079: scaled as 12 bits",
        "1 file holds several frames: the first is read (first: frames.gif)",
        "1 image of 16 bits keeps fewer than 16 grey levels, as 4095 is white in all (first: poor.png)",
        "1 image shows nothing on white where it is transparent: laid on black (first: icon.png)",
        "1 mask holds several frames: the first is read (first: poor.png)",
        "1 mask with no EXIF beside an image that EXIF turns: taken as drawn on the turned image (first: turned.png)",
        "1 mask with soft greys: half of white and more is inside (first: wide.png)",
    }
