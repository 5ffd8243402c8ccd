"""Folders are read by rules that never guess: what fits no layout is named."""

import os
import time
from pathlib import Path
from typing import Any

import pytest
from datasets import ClassLabel, Features, Image

from plexus.data import SampleSet, load, open_samples
from plexus.errors import DataError
from tests.data.images import grey, parquet, png


def layout(root: Path, *names: str) -> Path:
    """Make empty files, and folders where a name ends in a slash: no image is decoded here."""
    root.mkdir()
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).mkdir(exist_ok=True) if name.endswith("/") else (root / name).touch()
    return root


def rows(samples: SampleSet) -> dict[str | None, list[tuple[str | None, str]]]:
    """The class and name of each image, by split."""
    found: dict[str | None, list[tuple[str | None, str]]] = {}
    for sample in samples.samples:
        found.setdefault(sample.split, []).append((sample.label, sample.name))
    return found


def test_class_folders_are_all_for_training_and_sorted(tmp_path: Path) -> None:
    names = ("a/z.PNG", "a/deep/er/u.bmp", "B/y.tiff", "A/x.jpeg", "a/notes.txt", "README.md")
    expected = [("A", "A/x.jpeg"), ("B", "B/y.tiff"), ("a", "a/deep/er/u.bmp"), ("a", "a/z.PNG")]
    samples = open_samples(layout(tmp_path / "d", *names))
    assert (samples.layout, rows(samples)) == ("classes", {None: expected})


@pytest.mark.parametrize(
    ("val", "test"), [("val", "test"), ("valid", "testing"), ("Validation", "TEST"), ("dev", "eval")]
)
def test_folders_named_after_splits_are_splits(val: str, test: str, tmp_path: Path) -> None:
    names = ("train/a/1.png", "train/b/1.png", f"{val}/b/2.png", f"{test}/a/3.png", "docs/plan.txt")
    assert rows(open_samples(layout(tmp_path / "d", *names))) == {
        "train": [("a", "train/a/1.png"), ("b", "train/b/1.png")],
        "val": [("b", f"{val}/b/2.png")],
        "test": [("a", f"{test}/a/3.png")],
    }


def test_classes_may_be_called_train_and_test(tmp_path: Path) -> None:
    samples = open_samples(layout(tmp_path / "d", "train/1.png", "bus/1.png", "test/1.png"))
    assert [sample.label for sample in samples.samples] == ["bus", "test", "train"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "empty: expected images as CLASS/IMAGE.png, or parquet files"),
        (["a/", "b/"], "empty"),
        (["a/notes.txt", "list.csv"], "2 files but no images"),
        (["1.png", "2.png"], "1.png lies outside a class folder: move it into CLASS/"),
        (["a/1.png", "b/1.png", "x.png"], "x.png lies outside a class folder"),
        (["train/a/1.png", "train/b/1.png", "x.png"], "x.png lies outside a class folder: move it into train/CLASS/"),
        (["train/a/1.png", "test/1.png"], "test/1.png lies outside a class folder: move it into test/CLASS/"),
        (["train/1.png", "test/1.png"], "test/1.png lies outside a class folder: move it into test/CLASS/"),
        (["train/1.png", "val/a/1.png"], "train/1.png lies outside a class folder: move it into train/CLASS/"),
        (["a/1.png", "b/"], "class folder 'b' holds no images: add some or remove it"),
        (["train/a/1.png", "train/b/", "test/a/1.png"], "class folder 'train/b' holds no images"),
        (["train/a/1.png", "extra/a/1.png"], "folder 'extra' beside the splits holds images: move it"),
        (["train/a/1.png", "val/a/1.png", "dev/a/1.png"], "folder 'val' is a second val split: join the two"),
    ],
)
def test_what_fits_no_layout_is_named(names: list[str], message: str, tmp_path: Path) -> None:
    root = layout(tmp_path / "d", *names)
    with pytest.raises(DataError) as caught:
        load(root)
    assert str(caught.value).startswith(f"{root}: {message}")


