"""Images with classes, masks, groups and splits are found in every layout, and nothing is lost or guessed."""

import csv
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import ClassLabel, Features, Image, Value

from plexus.data import SampleSet, UnreadableError, load, open_samples
from plexus.errors import ConfigError, DataError
from tests.data.images import grey, parquet, png

MASK = np.zeros((4, 4), np.uint8)
MASK[1:3, 1] = 255


def write(root: Path, *names: str) -> Path:
    """Write a mask where the name says so, and else a different image for every name."""
    for i, name in enumerate(names):
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(png(MASK if "_" in file.stem or file.parent.name == "masks" else grey(i)))
    return root


def told(found: SampleSet) -> dict[str, tuple[str | None, ...]]:
    """What is said of each image."""
    return {sample.name: (sample.label, sample.mask, sample.group, sample.split) for sample in found.samples}


def test_masks_beside_images(tmp_path: Path) -> None:
    write(tmp_path, "b.png", "b_mask.png", "a.png", "a_mask.tif", "c.png")
    found = open_samples(tmp_path)
    assert found.layout == "pairs"
    assert [(s.name, s.mask) for s in found.samples] == [
        ("a.png", "a_mask.tif"),
        ("b.png", "b_mask.png"),
        ("c.png", None),
    ]
    assert (found.has_masks, found.has_labels, found.has_groups, found.splits, len(found)) == (
        True,
        False,
        False,
        (),
        3,
    )
    np.testing.assert_array_equal(found.pixels(1), grey(0))
    assert found.content(1) == png(grey(0))
    np.testing.assert_array_equal(found.mask(0), MASK > 0)
    assert found.mask_content(0) == png(MASK)
    assert found.mask(2) is None
    assert found.mask_content(2) is None
    assert found.pixels(0, (2, 3)).shape == (2, 3)
    assert found.notes == ("1 image (first: c.png) without a mask",)
    part = found.take([2, 0])
    assert [s.name for s in part.samples] == ["c.png", "a.png"]
    np.testing.assert_array_equal(part.pixels(0), found.pixels(2))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(part)).mask(1), MASK > 0)


def test_an_image_without_a_mask_is_an_error_or_empty_when_masks_are_wanted(tmp_path: Path) -> None:
    write(tmp_path, "a.png", "a_mask.png", "c.png")
    with pytest.raises(DataError, match=r"1 image \(first: c.png\) without a mask: .*--missing-mask empty"):
        open_samples(tmp_path, masks=True)
    found = open_samples(tmp_path, masks=True, missing_mask="empty")
    assert told(found)["c.png"] == (None, "", None, None)
    assert found.mask_content(1) == b""
    np.testing.assert_array_equal(found.mask(1), np.zeros((4, 4), bool))
    assert found.notes == ("1 image (first: c.png) without a mask count as empty",)
    assert not open_samples(tmp_path, masks=False).has_masks
    assert len(open_samples(tmp_path, masks=False)) == 2


def test_other_masks_are_chosen_by_suffix_and_never_images(tmp_path: Path) -> None:
    write(tmp_path, *(f"{s}/{n}{k}.png" for s, n in (("train", 0), ("test", 1)) for k in ("", "_mask", "_vessel")))
    (tmp_path / "train" / "LICENSE").write_text("free")
    found = open_samples(tmp_path, mask_suffix="_vessel")
    assert told(found) == {
        "test/1.png": (None, "test/1_vessel.png", None, "test"),
        "train/0.png": (None, "train/0_vessel.png", None, "train"),
    }
    assert found.splits == ("train", "test")
    assert found.notes == (
        "1 file (first: train/LICENSE) not an image: left aside",
        "2 files (first: test/1_mask.png), masks of another kind: left aside",
    )


def test_a_suffix_that_no_file_has_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, "a.png", "b.png")
    for options in ({"mask_suffix": "_nerve"}, {"masks": True}, {"masks": True, "missing_mask": "empty"}):
        with pytest.raises(DataError, match="no image has a mask: expected NAME_"):
            open_samples(tmp_path, **options)
    assert not open_samples(tmp_path).has_masks


def test_numbers_after_an_underscore_are_images_of_a_subject(tmp_path: Path) -> None:
    write(tmp_path, "1_1.tif", "1_1_mask.tif", "1_10.tif", "1_10_mask.tif", "12_1.tif")
    found = open_samples(tmp_path)
    assert {name: row[2] for name, row in told(found).items()} == {"1_1.tif": "1", "1_10.tif": "1", "12_1.tif": "12"}
    by_number = open_samples(tmp_path, group_from=r"_(\d+)")
    assert [s.group for s in by_number.samples] == ["1", "1", "10"]  # 12_1, 1_1, 1_10


