"""Records: all that a run, an audit, a probe or a trial has to say, as JSON with types, checked where it is read."""

from plexus.record._base import FORMAT, Record, atomic_write, digest, plain, read_json, to_json
from plexus.record._kinds import (
    KINDS,
    AuditRecord,
    ClaimsRecord,
    FitRecord,
    RepresentRecord,
    RobustnessRecord,
    SegmentRecord,
    StudyRecord,
    TrialRecord,
    read_record,
    record_of,
)

__all__ = [
    "FORMAT",
    "KINDS",
    "AuditRecord",
    "ClaimsRecord",
    "FitRecord",
    "Record",
    "RepresentRecord",
    "RobustnessRecord",
    "SegmentRecord",
    "StudyRecord",
    "TrialRecord",
    "atomic_write",
    "digest",
    "plain",
    "read_json",
    "read_record",
    "record_of",
    "to_json",
]
