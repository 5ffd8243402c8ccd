"""The sections of a training's page: sentences, tables, and what the other modules of it draw."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from plexus.errors import plural
from plexus.record import FitRecord
from plexus.report._advice import next_steps
from plexus.report._fit_charts import COMPETITORS, cost_charts, phase_of, training_curves
from plexus.report._fit_classes import classes, confusion, examples
from plexus.report._fit_wiring import (
    REACHES,
    connections,
    cuts,
    drawing_of,
    gate_charts,
    gate_history,
    importance_chart,
    kept_count,
    still,
)
from plexus.report._formatting import (
    NONE,
    coded,
    count,
    decimal,
    duration,
    facts,
    percent,
    points,
    short,
    times,
)


def sections(record: FitRecord) -> dict[str, Any]:
    """Return the values that the page's template names."""
    drawing, gates = drawing_of(record), gate_history(record)
    return {
        "headline": _headline(record),
        "lede": f"{_background(record)} {_verdict(record)}".strip(),
        "skip": ("wiring", "the wiring"),
        "gap": _gap(record),
        "drawing": drawing,
        "data": drawing,
        "reaches": [(i, name) for i, (_, name) in enumerate(REACHES, 1) if i in {e["reach"] for e in drawing["edges"]}],
        "remarks": record.remarks(),
        "networks": _networks(record),
        "cost_charts": cost_charts(record),
        "competitors": [(r.name, r.label) for r in record.results if r.name in COMPETITORS],
        "phases": {phase_of(epoch) for epoch in record.epochs},
        "accuracy_chart": training_curves(record, ["val_accuracy"], "Validation accuracy in percent over the epochs"),
        "loss_chart": training_curves(
            record, ["train_loss", "val_loss"], "Training and validation loss over the epochs"
        ),
        "gate_charts": gate_charts(record, gates),
        "still": still(gates),
        "importance_chart": importance_chart(record),
        "connections": connections(record, gates),
        "cuts": cuts(record),
        "steps": [coded(step) for step in next_steps(record)],
        "classes": classes(record),
        "confusion": confusion(record),
        "mistakes": examples(record, record.mistakes),
        "correct": examples(record, record.correct),
        "making": _making(record),
        "skipped": record.data.skipped,
        "notes": record.data.notes,
    }


def _headline(record: FitRecord) -> str:
    kept = kept_count(record)
    start = f"Kept {count(kept)} of {plural(len(record.edges), 'connection')}" if kept is not None else ""
    best = record.result("final") or record.result("pruned")
    if not record.finished:
        return f"This run has not finished: {plural(len(record.epochs), 'epoch')} recorded so far."
    if best is None:
        return f"{start}; the net was not tested." if start else "A run without a tested net."
    chain, uncut = record.result("chain"), next((r for r in record.results if r.name == "uncut"), None)
    if uncut is not None and best.macs and uncut.macs and best.parameters and uncut.parameters:
        smaller = f"{uncut.macs / best.macs:.1f} times fewer multiply-adds than with nothing cut"
        return f"{percent(best.accuracy)} of the test images right with {short(best.parameters)} parameters: {smaller}."
    against = f" against {percent(chain.accuracy)} for the chain" if chain else " of the test images right"
    size = f", {short(best.parameters)} parameters" if best.parameters is not None else ""
    return f"{start or 'Trained'}: {percent(best.accuracy)}{against}{size}."


def _background(record: FitRecord) -> str:
    """Tell what was learned from what, and how long it took."""
    layers = len([node for node in record.nodes if node not in ("input", "head")])
    if not layers:
        return ""
    counts, total = record.data.counts, record.seconds.get("total")
    images = f" on {count(counts['train'])} training images" if "train" in counts else ""
    maps = (
        sum(edge.maps[0] for edge in record.edges if edge.maps),
        sum(edge.maps[1] for edge in record.edges if edge.maps),
    )
    of = f": {count(maps[0])} of {count(maps[1])} between its maps" if maps[1] else ""
    what = f"connections to keep{of}"
    if record.plan.channels is not None:
        what = f"channels to keep, {percent(record.plan.channels)} of each stream's"
    text = f"A net of {plural(layers, 'layer')} learned{images} which of its {what}"
    then = {"finetune": "fine-tuned", "retrain": "trained anew from fresh weights"}.get(record.then, "")
    text += f"; the pruned net was then {then}" if then else ""
    text += f". It reads the maps of {record.front}" if record.front else ""
    text += f"; {record.teacher} taught it, with {teacher}" if (teacher := _taught(record)) else ""
    if total is not None:
        text += f". {'The whole run took' if record.finished else 'So far it took'} {duration(total)}"
    return f"{text}." + (f" Tested on {plural(n, 'image')}." if record.results and (n := counts.get("test")) else "")


def _taught(record: FitRecord) -> str:
    """The part that the teacher's answers had in the loss, and what they are worth; empty without one."""
    share, row = record.config.get("teacher_share"), record.result("teacher")
    if not record.teacher:
        return ""
    right = f"; it has {percent(row.accuracy)} of the test images right itself" if row is not None else ""
    return f"{percent(share) if isinstance(share, float) else 'part'} of the loss{right}"


