"""`plexus report`: the page of a run."""

from __future__ import annotations

from pathlib import Path

from plexus.cli._show import write_page
from plexus.errors import one_line


def report(run: Path, /) -> None:
    """Write RUN/report.html again from RUN/record.json.

    Parameters
    ----------
    run
        A run folder that `plexus fit`, `plexus segment train` or `plexus represent train` made.
    """
    print(one_line(str(write_page(run)[1])))
