"""Which columns of a table hold the images and the labels, found from their features."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from plexus.data._parts import Item, Part
from plexus.data._split import Indices
from plexus.errors import DataError

_PLAIN = ("int", "uint", "string", "large_string", "bool")


def find_columns(features: Mapping[str, Any], where: str, label: str | None = None) -> tuple[str, str]:
    """Return the names of the image and the label column.

    The image column is the one of feature `Image`, or else of plain bytes (alone, or with a path beside them). The
    label column is the one of feature `ClassLabel`, or else of plain integers or text; among several plain ones that
    named ``label``.

    Args:
        features: the table's features by column.
        where: the table's name in messages.
        label: the label column, where the user named it.

    Raises:
        DataError: none or several candidates; names the columns.
    """
    images = image_columns(features)
    if len(images) != 1:
        found = f"several image columns ({', '.join(images)})" if images else "no image column"
        raise DataError(f"{where}: {found} among {', '.join(features)}: give data with one column of images")
    declared = [name for name, kind in features.items() if type(kind).__name__ == "ClassLabel"]
    plain = [name for name, kind in features.items() if _dtype(kind).rstrip("0123456789") in _PLAIN]
    if label is not None:
        if label not in declared + plain:
            choices = ", ".join(declared + plain) or "none"
            raise DataError(f"{where}: no label column {label!r}: the columns that can be labels are: {choices}")
        return images[0], label
    labels = declared or [name for name in plain if name == "label"] or plain
    if len(labels) != 1:
        found = f"several columns can be the label ({', '.join(labels)})" if labels else "no label column"
        remedy = "name one with --label" if labels else "add a column of class names"
        raise DataError(f"{where}: {found} among {', '.join(features)}: {remedy}")
    return images[0], labels[0]


def image_columns(features: Mapping[str, Any]) -> list[str]:
    """Return the columns of feature `Image`, or else those of plain bytes."""
    images = [name for name, kind in features.items() if type(kind).__name__ == "Image"]
    return images or [name for name, kind in features.items() if _holds_bytes(kind)]


def parts_from_tables(
    tables: Mapping[str, Any],
    where: str,
    label: str | None = None,
    *,
    names: Callable[[str], Sequence[str]] | None = None,
    files: bool = False,
) -> tuple[dict[str, Part], tuple[str, ...]]:
    """Turn `datasets` tables into parts with common class indices.

    Args:
        tables: one table per split.
        where: the data's name in messages.
        label: the label column, where the user named it.
        names: gives the images' names in a split; rows are numbered otherwise.
        files: whether images may be files that the table names, rather than bytes it holds.

    Returns:
        The parts, and the class names. A declared class that no image has is left out.

    Raises:
        DataError: no columns to use, or missing labels.
    """
    first = next(iter(tables.values())).features
    image, label = find_columns(first, where, label)
    values = {split: table[label][:] for split, table in tables.items()}
    known = getattr(first[label], "names", None)
    row_names = {
        split: names(split) if names else [f"{split} row {i}" if len(tables) > 1 else f"row {i}" for i in range(len(v))]
        for split, v in values.items()
    }
    for split, column in values.items():
        missing = [i for i, v in enumerate(column) if v is None or v == "" or (known and not 0 <= v < len(known))]
        if missing:
            example = row_names[split][missing[0]]
            raise DataError(
                f"{where}: {len(missing)} of {len(column)} images in {split} have no label in column {label!r} "
                f"(first: {example}): label them or take them out"
            )
    used = sorted({v for column in values.values() for v in column})
    index = {v: i for i, v in enumerate(used)}
    parts = {
        split: Part(
            labels=np.fromiter((index[v] for v in column), np.int64, len(column)),
            names=row_names[split],
            fetch=_fetcher(tables[split], image, files),
        )
        for split, column in values.items()
    }
    return parts, tuple(known[v] if known else str(v) for v in used)


def _dtype(kind: Any) -> str:
    return str(getattr(kind, "dtype", "")) if type(kind).__name__ == "Value" else ""


def _holds_bytes(kind: Any) -> bool:
    if isinstance(kind, Mapping):
        return "path" in kind and _holds_bytes(kind.get("bytes"))
    return _dtype(kind) in ("binary", "large_binary")


def _fetcher(table: Any, image: str, files: bool) -> Callable[[Indices], list[Item]]:
    arrow = table.select_columns([image]).with_format("arrow")  # stored cells: nothing is decoded before we do it

    def fetch(rows: Indices) -> list[Item]:
        return [_item(cell, files) for cell in arrow[rows.tolist()].column(image).to_pylist()]

    return fetch


def _item(cell: Any, files: bool) -> Item:
    content, path = (cell.get("bytes"), cell.get("path")) if isinstance(cell, dict) else (cell, None)
    if content is None and files and path and Path(path).is_absolute():
        return Path(path)
    return content
