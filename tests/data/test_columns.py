"""Image and label columns are found from their features, and never guessed among several."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, Image, Sequence, Value

from plexus.data import load, open_samples
from plexus.errors import DataError
from tests.data.images import HOSTILE, grey, png

pytestmark = pytest.mark.usefixtures("cache")

IMAGE, LABEL, TEXT, NUMBER = Image(), ClassLabel(names=["a", "b"]), Value("string"), Value("int64")
PLAIN_IMAGE = {"bytes": Value("binary"), "path": Value("string")}


@pytest.mark.parametrize(
    ("features", "label", "expected"),
    [
        ({"img": IMAGE, "label": LABEL}, None, ("img", "label")),
        ({"id": NUMBER, "label": NUMBER, "y": LABEL, "photo": IMAGE}, None, ("photo", "y")),
        ({"x": IMAGE, "word": TEXT}, None, ("x", "word")),
        ({"x": IMAGE, "yes": Value("bool")}, None, ("x", "yes")),
        ({"x": IMAGE, "y": Value("uint8"), "weight": Value("float32")}, None, ("x", "y")),
        ({"x": IMAGE, "caption": TEXT, "label": TEXT}, None, ("x", "label")),
        ({"x": IMAGE, "fine": LABEL, "coarse": LABEL}, "coarse", ("x", "coarse")),
        ({"x": IMAGE, "fine": LABEL, "word": TEXT}, "word", ("x", "word")),
        ({"x": PLAIN_IMAGE, "y": NUMBER}, None, ("x", "y")),
        ({"x": Value("binary"), "y": NUMBER}, None, ("x", "y")),
        ({"x": Value("binary"), "photo": IMAGE, "y": NUMBER}, None, ("photo", "y")),
    ],
)
def test_columns_are_found(
    features: dict[str, Any], label: str | None, expected: tuple[str, str], tmp_path: Path
) -> None:
    """The pixels and the label of each row tell which columns they came from."""
    image, classes = expected
    samples = open_samples(write(tmp_path, features, image), label=label)
    assert samples.pixels(1).tolist() == grey(1).tolist()
    kind = features[classes]
    values = [False, True] if getattr(kind, "dtype", "") == "bool" else ["0", "1"]
    names = kind.names if isinstance(kind, ClassLabel) else [str(value) for value in values]
    assert [sample.label for sample in samples.samples] == names
    assert samples.classes == tuple(names)


def write(folder: Path, features: dict[str, Any], image: str | None = None) -> Path:
    """A parquet file of two rows; every column of images but the right one holds none."""

    def cell(name: str, kind: Any, i: int) -> Any:
        if isinstance(kind, Image | dict) or getattr(kind, "dtype", "") == "binary":
            content = png(grey(i)) if name == image else b"none"
            return content if isinstance(kind, Value) else {"bytes": content, "path": None}
        if isinstance(kind, Sequence):
            return []
        dtype = getattr(kind, "dtype", "")
        return str(i) if dtype == "string" else bool(i) if dtype == "bool" else i

    rows = {name: [cell(name, kind, i) for i in range(2)] for name, kind in features.items()}
    Dataset.from_dict(rows, features=Features(features)).to_parquet(folder / "all.parquet")
    return folder


@pytest.mark.parametrize(
    ("features", "label", "message"),
    [
        ({"a": IMAGE, "b": IMAGE, "y": LABEL}, None, r"several image columns \(a, b\) among a, b, y"),
        ({"y": LABEL, "z": Value("float32")}, None, "no image column among y, z"),
        ({"x": IMAGE, "fine": LABEL, "coarse": LABEL}, None, r"can be the label \(fine, coarse\).*--label"),
        ({"x": IMAGE, "id": NUMBER, "word": TEXT}, None, r"can be the label \(id, word\).*--label"),
        ({"x": IMAGE, "score": Value("float32"), "tags": Sequence(TEXT)}, None, "no label column among x, score, tags"),
        ({"x": IMAGE, "y": LABEL, "score": Value("float32")}, "score", "no label column 'score': .*are: y"),
        ({"x": IMAGE}, "y", "no label column 'y': .*are: none"),
    ],
)
def test_columns_that_are_missing_or_ambiguous_are_named(
    features: dict[str, Any], label: str | None, message: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=rf"^{tmp_path}: all.parquet: .*{message}"):
        load(write(tmp_path, features), label=label)


def table(folder: Path, kind: Any, **splits: list[Any]) -> Path:
    """A parquet file for each split, with images that differ."""
    features, start = Features(x=IMAGE, y=kind), 0
    for split, labels in splits.items():
        images = [{"bytes": png(grey(start + i)), "path": None} for i in range(len(labels))]
        Dataset.from_dict({"x": images, "y": labels}, features=features).to_parquet(folder / f"{split}.parquet")
        start += len(labels)
    return folder


@pytest.mark.parametrize(
    ("kind", "train", "test", "classes", "indices"),
    [
        (NUMBER, [10, 9, 10, 9], [9], ("9", "10"), [0]),
        (NUMBER, [-1, 1, 1, -1], [-1, 1], ("-1", "1"), [0, 1]),
        (TEXT, ["b", HOSTILE, "B", "b", "B", HOSTILE], ["b"], (HOSTILE, "B", "b"), [2]),
        (Value("bool"), [True, False, False, True], [True], ("False", "True"), [1]),
        (ClassLabel(names=["z", HOSTILE, "a"]), [0, 1, 2, 0, 1, 2], [1, 2], ("z", HOSTILE, "a"), [1, 2]),
        (ClassLabel(names=["z", "nobody", "a"]), [2, 0, 2, 0], [2], ("z", "a"), [1]),
    ],
)
def test_labels_become_indices_common_to_all_splits(
    kind: Any, train: list[Any], test: list[Any], classes: tuple[str, ...], indices: list[int], tmp_path: Path
) -> None:
    folder = table(tmp_path, kind, train=train, test=test)
    data = load(folder)
    assert data.classes == classes == open_samples(folder).classes
    assert data.test.labels.tolist() == indices
    assert data.test.names[0] == "test row 0"
    names = getattr(kind, "names", None)
    for split in (data.train, data.val):
        for label, name in zip(split.labels.tolist(), split.names, strict=True):
            value = train[int(name.removeprefix("train row "))]
            assert data.classes[label] == (names[value] if names else str(value))


@pytest.mark.parametrize(
    ("kind", "labels"), [(NUMBER, [1, 0, None, None]), (TEXT, ["a", "b", "", None]), (LABEL, [0, 1, None, -1])]
)
def test_missing_labels_are_counted_and_the_first_named(kind: Any, labels: list[Any], tmp_path: Path) -> None:
    folder = table(tmp_path, kind, train=labels)
    with pytest.raises(DataError, match=r": 2 of 4 images in train have no label in column 'y' \(first: row 2\)"):
        load(folder)
    assert [sample.label is None for sample in open_samples(folder).samples] == [False, False, True, True]


def test_a_table_gives_what_it_holds_and_opens_no_file(tmp_path: Path) -> None:
    (tmp_path / "0.png").write_bytes(png(grey(0)))
    features = Features(x=IMAGE, y=LABEL)
    images = [{"bytes": None, "path": str(tmp_path / "0.png")}, {"bytes": png(grey(1)), "path": "/nowhere.png"}]
    (tmp_path / "d").mkdir()
    Dataset.from_dict({"x": images, "y": [0, 1]}, features=features).to_parquet(tmp_path / "d" / "all.parquet")
    samples = open_samples(tmp_path / "d")
    np.testing.assert_array_equal(samples.pixels(1), grey(1))
    with pytest.raises(DataError, match=r"^no image data$"):
        samples.pixels(0)
