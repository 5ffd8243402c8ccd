"""What the page of a study says: the verdict, rows of the table, curves to draw and the figures behind each chart."""

from __future__ import annotations

import base64
import csv
import io
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any

from plexus.report._rotation_view import COLORS
from plexus.report._words import NONE, count, decimal, duration, number, plural, signed

WORDS = {"higher": "higher", "lower": "lower", "equivalent": "no different", "open": "not settled"}
NAMED = 3
"""How many variants a sentence names."""


def rounded(value: float, digits: int) -> str:
    """With fixed decimals, and no sign on what rounds to zero."""
    return decimal(round(value, digits) + 0.0, digits)


def variants(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The variants to show in rows, each with its color, the baseline first; wirings are ranked instead."""
    known = [v for v in summary["variants"] if v["points"] and ("wiring" not in v["options"] or v is _base(summary))]
    known.sort(key=lambda v: v["name"] != summary["baseline"])
    return [
        {**v, "color": f"var({COLORS[i % len(COLORS)]})", "dashed": (i // len(COLORS)) % 2 == 1}
        for i, v in enumerate(known)
    ]


def _base(summary: Mapping[str, Any]) -> Mapping[str, Any] | None:
    return next((v for v in summary["variants"] if v["name"] == summary["baseline"]), None)


def headline(summary: Mapping[str, Any]) -> str:
    """The verdict in one sentence."""
    if (where := _found(summary)) is not None:
        return where
    base = _base(summary)
    groups: dict[str, list[str]] = {word: [] for word in WORDS}
    for v in summary["variants"]:
        if found := v.get("difference"):
            groups[found["verdict"]].append(f"{v['name']} ({signed(found['mean'], 1)})")
    if base is None or base["mean"] is None or not any(groups.values()):
        return f"{plural(summary['trials'], 'trial')} done; nothing to compare yet."
    margin = f"{summary['margin']:g}"
    said = [
        words.format(_listed(groups[word]))
        for word, words in (
            ("higher", "higher: {}"), ("lower", "lower: {}"), ("equivalent", f"no different by {margin} points: {{}}"),
            ("open", "not settled: {}"),
        )
        if groups[word]
    ]  # fmt: skip
    return f"Against {summary['baseline']} ({decimal(base['mean'], 1)}): {'; '.join(said)}."


def _found(summary: Mapping[str, Any]) -> str | None:
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


def _listed(names: Sequence[str]) -> str:
    if len(names) > NAMED + 1:
        return f"{', '.join(names[:NAMED])} and {len(names) - NAMED} more"
    return ", ".join(names)


def lede(summary: Mapping[str, Any]) -> str:
    """How it was measured, and what the words of the verdict mean."""
    settings, data = summary["settings"], summary["data"]
    parts = [
        f"{count(images)} training images" if number(images := settings.get("images")) else "all training images",
        plural(epochs, "epoch") if number(epochs := settings.get("epochs")) else "",
        plural(len(summary["seeds"]), "seed"),
    ]
    start = f"{data.get('spec', '')}: " if data.get("spec") else ""
    return (
        f"{start}{', '.join(p for p in parts if p)}. Differences are paired by seed and corrected after Holm; one "
        f"whose 90 % interval lies within {summary['margin']:g} points of zero counts as none."
    )


def masthead(summary: Mapping[str, Any]) -> list[str]:
    """Name, scale and how much of it is done."""
    expected = summary.get("expected")
    done = f"{summary['trials']} of {expected} trials" if expected else plural(summary["trials"], "trial")
    return [str(part) for part in (summary["study"], summary["scale"], done) if part]


def rows(found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The table: a row per variant."""
    made = []
    for v in found:
        difference, speed = v.get("difference"), v.get("speed")
        parameters = list(v["metrics"].get("parameters", {}).values())
        made.append(
            {
                "name": v["name"],
                "mean": decimal(v["mean"], 2),
                "interval": _span(v["interval"]),
                "seeds": str(len(v["points"])),
                "difference": signed(difference["mean"], 2) if difference else NONE,
                "span": _span([difference["low"], difference["high"]]) if difference else "",
                "bootstrap": _span(difference["bootstrap"]) if difference else "",
                "p": _p(difference["p_holm"]) if difference else "",
                "word": WORDS[difference["verdict"]] if difference else "",
                "speed": f"{signed(speed['mean'], 0)}\u202f%" if speed else NONE,
                "speed_span": _span([speed["low"], speed["high"]], 0) if speed else "",
                "area": decimal(_mean(v["area"]["points"].values()), 1),
                "parameters": count(parameters[0]) if parameters else NONE,
            }
        )
    return made


def _span(pair: Any, digits: int = 2) -> str:
    if not pair or pair[0] is None or pair[1] is None:
        return ""
    return f"{rounded(pair[0], digits)} to {rounded(pair[1], digits)}"


def _p(value: Any) -> str:
    known = number(value)
    return "" if known is None else "p < .001" if known < 0.001 else f"p = {known:.3f}".replace("0.", ".")


def _mean(values: Iterable[float]) -> float | None:
    known = list(values)
    return sum(known) / len(known) if known else None


def turned(found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rotation curves where records hold them, in the mean over seeds: anything with angles and accuracies.

    Curves of one kind (`transplant`, say, or none for what was trained) belong together.
    """
    made = []
    for v in found:
        for path, angles in v["others"].items():
            start = path.removesuffix("angles")
            each = list(v["others"].get(f"{start}accuracy", {}).values()) if start != path else []
            first: Any = next(iter(angles.values()), None)
            if not each or not _numbers(first) or any(not _numbers(c) or len(c) != len(first) for c in each):
                continue
            share = 100.0 if max(max(c) for c in each) > 1.5 else 1.0
            mean = [sum(column) / len(column) / share for column in zip(*each, strict=True)]
            kind, _, name = start.strip(".").removesuffix("rotation").strip(".").partition(".")
            exact = [a % 90 == 0 for a in first]
            curve = {"angles": first, "exact": exact, "accuracy": mean}
            made.append({"name": name or v["name"], "kind": kind, "summary": curve})
    return made


def circles(curves: Sequence[Mapping[str, Any]], base: str, *, each: int = 4) -> list[list[dict[str, Any]]]:
    """The curves a few at a time, those that differ by a number together, the baseline's among them every time."""
    first = next((c for c in curves if c["name"] == base and not c["kind"]), None)
    families: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for c in curves:
        if c is not first or len(curves) == 1:
            numbered = re.fullmatch(r"(.*)_\d+", c["name"])
            families.setdefault((c["kind"], numbered[1] if numbered else ""), []).append(c)
    made = []
    for _, rest in sorted(families.items(), key=lambda family: family[0][0]):  # what was trained comes first
        for i in range(0, len(rest), each):
            group = [
                {**c, "name": f"{c['kind']} {c['name']}".strip(), "color": f"var({COLORS[k]})", "dashed": False}
                for k, c in enumerate(rest[i : i + each])
            ]
            if first is not None and len(curves) > 1:
                group.insert(0, {**first, "color": "var(--soft)", "dashed": True})
            made.append(group)
    return made


def moved(found: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, list[list[float]]]]:
    """Histories of gates: (variant, seed, epochs x gates), of the first seed that has one."""
    made = []
    for v in found:
        for path, seeds in v["others"].items():
            if path.rpartition(".")[2] != "gates":
                continue
            seed, history = next(iter(seeds.items()))
            if isinstance(history, list) and len(history) > 1 and all(_numbers(h) for h in history):
                made.append((v["name"], seed, history))
    return made


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


def _chooses(v: Mapping[str, Any]) -> bool:
    """Whether a search was told how many edges to keep."""
    return any(path.startswith("chosen.") for path in v["others"])


def budget(summary: Mapping[str, Any]) -> float | None:
    """How many edges the gradient's choice has, where that is one number."""
    found = {
        count
        for v in summary["variants"]
        if "found" in v["others"] and _chooses(v)
        for count in v["metrics"].get("edges", {}).values()
    }
    return found.pop() if len(found) == 1 else None


def _numbers(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(number(v) is not None for v in value)


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as CSV in a link of its own; text that a spreadsheet would take for a formula is quoted with an apostrophe.

    Example:
        >>> table([{"name": "=1", "mean": -1.5}]) == "data:text/csv;base64," + "bmFtZSxtZWFuDQonPTEsLTEuNQ0K"
        True
    """
    columns = list(dict.fromkeys(key for row in rows for key in row))
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([_cell(c) for c in columns])
    writer.writerows([[_cell(row.get(c)) for c in columns] for row in rows])
    return f"data:text/csv;base64,{base64.b64encode(out.getvalue().encode()).decode()}"


def _cell(value: Any) -> Any:
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{value}"
    return "" if value is None or (isinstance(value, float) and not math.isfinite(value)) else value


def making(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Groups of name and value: data, settings, versions, cost."""
    machine = summary.get("machine")
    groups: dict[str, Mapping[str, Any]] = {
        "Data": summary["data"],
        "Settings": {k: v for k, v in summary["settings"].items() if v not in ({}, None)},
        "Versions": summary["versions"],
        "Cost": {"trials": summary["trials"], "all together": duration(summary["seconds"])}
        | (dict(machine) if isinstance(machine, Mapping) else {"machine": machine}),
    }
    return [
        {"title": title, "rows": [(str(k), str(v)) for k, v in group.items() if v not in (None, "")]}
        for title, group in groups.items()
    ]
