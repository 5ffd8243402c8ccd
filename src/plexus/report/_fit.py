"""The sections of a training's page: sentences, the drawing's data, tables, charts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import altair as alt
from markupsafe import Markup
from scipy.stats import rankdata

from plexus.record import FitRecord
from plexus.report._charts import (
    ACCENT,
    CLEAR,
    HEIGHT,
    INK,
    SOFT,
    Row,
    chart,
    curves,
    epochs,
    fixed,
    logarithm,
    numbers,
    paint,
    to_svg,
)
from plexus.report._formatting import NONE, count, decimal, duration, facts, percent, plural, points, short, times

REACHES = ((1, "next layer"), (2, "2"), (4, "3\u20134"), (7, "5\u20137"), (11, "8\u201311"), (math.inf, "12 or more"))
"""Classes of how many layers a connection spans: upper bound and name."""
MOST_CLASSES = 20
"""A larger confusion matrix is read as a list of its largest entries."""
PHASES = {
    "chain": "chain", "supernet": "supernet", "learn": "learning", "final": "final net", "random": "random wiring",
    "direct": "never wider", "linear": "linear head", "resnet": "ResNet",
}  # fmt: skip
COMPETITORS = ("random", "direct", "linear", "resnet")
"""Names of the controls, as their colours."""
CURVES = {"val_accuracy": "validation accuracy", "val_loss": "validation loss", "train_loss": "training loss"}
Gates = list[list[float | None]]


def sections(record: FitRecord) -> dict[str, Any]:
    """Return the values that the page's template names."""
    drawing, gates = _drawing(record), _gate_history(record)
    return {
        "headline": _headline(record),
        "lede": f"{_background(record)} {_verdict(record)}".strip(),
        "skip": ("wiring", "the wiring"),
        "gap": _gap(record),
        "drawing": drawing,
        "data": drawing,
        "reaches": [(i, name) for i, (_, name) in enumerate(REACHES, 1) if i in {e["reach"] for e in drawing["edges"]}],
        "networks": _networks(record),
        "cost_charts": _cost_charts(record),
        "competitors": [(r.name, r.label) for r in record.results if r.name in COMPETITORS],
        "phases": {_phase(epoch) for epoch in record.epochs},
        "accuracy_chart": _curves(record, ["val_accuracy"], "Validation accuracy in percent over the epochs"),
        "loss_chart": _curves(record, ["train_loss", "val_loss"], "Training and validation loss over the epochs"),
        "gate_charts": _gate_charts(record, gates),
        "importance_chart": _importance_chart(record),
        "connections": _connections(record, gates),
        "mapped": any(edge.maps for edge in record.edges),
        "confusion": _confusion(record),
        "mistakes": [
            (entry, _class_name(record, entry.true), _class_name(record, entry.predicted), percent(entry.probability))
            for entry in record.mistakes
        ],
        "making": _making(record),
        "skipped": record.data.skipped,
        "notes": record.data.notes,
    }


def _phase(epoch: FitRecord.Epoch) -> str:
    """The phase of an epoch; one cycle in which edges are cut is learning to its end."""
    return "learn" if epoch.phase == "fit" else epoch.phase


def _result(record: FitRecord, name: str) -> FitRecord.Result | None:
    """The entry of `results` with this name, if its accuracy was measured."""
    return next((r for r in record.results if r.name == name and r.accuracy is not None), None)


def _headline(record: FitRecord) -> str:
    kept = _kept_count(record)
    start = f"Kept {count(kept)} of {plural(len(record.edges), 'connection')}" if kept is not None else ""
    best = _result(record, "final") or _result(record, "pruned")
    if not record.finished:
        return f"This run has not finished: {plural(len(record.epochs), 'epoch')} recorded so far."
    if best is None:
        return f"{start}; the net was not tested." if start else "A run without a tested net."
    chain, uncut = _result(record, "chain"), next((r for r in record.results if r.name == "uncut"), None)
    if uncut is not None and best.macs and uncut.macs and best.parameters and uncut.parameters:
        smaller = f"{uncut.macs / best.macs:.1f} times fewer multiply-adds than with nothing cut"
        return f"{percent(best.accuracy)} of the test images right with {short(best.parameters)} parameters: {smaller}."
    against = f" against {percent(chain.accuracy)} for the chain" if chain else " of the test images right"
    size = f", {short(best.parameters)} parameters" if best.parameters is not None else ""
    return f"{start or 'Trained'}: {percent(best.accuracy)}{against}{size}."


