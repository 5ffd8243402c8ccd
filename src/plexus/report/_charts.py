"""Colors, axes and curves of all charts; a chart becomes SVG that obeys the page and scales with it."""

from __future__ import annotations

import json
import math
import re
import resource
import subprocess
import sys
import warnings
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import altair as alt
from markupsafe import Markup, escape

from plexus.errors import PlexusWarning

INK, SOFT, LINE, ACCENT, CLEAR = "var(--ink)", "var(--soft)", "var(--line)", "var(--accent)", "transparent"
COLORS = tuple(f"var(--{name})" for name in ("learn", "final", "supernet", "reach-3", "reach-6", "chain"))
"""Of models and variants, in turn."""
WIDTH, HEIGHT = 350, 200
"""Of what lies inside the axes. With them a chart is 400 wide: the stylesheet makes it 0.9 to 1.15 times that."""
NAMES = 112
"""Pixels for the names of rows."""
Row = Mapping[str, Any]
Scaled = tuple[alt.Scale, alt.Axis]

_EMPTY = re.compile(r'<path (?:class="(?:back|fore)ground"|[^>]*display="none")[^>]*/>|<g></g>')
_NOISE = re.compile(r' (?:font-family|pointer-events|xmlns:xlink|version|role|aria-hidden|stroke-miterlimit)="[^"]*"')
_AXIS = re.compile(r' aria-label="[XY]-axis[^"]*"')
_CONTAINER = re.compile(r' aria-roledescription="(?:[a-z ]*container|axis)"')
_PATH = re.compile(r' (?:d|transform)="[^"]*"')
_LONG = re.compile(r"(\d+\.\d)\d+")
_THEME = alt.Config(
    background="transparent",
    padding=2,
    view=alt.ViewConfig(stroke=None),
    axis=alt.AxisConfig(
        domain=False, ticks=False, gridColor=LINE, titleFontWeight="normal", labelPadding=6, titlePadding=8,
        labelFlush=False, labelFontSize=11.5, titleFontSize=11.5, labelColor=SOFT, titleColor=SOFT,
    ),
    axisX=alt.AxisConfig(grid=False, domain=True, domainColor=LINE),
)  # fmt: skip


def to_svg(chart: alt.Chart | alt.LayerChart, name: str) -> Markup:
    """Return a chart as SVG, with `name` for those who cannot see it; the same chart gives the same text every time."""
    themed = chart.copy(deep=False)
    themed.config = _THEME
    text = _drawn(themed.to_dict())
    for pattern in (_EMPTY, _EMPTY, _NOISE, _AXIS, _CONTAINER):
        text = pattern.sub("", text)
    text = _PATH.sub(lambda path: _LONG.sub(r"\1", path[0]), text)
    return Markup(text.replace('class="marks"', f'class="chart" role="img" aria-label="{escape(name)}"', 1))


_DRAW = """
import json, resource, sys
resource.setrlimit(resource.RLIMIT_AS, (resource.getrlimit(resource.RLIMIT_AS)[1],) * 2)
import vl_convert
sys.stdout.write(vl_convert.vegalite_to_svg(json.load(sys.stdin)))
"""
_LIMITED = (
    "the charts cannot be drawn: the drawing library reserves more addresses than this limit (ulimit -v) gives; the "
    "page has its text and tables; without the limit `plexus report RUN` draws them"
)


def _drawn(spec: dict[str, Any]) -> str:
    """The SVG of a chart; an empty one with a title where there cannot be any.

    The library reserves a terabyte of addresses, and ends its process where it may not have them. Under a limit that is
    a child's, which may lift what of it is only a default.
    """
    if resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY:
        import vl_convert

        svg: str = vl_convert.vegalite_to_svg(spec)
        return svg
    if _draws():
        child = subprocess.run([sys.executable, "-c", _DRAW], input=json.dumps(spec), capture_output=True, text=True)
        if child.returncode == 0:
            return child.stdout
    return '<svg class="marks" viewBox="0 0 400 20"><text x="0" y="14" fill="currentColor">not drawn</text></svg>'


@cache
def _draws() -> bool:
    """Try once if a child draws under this process's limit; where not, say so."""
    spec = {"data": {"values": []}, "mark": "point"}
    child = subprocess.run([sys.executable, "-c", _DRAW], input=json.dumps(spec), capture_output=True, text=True)
    if child.returncode:
        warnings.warn(_LIMITED, PlexusWarning, stacklevel=2)
    return child.returncode == 0


