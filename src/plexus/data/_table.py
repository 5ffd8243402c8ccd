"""Images and masks that a table names or holds: a CSV manifest, parquet files, or a data set of the hub."""

from __future__ import annotations

import csv
import io
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from glob import escape
from pathlib import Path, PurePosixPath
from typing import Any

from plexus.data._folder import parquet_splits, role, with_train
from plexus.data._samples import Entry, Sample
from plexus.data._sources import Cell, Joined
from plexus.errors import DataError, printable
from plexus.record import read_file

_PATH = ("path", "image", "file", "file_name", "filename")
_PLAIN = ("int", "uint", "string", "large_string", "bool")
_MASKLIKE = re.compile(r"mask|annotation|seg|label|target")
Found = tuple[list[Entry], tuple[str, ...]]
"""Images, and the class names that they have."""


def manifest_entries(path: Path, where: str, label: str | None, notes: list[str]) -> Found:
    """Read a CSV manifest: UTF-8, separated by commas, semicolons or tabs; paths stand below its folder."""
    columns, lines = _cells(path, where)
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
    entries, seen, base = [], dict[str, int](), path.parent.resolve()
    for number, values in lines:
        row = dict(zip(columns, values, strict=True))
        name = PurePosixPath(_slashed(base, row[used["path"]])).as_posix() if row[used["path"]] else ""
        if not name:
            raise DataError(f"{where}: line {number} names no image: fill in {used['path']!r} or remove the line")
        if name in seen:
            raise DataError(f"{where}: lines {seen[name]} and {number} both name {printable(name)}: remove one")
        seen[name] = number
        mask = _slashed(base, row.get("mask", ""))
        split = _split(row.get("split", ""), where, number)
        sample = Sample(name, row.get(used.get("label", ""), "") or None, mask or None, row.get("group") or None, split)
        entries.append(Entry(sample, base / name, _masks(base, mask)))
    if not entries:
        raise DataError(f"{where}: a header and no images: add one line for each image")
    if not any(_is_file(entry.image) for entry in entries):
        raise DataError(
            f"{where}: none of its images is there, such as {printable(str(entries[0].image))}: give paths from its "
            "own folder"
        )
    return entries, tuple(sorted({entry.sample.label for entry in entries if entry.sample.label is not None}))


def parquet_entries(
    root: Path, files: Sequence[PurePosixPath], where: str, label: str | None, *, labelled: bool
) -> Found:
    """Read parquet files in the Hugging Face image layout through `datasets`, which keeps a copy in its cache.

    The bytes stay in the table until they are asked for. With `labelled` every image must have a class, and there must
    be a split to train on.
    """
    import pyarrow.parquet as pq
    from datasets import Features, load_dataset

    splits = parquet_splits(list(files), where)
    base = root.resolve()
    columns: dict[str, str] = {}
    kinds: Any = None
    for file in (file for files in splits.values() for file in files):
        try:
            features = Features.from_arrow_schema(pq.read_schema(root / file))
        except Exception as error:
            raise DataError(f"{where}: {file} cannot be read ({_line(error)}): replace it or take it out") from None
        columns = columns or find_columns(features, f"{where}: {file}", label, labelled=labelled)
        here = [features.get(column) for column in columns.values()]
        kinds = kinds or here
        if here != kinds:  # labels would silently change their meaning
            raise DataError(
                f"{where}: {file} declares other columns or classes than the files before it: make them agree"
            )
    paths = {split: [escape(str(base / file)) for file in files] for split, files in splits.items()}
    try:
        with _bars_on_terminals():
            tables = dict(load_dataset("parquet", data_files=paths, columns=list(columns.values())))
    except Exception as error:
        raise DataError(f"{where}: parquet files cannot be read ({_line(error)}): replace them") from None
    return table_entries(tables, columns, where, labelled=labelled, files=False)


