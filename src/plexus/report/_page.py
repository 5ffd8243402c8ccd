"""A record becomes a page: one file of templates, style and script that may load nothing and run nothing else."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from plexus.errors import RunError, plural
from plexus.record import Record, atomic_write, read_record, record_of
from plexus.report import _audit, _claims, _fit, _represent, _robustness, _segment, _study
from plexus.report import _formatting as formatting


class Page(NamedTuple):
    """The parts of one kind of record's page, beside those that all pages share."""

    title: str
    template: str
    sections: Callable[[Any], dict[str, Any]]
    """The values that the template names, from the record."""
    style: str = ""
    scripts: tuple[str, ...] = ()


PAGES = {
    "fit": Page(
        "run report", "fit.html.j2", _fit.sections, scripts=("layout.js", "drawing.js", "reading.js", "controls.js")
    ),
    "segment": Page("segmentation", "segment.html.j2", _segment.sections, "segment.css", ("segment-table.js",)),
    "represent": Page(
        "representation", "represent.html.j2", _represent.sections, "represent.css", ("represent-map.js",)
    ),
    "audit": Page(
        "audit", "audit.html.j2", _audit.sections, "audit.css",
        ("audit-pairs.js", "audit-decide.js", "audit-list.js", "audit-sheet.js", "audit-stage.js", "audit-keys.js"),
    ),
    "rotation": Page("rotation probe", "rotation.html.j2", _robustness.sections, "rotation.css"),
    "study": Page("study", "study.html.j2", _study.sections, "study.css"),
    "claims": Page("claims", "claims.html.j2", _claims.sections, "study.css"),
}  # fmt: skip
"""Kind of record -> its page."""


def render(
    record: Record | Mapping[str, Any], *, pictures: Mapping[int, Mapping[str, str | None]] | None = None
) -> str:
    """Return a record as one HTML page, chosen by its kind.

    The page is a function of the record and of nothing else. Its Content-Security-Policy admits its own style and
    script by their hashes and embedded pictures, so that no text of the record can load or run anything.

    Args:
        record: a record of any kind, or the dict of one; of a trial, render the `StudyRecord` that holds it.
        pictures: of images in the pairs of an audit, by index: `image`, a data URI, and `mask`, one of a transparent
            PNG with the outline, or None.

    Returns:
        The page.

    Raises:
        RunError: no record, a broken one, or one of a kind that has no page.

    Example:
        >>> from plexus.record import FitRecord
        >>> "plexus fit digits" in render(FitRecord(command="plexus fit digits"))
        True
    """
    found = record if isinstance(record, Record) else record_of(record)
    found.check()
    if found.kind not in PAGES:
        raise RunError(f"a {found.kind or 'record of no kind'} has no page of its own; render the study's StudyRecord")
    page = PAGES[found.kind]
    seed = f"seed {found.seed}" if "seed" in found.model_fields_set else ""
    name = getattr(found.data, "name", "") or getattr(found.data, "spec", "")
    usual: dict[str, Any] = {
        "masthead": (name, formatting.day(found.created), seed),
        "pictures": None,
        "skipped": [],
        "notes": [],
    }
    context = usual | {"making": [], "data": {}} | page.sections(found)
    if found.kind == "audit":
        context["pictures"] = _embedded(_audit.pictures(found, pictures or {}))  # type: ignore[arg-type]
    style = _static("base.css", "figures.css", "tables.css", *filter(None, [page.style]))
    script = f'"use strict";\n(() => {{\n{_static("tools.js", *page.scripts, "page.js")}}})();\n'
    policy = f"default-src 'none'; img-src data:; style-src {_hash(style)}; script-src {_hash(script)}; base-uri 'none'"
    return (
        _environment()
        .get_template(page.template)
        .render(
            **context | {"data": _embedded(context["data"])}, record=found, page=page,
            policy=policy + "; form-action 'none'", style=Markup(style), script=Markup(script),
        )
    )  # fmt: skip


def write(
    record: Record | Mapping[str, Any],
    path: str | Path,
    *,
    pictures: Mapping[int, Mapping[str, str | None]] | None = None,
) -> Path:
    """Write `render`'s page to a file, whole or not at all.

    Args:
        record: a record of any kind, or the dict of one.
        path: the file; its folder must be there.
        pictures: see `render`.

    Returns:
        The path.

    Raises:
        RunError: no record, or the file cannot be written.
        TrainingError: the disk is full.

    Example:
        >>> import tempfile
        >>> from plexus.record import FitRecord
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write(FitRecord(command="plexus fit digits"), Path(folder, "report.html")).name
        'report.html'
    """
    return atomic_write(path, render(record, pictures=pictures))


def write_run(folder: str | Path) -> tuple[Any, Path]:
    """Write the page of a run from its record, by its kind.

    Args:
        folder: the run folder.

    Returns:
        The record, and the page: `report.html` in the folder.

    Raises:
        RunError: there is no record, it is broken, or the page cannot be written.

    Example:
        >>> write_run("nowhere")
        Traceback (most recent call last):
        plexus.errors.RunError: nowhere/record.json: cannot read the run record: ...; name a run folder
    """
    record = read_record(Path(folder) / "record.json")
    return record, write(record, Path(folder) / "report.html")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FunctionLoader(lambda name: _read("templates", name)),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {name: getattr(formatting, name) for name in ("command", "count", "decimal")}
    environment.filters["plural"] = plural
    return environment


def _static(*names: str) -> str:
    return "".join(_read("static", name) for name in names)


def _read(folder: str, name: str) -> str:
    return (files("plexus.report") / folder / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _embedded(value: Any) -> Markup:
    """JSON that ends no script element: everything but ASCII, and <, > and &, is written as an escape."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))
