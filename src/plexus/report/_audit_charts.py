"""The chart of an audit: distances of candidates beside those of pairs known to be unrelated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import altair as alt
from markupsafe import Markup

from plexus.report._svg import NARROW, both
from plexus.report._words import count, decimal, number

INK, GHOST, ACCENT = "var(--ink)", "var(--ghost)", "var(--accent)"
KINDS = (("unrelated", "unrelated pairs", GHOST, 1.0), ("candidates", "candidate pairs", ACCENT, 0.7))


def distances(found: Mapping[str, Any]) -> Markup:
    """Both histograms on a scale that shows one pair beside a million, and the threshold; empty where not measured."""
    raw = found.get("calibration")
    known: Mapping[str, Any] = raw if isinstance(raw, Mapping) else {}
    edges = [edge for value in known.get("edges") or () if (edge := number(value)) is not None]
    rows = [row for kind in KINDS for row in _bars(edges, known.get(kind[0]) or (), *kind[1:])]
    threshold = number(found["settings"].get("threshold"))
    if not rows:
        return Markup("")
    ends = [edges[0], max(edges[-1], threshold or 0)]
    most = max(row["count"] for row in rows)
    marks = [0, *(10**power for power in range(10) if 10**power <= max(10, most))]

    def draw(width: int) -> alt.LayerChart:
        x = alt.X(
            "low:Q", title="distance", scale=alt.Scale(domain=ends, nice=False),
            axis=alt.Axis(tickCount=5 if width <= NARROW else 9),
        )  # fmt: skip
        scale = alt.Scale(type="symlog", constant=1, domain=[0, max(10, most)], nice=False)
        base = alt.Chart(alt.InlineData(values=rows), width=width - 60, height=220).encode(
            x,
            alt.X2("high:Q"),
            alt.Y(
                "count:Q", title=None, scale=scale, axis=alt.Axis(values=marks, labelExpr="format(datum.value, ',d')")
            ),
            alt.Y2("zero:Q"),
        )
        layers: list[Any] = [
            base.mark_bar(color=color, opacity=opacity, stroke=None)
            .encode(description="text:N")
            .transform_filter(f"datum.kind == '{name}'")
            for _, name, color, opacity in KINDS
        ]
        if threshold is not None:
            text = f"threshold {decimal(threshold, 4)}"
            rule = alt.Chart(alt.InlineData(values=[{"low": threshold, "text": text}])).encode(
                alt.X("low:Q", scale=alt.Scale(domain=ends, nice=False))
            )
            layers.append(rule.mark_rule(color=INK, strokeWidth=1.4, strokeDash=[4, 3]).encode(description="text:N"))
            right = threshold > (ends[0] + ends[1]) / 2
            words = rule.mark_text(
                aria=False, color=INK, fontSize=11, align="right" if right else "left", dx=-5 if right else 5, y=-6
            )
            layers.append(words.encode(text="text:N"))
        return alt.LayerChart(layer=layers)

    return both(draw, "Distances of candidate pairs and of unrelated pairs, with the threshold")


def _bars(edges: list[float], counts: Any, name: str, color: str, opacity: float) -> list[dict[str, Any]]:
    if len(counts) != len(edges) - 1:
        return []
    return [
        {
            "low": low,
            "high": high,
            "count": n,
            "zero": 0,
            "kind": name,
            "text": f"{low:.3g} to {high:.3g}: {count(n)} {name}",
        }
        for low, high, value in zip(edges, edges[1:], counts, strict=False)
        if (n := number(value))
    ]