def test_a_class_may_be_absent_from_test(tmp_path: Path) -> None:
    root = layout(tmp_path / "d", "train/a/1.png", "train/b/1.png", "test/a/1.png", "test/b/")
    assert rows(open_samples(root))["test"] == [("a", "test/a/1.png")]


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["b.parquet", "a.parquet"], {None: ["a.parquet", "b.parquet"]}),
        (
            [
                "data/test-00000-of-00001.parquet",
                "data/train-00001-of-00002.parquet",
                "data/train-00000-of-00002.parquet",
            ],
            {
                "train": ["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet"],
                "test": ["data/test-00000-of-00001.parquet"],
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
        (
            ["training.parquet", "dev_1.parquet", "eval.1.parquet"],
            {"train": ["training.parquet"], "val": ["dev_1.parquet"], "test": ["eval.1.parquet"]},
        ),
        (["trainer.parquet", "testament.parquet"], {None: ["testament.parquet", "trainer.parquet"]}),
    ],
)
def test_parquet_files_name_their_split(
    names: list[str], expected: dict[str | None, list[str]], tmp_path: Path
) -> None:
    """Each file holds one image, whose class is the file's number."""
    features = Features(img=Image(), y=ClassLabel(names=names))
    for i, name in enumerate(names):
        parquet(tmp_path / "d" / name, [{"img": {"bytes": png(grey(i)), "path": None}, "y": i}], features)
    found = {split: [label for label, _ in part] for split, part in rows(open_samples(tmp_path / "d")).items()}
    assert found == expected


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["train-0.parquet", "more.parquet"], "more.parquet names no split, others do: rename it"),
        (
            ["fine/train-0.parquet", "coarse/train-0.parquet"],
            r"several data sets \(coarse, fine\): give the folder",
        ),
    ],
)
def test_parquet_files_that_contradict_each_other_are_refused(names: list[str], message: str, tmp_path: Path) -> None:
    root = layout(tmp_path / "d", *names)
    for read in (load, open_samples):
        with pytest.raises(DataError, match=f"/d: {message}"):
            read(root)


def test_what_is_hidden_is_passed_over_and_told(tmp_path: Path) -> None:
    samples = open_samples(layout(tmp_path / "d", ".git/x.png", "__MACOSX/y.png", "a/.DS_Store", "a/.b.png", "a/1.png"))
    assert [sample.name for sample in samples.samples] == ["a/1.png"]
    assert samples.notes == ("3 hidden or system items (first: .git): left aside",)


@pytest.mark.parametrize(
    "extra",
    ["@eaDir/1.png/THUMB.jpg", ".thumbnails/1.jpg", "$RECYCLE.BIN/9.png", "a/@eaDir/1.jpg", "Thumbnails/1.jpg"],
)
def test_caches_of_systems_and_cameras_are_no_classes(extra: str, tmp_path: Path) -> None:
    clean = layout(tmp_path / "clean", "a/1.png", "b/2.png")
    samples = open_samples(layout(tmp_path / "d", "a/1.png", "b/2.png", extra, "a/Thumbs.db", "desktop.ini"))
    assert rows(samples) == rows(open_samples(clean))
    folder = next(part for part in (extra, *map(str, Path(extra).parents)) if Path(part).name in _CACHE_NAMES)
    assert samples.notes == (f"1 hidden or system item (first: {folder}): left aside",)


_CACHE_NAMES = {"@eaDir", ".thumbnails", "$RECYCLE.BIN", "Thumbnails"}


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [
        ("training_set", "valid", "test_set"),
        ("Train", "validation-set", "Test Images"),
        ("seg_train", "seg_val", "seg_test"),
        ("trainset", "valset", "testset"),
        ("train2017", "val2017", "test2017"),
        ("TrainingData", "ValidationData", "TestData"),
    ],
)
def test_longer_names_of_splits_are_understood(train: str, val: str, test: str, tmp_path: Path) -> None:
    names = (f"{train}/a/1.png", f"{train}/b/2.png", f"{val}/a/3.png", f"{test}/b/4.png")
    assert rows(open_samples(layout(tmp_path / "d", *names))) == {
        "train": [("a", names[0]), ("b", names[1])],
        "val": [("a", names[2])],
        "test": [("b", names[3])],
    }


@pytest.mark.parametrize("name", ["test tubes", "trainers", "contest", "training shoes", "valve"])
def test_classes_that_only_begin_like_splits_are_classes(name: str, tmp_path: Path) -> None:
    samples = open_samples(layout(tmp_path / "d", f"{name}/1.png", "train/1.png"))
    assert samples.classes == tuple(sorted((name, "train")))
    assert samples.splits == ()


