"""The sections of a segmentation's page: sentences, tables, worst cases, skips, charts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import altair as alt
import numpy as np
from markupsafe import Markup

from plexus.errors import plural
from plexus.record import SegmentRecord
from plexus.report._charts import (
    ACCENT,
    INK,
    SOFT,
    WIDTH,
    bars,
    chart,
    curves,
    epochs,
    fixed,
    heights,
    intervals,
    paint,
)
from plexus.report._charts import to_svg as drawn
from plexus.report._formatting import NONE, count, decimal, duration, facts, percent, times

MEASURES = {
    "dice": ("Dice", "an image left empty where there is no target counts as 1"),
    "dice_present": ("Dice, target present", "only images with a target"),
    "dice_nan_skipped": ("Dice, empty skipped", "images where truth and mask are both empty are left out"),
    "hausdorff95": ("Hausdorff 95, px", "distance of the contours, where both are there"),
}
LAYERS = ("truth", "prediction", "error")
OWN = ("out-of-fold images", "validation images")
BINS = 20
FINAL = "var(--final)"
LOSSES = {"train_loss": ("training loss", "var(--chain)"), "val_loss": ("validation loss", "var(--learn)")}
DICE = {"val_dice": ("validation Dice", "var(--learn)")}


def sections(record: SegmentRecord) -> dict[str, Any]:
    """Return the values that the page's template names."""
    return {
        "headline": _headline(record),
        "lede": _lede(record),
        "skip": ("gates", "the results"),
        "rows": _rows(record),
        "own": record.measured_on in OWN,
        "gates": [(f"{title}: {note}", _gates(record, key)) for key, (title, note) in list(MEASURES.items())[:2]],
        "histograms": [
            ("Images with a target", _histogram(record, present=True)),
            ("Images without a target", _histogram(record, present=False)),
        ],
        "calibration": _calibration(record),
        "errors": _errors(record),
        "curves": [
            ("Loss", _curves(record, LOSSES, "Training and validation loss over the epochs", log=True)),
            ("Validation Dice", _curves(record, DICE, "Validation Dice over the epochs", log=False)),
        ],
        "shown": list(_shown(record)),
        "skips": _skips(record),
        "skipped": record.data.skipped,
        "notes": record.data.notes,
        "making": _making(record),
        "data": {"images": [row.model_dump(include=set(SegmentRecord.Image.model_fields)) for row in record.images]},
    }  # fmt: skip


def _ends(estimate: SegmentRecord.Estimate | None) -> tuple[float, float, float, int] | None:
    """Mean, ends of the interval and count, where they were measured."""
    if estimate is None or estimate.mean is None:
        return None
    low, high = (estimate.mean if end is None else end for end in (estimate.low, estimate.high))
    return estimate.mean, low, high, estimate.n or 0


def _headline(record: SegmentRecord) -> str:
    chosen = record.results.get(record.chosen)
    best = _ends(chosen.dice) if chosen else None
    if best is None:
        total = sum(len(fold.epochs) for fold in record.folds)
        return f"This run has not finished: {plural(total, 'epoch')} recorded so far."
    where = record.measured_on or "images"
    on = f"{count(best[3])} {where}" if where in OWN else f"{plural(best[3], 'image')} of {where}"
    dice = f"Dice {decimal(best[0])} ({decimal(best[1])} to {decimal(best[2])}) over {on}"
    nothing = _nothing(record, chosen) if chosen else ""
    alone = " comes of empty images alone" if nothing and chosen and chosen.presence.negatives else ""
    return f"{nothing} {dice}{alone}.".strip()


def _nothing(record: SegmentRecord, figures: SegmentRecord.Result) -> str:
    """Say that there was nothing to find, or that nothing was found; empty where something was."""
    p = figures.presence
    if not p.positives:
        return "The target was absent everywhere, so nothing is known of how it is found." if p.negatives else ""
    if p.false_negatives == p.positives:
        return f"Nothing was found: {_all_of(p.positives)} missed{record.missed_by_gate()}."
    if figures.dice_present is not None and figures.dice_present.mean == 0:
        return f"Nothing was found: no mask touches its target, of {plural(p.positives, 'target')}."
    return ""