def test_pairs_in_class_folders_have_both(tmp_path: Path) -> None:
    write(
        tmp_path,
        "benign/b (1).png",
        "benign/b (1)_mask.png",
        "benign/b (1)_mask_1.png",
        "normal/n.png",
        "normal/n_mask.png",
    )
    found = open_samples(tmp_path)
    assert (found.layout, found.classes) == ("pairs", ("benign", "normal"))
    assert {row[0] for row in told(found).values()} == {"benign", "normal"}
    assert len(found) == 2


def test_folders_as_nnunet_has_them(tmp_path: Path) -> None:
    train = ("imagesTr/a_0000.png", "imagesTr/b_0000.png", "labelsTr/a.png", "labelsTr/b.png")
    test = ("imagesTs/c_0000.png", "imagesTs/c_0001.png")
    write(tmp_path, *train, *test)
    (tmp_path / "dataset.json").write_text("{}")
    found = open_samples(tmp_path)
    assert told(found) == {
        "imagesTr/a_0000.png": (None, "labelsTr/a.png", None, "train"),
        "imagesTr/b_0000.png": (None, "labelsTr/b.png", None, "train"),
    }
    assert "1 file (first: imagesTs/c_0001.png), further channels of an image: left aside" in found.notes
    assert "1 file (first: imagesTs/c_0000.png), test images without labels: left aside" in found.notes
    write(tmp_path, "labelsTs/c.png")
    assert told(open_samples(tmp_path))["imagesTs/c_0000.png"] == (None, "labelsTs/c.png", None, "test")


@pytest.mark.parametrize("names", [("img", "label"), ("imgs", "labels"), ("Images", "Masks")])
def test_other_names_of_two_folders(tmp_path: Path, names: tuple[str, str]) -> None:
    write(tmp_path, f"{names[0]}/a.png", f"{names[1]}/a.png")
    assert told(open_samples(tmp_path)) == {f"{names[0]}/a.png": (None, f"{names[1]}/a.png", None, None)}


@pytest.mark.parametrize(
    ("images", "masks"),
    [("images/{}", "masks/{}"), ("train/images/{}", "train/masks/{}"), ("images/train/{}", "masks/train/{}")],
)
def test_two_folders(tmp_path: Path, images: str, masks: str) -> None:
    write(tmp_path, images.format("a.jpg"), images.format("b.png"), masks.format("a.png"), masks.format("z.png"))
    found = open_samples(tmp_path)
    split = "train" if "train" in images else None
    assert found.layout == "folders"
    assert told(found) == {
        images.format("a.jpg"): (None, masks.format("a.png"), None, split),
        images.format("b.png"): (None, None, None, split),
    }
    assert f"1 file (first: {masks.format('z.png')}) without an image of their name: left aside" in found.notes


