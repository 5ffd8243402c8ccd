"""Several masks of one image are one mask; a value that is ignored is neither inside nor outside."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from plexus.data import SampleSet, load_segmentation, open_samples
from plexus.errors import ConfigError, DataError

PALETTE = [0, 0, 0, 128, 0, 0] + [0] * 759 + [224, 224, 192]


def save(path: Path, pixels: NDArray[np.generic], *, palette: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.asarray(pixels, np.uint8))
    if palette:
        indexed = Image.new("P", image.size)
        indexed.putdata(np.asarray(pixels).ravel().tolist())
        indexed.putpalette(PALETTE)
        image = indexed
    image.save(path)


def square(row: int, column: int) -> NDArray[np.uint8]:
    made = np.zeros((8, 10), np.uint8)
    made[row : row + 2, column : column + 2] = 255
    return made


IMAGE = np.full((8, 10), 90, np.uint8)


def write(root: Path, layout: str) -> None:
    image, mask = {
        "beside": ("{}.png", "{}_mask{}.png"),
        "folders": ("images/{}.png", "masks/{}_mask{}.png"),
        "numbers": ("images/{}.png", "masks/{}{}.png"),
        "splits": ("train/{}.png", "train/{}_mask{}.png"),
        "dash": ("{}.png", "{}_mask{}.png"),
    }[layout]
    numbers = ("", "-1", "2") if layout == "dash" else ("", "_1", "_2")
    for name in ("5_1", "5_2"):
        save(root / image.format(name), IMAGE)
        for i, number in enumerate(numbers if name == "5_1" else ("",)):
            save(root / mask.format(name, number), square(3 * i, 3 * i))


@pytest.mark.parametrize("layout", ["beside", "folders", "numbers", "splits", "dash"])
def test_several_masks_of_an_image_are_joined_and_it_is_told(tmp_path: Path, layout: str) -> None:
    write(tmp_path, layout)
    samples = open_samples(tmp_path)
    assert len(samples) == 2
    one, two = (samples.mask(i) for i in range(2))
    assert one is not None
    assert two is not None
    assert (one == ((square(0, 0) + square(3, 3) + square(6, 6)) > 0)).all()
    assert two.sum() == 4
    assert any("1 image (first: " in note and "5_1.png) with several masks: joined" in note for note in samples.notes)
    assert not any("left aside" in note for note in samples.notes)
    data = load_segmentation(samples, (8, 10))
    assert data.masks[0, 0].sum() == 12


def test_only_numbered_masks_are_masks(tmp_path: Path) -> None:
    save(tmp_path / "a.png", IMAGE)
    save(tmp_path / "a_mask_1.png", square(0, 0))
    save(tmp_path / "a_mask_2.png", square(4, 4))
    samples = open_samples(tmp_path)
    mask = samples.mask(0)
    assert mask is not None
    assert (len(samples), mask.sum()) == (1, 8)


def test_a_change_in_any_of_the_masks_changes_the_fingerprint(tmp_path: Path) -> None:
    write(tmp_path, "beside")
    before = load_segmentation(open_samples(tmp_path), (8, 10)).fingerprint
    save(tmp_path / "5_1_mask_2.png", square(6, 5))
    assert load_segmentation(open_samples(tmp_path), (8, 10)).fingerprint != before


def test_a_broken_part_is_named(tmp_path: Path) -> None:
    write(tmp_path, "beside")
    save(tmp_path / "5_1_mask_2.png", np.zeros((3, 3)))
    with pytest.raises(DataError, match=r"mask 5_1_mask_2.png is 3x3"):
        open_samples(tmp_path).mask(0)


def test_a_table_names_several_with_bars_between_them(tmp_path: Path) -> None:
    write(tmp_path, "beside")
    (tmp_path / "list.csv").write_text("path,mask\n5_1.png,5_1_mask.png|5_1_mask_1.png\n5_2.png,5_2_mask.png\n")
    samples = open_samples(tmp_path / "list.csv")
    mask = samples.mask(0)
    assert mask is not None
    assert mask.sum() == 8


def voc() -> NDArray[np.uint8]:
    """A target of 12 pixels, and 8 that are to be ignored."""
    mask = np.zeros((8, 8), np.uint8)
    mask[2:5, 3:7] = 1
    mask[0] = 255
    return mask


def ignoring(root: Path, mask: NDArray[np.uint8], *, palette: bool = False, ignore: int | None = 255) -> SampleSet:
    save(root / "a.png", np.full(mask.shape, 9))
    save(root / "a_mask.png", mask, palette=palette)
    return open_samples(root, ignore=ignore)


@pytest.mark.parametrize("palette", [False, True])
def test_an_ignored_value_is_neither_inside_nor_outside(tmp_path: Path, palette: bool) -> None:
    samples = ignoring(tmp_path, voc(), palette=palette)
    inside, ignored = samples.mask_and_ignored(0)
    assert inside is not None
    assert ignored is not None
    assert (inside == (voc() == 1)).all()
    assert (ignored == (voc() == 255)).all()
    assert samples.notes == ("pixels of value 255 in masks are ignored",)


@pytest.mark.parametrize("palette", [False, True])
def test_without_it_such_a_mask_is_refused_with_the_remedy(tmp_path: Path, palette: bool) -> None:
    with pytest.raises(DataError, match="--ignore 255"):
        ignoring(tmp_path, voc(), palette=palette, ignore=None).mask(0)


@pytest.mark.parametrize(
    ("values", "inside", "ignored"),
    [((0, 255), 0, 32), ((255, 255), 0, 64), ((0, 1), 32, 0), ((0, 0), 0, 0), ((7, 255), 32, 32)],
)
def test_what_little_there_is_beside_it_is_read_as_ever(
    tmp_path: Path, values: tuple[int, int], inside: int, ignored: int
) -> None:
    mask = np.repeat(np.array(values, np.uint8), 32).reshape(8, 8)
    one, two = ignoring(tmp_path, mask).mask_and_ignored(0)
    assert one is not None
    assert (one.sum(), 0 if two is None else two.sum()) == (inside, ignored)


def test_labels_beside_an_ignored_value_are_still_refused(tmp_path: Path) -> None:
    mask = voc()
    mask[6, 0] = 2
    with pytest.raises(DataError, match="neither two nor greys"):
        ignoring(tmp_path, mask).mask(0)


def test_inside_in_one_mask_is_not_ignored_for_another(tmp_path: Path) -> None:
    save(tmp_path / "a.png", np.full((8, 8), 9))
    save(tmp_path / "a_mask.png", voc())
    other = np.zeros((8, 8), np.uint8)
    other[0, :3] = 1
    save(tmp_path / "a_mask_1.png", other)
    inside, ignored = open_samples(tmp_path, ignore=255).mask_and_ignored(0)
    assert inside is not None
    assert ignored is not None
    assert (inside.sum(), ignored.sum(), (inside & ignored).sum()) == (15, 5, 0)


def test_a_value_that_no_pixel_has_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "a.png", IMAGE)
    with pytest.raises(ConfigError, match="--ignore -1"):
        open_samples(tmp_path, ignore=-1)