def chart(rows: Sequence[Row], *, width: int = WIDTH, height: int = HEIGHT) -> alt.Chart:
    """Return an empty chart of rows, without altair's limit on their number."""
    return alt.Chart(alt.InlineData(values=list(rows)), width=width, height=height)


def paint(channel: type[Any], field: str) -> Any:
    """Return an encoding whose values are colors or widths of their own."""
    return channel(field, scale=None, legend=None)


def numbers(count: int = 5, **options: Any) -> Scaled:
    """Return a scale that fits its data, with about so many marks."""
    return alt.Scale(**({"zero": False, "nice": True} | options)), alt.Axis(tickCount=count)


def fixed(low: float, high: float, **axis: Any) -> Scaled:
    """Return a scale with given ends."""
    if "values" not in axis:  # vega leaves some of the values out where a count is given, too
        axis = {"tickCount": 5} | axis
    return alt.Scale(domain=[low, high], nice=False), alt.Axis(**axis)


def epochs(last: int, marks: int = 7, first: int = 1) -> Scaled:
    """Return the scale of whole epochs."""
    last = max(first + 1, last)
    values = list(range(first, last + 1, max(1, math.ceil((last - first) / marks))))
    return fixed(first, last, values=values, format="d")


def logarithm(values: Sequence[float]) -> Scaled:
    """Return a logarithmic scale from 1-2-5 step to 1-2-5 step, with no more than about six marks."""
    low = max(step for step in _steps(min(values)) if step <= min(values))
    high = min(step for step in _steps(max(values)) if step >= max(values))
    marks = [mark for mark in _steps(low, high) if low <= mark <= high]
    if len(marks) > 7:
        marks = [mark for mark in marks if math.isclose(math.log10(mark), round(math.log10(mark)))]
    return alt.Scale(type="log", domain=[low, high], nice=False), alt.Axis(values=marks, format="~g")


def _steps(low: float, high: float | None = None) -> list[float]:
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high or 10 * low)) + 1)
    return [float(f"{digit}e{power}") for power in powers for digit in (1, 2, 5)]


def heights(rows: Sequence[Row], marks: int = 5, *, log: bool = False) -> Scaled:
    """Return the scale of curves: logarithmic where that is asked for and they span more than a factor of three."""
    low, high = (end(row.get(key, row["value"]) for row in rows) for end, key in ((min, "low"), (max, "high")))
    if log and low > 0 and high > 3 * low:
        return logarithm([low, high])
    return alt.Scale(domain=[low, high if high > low else low + 1], nice=True), alt.Axis(tickCount=marks)


def curves(
    rows: Sequence[Row], x: Scaled, y: Scaled, name: str,
    *, title: str | None = None, width: int = WIDTH, height: int = HEIGHT, rule: float | None = None,
) -> Markup:  # fmt: skip
    """Draw curves with bands and points that tell their figures.

    Args:
        rows: `at` and `value`; `line` (the curve it belongs to) and `color`; and where there are any `low` and `high`
            of a band, `text` of a point, `dot` its opacity (0), `width` (1.8) and `dashed` of the line.
        x, y: scales.
        name: for those who cannot see it.
        title: of the axis below.
        width, height: inside the axes.
        rule: where a line divides the chart.
    """
    if not rows:
        return Markup("")
    rows = [{"width": 1.8, "dashed": False, "dot": 0, "text": "", **row} for row in rows]
    across = alt.X("at:Q", title=title, scale=x[0], axis=x[1])
    up = alt.Y("value:Q", title=None, scale=y[0], axis=y[1])
    base = chart(rows, width=width, height=height).encode(across, paint(alt.Color, "color:N"), detail="line:N")
    layers = []
    if rule is not None:
        divider = chart([{"at": rule}], width=width, height=height)
        layers.append(divider.mark_rule(aria=False, color=SOFT, strokeDash=[2, 3]).encode(alt.X("at:Q")))
    if any("low" in row for row in rows):
        band = alt.Y("low:Q", title=None, scale=y[0], axis=y[1])
        area = base.mark_area(aria=False, opacity=0.16).transform_filter("isValid(datum.low)")
        layers.append(area.encode(band, alt.Y2("high:Q"), paint(alt.Fill, "color:N"), alt.ColorValue(None)))
    dash = alt.StrokeDash("dashed:N", scale=alt.Scale(domain=[False, True], range=[[1, 0], [4, 3]]), legend=None)
    line = base.mark_line(aria=False, strokeJoin="round").encode(up, paint(alt.StrokeWidth, "width:Q"), dash)
    dots = base.mark_point(filled=True, size=30).encode(up, paint(alt.Opacity, "dot:Q"), description="text:N")
    return to_svg(alt.LayerChart(layer=[*layers, line, dots.transform_filter("datum.text != ''")]), name)


