"""From files to three splits: what is promised about order, shares, colours and identity."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from plexus.data import ImageData, Split, decode, load, pixel_statistics, read_batches, read_image
from plexus.errors import ConfigError, DataError
from tests.data.images import HOSTILE, class_folders, grey, parquet, png, png_header


def splits(data: ImageData) -> tuple[Split, Split, Split]:
    return data.train, data.val, data.test


def counts(split: Split) -> list[int]:
    return torch.bincount(split.labels).tolist()


def test_digits_come_whole_and_exact() -> None:
    from sklearn.datasets import load_digits

    data, original = load("digits"), load_digits()
    expected = np.rint(original.images * 255 / 16)
    assert (data.name, data.in_shape, data.classes) == ("digits", (1, 8, 8), tuple("0123456789"))
    rows = [int(name.removeprefix("row ")) for split in splits(data) for name in split.names]
    assert sorted(rows) == list(range(1797))
    assert np.array_equal(torch.cat([split.images for split in splits(data)])[:, 0], expected[rows])
    assert np.array_equal(torch.cat([split.labels for split in splits(data)]), original.target[rows])
    assert data.train.images.dtype == torch.uint8
    assert data.train.labels.dtype == torch.int64
    assert (len(data.test), len(data.val)) == (round(0.2 * 1797), round(0.15 * (1797 - 359)))
    shares = np.bincount(original.target) / 1797
    for split in splits(data):
        assert np.abs(np.array(counts(split)) - shares * len(split)).max() < 2


def test_the_mean_image_is_that_of_train_alone() -> None:
    images = torch.randint(0, 256, (9000, 1, 2, 2), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    train = Split(images, torch.zeros(9000, dtype=torch.int64), ("",) * 9000)
    other = Split(torch.zeros_like(images[:1]), torch.zeros(1, dtype=torch.int64), ("",))
    data = ImageData("here", train, other, other, ("a", "b"), "sha256:")
    assert data.mean.equal(images.double().mean(0).float())
    assert data.mean.dtype == torch.float32


def test_the_seed_chooses_the_splits_and_not_the_fingerprint() -> None:
    one, again, other = load("digits", seed=1), load("digits", seed=1), load("digits", seed=2)
    assert [split.names for split in splits(one)] == [split.names for split in splits(again)]
    for a, b in zip(splits(one), splits(other), strict=True):
        assert a.names != b.names
    assert one.fingerprint == again.fingerprint == other.fingerprint
    assert one.fingerprint.startswith("sha256:")


def test_limit_counts_train_and_val_and_leaves_test_whole() -> None:
    whole, few = load("digits"), load("digits", limit=200)
    assert few.test.names == whole.test.names
    assert (len(few.train), len(few.val)) == (170, 30)
    assert max(counts(few.train)) - min(counts(few.train)) <= 2
    assert load("digits", limit=5000).train.names == whole.train.names


def test_the_largest_shares_leave_every_class_an_image() -> None:
    data = load("digits", val=0.999, test=0.999)
    assert [counts(data.train), counts(data.val)] == [[1] * 10, [1] * 10]


def test_class_folders_with_a_hostile_name(tmp_path: Path) -> None:
    data = load(class_folders(tmp_path / "d", {"b": 10, HOSTILE: 20}))
    assert data.classes == (HOSTILE, "b")
    assert [counts(split) for split in splits(data)] == [[13, 7], [3, 1], [4, 2]]
    for split in splits(data):
        for image, label, name in zip(split.images, split.labels.tolist(), split.names, strict=True):
            assert name.startswith(f"{data.classes[label]}/")
            assert np.array_equal(image[0], np.asarray(decode(tmp_path / "d" / name)))


def test_given_splits_are_kept_whole(tmp_path: Path) -> None:
    for start, (name, count) in enumerate({"train": 10, "val": 3, "test": 4}.items()):
        class_folders(tmp_path / "d" / name, {"a": count, "b": count}, start=60 * start)
    data = load(tmp_path / "d", limit=12)
    assert [counts(split) for split in splits(data)] == [[6, 6], [3, 3], [4, 4]]
    for split, name in zip(splits(data), ("train", "val", "test"), strict=True):
        assert {file.split("/")[0] for file in split.names} == {name}


def test_a_given_test_split_changes_no_choice(tmp_path: Path) -> None:
    class_folders(tmp_path / "d" / "train", {"a": 10, "b": 10})
    class_folders(tmp_path / "d" / "test", {"a": 3, "b": 3}, start=50)
    before = load(tmp_path / "d")
    shutil.rmtree(tmp_path / "d" / "test")
    class_folders(tmp_path / "d" / "test", {"a": 9, "b": 1}, start=90)
    after = load(tmp_path / "d")
    assert (before.train.names, before.val.names) == (after.train.names, after.val.names)
    assert before.train.images.equal(after.train.images)
    assert before.fingerprint != after.fingerprint


def test_the_fingerprint_is_of_the_content_alone(tmp_path: Path) -> None:
    one = class_folders(tmp_path / "one", {"a": 4, "b": 4})
    other = tmp_path / "else" / "where"
    for file in sorted(one.rglob("*.png"), reverse=True):
        target = other / file.relative_to(one).with_suffix(".bmp")
        target.parent.mkdir(parents=True, exist_ok=True)
        decode(file).convert("RGB").save(target)
    fingerprint = load(one).fingerprint
    assert load(other).fingerprint == fingerprint
    (other / "b").rename(other / "c")
    assert load(other).fingerprint != fingerprint  # another class name
    (other / "c").rename(other / "b")
    (other / "a" / "000.bmp").write_bytes(png(grey(99)))
    assert load(other).fingerprint != fingerprint  # another pixel
    (one / "a" / "003.png").rename(one / "b" / "-.png")
    assert load(one).fingerprint != fingerprint  # another label


def rows(count: int, start: int = 0, **more: Any) -> list[dict[str, Any]]:
    return [{"img": {"bytes": png(grey(start + i)), "path": None}, "y": i * 2 // count} | more for i in range(count)]


def features(*names: str) -> Any:
    from datasets import ClassLabel, Features, Image

    return Features(img=Image(), y=ClassLabel(names=list(names)))


@pytest.mark.usefixtures("cache")
def test_a_parquet_folder_and_class_folders_give_the_same_data(tmp_path: Path) -> None:
    folder = tmp_path / "d[1]"  # a name that would be a pattern
    parquet(folder / "train-00000-of-00001.parquet", rows(8), features("a", HOSTILE))
    parquet(folder / "test-00000-of-00001.parquet", rows(4, 40), features("a", HOSTILE))
    table = load(folder)
    assert (table.name, table.classes) == ("d[1]", ("a", HOSTILE))
    assert table.test.names == tuple(f"test row {i}" for i in range(4))
    class_folders(tmp_path / "f" / "train", {"a": 4, HOSTILE: 4})
    class_folders(tmp_path / "f" / "test", {"a": 2, HOSTILE: 2}, start=40)
    (tmp_path / "f" / "train" / "a").rename(tmp_path / "f" / "train" / "0")
    (tmp_path / "f" / "test" / "a").rename(tmp_path / "f" / "test" / "0")  # "<" sorts after digits, before letters
    files = load(tmp_path / "f")
    for a, b in zip(splits(table), splits(files), strict=True):
        assert a.images.equal(b.images)
        assert a.labels.equal(b.labels)


@pytest.mark.usefixtures("cache")
def test_a_parquet_file_without_features_and_with_more_columns(tmp_path: Path) -> None:
    parquet(tmp_path / "d" / "all.parquet", rows(8, note=0.5))
    data = load(tmp_path / "d")
    assert (data.classes, data.in_shape) == (("0", "1"), (1, 4, 4))


@pytest.mark.usefixtures("cache")
def test_parquet_files_that_disagree_are_refused(tmp_path: Path) -> None:
    parquet(tmp_path / "d" / "train.parquet", rows(8), features("a", "b"))
    parquet(tmp_path / "d" / "test.parquet", rows(4), features("b", "a"))
    with pytest.raises(DataError, match=r"(test|train)\.parquet declares other columns or classes"):
        load(tmp_path / "d")
    (tmp_path / "d" / "test.parquet").write_bytes(b"PAR1 cut short")
    with pytest.raises(DataError, match=r"test\.parquet cannot be read .*: replace it") as caught:
        load(tmp_path / "d")
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("cache")
def test_a_table_never_opens_a_file_it_names(tmp_path: Path) -> None:
    (tmp_path / "private.png").write_bytes(png(grey(0)))
    named = rows(8)
    named[3]["img"] = {"bytes": None, "path": str(tmp_path / "private.png")}
    parquet(tmp_path / "d" / "train.parquet", named, features("a", "b"))
    with pytest.raises(DataError, match="row 3: no image data"):
        load(tmp_path / "d")


def test_loading_class_folders_writes_no_cache(tmp_path: Path, cache: Path) -> None:
    load(class_folders(tmp_path / "d", {"a": 4, "b": 4}))
    assert not cache.exists()


def test_one_colour_image_makes_all_of_them_colour(tmp_path: Path) -> None:
    folder = class_folders(tmp_path / "d", {"a": 4, "b": 4})
    coloured = np.stack([grey(0), grey(1), grey(2)], -1)
    (folder / "a" / "000.png").write_bytes(png(np.stack([grey(0)] * 3, -1)))
    assert load(folder).in_shape == (1, 4, 4)  # grey, although stored as RGB
    (folder / "a" / "000.png").write_bytes(png(coloured))
    data = load(folder)
    assert data.in_shape == (3, 4, 4)
    everything = {name: image for split in splits(data) for name, image in zip(split.names, split.images, strict=True)}
    assert np.array_equal(everything["a/000.png"], coloured.transpose(2, 0, 1))
    assert np.array_equal(everything["b/003.png"], [grey(7)] * 3)


@pytest.mark.parametrize("side", [4, 120])  # read by one thread, and by several
def test_mixed_sizes(tmp_path: Path, side: int) -> None:
    folder = class_folders(tmp_path / "d", {"b": 20, "c": 20})
    for file in (folder / "b").iterdir():
        file.write_bytes(png(grey(1, side, side)))
    (folder / "c" / "004.png").write_bytes(png(grey(0, side, side + 2)))
    (folder / "c" / "005.png").write_bytes(png(grey(0, side + 1, side)))
    sizes, other = (3, "c/004.png is 6x4") if side == 4 else (4, "c/000.png is 4x4")
    with pytest.raises(DataError, match=rf"images of {sizes} sizes: b/000\.png is {side}x{side} and {other} .*--size"):
        load(folder)
    assert load(folder, size=6).in_shape == (1, 6, 6)
    assert load(folder, size=(5, 7)).in_shape == (1, 5, 7)


def test_once_sizes_differ_headers_alone_are_read(tmp_path: Path) -> None:
    folder = class_folders(tmp_path / "d", {"a": 150, "b": 10})
    (folder / "a" / "001.png").write_bytes(png(grey(0, 5, 5)))
    (folder / "b" / "000.png").write_bytes(png_header(4, 4))  # has no pixels: to decode it would fail
    with pytest.raises(DataError, match=r"images of 2 sizes: a/000\.png is 4x4 and a/001\.png is 5x5"):
        load(folder)


def test_several_threads_give_what_one_gives(tmp_path: Path) -> None:
    folder = tmp_path / "d"
    for i in range(40):
        (folder / "ab"[i % 2]).mkdir(parents=True, exist_ok=True)
        (folder / "ab"[i % 2] / f"{i:02}.png").write_bytes(png(grey(i, 100, 110)))
    data = load(folder)
    for split in splits(data):
        for image, name in zip(split.images, split.names, strict=True):
            assert np.array_equal(image[0], grey(int(name[2:4]), 100, 110))


def test_unreadable_images_stop_the_run_or_are_recorded(tmp_path: Path) -> None:
    folder = class_folders(tmp_path / "d", {"a": 6, "b": 6})
    (folder / "a" / "002.png").write_bytes(b"")
    (folder / "b" / "x\ny.png").write_bytes(b"text")
    with pytest.raises(DataError, match=r"/d/a/002\.png: empty file: replace or remove it, .*--skip-unreadable$"):
        load(folder)
    data = load(folder, skip_unreadable=True)
    assert data.skipped == ("a/002.png: empty file", "b/x\ny.png: not an image of a known format")
    assert sum(map(len, splits(data))) == 11
    (folder / "a" / "002.png").write_bytes(png(grey(2)))
    with pytest.raises(DataError) as caught:
        load(folder)
    assert "\n" not in str(caught.value)


def test_a_class_too_small_after_skipping_is_refused(tmp_path: Path) -> None:
    folder = class_folders(tmp_path / "d", {"a": 9, "b": 3})
    for file in (folder / "b").iterdir():
        file.write_bytes(b"")
    with pytest.raises(DataError, match="class 'b' has 0 usable images"):
        load(folder, skip_unreadable=True)
    for file in (folder / "a").iterdir():
        file.write_bytes(b"")
    with pytest.raises(DataError, match="no image of the train split can be read"):
        load(folder, skip_unreadable=True)


def write_splits(root: Path, **parts: dict[str, int]) -> Path:
    for split, sizes in parts.items():
        class_folders(root / split, sizes)
    return root


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda root: root / "nowhere", "no such folder: give 'digits', a folder, or a hub id"),
        (lambda root: class_folders(root, {"a": 1}) / "a" / "000.png", "is a file: give the folder"),
        (lambda root: root, "empty: expected images"),
        (lambda root: class_folders(root, {"a": 9}), r"one class only \('a'\): give images of two classes"),
        (lambda root: class_folders(root, {"a": 9, "b": 2}), "class 'b' has 2 usable images of the 3 needed"),
        (
            lambda root: write_splits(root, train={"a": 9, "b": 1}, test={"a": 1}),
            "class 'b' has 1 usable images of the 2 needed",
        ),
        (
            lambda root: write_splits(root, train={"a": 9, "b": 9}, test={"c": 1}),
            "class 'c' is in test but not in train: add training images of it, or take it out of test",
        ),
        (lambda root: write_splits(root, train={"a": 9, "b": 9}, val={"c": 1}), "class 'c' is in val but not in train"),
        (
            lambda root: write_splits(root, train={"a": 9, "b": 9}, test={}, val={"a": 0}),
            "the val split holds no images: add some or take the split out",
        ),
    ],
)
def test_data_that_cannot_be_used_is_named(make: Callable[[Path], Path], message: str, tmp_path: Path) -> None:
    spec = make(tmp_path)
    with pytest.raises(DataError, match=f": {message}") as caught:
        load(spec)
    assert str(caught.value).startswith(str(spec))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"val": 0}, "--val 0 is not a share"),
        ({"test": 1.0}, r"--test 1\.0 is not a share"),
        ({"test": float("nan")}, "--test nan is not a share"),
        ({"size": 0}, "--size 0x0 is not a size"),
        ({"size": (4, -1)}, "--size 4x-1 is not a size"),
        ({"limit": 0}, "--limit 0 keeps no images"),
        ({"limit": 19}, "--limit 19 is too low for 10 classes: at least 20"),
        ({"seed": -1}, "--seed -1 is negative"),
        ({"label": "y"}, "leave --label out"),
    ],
)
def test_arguments_out_of_range_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        load("digits", **arguments)


def test_the_lowest_limit_still_gives_every_class_to_train_and_val() -> None:
    data = load("digits", limit=20)
    assert [counts(data.train), counts(data.val)] == [[1] * 10, [1] * 10]


def test_more_than_half_of_the_memory_is_refused_at_the_first_image(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = {"SC_PAGE_SIZE": 2, "SC_PHYS_PAGES": 1797 * 64 - 1}
    monkeypatch.setattr("os.sysconf", memory.__getitem__)
    with pytest.raises(DataError, match=r"1797 images of 8x8 need 0\.0 GiB .*--size, or fewer images with --limit"):
        load("digits")
    memory["SC_PHYS_PAGES"] += 1
    assert sum(map(len, splits(load("digits")))) == 1797


def test_a_bar_is_drawn_on_terminals_where_images_are_many(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    load("digits")
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    load("digits", limit=300)
    assert capsys.readouterr().err == ""
    load("digits")
    assert "reading images" in capsys.readouterr().err


def test_channels_may_be_asked_for(tmp_path: Path) -> None:
    folder = class_folders(tmp_path / "d", {"a": 4, "b": 4})
    assert load(folder, channels=3).train.images.equal(load(folder).train.images.expand(-1, 3, -1, -1))
    (folder / "a" / "000.png").write_bytes(png(np.full((4, 4, 3), (200, 10, 10), np.uint8)))
    data = load(folder, channels=1)
    everything = {name: image for split in splits(data) for name, image in zip(split.names, split.images, strict=True)}
    assert data.in_shape == (1, 4, 4)
    assert everything["a/000.png"].unique().tolist() == [round(0.299 * 200 + 0.587 * 10 + 0.114 * 10)]


def test_splits_that_the_data_brings_are_told(tmp_path: Path) -> None:
    assert load("digits").given == ()
    assert load(write_splits(tmp_path, train={"a": 3, "b": 3}, test={"a": 1, "b": 1})).given == ("test",)


def test_images_without_classes_are_split_too(tmp_path: Path) -> None:
    for i in range(20):
        (tmp_path / f"{i:02}.png").write_bytes(png(grey(i)))
    with pytest.raises(DataError, match="lies outside a class folder"):
        load(tmp_path)
    one, again, other = (load(tmp_path, unlabelled=True, seed=seed) for seed in (0, 0, 1))
    assert [split.names for split in splits(one)] == [split.names for split in splits(again)]
    assert one.test.names != other.test.names
    assert [len(split) for split in splits(one)] == [14, 2, 4]
    assert (one.classes, one.train.labels.unique().tolist()) == ((), [-1])
    few = load(tmp_path, unlabelled=True, limit=5)
    assert (few.test.names, len(few.train) + len(few.val)) == (one.test.names, 5)
    with pytest.raises(DataError, match="too few images to train, validate and test on"):
        load(tmp_path, unlabelled=True, limit=1)


def test_pixel_statistics_are_those_of_the_whole() -> None:
    images = torch.randint(0, 256, (700, 3, 5, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    for correction in (0, 1):
        mean, std = pixel_statistics(images, correction=correction)
        whole = images.double().transpose(0, 1).flatten(1)
        assert mean.equal(whole.mean(1))
        torch.testing.assert_close(std, whole.std(1, correction=correction), rtol=1e-13, atol=0)


def test_only_some_classes_are_numbered_anew() -> None:
    data = load("digits").only(["7", "1"])
    assert data.classes == ("7", "1")
    assert data.fingerprint == load("digits").fingerprint
    whole = {name: int(label) for split in splits(load("digits"))
             for name, label in zip(split.names, split.labels, strict=True)}  # fmt: skip
    for split in splits(data):
        assert [whole[name] for name in split.names] == [(7, 1)[label] for label in split.labels.tolist()]
    with pytest.raises(ConfigError, match="'cat' is none of digits: it has 0, 1"):
        load("digits").only(["cat", "1"])
    with pytest.raises(ConfigError, match="name two classes or more"):
        data.only(["7"])


def test_batches_from_anywhere_take_the_shape_of_a_model(tmp_path: Path) -> None:
    """A folder, a single file and the digits, grey and colour, in one row; names say which is which."""
    folder = class_folders(tmp_path / "d", {"a": 3, "b": 2})
    (folder / "a" / "000.png").write_bytes(png(np.stack([grey(0, 9, 7)] * 3, -1) * np.array([1, 0, 0], np.uint8)))
    specs: list[str | Path] = [folder, folder / "b" / "001.png", "digits"]
    for channels in (1, 3):
        parts = list(read_batches(specs, (channels, 8, 6), batch_size=4))
        assert [len(samples) for samples, _ in parts[:3]] == [4, 1, 1]
        assert all(images.shape == (len(samples), channels, 8, 6) for samples, images in parts)
        rows = [(sample, image) for samples, images in parts for sample, image in zip(samples, images, strict=True)]
        assert len(rows) == 5 + 1 + 1797
        assert [s.name for s, _ in rows[3:7]] == [
            f"{folder}/b/000.png",
            f"{folder}/b/001.png",
            f"{folder}/b/001.png",
            "digits/row 0",
        ]
        assert [s.label for s, _ in rows[3:7]] == ["b", "b", None, "0"]
        for sample, image in rows[:5]:
            assert image.equal(read_image(sample.name, (channels, 8, 6)))
    (folder / "b" / "bad.png").write_bytes(b"none")
    with pytest.raises(DataError, match=r"/d/b/bad\.png: not an image of a known format: .*--skip-unreadable$"):
        list(read_batches([folder], (1, 8, 6)))
    assert sum(len(samples) for samples, _ in read_batches([folder], (1, 8, 6), skip_unreadable=True)) == 5
    with pytest.raises(ConfigError, match="name at least one image"):
        next(read_batches([], (1, 8, 6)))


def _patients(folder: Path, columns: Callable[[int], str], count: int = 90) -> Path:
    """Images of 30 patients and two classes in a table."""
    rows = ["path,label" + (",group" if columns(0) else "")]
    for i in range(count):
        Image.new("L", (4, 4), i).save(folder / f"p{i // 3}-{i}.png")
        rows.append(f"p{i // 3}-{i}.png,{'ab'[i % 2]}{columns(i)}")
    (folder / "table.csv").write_text("\n".join(rows))
    return folder / "table.csv"


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("named", ["column", "pattern"])
def test_images_of_one_group_are_in_one_split(named: str, seed: int, tmp_path: Path) -> None:
    column = named == "column"
    table = _patients(tmp_path, lambda i: f",p{i // 3}" if column else "")
    data = load(table, seed=seed, group_from=None if column else r"(p\d+)-")
    of = [{name.split("-")[0] for name in split.names} for split in data.splits.values()]
    assert sum(map(len, of)) == len(set.union(*of)) == 30
    assert abs(len(data.test) - 18) <= 3
    assert abs(len(data.val) - 0.15 * (90 - len(data.test))) <= 3
    assert all(set(split.labels.tolist()) == {0, 1} for split in data.splits.values())
    assert any("30 groups, each in one split" in note for note in data.notes)


def test_images_without_a_group_stand_by_themselves(tmp_path: Path) -> None:
    table = _patients(tmp_path, lambda i: f",{'one' if i < 45 else ''}")
    data = load(table)
    assert sum(any(int(name.split("-")[1][:-4]) < 45 for name in split.names) for split in data.splits.values()) == 1
    assert any("46 groups" in note for note in data.notes)


def test_groups_that_the_splits_of_the_data_tear_are_told(tmp_path: Path) -> None:
    table = _patients(tmp_path, lambda i: f",p{i // 3}")
    lines = table.read_text().splitlines()
    given = ["train", *["test" if i < 10 else "train" for i in range(90)]]  # the fourth patient is in both
    given[0] = "split"
    table.write_text("\n".join(f"{line},{split}" for line, split in zip(lines, given, strict=True)))
    assert any("30 groups, 1 of them in several" in note for note in load(table).notes)


def test_groups_need_classes(tmp_path: Path) -> None:
    for i in range(9):
        Image.new("L", (4, 4), i).save(tmp_path / f"p{i}.png")
    with pytest.raises(DataError, match="--group-from needs classes"):
        load(tmp_path, unlabelled=True, group_from="(p)")


def test_a_class_of_too_few_groups_is_named(tmp_path: Path) -> None:
    table = _patients(tmp_path, lambda i: f",{'xy'[i % 2]}{i % 4 if i % 2 else 0}")
    with pytest.raises(DataError, match=r"class 'a' has 1 of the 3 groups needed \(one for train, val, test\)"):
        load(table)
