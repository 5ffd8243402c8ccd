"""Figures of a run and of a probe, as they print: aligned tables and lines, and tables in a notebook."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, overload

from plexus import report
from plexus.errors import ConfigError
from plexus.record import FitRecord, RobustnessRecord


class Results(Sequence[FitRecord.Result]):
    """The networks of a run on its test images: a sequence of rows, which prints as a table.

    Args:
        record: of a run.

    Example:
        >>> row = FitRecord.Result(name="final", label="learned wiring", accuracy=0.9, ci=[0.8, 0.95], parameters=10)
        >>> print(Results(FitRecord(results=[row])))
        network         accuracy        95 %  weights  MACs  ms  kB  train
        learned wiring     90.0%  80.0..95.0       10     -   -   -      -
    """

    def __init__(self, record: FitRecord) -> None:
        self._rows = record.results
        self._unequal = any(row.balanced_accuracy is not None for row in self._rows)

    @property
    def titles(self) -> tuple[str, ...]:
        """The titles of the columns; balanced accuracy is among them where classes are of unequal size."""
        more = ("balanced",) if self._unequal else ()
        return ("network", "accuracy", *more, "95 %", "weights", "MACs", "ms", "kB", "train")  # in 80 columns

    def __len__(self) -> int:
        """Return the number of networks."""
        return len(self._rows)

    @overload
    def __getitem__(self, at: int | str) -> FitRecord.Result: ...
    @overload
    def __getitem__(self, at: slice) -> list[FitRecord.Result]: ...
    def __getitem__(self, at: int | str | slice) -> FitRecord.Result | list[FitRecord.Result]:
        """Return a row by its place, or by its name, such as ``final``."""
        if isinstance(at, str):
            named = {row.name: row for row in self._rows}
            if at not in named:
                raise KeyError(f"{at!r} is no network of the run; it has {', '.join(named)}")
            return named[at]
        return self._rows[at]

    def __contains__(self, row: object) -> bool:
        """Return whether a row is there, by itself or by its name."""
        return any(row in (each.name, each) for each in self._rows)

    def __iter__(self) -> Iterator[FitRecord.Result]:
        """Iterate over the rows."""
        return iter(self._rows)

    def cells(self) -> list[tuple[str, ...]]:
        """Return the table as text, a tuple for each network."""
        return [
            (
                row.label or row.name,
                "-" if row.accuracy is None else f"{row.accuracy:.1%}",
                *(["-" if row.balanced_accuracy is None else f"{row.balanced_accuracy:.1%}"] if self._unequal else []),
                f"{100 * row.ci[0]:.1f}..{100 * row.ci[1]:.1f}" if row.accuracy is not None and row.ci else "-",
                _short(row.parameters),
                _short(row.macs),
                "-" if row.latency_ms is None else f"{row.latency_ms:.3f}",
                "-" if row.kb is None else f"{row.kb:,.0f}",
                "-" if row.train_seconds is None else f"{row.train_seconds:,.0f}s",
            )
            for row in self._rows
        ]

    def to_pandas(self) -> Any:
        """Return the figures as a pandas `DataFrame`, a row for each network.

        Raises:
            ConfigError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise ConfigError("to_pandas needs pandas: pip install pandas") from None
        return pandas.DataFrame([row.model_dump() for row in self._rows]).set_index("name")

    def __str__(self) -> str:
        """Return the table in aligned columns."""
        rows = [self.titles, *self.cells()]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join(
            "  ".join(
                cell.rjust(width) if i else cell.ljust(width)
                for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
            for row in rows
        )

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """Show the table in a notebook; text of the user's is escaped."""
        head = "".join(f"<th>{html.escape(title)}</th>" for title in self.titles)
        body = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in self.cells())
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _short(number: float | None) -> str:
    """A count in three digits: 12.9k, 3.41M."""
    if number is None:
        return "-"
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= 0.9995 * size:
            return f"{number / size:.3g}{unit}"
    return f"{number:.0f}"


class Probe:
    """Figures of models on turned images; prints as they do on the command line.

    Args:
        record: of `plexus.robustness.probe_models`.

    Example:
        >>> from plexus.record import RobustnessRecord
        >>> Probe(RobustnessRecord()).record.kind
        'rotation'
    """

    def __init__(self, record: RobustnessRecord) -> None:
        self.record = record

    def report(self, path: str | Path) -> Path:
        """Write the page.

        Args:
            path: the file.

        Raises:
            RunError: the file cannot be written.
        """
        return report.write(self.record, path)

    def __str__(self) -> str:
        """Return the figures in lines."""
        return "\n".join(report.rotation_lines(self.record))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """Show the figures in a notebook."""
        return f"<pre>{html.escape(str(self))}</pre>"
