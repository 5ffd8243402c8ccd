"""What the page shows of the images, the mistakes and the making of a run."""

from __future__ import annotations

import re
from typing import Any

from plexus.record import FitRecord
from plexus.report._words import NONE, count, day, duration, percent, plural

PICTURE = re.compile(r"data:image/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/]+={0,2}\Z")
MOST_CLASSES = 20  # a larger confusion matrix is read as a list of its largest entries


def class_name(record: FitRecord, index: Any) -> str:
    """The name of a class, or its index where the record has none."""
    names = record.data.classes
    return names[index] if isinstance(index, int) and 0 <= index < len(names) else str(index)


def confusion(record: FitRecord) -> dict[str, Any]:
    """Rows of the matrix with a shade from 0 to 5 per cell, or its largest entries where there are many classes."""
    matrix = record.confusion
    total = sum(sum(row) for row in matrix)
    if not total or any(len(row) != len(matrix) for row in matrix):
        return {"rows": [], "pairs": [], "names": [], "wrong": 0, "total": 0}
    names = [class_name(record, i) for i in range(len(matrix))]
    wrong = total - sum(row[i] for i, row in enumerate(matrix))
    most = max((n for i, row in enumerate(matrix) for j, n in enumerate(row) if i != j), default=0)
    rows = []
    for i, row in enumerate(matrix):
        shades = [0 if i == j or not n else 1 + round(4 * n / most) for j, n in enumerate(row)]
        recall = percent(row[i] / sum(row)) if sum(row) else NONE
        rows.append({"name": names[i], "cells": list(zip(row, shades, strict=True)), "right": i, "recall": recall})
    entries = ((n, i, j) for i, row in enumerate(matrix) for j, n in enumerate(row) if i != j and n)
    largest = sorted(entries, key=lambda entry: (-entry[0], entry[1:]))[:MOST_CLASSES]
    pairs = [{"true": names[i], "predicted": names[j], "count": n} for n, i, j in largest]
    shown = rows if len(matrix) <= MOST_CLASSES else []
    return {"rows": shown, "pairs": pairs, "names": names, "wrong": wrong, "total": total}


def mistakes(record: FitRecord) -> list[dict[str, str]]:
    """The worst mistakes; a picture that is not an embedded bitmap is left out, its words stay."""
    shown = []
    for entry in record.mistakes:
        shown.append(
            {
                "name": entry.name,
                "image": entry.image,
                "true": class_name(record, entry.true),
                "predicted": class_name(record, entry.predicted),
                "probability": percent(entry.probability),
            }
        )
    return shown


def masthead(record: FitRecord) -> list[str]:
    """Name of the data, date and seed: what tells this run from the next."""
    name = record.data.name or record.data.spec
    return [part for part in (name, day(record.created), f"seed {record.seed}") if part]


def background(record: FitRecord) -> str:
    """One sentence on what was learned from what, and how long it took."""
    layers = len([n for n in record.nodes if n not in ("input", "head")])
    counts = record.data.counts
    images = f" on {count(counts['train'])} training images" if "train" in counts else ""
    then = {"finetune": "fine-tuned", "retrain": "trained anew from fresh weights"}.get(record.then, "")
    parts = [f"A net of {plural(layers, 'layer')} learned{images} which of its connections to keep"] if layers else []
    if parts and then:
        parts.append(f"the pruned net was then {then}")
    text = "; ".join(parts)
    if text and record.seconds.get("total") is not None:
        text += f". {'The whole run took' if record.finished else 'So far it took'} {duration(record.seconds['total'])}"
    tested = f" Tested on {plural(counts['test'], 'image')}." if text and record.results and counts.get("test") else ""
    return f"{text}.{tested}" if text else ""


def making(record: FitRecord) -> list[dict[str, Any]]:
    """Groups of name and value: configuration, data, versions, machine and time; empty groups are left out."""
    data = record.data
    facts = {
        "source": data.spec,
        "fingerprint": data.fingerprint,
        "image size": " \u00d7 ".join(str(n) for n in data.in_shape),
        "classes": len(data.classes) or None,
        **data.counts,
    }
    groups = {
        "Configuration": record.config,
        "Data": facts,
        "Versions": record.versions,
        "Machine": record.machine,
        "Time": {name: duration(spent) for name, spent in record.seconds.items()},
    }
    shown = []
    for title, group in groups.items():
        if rows := [
            (name, _value(value)) for name, value in group.items() if value not in (None, "") or group is record.config
        ]:
            shown.append({"title": title, "rows": rows})
    return shown


def _value(value: Any) -> str:
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
