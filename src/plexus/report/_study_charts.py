"""The charts of a study: every seed as a point, curves with bands, differences with their intervals."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np
from markupsafe import Markup

from plexus.report._curves import _logarithm as logarithmic
from plexus.report._svg import NARROW, both, to_svg
from plexus.report._words import decimal, signed

INK, SOFT, LINE, ACCENT, CLEAR = "var(--ink)", "var(--soft)", "var(--line)", "var(--accent)", "transparent"
ROW = 26
"""Pixels from one variant to the next."""
LABELS = 112
"""Pixels for the names of variants."""
TOGETHER = 6
"""Curves that one chart can hold and still be read."""
Variant = Mapping[str, Any]


def curves(variants: Sequence[Variant], key: str, name: str, *, logarithm: bool) -> Markup:
    """Means over seeds with bands from the least to the greatest, in one chart; empty where there are none."""
    rows = [row for v in variants for row in _curve(v, key)]
    if not rows:
        return Markup("")
    scale = _scale(rows, logarithm, 5)

    def draw(width: int) -> alt.LayerChart:
        return _bands(rows, scale, width - 50, 210, 5 if width <= NARROW else 9)

    return both(draw, name)


def panels(variants: Sequence[Variant], base: str, key: str, name: str, *, logarithm: bool) -> list[tuple[str, Markup]]:
    """One small chart per variant, the baseline's mean beside it, all on one scale."""
    everything = [row for v in variants for row in _curve(v, key)]
    if not everything:
        return []
    scale = _scale(everything, logarithm, 3)
    beside = [
        row | {"color": SOFT, "band": False, "dashed": False, "text": ""} for row in everything if row["name"] == base
    ]
    found = []
    for v in variants:
        if rows := [row | {"color": ACCENT, "dashed": False} for row in _curve(v, key)]:
            shown = rows if v["name"] == base else [*beside, *rows]
            found.append((v["name"], to_svg(_bands(shown, scale, 150, 96, 3), f"{name}, {v['name']}")))
    return found


def _curve(v: Variant, key: str) -> list[dict[str, Any]]:
    found = v["curves"].get(key)
    if not found:
        return []
    return [
        {
            "at": i, "value": mean, "low": low, "high": high, "name": v["name"], "color": v["color"], "band": True,
            "dashed": v["dashed"],
            "text": f"{v['name']}, epoch {i}: {decimal(mean)}, seeds {decimal(low)} to {decimal(high)}",
        }
        for i, (mean, low, high) in enumerate(zip(found["mean"], found["low"], found["high"], strict=True), 1)
    ]  # fmt: skip


def _scale(rows: Sequence[Mapping[str, Any]], logarithm: bool, marks: int) -> tuple[alt.Scale, alt.Axis]:
    low, high = min(r["low"] for r in rows), max(r["high"] for r in rows)
    if logarithm and low > 0 and high > 3 * low:
        return logarithmic([low, high])
    return alt.Scale(domain=[low, high if high > low else low + 1], nice=True), alt.Axis(tickCount=marks)


def _bands(
    rows: list[dict[str, Any]], scale: tuple[alt.Scale, alt.Axis], width: int, height: int, marks: int
) -> alt.LayerChart:
    last = max(2, *(row["at"] for row in rows))
    whole = list(range(1, last + 1, max(1, math.ceil((last - 1) / marks))))
    base = alt.Chart(alt.InlineData(values=rows), width=width, height=height).encode(
        alt.X(
            "at:Q", title=None, scale=alt.Scale(domain=[1, last], nice=False),
            axis=alt.Axis(values=whole, format="d"),
        ),
        alt.Color("color:N", scale=None, legend=None),
        detail="name:N",
    )  # fmt: skip
    y = alt.Y("value:Q", title=None, scale=scale[0], axis=scale[1])
    area = (
        base.mark_area(aria=False, opacity=0.16)
        .encode(
            alt.Y("low:Q", title=None, scale=scale[0], axis=scale[1]), alt.Y2("high:Q"),
            alt.Fill("color:N", scale=None, legend=None), alt.ColorValue(None),
        )
        .transform_filter("datum.band")
    )  # fmt: skip
    dash = alt.StrokeDash("dashed:N", scale=alt.Scale(domain=[False, True], range=[[1, 0], [4, 3]]), legend=None)
    line = base.mark_line(aria=False, strokeWidth=1.8).encode(y, dash)
    told = base.mark_point(filled=True, size=60, opacity=0).encode(y, description="text:N")
    return alt.LayerChart(layer=[area, line, told.transform_filter("datum.text != ''")])


