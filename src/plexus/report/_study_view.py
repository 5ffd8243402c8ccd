"""What the page of a study says: the verdict, rows of the table, curves to draw and the figures behind each chart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from plexus.report._rotation_view import COLORS
from plexus.report._study_ranking import places
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
    if (where := places(summary)) is not None:
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
                "seeds": plural(len(v["points"]), "seed"),
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
