"""The charts of a segmentation: gates compared, the distribution of Dice, presence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np
from markupsafe import Markup

from plexus.report._segment_view import estimate
from plexus.report._svg import NARROW, both
from plexus.report._words import count, decimal, number, percent, plural

INK, SOFT, LINE, ACCENT, FINAL = "var(--ink)", "var(--soft)", "var(--line)", "var(--accent)", "var(--final)"
BINS = 20
UNIT = alt.Scale(domain=[0, 1], nice=False)
Row = Mapping[str, Any]


def gates(results: Mapping[str, Row], chosen: str, key: str, name: str) -> Markup:
    """One figure of every gate with its interval; empty where none was measured."""
    rows: list[dict[str, Any]] = []
    for gate, entry in results.items():
        if known := estimate(entry.get(key)):
            mean, low, high, n = known
            text = f"{gate}: {decimal(mean)}, interval {decimal(low)} to {decimal(high)}, {plural(n, 'image')}"
            color = FINAL if gate == chosen else INK
            rows.append({"gate": gate, "mean": mean, "low": low, "high": high, "color": color, "text": text})
    if not rows:
        return Markup("")

    def draw(width: int) -> alt.LayerChart:
        order = [row["gate"] for row in rows]
        axis = alt.Axis(tickCount=4 if width <= NARROW else 6, grid=True, gridColor=LINE)
        base = alt.Chart(alt.InlineData(values=rows), width=width - 100, height=34 * len(rows)).encode(
            alt.Y("gate:N", title=None, sort=order, axis=alt.Axis(grid=False, labelLimit=80, minExtent=72)),
            alt.Color("color:N", scale=None, legend=None),
        )
        scale = alt.Scale(zero=False, nice=True)
        x = alt.X("low:Q", title=None, scale=scale, axis=axis)
        bar = base.mark_rule(aria=False, strokeWidth=2).encode(x, alt.X2("high:Q"))
        dot = base.mark_point(filled=True, size=70, opacity=1).encode(
            alt.X("mean:Q", scale=scale), description="text:N"
        )
        return alt.LayerChart(layer=[bar, dot])

    return both(draw, name)


def histogram(images: Sequence[Row], *, present: bool) -> Markup:
    """How many images have which Dice, of those with a target or of those without."""
    values = [v for row in _split(images, present) if (v := number(row["dice"])) is not None]
    if not values:
        return Markup("")
    counts, edges = np.histogram(values, bins=BINS, range=(0, 1))
    rows = [
        {"low": low, "high": high, "count": n, "zero": 0, "text": f"Dice {low:.2f} to {high:.2f}: {plural(n, 'image')}"}
        for low, high, n in zip(edges.tolist(), edges[1:].tolist(), counts.tolist(), strict=False)
        if n
    ]
    mean, most = float(np.mean(values)), int(counts.max())
    step = next(s * 10**p for p in range(9) for s in (1, 2, 5) if most <= 6 * s * 10**p)
    what = "with" if present else "without"

    def draw(width: int) -> alt.LayerChart:
        x = alt.X("low:Q", title="Dice", scale=UNIT, axis=alt.Axis(tickCount=5))
        bars = (
            alt.Chart(alt.InlineData(values=rows), width=width - 50, height=180)
            .mark_bar(color=ACCENT if present else "var(--supernet)", stroke="var(--paper)", strokeWidth=0.6)
            .encode(
                x, alt.X2("high:Q"),
                alt.Y("count:Q", title=None, axis=alt.Axis(values=list(range(0, most + step, step)), format="d")),
                alt.Y2("zero:Q"), description="text:N",
            )
        )  # fmt: skip
        rule = alt.Chart(alt.InlineData(values=[{"low": mean, "text": f"mean {decimal(mean)}"}]))
        line = rule.mark_rule(color=INK, strokeDash=[4, 3], strokeWidth=1.4).encode(
            alt.X("low:Q", scale=UNIT), description="text:N"
        )
        return alt.LayerChart(layer=[bars, line])

    return both(draw, f"Distribution of Dice over {len(values)} images {what} a target")


def _split(images: Sequence[Row], present: bool) -> list[Row]:
    return [row for row in images if row["truth_area"] is not None and (row["truth_area"] > 0) == present]


def calibration(bins: Any) -> Markup:
    """The share of images with a target against the probability foretold; points as large as their bins."""
    rows: list[dict[str, Any]] = []
    for entry in bins or ():
        predicted, observed, n = (number(entry.get(key)) for key in ("predicted", "observed", "count"))
        if predicted is not None and observed is not None and n:
            text = f"foretold {percent(predicted)}, found {percent(observed)} of {plural(n, 'image')}"
            rows.append({"predicted": predicted, "observed": observed, "count": n, "text": text})
    if not rows:
        return Markup("")

    def draw(width: int) -> alt.LayerChart:
        size = alt.Size(
            "count:Q", scale=alt.Scale(domain=[0, max(r["count"] for r in rows)], range=[24, 320]), legend=None
        )
        x = alt.X("predicted:Q", title="probability of a target", scale=UNIT, axis=alt.Axis(tickCount=5))
        points = (
            alt.Chart(alt.InlineData(values=rows))
            .mark_point(filled=True, color=ACCENT, opacity=0.85, clip=False)
            .encode(
                x, alt.Y("observed:Q", title=None, scale=UNIT, axis=alt.Axis(tickCount=5)), size, description="text:N"
            )
        )
        return _square(width, _diagonal("predicted", "observed"), points)

    return both(draw, "Share of images with a target against the probability foretold")


def errors(images: Sequence[Row], results: Mapping[str, Row], chosen: str) -> Markup:
    """Targets found against empty images given a mask, as the threshold on presence moves, and where the gates are.

    Empty unless there are images of both kinds.
    """
    curve = operating(images)
    points: list[dict[str, Any]] = []
    for gate, entry in results.items():
        p = entry.get("presence") or {}
        there, empty = number(p.get("positives")), number(p.get("negatives"))
        missed, false = number(p.get("false_negatives")), number(p.get("false_positives"))
        if there and empty and missed is not None and false is not None:
            text = f"{gate}: {count(missed)} of {plural(there, 'target')} missed, "
            text += f"{count(false)} of {count(empty)} empty images given a mask"
            color = FINAL if gate == chosen else INK
            points.append({"x": false / empty, "y": 1 - missed / there, "gate": gate, "text": text, "color": color})
    if len(curve) < 2 and not points:
        return Markup("")

    def draw(width: int) -> alt.LayerChart:
        axis = alt.Axis(tickCount=5, format="%")
        x = alt.X("x:Q", title="empty images given a mask", scale=UNIT, axis=axis)
        y = alt.Y("y:Q", title=None, scale=UNIT, axis=axis)
        layers = [_diagonal("x", "y")]
        if len(curve) > 1:
            rows = [{"x": x, "y": y, "order": i} for i, (x, y) in enumerate(curve)]
            line = alt.Chart(alt.InlineData(values=rows)).mark_line(aria=False, color=ACCENT, strokeWidth=1.8)
            layers.append(line.encode(x, y, order="order:Q"))
        shapes = alt.Scale(domain=[p["gate"] for p in points], range=["circle", "square", "triangle-up", "diamond"])
        shape = alt.Shape("gate:N", scale=shapes, legend=None)
        color = alt.Color("color:N", scale=None, legend=None)
        base = alt.Chart(alt.InlineData(values=points)).encode(x, y, color, shape)
        keys = [p | {"x": 0.62, "y": 0.07 + 0.09 * i} for i, p in enumerate(reversed(points))]
        key = alt.Chart(alt.InlineData(values=keys)).encode(x, y, color)
        layers.append(base.mark_point(filled=True, size=80, opacity=1).encode(description="text:N"))
        layers.append(key.mark_point(aria=False, filled=True, size=60, opacity=1).encode(shape))
        layers.append(key.mark_text(aria=False, align="left", dx=10, fontSize=11, limit=90).encode(text="gate:N"))
        return _square(width, *layers)

    return both(draw, "Targets found against empty images given a mask")


def operating(images: Sequence[Row]) -> list[tuple[float, float]]:
    """(share of empty images, share of targets) whose presence reaches a threshold, from the highest to the lowest."""
    rows = [
        (row["presence"], row["truth_area"] > 0) for row in images if None not in (row["presence"], row["truth_area"])
    ]
    there = sum(target for _, target in rows)
    empty = len(rows) - there
    if not there or not empty:
        return []
    path, found, false = [(0.0, 0.0)], 0, 0
    for threshold in sorted({p for p, _ in rows}, reverse=True):
        found += sum(target for p, target in rows if p == threshold)
        false += sum(not target for p, target in rows if p == threshold)
        path.append((false / empty, found / there))
    return path


def _diagonal(x: str, y: str) -> alt.Chart:
    ends = alt.InlineData(values=[{x: 0, y: 0}, {x: 1, y: 1}])
    line = alt.Chart(ends).mark_line(aria=False, color=SOFT, strokeWidth=1, strokeDash=[2, 3])
    return line.encode(alt.X(f"{x}:Q", scale=UNIT), alt.Y(f"{y}:Q", scale=UNIT))


def _square(width: int, *layers: Any) -> alt.LayerChart:
    side = min(width, 360) - 60
    return alt.LayerChart(layer=list(layers), width=side, height=side)
