"""The charts of a rotation probe: round, flat, boxes, agreement and drift."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np
from markupsafe import Markup

from plexus.report._svg import NARROW, both
from plexus.report._words import decimal, percent

INK, SOFT, LINE = "var(--ink)", "var(--soft)", "var(--line)"
HOVERED = 72
"""Points of a curve that tell their figures."""
Model = Mapping[str, Any]


def flat(models: Sequence[Model]) -> Markup:
    """Accuracy in percent against the angle, one line per model, exact angles as points."""
    return _curves(models, "accuracy", "Accuracy in percent against the angle", share=True)


def agreement(models: Sequence[Model]) -> Markup:
    """Share of images whose prediction is that at 0 degrees, against the angle."""
    return _curves(
        models, "agreement", "Agreement with the prediction at 0 degrees, in percent, against the angle", share=True
    )


def drift(models: Sequence[Model]) -> Markup:
    """Relative distance of the logits from those at 0 degrees, against the angle."""
    return _curves(models, "drift", "Relative drift of the logits against the angle", share=False)


def _curves(models: Sequence[Model], key: str, name: str, *, share: bool) -> Markup:
    rows = [row for model in models for row in _rows(model, key, share)]

    def draw(width: int) -> alt.LayerChart:
        scale = alt.Scale(domain=[0, 100]) if share else alt.Scale(zero=True, nice=True)
        base = alt.Chart(alt.InlineData(values=rows), width=width - 50, height=200).encode(
            _angles(width),
            alt.Y("value:Q", title=None, scale=scale, axis=alt.Axis(tickCount=5)),
            alt.Color("color:N", scale=None, legend=None),
            detail="name:N",
        )
        return alt.LayerChart(layer=[_line(base), *_points(base)])

    return both(draw, name)


def band(model: Model) -> Markup:
    """Mean probability of the true class, with the band between its quartiles over images."""
    rows = _rows(model, "mean", True)
    summary = model["summary"]
    for i, row in enumerate(rows):
        k = i % len(summary["angles"])
        row |= {"low": 100 * summary["lower"][k], "high": 100 * summary["upper"][k]}
        row["text"] = f"{row['text']}, quartiles {percent(summary['lower'][k])} and {percent(summary['upper'][k])}"

    def draw(width: int) -> alt.LayerChart:
        base = alt.Chart(alt.InlineData(values=rows), width=width - 50, height=200).encode(
            _angles(width),
            alt.Y("value:Q", title=None, scale=alt.Scale(domain=[0, 100]), axis=alt.Axis(tickCount=5)),
            alt.Color("color:N", scale=None, legend=None),
        )
        area = base.mark_area(aria=False, opacity=0.18).encode(
            alt.Y("low:Q", title=None),
            alt.Y2("high:Q"),
            alt.Fill("color:N", scale=None, legend=None),
            alt.ColorValue(None),
        )
        return alt.LayerChart(layer=[area, _line(base), *_points(base)])

    return both(draw, f"Mean probability of the true class against the angle, {model['name']}")


def _rows(model: Model, key: str, share: bool) -> list[dict[str, Any]]:
    """One entry per angle, 0..360 with the first angle again at the end where the circle is whole."""
    summary = model["summary"]
    turns = sorted(range(len(summary["angles"])), key=lambda i: summary["angles"][i] % 360)
    often = max(1, math.ceil(len(turns) / HOVERED))
    fixed = {"name": model["name"], "color": model["color"], "dashed": model["dashed"]}
    rows = []
    for place, i in enumerate(turns):
        angle, value = summary["angles"][i] % 360, summary[key][i]
        shown = percent(value) if share else decimal(value, 3)
        exact = summary["exact"][i]
        kind = "exact" if exact else "told" if place % often == 0 else ""
        text = f"{model['name']}, {angle:g}\u00b0{' (exact)' if exact else ''}: {shown}"
        rows.append({"angle": angle, "value": 100 * value if share else value, "kind": kind, "text": text, **fixed})
    if rows[0]["angle"] == 0:
        rows.append({**rows[0], "angle": 360})
    return rows


def _angles(width: int) -> alt.X:
    marks = list(range(0, 361, 90 if width <= NARROW else 45))
    axis = alt.Axis(values=marks, labelExpr="datum.value + '\u00b0'")
    return alt.X("angle:Q", title=None, scale=alt.Scale(domain=[0, 360], nice=False), axis=axis)


def _line(base: alt.Chart) -> alt.Chart:
    dash = alt.StrokeDash("dashed:N", scale=alt.Scale(domain=[False, True], range=[[1, 0], [4, 3]]), legend=None)
    return base.mark_line(aria=False, strokeWidth=1.8, strokeJoin="round").encode(dash)


def _points(base: alt.Chart) -> list[alt.Chart]:
    """Exact angles as points to see; others as points that only answer the pointer."""
    told = base.mark_point(filled=True, size=70, opacity=0).encode(description="text:N")
    exact = base.mark_point(filled=True, size=46, opacity=1).encode(description="text:N")
    return [told.transform_filter("datum.kind == 'told'"), exact.transform_filter("datum.kind == 'exact'")]


def polar(models: Sequence[Model]) -> Markup:
    """Accuracy as the distance from the centre, 0 degrees at the top, counter-clockwise: a circle is invariance."""
    rows = []
    for model in models:
        for order, row in enumerate(_rows(model, "accuracy", True)):
            x, y = _place(row["angle"], row["value"])
            rows.append({**row, "x": x, "y": y, "order": order})
    rings = [
        dict(zip("xy", _place(5 * step, radius), strict=True), ring=str(radius), order=step)
        for radius in (25, 50, 75, 100)
        for step in range(73)
    ]
    spokes = [
        dict(zip("xy", _place(angle, radius), strict=True), ring=f"s{angle}", order=radius)
        for angle in range(0, 360, 45)
        for radius in (0, 100)
    ]
    words = [dict(zip("xy", _place(a, 112), strict=True), text=f"{a}\u00b0") for a in range(0, 360, 45)]
    words += [dict(zip("xy", _place(292, radius - 6), strict=True), text=str(radius)) for radius in (50, 100)]

    def draw(width: int) -> alt.LayerChart:
        side = min(width, 360) - 20

        def base(values: list[dict[str, Any]]) -> alt.Chart:
            return alt.Chart(alt.InlineData(values=values), width=side, height=side).encode(
                alt.X("x:Q", scale=alt.Scale(domain=[-120, 120], nice=False), axis=None),
                alt.Y("y:Q", scale=alt.Scale(domain=[-120, 120], nice=False), axis=None),
            )

        grid = (
            base(rings + spokes)
            .mark_line(aria=False, color=LINE, strokeWidth=1)
            .encode(detail="ring:N", order="order:Q")
        )
        text = base(words).mark_text(aria=False, color=SOFT, fontSize=11).encode(text="text:N")
        curve = base(rows).encode(alt.Color("color:N", scale=None, legend=None), detail="name:N")
        return alt.LayerChart(layer=[grid, text, _line(curve).encode(order="order:Q"), *_points(curve)])

    return both(draw, "Accuracy in percent against the angle, drawn round")


def _place(angle: float, radius: float) -> tuple[float, float]:
    """Up at 0 degrees, left at 90: as the images turn."""
    turn = math.radians(angle)
    return round(-radius * math.sin(turn), 3), round(radius * math.cos(turn), 3)


def boxes(models: Sequence[Model]) -> Markup:
    """Percentage of angles classified correctly, over images: a box per model."""
    rows = []
    for i, model in enumerate(models):
        values = np.array(model["summary"]["percent_correct"])
        low, lower, median, upper, high = np.quantile(values, (0.05, 0.25, 0.5, 0.75, 0.95)).tolist()
        text = (
            f"{model['name']}: median {median:.1f} % of the angles, half of the images between {lower:.1f} and "
            f"{upper:.1f}, nine in ten between {low:.1f} and {high:.1f}, mean {values.mean():.1f}"
        )
        rows.append(
            {
                "at": i, "low": low, "lower": lower, "median": median, "upper": upper, "high": high,
                "mean": float(values.mean()), "color": model["color"], "text": text,
            }
        )  # fmt: skip

    def draw(width: int) -> alt.LayerChart:
        base = alt.Chart(alt.InlineData(values=rows), width=width - 20, height=44 * len(rows)).encode(
            alt.Y("at:Q", axis=None, scale=alt.Scale(domain=[len(rows) - 0.5, -0.5], nice=False)),
            alt.Color("color:N", scale=None, legend=None),
        )
        scale = alt.Scale(domain=[0, 100])
        x = alt.X("low:Q", title=None, scale=scale, axis=alt.Axis(tickCount=5, grid=True, gridColor=LINE))
        whisker = base.mark_rule(aria=False, strokeWidth=1.4).encode(x, alt.X2("high:Q"))
        box = base.mark_bar(height=20, opacity=1, stroke=None).encode(
            alt.X("lower:Q", scale=scale), alt.X2("upper:Q"), description="text:N"
        )
        middle = base.mark_tick(aria=False, thickness=2.5, size=24).encode(
            alt.X("median:Q", scale=scale), alt.ColorValue(INK)
        )
        mean = base.mark_point(aria=False, size=34, strokeWidth=1.6, fill="var(--paper)").encode(
            alt.X("mean:Q", scale=scale), alt.ColorValue(INK)
        )
        return alt.LayerChart(layer=[whisker, box, middle, mean])

    return both(draw, "Percentage of angles classified correctly, over images")
