"""The page of a rotation probe, and its record beside it."""

from __future__ import annotations

import errno
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from plexus.errors import RunError
from plexus.record import atomic_write
from plexus.report import _rotation_charts as charts
from plexus.report import _rotation_view as view
from plexus.report._page import document, embedded
from plexus.report._words import percent

FORMAT = 1
STYLES = ("base.css", "figures.css", "tables.css", "rotation.css")
SCRIPTS = ("tools.js", "page.js")


def render_rotation(record: Mapping[str, Any]) -> str:
    """A rotation probe as one HTML page; see `render` for what the page may do.

    Args:
        record: what `plexus.robustness.probe_models` returns and `rotation.json` holds.

    Raises:
        RunError: something else.

    Example:
        >>> render_rotation({"format": 1, "kind": "fit"})
        Traceback (most recent call last):
        plexus.errors.RunError: not a rotation probe: expected "kind": "rotation" and "format": 1 with one model or more
    """
    found = record if isinstance(record, Mapping) else {}
    if found.get("kind") != "rotation" or found.get("format") != FORMAT or not found.get("models"):
        raise RunError(
            f'not a rotation probe: expected "kind": "rotation" and "format": {FORMAT} with one model or more'
        )
    models = view.models(found)
    return document(
        "rotation.html.j2",
        STYLES,
        SCRIPTS,
        {
            "record": found,
            "headline": view.headline(models),
            "lede": view.lede(found),
            "masthead": view.masthead(found),
            "models": models,
            "polar": charts.polar(models),
            "flat": charts.flat(models),
            "bands": [(model, charts.band(model)) for model in models],
            "boxes": charts.boxes(models),
            "agreement": charts.agreement(models),
            "drift": charts.drift(models),
            "making": view.making(found),
            "data": Markup(embedded({})),
        },
    )


def write_rotation(record: Mapping[str, Any], folder: str | Path) -> Path:
    """Writes `rotation.json` and `rotation.html` into a folder, each whole or not at all; returns the page's path.

    Args:
        record: what `plexus.robustness.probe_models` returns.
        folder: is made where it is not there.

    Raises:
        RunError: the record is none, or the folder cannot be made.

    Example:
        >>> write_rotation({"kind": "fit"}, "probe")
        Traceback (most recent call last):
        plexus.errors.RunError: not a rotation probe: expected "kind": "rotation" and "format": 1 with one model or more
    """
    page = render_rotation(record)
    place = Path(folder)
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise RunError(f"{place}: cannot create the folder: {error.strerror}; name another with --out") from None
    atomic_write(place / "rotation.json", json.dumps(record, ensure_ascii=True, allow_nan=False, separators=(",", ":")))
    return atomic_write(place / "rotation.html", page)


def rotation_lines(record: Mapping[str, Any]) -> list[str]:
    """The figures as lines of text: a line for each model and group of angles.

    Args:
        record: what `plexus.robustness.probe_models` returns.

    Returns:
        A head line, then the figures.

    Example:
        >>> import tempfile
        >>> from plexus.robustness import probe_models
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder, "own.py")
        ...     _ = file.write_text(
        ...         "from torch import nn\\ndef flat():\\n    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))"
        ...     )
        ...     lines = rotation_lines(probe_models([f"{file}:flat"], "digits", step=90, images=20).to_dict())
        >>> lines[0].split()[:3], len(lines)
        (['model', 'degrees', 'accuracy'], 3)
    """
    models = view.models(record)
    wide = max(len("model"), *(len(view.printable(model["name"])) for model in models))
    lines = [f"{'model':<{wide}}  {'degrees':<13}{'accuracy':>9}{'95 %':>15}{'agreement':>11}{'logit drift':>13}"]
    for model in models:
        for row in model["rows"]:
            low, high = row["raw"]["accuracy_ci"]
            figures = (
                f"{percent(row['raw']['accuracy']):>9}{f'{100 * low:.1f}..{100 * high:.1f}':>15}"
                f"{percent(row['raw']['agreement']):>11}{row['raw']['drift']:>13.3f}"
            )
            lines.append(f"{view.printable(model['name']):<{wide}}  {row['degrees']:<13}{figures}")
    return lines
