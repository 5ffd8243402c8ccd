"""The cleaned set: names, a table to train on, and a tree of links; whole or not at all."""

from __future__ import annotations

import csv
import io
import os
import secrets
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from plexus.audit._audit import Audit
from plexus.audit._files import make_folder
from plexus.audit._folds import parts_of
from plexus.data import Sample, SampleSet
from plexus.errors import RunError
from plexus.record import atomic_write, check_place


def write_clean(samples: SampleSet, done: Audit, folder: str | Path, *, link: bool = False) -> Path:
    """Write what to keep: names as `keep.txt`, a table to train on as `clean.csv`, and with ``link`` a tree of links.

    `clean.csv` is a manifest of the images that are files, with the classes that decisions gave; `plexus fit` and all
    else that reads images take it. Near-duplicates that stay are of one ``group`` there, so that no split tears them.

    Args:
        samples: the set.
        done: its audit.
        folder: a new or empty folder; it is filled whole or not at all.
        link: symbolic links below ``folder``, in the layout of the data, masks too; those of another class lie in its
            folder.

    Returns:
        The folder.

    Raises:
        RunError: the folder is not empty, or cannot be made, or the set is no folder of files.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> from plexus.audit import Audit, Cleaned
        >>> from plexus.data import open_samples
        >>> from plexus.record import AuditRecord
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name in "ab":
        ...         Image.new("L", (8, 8)).save(f"{folder}/{name}.png")
        ...     done = Audit(AuditRecord(), folds=None, cleaned=Cleaned((True, False), (None, "copy of a.png")))
        ...     (write_clean(open_samples(folder), done, Path(folder, "clean")) / "keep.txt").read_text()
        'a.png\\n'
    """
    folder = Path(folder)
    check_clean(samples, folder, link=link)
    parent = make_folder(folder.absolute().parent)
    draft = make_folder(parent / f".{folder.name}.{secrets.token_hex(4)}.tmp")
    kept = [i for i, keep in enumerate(done.cleaned.keep) if keep]
    names = [samples.samples[i].name.replace("\n", "\\n") for i in kept]
    new = {i: label for i, label in enumerate(done.cleaned.labels) if label is not None}
    taken = {samples.samples[i].name for i in kept}
    try:
        for i in kept if link else []:
            sample = samples.samples[i]
            target = _place(sample, new.get(i), taken)
            _link(samples.images[i], draft / target)
            for name, mask in _masks(samples, i):
                _link(mask, draft / _beside(sample, name, target))
        atomic_write(draft / "keep.txt", "".join(f"{name}\n" for name in names))
        if (text := _manifest(samples, kept, new, _together(samples, done, kept), folder.absolute())) is not None:
            atomic_write(draft / "clean.csv", text)
        if folder.is_dir():
            folder.rmdir()  # it is empty
        draft.rename(folder)
    except OSError as error:
        raise RunError(f"{folder}: cannot write: {error.strerror}; name another folder") from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder


def check_clean(samples: SampleSet, folder: str | Path, *, link: bool) -> None:
    """Refuse what `write_clean` would refuse, before any image is read.

    Args:
        samples: the set.
        folder: where the cleaned set would go.
        link: as for `write_clean`.

    Raises:
        RunError: as `write_clean`.

    Example:
        >>> from plexus.data import SampleSet
        >>> table = SampleSet("scans", "scans.csv", "manifest", (), (), (), ())
        >>> check_clean(table, "clean", link=True)
        Traceback (most recent call last):
        plexus.errors.RunError: scans.csv: a manifest is not a folder to link; leave --link out
    """
    folder = Path(folder)
    if link and samples.layout in ("manifest", "parquet", "hub", "arrays"):
        raise RunError(f"{samples.where}: a {samples.layout} is not a folder to link; leave --link out")
    check_place(folder, folder=True, remedy="name another place with --write-clean")
    if folder.is_dir() and any(folder.iterdir()):
        raise RunError(f"{folder}: is not empty; name a new folder for the cleaned set")


