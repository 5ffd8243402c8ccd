"""The charts of budget, gates and importance: altair specifications turned into SVG in the page's own colors."""

from __future__ import annotations

from typing import Any

import altair as alt
from markupsafe import Markup

from plexus.record import FitRecord
from plexus.report._svg import NARROW, both, to_svg
from plexus.report._view import gate_history, reach
from plexus.report._words import decimal, percent, plural

INK, SOFT, ACCENT, CLEAR = "var(--ink)", "var(--soft)", "var(--accent)", "transparent"


def budget(record: FitRecord) -> Markup:
    """Validation accuracy against connections kept, one point per measured budget; empty for fewer than two."""
    points = []
    for entry in record.budgets:
        accuracy, kept = entry.val_accuracy, len(entry.kept)
        if accuracy is not None:
            text = f"{plural(kept, 'connection')}: {percent(accuracy)}"
            points.append({"kept": kept, "accuracy": 100 * accuracy, "text": text})
    if len(points) < 2:
        return Markup("")

    def draw(width: int) -> alt.LayerChart:
        base = _chart(points, width).encode(
            alt.X("kept:Q", title="connections kept", scale=alt.Scale(zero=True), axis=_axis(width)),
            alt.Y("accuracy:Q", title=None, scale=alt.Scale(zero=False, nice=True), axis=alt.Axis(tickCount=5)),
        )
        line = base.mark_line(aria=False, color=SOFT, strokeWidth=1.2)
        marks = base.mark_point(filled=True, size=42, opacity=1, color=INK).encode(description="text:N")
        return alt.LayerChart(layer=[line, marks])

    return both(draw, "Validation accuracy in percent against the number of connections kept")


def gates(record: FitRecord) -> list[tuple[str, Markup]]:
    """One small chart per reading layer: how the gate of each of its inputs moved over the learning epochs."""
    history = gate_history(record)
    known = [gate for row in history for gate in row if gate is not None]
    if len(history) < 2 or not known:
        return []
    ends = (min(0.0, *known), max(1.0, *known))
    shown = []
    for target in dict.fromkeys(edge.target for edge in record.edges):
        rows = [
            row for i, edge in enumerate(record.edges) if edge.target == target for row in _path(record, i, history)
        ]
        name = f"Gates of the inputs of {target} over the learning epochs"
        shown.append((target, to_svg(_gates(rows, len(history), ends), name)))
    return shown


def _path(record: FitRecord, i: int, history: list[list[Any]]) -> list[dict[str, Any]]:
    """The gate of one connection, epoch by epoch, and what to say of it."""
    edge = record.edges[i]
    cut = edge.kept is False
    fate = ", cut" if cut else ", kept" if edge.kept else ""
    first, last = decimal(history[0][i], 2), decimal(history[-1][i], 2)
    fixed = {
        "source": edge.source,
        "text": f"{edge.source} to {edge.target}: gate {first} to {last}{fate}",
        "color": SOFT if cut else f"var(--reach-{reach(record, edge)})",
        "width": 0.7 if cut else 1.7,
    }
    values = ((k, row[i]) for k, row in enumerate(history, 1))
    return [{"at": k, "gate": round(gate, 4), **fixed} for k, gate in values if gate is not None]


def _gates(rows: list[dict[str, Any]], epochs: int, ends: tuple[float, float]) -> alt.Chart:
    marks = [0.0, 0.5, 1.0] if ends == (0.0, 1.0) else list(ends)
    span = alt.Scale(domain=[1, epochs], nice=False)
    return (
        alt.Chart(alt.InlineData(values=rows), width=130, height=88)
        .mark_line()
        .encode(
            alt.X("at:Q", title=None, scale=span, axis=alt.Axis(values=[1, epochs])),
            alt.Y("gate:Q", title=None, scale=alt.Scale(domain=list(ends)), axis=alt.Axis(values=marks, format=".2~f")),
            alt.Color("color:N", scale=None, legend=None),
            alt.StrokeWidth("width:Q", scale=None),
            detail="source:N",
            description="text:N",
        )
    )


def importance(record: FitRecord) -> Markup:
    """Rise of the validation loss when a connection is cut, against its gate; empty where none was measured."""
    points = []
    for edge in record.edges:
        gate, rise = edge.gate, edge.ablation
        if gate is not None and rise is not None:
            text = f"{edge.source} to {edge.target}: gate {decimal(gate, 2)}, loss {decimal(rise, 4)}"
            kept = edge.kept is not False
            paint = {"stroke": ACCENT if kept else SOFT, "fill": ACCENT if kept else CLEAR}
            points.append({"gate": gate, "rise": rise, "text": text, **paint})
    if not points:
        return Markup("")

    def draw(width: int) -> alt.LayerChart:
        zero = (
            alt.Chart(alt.InlineData(values=[{"rise": 0}]))
            .mark_rule(aria=False, color=SOFT, strokeWidth=1)
            .encode(alt.Y("rise:Q"))
        )
        marks = (
            _chart(points, width)
            .mark_point(size=36, opacity=1, strokeWidth=1.3)
            .encode(
                alt.X("gate:Q", title="gate at the end of learning", axis=_axis(width)),
                alt.Y("rise:Q", title=None, axis=alt.Axis(tickCount=5, format="~g")),
                alt.Stroke("stroke:N", scale=None, legend=None),
                alt.Fill("fill:N", scale=None, legend=None),
                description="text:N",
            )
        )
        return alt.LayerChart(layer=[zero, marks])

    return both(draw, "Rise of the validation loss when a connection is cut, against its gate")


def _chart(rows: list[dict[str, Any]], width: int) -> alt.Chart:
    """A chart that is `width` wide with its axis; inline data has no limit of rows."""
    return alt.Chart(alt.InlineData(values=rows), width=width - 50, height=210)


def _axis(width: int) -> alt.Axis:
    return alt.Axis(tickCount=5 if width <= NARROW else 8)
