"""Images in class folders, and folders of parquet files."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from plexus.data._decode import SUFFIXES
from plexus.data._parts import ROLES, printable
from plexus.errors import DataError


def walk(root: Path) -> Iterator[tuple[PurePosixPath, bool]]:
    """Yield (path below root, is a folder) for everything that is not hidden; links are followed, not in circles."""
    above: dict[str, tuple[str, ...]] = {}  # for every folder, the real paths of it and of those it was reached through

    def failed(error: OSError) -> None:
        raise DataError(f"{error.filename}: {error.strerror}: make the folder readable") from error

    for folder, folders, files in os.walk(root, onerror=failed, followlinks=True):
        above[folder] = (*above.get(os.path.dirname(folder), ()), os.path.realpath(folder))
        folders[:] = [
            d for d in folders if not _hidden(d) and os.path.realpath(os.path.join(folder, d)) not in above[folder]
        ]
        here = PurePosixPath(Path(folder).relative_to(root).as_posix())
        for name, is_folder in [*((d, True) for d in folders), *((f, False) for f in files if not _hidden(f))]:
            try:
                name.encode()
            except UnicodeEncodeError:
                raise DataError(f"{root}: the file name {name!a} is not UTF-8: rename it") from None
            yield here / name, is_folder


def class_folders(
    folders: Sequence[PurePosixPath], files: Sequence[PurePosixPath], where: str
) -> dict[str, list[tuple[str, str]]]:
    """Read a layout of class folders, alone or below folders named after splits.

    The layout is one of splits where a folder named ``train`` or ``training`` holds folders and no images of its own,
    or where all folders are named like splits.

    Args:
        folders: every folder, as a path below the root.
        files: every file.
        where: the root's name in messages.

    Returns:
        For each split the (class, path) of its images, sorted; ``train`` alone where there are no splits.

    Raises:
        DataError: no images, an image outside a class folder, an empty class folder, or a folder that fits neither
            layout; names it.
    """
    images = [file for file in files if file.suffix.lower() in SUFFIXES]
    if not images:
        held = f"{len(files)} files but no images" if files else "empty"
        raise DataError(f"{where}: {held}: expected images as CLASS/IMAGE.png, or parquet files")
    train = [f for f in folders if len(f.parts) == 1 and ROLES.get(f.name.lower()) == "train"]
    depths = {f.name: {len(i.parts) for i in images if i.parts[0] == f.name} for f in train}
    all_named = all(len(i.parts) > 1 and i.parts[0].lower() in ROLES for i in images)
    if not train or not (all_named or any(depths[f.name] and 2 not in depths[f.name] for f in train)):
        return {"train": _by_class(folders, images, "", where)}
    parts: dict[str, list[tuple[str, str]]] = {}
    for folder in sorted(f for f in folders if len(f.parts) == 1):
        role = ROLES.get(folder.name.lower())
        own = [i for i in images if i.parts[0] == folder.name]
        if role is None and own:
            raise DataError(f"{where}: folder {folder.name!r} beside the splits holds images: move it elsewhere")
        if role in parts:
            raise DataError(f"{where}: folder {folder.name!r} is a second {role} split: join the two")
        if role is not None:
            parts[role] = _by_class(folders, own, folder.name, where)
    loose = [i for i in images if len(i.parts) == 1]
    if loose:
        raise _outside(where, loose[0], "train/CLASS/")
    return parts


def parquet_splits(files: Sequence[PurePosixPath], where: str) -> dict[str, list[PurePosixPath]]:
    """Sort parquet files into splits by their names, or else by the folder they lie in.

    ``train-00000-of-00001.parquet`` and ``data/train/0000.parquet`` are train; where no name says anything, all are.

    Args:
        files: every parquet file, as a path below the root.
        where: the root's name in messages.

    Raises:
        DataError: some files name a split and others do not, or the folder holds several data sets.
    """
    subsets = {str(PurePosixPath(*(p for p in f.parent.parts if p.lower() not in ROLES))) for f in files}
    if len(subsets) > 1:
        raise DataError(f"{where}: several data sets ({', '.join(sorted(subsets))}): give the folder of one")
    parts: dict[str, list[PurePosixPath]] = {}
    roles = {file: _role(file) for file in files}
    unnamed = [file for file, role in roles.items() if role is None]
    if unnamed and len(unnamed) < len(files):
        raise DataError(f"{where}: {unnamed[0]} names no split, others do: rename it to train-..., or take it out")
    for file in sorted(files):
        parts.setdefault(roles[file] or "train", []).append(file)
    return parts


def _role(file: PurePosixPath) -> str | None:
    words = re.findall(r"^[a-z]+", file.name.lower().removesuffix(".parquet"))
    words += [part.lower() for part in reversed(file.parent.parts)]
    return next((ROLES[word] for word in words if word in ROLES), None)


def _by_class(
    folders: Sequence[PurePosixPath], images: Sequence[PurePosixPath], split: str, where: str
) -> list[tuple[str, str]]:
    depth = 1 if split else 0
    pattern = "/".join([*([split] if split else []), "CLASS", ""])
    for image in images:
        if len(image.parts) < depth + 2:
            raise _outside(where, image, pattern)
    rows = sorted((image.parts[depth], str(image)) for image in images)
    used = {name for name, _ in rows}
    for folder in folders:
        inside = len(folder.parts) == depth + 1 and (not split or folder.parts[0] == split)
        if inside and folder.name not in used and ROLES.get(split.lower(), "train") == "train":
            raise DataError(f"{where}: class folder {printable(str(folder))!r} holds no images: add some or remove it")
    return rows


def _outside(where: str, image: PurePosixPath, pattern: str) -> DataError:
    return DataError(f"{where}: {printable(str(image))} lies outside a class folder: move it into {pattern}")


def _hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"