def named(names: Sequence[str]) -> alt.Y:
    """Return a row for each name; they are an expression's string literals, so that none of them is an expression."""
    axis = alt.Axis(
        values=list(range(len(names))), labelExpr=f"{json.dumps(list(names))}[datum.value]", labelLimit=NAMES - 12,
        minExtent=NAMES, maxExtent=NAMES, grid=False, title=None, labelColor=INK,
    )  # fmt: skip
    return alt.Y("at:Q", axis=axis, scale=alt.Scale(domain=[len(names) - 0.5, -0.5], nice=False))


def intervals(
    names: Sequence[str], rows: Sequence[Row], name: str,
    *, zero: bool = False, band: float | None = None, null: float | None = None, row: int = 26,
    title: str | None = None,
) -> Markup:  # fmt: skip
    """Draw means with their intervals, a row for each name.

    Args:
        names: of the rows.
        rows: `at` (an index of `names`), `mean`, `low`, `high`, `text`; `stroke` and `fill` of the point.
        name: for those who cannot see it.
        zero: whether zero is on the chart.
        band: differences up to this one count as none, and are shaded.
        null: a value that means no difference, marked and always on the chart.
        row: pixels from one to the next.
        title: of the axis below.
    """
    if not rows:
        return Markup("")
    size = {"width": WIDTH + 38 - NAMES, "height": row * len(names)}
    scale, axis = numbers(zero=zero)
    axis.grid, axis.gridColor = True, LINE
    across = alt.X("low:Q", title=title, scale=scale, axis=axis)
    y, stroke, layers = named(names), paint(alt.Stroke, "stroke:N"), []
    if null is not None:
        layers.append(chart([{"mean": null}], **size).mark_rule(aria=False, color=SOFT).encode(alt.X("mean:Q")))
    if band is not None:
        shaded = chart([{"low": -band, "high": band}], **size).mark_rect(aria=False, color="var(--panel)")
        layers.append(shaded.encode(alt.X("low:Q"), alt.X2("high:Q")))
        layers.append(chart([{"mean": 0}], **size).mark_rule(aria=False, color=SOFT).encode(alt.X("mean:Q")))
    base = chart(rows, **size)
    layers.append(base.mark_rule(aria=False, strokeWidth=1.6).encode(across, alt.X2("high:Q"), y, stroke))
    mark = base.mark_point(size=56, opacity=1, strokeWidth=1.6)
    layers.append(mark.encode(alt.X("mean:Q"), y, stroke, paint(alt.Fill, "fill:N"), description="text:N"))
    return to_svg(alt.LayerChart(layer=layers), name)


def bars(
    rows: Sequence[Row], x: Scaled, y: Scaled, name: str,
    *, title: str, color: str, rule: tuple[float, str] | None = None, label: bool = False,
) -> Markup:  # fmt: skip
    """Draw histograms: bars from `low` to `high` as high as `count`, each in its `color` if it has one; a rule in text.

    Args:
        rows: `low`, `high`, `count`, `text`; `color` and `opacity`.
        x, y: scales.
        name: for those who cannot see it.
        title: of the axis below.
        color: of bars without one.
        rule: where a dashed line stands, and its text.
        label: whether the text stands beside the line.
    """
    rows = [{"zero": 0, "color": color, "opacity": 1, **row} for row in rows]
    across = alt.X("low:Q", title=title, scale=x[0], axis=x[1])
    up = alt.Y("count:Q", title=None, scale=y[0], axis=y[1])
    bar = chart(rows).mark_bar(stroke="var(--paper)", strokeWidth=0.6)
    layers = [
        bar.encode(
            across, alt.X2("high:Q"), up, alt.Y2("zero:Q"), paint(alt.Fill, "color:N"), paint(alt.Opacity, "opacity:Q"),
            description="text:N",
        )
    ]  # fmt: skip
    if rule is not None:
        line = chart([{"low": rule[0], "text": rule[1]}]).encode(alt.X("low:Q", scale=x[0]))
        layers.append(line.mark_rule(color=INK, strokeDash=[4, 3], strokeWidth=1.4).encode(description="text:N"))
        right = rule[0] > sum(x[0].to_dict()["domain"]) / 2
        words = line.mark_text(
            aria=False, color=INK, fontSize=11.5, align="right" if right else "left", dx=-5 if right else 5, y=-6
        )
        layers += [words.encode(text="text:N")] if label else []
    return to_svg(alt.LayerChart(layer=layers), name)
