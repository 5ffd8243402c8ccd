"""Images and masks that a table names or holds: a CSV manifest, or parquet in the Hugging Face layout."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from plexus.data._columns import find_columns, image_columns
from plexus.data._folder import parquet_splits
from plexus.data._parts import ROLES, printable
from plexus.data._samples import Cell
from plexus.data._samples_row import Row
from plexus.data._tables import read_parquet
from plexus.errors import DataError

_PATH = ("path", "image", "file", "file_name", "filename")
_MASKLIKE = re.compile(r"mask|annotation|seg|label|target")


def manifest_rows(path: Path, where: str, label: str | None, notes: list[str]) -> list[Row]:
    """Read a CSV manifest; paths stand below its folder or are absolute.

    Args:
        path: the file; separated by commas, semicolons or tabs, UTF-8, with a header.
        where: its name in messages.
        label: the column of the classes; ``label`` if not given.
        notes: gets a line for columns that are not used.

    Raises:
        DataError: no header, no or repeated paths, an unknown split, or none of the images there.
    """
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{where}: cannot be read as UTF-8 text ({type(error).__name__}): save it as CSV") from None
    separator = max(",;\t", key=lines[0].count) if lines else ","
    header, *cells = list(csv.reader(lines, delimiter=separator)) or [[]]
    columns = [name.strip() for name in header]
    paths = [name for name in columns if name.lower() in _PATH]
    if not paths:
        raise DataError(
            f"{where}: no column path in the header ({', '.join(columns) or 'none'}): name the images' column path"
        )
    if label is not None and label not in columns:
        raise DataError(f"{where}: no label column {label!r}: the columns are: {', '.join(columns)}")
    used: dict[str, str] = {key: key for key in ("mask", "group", "split") if key in columns}
    used |= {"path": paths[0]} | ({"label": label or "label"} if (label or "label") in columns else {})
    if unused := [name for name in columns if name not in used.values()]:
        notes.append(f"columns not used: {', '.join(unused)}")
    rows, seen = [], dict[str, int]()
    for number, values in enumerate(cells, 2):
        if not any(value.strip() for value in values):
            continue
        if len(values) != len(columns):
            raise DataError(f"{where}: line {number} has {len(values)} cells, the header {len(columns)}: mend the line")
        row = dict(zip(columns, (value.strip() for value in values), strict=True))
        name = PurePosixPath(row[used["path"]].replace("\\", "/")).as_posix() if row[used["path"]] else ""
        if not name:
            raise DataError(f"{where}: line {number} names no image: fill in {used['path']!r} or remove the line")
        if name in seen:
            raise DataError(f"{where}: lines {seen[name]} and {number} both name {printable(name)}: remove one")
        seen[name] = number
        mask = row.get("mask", "").replace("\\", "/")
        rows.append(
            Row(
                name=name,
                image=path.parent.resolve() / name,
                label=row.get(used.get("label", ""), "") or None,
                mask=path.parent.resolve() / mask if mask else None,
                mask_name=mask or None,
                group=row.get("group", "") or None,
                split=_split(row.get("split", ""), where, number),
            )
        )
    if not rows:
        raise DataError(f"{where}: a header and no images: add one line for each image")
    if not any(isinstance(row.image, Path) and row.image.is_file() for row in rows):
        raise DataError(
            f"{where}: none of its images is there, such as {rows[0].image}: give paths from its own folder"
        )
    return rows


def parquet_rows(
    root: Path, files: Sequence[PurePosixPath], where: str, label: str | None, notes: list[str]
) -> list[Row]:
    """Read parquet files in the Hugging Face image layout; the bytes stay in the table until they are asked for.

    Args:
        root: the folder.
        files: the files below it; what is not parquet is left aside.
        where: the folder's name in messages.
        label: the column of the classes, where several could be it.
        notes: gets a line for files that are left aside.

    Raises:
        DataError: a broken file, files that do not agree, or no column of images.
    """
    parquet = [file for file in files if file.suffix.lower() == ".parquet"]
    if len(parquet) < len(files):
        notes.append(f"{len(files) - len(parquet)} files beside the parquet files: left aside")
    splits = parquet_splits(parquet, where)
    chosen: dict[str, str] = {}

    def choose(features: Mapping[str, Any], at: str) -> list[str]:
        chosen.update(_columns(features, at, label))
        return list(chosen.values())

    tables = read_parquet(root, splits, where, choose)
    rows: list[Row] = []
    for split in ("train", "val", "test"):
        if split not in tables:
            continue
        table = tables[split]
        kind = table.features[chosen["label"]] if "label" in chosen else None
        labels = table[chosen["label"]][:] if "label" in chosen else [None] * len(table)
        groups = table[chosen["group"]][:] if "group" in chosen else [None] * len(table)
        cells = table.with_format("arrow")
        held = _held(cells, chosen["mask"]) if "mask" in chosen else [False] * len(table)
        for i, (value, group, has_mask) in enumerate(zip(labels, groups, held, strict=True)):
            name = f"{split} row {i}" if len(tables) > 1 else f"row {i}"
            rows.append(
                Row(
                    name=name,
                    image=Cell(cells, chosen["image"], i),
                    label=_class(value, kind),
                    mask=Cell(cells, chosen["mask"], i) if has_mask else None,
                    mask_name=f"{name}, {chosen['mask']}" if has_mask else None,
                    group=None if group in (None, "") else str(group),
                    split=split if len(tables) > 1 else None,
                )
            )
    if not rows:
        raise DataError(f"{where}: tables without rows: give parquet files that hold images")
    return rows


def _columns(features: Mapping[str, Any], where: str, label: str | None) -> dict[str, str]:
    images = image_columns(features)
    masks = [name for name in images if _MASKLIKE.search(name.lower())] if len(images) > 1 else []
    rest = {name: kind for name, kind in features.items() if name not in masks and name != "group"}
    found = {"mask": masks[0]} if masks else {}
    if "group" in features:
        found["group"] = "group"
    if len(masks) > 1:
        raise DataError(f"{where}: several columns of masks ({', '.join(masks)}): leave one of them")
    try:
        found["image"], found["label"] = find_columns(rest, where, label)
    except DataError:
        if label is not None or len(images) - len(masks) != 1:
            raise
        found["image"] = next(name for name in images if name not in masks)  # no class that could be told
    return found


def _held(table: Any, column: str) -> list[bool]:
    cells = table[:].column(column)
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_struct(cells.type):
        cells = pc.struct_field(cells, "bytes")
    return [bool(value) for value in pc.is_valid(cells).to_pylist()]


def _class(value: Any, kind: Any) -> str | None:
    names = getattr(kind, "names", None)
    if value is None or value == "" or (names and not 0 <= value < len(names)):
        return None
    return str(names[value] if names else value)


def _split(text: str, where: str, number: int) -> str | None:
    if not text:
        return None
    if text.lower() not in ROLES:
        raise DataError(f"{where}: line {number}: no split {printable(text)!r}: give train, val or test")
    return ROLES[text.lower()]