def _verdict(record: FitRecord) -> str:
    """Tell if final net and chain differ by more than their 95 % intervals can explain."""
    final, chain = record.result("final"), record.result("chain")
    if not final or final.ci is None:
        return ""
    plain = record.result("resnet")
    if plain is not None and plain.latency_ms and final.latency_ms and final.accuracy and plain.accuracy:
        sizes = (plain.parameters or 0) / (final.parameters or 1)
        more = f" and {sizes:.1f} times the parameters" if sizes else ""
        return (
            f"A plain ResNet that takes {decimal(plain.latency_ms, 3)} ms for an image (this net "
            f"{decimal(final.latency_ms, 3)}) has {percent(plain.accuracy)}{more}; the difference is "
            f"{points(final.accuracy - plain.accuracy)}. {_overlap(final.ci, plain.ci)}"
        ).rstrip()
    linear = record.result("linear")
    if linear is not None and linear.accuracy is not None and final.accuracy is not None:
        return (
            f"A linear layer on the backbone's pooled last map, trained as long, has {percent(linear.accuracy)}; the "
            f"difference is {points(final.accuracy - linear.accuracy)}. {_overlap(final.ci, linear.ci)}"
        ).rstrip()
    return _overlap(final.ci, chain.ci if chain else None)


def _overlap(one: Sequence[float], other: Sequence[float] | None) -> str:
    """Tell if two intervals leave open which net is better."""
    if other is None:
        return ""
    if one[0] > other[1] or one[1] < other[0]:
        return "The 95 % intervals of the two do not overlap."
    return "The 95 % intervals of the two overlap, so this run alone does not settle which is better."


def _gap(record: FitRecord) -> str:
    """The change by cutting alone, with no training in between."""
    before, after, kept = record.gap.before, record.gap.after, kept_count(record)
    if before is None or after is None:
        return ""
    split = {"val": "validation", "test": "test"}.get(record.gap.split, "validation")
    cut = f" {plural(len(record.edges) - kept, 'connection')}" if kept is not None else ""
    return (
        f"Cutting{cut}, with no training afterwards, took {split} accuracy from {percent(before)} to {percent(after)}: "
        f"{points(after - before)}."
    )


def _networks(record: FitRecord) -> dict[str, Any]:
    """The rows that compare the networks, and one scale of accuracy for all their intervals."""
    ends = [end for r in record.results if r.accuracy is not None for end in r.ci or (r.accuracy,)]
    if not ends:
        return {"rows": [], "ticks": [], "columns": [], "missing": []}
    low, high, step = _scale(min(ends), max(ends))

    def across(fraction: float) -> float:
        return round(100 * (fraction - low) / (high - low), 2)

    rows = [
        {
            "name": entry.name,
            "label": entry.label or entry.name,
            "neurons": entry.neurons,
            "accuracy": percent(entry.accuracy),
            "balanced": percent(entry.balanced_accuracy),
            "interval": f"{100 * entry.ci[0]:.1f}{NONE}{100 * entry.ci[1]:.1f}" if entry.ci else "",
            "ends": [across(end) for end in entry.ci or ()],
            "at": None if entry.accuracy is None else across(entry.accuracy),
            "parameters": count(entry.parameters),
            "macs": short(entry.macs),
            "latency": decimal(entry.latency_ms, 3),
            "kb": count(None if entry.kb is None else round(entry.kb)),
            "train": duration(entry.train_seconds),
        }
        for entry in record.results
    ]
    marks = [low + i * step for i in range(round((high - low) / step) + 1)]
    unequal = any(entry.balanced_accuracy is not None for entry in record.results)
    columns = {
        "parameters": "parameters",
        "macs": "multiply-adds",
        "latency": "ms per image",
        "kb": "kB",
        "train": "training",
    }
    missing = [title for key, title in columns.items() if all(row[key] == NONE for row in rows)]
    return {
        "rows": rows,
        "columns": [(key, title) for key, title in columns.items() if title not in missing],
        "missing": missing,
        "unequal": unequal,
        "ticks": [{"at": across(mark), "text": f"{100 * mark:.3g}"} for mark in marks],
    }


def _scale(low: float, high: float) -> tuple[float, float, float]:
    """Round ends around the data and a step between two and five marks: (.951, .992) -> (.94, 1.0, .02)."""
    width = max(high - low, 0.01)
    step = next(s for s in (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5) if width / s <= 4 or s == 0.5)
    start, stop = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return start * step, max(stop, start + 1) * step, step


def _making(record: FitRecord) -> list[dict[str, Any]]:
    data = record.data
    shape = {"image size": times(data.in_shape), "classes": len(data.classes) or None}
    return facts(
        {
            "Configuration": record.config,
            "Data": {"source": data.spec, "fingerprint": data.fingerprint, **shape, **data.counts},
            "Versions": record.versions,
            "Machine": record.machine,
            "Time": {name: duration(seconds) for name, seconds in record.seconds.items()},
        }
    )