def hub_entries(spec: str, label: str | None, *, labelled: bool) -> Found:
    """Load a data set from the Hugging Face hub, or from its cache when ``HF_HUB_OFFLINE=1`` is set.

    Splits that are neither train, validation nor test are left out; a single split of any name is taken as train.
    """
    from datasets import load_dataset
    from huggingface_hub import HfApi
    from huggingface_hub.errors import OfflineModeIsEnabled, RepositoryNotFoundError

    remedy = "download it where there is a network and give its folder"
    try:
        HfApi(library_name="plexus").dataset_info(spec)  # asked once: `load_dataset` would try five times
    except OfflineModeIsEnabled:
        pass  # the cache may hold it
    except RepositoryNotFoundError:
        raise DataError(f"{spec}: no such folder here and no such public data set on the hub: check the name") from None
    except Exception as error:
        reason = f"{spec}: no such folder, and the hub cannot be reached ({_line(error)})"
        raise DataError(f"{reason}: {remedy}, or set HF_HUB_OFFLINE=1 if it was loaded before") from None
    try:
        with _bars_on_terminals():
            tables = dict(load_dataset(spec))
    except Exception as error:
        raise DataError(f"{spec}: cannot be loaded from the hub ({_line(error)}): {remedy}") from None
    roles = {split: role(split) for split in tables}
    if len(tables) == 1 and None in roles.values():
        roles = dict.fromkeys(tables, "train")
    named = {kind: tables[split] for split, kind in roles.items() if kind is not None}
    if not named:
        raise DataError(f"{spec}: no train split (found: {', '.join(tables) or 'none'}): give a folder of its images")
    columns = find_columns(next(iter(named.values())).features, spec, label, labelled=labelled)
    return table_entries(named, columns, spec, labelled=labelled, files=True)


def find_columns(features: Mapping[str, Any], where: str, label: str | None, *, labelled: bool) -> dict[str, str]:
    """Choose the columns of image, label, mask and group, never guessing among several.

    Images are of feature `Image`, or else of plain bytes (alone, or with a path beside them). The label is of feature
    `ClassLabel`, or else of plain integers or text; among several plain ones that named ``label``. With `labelled`
    there must be one; masks and groups are then not looked for.
    """
    images = [name for name, kind in features.items() if type(kind).__name__ == "Image"]
    images = images or [name for name, kind in features.items() if _holds_bytes(kind)]
    chosen: dict[str, str] = {}
    if not labelled:
        masks = [name for name in images if _MASKLIKE.search(name.lower())] if len(images) > 1 else []
        if len(masks) > 1:
            raise DataError(f"{where}: several columns of masks ({', '.join(masks)}): leave one of them")
        chosen |= ({"mask": masks[0]} if masks else {}) | ({"group": "group"} if "group" in features else {})
    rest = {name: kind for name, kind in features.items() if name not in chosen.values()}
    images = [name for name in images if name in rest]
    if len(images) != 1:
        problem = f"several image columns ({', '.join(images)})" if images else "no image column"
        raise DataError(f"{where}: {problem} among {', '.join(rest)}: give data with one column of images")
    chosen["image"] = images[0]
    declared = [name for name, kind in rest.items() if type(kind).__name__ == "ClassLabel"]
    plain = [name for name, kind in rest.items() if _dtype(kind).rstrip("0123456789") in _PLAIN]
    if label is not None and label not in declared + plain:
        choices = ", ".join(declared + plain) or "none"
        raise DataError(f"{where}: no label column {label!r}: the columns that can be labels are: {choices}")
    labels = [label] if label is not None else declared or [name for name in plain if name == "label"] or plain
    if len(labels) == 1:
        chosen["label"] = labels[0]
    elif labelled:
        problem = f"several columns can be the label ({', '.join(labels)})" if labels else "no label column"
        remedy = "name one with --label" if labels else "add a column of class names"
        raise DataError(f"{where}: {problem} among {', '.join(rest)}: {remedy}")
    return chosen


def table_entries(
    tables: Mapping[str, Any], columns: Mapping[str, str], where: str, *, labelled: bool, files: bool
) -> Found:
    """Turn `datasets` tables into samples; a declared class that no image has is left out."""
    if labelled:
        tables = with_train(tables, where)
    order = [split for split in ("train", "val", "test") if split in tables]
    kind = tables[order[0]].features[columns["label"]] if "label" in columns else None
    names = getattr(kind, "names", None)
    entries: list[Entry] = []
    used: set[Any] = set()
    for split in order:
        table = tables[split]
        labels = table[columns["label"]][:] if "label" in columns else [None] * len(table)
        groups = table[columns["group"]][:] if "group" in columns else [None] * len(table)
        arrow = table.with_format("arrow")[:]  # stored cells: nothing is decoded before we do it
        images = arrow.column(columns["image"])
        masks = arrow.column(columns["mask"]) if "mask" in columns else None
        held = _held(masks) if masks is not None else [False] * len(table)
        missing: list[str] = []
        for i, (value, group, has_mask) in enumerate(zip(labels, groups, held, strict=True)):
            name = f"{split} row {i}" if len(tables) > 1 else f"row {i}"
            if value is None or value == "" or (names and not 0 <= value < len(names)):
                missing.append(name)
                value = None
            else:
                used.add(value)
            sample = Sample(
                name,
                None if value is None else str(names[value] if names else value),
                f"{name}, {columns['mask']}" if has_mask else None,
                None if group in (None, "") else str(group),
                split if len(tables) > 1 else None,
            )
            entries.append(Entry(sample, Cell(images, i, files), Cell(masks, i) if has_mask else None))
        if missing and labelled:
            raise DataError(
                f"{where}: {len(missing)} of {len(labels)} images in {split} have no label in column "
                f"{columns['label']!r} (first: {missing[0]}): label them or take them out"
            )
    if not entries:
        raise DataError(f"{where}: tables without rows: give parquet files that hold images")
    return entries, tuple(str(names[value] if names else value) for value in sorted(used))