def test_class_folders_bare_folders_and_single_files(tmp_path: Path) -> None:
    write(tmp_path / "c", "train/x/1.png", "train/y/2.png", "test/x/3.png")
    found = open_samples(tmp_path / "c")
    assert (found.layout, found.classes, found.splits) == ("classes", ("x", "y"), ("train", "test"))
    assert told(found)["test/x/3.png"] == ("x", None, None, "test")
    write(tmp_path / "b", "1.png", "2.png")
    assert (open_samples(tmp_path / "b").layout, open_samples(tmp_path / "b").classes) == ("images", ())
    assert told(open_samples(tmp_path / "b" / "2.png")) == {"2.png": (None, None, None, None)}
    write(tmp_path / "s", "train/1.png", "test/2.png")
    assert [s.split for s in open_samples(tmp_path / "s").samples] == ["test", "train"]
    write(tmp_path / "m", "1.png", "deep/2.png")
    with pytest.raises(DataError, match=r"1\.png lies outside a class folder"):
        open_samples(tmp_path / "m")
    assert len(open_samples(tmp_path / "m", masks=False)) == 2


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a.png", "a.jpg", "a_mask.png"], "a.jpg and a.png have one name"),
        (["a.png", "a_mask.png", "a_mask.tif"], "a_mask.png and a_mask.tif have one name"),
        (["images/a.png", "images/a.jpg", "masks/a.png"], "images/a.jpg and images/a.png have one name"),
        (["images/a.png", "masks/a.jpg", "masks/a.png"], "masks/a.jpg and masks/a.png have one name"),
        (["images/a.png", "masks/a.png", "masks/a_mask.png"], "masks/a.png and masks/a_mask.png have one name"),
    ],
)
def test_names_that_leave_open_which_is_meant(tmp_path: Path, names: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        open_samples(write(tmp_path, *names))


def test_a_mask_without_its_image_is_told(tmp_path: Path) -> None:
    found = open_samples(write(tmp_path, "a.png", "a_mask.png", "lost_mask.png"))
    assert [s.name for s in found.samples] == ["a.png"]
    assert found.notes == ("1 file (first: lost_mask.png), masks without an image: left aside",)


def test_groups_come_from_names(tmp_path: Path) -> None:
    write(tmp_path, "p1/a-1.png", "p2/a-2.png", "p2/b-3.png")
    assert [s.group for s in open_samples(tmp_path, group_from="[ab]").samples] == ["a", "a", "b"]
    assert [s.group for s in open_samples(tmp_path, group_from="^(p.)/").samples] == ["p1", "p2", "p2"]
    some = open_samples(tmp_path, group_from="a-(.)")
    assert [s.group for s in some.samples] == ["1", "2", None]
    assert some.notes == ("1 image (first: p2/b-3.png) with no group: --group-from does not match the name",)
    with pytest.raises(DataError, match=r"matches no file name, such as p1/a-1\.png"):
        open_samples(tmp_path, group_from="^x")
    with pytest.raises(ConfigError, match="not a regular expression"):
        open_samples(tmp_path, group_from="(")


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_manifest(tmp_path: Path, separator: str) -> None:
    write(tmp_path, "x/a.png", "x/b.png", "m/a_m.png")
    lines = ["path,mask,label,group,split,age", "x/a.png,m/a_m.png,cat,7,train,3", "", "x/b.png,,dog,8,Valid,4"]
    (tmp_path / "list.csv").write_text("\n".join(lines).replace(",", separator), "utf-8-sig")
    found = open_samples(tmp_path / "list.csv")
    assert (found.layout, found.classes) == ("manifest", ("cat", "dog"))
    assert told(found) == {"x/a.png": ("cat", "m/a_m.png", "7", "train"), "x/b.png": ("dog", None, "8", "val")}
    assert found.notes == ("columns not used: age", "1 image (first: x/b.png) without a mask")
    np.testing.assert_array_equal(found.mask(0), MASK > 0)
    assert open_samples(tmp_path / "list.csv", label="age").classes == ("3", "4")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no column path in the header"),
        ("name,label\n", r"no column path in the header \(name, label\)"),
        ("path\n", "a header and no images"),
        ("path,label\na.png\n", "line 2 has 1 cells, the header 2"),
        ("path\na.png\na.png\n", "lines 2 and 3 both name a.png"),
        ("path,label\n,x\n", "line 2 names no image"),
        ("path,split\na.png,maybe\n", "line 2: no split 'maybe'"),
        ("path\nz.png\n", "none of its images is there"),
        ("path,label\na.png,x\nb\0.png,y\n", "line 3 holds a NUL byte, which no file name has: mend the line"),
        ("path,label\na.png,x\0\n", "line 2 holds a NUL byte"),
        (f"path\n{'n' * 300}.png\n", "none of its images is there"),
        (f'path\n"{"n" * 200_000}"\n', r"line 2 cannot be read \(field larger than field limit"),
    ],
)
def test_a_wrong_manifest_is_named(tmp_path: Path, text: str, message: str) -> None:
    write(tmp_path, "a.png")
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        open_samples(tmp_path / "list.csv")


STRANGE = (
    "a\nb.png", "c\rd.png", "e\r\nf.png", "line\u2028end.png", "next\x85line.png", "back\\slash.png", " lead.png",
    "trail.png ", 'a "quote".png', ',"a,"".png', '"', "a;b\tc.png",
)  # fmt: skip
"""Names that a file system takes."""


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_names_and_classes_in_quotes_are_read_as_they_are(tmp_path: Path, separator: str) -> None:
    write(tmp_path, *STRANGE)
    labels = [("cat", "cat ", " cat", "c\u2028")[i % 4] for i in range(len(STRANGE))]
    with (tmp_path / "list.csv").open("w", newline="") as file:
        table = csv.writer(file, delimiter=separator, quoting=csv.QUOTE_ALL, lineterminator="\n")
        table.writerows([("path", "label"), *zip(STRANGE, labels, strict=True)])
    found = open_samples(tmp_path / "list.csv")
    assert [(s.name, s.label) for s in found.samples] == [*zip(STRANGE, labels, strict=True)]
    assert [found.content(i) for i in range(len(found))] == [(tmp_path / name).read_bytes() for name in STRANGE]


