"""The page of a representation: a function of its record."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from plexus.errors import RunError
from plexus.record import atomic_write
from plexus.report import _represent_charts as charts
from plexus.report import _represent_view as view
from plexus.report._page import document, embedded
from plexus.report._shape import ANY, shaped

FORMAT = 1
STYLES = ("base.css", "figures.css", "tables.css", "represent.css")
_TURNING = {"angles": [None], "moved": [None]}
SHAPE = {
    "data": {"in_shape": [None], "counts": {}, "skipped": [None]},
    "config": {}, "versions": {}, "machine": {}, "seconds": {}, "model": {}, "units": {},
    "results": {"turning": _TURNING, "classifier": {}, "linear": {}, "knn": {}},
    "pictures": {"traversals": [{}]},
    "map": {"x": [None], "y": [None], "labels": [None], "names": [None], "classes": [None]},
    "epochs": [{}],
    "variations": [{}],
    "fewshot": [{"classes": [None], "heads": {ANY: {}}, "gains": {ANY: {}}}],
    "probe": {"rows": [{"linear": {}, "knn": {}, "turning": _TURNING}]},
}  # fmt: skip
"""What the page reads of a record."""
SCRIPTS = ("tools.js", "represent-map.js", "page.js")


def render_represent(record: Mapping[str, Any]) -> str:
    """A representation as one HTML page; see `render` for what the page may do.

    Args:
        record: what `record.json` of a run of `plexus represent train` holds, finished or not.

    Raises:
        RunError: something else, or a part of a finished record is not there.

    Example:
        >>> render_represent({"format": 1, "kind": "fit"})
        Traceback (most recent call last):
        plexus.errors.RunError: not the record of a representation: expected "kind": "represent" and "format": 1
    """
    found = record if isinstance(record, Mapping) else {}
    if found.get("kind") != "represent" or found.get("format") != FORMAT:
        raise RunError(f'not the record of a representation: expected "kind": "represent" and "format": {FORMAT}')
    if found.get("finished"):
        for part in ("data", "results", "pictures"):
            if not isinstance(found.get(part), Mapping):
                raise RunError(f"broken record of a representation: {part!r} is not there; train again")
    found = shaped(found, SHAPE)
    rows = view.probed(found)
    return document(
        "represent.html.j2",
        STYLES,
        SCRIPTS,
        {
            "record": found,
            "headline": view.headline(found),
            "lede": view.lede(found),
            "masthead": view.masthead(found),
            "figures": view.figures(found),
            "pictures": view.pictures(found),
            "variations": view.variations(found),
            "map": bool(view.plane(found)),
            "classes": view.plane(found).get("classes") or [],
            "probe": view.probe_rows(rows),
            "probed_on": str((found.get("probe") or {}).get("data") or ""),
            "tradeoffs": [
                (title, chart)
                for title, chart in (
                    ("Over the balance", charts.over(rows, "balance")),
                    ("Recognition against reconstruction, each point a balance", charts.tradeoff(rows)),
                    ("Over the size of Z", charts.over(rows, "dim")),
                )
                if chart
            ],
            "fewshot": view.fewshot(found),
            "shots": charts.fewshot(found.get("fewshot") or []),
            "turning": charts.turning((found.get("results") or {}).get("turning")),
            "curves": [
                (title, chart)
                for title, chart in (
                    ("Share of the pixels' variance left unexplained", charts.unexplained(found.get("epochs") or [])),
                    ("Accuracy of the classifier on Z, validation", charts.accuracy(found.get("epochs") or [])),
                )
                if chart
            ],
            "skipped": [str(name) for name in (found.get("data") or {}).get("skipped") or ()],
            "making": view.making(found),
            "data": Markup(embedded({"map": view.plane(found)})),
        },
    )


def write_represent(record: Mapping[str, Any], path: str | Path) -> Path:
    """Writes `render_represent`'s page to a file, whole or not at all, and returns its path.

    Args:
        record: what `record.json` of the run holds.
        path: the file; its folder must be there.

    Raises:
        RunError: the record is none of a representation, or the file cannot be written.
        TrainingError: the disk is full.

    Example:
        >>> write_represent({"kind": "fit"}, "report.html")
        Traceback (most recent call last):
        plexus.errors.RunError: ...
    """
    return atomic_write(path, render_represent(record))
