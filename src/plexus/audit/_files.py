"""Files of an audit: findings, pairs for a spreadsheet, folds, decisions, and the cleaned set."""

from __future__ import annotations

import csv
import io
import json
import os
import secrets
import shutil
from pathlib import Path
from typing import Any

from plexus.audit._audit import Audit
from plexus.data import SampleSet
from plexus.errors import DataError, RunError
from plexus.record import AuditRecord, atomic_write, read_json, spreadsheet_cell

DECISIONS = ("keep", "drop", "unsure")


def write_files(done: Audit, folder: str | Path) -> Path:
    """Write `findings.json`, `pairs.csv` and, where there are folds, `folds.json`; return the folder.

    Args:
        done: of `audit`.
        folder: is made where it is not there.

    Raises:
        RunError: the folder cannot be made, or not be written.
        TrainingError: the disk is full.

    Example:
        >>> import tempfile
        >>> from plexus.audit import Audit, Cleaned
        >>> from plexus.record import AuditRecord
        >>> done = Audit(AuditRecord(), folds=None, cleaned=Cleaned((), ()))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     sorted(path.name for path in write_files(done, folder).iterdir())
        ['findings.json', 'pairs.csv']
    """
    folder = make_folder(folder)
    done.findings.write(folder / "findings.json")
    atomic_write(folder / "pairs.csv", _pairs_csv(done.findings))
    if done.folds is not None:
        atomic_write(folder / "folds.json", json.dumps(done.folds.to_dict(), ensure_ascii=False, indent=1))
    else:
        (folder / "folds.json").unlink(missing_ok=True)  # of an earlier audit
    return folder


def make_folder(folder: str | Path) -> Path:
    """Make a folder where there is none.

    Raises:
        RunError: it cannot be made.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{folder}: is a file; name a folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{folder}: cannot make this folder: {error.strerror}; name another") from None
    return folder


def _pairs_csv(findings: AuditRecord) -> str:
    """One line for each pair; a text that a spreadsheet would take for a formula begins with an apostrophe."""
    out = io.StringIO()
    table = csv.writer(out)
    columns = ("name", "label", "group", "split", "present", "area", "keep")
    table.writerow(
        [
            "distance",
            "expected_false",
            "sure",
            "kind",
            "exact",
            "contradiction",
            "dice",
            "leak",
            "shift_rows",
            "shift_columns",
            "cluster",
        ]
        + [f"{side}_{column}" for side in "ab" for column in columns]
    )
    for pair in findings.pairs:
        a, b = findings.images[pair.a], findings.images[pair.b]
        row: list[Any] = [pair.distance, pair.expected, pair.sure, pair.kind, pair.exact, pair.contradiction, pair.dice]
        row += ["-".join(pair.leak) if pair.leak else None, *(pair.shift or (None, None)), a.cluster]
        table.writerow(
            [spreadsheet_cell(value) for value in row + [getattr(image, c) for image in (a, b) for c in columns]]
        )
    return out.getvalue()


def read_decisions(path: str | Path, samples: SampleSet) -> dict[str, str]:
    """Read the decisions that the page saved.

    Args:
        path: the file `audit-decisions.json`.
        samples: the set that they were made on.

    Returns:
        ``keep``, ``drop`` or ``unsure`` by name.

    Raises:
        DataError: no such file, another format, or a name that is not in the data.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> from plexus.data import open_samples
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Image.new("L", (8, 8)).save(f"{folder}/a.png")
        ...     file = Path(folder, "decisions.json")
        ...     _ = file.write_text('{"format": 1, "kind": "audit-decisions", "decisions": {"a.png": "keep"}}')
        ...     read_decisions(file, open_samples(folder))
        {'a.png': 'keep'}
    """
    remedy = "save the decisions from audit.html"
    raw = read_json(path, f"{remedy} again", kind="decisions file", missing=remedy, error=DataError)
    decisions = raw.get("decisions") if isinstance(raw, dict) else None
    if not isinstance(decisions, dict) or raw.get("kind") != "audit-decisions" or raw.get("format") != 1:
        raise DataError(f"{path}: not a decisions file; save the decisions from audit.html")
    names = {sample.name for sample in samples.samples}
    for name, decision in decisions.items():
        if decision not in DECISIONS:
            raise DataError(f"{path}: {name}: {decision!r} is no decision; choose from {', '.join(DECISIONS)}")
        if name not in names:
            raise DataError(
                f"{path}: {name}: there is no such image in {samples.where}; name the data they were made on"
            )
    return decisions


def write_clean(samples: SampleSet, done: Audit, folder: str | Path, *, link: bool = False) -> Path:
    """Write the names of the images to keep as `keep.txt`, one a line, and with ``link`` a tree of links to them.

    Args:
        samples: the set.
        done: its audit.
        folder: a new or empty folder; it is filled whole or not at all.
        link: symbolic links below ``folder``, in the layout of the data, masks too.

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
    try:
        for i in kept if link else []:
            sample = samples.samples[i]
            _link(samples.images[i], draft / sample.name)
            if sample.mask:
                _link(samples.masks[i], draft / sample.mask)
        atomic_write(draft / "keep.txt", "".join(f"{name}\n" for name in names))
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
    check_folder(folder)
    if folder.is_dir() and any(folder.iterdir()):
        raise RunError(f"{folder}: is not empty; name a new folder for the cleaned set")


def check_folder(folder: str | Path) -> None:
    """Refuse a folder that can neither be written nor made, without making it.

    Args:
        folder: it need not be there.

    Raises:
        RunError: it cannot.

    Example:
        >>> check_folder(__file__)
        Traceback (most recent call last):
        plexus.errors.RunError: ..._files.py: is a file; name a folder
    """
    there = Path(folder).absolute()
    while not there.exists() and there != there.parent:
        there = there.parent
    if not there.is_dir():
        raise RunError(f"{folder}: {'is' if there == Path(folder).absolute() else f'{there} is'} a file; name a folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise RunError(f"{folder}: {there} may not be written; name another folder")


def _link(source: object, target: Path) -> None:
    if not isinstance(source, Path):  # bytes of a table
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.is_symlink():
        target.symlink_to(os.path.abspath(source))
