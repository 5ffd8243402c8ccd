"""The page of a segmentation run: a function of its record."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from plexus.errors import RunError
from plexus.record import atomic_write
from plexus.report import _segment_charts as charts
from plexus.report import _segment_curves as curves
from plexus.report import _segment_view as view
from plexus.report._page import document, embedded

FORMAT = 1
STYLES = ("base.css", "figures.css", "tables.css", "segment.css")
SCRIPTS = ("tools.js", "segment-table.js", "page.js")


def render_segment(record: Mapping[str, Any]) -> str:
    """A segmentation run, or its evaluation on other data, as one HTML page; see `render` for what the page may do.

    Args:
        record: what `record.json` of the run holds, finished or not.

    Raises:
        RunError: something else.

    Example:
        >>> render_segment({"format": 1, "kind": "fit"})
        Traceback (most recent call last):
        plexus.errors.RunError: not the record of a segmentation: expected "kind": "segment" and "format": 1 with data
    """
    found = record if isinstance(record, Mapping) else {}
    if found.get("kind") != "segment" or found.get("format") != FORMAT or not isinstance(found.get("data"), Mapping):
        raise RunError(f'not the record of a segmentation: expected "kind": "segment" and "format": {FORMAT} with data')
    images, results = view.images(found), view.results(found)
    chosen, folds = str(found.get("chosen")), found.get("folds") or []
    return document(
        "segment.html.j2",
        STYLES,
        SCRIPTS,
        {
            "record": found,
            "headline": view.headline(found),
            "lede": view.lede(found),
            "masthead": view.masthead(found),
            "rows": view.rows(found),
            "measures": view.MEASURES,
            "gates": [
                (f"{title}: {note}", charts.gates(results, chosen, key, f"{title} of every gate"))
                for key, (title, note) in list(view.MEASURES.items())[:2]
            ],
            "histograms": [
                (f"{what} a target", charts.histogram(images, present=present))
                for present, what in ((True, "Images with"), (False, "Images without"))
            ],
            "calibration": charts.calibration(found.get("calibration")),
            "errors": charts.errors(images, results, chosen),
            "curves": [
                (title, chart)
                for title, chart in (("Loss", curves.losses(folds)), ("Validation Dice", curves.dice(folds)))
                if chart
            ],
            "folds": folds,
            "shown": view.shown(found),
            "layers": view.LAYERS,
            "skips": view.skips(found),
            "images": len(images),
            "skipped": [str(name) for name in found["data"].get("skipped") or ()],
            "notes": [str(note) for note in found["data"].get("notes") or ()],
            "making": view.making(found),
            "data": Markup(embedded({"images": images})),
        },
    )


def write_segment(record: Mapping[str, Any], path: str | Path) -> Path:
    """Writes `render_segment`'s page to a file, whole or not at all, and returns its path.

    Args:
        record: what `record.json` of the run, or `evaluation.json`, holds.
        path: the file; its folder must be there.

    Raises:
        RunError: the record is none of a segmentation, or the file cannot be written.
        TrainingError: the disk is full.

    Example:
        >>> write_segment({"kind": "fit"}, "report.html")
        Traceback (most recent call last):
        plexus.errors.RunError: not the record of a segmentation: expected "kind": "segment" and "format": 1 with data
    """
    return atomic_write(path, render_segment(record))
