"""Images and masks in folders: side by side, in two folders, in class folders, or bare."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from plexus.data._decode import SUFFIXES
from plexus.data._dicom import SUFFIX as DICOM
from plexus.data._folder import class_folders
from plexus.data._parts import ROLES, printable
from plexus.data._samples_row import Row
from plexus.errors import DataError

_IMAGES, _MASKS = ("images", "image"), ("masks", "mask")
Files = list[PurePosixPath]
Paired = list[tuple[PurePosixPath, PurePosixPath | None]]


def find_samples(
    root: Path,
    folders: Sequence[PurePosixPath],
    files: Sequence[PurePosixPath],
    where: str,
    suffix: str,
    masks: bool | None,
    notes: list[str],
) -> tuple[str, list[Row]]:
    """Return the layout of a folder, and its images in the order of their names.

    Args:
        root: the folder.
        folders: every folder below it.
        files: every file below it.
        where: its name in messages.
        suffix: what the name of a mask adds to that of its image.
        masks: False where classes matter less than taking every image.
        notes: gets a line for files that are left aside.

    Raises:
        DataError: no images, or names that leave open which belongs to which.
    """
    images = sorted(file for file in files if file.suffix.lower() in (*SUFFIXES, DICOM))
    if not images:
        held = f"{len(files)} files but no images" if files else "empty"
        raise DataError(f"{where}: {held}: expected images and masks, class folders, or parquet files")
    if len(images) < len(files):
        others = sorted(set(files) - set(images))
        notes.append(f"{_counted(others, 'file')} not an image: left aside")
    if pairs := _two_folders(images, suffix, where, notes):
        return "folders", _rows(root, pairs, _splits({image: _side(image)[1] for image, _ in pairs}), {})
    split_of = _splits({image: image.parts for image in images})
    if any(_masked(file, suffix) in {_key(image) for image in images} for file in images):
        pairs = _side_by_side(images, suffix, where, notes)
        return "pairs", _rows(root, pairs, split_of, _folder_labels([image for image, _ in pairs], split_of))
    depths = {len(image.parts) - (image in split_of) for image in images}
    if depths == {1} or (masks is False and 1 in depths):
        return "images", _rows(root, [(image, None) for image in images], split_of, {})
    parts = class_folders(folders, [f.with_suffix(".png") if f.suffix.lower() == DICOM else f for f in files], where)
    names = {str(i.with_suffix(".png") if i.suffix.lower() == DICOM else i): i for i in images}
    labels = {names[path]: label for part in parts.values() for label, path in part}
    roles = {names[path]: split for split, part in parts.items() for _, path in part} if split_of else {}
    return "classes", _rows(root, [(image, None) for image in images], roles, labels)


def _rows(root: Path, pairs: Paired, split_of: dict[PurePosixPath, str], labels: dict[PurePosixPath, str]) -> list[Row]:
    base = root.resolve()
    return [
        Row(
            name=str(image),
            image=base / image,
            label=labels.get(image),
            mask=base / mask if mask else None,
            mask_name=str(mask) if mask else None,
            split=split_of.get(image),
        )
        for image, mask in sorted(pairs)
    ]


def _splits(parts: Mapping[PurePosixPath, Sequence[str]]) -> dict[PurePosixPath, str]:
    """Tell the split of each image, where every image lies below a folder named after one."""
    roles = {image: ROLES.get(path[0].lower()) for image, path in parts.items() if len(path) > 1}
    named = {image: role for image, role in roles.items() if role is not None}
    return named if len(named) == len(parts) else {}


def _side_by_side(images: Files, suffix: str, where: str, notes: list[str]) -> Paired:
    """Pair NAME.* with NAME<suffix>.*; set aside masks of other kinds (NAME_word.*)."""
    by_key: dict[str, Files] = {}
    for image in images:
        by_key.setdefault(_key(image), []).append(image)
    parents = {key: [k for k in _shorter(key) if k in by_key] for key in by_key}
    masked = {key for key in by_key if key + suffix in by_key}
    masks = {key for key in by_key if key.endswith(suffix) and key not in masked}
    others = {key for key in by_key if key not in masks and key not in masked and parents[key]}
    plain = [key for key in by_key if key not in masks and key not in others]
    for key in (*plain, *(key + suffix for key in masked)):
        _one(by_key[key], where)
    orphans = sorted(masks - {key + suffix for key in masked})
    for keys, what in ((orphans, "masks without an image"), (sorted(others), "masks of another kind")):
        if keys:
            notes.append(f"{_counted([by_key[key][0] for key in keys], 'file')}, {what}: left aside")
    return [(by_key[key][0], by_key[key + suffix][0] if key in masked else None) for key in plain]


def _two_folders(images: Files, suffix: str, where: str, notes: list[str]) -> Paired:
    """Pair the files of a folder images with those of a folder masks by name; empty where there are no such folders."""
    sides: dict[str, dict[str, Files]] = {"image": {}, "mask": {}}
    for file in images:
        side, rest = _side(file)
        sides.setdefault(side, {}).setdefault("/".join(rest), []).append(file)
    if not sides["image"] or not sides["mask"]:
        return []
    pairs: Paired = []
    used: set[PurePosixPath] = set()
    for key, files in sides["image"].items():
        masks = [*sides["mask"].get(key, []), *(sides["mask"].get(key + suffix, []))]
        _one(files, where)
        if masks:
            _one(masks, where)
        pairs.append((files[0], masks[0] if masks else None))
        used |= {files[0], *masks}
    if aside := sorted(set(images) - used):
        notes.append(f"{_counted(aside, 'file')} without an image of their name: left aside")
    return pairs


def _side(file: PurePosixPath) -> tuple[str, tuple[str, ...]]:
    """Return ``image`` or ``mask`` by the folder it lies in, and the parts of its name that both have in common."""
    for i, part in enumerate(part.lower() for part in file.parent.parts):
        if part in _IMAGES + _MASKS:
            rest = (*file.parts[:i], *file.parts[i + 1 : -1], file.stem)
            return "image" if part in _IMAGES else "mask", rest
    return "", (*file.parts[:-1], file.stem)


def _folder_labels(images: Files, split_of: dict[PurePosixPath, str]) -> dict[PurePosixPath, str]:
    """Take as classes the folders that paired images lie in, where each lies in one and they are several."""
    at = {image: image.parts[1 if image in split_of else 0 : -1] for image in images}
    several = all(at.values()) and len({parts[0] for parts in at.values()}) > 1
    named_as_splits = all(parts and parts[0].lower() in ROLES for parts in at.values())
    return {image: parts[0] for image, parts in at.items()} if several and not named_as_splits else {}


def _one(files: Files, where: str) -> None:
    if len(files) > 1:
        first, second = (printable(str(file)) for file in files[:2])
        raise DataError(f"{where}: {first} and {second} have one name: rename or remove one of them")


def _key(file: PurePosixPath) -> str:
    return str(file.with_suffix(""))


def _masked(file: PurePosixPath, suffix: str) -> str | None:
    """Return the key of the image that a file would be the mask of."""
    return _key(file).removesuffix(suffix) if file.stem.endswith(suffix) and file.stem != suffix else None


def _shorter(key: str) -> Iterable[str]:
    """Yield what a name adds ``_word`` to."""
    return (key[: match.start()] for match in re.finditer(r"_(?=[^\W\d][^/]*$)", key))


def _counted(files: Sequence[PurePosixPath], what: str) -> str:
    return f"{len(files)} {what}{'s' if len(files) > 1 else ''} (first: {printable(str(files[0]))})"
