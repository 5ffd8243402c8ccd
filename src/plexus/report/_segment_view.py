"""What the page of a segmentation says: sentences, tables, worst cases and skips, from plain JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from plexus.report._facts import PICTURE
from plexus.report._words import NONE, count, day, decimal, duration, number, percent, plural

Record = Mapping[str, Any]
MEASURES = {
    "dice": ("Dice", "an image left empty where there is no target counts as 1"),
    "dice_present": ("Dice, target present", "only images with a target"),
    "dice_nan_skipped": ("Dice, empty skipped", "images where truth and mask are both empty are left out"),
    "hausdorff95": ("Hausdorff 95, px", "distance of the contours, where both are there"),
}
LAYERS = ("truth", "prediction", "error")
OWN = ("out-of-fold images", "validation images")


def results(record: Record) -> dict[str, Mapping[str, Any]]:
    """Gate -> its figures, in the order of the record."""
    found = record.get("results")
    return {str(name): r for name, r in found.items() if isinstance(r, Mapping)} if isinstance(found, Mapping) else {}


def chosen(record: Record) -> Mapping[str, Any]:
    """The figures of the gate that was chosen."""
    return results(record).get(str(record.get("chosen")), {})


def estimate(entry: Any) -> tuple[float, float, float, int] | None:
    """Mean, ends of the interval and count, where they were measured."""
    if not isinstance(entry, Mapping) or (mean := number(entry.get("mean"))) is None:
        return None
    low, high = (number(entry.get(end)) for end in ("low", "high"))
    return mean, mean if low is None else low, mean if high is None else high, int(number(entry.get("n")) or 0)


def headline(record: Record) -> str:
    """The result in one sentence."""
    best = estimate(chosen(record).get("dice"))
    if best is None:
        epochs = sum(len(fold.get("epochs") or ()) for fold in record.get("folds") or ())
        return f"This run has not finished: {plural(epochs, 'epoch')} recorded so far."
    where = str(record.get("measured_on") or "images")
    on = f"{count(best[3])} {where}" if where in OWN else f"{plural(best[3], 'image')} of {where}"
    return f"Dice {decimal(best[0])} ({decimal(best[1])} to {decimal(best[2])}) over {on}."


def lede(record: Record) -> str:
    """What the gate does, in numbers."""
    known = results(record)
    own, plain = chosen(record), known.get("none")
    if not own:
        return ""
    name = str(record.get("chosen"))
    text = f"With the gate {name}: {_errors(own)}."
    if plain is not None and name != "none" and (before := estimate(plain.get("dice"))):
        text += f" With none: {_errors(plain)}, Dice {decimal(before[0])}."
    over = "groups" if number(record["data"].get("groups")) else "images"
    return text + f" Intervals are 95\u00a0% by bootstrap over {over}."


def _errors(entry: Mapping[str, Any]) -> str:
    p = entry.get("presence") or {}
    missed = f"{count(p.get('false_negatives'))} of {plural(number(p.get('positives')) or 0, 'target')} missed"
    if not number(p.get("negatives")):
        return missed
    return f"{missed}, {count(p.get('false_positives'))} of {count(p.get('negatives'))} empty images given a mask"


def masthead(record: Record) -> list[str]:
    """Name of the data, date and seed."""
    parts = (str(record["data"].get("name") or ""), day(str(record.get("created", ""))))
    seed = record.get("seed")
    return [part for part in (*parts, "" if seed is None else f"seed {seed}") if part]


def rows(record: Record) -> list[dict[str, Any]]:
    """One row per gate: Dice in its three readings, contours, presence."""
    made = []
    for name, entry in results(record).items():
        cells = []
        for key, (title, _) in MEASURES.items():
            digits = 1 if key == "hausdorff95" else 3
            known = estimate(entry.get(key))
            span = f"{known[1]:.{digits}f}{NONE}{known[2]:.{digits}f}" if known else ""
            cells.append((title, decimal(known[0], digits) if known else NONE, span))
        p = entry.get("presence") or {}
        cells += [
            ("targets missed", count(p.get("false_negatives")), f"of {count(p.get('positives'))}"),
            ("false masks", count(p.get("false_positives")), f"of {count(p.get('negatives'))}"),
            ("presence right", percent(p.get("accuracy")), ""),
            ("AUC", decimal(p.get("auc")), ""),
        ]
        made.append({"name": name, "chosen": name == str(record.get("chosen")), "cells": cells})
    return made


def images(record: Record) -> list[dict[str, Any]]:
    """Every image's figures, for the table and the charts."""
    made = []
    for entry in record.get("images") or ():
        row: dict[str, Any] = {
            key: number(entry.get(key)) for key in ("fold", "truth_area", "area", "presence", "dice", "hausdorff95")
        }
        group = entry.get("group")
        row |= {"name": str(entry.get("name", "")), "group": None if group is None else str(group)}
        made.append(row | {"emptied": entry.get("emptied") is True})
    return made


