"""Wirings side by side: layers on a line, connections as arcs above it, drawn as SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

STEP, HEIGHT, LEFT = 18, 84, 10


def wirings(found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The wirings that records hold: variant, seed, nodes and edges, from any path that ends in `wiring`."""
    made = []
    for v in found:
        for path, seeds in v["others"].items():
            start = path.removesuffix("wiring.edges")
            if start == path or (start and not start.endswith(".")):
                continue
            for seed, raw in seeds.items():
                nodes = v["others"].get(f"{start}wiring.nodes", {}).get(seed)
                edges = [_pair(e) for e in raw] if isinstance(raw, list) else []
                if not isinstance(nodes, list) or not edges or None in edges:
                    continue
                kind = start.strip(".")
                made.append({"variant": v["name"], "kind": kind, "seed": seed, "nodes": nodes, "edges": edges})
    return made


def _pair(edge: Any) -> tuple[str, str] | None:
    if isinstance(edge, Mapping) and {"source", "target"} <= edge.keys():
        return str(edge["source"]), str(edge["target"])
    if isinstance(edge, list | tuple) and len(edge) >= 2:
        return str(edge[0]), str(edge[1])
    return None


def picture(nodes: Sequence[Any], edges: Sequence[tuple[str, str]], name: str) -> Markup:
    """One wiring as SVG: the steps of the chain straight, all others as arcs."""
    place = {str(node): LEFT + STEP * i for i, node in enumerate(nodes)}
    order = {str(node): i for i, node in enumerate(nodes)}
    width, base = 2 * LEFT + STEP * max(1, len(nodes) - 1), HEIGHT - 16
    drawn = []
    for source, target in edges:
        if source not in place or target not in place:
            continue
        a, b, span = place[source], place[target], order[target] - order[source]
        reach = min(6, next(i for i, most in enumerate((1, 2, 4, 7, 11, 10**9), 1) if span <= most))
        rise = base - 10 - (HEIGHT - 34) * (span / max(2, len(nodes) - 1)) ** 0.7
        bow = f"M{a} {base}L{b} {base}" if span == 1 else f"M{a} {base}C{a} {rise:.0f} {b} {rise:.0f} {b} {base}"
        title = f"{source} to {target}"
        drawn.append(Markup('<path class="arc reach-{}" d="{}" aria-label="{}"/>').format(reach, bow, title))
    dots = [
        Markup('<circle class="node" cx="{}" cy="{}" r="3.5" aria-label="{}"/>').format(x, base, node)
        for node, x in place.items()
    ]
    return Markup('<svg class="chart small" role="img" aria-label="{}" viewBox="0 0 {} {}">{}{}</svg>').format(
        name, width, HEIGHT, Markup("").join(drawn), Markup("").join(dots)
    )
