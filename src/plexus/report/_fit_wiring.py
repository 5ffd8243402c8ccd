"""The wiring on a training's page: its drawing, its gates, every connection, and what was cut."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby
from typing import Any

import altair as alt
from markupsafe import Markup
from scipy.stats import rankdata

from plexus.errors import plural
from plexus.record import FitRecord
from plexus.report._charts import ACCENT, CLEAR, HEIGHT, SOFT, Row, chart, fixed, paint, to_svg
from plexus.report._fit_charts import phase_of
from plexus.report._formatting import NONE, count, decimal

REACHES = ((1, "next layer"), (2, "2"), (4, "3\u20134"), (7, "5\u20137"), (11, "8\u201311"), (math.inf, "12 or more"))
"""Classes of how many layers a connection spans: upper bound and name."""
ENOUGH = 12
"""Connections from which on a rank correlation says something: .5 is beyond chance there."""
STILL = 0.02
"""A gate that moves less is not seen to move."""
Gates = list[list[float | None]]


def kept_count(record: FitRecord) -> int | None:
    """Return the number of connections that the chosen budget keeps, or None before pruning."""
    if record.chosen is not None:
        return len(record.budgets[record.chosen].kept)
    marked = [edge.kept for edge in record.edges if edge.kept is not None]
    return sum(marked) if marked else None


def reach_of(record: FitRecord, edge: FitRecord.Edge) -> int:
    """Return the class of a connection's length, 1 for the next layer to 6 for the longest."""
    length = record.nodes.index(edge.target) - record.nodes.index(edge.source)
    return next(i for i, (most, _) in enumerate(REACHES, 1) if length <= most)


def drawing_of(record: FitRecord) -> dict[str, Any]:
    """Return all that the drawing and its controls read, as JSON: indices for names, four decimals for values."""

    def rounded(value: float | None, digits: int = 4) -> float | None:
        return None if value is None else round(value, digits)

    history, unit = gate_history(record), _unit(record)
    return {
        "nodes": [{"name": name, "label": record.labels.get(name, "")} for name in record.nodes],
        "edges": [
            {
                "source": record.nodes.index(edge.source),
                "target": record.nodes.index(edge.target),
                "reach": reach_of(record, edge),
                "gate": rounded(gate_of(edge, i, history)),
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
                "maps": b.edges if unit else None,
            }
            for b in record.budgets
        ],
        "chosen": record.chosen,
        "unit": unit,
        "whole": sum(edge.maps[1] for edge in record.edges if edge.maps),
        "constant": len({len(b.kept) for b in record.budgets}) < 2,
        "measures": _measures(record, history),
        "epochs": [[rounded(gate) for gate in gates] for gates in history] if _moved(history) else [],
    }


def _unit(record: FitRecord) -> str:
    """The thing that was cut, where it is smaller than a connection between layers."""
    if not any(edge.maps for edge in record.edges):
        return ""
    return "map edges" if record.plan.channels is None else "channels"


def _measures(record: FitRecord, history: Gates) -> list[str]:
    """The figures of connections by which arcs can differ in width."""
    values = {
        "strength": [edge.strength for edge in record.edges],
        "gate": [gate_of(edge, i, history) for i, edge in enumerate(record.edges)],
        "ablation": [edge.ablation for edge in record.edges],
    }
    return [name for name, each in values.items() if len({round(v, 4) for v in each if v is not None}) > 1]


def _moved(history: Gates) -> bool:
    """Tell if any gate is not the same in all epochs, as far as can be seen."""
    ends = [[gate for gate in path if gate is not None] for path in zip(*history, strict=True)]
    return any(max(path) - min(path) >= STILL for path in ends if path)


def cuts(record: FitRecord) -> list[str]:
    """Tell what was cut: channels of streams, edges between maps, connections of layers; and who went with them."""
    if not record.edges or all(edge.kept is None for edge in record.edges):
        return []
    kept, unit = [edge for edge in record.edges if edge.kept], _unit(record)
    gone = len(record.edges) - len(kept)
    layers = (
        f"{plural(gone, 'connection')} between layers {'was' if gone == 1 else 'were'} cut, "
        f"{count(len(kept))} of {count(len(record.edges))} are left."
        if gone
        else f"No connection between layers was cut: all {count(len(record.edges))} are there."
    )
    if unit == "channels":
        streams = [
            f"{count(left)} of {count(whole)} in the one that {_listed(readers)} read{'s' * (len(readers) == 1)}"
            for left, whole, readers in _streams(record)
        ]
        sentences = [
            "Whole channels of the streams were cut, with all that reads and writes them; left are "
            f"{', '.join(streams)}. That makes the net narrower, and faster.",
            layers,
        ]
    elif unit:
        left, whole = (sum(edge.maps[k] for edge in record.edges if edge.maps) for k in (0, 1))
        sentences = [
            f"Edges between single maps were cut: {count(left)} of {count(whole)} are left. That saves parameters "
            "rather than time.",
            layers,
        ]
    else:
        sentences = [layers]
    idle = [node for node in record.nodes[1:-1] if not any(edge.source == node for edge in kept)]
    if idle:
        are = "is a layer" if len(idle) == 1 else "are layers"
        sentences.append(f"{_listed(idle)} {are} that nobody reads any more, and left out of the net.")
    return sentences


