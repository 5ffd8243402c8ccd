"""The figures behind each chart of a study, as CSV in links."""

from __future__ import annotations

import base64
import csv
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

from plexus.record import StudyRecord, spreadsheet_cell
from plexus.report._study_charts import Shown

Rows = list[dict[str, Any]]


def tables(
    record: StudyRecord,
    shown: Sequence[Shown],
    turned: Sequence[Mapping[str, Any]],
    gates: Sequence[tuple[str, str, list[list[float]]]],
    wirings: Sequence[Mapping[str, Any]],
    ranked: Sequence[Mapping[str, Any]],
    marked: Sequence[Mapping[str, Any]],
) -> dict[str, str]:
    """Return the figures behind each chart, as links."""
    variants = [each.variant for each in shown]
    rows: dict[str, Rows] = {
        key: [
            {"variant": v.name, "seed": seed, "epoch": i, key: value}
            for v in variants
            if key in v.curves
            for seed, curve in v.curves[key].seeds.items()
            for i, value in enumerate(curve, 1)
        ]
        for key in ("val_accuracy_curve", "train_loss")
    }
    rows["points"] = [
        {"variant": v.name, "seed": seed, record.measure: p} for v in variants for seed, p in v.points.items()
    ]
    rows["difference"] = [_difference(v.name, v.difference) for v in variants if v.difference]
    rows["speed"] = [_difference(v.name, v.speed) for v in variants if v.speed]
    rows["turned"] = [
        {"model": t["name"], "kind": t["kind"], "angle": angle, "accuracy": accuracy / 100}
        for t in turned
        for angle, accuracy in zip(t["angles"], t["accuracy"], strict=True)
    ]
    rows["gates"] = [
        {"variant": name, "seed": seed, "epoch": epoch, "gate": i, "value": value}
        for name, seed, history in gates
        for epoch, values in enumerate(history)
        for i, value in enumerate(values, 1)
    ]
    rows["wirings"] = [
        {"variant": w["variant"], "seed": w["seed"], "source": s, "target": t, "strength": strength}
        for w in wirings
        for s, t, strength in w["edges"]
    ]
    rows["ranking"] = [{"rank": i, **r} for i, r in enumerate(ranked, 1)]
    rows["found"] = [{"search": m["search"], "rank": m["at"], "mean": m["mean"], "what": m["text"]} for m in marked]
    rows["trials"] = [
        {"variant": trial.variant, "seed": trial.seed}
        | {name: value for name, value in trial.metrics.items() if isinstance(value, int | float | str)}
        for trial in record.records
    ]
    return {name: _table(each) for name, each in rows.items() if each}


def _difference(name: str, difference: StudyRecord.Difference) -> dict[str, Any]:
    ends = difference.bootstrap or (None, None)
    figures = {key: value for key, value in difference if key != "bootstrap"}
    return {"variant": name} | figures | {"bootstrap_low": ends[0], "bootstrap_high": ends[1]}


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as CSV in a link of its own; text that a spreadsheet would take for a formula is quoted by an apostrophe."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([_cell(column) for column in columns])
    writer.writerows([[_cell(row.get(column)) for column in columns] for row in rows])
    return f"data:text/csv;base64,{base64.b64encode(out.getvalue().encode()).decode()}"


def _cell(value: Any) -> Any:
    value = spreadsheet_cell(value)
    return "" if value is None or (isinstance(value, float) and not math.isfinite(value)) else value
