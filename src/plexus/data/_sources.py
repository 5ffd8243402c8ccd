"""Open what the user named: the digits, a folder, or a data set on the hub."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from plexus.data._columns import parts_from_tables
from plexus.data._folder import class_folders, walk
from plexus.data._parts import Item, Part, Source, printable, with_train
from plexus.data._split import Indices
from plexus.data._tables import open_hub, open_parquet
from plexus.errors import DataError

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def open_source(spec: str | Path, label: str | None = None) -> Source:
    """Find images and labels without decoding any image.

    Args:
        spec: ``digits``, a folder, or a hub id; a folder of the name comes first, ``digits`` before all.
        label: the label column, where the user named it.

    Raises:
        DataError: nothing there, or nothing that can be used.
    """
    if spec == "digits":
        if label is not None:
            raise DataError("digits: has no columns to choose from: leave --label out")
        return _digits()
    folder, where = Path(spec).expanduser(), printable(str(spec))
    if folder.is_dir():
        return _folder(folder, where, label)
    if folder.exists():
        raise DataError(f"{where}: is a file: give the folder of the images")
    if isinstance(spec, str) and _HUB_ID.fullmatch(spec):
        return open_hub(spec, label)
    raise DataError(f"{where}: no such folder: give 'digits', a folder, or a hub id such as uoft-cs/cifar10")


def _digits() -> Source:
    from sklearn.datasets import load_digits

    data = load_digits()
    pixels = np.rint(data.images * (255 / 16)).astype(np.uint8)

    def fetch(rows: Indices) -> list[Item]:
        return list(pixels[rows])

    part = Part(data.target.astype(np.int64), [f"row {i}" for i in range(len(pixels))], fetch)
    return Source("digits", "digits", {"train": part}, tuple(str(name) for name in data.target_names), ", ")


def _folder(root: Path, where: str, label: str | None) -> Source:
    found = list(walk(root))
    files = [path for path, is_folder in found if not is_folder]
    parquet = [path for path in files if path.suffix.lower() == ".parquet"]
    if parquet:
        return open_parquet(root, parquet, where, label)
    if label is not None:
        raise DataError(f"{where}: its labels are the names of folders: leave --label out")
    rows = class_folders([path for path, is_folder in found if is_folder], files, where)
    parts, classes = _image_parts(root, with_train(rows, where), where)
    return Source(root.resolve().name, where, parts, classes, "/")


def _image_parts(
    root: Path, rows: Mapping[str, list[tuple[str, str]]], where: str
) -> tuple[dict[str, Part], tuple[str, ...]]:
    from datasets import ClassLabel, Dataset, Features, Image

    names = sorted({name for part in rows.values() for name, _ in part})
    index = {name: i for i, name in enumerate(names)}
    features = Features(image=Image(), label=ClassLabel(names=names))
    base = root.resolve()
    tables = {
        split: Dataset.from_dict(  # paths only, in memory: no image is copied and no cache written
            {"image": [str(base / path) for _, path in part], "label": [index[name] for name, _ in part]},
            features=features,
        )
        for split, part in rows.items()
    }
    return parts_from_tables(tables, where, names=lambda split: [path for _, path in rows[split]], files=True)
