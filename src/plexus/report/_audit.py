"""The page of an audit: a function of its findings and its thumbnails."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from plexus.errors import RunError
from plexus.record import atomic_write
from plexus.report import _audit_view as view
from plexus.report._audit_charts import distances
from plexus.report._page import document, embedded

FORMAT = 1
STYLES = ("base.css", "figures.css", "tables.css", "audit.css")
SCRIPTS = (
    "tools.js", "audit-pairs.js", "audit-list.js", "audit-stage.js", "audit-decide.js", "audit-keys.js", "page.js",
)  # fmt: skip
PARTS = (("data", Mapping), ("settings", Mapping), ("summary", Mapping), ("images", list), ("pairs", list))
Pictures = Mapping[int, Mapping[str, str | None]]


def render_audit(findings: Mapping[str, Any], pictures: Pictures | None = None) -> str:
    """An audit as one HTML page, where pairs are looked at and decided; see `render` for what the page may do.

    Args:
        findings: what `findings.json` holds.
        pictures: of images in pairs, by their index: `image`, a data URI, and `mask`, one of a transparent PNG with
            the outline, or None.

    Raises:
        RunError: something else, or a pair of images that are not there.

    Example:
        >>> render_audit({"format": 1, "kind": "fit"})
        Traceback (most recent call last):
        plexus.errors.RunError: not the findings of an audit: expected "kind": "audit" and "format": 1 with data,
        settings, summary, images, pairs
    """
    found = findings if isinstance(findings, Mapping) else {}
    whole = all(isinstance(found.get(part), kind) for part, kind in PARTS)
    if found.get("kind") != "audit" or found.get("format") != FORMAT or not whole:
        parts = ", ".join(part for part, _ in PARTS)
        raise RunError(f'not the findings of an audit: expected "kind": "audit" and "format": {FORMAT} with {parts}')
    reviewed = view.payload(found)
    groups = view.clusters(found)
    problems = found.get("problems") or []
    return document(
        "audit.html.j2",
        STYLES,
        SCRIPTS,
        {
            "found": found,
            "headline": view.headline(found),
            "lede": view.lede(found),
            "masthead": view.masthead(found),
            "tiles": view.tiles(found),
            "distances": distances(found),
            "pairs": len(reviewed["pairs"]),
            "clusters": groups[: view.SHOWN],
            "more_clusters": max(0, len(groups) - view.SHOWN),
            "named": view.NAMED,
            "problems": problems[: view.SHOWN],
            "more_problems": max(0, len(problems) - view.SHOWN),
            "notes": [str(note) for note in found["data"].get("notes") or ()],
            "making": view.making(found),
            "data": Markup(embedded(reviewed)),
            "pictures": Markup(embedded(view.pictures(found, pictures))),
        },
    )


def write_audit(findings: Mapping[str, Any], pictures: Pictures | None, path: str | Path) -> Path:
    """Writes `render_audit`'s page to a file, whole or not at all, and returns its path.

    Args:
        findings: what `findings.json` holds.
        pictures: of `plexus.audit.pictures`, or None.
        path: the file; its folder must be there.

    Raises:
        RunError: the findings are none of an audit, or the file cannot be written.
        TrainingError: the disk is full.

    Example:
        >>> write_audit({"kind": "fit"}, None, "audit.html")
        Traceback (most recent call last):
        plexus.errors.RunError: not the findings of an audit: expected "kind": "audit" and "format": 1 with data,
        settings, summary, images, pairs
    """
    return atomic_write(path, render_audit(findings, pictures))
