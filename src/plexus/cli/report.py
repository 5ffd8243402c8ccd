"""`plexus report`: the page of a run."""

from __future__ import annotations

from pathlib import Path


def report(run: Path, /) -> None:
    """Write RUN/report.html again from RUN/record.json.

    Parameters
    ----------
    run
        A run folder that `plexus fit` or `plexus segment train` made.
    """
    import json

    from plexus.record import RunRecord
    from plexus.report import write_report, write_segment

    record, page = run / "record.json", run / "report.html"
    try:
        raw = json.loads(record.read_bytes())
    except (OSError, ValueError):
        raw = None  # `read` says what is wrong with it
    if isinstance(raw, dict) and raw.get("kind") == "segment":
        print(write_segment(raw, page))
    else:
        print(write_report(RunRecord.read(record), page))