def test_backslashes_of_windows_are_slashes_and_spaces_without_quotes_are_none(tmp_path: Path) -> None:
    write(tmp_path, "x/a.png", "x/a_mask.png", "x\\b.png")
    text = 'path, mask ,label\r\n x\\a.png ,x\\a_mask.png, cat \r\n\r\n"x\\b.png","",""\r\n"","",""\r\n'
    (tmp_path / "list.csv").write_text(text, newline="")
    found = open_samples(tmp_path / "list.csv")
    assert told(found) == {"x/a.png": ("cat", "x/a_mask.png", None, None), "x\\b.png": (None, None, None, None)}


def test_a_line_is_named_by_where_it_begins(tmp_path: Path) -> None:
    write(tmp_path, "a\nb.png", "c.png")
    (tmp_path / "list.csv").write_text('path,split\n"a\nb.png",train\nc.png,perhaps\n')
    with pytest.raises(DataError, match="line 4: no split 'perhaps'"):
        open_samples(tmp_path / "list.csv")


def test_a_file_that_the_manifest_misses_is_told_when_read(tmp_path: Path) -> None:
    write(tmp_path, "a.png")
    (tmp_path / "list.csv").write_text("path\na.png\nb.png\n")
    found = open_samples(tmp_path / "list.csv")
    for read in (found.pixels, found.content, found.size):
        with pytest.raises(UnreadableError, match=r"^no such file$"):
            read(1)
    (tmp_path / "list.csv").write_text(f"path\na.png\n{'n' * 300}.png\n")
    found = open_samples(tmp_path / "list.csv")
    for read in (found.pixels, found.content, found.size):
        with pytest.raises(UnreadableError, match=r"^File name too long$"):
            read(1)


def cell(content: bytes | None) -> dict[str, Any]:
    """A cell of an image column."""
    return {"bytes": content, "path": None}


@pytest.mark.parametrize("column", ["mask", "annotation", "label"])
def test_parquet_with_masks(tmp_path: Path, column: str) -> None:
    rows: list[Mapping[str, Any]] = [
        {"image": cell(png(grey(5))), column: cell(png(MASK)), "group": "g"},
        {"image": cell(png(grey(6))), column: cell(None), "group": None},
    ]
    parquet(
        tmp_path / "d" / "train-0.parquet", rows, Features(image=Image(), **{column: Image()}, group=Value("string"))
    )
    found = open_samples(tmp_path / "d")
    assert found.layout == "parquet"
    assert told(found) == {"row 0": (None, f"row 0, {column}", "g", None), "row 1": (None, None, None, None)}
    np.testing.assert_array_equal(found.pixels(1), grey(6))
    np.testing.assert_array_equal(found.mask(0), MASK > 0)
    assert found.content(0) == png(grey(5))
    assert found.mask(1) is None


def test_parquet_with_classes_and_splits(tmp_path: Path) -> None:
    features = Features(image=Image(), label=ClassLabel(names=["cat", "dog"]))
    for split in ("train", "test"):
        rows = [{"image": cell(png(grey(9))), "label": 1}, {"image": cell(None), "label": 0}]
        parquet(tmp_path / f"{split}-0.parquet", rows, features)
    found = open_samples(tmp_path)
    assert told(found)["test row 0"] == ("dog", None, None, "test")
    assert found.classes == ("cat", "dog")
    for read in (found.pixels, found.content):
        with pytest.raises(UnreadableError, match="no image data"):
            read(1)


@pytest.mark.parametrize("spec", ["nowhere", "notes.txt"])
def test_what_is_no_data_is_refused(tmp_path: Path, spec: str) -> None:
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(DataError, match=r"no such file or folder|neither a folder"):
        open_samples(tmp_path / spec)
    with pytest.raises(DataError, match="1 files but no images"):
        open_samples(tmp_path)


@pytest.mark.parametrize("find", [open_samples, lambda spec: load(spec, seed=0)])
def test_a_folder_called_digits_is_told_from_the_digits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, find: Callable[[str], Any]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert not any("./digits" in note for note in find("digits").notes)
    write(tmp_path / "digits", *(f"{label}/{i}.png" for label in "ab" for i in range(4)))
    told = "these are the digits that scikit-learn brings: what is called so here is ./digits"
    assert told in find("digits").notes
    assert told not in find("./digits").notes