def shown(record: Record) -> list[dict[str, Any]]:
    """The worst images with their layers; what is no embedded bitmap is left out."""
    made = []
    for entry in record.get("shown") or ():
        uris = {key: picture(entry.get(key)) for key in ("image", *LAYERS)}
        truth, area = number(entry.get("truth_area")), number(entry.get("area"))
        fault = "no target, yet a mask" if truth == 0 and area else "target missed" if truth and area == 0 else ""
        figures = {"name": str(entry.get("name", "")), "dice": decimal(entry.get("dice")), "fault": fault}
        figures |= {"presence": percent(entry.get("presence")), "truth": percent(truth), "area": percent(area)}
        made.append({"uris": uris, "layers": [(key, uris[key]) for key in LAYERS if uris[key]], **figures})
    return made


def picture(text: Any) -> str:
    """An embedded bitmap; nothing for anything else."""
    return text if isinstance(text, str) and PICTURE.match(text) else ""


def skips(record: Record) -> dict[str, Any]:
    """Gates of the skips as a matrix, decoder levels by encoder levels, in the mean over the nets that keep them."""
    nets = [fold.get("wiring") for fold in record.get("folds") or () if isinstance(fold.get("wiring"), Mapping)]
    single = (record.get("model") or {}).get("wiring")
    nets = nets or ([single] if isinstance(single, Mapping) else [])
    gates: dict[tuple[str, str], list[float]] = {}
    for net in nets:
        for edge in net.get("edges") or ():
            if isinstance(edge, Mapping) and (strength := number(edge.get("strength"))) is not None:
                gates.setdefault((str(edge.get("target")), str(edge.get("source"))), []).append(strength)
    nodes = [str(node) for node in nets[0].get("nodes") or ()] if nets else []
    targets, sources = ([n for n in nodes if any(pair[end] == n for pair in gates)] for end in (0, 1))
    most = max((abs(g) for each in gates.values() for g in each), default=0) or 1.0
    lines = []
    for target in targets:
        cells: list[dict[str, Any]] = []
        for source in sources:
            each = gates.get((target, source), [])
            mean = sum(each) / len(each) if each else None
            shade = 0 if mean is None else 1 + round(4 * min(1.0, abs(mean) / most))
            cells.append({"text": decimal(mean, 2) if each else "", "shade": shade, "nets": len(each)})
        lines.append({"name": target, "cells": cells})
    return {"sources": sources, "rows": lines, "nets": len(nets), "kept": len(gates)}


def making(record: Record) -> list[dict[str, Any]]:
    """Groups of name and value on data, model, gate, configuration, versions, machine and time."""
    data, model = record["data"], record.get("model") or {}
    facts = {key: data.get(key) for key in ("name", "fingerprint", "images", "present", "groups")}
    facts["network sees"] = " \u00d7 ".join(map(str, data.get("size") or ()))
    spent = {name: duration(seconds) for name, seconds in (record.get("seconds") or {}).items()}
    net = {key: model.get(key) for key in ("preset", "neuron")} | {"parameters": count(model.get("parameters"))}
    groups = {
        "Data": facts,
        "Network": net,
        "Gate": record.get("gate") or {},
        "Configuration": record.get("config") or {},
        "Versions": record.get("versions") or {},
        "Machine": record.get("machine") or {},
        "Time": spent,
    }
    return grouped(groups)


def grouped(groups: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Groups of name and value as the page shows them; what is empty is left out."""
    made = [
        {"title": title, "rows": [(name, _value(value)) for name, value in group.items() if value not in (None, "")]}
        for title, group in groups.items()
    ]
    return [group for group in made if group["rows"]]


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    return ", ".join(map(str, value)) if isinstance(value, Sequence) and not isinstance(value, str) else str(value)
