"""The page is assembled: templates, style and script in one file that may load nothing and run nothing else."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from plexus.record import FitRecord, atomic_write
from plexus.report import _charts, _curves, _facts, _view, _words

STYLES = ("base.css", "figures.css", "tables.css")
SCRIPTS = ("tools.js", "layout.js", "drawing.js", "reading.js", "controls.js", "page.js")


def render(record: FitRecord | Mapping[str, Any]) -> str:
    """The report of a run as one HTML page.

    The page is a function of the record and of nothing else. Its Content-Security-Policy admits its own style and
    script by their hashes and embedded pictures, so that no text of the record can load or run anything.

    Args:
        record: a `FitRecord`, or the dict of one.

    Raises:
        RunError: the mapping is not a run record.

    Example:
        >>> page = render(FitRecord(command="plexus fit digits"))
        >>> "plexus fit digits" in page
        True
    """
    run = record if isinstance(record, FitRecord) else FitRecord.from_dict(record)
    run = FitRecord.from_dict(run.to_dict())
    return document("page.html.j2", STYLES, SCRIPTS, _context(run))


def write_report(record: FitRecord | Mapping[str, Any], path: str | Path) -> Path:
    """Writes `render`'s page to a file, whole or not at all, and returns its path.

    Args:
        record: a `FitRecord`, or the dict of one.
        path: the file; its folder must be there.

    Raises:
        RunError: the mapping is not a run record, or the file cannot be written.
        TrainingError: the disk is full.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_report(FitRecord(command="plexus fit digits"), Path(folder, "report.html")).name
        'report.html'
    """
    return atomic_write(path, render(record))


def document(template: str, styles: tuple[str, ...], scripts: tuple[str, ...], context: Mapping[str, Any]) -> str:
    """A page from its template; `policy` admits its own style and script by hash, and embedded pictures."""
    style, script = _static(styles), f'"use strict";\n(() => {{\n{_static(scripts)}}})();\n'
    policy = f"default-src 'none'; img-src data:; style-src {_hash(style)}; script-src {_hash(script)}; base-uri 'none'"
    return (
        _environment()
        .get_template(template)
        .render(**context, policy=policy + "; form-action 'none'", style=Markup(style), script=Markup(script))
    )


def _context(run: FitRecord) -> dict[str, Any]:
    """Everything the templates name."""
    drawing = _view.drawing(run)
    return {
        "record": run,
        "headline": _words.headline(run),
        "background": _facts.background(run),
        "verdict": _words.verdict(run),
        "gap": _words.gap(run),
        "masthead": _facts.masthead(run),
        "drawing": drawing,
        "data": Markup(embedded(drawing)),
        "reaches": [(i, name) for i, (_, name) in enumerate(_view.REACHES, 1) if _has_reach(drawing, i)],
        "networks": _view.networks(run),
        "budget_chart": _charts.budget(run),
        "accuracy_chart": _curves.accuracy(run),
        "loss_chart": _curves.loss(run),
        "gate_charts": _charts.gates(run),
        "importance_chart": _charts.importance(run),
        "connections": _view.connections(run),
        "confusion": _facts.confusion(run),
        "mistakes": _facts.mistakes(run),
        "making": _facts.making(run),
        "skipped": run.data.skipped,
    }


def _has_reach(drawing: Mapping[str, Any], reach: int) -> bool:
    return any(edge["reach"] == reach for edge in drawing["edges"])


def _environment() -> Environment:
    made = Environment(
        loader=FunctionLoader(lambda name: _read("templates", name)),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"decimal": _words.decimal, "count": _words.count, "plural": _words.plural}
    return made


def _static(names: tuple[str, ...]) -> str:
    return "".join(_read("static", name) for name in names)


def _read(folder: str, name: str) -> str:
    return (files("plexus.report") / folder / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def embedded(value: Any) -> str:
    """JSON that ends no script element: everything but ASCII, and <, > and &, is written as an escape."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