def _kept_count(record: FitRecord) -> int | None:
    """The number of connections that the chosen budget keeps, or None before pruning."""
    if record.chosen is not None:
        return len(record.budgets[record.chosen].kept)
    marked = [edge.kept for edge in record.edges if edge.kept is not None]
    return sum(marked) if marked else None


def _background(record: FitRecord) -> str:
    """Tell what was learned from what, and how long it took."""
    layers = len([node for node in record.nodes if node not in ("input", "head")])
    if not layers:
        return ""
    counts, total = record.data.counts, record.seconds.get("total")
    images = f" on {count(counts['train'])} training images" if "train" in counts else ""
    maps = (
        sum(edge.maps[0] for edge in record.edges if edge.maps),
        sum(edge.maps[1] for edge in record.edges if edge.maps),
    )
    of = f": {count(maps[0])} of {count(maps[1])} between its maps" if maps[1] else ""
    what = f"connections to keep{of}"
    if record.plan.channels is not None:
        what = f"channels to keep, {percent(record.plan.channels)} of each stream's"
    text = f"A net of {plural(layers, 'layer')} learned{images} which of its {what}"
    then = {"finetune": "fine-tuned", "retrain": "trained anew from fresh weights"}.get(record.then, "")
    text += f"; the pruned net was then {then}" if then else ""
    text += f". It reads the maps of {record.front}" if record.front else ""
    text += f"; {record.teacher} taught it, with {teacher}" if (teacher := _taught(record)) else ""
    if total is not None:
        text += f". {'The whole run took' if record.finished else 'So far it took'} {duration(total)}"
    return f"{text}." + (f" Tested on {plural(n, 'image')}." if record.results and (n := counts.get("test")) else "")


def _taught(record: FitRecord) -> str:
    """The part that the teacher's answers had in the loss, and what they are worth; empty without one."""
    share, row = record.config.get("teacher_share"), _result(record, "teacher")
    if not record.teacher:
        return ""
    right = f"; it has {percent(row.accuracy)} of the test images right itself" if row is not None else ""
    return f"{percent(share) if isinstance(share, float) else 'part'} of the loss{right}"


def _verdict(record: FitRecord) -> str:
    """Tell if final net and chain differ by more than their 95 % intervals can explain."""
    final, chain = _result(record, "final"), _result(record, "chain")
    if not final or final.ci is None:
        return ""
    plain = _result(record, "resnet")
    if plain is not None and plain.latency_ms and final.latency_ms and final.accuracy and plain.accuracy:
        sizes = (plain.parameters or 0) / (final.parameters or 1)
        more = f" and {sizes:.1f} times the parameters" if sizes else ""
        return (
            f"A plain ResNet that takes {decimal(plain.latency_ms, 3)} ms for an image (this net "
            f"{decimal(final.latency_ms, 3)}) has {percent(plain.accuracy)}{more}; the difference is "
            f"{points(final.accuracy - plain.accuracy)}. {_overlap(final.ci, plain.ci)}"
        ).rstrip()
    linear = _result(record, "linear")
    if linear is not None and linear.accuracy is not None and final.accuracy is not None:
        return (
            f"A linear layer on the backbone's pooled last map, trained as long, has {percent(linear.accuracy)}; the "
            f"difference is {points(final.accuracy - linear.accuracy)}. {_overlap(final.ci, linear.ci)}"
        ).rstrip()
    return _overlap(final.ci, chain.ci if chain else None)


def _overlap(one: Sequence[float], other: Sequence[float] | None) -> str:
    """Tell if two intervals leave open which net is better."""
    if other is None:
        return ""
    if one[0] > other[1] or one[1] < other[0]:
        return "The 95 % intervals of the two do not overlap."
    return "The 95 % intervals of the two overlap, so this run alone does not settle which is better."