def boxes(variants: Sequence[Variant]) -> Markup:
    """The measure: a point per seed, the middle half as a box, the mean as a line; a row per variant."""
    dots, middles = [], []
    for at, v in enumerate(variants):
        values = list(v["points"].values())
        for seed, value in v["points"].items():
            text = f"{v['name']}, seed {seed}: {decimal(value, 2)}"
            dots.append({"at": at, "value": value, "color": v["color"], "text": text})
        if values:
            lower, upper = np.quantile(values, (0.25, 0.75)).tolist()
            text = f"{v['name']}: mean {decimal(v['mean'], 2)} of {len(values)} seeds"
            middles.append({"at": at, "lower": lower, "upper": upper, "mean": v["mean"], "text": text})
    if not dots:
        return Markup("")

    def draw(width: int) -> alt.LayerChart:
        y = _rows([v["name"] for v in variants])
        x = alt.X("value:Q", title=None, scale=alt.Scale(zero=False, nice=True), axis=_grid(width))
        base = _chart(middles, width, len(variants))
        box = base.mark_bar(aria=False, height=14, color=LINE, opacity=1).encode(
            alt.X("lower:Q", title=None, scale=alt.Scale(zero=False, nice=True)), alt.X2("upper:Q"), y
        )
        mean = base.mark_tick(thickness=2.5, size=18, color=INK).encode(alt.X("mean:Q"), y, description="text:N")
        points = (
            _chart(dots, width, len(variants))
            .mark_point(filled=True, size=46, opacity=0.9)
            .encode(x, y, alt.Color("color:N", scale=None, legend=None), description="text:N")
        )
        return alt.LayerChart(layer=[box, mean, points])

    return both(draw, "The measure, a point per seed")


def differences(variants: Sequence[Variant], key: str, margin: float, unit: str, name: str) -> Markup:
    """Mean difference to the baseline with its 95 % interval, over the band that counts as no difference."""
    rows = []
    for at, v in enumerate(variants):
        found = v.get(key)
        if found is None:
            continue
        low, high = (found["mean"] if end is None else end for end in (found["low"], found["high"]))
        span = "" if found["low"] is None else f", 95 % interval {signed(low, 2)} to {signed(high, 2)}"
        text = f"{v['name']}: {signed(found['mean'], 2)} {unit}{span}"
        paint = {"equivalent": SOFT, "open": CLEAR}.get(found["verdict"], ACCENT)
        rows.append(
            {"at": at, "mean": found["mean"], "low": low, "high": high, "text": text, "fill": paint}
            | {"stroke": ACCENT if paint == ACCENT else SOFT}
        )
    if not rows:
        return Markup("")

    def draw(width: int) -> alt.LayerChart:
        y = _rows([v["name"] for v in variants])
        base = _chart(rows, width, len(variants))
        x = alt.X("low:Q", title=None, scale=alt.Scale(zero=True, nice=True), axis=_grid(width))
        band = _chart([{"low": -margin, "high": margin}], width, len(variants)).mark_rect(
            aria=False, color="var(--panel)"
        )
        zero = _chart([{"mean": 0}], width, len(variants)).mark_rule(aria=False, color=SOFT).encode(alt.X("mean:Q"))
        stroke = alt.Stroke("stroke:N", scale=None, legend=None)
        span = base.mark_rule(aria=False, strokeWidth=1.6).encode(x, alt.X2("high:Q"), y, stroke)
        mark = base.mark_point(size=52, opacity=1, strokeWidth=1.6).encode(
            alt.X("mean:Q"), y, stroke, alt.Fill("fill:N", scale=None, legend=None), description="text:N"
        )
        return alt.LayerChart(layer=[band.encode(alt.X("low:Q"), alt.X2("high:Q")), zero, span, mark])

    return both(draw, name)


