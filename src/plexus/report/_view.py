"""What the page shows of the wiring and of each network: a record's parts, checked, counted and put in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from scipy.stats import rankdata

from plexus.record import FitRecord
from plexus.report._words import count, decimal, kept_count, percent, short

REACHES = ((1, "next layer"), (2, "2"), (4, "3\u20134"), (7, "5\u20137"), (11, "8\u201311"), (math.inf, "12 or more"))
"""Classes of how many layers a connection spans: upper bound and name."""


def reach(record: FitRecord, edge: FitRecord.Edge) -> int:
    """The class of a connection's length, 1 for the next layer to 6 for the longest."""
    length = record.nodes.index(edge.target) - record.nodes.index(edge.source)
    return next(i for i, (most, _) in enumerate(REACHES, 1) if length <= most)


def drawing(record: FitRecord) -> dict[str, Any]:
    """All that the drawing and its controls read, as JSON: indices for names, four decimals for values."""
    place = {name: i for i, name in enumerate(record.nodes)}
    edges = [
        {
            "source": place[edge.source],
            "target": place[edge.target],
            "reach": reach(record, edge),
            "gate": _round(gate_of(record, i)),
            "strength": _round(edge.strength),
            "ablation": _round(edge.ablation, 6),
            "kept": edge.kept is not False,
        }
        for i, edge in enumerate(record.edges)
    ]
    budgets = [
        {
            "kept": budget.kept,
            "parameters": budget.parameters,
            "macs": budget.macs,
            "accuracy": budget.val_accuracy,
        }
        for budget in record.budgets
    ]
    return {
        "nodes": [{"name": name, "label": record.labels.get(name, "")} for name in record.nodes],
        "edges": edges,
        "budgets": budgets,
        "chosen": record.chosen,
        "epochs": [[_round(gate) for gate in gates] for gates in gate_history(record)],
    }


def gate_history(record: FitRecord) -> list[list[float | None]]:
    """The gates of every learning epoch; an epoch whose gates do not match the connections is left out."""
    learning = [epoch.gates for epoch in record.epochs if epoch.phase == "learn"]
    return [gates for gates in learning if gates and len(gates) == len(record.edges)]


def gate_of(record: FitRecord, i: int) -> float | None:
    """The gate of connection `i` as recorded, or as the last learning epoch left it."""
    gate = record.edges[i].gate
    if gate is not None:
        return gate
    history = gate_history(record)
    return history[-1][i] if history else None


def _round(value: float | None, digits: int = 4) -> float | None:
    return None if value is None else round(value, digits)


def networks(record: FitRecord) -> dict[str, Any]:
    """The rows that compare the networks, and one scale of accuracy for all their intervals."""
    shown = [(entry, entry.accuracy) for entry in record.results if entry.accuracy is not None]
    ends = [end for entry, accuracy in shown for end in entry.ci or (accuracy,)]
    if not ends:
        return {"rows": [], "ticks": []}
    low, high, step = _scale(min(ends), max(ends))
    across = lambda share: round(100 * (share - low) / (high - low), 2)  # noqa: E731
    rows = []
    for entry, accuracy in shown:
        pair = entry.ci
        rows.append(
            {
                "name": entry.name,
                "label": entry.label or entry.name,
                "neurons": entry.neurons,
                "accuracy": percent(accuracy),
                "interval": f"{100 * pair[0]:.1f}\u2013{100 * pair[1]:.1f}" if pair else "",
                "low": across(pair[0]) if pair else None,
                "high": across(pair[1]) if pair else None,
                "at": across(accuracy),
                "parameters": count(entry.parameters),
                "macs": short(entry.macs),
                "latency": decimal(entry.latency_ms, 2),
            }
        )
    marks = [low + i * step for i in range(round((high - low) / step) + 1)]
    return {"rows": rows, "ticks": [{"at": across(mark), "text": f"{100 * mark:.3g}"} for mark in marks]}


def _scale(low: float, high: float) -> tuple[float, float, float]:
    """Round ends around the data and a step between two and five marks: (.951, .992) -> (.94, 1.0, .02)."""
    span = max(high - low, 0.01)
    step = next(s for s in (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5) if span / s <= 4 or s == 0.5)
    start, stop = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return start * step, max(stop, start + 1) * step, step


def connections(record: FitRecord) -> dict[str, Any]:
    """Every connection beside what cutting it costs, and how well the two orders agree."""
    gates = [gate_of(record, i) for i in range(len(record.edges))]
    widest = max((abs(gate or 0) for gate in gates), default=0) or 1
    costliest = max((edge.ablation or 0 for edge in record.edges), default=0)
    rows = []
    for gate, edge in zip(gates, record.edges, strict=True):
        rows.append(
            {
                "source": edge.source,
                "target": edge.target,
                "order": (record.nodes.index(edge.source), record.nodes.index(edge.target)),
                "reach": reach(record, edge),
                "gate": gate,
                "strength": edge.strength,
                "ablation": edge.ablation,
                "cost": edge.cost,
                "kept": edge.kept,
                "gate_bar": round(40 * abs(gate or 0) / widest, 1),
                "ablation_bar": round(40 * max(0.0, edge.ablation or 0) / costliest, 1) if costliest > 0 else 0,
            }
        )
    return {"rows": rows, "sentence": _agreement(rows), "kept": kept_count(record)}


def _agreement(rows: Sequence[dict[str, Any]]) -> str:
    """Rank correlation of gate and ablation in words; the sentence says so where it cannot be computed."""
    pairs = [(row["gate"], row["ablation"]) for row in rows if row["gate"] is not None and row["ablation"] is not None]
    if not pairs:
        return "No connection was cut on its own in this run, so there is nothing to hold the gates against."
    correlation = _spearman(pairs)
    if correlation is None:
        return "Each connection was cut on its own and the validation loss measured again."
    return (
        "Each connection was cut on its own and the validation loss measured again. "
        f"The rank correlation of gate and rise in loss is {decimal(correlation, 2)} over {len(pairs)} connections: "
        f"{_strength(correlation)}."
    )


def _strength(correlation: float) -> str:
    if correlation > 0.8:
        return "the gates order the connections almost as ablation does"
    if correlation > 0.4:
        return "a large gate usually, but not always, marks a connection that matters"
    return "the size of a gate says little about what its connection is worth"


def _spearman(pairs: Sequence[tuple[float, float]]) -> float | None:
    """Pearson correlation of the ranks, ties sharing their mean rank; None where one side is constant."""
    if len(pairs) < 3:
        return None
    a, b = (rankdata(side) - (len(pairs) + 1) / 2 for side in zip(*pairs, strict=True))
    length = math.sqrt(float(a @ a) * float(b @ b))
    return float(a @ b) / length if length else None
