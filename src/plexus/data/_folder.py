"""Images in folders: class folders, masks side by side or in two folders, splits, or bare."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeVar

from plexus.data._decode import SUFFIXES
from plexus.data._samples import Entry, Sample
from plexus.errors import DataError, printable

ROLES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
}
"""The words by which folders, files and hub data sets name their splits."""
_IMAGES, _MASKS = ("images", "image"), ("masks", "mask")
_Sized = TypeVar("_Sized", bound=Sized)
Files = list[PurePosixPath]
Paired = list[tuple[PurePosixPath, PurePosixPath | None]]
Parts = dict[str, list[tuple[str, PurePosixPath]]]
"""For each split the (class, path) of its images, sorted."""


@dataclass(frozen=True)
class Tree:
    """Everything below a folder that is not hidden; `where` is its name in messages."""

    root: Path
    where: str
    folders: Files
    files: Files

    @classmethod
    def read(cls, root: Path, where: str) -> Tree:
        """List a folder; one that cannot be read is refused, as is a name that is not UTF-8."""
        folders: Files = []
        files: Files = []
        for path, is_folder in _walk(root):
            (folders if is_folder else files).append(path)
        return cls(root, where, folders, files)

    @property
    def parquet(self) -> Files:
        """The parquet files."""
        return [file for file in self.files if file.suffix.lower() == ".parquet"]

    def images(self, expected: str) -> Files:
        """Return the images in the order of their names; none is an error, which says what was expected."""
        images = sorted(file for file in self.files if file.suffix.lower() in SUFFIXES)
        if not images:
            held = f"{len(self.files)} files but no images" if self.files else "empty"
            raise DataError(f"{self.where}: {held}: expected {expected}")
        return images

    def entries(
        self, pairs: Paired, split_of: Mapping[PurePosixPath, str], labels: Mapping[PurePosixPath, str]
    ) -> list[Entry]:
        """Return images with their masks, splits and labels, in the order of their names."""
        base = self.root.resolve()
        return [
            Entry(
                Sample(str(image), labels.get(image), str(mask) if mask else None, split=split_of.get(image)),
                base / image,
                base / mask if mask else None,
            )
            for image, mask in sorted(pairs)
        ]


def find_classes(tree: Tree) -> list[Entry]:
    """Return the images of class folders, alone or below folders named after splits, split by split."""
    parts = with_train(class_folders(tree, tree.images("images as CLASS/IMAGE.png, or parquet files")), tree.where)
    base, several = tree.root.resolve(), len(parts) > 1
    return [
        Entry(Sample(str(image), label, split=split if several else None), base / image)
        for split, rows in parts.items()
        for label, image in rows
    ]


def find_samples(tree: Tree, suffix: str, masks: bool | None, notes: list[str]) -> tuple[str, list[Entry]]:
    """Return the layout of a folder, and its images in the order of their names.

    With `masks` False classes matter less than taking every image; `notes` gets a line for files left aside.
    """
    images = tree.images("images and masks, class folders, or parquet files")
    if len(images) < len(tree.files):
        others = sorted(set(tree.files) - set(images))
        notes.append(f"{counted(others, 'file')} not an image: left aside")
    if pairs := _two_folders(images, suffix, tree.where, notes):
        return "folders", tree.entries(pairs, _splits({image: _side(image)[1] for image, _ in pairs}), {})
    split_of = _splits({image: image.parts for image in images})
    keys = {_key(image) for image in images}
    if any(_masked(image, suffix) in keys for image in images):
        pairs = _side_by_side(images, suffix, tree.where, notes)
        return "pairs", tree.entries(pairs, split_of, _folder_labels([image for image, _ in pairs], split_of))
    bare: Paired = [(image, None) for image in images]
    depths = {len(image.parts) - (image in split_of) for image in images}
    if depths == {1} or (masks is False and 1 in depths):
        return "images", tree.entries(bare, split_of, {})
    parts = class_folders(tree, images)
    labels = {image: label for part in parts.values() for label, image in part}
    roles = {image: split for split, part in parts.items() for _, image in part} if split_of else {}
    return "classes", tree.entries(bare, roles, labels)


def class_folders(tree: Tree, images: Files) -> Parts:
    """Read a layout of class folders, alone or below folders named after splits.

    The layout is one of splits where a folder named ``train`` or ``training`` holds folders and no images of its own,
    or where all folders are named like splits. Without splits all images are ``train``. What fits neither is refused.
    """
    where = tree.where
    top: dict[str, Files] = {}  # images by the folder below the root that they lie in
    for image in images:
        top.setdefault(image.parts[0] if len(image.parts) > 1 else "", []).append(image)
    roots = sorted(folder for folder in tree.folders if len(folder.parts) == 1)
    train = [folder.name for folder in roots if ROLES.get(folder.name.lower()) == "train"]
    depths = {name: {len(image.parts) for image in top.get(name, [])} for name in train}
    all_named = all(name.lower() in ROLES for name in top)
    if not train or not (all_named or any(depths[name] and 2 not in depths[name] for name in train)):
        return {"train": _by_class(tree, images, "")}
    parts: Parts = {}
    for name in (folder.name for folder in roots):
        role, own = ROLES.get(name.lower()), top.get(name, [])
        if role is None and own:
            raise DataError(f"{where}: folder {name!r} beside the splits holds images: move it elsewhere")
        if role in parts:
            raise DataError(f"{where}: folder {name!r} is a second {role} split: join the two")
        if role is not None:
            parts[role] = _by_class(tree, own, name)
    if "" in top:
        raise _outside(where, top[""][0], "train/CLASS/")
    return parts


def parquet_splits(files: Files, where: str) -> dict[str, Files]:
    """Sort parquet files into splits by their names, or else by the folder they lie in.

    ``train-00000-of-00001.parquet`` and ``data/train/0000.parquet`` are train; where no name says anything, all are.
    """
    subsets = {str(PurePosixPath(*(p for p in f.parent.parts if p.lower() not in ROLES))) for f in files}
    if len(subsets) > 1:
        raise DataError(f"{where}: several data sets ({', '.join(sorted(subsets))}): give the folder of one")
    parts: dict[str, Files] = {}
    roles = {file: _role(file) for file in files}
    unnamed = [file for file, role in roles.items() if role is None]
    if unnamed and len(unnamed) < len(files):
        raise DataError(f"{where}: {unnamed[0]} names no split, others do: rename it to train-..., or take it out")
    for file in sorted(files):
        parts.setdefault(roles[file] or "train", []).append(file)
    return parts


def with_train(parts: Mapping[str, _Sized], where: str) -> dict[str, _Sized]:
    """Return the splits in order, once it is certain that there is one to train on and none is empty."""
    if "train" not in parts:
        names = ", ".join(parts) or "none"
        raise DataError(f"{where}: no train split (found: {names}): name the training images' files or folder train")
    for split, part in parts.items():
        if len(part) == 0:
            raise DataError(f"{where}: the {split} split holds no images: add some or take the split out")
    return {split: parts[split] for split in ("train", "val", "test") if split in parts}


def counted(names: Sequence[object], what: str) -> str:
    """Return the number of some images or files, and the first of them, for a message."""
    return f"{len(names)} {what}{'s' if len(names) > 1 else ''} (first: {printable(str(names[0]))})"


def _walk(root: Path) -> Iterator[tuple[PurePosixPath, bool]]:
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
                os.fsencode(name).decode()  # where the locale is ASCII, Python keeps the bytes of such names
            except UnicodeError:
                raise DataError(f"{root}: the file name {name!a} is not UTF-8: rename it") from None
            yield here / name, is_folder


def _hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _role(file: PurePosixPath) -> str | None:
    words = re.findall(r"^[a-z]+", file.name.lower().removesuffix(".parquet"))
    words += [part.lower() for part in reversed(file.parent.parts)]
    return next((ROLES[word] for word in words if word in ROLES), None)


def _by_class(tree: Tree, images: Files, split: str) -> list[tuple[str, PurePosixPath]]:
    depth = 1 if split else 0
    pattern = "/".join([*([split] if split else []), "CLASS", ""])
    for image in images:
        if len(image.parts) < depth + 2:
            raise _outside(tree.where, image, pattern)
    rows = sorted((image.parts[depth], str(image)) for image in images)  # as text: "a b/1" before "a/1"
    used = {name for name, _ in rows}
    for folder in tree.folders:
        inside = len(folder.parts) == depth + 1 and (not split or folder.parts[0] == split)
        if inside and folder.name not in used and ROLES.get(split.lower(), "train") == "train":
            empty = printable(str(folder))
            raise DataError(f"{tree.where}: class folder {empty!r} holds no images: add some or remove it")
    return [(label, PurePosixPath(path)) for label, path in rows]


def _outside(where: str, image: PurePosixPath, pattern: str) -> DataError:
    return DataError(f"{where}: {printable(str(image))} lies outside a class folder: move it into {pattern}")


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
    masked = {key for key in by_key if key + suffix in by_key}
    masks = {key for key in by_key if key.endswith(suffix) and key not in masked}
    others = {
        key for key in by_key if key not in masks and key not in masked and any(k in by_key for k in _shorter(key))
    }
    plain = [key for key in by_key if key not in masks and key not in others]
    for key in (*plain, *(key + suffix for key in masked)):
        _one(by_key[key], where)
    orphans = sorted(masks - {key + suffix for key in masked})
    for keys, what in ((orphans, "masks without an image"), (sorted(others), "masks of another kind")):
        if keys:
            notes.append(f"{counted([by_key[key][0] for key in keys], 'file')}, {what}: left aside")
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
        notes.append(f"{counted(aside, 'file')} without an image of their name: left aside")
    return pairs


def _side(file: PurePosixPath) -> tuple[str, tuple[str, ...]]:
    """Return ``image`` or ``mask`` by the folder it lies in, and the parts of its name that both have in common."""
    for i, part in enumerate(part.lower() for part in file.parent.parts):
        if part in _IMAGES + _MASKS:
            rest = (*file.parts[:i], *file.parts[i + 1 : -1], file.stem)
            return "image" if part in _IMAGES else "mask", rest
    return "", (*file.parts[:-1], file.stem)


def _folder_labels(images: Files, split_of: Mapping[PurePosixPath, str]) -> dict[PurePosixPath, str]:
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