def _all_of(targets: int) -> str:
    return "the one target was" if targets == 1 else f"all {count(targets)} targets were"


def _lede(record: SegmentRecord) -> str:
    """Tell what the gate does, in numbers."""
    own, plain = record.results.get(record.chosen), record.results.get("none")
    if own is None:
        return ""
    text = f"With the gate {record.chosen}: {_faults(own.presence)}."
    if plain is not None and record.chosen != "none" and (before := _ends(plain.dice)):
        text += f" With none: {_faults(plain.presence)}, Dice {decimal(before[0])}."
    return text + f" Intervals are 95\u00a0% by bootstrap over {'groups' if record.data.groups else 'images'}."


def _faults(p: SegmentRecord.Presence) -> str:
    missed = f"{count(p.false_negatives)} of {plural(p.positives or 0, 'target')} missed"
    return f"{missed}, {_false(p)}" if p.negatives else missed


def _false(p: SegmentRecord.Presence) -> str:
    return f"{count(p.false_positives)} of {count(p.negatives)} empty images given a mask"


def _rows(record: SegmentRecord) -> list[dict[str, Any]]:
    """One row per gate: Dice in its three readings, contours, presence."""
    rows = []
    for name, entry in record.results.items():
        cells = []
        for key, (title, _) in MEASURES.items():
            digits, known = 1 if key == "hausdorff95" else 3, _ends(getattr(entry, key))
            span = f"{known[1]:.{digits}f}{NONE}{known[2]:.{digits}f}" if known else ""
            cells.append((title, decimal(known[0] if known else None, digits), span))
        p = entry.presence
        cells += [
            ("targets missed", count(p.false_negatives), f"of {count(p.positives)}"),
            ("false masks", count(p.false_positives), f"of {count(p.negatives)}"),
            ("presence right", percent(p.accuracy), ""),
            ("AUC", decimal(p.auc), ""),
        ]
        rows.append({"name": name, "chosen": name == record.chosen, "cells": cells})
    return rows


def _shown(record: SegmentRecord) -> Iterator[dict[str, Any]]:
    """The worst images with their layers."""
    for entry in record.shown:
        truth, area = entry.truth_area, entry.area
        yield {
            "name": entry.name,
            "image": entry.image,
            "layers": [(key, uri) for key in LAYERS if (uri := getattr(entry, key))],
            "fault": "no target, yet a mask" if truth == 0 and area else "target missed" if truth and area == 0 else "",
            "dice": decimal(entry.dice),
            "presence": percent(entry.presence),
            "truth": percent(truth),
            "area": percent(area),
        }


def _skips(record: SegmentRecord) -> dict[str, Any]:
    """Gates of the skips as a matrix, decoder levels by encoder levels, in the mean over the nets that keep them."""
    nets = [fold.wiring for fold in record.folds if fold.wiring is not None]
    nets = nets or ([record.model.wiring] if record.model.wiring is not None else [])
    gates: dict[tuple[str, str], list[float]] = {}
    for net in nets:
        for edge in net.edges:
            if edge.strength is not None:
                gates.setdefault((edge.target, edge.source), []).append(edge.strength)
    nodes = nets[0].nodes if nets else []
    targets, sources = ([node for node in nodes if any(pair[end] == node for pair in gates)] for end in (0, 1))
    most = max((abs(gate) for each in gates.values() for gate in each), default=0) or 1.0
    rows = []
    for target in targets:
        cells: list[dict[str, Any]] = []
        for source in sources:
            each = gates.get((target, source), [])
            mean = sum(each) / len(each) if each else 0.0
            shade = 1 + round(4 * min(1.0, abs(mean) / most)) if each else 0
            cells.append({"text": decimal(mean, 2) if each else "", "shade": shade, "nets": len(each)})
        rows.append({"name": target, "cells": cells})
    return {"sources": sources, "rows": rows, "nets": len(nets)}


