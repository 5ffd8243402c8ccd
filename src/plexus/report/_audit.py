"""The page of an audit: a function of its findings and its thumbnails."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from plexus.errors import RunError
from plexus.record import atomic_write
from plexus.report._page import document

Pictures = Mapping[int, Mapping[str, str | None]]


def render_audit(findings: Mapping[str, Any], pictures: Pictures | None = None) -> str:
    """An audit as one HTML page."""
    if not isinstance(findings, Mapping) or findings.get("kind") != "audit" or findings.get("format") != 1:
        raise RunError('not the findings of an audit: expected "kind": "audit" and "format": 1')
    return document("audit.html.j2", (), (), {"findings": findings, "pictures": pictures})


def write_audit(findings: Mapping[str, Any], pictures: Pictures | None, path: str | Path) -> Path:
    """Writes `render_audit`'s page to a file, whole or not at all, and returns its path."""
    return atomic_write(path, render_audit(findings, pictures))