def _gap(record: FitRecord) -> str:
    """The change by cutting alone, with no training in between."""
    before, after, kept = record.gap.before, record.gap.after, _kept_count(record)
    if before is None or after is None:
        return ""
    split = {"val": "validation", "test": "test"}.get(record.gap.split, "validation")
    cut = f" {plural(len(record.edges) - kept, 'connection')}" if kept is not None else ""
    return (
        f"Cutting{cut}, with no training afterwards, took {split} accuracy from {percent(before)} to {percent(after)}: "
        f"{points(after - before)}."
    )


def _reach(record: FitRecord, edge: FitRecord.Edge) -> int:
    """The class of a connection's length, 1 for the next layer to 6 for the longest."""
    length = record.nodes.index(edge.target) - record.nodes.index(edge.source)
    return next(i for i, (most, _) in enumerate(REACHES, 1) if length <= most)


def _drawing(record: FitRecord) -> dict[str, Any]:
    """All that the drawing and its controls read, as JSON: indices for names, four decimals for values."""

    def rounded(value: float | None, digits: int = 4) -> float | None:
        return None if value is None else round(value, digits)

    history = _gate_history(record)
    return {
        "nodes": [{"name": name, "label": record.labels.get(name, "")} for name in record.nodes],
        "edges": [
            {
                "source": record.nodes.index(edge.source),
                "target": record.nodes.index(edge.target),
                "reach": _reach(record, edge),
                "gate": rounded(_gate(edge, i, history)),
                "strength": rounded(edge.strength),
                "ablation": rounded(edge.ablation, 6),
                "kept": edge.kept is not False,
                "maps": edge.maps,
            }
            for i, edge in enumerate(record.edges)
        ],
        "budgets": [
            {
                "kept": b.kept,
                "parameters": b.parameters,
                "macs": b.macs,
                "ms": b.latency_ms,
                "kb": b.kb,
                "accuracy": b.val_accuracy,
            }
            for b in record.budgets
        ],
        "chosen": record.chosen,
        "epochs": [[rounded(gate) for gate in gates] for gates in history],
    }


def _gate_history(record: FitRecord) -> Gates:
    """The gates of every learning epoch; an epoch whose gates do not match the connections is left out."""
    learning = [epoch.gates for epoch in record.epochs if _phase(epoch) == "learn"]
    return [gates for gates in learning if gates and len(gates) == len(record.edges)]


def _gate(edge: FitRecord.Edge, i: int, history: Gates) -> float | None:
    """The gate of connection `i` as recorded, or as the last learning epoch left it."""
    return edge.gate if edge.gate is not None else history[-1][i] if history else None


def _networks(record: FitRecord) -> dict[str, Any]:
    """The rows that compare the networks, and one scale of accuracy for all their intervals."""
    ends = [end for r in record.results if r.accuracy is not None for end in r.ci or (r.accuracy,)]
    if not ends:
        return {"rows": [], "ticks": []}
    low, high, step = _scale(min(ends), max(ends))

    def across(fraction: float) -> float:
        return round(100 * (fraction - low) / (high - low), 2)

    rows = [
        {
            "name": entry.name,
            "label": entry.label or entry.name,
            "neurons": entry.neurons,
            "accuracy": percent(entry.accuracy),
            "balanced": percent(entry.balanced_accuracy),
            "interval": f"{100 * entry.ci[0]:.1f}{NONE}{100 * entry.ci[1]:.1f}" if entry.ci else "",
            "ends": [across(end) for end in entry.ci or ()],
            "at": None if entry.accuracy is None else across(entry.accuracy),
            "parameters": count(entry.parameters),
            "macs": short(entry.macs),
            "latency": decimal(entry.latency_ms, 3),
            "kb": count(None if entry.kb is None else round(entry.kb)),
            "train": duration(entry.train_seconds),
        }
        for entry in record.results
    ]
    marks = [low + i * step for i in range(round((high - low) / step) + 1)]
    unequal = any(entry.balanced_accuracy is not None for entry in record.results)
    return {
        "rows": rows,
        "unequal": unequal,
        "ticks": [{"at": across(mark), "text": f"{100 * mark:.3g}"} for mark in marks],
    }


