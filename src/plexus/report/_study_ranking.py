"""The ranking of an exhaustive search, and where other searches stand in it."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median
from typing import Any

from plexus.report._rotation_view import COLORS


def ranked(
    summary: Mapping[str, Any], *, edges: float | None = None
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Every wiring of an exhaustive search, best first, and where what the searches found stands among them.

    Args:
        summary: whose variants are wirings, each with its edges as the option `wiring`, and searches, whose records
            name the variant they `found`.
        edges: rank wirings of this many edges only.
    """
    wirings = [v for v in summary["variants"] if "wiring" in v["options"] and v["points"]]
    if edges is not None:
        wirings = [v for v in wirings if edges in v["metrics"].get("edges", {}).values()]
    wirings.sort(key=lambda v: -v["mean"])
    place = {v["name"]: i for i, v in enumerate(wirings, 1)}
    searches = [v for v in summary["variants"] if "found" in v["others"] and (edges is None or _chooses(v))]
    marked = [
        {
            "at": place[name], "mean": wirings[place[name] - 1]["mean"], "search": v["name"],
            "color": f"var({COLORS[i % len(COLORS)]})",
            "text": f"{v['name']}, seed {seed}: {name}, rank {place[name]} of {len(wirings)}",
        }
        for i, v in enumerate(searches)
        for seed, name in v["others"]["found"].items()
        if name in place
    ]  # fmt: skip
    rows = [
        {"name": v["name"], "mean": v["mean"], "low": min(v["points"].values()), "high": max(v["points"].values())}
        for v in wirings
    ]
    return rows, marked


def places(summary: Mapping[str, Any]) -> str | None:
    """Where searches stand in a ranking, if there is one: among wirings of as many edges, if the learned one says."""
    places: dict[str, dict[str, float]] = {}
    for edges in dict.fromkeys((budget(summary), None)):
        wirings, marked = ranked(summary, edges=edges)
        which = f"{len(wirings)} wirings" if edges is None else f"{len(wirings)} wirings of {edges:g} edges"
        for name in dict.fromkeys(m["search"] for m in marked):
            if not any(name in each for each in places.values()):
                places.setdefault(which, {})[name] = median(m["at"] for m in marked if m["search"] == name)
    said = [
        f"of {which}, {', '.join(f'that of {name} is number {at:g}' for name, at in each.items())}"
        for which, each in places.items()
    ]
    return f"In the median over seeds, {'; '.join(said)}." if said else None


def budget(summary: Mapping[str, Any]) -> float | None:
    """How many edges the gradient's choice has, where that is one number."""
    found = {
        count
        for v in summary["variants"]
        if "found" in v["others"] and _chooses(v)
        for count in v["metrics"].get("edges", {}).values()
    }
    return found.pop() if len(found) == 1 else None


def _chooses(v: Mapping[str, Any]) -> bool:
    """Whether a search was told how many edges to keep."""
    return any(path.startswith("chosen.") for path in v["others"])
