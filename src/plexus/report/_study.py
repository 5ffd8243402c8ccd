"""The sections of a study's page: the verdict, curves, turned images, wirings, rankings, the table."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from statistics import median
from typing import Any

from markupsafe import Markup

from plexus.errors import plural
from plexus.record import StudyRecord
from plexus.report import _study_charts as charts
from plexus.report._charts import COLORS
from plexus.report._formatting import NONE, THIN, count, decimal, duration, facts, signed, span
from plexus.report._robustness import polar
from plexus.report._study_charts import Shown
from plexus.report._study_tables import tables

WORDS = {"higher": "higher", "lower": "lower", "equivalent": "no different", "open": "not settled"}
NAMED = 3
"""How many variants a sentence names."""
ROWS = 40
"""More variants than these are ranked and not listed."""
SHOWN = 24
"""Of small pictures side by side."""
Variant = StudyRecord.Variant


def sections(record: StudyRecord) -> dict[str, Any]:
    """Return the values that the page's template names."""
    shown = _shown(record)
    few = shown if len(shown) <= ROWS else []
    turned, gates, wirings = list(_turned(few)), list(_moved(few)), list(_wirings(few))
    rankings, where = _rankings(record), _places(record)
    trials = plural(record.trials, "trial")
    if record.expected and record.trials <= record.expected:  # a run may be given more seeds than the scale has
        trials = f"{record.trials} of {plural(record.expected, 'trial')}"
    return {
        "headline": where or _headline(record),
        "lede": _lede(record),
        "masthead": (record.study, record.scale, trials),
        "skip": ("numbers", "the numbers"),
        "variants": few,
        "rows": [_row(each.variant) for each in few],
        "convergence": _convergence(few, record.baseline),
        "boxes": charts.boxes(few),
        "differences": charts.differences(few, "difference", record.margin, "points"),
        "speeds": charts.differences(few, "speed", record.speed_margin, "% of the epochs"),
        "circles": [(group, _circle(group)) for group in _circles(turned, record.baseline)],
        "gates": [
            (name, seed, charts.gates(history, f"Gates of {name}, seed {seed}, over the epochs"))
            for name, seed, history in gates[:SHOWN]
        ],
        "wirings": [w | {"picture": charts.wiring(w)} for w in wirings[:SHOWN]],
        "rankings": rankings,
        "agreements": [(each.variant.name, each.variant.agreement) for each in few if each.variant.agreement],
        "csv": tables(record, shown, turned, gates, wirings, *_ranked(record)),
        "making": _making(record),
    }  # fmt: skip


