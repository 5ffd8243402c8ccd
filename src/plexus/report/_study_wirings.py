"""Wirings side by side: layers on a line, connections as arcs above it, drawn as SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from plexus.report._view import REACHES
from plexus.report._words import number

STEP, HEIGHT, LEFT = 18, 84, 10


def wirings(found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The wirings that records hold as lists of [source, target, strength] under `wiring`: variant, seed, edges."""
    made: list[dict[str, Any]] = []
    for v in found:
        for seed, raw in v["others"].get("wiring", {}).items():
            edges = [_edge(e) for e in raw] if isinstance(raw, list) else []
            if edges and None not in edges:
                made.append({"variant": v["name"], "seed": seed, "edges": edges})
    ends = {end for w in made for e in w["edges"] for end in e[:2]}  # of all, so that layers stand below each other
    nodes = sorted(ends, key=_place)
    return [{**w, "nodes": nodes} for w in made]


def _place(node: str) -> tuple[int, int]:
    """input, lego1, lego2, ..., head."""
    count = node.removeprefix("lego")
    return (0, 0) if node == "input" else (1, int(count)) if count.isdecimal() else (2, 0)


def _edge(edge: Any) -> tuple[str, str, float] | None:
    if not isinstance(edge, list | tuple) or len(edge) < 2:
        return None
    strength = number(edge[2]) if len(edge) > 2 else 1.0
    return str(edge[0]), str(edge[1]), 0.0 if strength is None else strength


def picture(nodes: Sequence[str], edges: Sequence[tuple[str, str, float]], name: str) -> Markup:
    """One wiring as SVG: steps of the chain straight, all others as arcs, fainter where they are weak."""
    place = {node: LEFT + STEP * i for i, node in enumerate(nodes)}
    order = {node: i for i, node in enumerate(nodes)}
    width, base = 2 * LEFT + STEP * max(1, len(nodes) - 1), HEIGHT - 16
    most = max(abs(strength) for _, _, strength in edges) or 1.0
    drawn = []
    for source, target, strength in edges:
        a, b, span = place[source], place[target], abs(order[target] - order[source])
        reach = next(i for i, (longest, _) in enumerate(REACHES, 1) if span <= longest)
        rise = base - 10 - (HEIGHT - 34) * (span / max(2, len(nodes) - 1)) ** 0.7
        bow = f"M{a} {base}L{b} {base}" if span == 1 else f"M{a} {base}C{a} {rise:.0f} {b} {rise:.0f} {b} {base}"
        drawn.append(
            Markup('<path class="arc reach-{}" opacity="{:.2f}" d="{}" aria-label="{} to {}, {:.2f}"/>').format(
                reach, max(0.12, abs(strength) / most), bow, source, target, strength
            )
        )
    dots = [
        Markup('<circle class="node" cx="{}" cy="{}" r="3.5" aria-label="{}"/>').format(x, base, node)
        for node, x in place.items()
    ]
    return Markup('<svg class="chart small" role="img" aria-label="{}" viewBox="0 0 {} {}">{}{}</svg>').format(
        name, width, HEIGHT, Markup("").join(drawn), Markup("").join(dots)
    )