def _together(samples: SampleSet, done: Audit, kept: Sequence[int]) -> dict[int, str | None]:
    """The group of each image that stays: those that pairs and groups connect have one, named by the first of them."""
    pairs = done.findings.pairs
    parts = parts_of(samples, np.array([p.a for p in pairs], np.int64), np.array([p.b for p in pairs], np.int64))
    members: dict[int, list[int]] = {}
    for i in kept:
        members.setdefault(int(parts[i]), []).append(i)
    names: dict[int, str | None] = {}
    for rows in members.values():
        given = next((samples.samples[i].group for i in rows if samples.samples[i].group is not None), None)
        name = given if given is not None or len(rows) < 2 else f"like {samples.samples[rows[0]].name}"
        names |= dict.fromkeys(rows, name)
    return names


def _manifest(
    samples: SampleSet, kept: Sequence[int], new: Mapping[int, str], groups: Mapping[int, str | None], folder: Path
) -> str | None:
    """A CSV manifest of what is kept, with paths from its own folder; None where an image is no file.

    Names stand as they are, in quotes, as spaces may belong to them: an apostrophe before a formula would name another
    file.
    """
    if any(not isinstance(samples.images[i], Path) for i in kept):
        return None
    some = [samples.samples[i] for i in kept]
    columns = [c for c in ("label", "mask", "group", "split") if any(getattr(s, c) is not None for s in some)]
    if any(groups.values()) and "group" not in columns:
        columns.append("group")
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_ALL)
    table.writerow(["path", *columns])
    for i, sample in zip(kept, some, strict=True):
        values = {"label": new.get(i, sample.label), "group": groups[i], "split": sample.split}
        values["mask"] = "|".join(_path(mask, folder) for _, mask in _masks(samples, i))
        table.writerow([_path(samples.images[i], folder), *(values[c] for c in columns)])
    return out.getvalue()


def _masks(samples: SampleSet, i: int) -> list[tuple[str, object]]:
    """Name and place of each mask of an image."""
    mask, place = samples.samples[i].mask, samples.masks[i]
    if not mask:
        return []
    places = place.parts if isinstance(place, tuple) else (place,)  # several are joined
    return [(str(PurePosixPath(mask).with_name(p.name)) if isinstance(p, Path) else mask, p) for p in places]


def _path(source: object, folder: Path) -> str:
    """A path from the folder where there is one, else the whole path."""
    if not isinstance(source, Path):
        return ""
    try:
        path = os.path.relpath(os.path.abspath(source), folder)
    except ValueError:  # another drive
        path = os.path.abspath(source)
    return PurePosixPath(path.replace(os.sep, "/")).as_posix()


def _place(sample: Sample, label: str | None, taken: set[str]) -> str:
    """The name of a link: the sample's own, or in the folder of its new class, under a name that is free there."""
    if label is None or sample.label is None:
        return sample.name
    parts = [*PurePosixPath(sample.name).parts]
    if sample.label not in parts[:-1]:
        return sample.name
    parts[max(i for i, part in enumerate(parts[:-1]) if part == sample.label)] = label
    wanted = PurePosixPath(*parts)
    name, number = str(wanted), 2
    while name in taken:
        name, number = str(wanted.with_name(f"{wanted.stem}-{number}{wanted.suffix}")), number + 1
    taken.add(name)
    return name


def _beside(sample: Sample, name: str, target: str) -> str:
    """The name of a mask's link: the mask's own, or moved with its image."""
    mask = PurePosixPath(name)
    if target == sample.name:
        return str(mask)
    added = mask.stem.removeprefix(PurePosixPath(sample.name).stem)
    moved = PurePosixPath(target)
    return str(moved.with_name(f"{moved.stem}{added}{mask.suffix}"))


def _link(source: object, target: Path) -> None:
    if not isinstance(source, Path):  # bytes of a table
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.is_symlink():
        target.symlink_to(os.path.abspath(source))
