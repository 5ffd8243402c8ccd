"""`plexus report`: the page of a run."""

from __future__ import annotations

from pathlib import Path

from plexus.errors import one_line


def report(run: Path, /) -> None:
    """Write RUN/report.html again from RUN/record.json.

    Parameters
    ----------
    run
        A run folder that `plexus fit`, `plexus segment train` or `plexus represent train` made.
    """
    from plexus.report import write_run

    print(one_line(str(write_run(run)[1])))