def _scale(low: float, high: float) -> tuple[float, float, float]:
    """Round ends around the data and a step between two and five marks: (.951, .992) -> (.94, 1.0, .02)."""
    width = max(high - low, 0.01)
    step = next(s for s in (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5) if width / s <= 4 or s == 0.5)
    start, stop = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return start * step, max(stop, start + 1) * step, step


def _connections(record: FitRecord, history: Gates) -> dict[str, Any]:
    """Every connection beside what cutting it costs, and how well the two orders agree."""
    gates = [_gate(edge, i, history) for i, edge in enumerate(record.edges)]
    widest = max((abs(gate or 0) for gate in gates), default=0) or 1
    costliest = max((edge.ablation or 0 for edge in record.edges), default=0)
    rows = [
        {
            "edge": edge,
            "gate": gate,
            "order": (record.nodes.index(edge.source), record.nodes.index(edge.target)),
            "reach": _reach(record, edge),
            "gate_bar": round(40 * abs(gate or 0) / widest, 1),
            "ablation_bar": round(40 * max(0.0, edge.ablation or 0) / costliest, 1) if costliest > 0 else 0,
        }
        for gate, edge in zip(gates, record.edges, strict=True)
    ]
    pairs = [(g, e.ablation) for g, e in zip(gates, record.edges, strict=True) if None not in (g, e.ablation)]
    return {"rows": rows, "sentence": _agreement(pairs)}


def _agreement(pairs: Sequence[tuple[Any, Any]]) -> str:
    """Rank correlation of gate and ablation in words; the sentence says so where it cannot be computed."""
    if not pairs:
        return "No connection was cut on its own in this run, so there is nothing to hold the gates against."
    text = "Each connection was cut on its own and the validation loss measured again."
    correlation = _spearman(pairs)
    if correlation is None:
        return text
    strength = (
        "the gates order the connections almost as ablation does"
        if correlation > 0.8
        else "a large gate usually, but not always, marks a connection that matters"
        if correlation > 0.4
        else "the size of a gate says little about what its connection is worth"
    )
    return (
        f"{text} The rank correlation of gate and rise in loss is {decimal(correlation, 2)} over {len(pairs)} "
        f"connections: {strength}."
    )


def _spearman(pairs: Sequence[tuple[float, float]]) -> float | None:
    """Pearson correlation of the ranks; None where one side is constant, of which scipy warns."""
    if len(pairs) < 3:
        return None
    a, b = (rankdata(side) - (len(pairs) + 1) / 2 for side in zip(*pairs, strict=True))
    length = math.sqrt(float(a @ a) * float(b @ b))
    return float(a @ b) / length if length else None


def _class_name(record: FitRecord, index: int | None) -> str:
    """The name of a class, or its index where the record has none."""
    names = record.data.classes
    return names[index] if index is not None and 0 <= index < len(names) else str(index)


def _confusion(record: FitRecord) -> dict[str, Any]:
    """Rows of the matrix with a shade from 0 to 5 per cell, or its largest entries where there are many classes."""
    matrix = record.confusion
    total = sum(sum(row) for row in matrix)
    if not total or any(len(row) != len(matrix) for row in matrix):
        return {"rows": [], "pairs": [], "names": [], "wrong": 0, "total": 0}
    names = [_class_name(record, i) for i in range(len(matrix))]
    entries = [(n, i, j) for i, row in enumerate(matrix) for j, n in enumerate(row) if i != j and n]
    most = max((n for n, _, _ in entries), default=0)
    rows = []
    for i, row in enumerate(matrix):
        shades = [0 if i == j or not n else 1 + round(4 * n / most) for j, n in enumerate(row)]
        recall = percent(row[i] / sum(row)) if sum(row) else NONE
        rows.append({"name": names[i], "cells": list(zip(row, shades, strict=True)), "right": i, "recall": recall})
    largest = sorted(entries, key=lambda entry: (-entry[0], entry[1:]))[:MOST_CLASSES]
    return {
        "rows": rows if len(matrix) <= MOST_CLASSES else [],
        "pairs": [(names[i], names[j], n) for n, i, j in largest],
        "names": names,
        "wrong": sum(n for n, _, _ in entries),
        "total": total,
    }