def _making(record: SegmentRecord) -> list[dict[str, Any]]:
    data, model = record.data, record.model
    parameters = None if model.parameters is None else count(model.parameters)
    frame = None
    if model.latency_ms is not None:
        frame = f"{decimal(model.latency_ms, 2)} ({times(data.size)}, ONNX on one thread)"
    return facts(
        {
            "Data": {key: getattr(data, key) for key in ("name", "fingerprint", "images", "present", "groups")}
            | {"network sees": times(data.size)},
            "Network": {"preset": model.preset, "neuron": model.neuron, "parameters": parameters, "ms a frame": frame},
            "Gate": record.gate,
            "Configuration": record.config,
            "Versions": record.versions,
            "Machine": record.machine,
            "Time": {name: duration(seconds) for name, seconds in record.seconds.items()},
        },
        whole="",
    )


def _gates(record: SegmentRecord, key: str) -> Markup:
    """One figure of every gate with its interval; empty where none was measured."""
    rows: list[dict[str, Any]] = []
    for gate, entry in record.results.items():
        if known := _ends(getattr(entry, key)):
            mean, low, high, n = known
            text = f"{gate}: {decimal(mean)}, interval {decimal(low)} to {decimal(high)}, {plural(n, 'image')}"
            color = FINAL if gate == record.chosen else INK
            rows.append({"gate": gate, "mean": mean, "low": low, "high": high, "text": text})
            rows[-1] |= {"at": len(rows) - 1, "stroke": color, "fill": color}
    return intervals([row["gate"] for row in rows], rows, f"{MEASURES[key][0]} of every gate", row=34)


def _histogram(record: SegmentRecord, *, present: bool) -> Markup:
    """Count images by their Dice, of those with a target or of those without."""
    images = [image for image in record.images if image.truth_area is not None and (image.truth_area > 0) == present]
    values = [image.dice for image in images if image.dice is not None]
    if not values:
        return Markup("")
    counts, edges = np.histogram(values, bins=BINS, range=(0, 1))
    rows = [
        {"low": low, "high": high, "count": n, "text": f"Dice {low:.2f} to {high:.2f}: {plural(n, 'image')}"}
        for low, high, n in zip(edges.tolist(), edges[1:].tolist(), counts.tolist(), strict=False)
        if n
    ]
    mean, most = float(np.mean(values)), int(counts.max())
    step = next(s * 10**p for p in range(9) for s in (1, 2, 5) if most <= 6 * s * 10**p)
    up = (alt.Scale(nice=True), alt.Axis(values=list(range(0, most + step, step)), format="d"))
    name = f"Distribution of Dice over {len(values)} images {'with' if present else 'without'} a target"
    color = ACCENT if present else "var(--supernet)"
    return bars(rows, fixed(0, 1), up, name, title="Dice", color=color, rule=(mean, f"mean {decimal(mean)}"))


def _calibration(record: SegmentRecord) -> Markup:
    """The fraction of images with a target against the probability foretold; points as large as their bins."""
    rows = [
        {
            "x": entry.predicted, "y": entry.observed, "count": entry.count,
            "text": f"foretold {percent(entry.predicted)}, found {percent(entry.observed)} of "
            f"{plural(entry.count, 'image')}",
        }
        for entry in record.calibration
        if entry.predicted is not None and entry.observed is not None and entry.count
    ]  # fmt: skip
    if not rows:
        return Markup("")
    most = max(entry.count or 0 for entry in record.calibration)
    size = alt.Size("count:Q", scale=alt.Scale(domain=[0, most], range=[24, 320]), legend=None)
    x, y = _unit("x", "probability of a target"), _unit("y")
    marks = chart(rows).mark_point(filled=True, color=ACCENT, opacity=0.85, clip=False)
    layers = [_diagonal(), marks.encode(x, y, size, description="text:N")]
    return _square(layers, "Share of images with a target against the probability foretold")


