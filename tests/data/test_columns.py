"""Image and label columns are found from their features, and never guessed among several."""

from typing import Any

import pytest
from datasets import ClassLabel, Dataset, Features, Image, Sequence, Value

from plexus.data._columns import find_columns, parts_from_tables
from plexus.errors import DataError
from tests.data.images import HOSTILE

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
def test_columns_are_found(features: dict[str, Any], label: str | None, expected: tuple[str, str]) -> None:
    assert find_columns(features, "here", label) == expected


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
    features: dict[str, Any], label: str | None, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        find_columns(features, "here", label)


def table(labels: list[Any], kind: Any) -> Dataset:
    return Dataset.from_dict(
        {"x": [f"/{i}.png" for i in range(len(labels))], "y": labels}, features=Features(x=IMAGE, y=kind)
    )


@pytest.mark.parametrize(
    ("kind", "train", "test", "classes", "indices"),
    [
        (NUMBER, [10, 9, 10], [9], ("9", "10"), ([1, 0, 1], [0])),
        (NUMBER, [-1, 1, 1], [-1], ("-1", "1"), ([0, 1, 1], [0])),
        (TEXT, ["b", HOSTILE, "B"], ["b"], (HOSTILE, "B", "b"), ([2, 0, 1], [2])),
        (Value("bool"), [True, False], [True], ("False", "True"), ([1, 0], [1])),
        (ClassLabel(names=["z", HOSTILE, "a"]), [0, 1, 2], [1], ("z", HOSTILE, "a"), ([0, 1, 2], [1])),
        (ClassLabel(names=["z", "nobody", "a"]), [2, 0], [2], ("z", "a"), ([1, 0], [1])),
    ],
)
def test_labels_become_indices_common_to_all_splits(
    kind: Any, train: list[Any], test: list[Any], classes: tuple[str, ...], indices: tuple[list[int], list[int]]
) -> None:
    parts, names = parts_from_tables({"train": table(train, kind), "test": table(test, kind)}, "here")
    assert names == classes
    assert (parts["train"].labels.tolist(), parts["test"].labels.tolist()) == indices
    assert list(parts["test"].names) == ["test row 0"]


@pytest.mark.parametrize(
    ("kind", "labels"), [(NUMBER, [1, 0, None, None]), (TEXT, ["a", "b", "", None]), (LABEL, [0, 1, None, -1])]
)
def test_missing_labels_are_counted_and_the_first_named(kind: Any, labels: list[Any]) -> None:
    with pytest.raises(DataError, match=r"here: 2 of 4 images in train have no label in column 'y' \(first: row 2\)"):
        parts_from_tables({"train": table(labels, kind)}, "here")


def test_files_named_by_a_table_are_opened_only_where_allowed() -> None:
    import numpy as np

    rows = np.array([1, 0])
    tables = {"train": table([0, 1], LABEL)}
    closed, _ = parts_from_tables(tables, "here")
    opened, _ = parts_from_tables(tables, "here", files=True)
    assert closed["train"].fetch(rows) == [None, None]
    assert [str(item) for item in opened["train"].fetch(rows)] == ["/1.png", "/0.png"]