def _making(record: FitRecord) -> list[dict[str, Any]]:
    data = record.data
    shape = {"image size": times(data.in_shape), "classes": len(data.classes) or None}
    return facts(
        {
            "Configuration": record.config,
            "Data": {"source": data.spec, "fingerprint": data.fingerprint, **shape, **data.counts},
            "Versions": record.versions,
            "Machine": record.machine,
            "Time": {name: duration(seconds) for name, seconds in record.seconds.items()},
        }
    )


COSTS = {
    "latency_ms": ("milliseconds for one image", "ms"), "kb": ("kilobytes of the file", "kB"),
    "macs": ("multiply-adds", "multiply-adds"),
}  # fmt: skip


def _cost_charts(record: FitRecord) -> list[tuple[str, Markup]]:
    """Validation accuracy against what each budget costs; against the connections kept where no cost was measured."""
    measured = [budget for budget in record.budgets if budget.val_accuracy is not None]
    charts: list[tuple[str, Markup]] = []
    for field, (title, unit) in COSTS.items():
        rows = [
            {
                "at": cost, "value": 100 * budget.val_accuracy, "line": "", "color": INK, "width": 1.2, "dot": 1,
                "text": f"{short(cost) if cost >= 1000 else decimal(cost, 3)} {unit}: {percent(budget.val_accuracy)}",
            }
            for budget in measured
            if (cost := getattr(budget, field)) is not None and budget.val_accuracy is not None
        ]  # fmt: skip
        if len(rows) > 1 and (field != "macs" or not charts):  # old records know multiply-adds alone
            rows += _controls(record, field, unit)
            name = f"Validation accuracy in percent against {title}"
            charts.append((title, curves(rows, numbers(6, zero=True, nice=False), numbers(), name, title=title)))
    return charts


def _controls(record: FitRecord, field: str, unit: str) -> list[dict[str, Any]]:
    """The competitors, as points beside the budgets."""
    return [
        {
            "at": cost, "value": 100 * row.val_accuracy, "line": row.name, "color": f"var(--{row.name})", "width": 0,
            "dot": 1,
            "text": f"{row.label}: {short(cost) if cost >= 1000 else decimal(cost, 3)} {unit}, "
            f"{percent(row.val_accuracy)}",
        }
        for row in record.results
        if row.name in COMPETITORS
        and (cost := getattr(row, field)) is not None
        and row.val_accuracy is not None
    ]  # fmt: skip


def _points(record: FitRecord, keys: Sequence[str]) -> list[dict[str, Any]]:
    """One entry per epoch and measure.

    The final phase goes on where learning ended, the chain starts beside it, and the supernet with nothing cut counts
    its own epochs: it shares the first ones with learning.
    """
    learned = sum(_phase(epoch) == "learn" for epoch in record.epochs)
    seen = dict.fromkeys(PHASES, 0)
    rows = []
    for epoch in record.epochs:
        phase = _phase(epoch)
        if phase not in seen:
            continue
        seen[phase] += 1
        at = epoch.epoch + 1 if phase == "supernet" else seen[phase] + (learned if phase == "final" else 0)
        for key in keys:
            value = getattr(epoch, key)
            if value is None or (key != "val_accuracy" and value <= 0):
                continue
            figure, thin = percent(value) if key == "val_accuracy" else decimal(value), key == "train_loss"
            text = f"{PHASES[phase]}, epoch {at if phase == 'supernet' else seen[phase]}: {CURVES[key]} {figure}"
            rows.append(
                {
                    "at": at, "value": 100 * value if key == "val_accuracy" else value, "phase": phase,
                    "line": f"{phase} {key}", "color": f"var(--{phase})", "width": 1.0 if thin else 2.2, "dot": 1,
                    "text": "" if thin else text,
                }
            )  # fmt: skip
    return rows


