"""Find images, classes, masks, groups and splits in whatever layout they lie."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Literal

from plexus.data import _dicom
from plexus.data._decode import SUFFIXES
from plexus.data._folder import walk
from plexus.data._parts import printable
from plexus.data._samples import Remarks, Sample, SampleSet
from plexus.data._samples_folder import find_samples
from plexus.data._samples_row import Row
from plexus.data._samples_table import manifest_rows, parquet_rows
from plexus.errors import ConfigError, DataError

_KAGGLE = re.compile(r"(\d+)_\d+")


def open_samples(
    spec: str | Path,
    *,
    group_from: str | None = None,
    label: str | None = None,
    mask_suffix: str = "_mask",
    masks: bool | None = None,
    missing_mask: Literal["error", "empty"] = "error",
) -> SampleSet:
    r"""Find images with their classes, masks, groups and splits; none is decoded.

    The layouts: masks beside images (``NAME.png`` and ``NAME_mask.png``, as in Kaggle's ``SUBJECT_NUMBER.tif``, whose
    subject is the group); folders ``images`` and ``masks`` with equal names; class folders; a bare folder of images;
    each also below ``train``, ``val`` and ``test``. Further a CSV manifest with a header (``path``, and ``mask``,
    ``label``, ``group``, ``split`` as there are), parquet files in the Hugging Face image layout, and a single image.
    Where masks lie beside images in class folders, images have both. Beside images, a file ``NAME_word.png`` without a
    mask of its own is a mask of another kind, never an image.

    Args:
        spec: a folder, a CSV or parquet file, or an image.
        group_from: a regular expression searched for in each file name (in the whole path below the folder where it
            holds a slash); its first group, or all it matches, names the image's group.
        label: the column of the classes, in a table.
        mask_suffix: what the name of a mask adds to that of its image.
        masks: True where every image must have one, False to leave them aside, None to take what there is.
        missing_mask: with ``empty``, an image without a mask file counts as one where nothing is to be found.

    Raises:
        DataError: nothing there, or nothing that can be used; one line that names the thing and the remedy.
        ConfigError: ``group_from`` is not a regular expression, or an extra is not installed.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from PIL import Image
        >>> with TemporaryDirectory() as folder:
        ...     for name in ("1_1.png", "1_1_mask.png", "1_2.png"):
        ...         Image.new("L", (8, 6)).save(f"{folder}/{name}")
        ...     found = open_samples(folder)
        ...     found.samples[0], found.mask(0).shape, found.mask(1)
        (Sample(name='1_1.png', label=None, mask='1_1_mask.png', group='1', split=None), (6, 8), None)
    """
    path, where = Path(spec).expanduser(), printable(str(spec))
    notes: list[str] = []
    if path.is_dir():
        found = [(file, is_folder) for file, is_folder in walk(path)]
        files = [file for file, is_folder in found if not is_folder]
        if any(file.suffix.lower() == ".parquet" for file in files):
            layout, rows = "parquet", parquet_rows(path, files, where, label, notes)
        else:
            if label is not None:
                raise DataError(f"{where}: its classes are the names of folders: leave --label out")
            folders = [file for file, is_folder in found if is_folder]
            layout, rows = find_samples(path, folders, files, where, mask_suffix, masks, notes)
    elif not path.exists():
        raise DataError(f"{where}: no such file or folder: give a folder of images, a CSV manifest or parquet files")
    elif path.suffix.lower() in (".csv", ".tsv"):
        layout, rows = "manifest", manifest_rows(path, where, label, notes)
    elif path.suffix.lower() == ".parquet":
        layout, rows = "parquet", parquet_rows(path.parent, [PurePosixPath(path.name)], where, label, notes)
    elif path.suffix.lower() in SUFFIXES or _dicom.is_dicom(path):
        layout, rows = "images", [Row(path.name, path)]
    else:
        raise DataError(f"{where}: neither a folder, nor a CSV manifest, parquet or image file")
    if any(isinstance(row.image, Path) and _dicom.is_dicom(row.image) for row in rows):
        _dicom.require_pydicom(where)
    rows = _with_masks(rows, where, layout, mask_suffix, masks, missing_mask, notes)
    rows = _with_groups(rows, where, layout, group_from, notes)
    samples = tuple(Sample(row.name, row.label, row.mask_name, row.group, row.split) for row in rows)
    classes = tuple(sorted({row.label for row in rows if row.label is not None}))
    images, places = tuple(row.image for row in rows), tuple(row.mask for row in rows)
    return SampleSet(path.resolve().name, where, layout, samples, classes, images, places, Remarks(notes))


def _with_masks(
    rows: Sequence[Row],
    where: str,
    layout: str,
    suffix: str,
    masks: bool | None,
    missing: Literal["error", "empty"],
    notes: list[str],
) -> list[Row]:
    if masks is False:
        return [replace(row, mask=None, mask_name=None) for row in rows]
    lacking = [row for row in rows if row.mask_name is None]
    if len(lacking) == len(rows) and (masks or suffix != "_mask"):
        expected = {"manifest": "a column mask", "parquet": "a column mask"}.get(layout, f"NAME{suffix}.png")
        raise DataError(f"{where}: no image has a mask: expected {expected}, or folders images and masks")
    if lacking and missing == "empty" and len(lacking) < len(rows):
        notes.append(f"{_counted(lacking)} without a mask count as empty")
        return [replace(row, mask_name=row.mask_name or "") for row in rows]
    if lacking and masks:
        raise DataError(
            f"{where}: {_counted(lacking)} without a mask: add the masks, or count such images as empty with "
            "--missing-mask empty"
        )
    if lacking and len(lacking) < len(rows):
        notes.append(f"{_counted(lacking)} without a mask")
    return list(rows)


def _with_groups(rows: Sequence[Row], where: str, layout: str, pattern: str | None, notes: list[str]) -> list[Row]:
    if pattern is None:
        matches = [_KAGGLE.fullmatch(PurePosixPath(row.name).stem) for row in rows]
        if layout == "pairs" and all(matches):
            notes.append("groups: the first number of SUBJECT_NUMBER")
            return [replace(row, group=match[1]) for row, match in zip(rows, matches, strict=True) if match]
        return list(rows)
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise ConfigError(f"--group-from {pattern!r}: not a regular expression ({error})") from None
    groups = [_group(expression, row.name) for row in rows]
    strangers = [row for row, group in zip(rows, groups, strict=True) if group is None]
    if len(strangers) == len(rows):
        first = printable(rows[0].name)
        raise DataError(f"{where}: --group-from {pattern!r} matches no file name, such as {first}: mend the pattern")
    if strangers:
        notes.append(f"{_counted(strangers)} with no group: --group-from does not match the name")
    return [replace(row, group=group) for row, group in zip(rows, groups, strict=True)]


def _group(expression: re.Pattern[str], name: str) -> str | None:
    match = expression.search(name if "/" in expression.pattern else PurePosixPath(name).name)
    return None if match is None else match[1] if expression.groups else match[0]


def _counted(rows: Sequence[Row]) -> str:
    return f"{len(rows)} image{'s' if len(rows) > 1 else ''} (first: {printable(rows[0].name)})"
