"""What the page of a rotation probe says: rows, sentences and pictures, from plain JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from plexus.report._facts import PICTURE
from plexus.report._words import MINUS, NONE, count, day, decimal, duration, number, percent, plural

GROUPS = {
    "upright": ("0", "no turn"),
    "exact": ("90, 180, 270", "exact quarter turns"),
    "interpolated": ("all others", "interpolated"),
}
COLORS = ("--learn", "--final", "--supernet", "--reach-3", "--reach-6", "--chain")
"""Of the models, in turn."""


def models(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One entry per model: its name, color, curves, table rows and failures."""
    classes = record["data"].get("classes") or []
    found = []
    for i, entry in enumerate(record["models"]):
        summary = entry["curve"]["summary"]
        found.append(
            {
                "name": str(entry.get("name", "")),
                "source": str(entry.get("source", "")),
                "own": entry.get("own") is True,
                "seconds": entry.get("seconds"),
                "color": f"var({COLORS[i % len(COLORS)]})",
                "dashed": i >= len(COLORS),
                "summary": summary,
                "overall": float(np.mean(summary["accuracy"])),
                "rows": _rows(summary),
                "fate": _fate(summary),
                "failures": [_failure(failure, classes) for failure in entry.get("failures") or ()],
            }
        )
    return found


def _rows(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows = []
    for name, (degrees, note) in GROUPS.items():
        if group := summary["groups"].get(name):
            cells = [
                (title, percent(group[key]), _span(group[f"{key}_ci"], 100, 1))
                for title, key in (("accuracy", "accuracy"), ("true class", "probability"), ("agreement", "agreement"))
            ]
            cells.append(("logit drift", decimal(group["drift"], 2), _span(group["drift_ci"], 1, 2)))
            rows.append({"degrees": degrees, "note": note, "cells": cells, "angles": group["angles"], "raw": group})
    return rows


def _span(pair: Any, scale: float, digits: int) -> str:
    if not pair:
        return ""
    low, high = (scale * end for end in pair)
    return f"{max(0.0, low):.{digits}f}{NONE}{min(100.0, high) if scale == 100 else high:.{digits}f}"


def _fate(summary: Mapping[str, Any]) -> str:
    """How long the images that are right upright stay right."""
    group = summary["groups"].get("upright")
    right = round(group["accuracy"] * summary["images"]) if group else 0
    turns = sorted(turn for turn in summary["first_failure"] if number(turn) is not None)
    if not right:
        return ""
    stay = right - len(turns)
    said = f"Of {plural(right, 'image')} it gets right upright, {count(stay)} stay right at every angle probed"
    half = turns[math.ceil(right / 2) - 1] if len(turns) >= right / 2 else None
    return f"{said}." if half is None else f"{said}; half have failed once turned by {half:g}\u00b0 to either side."


def _failure(entry: Mapping[str, Any], classes: Sequence[Any]) -> dict[str, Any]:
    def named(index: Any) -> str:
        return str(classes[index]) if isinstance(index, int) and 0 <= index < len(classes) else str(index)

    def picture(key: str) -> str:
        text = entry.get(key)
        return text if isinstance(text, str) and PICTURE.match(text) else ""

    return {
        "name": str(entry.get("name", "")),
        "true": named(entry.get("true")),
        "predicted": named(entry.get("predicted")),
        "turn": _signed(number(entry.get("angle")) or 0.0),
        "before": percent(entry.get("before")),
        "after": percent(entry.get("after")),
        "probability": percent(entry.get("probability")),
        "upright": picture("upright"),
        "turned": picture("turned"),
    }


def _signed(angle: float) -> str:
    """350 -> -10 degrees: the shorter way, with a true minus sign."""
    folded = (angle + 180) % 360 - 180
    return f"{MINUS if folded < 0 else ''}{abs(folded):g}\u00b0"


def headline(found: Sequence[Mapping[str, Any]]) -> str:
    """The result in one sentence."""
    if len(found) > 1:
        ranked = sorted(found, key=lambda model: -model["overall"])
        others = ", ".join(f"{percent(m['overall'])} {m['name']}" for m in ranked[1:4])
        return f"Over all angles {ranked[0]['name']} is right on {percent(ranked[0]['overall'])}; {others}."
    groups = found[0]["summary"]["groups"]
    said = [
        f"{percent(groups[name]['accuracy'])} {words}"
        for name, words in (
            ("upright", "right upright"), ("exact", "after quarter turns"), ("interpolated", "at all other angles"),
        )
        if groups.get(name)
    ]  # fmt: skip
    return f"{', '.join(said)}."


def lede(record: Mapping[str, Any]) -> str:
    """How it was measured."""
    summary = record["models"][0]["curve"]["summary"]
    total = record["data"].get("test")
    of = f" of {count(total)}" if number(total) is not None and total != summary["images"] else ""
    angles = count(len(summary["angles"]))
    text = f"{count(summary['images'])}{of} test images, each turned counter-clockwise to {angles} angles. "
    if record.get("mask") == "circle":
        text += (
            "What lies outside the inscribed circle is black at every angle, 0\u00b0 too: corners give nothing away. "
        )
    else:
        text += "Corners are kept: turned images lose theirs to black, which a model may notice. "
    return text + "Multiples of 90\u00b0 are exact; other angles are interpolated, which blurs a little by itself."


def masthead(record: Mapping[str, Any]) -> list[str]:
    """Name of the data, date and seed."""
    data = record["data"]
    name = str(data.get("name") or data.get("spec") or "")
    return [part for part in (name, day(str(record.get("created", ""))), f"seed {record.get('seed')}") if part]


def making(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Groups of name and value on the data, the models and the versions."""
    data = record["data"]
    facts = {
        "source": data.get("spec"),
        "fingerprint": data.get("fingerprint"),
        "image size": " \u00d7 ".join(map(str, data.get("in_shape") or ())),
        "classes": len(data.get("classes") or ()),
        "images": data.get("images"),
    }
    each = {str(m.get("name")): f"{m.get('source')} ({duration(m.get('seconds'))})" for m in record["models"]}
    groups = {"Data": facts, "Models, and time": each, "Versions": record.get("versions") or {}}
    return [
        {"title": title, "rows": [(name, str(value)) for name, value in group.items() if value not in (None, "")]}
        for title, group in groups.items()
    ]


def printable(text: str) -> str:
    """Text that stays on its line in a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
