"""Images in folders: class folders, masks side by side or in two folders, splits, or bare."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TypeVar

from plexus.data._decode import SUFFIXES
from plexus.data._pairs import Files, Paired, counted, key_of, masked_by, side_by_side, side_of, two_folders
from plexus.data._samples import Entry, Sample
from plexus.data._sources import Joined
from plexus.errors import DataError, printable

ROLES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
}
"""The words by which folders, files and hub data sets name their splits; `role` reads them in longer names."""
_FILLERS = frozenset(("set", "data", "dataset", "images", "image", "imgs", "img", "split", "folder", "seg"))
_CACHES = frozenset(
    (
        *("__macosx", "@eadir", "@recycle", "#recycle", "$recycle.bin", "system volume information", "lost+found"),
        *("thumbnails", "_thumbnails", "__pycache__", "previews.lrdata"),
    )
)
"""Folders that systems and cameras keep for themselves; those that begin with a dot are left out, too."""
_SYSTEM = frozenset(("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"))
FOREIGN = frozenset(
    f".{suffix}"
    for kinds in (
        "heic heif jxl psd svg exr hdr tga dds",
        "arw cr2 cr3 dng nef orf raf raw rw2",
        "nii nrrd mha czi nd2",
    )
    for suffix in kinds.split()
)
"""Suffixes of images that are not read."""
_HERE = PurePosixPath()
_Sized = TypeVar("_Sized", bound=Sized)
Parts = dict[str, list[tuple[str, PurePosixPath]]]
"""For each split the (class, path) of its images, sorted."""


@dataclass(frozen=True)
class Tree:
    """Everything below a folder that is not hidden; `where` is its name in messages.

    A folder that holds the images in one folder of its own, as unpacked archives do, is opened there: paths then begin
    at the inner folder, and `prefix` is the way to it. `aside` are hidden images, and folders of systems and cameras.
    """

    root: Path
    where: str
    folders: Files
    files: Files
    aside: Files
    prefix: PurePosixPath = _HERE

    @classmethod
    def read(cls, root: Path, where: str) -> Tree:
        """List a folder; one that cannot be read is refused, as is a name that is not UTF-8."""
        folders: Files = []
        files: Files = []
        aside: Files = []
        for path, kind in _walk(root):
            {"folder": folders, "file": files, "aside": aside}[kind].append(path)
        return cls(root, where, folders, files, sorted(aside))._unwrapped()

    def _unwrapped(self) -> Tree:
        """Step into a folder that holds all images, below folders of its own, and is not named as a split."""
        tree = self
        while True:
            images = [file.parts for file in tree.files if file.suffix.lower() in SUFFIXES]
            if not images or {parts[0] for parts in images} != {(inner := images[0][0])} or role(inner):
                return tree
            if min(map(len, images)) < 3:
                return tree
            below: tuple[Files, Files] = tuple(
                [PurePosixPath(*path.parts[1:]) for path in paths if path.parts[0] == inner and len(path.parts) > 1]
                for paths in (tree.folders, tree.files)
            )  # type: ignore[assignment]
            tree = replace(
                tree, root=tree.root / inner, where=f"{tree.where}/{printable(inner)}", folders=below[0],
                files=below[1], prefix=tree.prefix / inner,
            )  # fmt: skip

    def name(self, path: PurePosixPath) -> str:
        """Return the name of a file below the folder that the user named."""
        return str(self.prefix / path)

    def left_out(self) -> tuple[list[str], list[str]]:
        """Return notes on the files that are no images, and `name: reason` for images of formats that are not read."""
        rest = sorted(file for file in self.files if file.suffix.lower() not in SUFFIXES)
        foreign = [file for file in rest if file.suffix.lower() in FOREIGN]
        notes = [f"read in its folder {printable(str(self.prefix))}"] if self.prefix.parts else []
        if rest:
            notes.append(f"{counted(rest, 'file')} not an image: left aside")
        if self.aside:
            notes.append(f"{counted(self.aside, 'hidden or system item')}: left aside")
        remedy = "not read: save it as JPEG or PNG"
        return notes, [f"{self.name(file)}: {file.suffix[1:].upper()} is {remedy}" for file in foreign]

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
                Sample(
                    self.name(image),
                    labels.get(image),
                    self.name(masks[0]) if masks else None,
                    split=split_of.get(image),
                ),
                base / image,
                None if not masks else base / masks[0] if len(masks) == 1 else Joined(tuple(base / m for m in masks)),
            )
            for image, masks in sorted(pairs)
        ]


def find_classes(tree: Tree) -> list[Entry]:
    """Return the images of class folders, alone or below folders named after splits, split by split."""
    parts = with_train(class_folders(tree, tree.images("images as CLASS/IMAGE.png, or parquet files")), tree.where)
    base, several = tree.root.resolve(), len(parts) > 1
    return [
        Entry(Sample(tree.name(image), label, split=split if several else None), base / image)
        for split, rows in parts.items()
        for label, image in rows
    ]


def find_samples(tree: Tree, suffix: str, masks: bool | None, notes: list[str]) -> tuple[str, list[Entry]]:
    """Return the layout of a folder, and its images in the order of their names.

    With `masks` False classes matter less than taking every image; `notes` gets a line for files left aside.
    """
    images = tree.images("images and masks, class folders, or parquet files")
    if pairs := two_folders(images, suffix, tree.where, notes):
        return "folders", tree.entries(pairs, _splits({image: side_of(image)[1] for image, _ in pairs}), {})
    split_of = _splits({image: image.parts for image in images})
    keys = {key_of(image) for image in images}
    if any(masked_by(image, suffix) in keys for image in images):
        pairs = side_by_side(images, suffix, tree.where, notes)
        return "pairs", tree.entries(pairs, split_of, _folder_labels([image for image, _ in pairs], split_of))
    bare: Paired = [(image, []) for image in images]
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
    train = [folder.name for folder in roots if role(folder.name) == "train"]
    depths = {name: {len(image.parts) for image in top.get(name, [])} for name in train}
    all_named = all(role(name) for name in top)
    if not train or not (all_named or any(depths[name] and 2 not in depths[name] for name in train)):
        return {"train": _by_class(tree, images, "")}
    parts: Parts = {}
    for name in (folder.name for folder in roots):
        split, own = role(name), top.get(name, [])
        if split is None and own:
            raise DataError(f"{where}: folder {name!r} beside the splits holds images: move it elsewhere")
        if split in parts:
            raise DataError(f"{where}: folder {name!r} is a second {split} split: join the two")
        if split is not None:
            parts[split] = _by_class(tree, own, name)
    if "" in top:
        raise _outside(where, top[""][0], "train/CLASS/")
    return parts


def parquet_splits(files: Files, where: str) -> dict[str, Files]:
    """Sort parquet files into splits by their names, or else by the folder they lie in.

    ``train-00000-of-00001.parquet`` and ``data/train/0000.parquet`` are train; where no name says anything, all are.
    """
    subsets = {str(PurePosixPath(*(p for p in f.parent.parts if not role(p)))) for f in files}
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


def role(name: str) -> str | None:
    """Return the split that a folder or file is named after: train, val or test.

    Example:
        >>> role("training_set"), role("Test Images"), role("val2017"), role("test tubes")
        ('train', 'test', 'val', None)
    """
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()
    rest = [word for word in re.split(r"[\W_]+", words) if word and word not in _FILLERS]
    if len(rest) != 1:
        return None
    return ROLES.get(rest[0]) or ROLES.get(re.sub(r"(set|data|\d{4})$", "", rest[0]))


def _walk(root: Path) -> Iterator[tuple[PurePosixPath, str]]:
    """Yield (path below root, folder | file | aside) for everything; links are followed, not in circles.

    Nothing below a folder that is left aside is listed, and of the hidden files only images.
    """
    above: dict[str, tuple[str, ...]] = {}  # for every folder, the real paths of it and of those it was reached through

    def failed(error: OSError) -> None:
        raise DataError(f"{error.filename}: {error.strerror}: make the folder readable") from error

    for folder, folders, files in os.walk(root, onerror=failed, followlinks=True):
        above[folder] = (*above.get(os.path.dirname(folder), ()), os.path.realpath(folder))
        here = PurePosixPath(Path(folder).relative_to(root).as_posix())
        found = [(name, "aside") for name in folders if _hidden(name)]
        folders[:] = [
            d for d in folders if not _hidden(d) and os.path.realpath(os.path.join(folder, d)) not in above[folder]
        ]
        found += [(name, "folder") for name in folders]
        for name in files:
            hidden = _hidden(name) or name.lower() in _SYSTEM
            if not hidden or os.path.splitext(name)[1].lower() in SUFFIXES:
                found.append((name, "aside" if hidden else "file"))
        for name, kind in found:
            _check_name(root, name)
            yield here / name, kind


def _check_name(root: Path, name: str) -> None:
    """Refuse a name that no record can hold: its bytes are not UTF-8, or Python was told to read names as ASCII."""
    try:
        name.encode()
    except UnicodeError:
        told = f"{root}: the file name {name!a} is"
        try:
            os.fsencode(name).decode()
        except UnicodeError:
            raise DataError(f"{told} not UTF-8: rename it") from None
        raise DataError(f"{told} read as {sys.getfilesystemencoding()}: start Python with PYTHONUTF8=1") from None


def _hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in _CACHES


def _role(file: PurePosixPath) -> str | None:
    words = re.findall(r"^[a-z]+", file.name.lower().removesuffix(".parquet"))
    return next((split for word in (*words, *reversed(file.parent.parts)) if (split := role(word))), None)


def _by_class(tree: Tree, images: Files, split: str) -> list[tuple[str, PurePosixPath]]:
    depth = 1 if split else 0
    while split and images and all(len(i.parts) > depth + 2 and role(i.parts[depth]) == role(split) for i in images):
        depth += 1  # an archive unpacked into a folder of its name: train/train/CLASS
    pattern = "/".join([*([split] if split else []), "CLASS", ""])
    for image in images:
        if len(image.parts) < depth + 2:
            raise _outside(tree.where, image, pattern)
    rows = sorted((image.parts[depth], str(image)) for image in images)  # as text: "a b/1" before "a/1"
    used = {name for name, _ in rows}
    for folder in tree.folders:
        inside = len(folder.parts) == depth + 1 and (not split or folder.parts[0] == split)
        if inside and folder.name not in used and (not split or role(split) == "train"):
            empty = printable(str(folder))
            raise DataError(f"{tree.where}: class folder {empty!r} holds no images: add some or remove it")
    return [(label, PurePosixPath(path)) for label, path in rows]


def _outside(where: str, image: PurePosixPath, pattern: str) -> DataError:
    return DataError(f"{where}: {printable(str(image))} lies outside a class folder: move it into {pattern}")


def _splits(parts: Mapping[PurePosixPath, Sequence[str]]) -> dict[PurePosixPath, str]:
    """Tell the split of each image, where every image lies below a folder named after one."""
    known = {name: role(name) for name in {path[0] for path in parts.values() if len(path) > 1}}
    named = {image: split for image, path in parts.items() if len(path) > 1 and (split := known[path[0]]) is not None}
    return named if len(named) == len(parts) else {}


def _folder_labels(images: Files, split_of: Mapping[PurePosixPath, str]) -> dict[PurePosixPath, str]:
    """Take as classes the folders that paired images lie in, where each lies in one and they are several."""
    at = {image: image.parts[1 if image in split_of else 0 : -1] for image in images}
    several = all(at.values()) and len({parts[0] for parts in at.values()}) > 1
    named_as_splits = all(role(name) for name in {parts[0] if parts else "" for parts in at.values()})
    return {image: parts[0] for image, parts in at.items()} if several and not named_as_splits else {}