def _curves(record: FitRecord, keys: list[str], name: str) -> Markup:
    """Measures over the epochs, phase by phase; empty where no epoch measured one."""
    rows = _points(record, keys)
    if not rows:
        return Markup("")
    last = max(row["at"] for row in rows)
    cut = max((row["at"] for row in rows if row["phase"] == "learn"), default=0)
    rule = cut + 0.5 if cut and any(row["phase"] == "final" for row in rows) else None
    scale = numbers() if keys == ["val_accuracy"] else logarithm([row["value"] for row in rows])
    return curves(rows, epochs(last), scale, name, title="epochs", rule=rule)


def _gate_charts(record: FitRecord, history: Gates) -> list[tuple[str, Markup]]:
    """One small chart per reading layer: how the gate of each of its inputs moved over the learning epochs."""
    known = [gate for gates in history for gate in gates if gate is not None]
    if len(history) < 2 or not known:
        return []
    low, high = min(0.0, *known), max(1.0, *known)
    up = fixed(low, high, values=[0, 0.5, 1] if (low, high) == (0.0, 1.0) else [low, high], format=".2~f")
    across = fixed(1, len(history), values=[1, len(history)])
    shown = []
    for target in dict.fromkeys(edge.target for edge in record.edges):
        rows: list[Row] = []
        for i, edge in enumerate(record.edges):
            if edge.target == target:
                rows += _path(edge, _reach(record, edge), [gates[i] for gates in history])
        name = f"Gates of the inputs of {target} over the learning epochs"
        shown.append((target, _lines(rows, across, up, name)))
    return shown


def _path(edge: FitRecord.Edge, reach: int, gates: Sequence[float | None]) -> list[Row]:
    """The gate of one connection, epoch by epoch, and what to say of it."""
    cut = edge.kept is False
    fate = ", cut" if cut else ", kept" if edge.kept else ""
    fixed = {
        "line": edge.source,
        "text": f"{edge.source} to {edge.target}: gate {decimal(gates[0], 2)} to {decimal(gates[-1], 2)}{fate}",
        "color": SOFT if cut else f"var(--reach-{reach})",
        "width": 0.7 if cut else 1.7,
    }
    return [{"at": k, "value": round(gate, 4), **fixed} for k, gate in enumerate(gates, 1) if gate is not None]


def _lines(rows: Sequence[Row], x: Any, y: Any, name: str) -> Markup:
    """Lines that tell their text as a whole, not point by point: of thousands of epochs, too."""
    marks = (
        chart(rows, width=130, height=88)
        .mark_line()
        .encode(
            alt.X("at:Q", title=None, scale=x[0], axis=x[1]),
            alt.Y("value:Q", title=None, scale=y[0], axis=y[1]),
            paint(alt.Color, "color:N"),
            paint(alt.StrokeWidth, "width:Q"),
            detail="line:N",
            description="text:N",
        )
    )
    return to_svg(marks, name)


def _importance_chart(record: FitRecord) -> Markup:
    """Rise of the validation loss when a connection is cut, against its gate; empty where none was measured."""
    rows = []
    for edge in record.edges:
        if edge.gate is not None and edge.ablation is not None:
            text = f"{edge.source} to {edge.target}: gate {decimal(edge.gate, 2)}, loss {decimal(edge.ablation, 4)}"
            color, fill = (SOFT, CLEAR) if edge.kept is False else (ACCENT, ACCENT)
            rows.append({"gate": edge.gate, "rise": edge.ablation, "text": text, "stroke": color, "fill": fill})
    if not rows:
        return Markup("")
    zero = chart([{"rise": 0}], height=HEIGHT).mark_rule(aria=False, color=SOFT, strokeWidth=1).encode(alt.Y("rise:Q"))
    marks = (
        chart(rows)
        .mark_point(size=36, opacity=1, strokeWidth=1.3)
        .encode(
            alt.X("gate:Q", title="gate at the end of learning", axis=alt.Axis(tickCount=6)),
            alt.Y("rise:Q", title=None, axis=alt.Axis(tickCount=5, format="~g")),
            paint(alt.Stroke, "stroke:N"),
            paint(alt.Fill, "fill:N"),
            description="text:N",
        )
    )
    name = "Rise of the validation loss when a connection is cut, against its gate"
    return to_svg(alt.LayerChart(layer=[zero, marks]), name)