@pytest.mark.parametrize("wrapper", ["photos", "a/b", "Data"])
@pytest.mark.parametrize("names", [["x/1.png", "y/2.png"], ["train/x/1.png", "train/y/1.png", "val/x/1.png"]])
def test_a_folder_around_the_data_is_stepped_into(wrapper: str, names: list[str], tmp_path: Path) -> None:
    root = layout(tmp_path / "d", *(f"{wrapper}/{name}" for name in names), "README.txt", "__MACOSX/z.png")
    plain = open_samples(root / wrapper)
    samples = open_samples(root)
    assert (samples.classes, samples.splits) == (plain.classes, plain.splits)
    assert [sample.name for sample in samples.samples] == [f"{wrapper}/{sample.name}" for sample in plain.samples]
    assert all(isinstance(place, Path) and place.is_file() for place in samples.images)
    assert f"read in its folder {wrapper}" in samples.notes
    assert f"{wrapper}" in samples.summary


def test_masks_in_a_folder_around_the_data_are_found(tmp_path: Path) -> None:
    samples = open_samples(layout(tmp_path / "d", "set/train/x/1.png", "set/train/x/1_mask.png", "set/val/x/2.png"))
    assert [(s.name, s.mask, s.split) for s in samples.samples] == [
        ("set/train/x/1.png", "set/train/x/1_mask.png", "train"),
        ("set/val/x/2.png", None, "val"),
    ]


def test_an_archive_unpacked_into_its_own_name_is_one_split(tmp_path: Path) -> None:
    names = ("seg_train/seg_train/a/1.png", "seg_train/seg_train/b/1.png", "seg_test/seg_test/a/2.png")
    samples = open_samples(layout(tmp_path / "d", *names))
    assert (samples.classes, samples.splits) == (("a", "b"), ("train", "test"))


def test_images_of_formats_that_are_not_read_are_named(tmp_path: Path) -> None:
    folder = layout(tmp_path / "d", "cat/IMG_0.HEIC", "cat/list.txt")
    for name in ("cat/1.png", "dog/1.png"):
        for i in range(8):
            path = folder / name.replace("1", str(i))
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(png(grey(i)))
    data = load(folder)
    assert data.skipped == ("cat/IMG_0.HEIC: HEIC is not read: save it as JPEG or PNG",)
    assert data.notes == ("2 files (first: cat/IMG_0.HEIC) not an image: left aside",)
    assert data.summary == (
        "d: 16 images of 2 classes (cat 8, dog 8); train 11, val 2, test 3 (val and test drawn by the seed); "
        "grey, 4x4; "
        "1 image left out, such as cat/IMG_0.HEIC: HEIC is not read: save it as JPEG or PNG; "
        "2 files (first: cat/IMG_0.HEIC) not an image: left aside"
    )


def test_links_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    (tmp_path / "store" / "a").mkdir(parents=True)
    (tmp_path / "store" / "a" / "1.png").touch()
    (tmp_path / "store" / "a" / "loop").symlink_to(tmp_path / "root")
    (tmp_path / "root").mkdir()
    for name in ("one", "two"):
        (tmp_path / "root" / name).symlink_to(tmp_path / "store" / "a")
    assert rows(open_samples(tmp_path / "root")) == {None: [("one", "one/1.png"), ("two", "two/1.png")]}


def test_a_file_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"\xff.png")).touch()
    with pytest.raises(DataError, match=r"the file name '\\udcff.png' is not UTF-8: rename it"):
        open_samples(tmp_path)


@pytest.mark.parametrize("spec", ["x" * 300, "a/" + "y" * 300, "nul\0byte", "~no-such-user/photos"])
@pytest.mark.parametrize("read", [load, open_samples])
def test_names_that_no_file_system_takes(spec: str, read: Any) -> None:
    with pytest.raises(DataError, match=r"no such (file or )?folder") as caught:
        read(spec)
    assert len(str(caught.value)) < 500
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("kind", ["bare", "classes", "pairs"])
def test_opening_takes_time_in_proportion_to_the_files(kind: str, tmp_path: Path) -> None:
    """Eight times as many files take about eight times as long, and not sixty-four times."""
    names = {"bare": "{:05}.png", "classes": "c{:05}/x.png", "pairs": "{:05}.png {:05}_mask.png"}[kind]

    def seconds(count: int) -> float:
        root = layout(tmp_path / str(count), *(n for i in range(count) for n in names.format(i, i).split()))
        return min(_timed(root), _timed(root))

    assert seconds(1200) < 24 * seconds(150)


def _timed(root: Path) -> float:
    start = time.process_time()
    open_samples(root)
    return time.process_time() - start
