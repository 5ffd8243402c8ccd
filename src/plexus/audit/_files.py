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
from plexus.record import AuditRecord, spreadsheet_cell, write_together

FILES = ("findings.json", "pairs.csv", "folds.json", "labels.csv", "audit.html")
"""Of an audit, in its folder."""


def write_files(done: Audit, folder: str | Path, *, keep: str | Path | None = None, page: str | None = None) -> Path:
    """Write `findings.json`, `pairs.csv`, and, where there are any, `folds.json` and `labels.csv`; return the folder.

    They come together, or not at all.

    Args:
        done: of `audit`.
        folder: is made where it is not there.
        keep: a file that stays, even where it would lie there from an earlier audit: decisions filled in.
        page: of `plexus.report.render`, for `audit.html`.

    Raises:
        RunError: the folder cannot be made, or one of the files not be written.
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
    found, dealt = done.findings, done.folds
    texts = (
        found.to_json(),
        _pairs_csv(found),
        None if dealt is None else json.dumps(dealt.to_dict(), ensure_ascii=False, indent=1),
        _labels_csv(found) if found.settings.labels else None,
        page,
    )
    mine = () if keep is None else (Path(keep).absolute(),)
    stay = {name for name in FILES if (folder / name).absolute() in mine} | ({"audit.html"} if page is None else set())
    files = dict(zip(FILES, texts, strict=True))
    write_together(folder, {name: text for name, text in files.items() if text is not None or name not in stay})
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
    """Return a text with commas that a spreadsheet may open."""
    out = io.StringIO()
    csv.writer(out).writerows([[spreadsheet_cell(value) for value in row] for row in rows])
    return out.getvalue()