def _errors(record: SegmentRecord) -> Markup:
    """Targets found against empty images given a mask, as the threshold on presence moves, and where the gates are.

    Empty unless there are images of both kinds.
    """
    curve = _operating(record)
    rows: list[dict[str, Any]] = []
    for gate, entry in record.results.items():
        p = entry.presence
        if p.positives and p.negatives and p.false_negatives is not None and p.false_positives is not None:
            place = {"x": p.false_positives / p.negatives, "y": 1 - p.false_negatives / p.positives}
            color = FINAL if gate == record.chosen else INK
            rows.append({**place, "gate": gate, "text": f"{gate}: {_faults(p)}", "color": color})
    if len(curve) < 2 and not rows:
        return Markup("")
    x, y = _unit("x", "empty images given a mask", "%"), _unit("y", None, "%")
    line = chart([{"x": x, "y": y, "order": i} for i, (x, y) in enumerate(curve)])
    line = line.mark_line(aria=False, color=ACCENT, strokeWidth=1.8).encode(x, y, order="order:Q")
    shapes = alt.Scale(domain=[row["gate"] for row in rows], range=["circle", "square", "triangle-up", "diamond"])
    shape, color = alt.Shape("gate:N", scale=shapes, legend=None), paint(alt.Color, "color:N")
    points = chart(rows).mark_point(filled=True, size=80, opacity=1).encode(x, y, color, shape, description="text:N")
    key = chart([row | {"x": 0.6, "y": 0.07 + 0.09 * i} for i, row in enumerate(reversed(rows))]).encode(x, y, color)
    layers = [_diagonal(), *([line] if len(curve) > 1 else []), points]
    layers.append(key.mark_point(aria=False, filled=True, size=60, opacity=1).encode(shape))
    layers.append(key.mark_text(aria=False, align="left", dx=10, fontSize=11.5, limit=90).encode(text="gate:N"))
    return _square(layers, "Targets found against empty images given a mask")


def _operating(record: SegmentRecord) -> list[tuple[float, float]]:
    """(fraction of empty images, of targets) whose presence reaches a threshold, from the highest to the lowest."""
    known = [
        (i.presence, i.truth_area > 0) for i in record.images if i.presence is not None and i.truth_area is not None
    ]
    there = sum(target for _, target in known)
    empty = len(known) - there
    if not there or not empty:
        return []
    path, right, wrong = [(0.0, 0.0)], 0, 0
    for threshold in sorted({p for p, _ in known}, reverse=True):
        right += sum(target for p, target in known if p == threshold)
        wrong += sum(not target for p, target in known if p == threshold)
        path.append((wrong / empty, right / there))
    return path


def _unit(axis: str, title: str | None = None, form: str | None = None) -> Any:
    scale, ticks = fixed(0, 1, **({"format": form} if form else {}))
    return (alt.X if axis == "x" else alt.Y)(f"{axis}:Q", title=title, scale=scale, axis=ticks)


def _diagonal() -> alt.Chart:
    line = chart([{"x": 0, "y": 0}, {"x": 1, "y": 1}])
    return line.mark_line(aria=False, color=SOFT, strokeWidth=1, strokeDash=[2, 3]).encode(_unit("x"), _unit("y"))


def _square(layers: Sequence[Any], name: str) -> Markup:
    for layer in layers:
        layer.width = layer.height = WIDTH - 50
    return drawn(alt.LayerChart(layer=list(layers)), name)


def _curves(record: SegmentRecord, measures: dict[str, tuple[str, str]], name: str, *, log: bool) -> Markup:
    """Thin lines for folds, a thick one for their mean, a band from the least to the greatest."""
    rows = [row for key, (title, color) in measures.items() for row in _folds(record, key, title, color)]
    if not rows:
        return Markup("")
    return curves(rows, epochs(max(row["at"] for row in rows)), heights(rows, log=log), name, title="epochs")


def _folds(record: SegmentRecord, key: str, name: str, color: str) -> Iterator[dict[str, Any]]:
    """One entry per epoch and fold, and one per epoch for the mean of the folds that have come so far."""
    values: dict[int, list[float]] = {}
    for fold in record.folds:
        for at, epoch in enumerate(fold.epochs, 1):
            if (value := getattr(epoch, key)) is not None:
                values.setdefault(at, []).append(value)
                yield {"at": at, "value": value, "line": f"{name} {fold.fold}", "color": color, "width": 0.7}
    for at, each in sorted(values.items()):
        mean, low, high = sum(each) / len(each), min(each), max(each)
        over = f", folds {decimal(low)} to {decimal(high)}" if len(each) > 1 else ""
        text = f"{name}, epoch {at}: {decimal(mean)}{over}"
        line = {"at": at, "value": mean, "low": low, "high": high, "line": name, "color": color}
        yield line | {"width": 2.2, "text": text}
