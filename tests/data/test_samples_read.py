"""Masks are read by stated rules; what is damaged or unclear is named, and never guessed."""

import io
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from plexus.data import UnreadableError, decode, open_samples
from tests.data.images import grey, png

INSIDE = np.zeros((5, 6), bool)
INSIDE[1:4, 2:5] = True


def saved(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """The bytes of an image file."""
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def palette(colours: list[int], values: NDArray[np.uint8]) -> bytes:
    """A PNG of palette indices."""
    indexed = Image.frombytes("P", values.shape[::-1], values.tobytes())
    indexed.putpalette(colours)
    return saved(indexed)


def pair(root: Path, image: bytes, mask: bytes, name: str = "a") -> Path:
    """Write an image and its mask."""
    (root / f"{name}.png").write_bytes(image)
    (root / f"{name}_mask.png").write_bytes(mask)
    return root


def mask_of(
    root: Path, content: bytes, shape: tuple[int, ...] = INSIDE.shape
) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    """A mask beside an image of its shape, and the notes of the set once it is read."""
    samples = open_samples(pair(root, png(np.zeros(shape[:2], np.uint8)), content))
    mask = samples.mask(0)
    assert mask is not None
    return mask, samples.notes


def test_of_two_values_the_other_is_inside(tmp_path: Path) -> None:
    for value in range(1, 256):
        mask, notes = mask_of(tmp_path, png((INSIDE * value).astype(np.uint8)))
        np.testing.assert_array_equal(mask, INSIDE)
        assert notes == ()


@pytest.mark.parametrize("value", [0, 1, 255])
def test_a_constant_mask_is_empty_or_full(value: int, tmp_path: Path) -> None:
    mask, notes = mask_of(tmp_path, png(np.full((3, 4), value, np.uint8)), (3, 4))
    assert (mask.tolist(), notes) == ([[value > 0] * 4] * 3, ())


@pytest.mark.parametrize(
    "content",
    [
        saved(Image.fromarray(INSIDE)),
        saved(Image.fromarray(INSIDE), "TIFF", compression="group4"),
        png((INSIDE * 65535).astype(np.uint16)),
        png(np.repeat((INSIDE * 255).astype(np.uint8)[..., None], 3, 2)),
        saved(Image.fromarray((INSIDE * 2).astype(np.float32)), "TIFF"),
        palette([0, 0, 0, 200, 0, 0, 0, 90, 0], INSIDE.astype(np.uint8) * 2),
        palette([255, 255, 255, 0, 0, 0], (~INSIDE).astype(np.uint8)),
        saved(Image.merge("LA", [Image.new("L", (6, 5), 255), Image.fromarray((INSIDE * 255).astype(np.uint8))])),
    ],
    ids=["bit", "fax", "16 bit", "rgb", "float", "palette", "white first", "alpha"],
)
def test_every_kind_of_file_holds_the_same_mask(content: bytes, tmp_path: Path) -> None:
    np.testing.assert_array_equal(mask_of(tmp_path, content)[0], INSIDE)


def test_every_index_of_a_palette_but_zero_is_inside(tmp_path: Path) -> None:
    values = np.array([[0, 1, 2], [3, 0, 1]], np.uint8)
    content = palette([0, 0, 0, 9, 0, 0, 0, 9, 0, 7, 7, 7], values)
    np.testing.assert_array_equal(mask_of(tmp_path, content, (2, 3))[0], values > 0)


@pytest.mark.parametrize("top", [255, 65535])
def test_soft_greys_are_cut_at_half_of_white_and_told(top: int, tmp_path: Path) -> None:
    half = top // 2
    values = np.array([[0, 1, half], [half + 1, top - 1, top]], np.uint8 if top == 255 else np.uint16)
    mask, notes = mask_of(tmp_path, png(values), (2, 3))
    assert mask.tolist() == [[False] * 3, [True] * 3]
    assert notes == ("1 mask with soft greys: half of white and more is inside (first: a.png)",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (png(np.array([[0, 1, 2]], np.uint8)), "mask values 0, 1, 2 are neither two nor greys"),
        (png(np.array([[0, 1, 255]], np.uint8)), "mask values 0, 1, 255 are labels with one to be ignored"),
        (png(np.array([[1, 2]], np.uint8)), "mask values 1, 2 are neither"),
        (png(np.array([[[255, 0, 0], [0, 0, 0]]], np.uint8)), "a mask in colours"),
        (saved(Image.fromarray(np.array([[0, np.nan]], np.float32)), "TIFF"), "mask values from 0 to nan"),
        (
            saved(Image.merge("LA", [Image.new("L", (2, 1)), Image.fromarray(np.array([[0, 255]], np.uint8))])),
            "black throughout",
        ),
        (b"", "empty"),
        (b"no image", "not an image of a known format"),
        (png(grey(0, 50, 50))[:-60], "truncated|damaged"),
    ],
)
def test_what_is_no_mask_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match=f"^mask a_mask.png: .*({message})"):
        mask_of(tmp_path, content)


