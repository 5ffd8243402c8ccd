"""The page of a segmentation run: a function of its record."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from plexus.errors import RunError
from plexus.record import atomic_write
from plexus.report._page import document


def render_segment(record: Mapping[str, Any]) -> str:
    """A segmentation run as one HTML page."""
    if not isinstance(record, Mapping) or record.get("kind") != "segment" or record.get("format") != 1:
        raise RunError('not the record of a segmentation: expected "kind": "segment" and "format": 1')
    return document("segment.html.j2", (), (), {"record": record})


def write_segment(record: Mapping[str, Any], path: str | Path) -> Path:
    """Writes `render_segment`'s page to a file, whole or not at all, and returns its path."""
    return atomic_write(path, render_segment(record))
