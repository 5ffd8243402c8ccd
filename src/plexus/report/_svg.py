"""An altair chart becomes SVG that obeys the page: its colors, its fonts, its size, no identifiers, no scripts."""

from __future__ import annotations

import re
from collections.abc import Callable

import altair as alt
import vl_convert
from markupsafe import Markup, escape

WIDE, NARROW = 500, 320
"""Chart widths in pixels, so that letters keep their size on a desk and on a phone."""

EMPTY = re.compile(r'<path (?:class="(?:back|fore)ground"|[^>]*display="none")[^>]*/>|<g></g>')
NOISE = re.compile(r' (?:font-family|pointer-events|xmlns:xlink|version|role|aria-hidden|stroke-miterlimit)="[^"]*"')
AXIS = re.compile(r' aria-label="[XY]-axis[^"]*"')
PATH = re.compile(r' (?:d|transform)="[^"]*"')
LONG = re.compile(r"(\d+\.\d)\d+")
CONTAINER = re.compile(r' aria-roledescription="(?:[a-z ]*container|axis)"')

_THEME = alt.Config(
    background="transparent",
    padding=2,
    view=alt.ViewConfig(stroke=None),
    axis=alt.AxisConfig(
        domain=False,
        ticks=False,
        gridColor="var(--line)",
        labelColor="var(--soft)",
        titleColor="var(--soft)",
        labelFontSize=11,
        titleFontSize=11,
        titleFontWeight="normal",
        labelPadding=6,
        titlePadding=8,
        labelFlush=False,
    ),
    axisX=alt.AxisConfig(grid=False, domain=True, domainColor="var(--line)"),
)


def to_svg(chart: alt.Chart | alt.LayerChart, name: str) -> Markup:
    """The chart as SVG, with `name` for those who cannot see it; the same chart gives the same text every time."""
    themed = chart.copy(deep=False)
    themed.config = _THEME
    text = vl_convert.vegalite_to_svg(themed.to_dict())
    for pattern in (EMPTY, EMPTY, NOISE, AXIS, CONTAINER):
        text = pattern.sub("", text)
    text = PATH.sub(lambda found: LONG.sub(r"\1", found[0]), text)
    return Markup(text.replace('class="marks"', f'class="chart" role="img" aria-label="{escape(name)}"', 1))


def both(draw: Callable[[int], alt.Chart | alt.LayerChart], name: str) -> Markup:
    """The chart at both widths; the stylesheet shows the one that fits."""
    pair = ((WIDE, "wide"), (NARROW, "narrow"))
    return Markup("").join(Markup('<div class="{}">{}</div>').format(kind, to_svg(draw(w), name)) for w, kind in pair)