def gates(paths: Sequence[Sequence[float]], name: str) -> Markup:
    """How every gate of one training moved; `paths` is (1 + epochs, gates), its first row the start."""
    rows = [
        {"at": epoch, "gate": round(gate, 4), "which": i, "text": f"gate {i + 1}, epoch {epoch}: {decimal(gate, 2)}"}
        for epoch, values in enumerate(paths)
        for i, gate in enumerate(values)
        if math.isfinite(gate)
    ]
    known = [round(gate, 4) for values in paths for gate in values if math.isfinite(gate)]
    low, high = min([0.0, *known]), max([1.0, *known])
    base = alt.Chart(alt.InlineData(values=rows), width=150, height=96).encode(
        alt.X(
            "at:Q", title=None, scale=alt.Scale(domain=[0, len(paths) - 1], nice=False),
            axis=alt.Axis(values=[0, len(paths) - 1]),
        ),
        alt.Y("gate:Q", title=None, scale=alt.Scale(domain=[low, high]), axis=alt.Axis(tickCount=3, format="~g")),
        detail="which:N",
    )  # fmt: skip
    line = base.mark_line(aria=False, strokeWidth=1.1, opacity=0.8, color=ACCENT)
    told = base.mark_point(filled=True, size=40, opacity=0).encode(description="text:N")
    return to_svg(alt.LayerChart(layer=[line, told]), name)


def ranking(ranked: Sequence[Mapping[str, Any]], marked: Sequence[Mapping[str, Any]]) -> Markup:
    """Every wiring by its mean, best first, with bands over seeds; those that a search chose are marked.

    Args:
        ranked: entries of `name`, `mean`, `low`, `high`, best first.
        marked: entries of `at` (1 is the best), `mean`, `text`, `color`.
    """
    rows = [
        {
            "at": i,
            **{k: r[k] for k in ("mean", "low", "high")},
            "text": f"{r['name']}, rank {i}: {decimal(r['mean'], 2)}",
        }
        for i, r in enumerate(ranked, 1)
    ]
    if not rows:
        return Markup("")

    def draw(width: int) -> alt.LayerChart:
        x = alt.X("at:Q", title="rank", scale=alt.Scale(domain=[0, len(rows) + 1], nice=False), axis=_ticks(width))
        y = alt.Y("mean:Q", title=None, scale=alt.Scale(zero=False, nice=True), axis=alt.Axis(tickCount=5))
        base = alt.Chart(alt.InlineData(values=rows), width=width - 50, height=230).encode(x)
        span = base.mark_rule(aria=False, color=LINE).encode(
            alt.Y("low:Q", title=None, scale=alt.Scale(zero=False, nice=True)), alt.Y2("high:Q")
        )
        each = base.mark_point(filled=True, size=12, opacity=1, color=SOFT).encode(y, description="text:N")
        chosen = (
            alt.Chart(alt.InlineData(values=list(marked)), width=width - 50, height=230)
            .mark_point(size=90, opacity=1, strokeWidth=2)
            .encode(
                alt.X("at:Q"), y, alt.Stroke("color:N", scale=None, legend=None), alt.ColorValue(CLEAR),
                description="text:N",
            )
        )  # fmt: skip
        return alt.LayerChart(layer=[span, each, chosen] if marked else [span, each])

    return both(draw, "Every wiring by its mean over seeds, the best first")


def _ranked(row: Mapping[str, Any], rank: int) -> str:
    return f"{row['name']}, rank {rank}: {decimal(row['mean'], 2)}"


def _chart(values: list[dict[str, Any]], width: int, rows: int) -> alt.Chart:
    return alt.Chart(alt.InlineData(values=values), width=width - LABELS - 16, height=ROW * rows)


def _rows(names: Sequence[str]) -> alt.Y:
    """A row for each name; the names are an expression's string literals, so that none of them is an expression."""
    axis = alt.Axis(
        values=list(range(len(names))), labelExpr=f"{json.dumps(names)}[datum.value]", labelLimit=LABELS - 20,
        minExtent=LABELS, maxExtent=LABELS, grid=False, title=None, labelColor=INK,
    )  # fmt: skip
    return alt.Y("at:Q", axis=axis, scale=alt.Scale(domain=[len(names) - 0.5, -0.5], nice=False))


def _grid(width: int) -> alt.Axis:
    return alt.Axis(tickCount=4 if width <= NARROW else 7, grid=True, gridColor=LINE)


def _ticks(width: int) -> alt.Axis:
    return alt.Axis(tickCount=4 if width <= NARROW else 8, tickMinStep=1)
