"""Folders are read by rules that never guess: what fits no layout is named."""

import os
from pathlib import Path, PurePosixPath

import pytest

from plexus.data._folder import class_folders, parquet_splits, walk
from plexus.errors import DataError


def layout(*names: str) -> dict[str, list[tuple[str, str]]]:
    """Read a layout of files, and of folders where a name ends in a slash."""
    files = [PurePosixPath(name) for name in names if not name.endswith("/")]
    folders = {PurePosixPath(name) for name in names if name.endswith("/")}
    folders |= {parent for file in files for parent in file.parents if parent.name}
    return class_folders(sorted(folders), files, "here")


def test_class_folders_are_all_for_training_and_sorted() -> None:
    expected = [("A", "A/x.jpeg"), ("B", "B/y.tiff"), ("a", "a/deep/er/u.bmp"), ("a", "a/z.PNG")]
    assert layout("a/z.PNG", "a/deep/er/u.bmp", "B/y.tiff", "A/x.jpeg", "a/notes.txt", "README.md") == {
        "train": expected
    }


@pytest.mark.parametrize(
    ("val", "test"), [("val", "test"), ("valid", "testing"), ("Validation", "TEST"), ("dev", "eval")]
)
def test_folders_named_after_splits_are_splits(val: str, test: str) -> None:
    assert layout("train/a/1.png", "train/b/1.png", f"{val}/b/2.png", f"{test}/a/3.png", "docs/plan.txt") == {
        "train": [("a", "train/a/1.png"), ("b", "train/b/1.png")],
        "val": [("b", f"{val}/b/2.png")],
        "test": [("a", f"{test}/a/3.png")],
    }


def test_classes_may_be_called_train_and_test() -> None:
    rows = layout("train/1.png", "bus/1.png", "test/1.png")
    assert [name for name, _ in rows["train"]] == ["bus", "test", "train"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "here: empty: expected images as CLASS/IMAGE.png, or parquet files"),
        (["a/", "b/"], "here: empty"),
        (["a/notes.txt", "list.csv"], "here: 2 files but no images"),
        (["1.png", "2.png"], "here: 1.png lies outside a class folder: move it into CLASS/"),
        (["a/1.png", "b/1.png", "x.png"], "here: x.png lies outside a class folder"),
        (
            ["train/a/1.png", "train/b/1.png", "x.png"],
            "here: x.png lies outside a class folder: move it into train/CLASS/",
        ),
        (["train/a/1.png", "test/1.png"], "here: test/1.png lies outside a class folder: move it into test/CLASS/"),
        (["train/1.png", "test/1.png"], "here: test/1.png lies outside a class folder: move it into test/CLASS/"),
        (["train/1.png", "val/a/1.png"], "here: train/1.png lies outside a class folder: move it into train/CLASS/"),
        (["a/1.png", "b/"], "here: class folder 'b' holds no images: add some or remove it"),
        (["train/a/1.png", "train/b/", "test/a/1.png"], "here: class folder 'train/b' holds no images"),
        (["train/a/1.png", "extra/a/1.png"], "here: folder 'extra' beside the splits holds images: move it"),
        (["train/a/1.png", "val/a/1.png", "dev/a/1.png"], "here: folder 'val' is a second val split: join the two"),
    ],
)
def test_what_fits_no_layout_is_named(names: list[str], message: str) -> None:
    with pytest.raises(DataError) as caught:
        layout(*names)
    assert str(caught.value).startswith(message)


def test_a_class_may_be_absent_from_test() -> None:
    assert layout("train/a/1.png", "train/b/1.png", "test/a/1.png", "test/b/")["test"] == [("a", "test/a/1.png")]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["b.parquet", "a.parquet"], {"train": ["a.parquet", "b.parquet"]}),
        (
            [
                "data/test-00000-of-00001.parquet",
                "data/train-00001-of-00002.parquet",
                "data/train-00000-of-00002.parquet",
            ],
            {
                "test": ["data/test-00000-of-00001.parquet"],
                "train": ["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet"],
            },
        ),
        (
            ["default/train/0000.parquet", "default/validation/0000.parquet", "default/test/0000.parquet"],
            {
                "train": ["default/train/0000.parquet"],
                "val": ["default/validation/0000.parquet"],
                "test": ["default/test/0000.parquet"],
            },
        ),
        (["training.parquet", "dev_1.parquet", "eval.1.parquet"], {"train": 1, "val": 1, "test": 1}),
        (["trainer.parquet", "testament.parquet"], {"train": ["testament.parquet", "trainer.parquet"]}),
    ],
)
def test_parquet_files_name_their_split(names: list[str], expected: dict[str, list[str] | int]) -> None:
    found = parquet_splits([PurePosixPath(name) for name in names], "here")
    sizes = {split: len(files) for split, files in found.items()}
    assert sizes == {split: value if isinstance(value, int) else len(value) for split, value in expected.items()}
    for split, value in expected.items():
        if not isinstance(value, int):
            assert [str(file) for file in found[split]] == value


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["train-0.parquet", "more.parquet"], "here: more.parquet names no split, others do: rename it"),
        (
            ["fine/train-0.parquet", "coarse/train-0.parquet"],
            r"here: several data sets \(coarse, fine\): give the folder",
        ),
    ],
)
def test_parquet_files_that_contradict_each_other_are_refused(names: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        parquet_splits([PurePosixPath(name) for name in names], "here")


def test_walk_passes_over_what_is_hidden(tmp_path: Path) -> None:
    for name in (".git/x", "__MACOSX/y", "a/.DS_Store", "a/1.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert sorted((str(path), is_folder) for path, is_folder in walk(tmp_path)) == [("a", True), ("a/1.png", False)]


def test_walk_follows_links_but_not_in_circles(tmp_path: Path) -> None:
    (tmp_path / "store" / "a").mkdir(parents=True)
    (tmp_path / "store" / "a" / "1.png").touch()
    (tmp_path / "store" / "a" / "loop").symlink_to(tmp_path / "root")
    (tmp_path / "root").mkdir()
    for name in ("one", "two"):
        (tmp_path / "root" / name).symlink_to(tmp_path / "store" / "a")
    assert sorted(str(path) for path, _ in walk(tmp_path / "root")) == ["one", "one/1.png", "two", "two/1.png"]


def test_walk_names_a_file_that_is_not_utf_8(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"\xff.png")).touch()
    with pytest.raises(DataError, match=r"the file name '\\udcff.png' is not UTF-8: rename it"):
        list(walk(tmp_path))
