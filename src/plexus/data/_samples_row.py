"""One image as a layout gives it, before groups and missing masks are settled."""

from __future__ import annotations

from dataclasses import dataclass

from plexus.data._samples import Place


@dataclass(frozen=True)
class Row:
    """One image: its name, where it and its mask are, and what is said of it."""

    name: str
    image: Place
    label: str | None = None
    mask: Place | None = None
    mask_name: str | None = None
    group: str | None = None
    split: str | None = None