def test_a_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    found = open_samples(pair(tmp_path, png(grey(0, 4, 6)), png(np.zeros((6, 4), np.uint8))))
    with pytest.raises(UnreadableError, match=r"^mask a_mask.png is 4x6, the image 6x4 \(width x height\)$"):
        found.mask(0)


def exif(orientation: int) -> Image.Exif:
    """What a camera writes that was held so."""
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_image_and_mask_are_turned_alike(orientation: int, kind: str, tmp_path: Path) -> None:
    both = saved(Image.fromarray((INSIDE * 255).astype(np.uint8)), kind, exif=exif(orientation))
    samples = open_samples(pair(tmp_path, both, both))
    mask, pixels = samples.mask(0), samples.pixels(0)
    np.testing.assert_array_equal(mask, pixels > 0)
    assert samples.size(0) == pixels.shape == ((5, 6) if orientation < 5 else (6, 5))
    assert samples.notes == ()


@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_mask_that_exif_does_not_turn_beside_an_image_that_it_turns(orientation: int, tmp_path: Path) -> None:
    """Refused where the sides tell that it was drawn on the image as it lies; where they do not, told."""
    turned = saved(Image.fromarray((INSIDE * 255).astype(np.uint8)), exif=exif(orientation))
    samples = open_samples(pair(tmp_path, turned, png((INSIDE * 255).astype(np.uint8))))
    if orientation >= 5:
        with pytest.raises(UnreadableError, match=r"is 6x5, the image 5x6 .*which EXIF turns and the mask not: save"):
            samples.mask(0)
    else:
        np.testing.assert_array_equal(samples.mask(0), INSIDE)
        assert samples.notes == (
            "1 mask with no EXIF beside an image that EXIF turns: taken as drawn on the turned image (first: a.png)",
        )


def test_damage_is_told_without_the_image_s_name(tmp_path: Path) -> None:
    found = open_samples(pair(tmp_path, b"torn", b"torn"))
    with pytest.raises(UnreadableError, match=r"^not an image of a known format$"):
        found.pixels(0)
    with pytest.raises(UnreadableError, match=r"^mask a_mask.png: not an image of a known format$"):
        found.mask(0)
    assert found.content(0) == b"torn"


def test_soft_masks_join_the_notes_once_each(tmp_path: Path) -> None:
    soft = png(np.array([[0, 40, 200, 255]], np.uint8))
    for name in ("b", "a"):
        pair(tmp_path, png(grey(1, 1, 4)), soft, name)
    found = open_samples(tmp_path)
    assert not found.notes
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(found.mask, [0, 1] * 10))
    assert found.notes == ("2 masks with soft greys: half of white and more is inside (first: a.png)",)


def test_many_threads_leave_the_warnings_as_they_were() -> None:
    """Pillow warns of a palette whose transparency is bytes; none of it comes through, and the filters stay."""
    loud = Image.new("P", (4, 4))
    loud.putpalette([0, 0, 0, 9, 9, 9])
    content, before = saved(loud, transparency=b"\0\xff"), list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(decode, [content] * 300))
    assert warnings.filters == before
    with pytest.warns(UserWarning, match="told"):
        warnings.warn("told", stacklevel=1)
