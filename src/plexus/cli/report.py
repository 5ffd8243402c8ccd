"""`plexus report`: the page of a run."""

from __future__ import annotations

from pathlib import Path


def report(run: Path, /) -> None:
    """Write RUN/report.html again from RUN/record.json.

    Parameters
    ----------
    run
        A run folder that `plexus fit`, `plexus segment train` or `plexus represent train` made.
    """
    import json

    from plexus.record import FitRecord
    from plexus.report import write_report, write_represent, write_segment

    record, page = run / "record.json", run / "report.html"
    try:
        raw = json.loads(record.read_bytes())
    except (OSError, ValueError, RecursionError):
        raw = None  # `read` says what is wrong with it
    kind = raw.get("kind") if isinstance(raw, dict) else None
    if kind == "segment":
        print(write_segment(raw, page))
    elif kind == "represent":
        print(write_represent(raw, page))
    else:
        print(write_report(FitRecord.read(record), page))
