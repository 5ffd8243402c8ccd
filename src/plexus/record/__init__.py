"""Records: all that a run, an audit, a probe or a trial has to say, as JSON with types, checked where it is read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from plexus.errors import RunError
from plexus.record._audit import AuditRecord
from plexus.record._base import FORMAT, Record, digest, plain, read_json, spreadsheet_cell, to_json
from plexus.record._files import atomic_write, check_place, open_file, read_file, write_together
from plexus.record._fit import FitRecord
from plexus.record._origin import cores, machine, versions
from plexus.record._represent import RepresentRecord
from plexus.record._robustness import RobustnessRecord
from plexus.record._segment import SegmentRecord
from plexus.record._studies import ClaimsRecord, StudyRecord, TrialRecord

__all__ = [
    "FORMAT", "KINDS", "AuditRecord", "ClaimsRecord", "FitRecord", "Record", "RepresentRecord", "RobustnessRecord",
    "SegmentRecord", "StudyRecord", "TrialRecord", "atomic_write", "check_place", "cores", "digest", "machine",
    "open_file", "plain", "read_file", "read_json", "read_record", "record_of", "spreadsheet_cell", "to_json",
    "versions", "write_together",
]  # fmt: skip

KINDS: dict[str, type[Record]] = {
    str(kind.model_fields["kind"].default): kind
    for kind in (
        FitRecord, SegmentRecord, RepresentRecord, AuditRecord, RobustnessRecord, TrialRecord, StudyRecord, ClaimsRecord
    )
}  # fmt: skip
"""What a record's `kind` says -> its class."""


def record_of(raw: Mapping[str, Any]) -> Record:
    """Return the record of a dict, in the class that its kind says.

    Args:
        raw: what a record's file holds.

    Raises:
        RunError: no record, or a broken one.

    Example:
        >>> type(record_of({"format": 1, "kind": "audit"})).__name__
        'AuditRecord'
    """
    return _chosen(raw).from_dict(raw)


def read_record(path: str | Path) -> Record:
    """Read a record of any kind.

    Args:
        path: `record.json`, `evaluation.json`, `findings.json`, `rotation.json`, or the file of a trial.

    Returns:
        The record, in the class that its kind says.

    Raises:
        RunError: the file is missing, broken or foreign; the message names it and the remedy.

    Example:
        >>> read_record("nowhere/record.json")
        Traceback (most recent call last):
        plexus.errors.RunError: nowhere/record.json: cannot read the run record: No such file or directory; ...
    """
    raw = read_json(path)
    try:
        return _chosen(raw)._parse(raw)
    except RunError as error:
        raise RunError(f"{path}: {error}") from None


def _chosen(raw: Any) -> type[Record]:
    if not isinstance(raw, Mapping):
        return FitRecord  # which says what is wrong
    if "kind" not in raw:
        return StudyRecord if "variants" in raw else TrialRecord if "variant" in raw else FitRecord
    kind = raw["kind"]
    if not isinstance(kind, str) or kind not in KINDS:
        raise RunError(f"not a run record of this version: unknown kind {kind!r:.40}; upgrade plexus")
    return KINDS[kind]