def _cells(path: Path, where: str) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the header of a CSV file, and each line with its number; what no path can hold is refused."""
    try:
        text = read_file(path, most=2**30).decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"{where}: cannot be read: {error.strerror}: name a CSV file") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{where}: cannot be read as UTF-8 text ({type(error).__name__}): save it as CSV") from None
    lines = _LINE.split(text)
    if wrong := next((number for number, line in enumerate(lines, 1) if QUOTED in line), None):
        raise DataError(f"{where}: line {wrong} holds a NUL byte, which no file name has: mend the line")
    separator = max(",;\t", key=lines[0].count)
    text = re.sub(rf'(\A|[{separator}\r\n])"((?:[^"]++|"")*+)', rf'\1"{QUOTED}\2', text)
    rows: list[tuple[int, list[str]]] = []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)  # a name may hold the end of a line
    try:
        header = [_cell(name).strip() for name in next(reader, [])]
        number = reader.line_num + 1
        for values in ([_cell(value) for value in line] for line in reader):
            if any(values):
                if len(values) != len(header):
                    cells = f"line {number} has {len(values)} cells, the header {len(header)}"
                    raise DataError(f"{where}: {cells}: mend the line")
                rows.append((number, values))
            number = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{where}: line {reader.line_num} cannot be read ({error}): mend the line") from None
    return header, rows


_LINE = re.compile(r"\r\n|\n|\r")
QUOTED = "\0"
"""Put before what stands in quotes, which `csv` does not tell: spaces belong to it."""


def _cell(text: str) -> str:
    return text.replace(QUOTED, "") if text.startswith(QUOTED) else text.strip()


def _slashed(base: Path, text: str) -> str:
    """A path with slashes, where none is there as it is written: Windows writes backslashes, which names may hold."""
    return text.replace("\\", "/") if "\\" in text and not _is_file(base / text) else text


def _is_file(path: object) -> bool:
    try:
        return isinstance(path, Path) and path.is_file()
    except (OSError, ValueError):  # a name too long, or one that no file system takes
        return False


def _masks(base: Path, text: str) -> Path | Joined | None:
    """The place of a mask, or of several with a bar between them."""
    if "|" in text and not _is_file(base / text):
        parts = [part for part in text.split("|") if part.strip()]
        return Joined(tuple(base / (part if _is_file(base / part) else part.strip()) for part in parts))
    return base / text if text else None


def _split(text: str, where: str, number: int) -> str | None:
    if not text:
        return None
    if (split := role(text)) is None:
        raise DataError(f"{where}: line {number}: no split {printable(text)!r}: give train, val or test")
    return split


def _dtype(kind: Any) -> str:
    return str(getattr(kind, "dtype", "")) if type(kind).__name__ == "Value" else ""


def _holds_bytes(kind: Any) -> bool:
    if isinstance(kind, Mapping):
        return "path" in kind and _holds_bytes(kind.get("bytes"))
    return _dtype(kind) in ("binary", "large_binary")


def _held(cells: Any) -> list[bool]:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_struct(cells.type):
        cells = pc.struct_field(cells, "bytes")
    return [bool(value) for value in pc.is_valid(cells).to_pylist()]


@contextmanager
def _bars_on_terminals() -> Iterator[None]:
    from datasets import disable_progress_bars, enable_progress_bars, is_progress_bar_enabled

    hide = is_progress_bar_enabled() and not sys.stderr.isatty()
    if hide:
        disable_progress_bars()
    try:
        yield
    finally:
        if hide:
            enable_progress_bars()


def _line(error: BaseException) -> str:
    cause = error.__cause__ or error
    return f"{type(cause).__name__}: {' '.join(str(cause).split())}"[:200]