def _streams(record: FitRecord) -> list[tuple[int, int, list[str]]]:
    """Channels left, channels at first, and the layers that read them, stream by stream."""
    mapped = [(edge.maps[0], edge.maps[1], edge.target) for edge in record.edges if edge.maps]
    return [(*ends, [target for *_, target in rows]) for ends, rows in groupby(mapped, key=lambda row: row[:2])]


def _listed(names: Sequence[str]) -> str:
    """Names in a sentence; of many, some and how many more."""
    shown = [*names[:6], *([f"{len(names) - 6} more"] if len(names) > 6 else [])]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def gate_history(record: FitRecord) -> Gates:
    """Return the gates of every learning epoch; an epoch whose gates do not match the connections is left out."""
    learning = [epoch.gates for epoch in record.epochs if phase_of(epoch) == "learn"]
    return [gates for gates in learning if gates and len(gates) == len(record.edges)]


def gate_of(edge: FitRecord.Edge, i: int, history: Gates) -> float | None:
    """Return the gate of connection `i` as recorded, or as the last learning epoch left it."""
    return edge.gate if edge.gate is not None else history[-1][i] if history else None


def connections(record: FitRecord, history: Gates) -> dict[str, Any]:
    """Return every connection beside what cutting it costs, and how well the two orders agree.

    A figure that is the same for all connections is no column, but told once.
    """
    gates = [gate_of(edge, i, history) for i, edge in enumerate(record.edges)]
    widest = max((abs(gate or 0) for gate in gates), default=0) or 1
    costliest = max((edge.ablation or 0 for edge in record.edges), default=0)
    rows = [
        {
            "edge": edge,
            "gate": gate,
            "order": (record.nodes.index(edge.source), record.nodes.index(edge.target)),
            "reach": reach_of(record, edge),
            "gate_bar": round(40 * abs(gate or 0) / widest, 1),
            "ablation_bar": round(40 * max(0.0, edge.ablation or 0) / costliest, 1) if costliest > 0 else 0,
        }
        for gate, edge in zip(gates, record.edges, strict=True)
    ]
    pairs = [(g, e.ablation) for g, e in zip(gates, record.edges, strict=True) if None not in (g, e.ablation)]
    columns = {
        "gate": [decimal(gate, 2) for gate in gates],
        "strength": [decimal(edge.strength, 2) for edge in record.edges],
        "rise when cut": [decimal(edge.ablation, 4) for edge in record.edges],
        "cost": [decimal(edge.cost) for edge in record.edges],
        "kept": ["kept" if edge.kept else "cut" for edge in record.edges if edge.kept is not None] or [NONE],
        _unit(record): [f"{edge.maps[0]} of {edge.maps[1]}" if edge.maps else NONE for edge in record.edges],
    }
    constant = {name: each[0] for name, each in columns.items() if len(rows) > 1 and len(set(each)) == 1}
    shown = [name for name in columns if name not in constant and (name or _unit(record))]
    told = [f"{name} {value}" if name != "kept" else value for name, value in constant.items() if value != NONE]
    return {
        "rows": rows,
        "columns": [name for name in shown if name],
        "maps": _unit(record),
        "constant": f"The same for all of them: {', '.join(told)}." if told else "",
        "sentence": _agreement(pairs),
    }


def _agreement(pairs: Sequence[tuple[Any, Any]]) -> str:
    """Rank correlation of gate and ablation in words; the sentence says so where it cannot be computed."""
    if not pairs:
        return "No connection was cut on its own in this run, so there is nothing to hold the gates against."
    text = "Each connection was cut on its own and the validation loss measured again."
    correlation = _spearman(pairs)
    if correlation is None or len(pairs) < ENOUGH:
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


def gate_charts(record: FitRecord, history: Gates) -> list[tuple[str, Markup]]:
    """Return a small chart per reading layer: how the gate of each of its inputs moved over the learning epochs.

    None where no gate moved: then `still` says so.
    """
    known = [gate for gates in history for gate in gates if gate is not None]
    if len(history) < 2 or not known or not _moved(history):
        return []
    low, high = min(0.0, *known), max(1.0, *known)
    up = fixed(low, high, values=[0, 0.5, 1] if (low, high) == (0.0, 1.0) else [low, high], format=".2~f")
    across = fixed(1, len(history), values=[1, len(history)])
    shown = []
    for target in dict.fromkeys(edge.target for edge in record.edges):
        rows: list[Row] = []
        for i, edge in enumerate(record.edges):
            if edge.target == target:
                rows += _path(edge, reach_of(record, edge), [gates[i] for gates in history])
        name = f"Gates of the inputs of {target} over the learning epochs"
        shown.append((target, _lines(rows, across, up, name)))
    return shown


def still(history: Gates) -> str:
    """Tell that gates did not move, where they were recorded and did not."""
    if len(history) < 2 or _moved(history):
        return ""
    return (
        f"No gate moved by more than {STILL:g} over the {len(history)} epochs, so there is nothing to play or to draw."
    )


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


def importance_chart(record: FitRecord) -> Markup:
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