def _shown(record: StudyRecord) -> list[Shown]:
    """The variants to show in rows, each with its color, the baseline first; wirings are ranked instead."""
    base = record.baseline
    known = [v for v in record.variants if v.points and ("wiring" not in v.options or v.name == base)]
    known.sort(key=lambda v: v.name != base)
    total = len(COLORS)
    return [Shown(v, COLORS[i % total], (i // total) % 2 == 1) for i, v in enumerate(known)]


def _headline(record: StudyRecord) -> str:
    """The verdict."""
    base = next((v for v in record.variants if v.name == record.baseline), None)
    groups: dict[str, list[str]] = {word: [] for word in WORDS}
    for v in record.variants:
        if v.difference:
            groups[v.difference.verdict].append(f"{v.name} ({signed(v.difference.mean, 1)})")
    if base is None or base.mean is None or not any(groups.values()):
        return f"{plural(record.trials, 'trial')} done; nothing to compare yet."
    words = WORDS | {"equivalent": f"no different by {record.margin:g} points"}
    parts = [f"{words[word]}: {_listed(names)}" for word, names in groups.items() if names]
    return f"Against {record.baseline} ({decimal(base.mean, 1)}): {'; '.join(parts)}."


def _listed(names: Sequence[str]) -> str:
    if len(names) > NAMED + 1:
        return f"{', '.join(names[:NAMED])} and {len(names) - NAMED} more"
    return ", ".join(names)


def _lede(record: StudyRecord) -> str:
    """Tell how it was measured, and what the words of the verdict mean."""
    images, epochs = record.settings.get("images"), record.settings.get("epochs")
    spec = record.data.get("spec")
    parts = [
        f"{count(images)} training images" if images else "all training images",
        *([plural(epochs, "epoch")] if epochs else []),
        plural(len(record.seeds), "seed"),
    ]
    return (
        f"{f'{spec}: ' if spec else ''}{', '.join(parts)}. Differences are paired by seed and corrected after Holm; "
        f"one whose 90 % interval lies within {record.margin:g} points of zero counts as none."
    )


def _row(v: Variant) -> dict[str, Any]:
    """A row of the table."""
    difference, speed = v.difference, v.speed
    parameters, area = list(v.metrics.get("parameters", {}).values()), list(v.area.points.values())
    return {
        "name": v.name,
        "mean": decimal(v.mean, 2),
        "interval": span(v.interval),
        "seeds": plural(len(v.points), "seed"),
        "difference": signed(difference.mean, 2) if difference else NONE,
        "span": span((difference.low, difference.high)) if difference else "",
        "bootstrap": span(difference.bootstrap) if difference else "",
        "p": _p(difference.p_holm) if difference else "",
        "word": WORDS[difference.verdict] if difference else "",
        "speed": f"{signed(speed.mean, 0)}{THIN}%" if speed else NONE,
        "speed_span": span((speed.low, speed.high), 0) if speed else "",
        "area": decimal(sum(area) / len(area) if area else None, 1),
        "parameters": count(parameters[0] if parameters else None),
    }


def _p(value: float | None) -> str:
    return "" if value is None else "p < .001" if value < 0.001 else f"p = {value:.3f}".replace("0.", ".")


def _making(record: StudyRecord) -> list[dict[str, Any]]:
    cost = {"trials": record.trials, "all together": duration(record.seconds.get("total"))} | record.machine
    if record.apart:
        cost["on another machine than the baseline of their seed"] = plural(record.apart, "trial")
    settings = {name: value for name, value in record.settings.items() if value not in ({}, None)}
    groups = {"Data": record.data, "Settings": settings, "Versions": record.versions}
    return facts(groups | {"Cost": cost})


def _convergence(shown: Sequence[Shown], base: str) -> list[dict[str, Any]]:
    """Validation accuracy and training loss: in one chart, or where there are many variants in one each."""
    found = []
    for key, title, name, log in (
        ("val_accuracy_curve", "Validation accuracy, %", "Validation accuracy over the epochs", False),
        ("train_loss", "Training loss", "Training loss over the epochs", True),
    ):
        together = len(shown) <= charts.TOGETHER
        whole = charts.together(shown, key, name, log=log) if together else Markup("")
        each = [] if together else charts.panels(shown, base, key, name, log=log)
        if whole or each:
            found.append({"title": title, "chart": whole, "panels": each, "key": key})
    return found


def _turned(shown: Sequence[Shown]) -> Iterator[dict[str, Any]]:
    """Rotation curves where trials hold them, in the mean over seeds: anything with angles and accuracies.

    Curves of one kind (`transplant`, say, or none for what was trained) belong together.
    """
    for each in shown:
        others = each.variant.others
        for path, angles in others.items():
            start = path.removesuffix("angles")
            accuracies = list(others.get(f"{start}accuracy", {}).values()) if start != path else []
            first: Any = next(iter(angles.values()), None)
            whole = _numbers(first) and all(_numbers(c) and len(c) == len(first) for c in accuracies)
            if not accuracies or not whole:
                continue
            scale = 1.0 if max(max(c) for c in accuracies) > 1.5 else 100.0  # some say percent, some fractions
            mean = [scale * sum(column) / len(column) for column in zip(*accuracies, strict=True)]
            kind, _, name = start.strip(".").removesuffix("rotation").strip(".").partition(".")
            yield {"name": name or each.variant.name, "kind": kind, "angles": first, "accuracy": mean}


def _circles(turned: Sequence[dict[str, Any]], base: str, *, each: int = 4) -> list[list[dict[str, Any]]]:
    """The curves a few at a time, those that differ by a number together, the baseline's among them every time."""
    first = next((c for c in turned if c["name"] == base and not c["kind"]), None)
    families: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for c in turned:
        if c is not first or len(turned) == 1:
            numbered = re.fullmatch(r"(.*)_\d+", c["name"])
            families.setdefault((c["kind"], numbered[1] if numbered else ""), []).append(c)
    groups = []
    for _, rest in sorted(families.items(), key=lambda family: family[0][0]):  # what was trained comes first
        for i in range(0, len(rest), each):
            group = [
                _around(c, f"{c['kind']} {c['name']}".strip(), COLORS[k]) for k, c in enumerate(rest[i : i + each])
            ]
            if first is not None and len(turned) > 1:
                group.insert(0, _around(first, first["name"], "var(--soft)", dashed=True))
            groups.append(group)
    return groups


def _circle(group: Sequence[dict[str, Any]]) -> Markup:
    names = ", ".join(curve["name"] for curve in group)
    return polar([row for curve in group for row in curve["rows"]], f"Accuracy against the angle, drawn round: {names}")


def _around(curve: dict[str, Any], name: str, color: str, *, dashed: bool = False) -> dict[str, Any]:
    """A curve as the round chart wants it, with its name and color."""
    rows = []
    for angle, value in sorted(zip((a % 360 for a in curve["angles"]), curve["accuracy"], strict=True)):
        exact = angle % 90 == 0
        text = f"{name}, {angle:g}\u00b0{' (exact)' if exact else ''}: {value:.1f}{THIN}%"
        rows.append(
            {
                "at": angle,
                "value": value,
                "dot": int(exact),
                "text": text,
                "line": name,
                "color": color,
                "dashed": dashed,
            }
        )
    if rows and rows[0]["at"] == 0:
        rows.append({**rows[0], "at": 360})
    return {"name": name, "color": color, "dashed": dashed, "rows": rows}


def _moved(shown: Sequence[Shown]) -> Iterator[tuple[str, str, list[list[float]]]]:
    """Histories of gates: (variant, seed, 1 + epochs x gates), of the first seed that has one."""
    for each in shown:
        for path, seeds in each.variant.others.items():
            if path.rpartition(".")[2] == "gates":
                seed, history = next(iter(seeds.items()))
                if isinstance(history, list) and len(history) > 1 and all(_numbers(gates) for gates in history):
                    yield each.variant.name, seed, history


def _numbers(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(type(v) in (int, float) for v in value)


def _wirings(shown: Sequence[Shown]) -> Iterator[dict[str, Any]]:
    """The wirings that trials hold as lists of [source, target, strength] under `wiring`: variant, seed, edges."""
    found: list[dict[str, Any]] = []
    for each in shown:
        for seed, raw in each.variant.others.get("wiring", {}).items():
            edges = [_edge(edge) for edge in raw] if isinstance(raw, list) else []
            if edges and None not in edges:
                found.append({"variant": each.variant.name, "seed": seed, "edges": edges})
    ends = {end for w in found for edge in w["edges"] for end in edge[:2]}  # of all: layers stand below each other
    nodes = sorted(ends, key=_place)
    return (w | {"nodes": nodes} for w in found)


def _place(node: str) -> tuple[int, int]:
    """input, lego1, lego2, ..., head."""
    number = node.removeprefix("lego")
    return (0, 0) if node == "input" else (1, int(number)) if number.isdecimal() else (2, 0)


def _edge(edge: Any) -> tuple[str, str, float] | None:
    if not isinstance(edge, list) or len(edge) < 2:
        return None
    strength = edge[2] if len(edge) > 2 else 1.0
    return str(edge[0]), str(edge[1]), float(strength) if type(strength) in (int, float) else 0.0


def _ranked(record: StudyRecord, edges: float | None = None) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Every wiring of an exhaustive search, best first, and where what the searches found stands among them.

    Args:
        record: whose variants are wirings, each with its edges as the option `wiring`, and searches, whose trials name
            the variant they `found`.
        edges: rank wirings of this many edges only.
    """
    wirings = [(v.mean, v) for v in record.variants if "wiring" in v.options and v.points and v.mean is not None]
    if edges is not None:
        wirings = [(mean, v) for mean, v in wirings if edges in v.metrics.get("edges", {}).values()]
    wirings.sort(key=lambda pair: -pair[0])
    place = {v.name: i for i, (_, v) in enumerate(wirings, 1)}
    searches = [v for v in record.variants if "found" in v.others and (edges is None or _chooses(v))]
    marked = [
        {
            "at": place[name], "mean": wirings[place[name] - 1][0], "search": v.name, "color": COLORS[i % len(COLORS)],
            "text": f"{v.name}, seed {seed}: {name}, rank {place[name]} of {len(wirings)}",
        }
        for i, v in enumerate(searches)
        for seed, name in v.others["found"].items()
        if name in place
    ]  # fmt: skip
    rows = [
        {"name": v.name, "mean": mean, "low": min(v.points.values()), "high": max(v.points.values())}
        for mean, v in wirings
    ]
    return rows, marked


def _rankings(record: StudyRecord) -> list[dict[str, Any]]:
    """All wirings, and those of as many edges as the learned one keeps."""
    found = []
    for edges in dict.fromkeys((None, _budget(record))):
        ranked, marked = _ranked(record, edges)
        if ranked:
            which = f"all {len(ranked)} wirings" if edges is None else f"the {len(ranked)} wirings of {edges:g} edges"
            colors = list(dict.fromkeys((m["search"], m["color"]) for m in marked))
            found.append({"title": which, "chart": charts.ranking(ranked, marked), "key": colors})
    return found


def _places(record: StudyRecord) -> str:
    """Places of searches in a ranking, if there is one: among wirings of as many edges, if the learned one says."""
    places: dict[str, dict[str, float]] = {}
    for edges in dict.fromkeys((_budget(record), None)):
        wirings, marked = _ranked(record, edges)
        which = f"{len(wirings)} wirings" if edges is None else f"{len(wirings)} wirings of {edges:g} edges"
        for name in dict.fromkeys(m["search"] for m in marked):
            if not any(name in each for each in places.values()):
                places.setdefault(which, {})[name] = median(m["at"] for m in marked if m["search"] == name)
    parts = [
        f"of {which}, {', '.join(f'that of {name} is number {at:g}' for name, at in each.items())}"
        for which, each in places.items()
    ]
    return f"In the median over seeds, {'; '.join(parts)}." if parts else ""


def _budget(record: StudyRecord) -> float | None:
    """The number of edges of the gradient's choice, where that is one number."""
    searches = [v for v in record.variants if "found" in v.others and _chooses(v)]
    found = {edges for v in searches for edges in v.metrics.get("edges", {}).values()}
    return found.pop() if len(found) == 1 else None


def _chooses(v: Variant) -> bool:
    """Tell if a search was told how many edges to keep."""
    return any(path.startswith("chosen.") for path in v.others)
