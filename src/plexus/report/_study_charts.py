"""The charts of a study: every seed as a point, curves with bands, differences with their intervals, wirings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import altair as alt
import numpy as np
from markupsafe import Markup

from plexus.record import StudyRecord
from plexus.report._charts import (
    ACCENT,
    CLEAR,
    INK,
    LINE,
    NAMES,
    SOFT,
    WIDTH,
    chart,
    curves,
    epochs,
    fixed,
    heights,
    intervals,
    named,
    numbers,
    paint,
    to_svg,
)
from plexus.report._fit import REACHES
from plexus.report._formatting import decimal, signed

TOGETHER = 6
"""Curves that one chart can hold and still be read."""
STEP, TALL, LEFT = 18, 84, 10
"""Of a wiring: pixels between layers, of its height, and before the first layer."""


class Shown(NamedTuple):
    """A variant with its color."""

    variant: StudyRecord.Variant
    color: str
    dashed: bool

    @property
    def name(self) -> str:
        """Of the variant."""
        return self.variant.name


def _curve(each: Shown, key: str) -> list[dict[str, Any]]:
    found = each.variant.curves.get(key)
    if found is None:
        return []
    return [
        {
            "at": i, "value": mean, "low": low, "high": high, "line": each.name, "color": each.color,
            "dashed": each.dashed,
            "text": f"{each.name}, epoch {i}: {decimal(mean)}, seeds {decimal(low)} to {decimal(high)}",
        }
        for i, (mean, low, high) in enumerate(zip(found.mean, found.low, found.high, strict=False), 1)
    ]  # fmt: skip


def together(shown: Sequence[Shown], key: str, name: str, *, log: bool) -> Markup:
    """Means over seeds with bands from the least to the greatest, in one chart; empty where there are none."""
    rows = [row for each in shown for row in _curve(each, key)]
    if not rows:
        return Markup("")
    return curves(rows, epochs(max(row["at"] for row in rows)), heights(rows, log=log), name, title="epochs")


def panels(shown: Sequence[Shown], base: str, key: str, name: str, *, log: bool) -> list[tuple[str, Markup]]:
    """Draw one small chart per variant, the baseline's mean beside it, all on one scale."""
    everything = [row for each in shown for row in _curve(each, key)]
    if not everything:
        return []
    across, up = epochs(max(row["at"] for row in everything), 3), heights(everything, 3, log=log)
    keys = ("at", "value", "line")
    beside = [{k: row[k] for k in keys} | {"color": SOFT} for row in everything if row["line"] == base]
    found = []
    for each in shown:
        if rows := [row | {"color": ACCENT, "dashed": False} for row in _curve(each, key)]:
            rows = rows if each.name == base else [*beside, *rows]
            own = f"{name}, {each.name}"
            found.append((each.name, curves(rows, across, up, own, title="epochs", width=150, height=96)))
    return found


def boxes(shown: Sequence[Shown]) -> Markup:
    """Draw the measure: a point per seed, the middle half as a box, the mean as a line; a row per variant."""
    dots, middles = [], []
    for at, each in enumerate(shown):
        points = each.variant.points
        for seed, value in points.items():
            text = f"{each.name}, seed {seed}: {decimal(value, 2)}"
            dots.append({"at": at, "value": value, "color": each.color, "text": text})
        if points and (mean := each.variant.mean) is not None:
            lower, upper = np.quantile(list(points.values()), (0.25, 0.75)).tolist()
            text = f"{each.name}: mean {decimal(mean, 2)} of {len(points)} seeds"
            middles.append({"at": at, "lower": lower, "upper": upper, "mean": mean, "text": text})
    if not dots:
        return Markup("")
    y, size = named([each.name for each in shown]), {"width": WIDTH + 38 - NAMES, "height": 26 * len(shown)}
    scale, axis = numbers()
    axis.grid, axis.gridColor = True, LINE
    base = chart(middles, **size)
    box = base.mark_bar(aria=False, height=14, color=LINE, opacity=1)
    box = box.encode(alt.X("lower:Q", title=None, scale=scale), alt.X2("upper:Q"), y)
    mean_mark = base.mark_tick(thickness=2.5, size=18, color=INK).encode(alt.X("mean:Q"), y, description="text:N")
    points_mark = chart(dots, **size).mark_point(filled=True, size=46, opacity=0.9)
    across = alt.X("value:Q", title=None, scale=scale, axis=axis)
    points_mark = points_mark.encode(across, y, paint(alt.Color, "color:N"), description="text:N")
    return to_svg(alt.LayerChart(layer=[box, mean_mark, points_mark]), "The measure, a point per seed")


