"""Files of an audit: findings, tables of pairs and doubtful labels for a spreadsheet, folds."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from plexus.audit._audit import Audit
from plexus.audit._suspects import new_label
from plexus.errors import RunError
from plexus.record import AuditRecord, atomic_write, spreadsheet_cell


def write_files(done: Audit, folder: str | Path, *, keep: str | Path | None = None) -> Path:
    """Write `findings.json`, `pairs.csv`, and, where there are any, `folds.json` and `labels.csv`; return the folder.

    Args:
        done: of `audit`.
        folder: is made where it is not there.
        keep: a file that stays, even where it would lie there from an earlier audit: decisions filled in.

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
    found, dealt = done.findings, done.folds
    texts = {
        "folds.json": None if dealt is None else json.dumps(dealt.to_dict(), ensure_ascii=False, indent=1),
        "labels.csv": _labels_csv(found) if found.settings.labels else None,
    }
    for name, text in texts.items():
        if text is None:
            if keep is None or Path(keep).absolute() != (folder / name).absolute():
                (folder / name).unlink(missing_ok=True)  # of an earlier audit
        else:
            atomic_write(folder / name, text)
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
    columns = ("name", "label", "group", "split", "present", "area", "keep", "decision")
    rows: list[list[Any]] = [
        ["distance", "expected_false", "sure", "kind", "exact", "contradiction", "dice", "leak"]
        + ["shift_rows", "shift_columns", "cluster", "scene", "scene_images", "scene_pairs_not_listed"]
        + [f"{side}_{column}" for side in "ab" for column in columns]
    ]
    scene = {i: k for k, one in enumerate(findings.scenes) for i in one.images}
    for pair in findings.pairs:
        a, b = findings.images[pair.a], findings.images[pair.b]
        row: list[Any] = [pair.distance, pair.expected, pair.sure, pair.kind, pair.exact, pair.contradiction, pair.dice]
        row += ["-".join(pair.leak) if pair.leak else None, *(pair.shift or (None, None)), a.cluster]
        both = scene.get(pair.a)
        if both is None or scene.get(pair.b) != both:
            row += [None] * 3
        else:  # each of its images is listed beside one of them
            row += [both, len(findings.scenes[both].images), findings.scenes[both].unlisted]
        rows.append(row + [getattr(image, c) for image in (a, b) for c in columns])
    return table(rows)


def _labels_csv(findings: AuditRecord) -> str:
    """One line for each doubtful label, the likeliest wrong first; with the last two filled in, decisions."""
    rows: list[list[Any]] = [
        ["name", "given", "suggested", "p_given", "p_suggested", "evidence", "decision", "label"],
    ]
    for s in findings.suspects:
        image = findings.images[s.image]
        label = new_label(image.decision)
        decided = "relabel" if label else image.decision
        rows.append([image.name, s.given, s.suggested, s.given_probability, s.probability, s.evidence, decided, label])
    return table(rows)


def table(rows: Iterable[Sequence[Any]]) -> str:
    """A text with commas that a spreadsheet may open."""
    out = io.StringIO()
    csv.writer(out).writerows([[spreadsheet_cell(value) for value in row] for row in rows])
    return out.getvalue()
