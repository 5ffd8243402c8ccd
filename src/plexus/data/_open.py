"""Open what the user named: digits, a folder, a table, a data set on the hub, or one image."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np

from plexus.data._decode import SUFFIXES, is_dicom, require_pydicom
from plexus.data._folder import Tree, find_classes, find_samples
from plexus.data._pairs import counted
from plexus.data._remarks import Remarks
from plexus.data._samples import Entry, Sample, SampleSet
from plexus.data._sources import White
from plexus.data._table import Found, hub_entries, manifest_entries, parquet_entries
from plexus.errors import ConfigError, DataError, printable, short

_HUB_ID = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}")
_KAGGLE = re.compile(r"(\d+)_\d+")


def open_samples(
    spec: str | Path,
    *,
    group_from: str | None = None,
    label: str | None = None,
    mask_suffix: str = "_mask",
    masks: bool | None = None,
    missing_mask: Literal["error", "empty"] = "error",
    ignore: int | None = None,
) -> SampleSet:
    r"""Find images with their classes, masks, groups and splits; none is decoded.

    The layouts: masks beside images (``NAME.png`` and ``NAME_mask.png``, as in Kaggle's ``SUBJECT_NUMBER.tif``, whose
    subject is the group); folders ``images`` and ``masks`` with equal names; class folders; a bare folder of images;
    each also below ``train``, ``val`` and ``test``. Further a CSV manifest with a header (``path``, and ``mask``,
    ``label``, ``group``, ``split`` as there are), parquet files in the Hugging Face image layout, a data set on the
    hub, ``digits`` (scikit-learn's), and a single image. Where masks lie beside images in class folders, images have
    both. Beside images, a file ``NAME_word.png`` without a mask of its own is a mask of another kind, never an image.
    Several masks of one image, ``NAME_mask.png``, ``NAME_mask_1.png`` and so on, are joined, with a note.

    Args:
        spec: ``digits``, a folder, a CSV or parquet file, an image, or a hub id such as ``uoft-cs/cifar10``.
        group_from: a regular expression searched for in each file name (in the whole path below the folder where it
            holds a slash); its first group, or all it matches, names the image's group. An empty one makes no groups.
        label: the column of the classes, in a table.
        mask_suffix: what the name of a mask adds to that of its image.
        masks: True where every image must have one, False to leave them aside, None to take what there is.
        missing_mask: with ``empty``, an image without a mask file counts as one where nothing is to be found.
        ignore: a value in masks that says neither inside nor outside, such as 255 beside 0 and 1.

    Raises:
        DataError: nothing there, or nothing that can be used; one line that names the thing and the remedy.
        ConfigError: ``group_from`` is not a regular expression, or an extra is not installed.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from PIL import Image
        >>> with TemporaryDirectory() as folder:
        ...     for name in ("1_1.png", "1_1_mask.png", "1_2.png"):
        ...         Image.new("L", (8, 6)).save(f"{folder}/{name}")
        ...     samples = open_samples(folder)
        ...     samples.samples[0], samples.mask(0).shape, samples.mask(1)
        (Sample(name='1_1.png', label=None, mask='1_1_mask.png', group='1', split=None), (6, 8), None)
    """
    notes: list[str] = []
    left_out: list[str] = []
    where, path = printable(str(spec)), _existing(spec)
    if path is None:
        layout, (entries, classes) = _elsewhere(spec, label, notes, labelled=False)
    elif path.is_dir():
        tree = Tree.read(path, where)
        if tree.parquet:
            if other := len(tree.files) - len(tree.parquet):
                notes.append(f"{other} files beside the parquet files: left aside")
            layout, (entries, classes) = "parquet", parquet_entries(path, tree.parquet, where, label, labelled=False)
        elif label is not None:
            raise DataError(f"{where}: its classes are the names of folders: leave --label out")
        else:
            notes, left_out = tree.left_out()
            layout, entries = find_samples(tree, mask_suffix, masks, notes)
            classes = _classes(entries)
    elif path.suffix.lower() in (".csv", ".tsv"):
        layout, (entries, classes) = "manifest", manifest_entries(path, where, label, notes)
    elif path.suffix.lower() == ".parquet":
        files = [PurePosixPath(path.name)]
        layout, (entries, classes) = "parquet", parquet_entries(path.parent, files, where, label, labelled=False)
    elif path.suffix.lower() in SUFFIXES:
        layout, (entries, classes) = "images", ([Entry(Sample(path.name), path)], ())
    else:
        raise DataError(f"{where}: neither a folder, nor a CSV manifest, parquet or image file")
    entries = _with_masks(entries, where, layout, mask_suffix, masks, missing_mask, notes)
    entries = _with_groups(entries, where, layout, group_from, notes)
    if ignore is not None:
        if not 0 <= ignore <= 65535:
            raise ConfigError(f"--ignore {ignore}: give a value that pixels of a mask can have, such as 255")
        notes.append(f"pixels of value {ignore} in masks are ignored")
    return replace(_gathered(spec, path, where, layout, entries, classes, notes, left_out), ignore=ignore)


def open_labelled(spec: str | Path, label: str | None, group_from: str | None = None) -> SampleSet:
    """Find images that all have a class, and a split to train on: digits, class folders, a table, the hub."""
    notes: list[str] = []
    left_out: list[str] = []
    where, path = printable(str(spec)), _existing(spec)
    if path is None:
        layout, (entries, classes) = _elsewhere(spec, label, notes, labelled=True)
    elif path.suffix.lower() in (".csv", ".tsv") and path.is_file():
        layout, (entries, classes) = "manifest", manifest_entries(path, where, label, notes)
        entries = [Entry(replace(sample, mask=None), image) for sample, image, _ in entries]
        if lacking := [sample.name for sample, _, _ in entries if sample.label is None]:
            column = "has no column label" if len(lacking) == len(entries) else "lacks labels"
            raise DataError(f"{where}: {column}: {counted(lacking, 'image')} without a class: fill it in")
        if not any(sample.split in (None, "train") for sample, _, _ in entries):
            raise DataError(f"{where}: no image is in the train split: mend the column split")
    elif not path.is_dir():
        raise DataError(f"{where}: is a file: give the folder of the images, or a CSV manifest")
    elif (tree := Tree.read(path, where)).parquet:
        layout, (entries, classes) = "parquet", parquet_entries(path, tree.parquet, where, label, labelled=True)
    elif label is not None:
        raise DataError(f"{where}: its labels are the names of folders: leave --label out")
    else:
        notes, left_out = tree.left_out()
        layout, entries = "classes", find_classes(tree)
        classes = _classes(entries)
    if group_from is not None:
        entries = _with_groups(entries, where, layout, group_from, notes)
    return _gathered(spec, path, where, layout, entries, classes, notes, left_out)


def _existing(spec: str | Path) -> Path | None:
    """Return a file or folder that is there; ``digits`` comes first."""
    if not isinstance(spec, str | Path):
        raise ConfigError(f"{short(spec)} is no place; `plexus.data.in_memory` takes images as they are")
    try:
        path = Path(spec).expanduser()
        return path if spec != "digits" and path.exists() else None
    except (OSError, ValueError, RuntimeError) as error:  # a name too long, a NUL byte, no such home
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(f"{printable(str(spec))[:200]}: no such file or folder ({reason}): check the name") from None


def _elsewhere(spec: str | Path, label: str | None, notes: list[str], *, labelled: bool) -> tuple[str, Found]:
    """Open what is no file: the digits, or a data set on the hub."""
    where = printable(str(spec))
    if spec == "digits":
        if label is not None:
            raise DataError("digits: has no columns to choose from: leave --label out")
        if Path(spec).exists():
            notes.append("these are the digits that scikit-learn brings: what is called so here is ./digits")
        return "arrays", _digits()
    kind = Path(spec).suffix.lower()
    if kind in (*SUFFIXES, ".csv", ".tsv", ".parquet"):  # never the name of a data set on the hub
        raise DataError(f"{where}: no such file: check the name")
    if isinstance(spec, str) and _HUB_ID.fullmatch(spec):
        return "hub", hub_entries(spec, label, labelled=labelled)
    if labelled:
        raise DataError(f"{where}: no such folder: give 'digits', a folder, or a hub id such as uoft-cs/cifar10")
    raise DataError(f"{where}: no such file or folder: give a folder of images, a CSV manifest or parquet files")


def _digits() -> Found:
    from sklearn.datasets import load_digits

    data = load_digits()
    pixels = np.rint(data.images * (255 / 16)).astype(np.uint8)
    names = tuple(str(name) for name in data.target_names)
    rows = zip(pixels, data.target.tolist(), strict=True)
    return [Entry(Sample(f"row {i}", names[target]), image) for i, (image, target) in enumerate(rows)], names


def _classes(entries: Sequence[Entry]) -> tuple[str, ...]:
    return tuple(sorted({entry.sample.label for entry in entries if entry.sample.label is not None}))


def _gathered(
    spec: str | Path,
    path: Path | None,
    where: str,
    layout: str,
    entries: Sequence[Entry],
    classes: tuple[str, ...],
    notes: Sequence[str],
    left_out: Sequence[str],
) -> SampleSet:
    if any(isinstance(entry.image, Path) and is_dicom(entry.image) for entry in entries):
        require_pydicom(where)
    name = path.resolve().name if path is not None else str(spec).rpartition("/")[2]
    samples, images, masks = zip(*entries, strict=True)
    remarks = Remarks(notes)
    white = White(images, remarks)
    return SampleSet(name, where, layout, samples, classes, images, masks, remarks, white, tuple(left_out))


def _with_masks(
    entries: Sequence[Entry],
    where: str,
    layout: str,
    suffix: str,
    masks: bool | None,
    missing: Literal["error", "empty"],
    notes: list[str],
) -> list[Entry]:
    if masks is False:
        return [Entry(replace(sample, mask=None), image) for sample, image, _ in entries]
    lacking = [sample.name for sample, _, _ in entries if sample.mask is None]
    if len(lacking) == len(entries) and (masks or suffix != "_mask"):
        expected = "a column mask" if layout in ("manifest", "parquet", "hub") else f"NAME{suffix}.png"
        raise DataError(f"{where}: no image has a mask: expected {expected}, or folders images and masks")
    if lacking and missing == "empty" and len(lacking) < len(entries):
        notes.append(f"{counted(lacking, 'image')} without a mask count as empty")
        return [Entry(replace(sample, mask=sample.mask or ""), image, mask) for sample, image, mask in entries]
    if lacking and masks:
        raise DataError(
            f"{where}: {counted(lacking, 'image')} without a mask: add the masks, or count such images as empty with "
            "--missing-mask empty"
        )
    if lacking and len(lacking) < len(entries):
        notes.append(f"{counted(lacking, 'image')} without a mask")
    return list(entries)


def _with_groups(
    entries: Sequence[Entry], where: str, layout: str, pattern: str | None, notes: list[str]
) -> list[Entry]:
    names = [entry.sample.name for entry in entries]
    if pattern == "":
        return list(entries)
    if pattern is None:
        matches = [_KAGGLE.fullmatch(PurePosixPath(name).stem) for name in names] if layout == "pairs" else [None]
        if not all(matches):
            return list(entries)
        notes.append("groups: the first number of SUBJECT_NUMBER")
        groups = [match[1] for match in matches if match]
    else:
        try:
            expression = re.compile(pattern)
        except re.error as error:
            raise ConfigError(f"--group-from {pattern!r}: not a regular expression ({error})") from None
        groups = [_group(expression, name) for name in names]
        strangers = [name for name, group in zip(names, groups, strict=True) if group is None]
        if len(strangers) == len(entries):
            first = printable(names[0])
            raise DataError(
                f"{where}: --group-from {printable(pattern)} matches no file name, such as {first}: mend the pattern, "
                "or give '' for no groups"
            )
        if strangers:
            notes.append(f"{counted(strangers, 'image')} with no group: --group-from does not match the name")
    return [
        Entry(replace(sample, group=group), image, mask)
        for (sample, image, mask), group in zip(entries, groups, strict=True)
    ]


def _group(expression: re.Pattern[str], name: str) -> str | None:
    match = expression.search(name if "/" in expression.pattern else PurePosixPath(name).name)
    return None if match is None else match[1] if expression.groups else match[0]
