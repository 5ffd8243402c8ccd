"""The charts of a training's page: accuracy against cost, and curves over the epochs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from plexus.record import FitRecord
from plexus.report._charts import INK, Scaled, curves, epochs, logarithm, numbers
from plexus.report._formatting import decimal, percent, short

PHASES = {
    "chain": "chain", "supernet": "supernet", "learn": "learning", "final": "final net", "random": "random wiring",
    "direct": "never wider", "linear": "linear head", "resnet": "ResNet",
}  # fmt: skip
COMPETITORS = ("random", "direct", "linear", "resnet")
"""Names of the controls, as their colours."""
CURVES = {"val_accuracy": "validation accuracy", "val_loss": "validation loss", "train_loss": "training loss"}
COSTS = {
    "latency_ms": ("milliseconds for one image", "ms"), "kb": ("kilobytes of the file", "kB"),
    "parameters": ("parameters", "parameters"), "macs": ("multiply-adds", "multiply-adds"),
}  # fmt: skip


def phase_of(epoch: FitRecord.Epoch) -> str:
    """Return the phase of an epoch; one cycle in which edges are cut is learning to its end."""
    return "learn" if epoch.phase == "fit" else epoch.phase


def cost_charts(record: FitRecord) -> list[tuple[str, Markup]]:
    """Validation accuracy against what each budget costs; against the connections kept where no cost was measured."""
    measured = [budget for budget in record.budgets if budget.val_accuracy is not None]
    charts: list[tuple[str, Markup]] = []
    for field, (title, unit) in COSTS.items():
        rows = [
            {
                "at": cost, "value": 100 * budget.val_accuracy, "line": "", "color": INK, "width": 1.2, "dot": 1,
                "text": f"{short(cost) if cost >= 1000 else decimal(cost, 3)} {unit}: {percent(budget.val_accuracy)}",
            }
            for budget in measured
            if (cost := getattr(budget, field)) is not None and budget.val_accuracy is not None
        ]  # fmt: skip
        if len({row["at"] for row in rows}) > 1:  # old records know multiply-adds and parameters alone
            rows += _controls(record, field, unit)
            name = f"Validation accuracy in percent against {title}"
            charts.append((title, curves(rows, _costs(rows), numbers(), name, title=title)))
    return charts


def _costs(rows: Sequence[dict[str, Any]]) -> Scaled:
    """The scale of a cost from zero, with few marks, of thousands and millions in short."""
    scale, axis = numbers(5, zero=True, nice=False)
    if max(row["at"] for row in rows) >= 1000:
        axis.format = "~s"
    return scale, axis


def _controls(record: FitRecord, field: str, unit: str) -> list[dict[str, Any]]:
    """The competitors, as points beside the budgets."""
    return [
        {
            "at": cost, "value": 100 * row.val_accuracy, "line": row.name, "color": f"var(--{row.name})", "width": 0,
            "dot": 1,
            "text": f"{row.label}: {short(cost) if cost >= 1000 else decimal(cost, 3)} {unit}, "
            f"{percent(row.val_accuracy)}",
        }
        for row in record.results
        if row.name in COMPETITORS
        and (cost := getattr(row, field)) is not None
        and row.val_accuracy is not None
    ]  # fmt: skip


def _points(record: FitRecord, keys: Sequence[str]) -> list[dict[str, Any]]:
    """One entry per epoch and measure.

    The final phase goes on where learning ended, the chain starts beside it, and the supernet with nothing cut counts
    its own epochs: it shares the first ones with learning.
    """
    learned = sum(phase_of(epoch) == "learn" for epoch in record.epochs)
    seen = dict.fromkeys(PHASES, 0)
    rows = []
    for epoch in record.epochs:
        phase = phase_of(epoch)
        if phase not in seen:
            continue
        seen[phase] += 1
        at = epoch.epoch + 1 if phase == "supernet" else seen[phase] + (learned if phase == "final" else 0)
        for key in keys:
            value = getattr(epoch, key)
            if value is None or (key != "val_accuracy" and value <= 0):
                continue
            figure, thin = percent(value) if key == "val_accuracy" else decimal(value), key == "train_loss"
            text = f"{PHASES[phase]}, epoch {at if phase == 'supernet' else seen[phase]}: {CURVES[key]} {figure}"
            rows.append(
                {
                    "at": at, "value": 100 * value if key == "val_accuracy" else value, "phase": phase,
                    "line": f"{phase} {key}", "color": f"var(--{phase})", "width": 1.0 if thin else 2.2, "dot": 1,
                    "text": "" if thin else text,
                }
            )  # fmt: skip
    return rows


def training_curves(record: FitRecord, keys: list[str], name: str) -> Markup:
    """Measures over the epochs, phase by phase; empty where no epoch measured one."""
    rows = _points(record, keys)
    if not rows:
        return Markup("")
    last = max(row["at"] for row in rows)
    cut = max((row["at"] for row in rows if row["phase"] == "learn"), default=0)
    rule = cut + 0.5 if cut and any(row["phase"] == "final" for row in rows) else None
    scale = numbers() if keys == ["val_accuracy"] else logarithm([row["value"] for row in rows])
    return curves(rows, epochs(last), scale, name, title="epochs", rule=rule)
