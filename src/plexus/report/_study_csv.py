"""The figures behind each chart, as CSV in links."""

from __future__ import annotations

import base64
import csv
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

from plexus.report._study_curves import moved
from plexus.report._study_ranking import ranked
from plexus.report._study_wirings import wirings


def tables(
    summary: Mapping[str, Any],
    found: Sequence[Mapping[str, Any]],
    turned: Sequence[Mapping[str, Any]],
    records: Sequence[Mapping[str, Any]],
) -> dict[str, str]:
    """The figures behind each chart, as links."""
    measure = summary["measure"]
    rows: dict[str, list[dict[str, Any]]] = {
        key: [
            {"variant": v["name"], "seed": seed, "epoch": i, key: value}
            for v in found
            for seed, curve in v["curves"].get(key, {}).get("seeds", {}).items()
            for i, value in enumerate(curve, 1)
        ]
        for key in ("val_accuracy_curve", "train_loss")
    }
    rows["points"] = [
        {"variant": v["name"], "seed": seed, measure: p} for v in found for seed, p in v["points"].items()
    ]
    for key in ("difference", "speed"):
        rows[key] = [
            {"variant": v["name"]} | {k: d for k, d in v[key].items() if k != "bootstrap"} | _ends(v[key]["bootstrap"])
            for v in found
            if v.get(key)
        ]
    rows["turned"] = [
        {"model": t["name"], "kind": t["kind"], "angle": a, "accuracy": p}
        for t in turned
        for a, p in zip(t["summary"]["angles"], t["summary"]["accuracy"], strict=True)
    ]
    rows["gates"] = [
        {"variant": name, "seed": seed, "epoch": epoch, "gate": i, "value": value}
        for name, seed, history in moved(found)
        for epoch, values in enumerate(history)
        for i, value in enumerate(values, 1)
    ]
    rows["wirings"] = [
        {"variant": w["variant"], "seed": w["seed"], "source": s, "target": t, "strength": strength}
        for w in wirings(found)
        for s, t, strength in w["edges"]
    ]
    places, marked = ranked(summary)
    rows["ranking"] = [{"rank": i, **r} for i, r in enumerate(places, 1)]
    rows["found"] = [{"search": m["search"], "rank": m["at"], "mean": m["mean"], "what": m["text"]} for m in marked]
    rows["trials"] = [
        {"variant": r["variant"], "seed": r["seed"]}
        | {k: v for k, v in r["metrics"].items() if isinstance(v, int | float | str)}
        for r in records
    ]
    return {name: table(each) for name, each in rows.items() if each}


def _ends(pair: Sequence[float] | None) -> dict[str, Any]:
    return {"bootstrap_low": pair[0] if pair else None, "bootstrap_high": pair[1] if pair else None}


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as CSV in a link of its own; text that a spreadsheet would take for a formula is quoted with an apostrophe.

    Example:
        >>> table([{"name": "=1", "mean": -1.5}]) == "data:text/csv;base64," + "bmFtZSxtZWFuDQonPTEsLTEuNQ0K"
        True
    """
    columns = list(dict.fromkeys(key for row in rows for key in row))
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([_cell(c) for c in columns])
    writer.writerows([[_cell(row.get(c)) for c in columns] for row in rows])
    return f"data:text/csv;base64,{base64.b64encode(out.getvalue().encode()).decode()}"


def _cell(value: Any) -> Any:
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{value}"
    return "" if value is None or (isinstance(value, float) and not math.isfinite(value)) else value
