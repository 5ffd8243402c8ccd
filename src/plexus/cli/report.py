"""`plexus report`: the page of a run."""

from __future__ import annotations

from pathlib import Path


def report(run: Path, /) -> None:
    """Write RUN/report.html again from RUN/record.json.

    Parameters
    ----------
    run
        A run folder that `plexus fit` made.
    """
    from plexus.record import RunRecord
    from plexus.report import write_report

    print(write_report(RunRecord.read(run / "record.json"), run / "report.html"))