def differences(shown: Sequence[Shown], key: str, margin: float, unit: str) -> Markup:
    """Mean difference to the baseline with its 95 % interval, over the band that counts as no difference."""
    rows = []
    for at, each in enumerate(shown):
        found = each.variant.difference if key == "difference" else each.variant.speed
        if found is None:
            continue
        low, high = (found.mean if end is None else end for end in (found.low, found.high))
        ends = "" if found.low is None else f", 95 % interval {signed(low, 2)} to {signed(high, 2)}"
        fill = {"equivalent": SOFT, "open": CLEAR}.get(found.verdict, ACCENT)
        text = f"{each.name}: {signed(found.mean, 2)} {unit}{ends}"
        place = {"at": at, "mean": found.mean, "low": low, "high": high, "text": text}
        rows.append(place | {"fill": fill, "stroke": ACCENT if fill == ACCENT else SOFT})
    name = {
        "difference": "Differences to the baseline with their 95 % intervals",
        "speed": "Epochs to the same loss, against the baseline",
    }[key]
    return intervals([each.name for each in shown], rows, name, zero=True, band=margin)


def gates(history: Sequence[Sequence[float]], name: str) -> Markup:
    """Draw how every gate of one training moved; `history` is (1 + epochs, gates), its first row the start."""
    rows: list[dict[str, Any]] = [
        {
            "at": epoch, "value": round(gate, 4), "line": str(i), "color": ACCENT, "width": 1.1,
            "text": f"gate {i + 1}, epoch {epoch}: {decimal(gate, 2)}",
        }
        for epoch, values in enumerate(history)
        for i, gate in enumerate(values)
        if math.isfinite(gate)
    ]  # fmt: skip
    known = [row["value"] for row in rows]
    across = fixed(0, len(history) - 1, values=[0, len(history) - 1])
    up = alt.Scale(domain=[min([0.0, *known]), max([1.0, *known])]), alt.Axis(tickCount=3, format="~g")
    return curves(rows, across, up, name, title="epochs", width=150, height=96)


def ranking(ranked: Sequence[Mapping[str, Any]], marked: Sequence[Mapping[str, Any]]) -> Markup:
    """Draw every wiring by its mean, best first, with bands over seeds; those that a search chose are marked.

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
    scale, axis = numbers()
    ticks = alt.Axis(tickCount=6, tickMinStep=1)
    x = alt.X("at:Q", title="rank", scale=alt.Scale(domain=[0, len(rows) + 1], nice=False), axis=ticks)
    y, base = alt.Y("mean:Q", title=None, scale=scale, axis=axis), chart(rows, height=230)
    low = alt.Y("low:Q", title=None, scale=scale, axis=axis)
    layers = [
        base.mark_rule(aria=False, color=LINE).encode(x, low, alt.Y2("high:Q")),
        base.mark_point(filled=True, size=12, opacity=1, color=SOFT).encode(x, y, description="text:N"),
    ]
    if marked:
        chosen = chart(marked, height=230).mark_point(size=90, opacity=1, strokeWidth=2)
        ring = paint(alt.Stroke, "color:N")
        layers.append(chosen.encode(alt.X("at:Q"), y, ring, alt.ColorValue(CLEAR), description="text:N"))
    return to_svg(alt.LayerChart(layer=layers), "Every wiring by its mean over seeds, the best first")


def wiring(found: Mapping[str, Any]) -> Markup:
    """Draw one wiring as SVG: steps of the chain straight, all others as arcs, fainter where they are weak."""
    nodes, edges, name = found["nodes"], found["edges"], f"{found['variant']}, seed {found['seed']}"
    place = {node: LEFT + STEP * i for i, node in enumerate(nodes)}
    order = {node: i for i, node in enumerate(nodes)}
    width, base = 2 * LEFT + STEP * max(1, len(nodes) - 1), TALL - 16
    most = max(abs(strength) for _, _, strength in edges) or 1.0
    arcs = []
    for source, target, strength in edges:
        a, b, length = place[source], place[target], abs(order[target] - order[source])
        reach = next(i for i, (longest, _) in enumerate(REACHES, 1) if length <= longest)
        rise = base - 10 - (TALL - 34) * (length / max(2, len(nodes) - 1)) ** 0.7
        bow = f"M{a} {base}L{b} {base}" if length == 1 else f"M{a} {base}C{a} {rise:.0f} {b} {rise:.0f} {b} {base}"
        arcs.append(
            Markup('<path class="arc reach-{}" opacity="{:.2f}" d="{}" aria-label="{} to {}, {:.2f}"/>').format(
                reach, max(0.12, abs(strength) / most), bow, source, target, strength
            )
        )
    dots = [
        Markup('<circle class="node" cx="{}" cy="{}" r="3.5" aria-label="{}"/>').format(x, base, node)
        for node, x in place.items()
    ]
    return Markup('<svg class="chart small" role="img" aria-label="{}" viewBox="0 0 {} {}">{}{}</svg>').format(
        name, width, TALL, Markup("").join(arcs), Markup("").join(dots)
    )
