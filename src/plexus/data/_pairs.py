"""Images and their masks, paired by their names: side by side, or in two folders."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from plexus.errors import DataError, plural, printable

Files = list[PurePosixPath]
Paired = list[tuple[PurePosixPath, list[PurePosixPath]]]
"""Images, each with its masks."""
_SIDES = {
    **dict.fromkeys(("images", "image", "imgs", "img"), ("image", "")),
    **dict.fromkeys(("masks", "mask", "labels", "label"), ("mask", "")),
    **{"imagestr": ("image", "train"), "imagests": ("image", "test")},
    **{"labelstr": ("mask", "train"), "labelsts": ("mask", "test")},
}
"""Folders of images and of masks, and the split that the names of nnU-Net's say."""


def counted(names: Sequence[object], what: str) -> str:
    """Return the number of some images or files, and the first of them, for a message."""
    return f"{plural(len(names), what)} (first: {printable(str(names[0]))})"


def side_by_side(images: Files, suffix: str, where: str, notes: list[str]) -> Paired:
    """Pair NAME.* with NAME<suffix>.*; set aside masks of other kinds (NAME_word.*)."""
    by_key: dict[str, Files] = {}
    for image in images:
        by_key.setdefault(key_of(image), []).append(image)
    of = {key: masked_by(files[0], suffix) for key, files in by_key.items()}  # what a file would be the mask of
    masked = {image for image in of.values() if image is not None and image in by_key}
    masks = {key for key, image in of.items() if image is not None and key not in masked}
    others = {
        key for key in by_key if key not in masks and key not in masked and any(k in by_key for k in _shorter(key))
    }
    plain = [key for key in by_key if key not in masks and key not in others]
    masks_of: dict[str, list[str]] = {key: [] for key in plain}
    for key in sorted(masks, key=lambda key: (len(key), key)):  # NAME_mask, _mask_2, _mask_10
        masks_of.get(str(of[key]), []).append(key)
    for key in (*plain, *(key for keys in masks_of.values() for key in keys)):
        _one(by_key[key], where)
    orphans = sorted(masks - {key for keys in masks_of.values() for key in keys})
    for keys, what in ((orphans, "masks without an image"), (sorted(others), "masks of another kind")):
        if keys:
            notes.append(f"{counted([by_key[key][0] for key in keys], 'file')}, {what}: left aside")
    pairs = [(by_key[key][0], [by_key[mask][0] for mask in masks_of[key]]) for key in plain]
    return _told(pairs, notes)


def _told(pairs: Paired, notes: list[str]) -> Paired:
    """The same pairs; a note says that images have several masks, which are joined."""
    if several := [image for image, masks in pairs if len(masks) > 1]:
        notes.append(f"{counted(sorted(several), 'image')} with several masks: joined")
    return pairs


def two_folders(images: Files, suffix: str, where: str, notes: list[str]) -> Paired:
    """Pair the files of a folder images with those of a folder masks by name; empty where there are no such folders."""
    sides: dict[str, dict[str, Files]] = {"image": {}, "mask": {}}
    images = _labelled(images, notes)
    for file in images:
        side, rest = side_of(file)
        sides.setdefault(side, {}).setdefault("/".join(rest), []).append(file)
    if not sides["image"] or not sides["mask"]:
        return []
    pairs: Paired = []
    used: set[PurePosixPath] = set()
    numbered: dict[str, list[str]] = {}  # NAME_mask_1, or NAME_1 where no image is called so
    for key in sides["mask"]:
        name = re.fullmatch(rf"(.+?)(?:{re.escape(suffix)}[_-]?|[_-])\d+", key)
        if name is not None and name[1] in sides["image"] and key not in sides["image"]:
            numbered.setdefault(name[1], []).append(key)
    for key, files in sides["image"].items():
        masks = [*sides["mask"].get(key, []), *(sides["mask"].get(key + suffix, []))]
        _one(files, where)
        if masks:
            _one(masks, where)
        for other in sorted(numbered.get(key, []), key=lambda other: (len(other), other)):
            _one(sides["mask"][other], where)
            masks += sides["mask"][other]
        pairs.append((files[0], masks))
        used |= {files[0], *masks}
    if aside := sorted(set(images) - used):
        notes.append(f"{counted(aside, 'file')} without an image of their name: left aside")
    return _told(pairs, notes)


def _labelled(files: Files, notes: list[str]) -> Files:
    """Leave aside what nnU-Net's folders hold that is not read: test images without labels, channels but the first."""
    split_of = {file: _named(file) for file in files}
    labelled = {split for side, split in split_of.values() if side == "mask"}
    further = {
        f for f in files if split_of[f][1] and re.search(r"_(?!0000)\d{4}$", f.stem) and split_of[f][0] == "image"
    }
    bare = {f for f in files if split_of[f] == ("image", "test") and "test" not in labelled} - further
    for aside, what in ((further, "further channels of an image"), (bare, "test images without labels")):
        if aside and "train" in labelled:
            notes.append(f"{counted(sorted(aside), 'file')}, {what}: left aside")
    return [f for f in files if f not in further | bare] if "train" in labelled else files


def _named(file: PurePosixPath) -> tuple[str, str]:
    """Return the side and the split that nnU-Net's folder of a file says, empty where there is none."""
    return next((_SIDES[part] for part in map(str.lower, file.parent.parts) if part in _SIDES), ("", ""))


def side_of(file: PurePosixPath) -> tuple[str, tuple[str, ...]]:
    """Return ``image`` or ``mask`` by the folder it lies in, and the parts of its name that both have in common.

    In imagesTr and imagesTs the name of an image ends in its channel, NAME_0000.

    Example:
        >>> side_of(PurePosixPath("imagesTr/a_0000.png")), side_of(PurePosixPath("labelsTr/a.png"))
        (('image', ('train', 'a')), ('mask', ('train', 'a')))
    """
    for i, part in enumerate(part.lower() for part in file.parent.parts):
        if part in _SIDES:
            side, split = _SIDES[part]
            stem = file.stem.removesuffix("_0000") if split and side == "image" else file.stem
            return side, (*file.parts[:i], *([split] if split else []), *file.parts[i + 1 : -1], stem)
    return "", (*file.parts[:-1], file.stem)


def _one(files: Files, where: str) -> None:
    if len(files) > 1:
        first, second = (printable(str(file)) for file in files[:2])
        raise DataError(f"{where}: {first} and {second} have one name: rename or remove one of them")


def key_of(file: PurePosixPath) -> str:
    return str(file.with_suffix(""))


def masked_by(file: PurePosixPath, suffix: str) -> str | None:
    """Return the key of the image that a file would be the mask of, NAME_mask or NAME_mask_1."""
    name = re.fullmatch(rf"(.+){re.escape(suffix)}(?:[_-]?\d+)?", file.stem)
    return None if name is None or name[1] == file.stem else key_of(file)[: len(name[1]) - len(file.stem)]


def _shorter(key: str) -> Iterable[str]:
    """Yield what a name adds ``_word`` to."""
    return (key[: match.start()] for match in re.finditer(r"_(?=[^\W\d][^/]*$)", key))
