"""Loss and accuracy over the epochs of a run, phase by phase."""

from __future__ import annotations

import math
from typing import Any

import altair as alt
from markupsafe import Markup

from plexus.record import FitRecord
from plexus.report._svg import NARROW, both
from plexus.report._words import decimal, percent

PHASES = {"chain": "chain", "supernet": "supernet", "learn": "learning", "final": "final net"}
KINDS = {"val_accuracy": "validation accuracy", "val_loss": "validation loss", "train_loss": "training loss"}
COLORS = alt.Scale(domain=list(PHASES), range=["var(--chain)", "var(--supernet)", "var(--learn)", "var(--final)"])


def accuracy(record: FitRecord) -> Markup:
    """Validation accuracy in percent; empty where no epoch measured it."""
    return _curves(record, ["val_accuracy"], "Validation accuracy in percent over the epochs")


def loss(record: FitRecord) -> Markup:
    """Training and validation loss on a logarithmic scale; empty where no epoch measured one."""
    return _curves(record, ["train_loss", "val_loss"], "Training and validation loss over the epochs")


def points(record: FitRecord, kinds: list[str]) -> list[dict[str, Any]]:
    """One entry per epoch and kind.

    The final phase goes on where learning ended, the chain starts beside it, and the supernet with nothing cut counts
    its own epochs: it shares the first ones with learning.
    """
    learned = sum(epoch.phase == "learn" for epoch in record.epochs)
    seen = dict.fromkeys(PHASES, 0)
    rows = []
    for epoch in record.epochs:
        phase = epoch.phase
        if phase not in seen:
            continue
        seen[phase] += 1
        at = epoch.epoch + 1 if phase == "supernet" else seen[phase] + (learned if phase == "final" else 0)
        for kind in kinds:
            value = getattr(epoch, kind)
            if value is None or (kind != "val_accuracy" and value <= 0):
                continue
            figure = percent(value) if kind == "val_accuracy" else decimal(value)
            number_shown = at if phase == "supernet" else seen[phase]
            text = f"{PHASES[phase]}, epoch {number_shown}: {KINDS[kind]} {figure}"
            shown = 100 * value if kind == "val_accuracy" else value
            row = {"at": at, "value": shown, "phase": phase, "kind": kind, "text": text}
            rows.append(row | {"width": 1.0 if kind == "train_loss" else 2.2})
    return rows


def _curves(record: FitRecord, kinds: list[str], name: str) -> Markup:
    rows = points(record, kinds)
    if not rows:
        return Markup("")
    values = [row["value"] for row in rows]
    last = max(2, *(row["at"] for row in rows))
    cut = max((row["at"] for row in rows if row["phase"] == "learn"), default=0)
    scale, axis = _percents() if kinds == ["val_accuracy"] else _logarithm(values)

    def draw(width: int) -> alt.LayerChart:
        below = alt.Axis(tickCount=5 if width <= NARROW else 9, tickMinStep=1)
        x = alt.X("at:Q", title="epochs", scale=alt.Scale(domain=[1, last], nice=False), axis=below)
        base = alt.Chart(alt.InlineData(values=rows), width=width - 50, height=200).encode(
            x, alt.Y("value:Q", title=None, scale=scale, axis=axis), alt.Color("phase:N", scale=COLORS, legend=None)
        )
        lines = base.mark_line(aria=False).encode(alt.StrokeWidth("width:Q", scale=None), detail="kind:N")
        dots = base.mark_point(filled=True, size=16, opacity=1).encode(description="text:N")
        layers: list[Any] = [lines, dots.transform_filter("datum.kind != 'train_loss'")]
        if any(row["phase"] == "final" for row in rows) and cut:
            rule = alt.Chart(alt.InlineData(values=[{"at": cut + 0.5}])).mark_rule(
                aria=False, color="var(--soft)", strokeDash=[2, 3]
            )
            layers.insert(0, rule.encode(alt.X("at:Q")))
        return alt.LayerChart(layer=layers)

    return both(draw, name)


def _percents() -> tuple[alt.Scale, alt.Axis]:
    return alt.Scale(zero=False, nice=True), alt.Axis(tickCount=5)


def _logarithm(values: list[float]) -> tuple[alt.Scale, alt.Axis]:
    """A logarithmic scale from 1-2-5 step to 1-2-5 step, with no more than about six marks."""
    low, high = _step(min(values), down=True), _step(max(values), down=False)
    marks = [mark for mark in _steps(low, high) if low <= mark <= high]
    if len(marks) > 7:
        marks = [mark for mark in marks if math.isclose(math.log10(mark), round(math.log10(mark)))]
    return alt.Scale(type="log", domain=[low, high], nice=False), alt.Axis(values=marks, format="~g")


def _steps(low: float, high: float) -> list[float]:
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [float(f"{digit}e{power}") for power in powers for digit in (1, 2, 5)]


def _step(value: float, *, down: bool) -> float:
    """The nearest number of the series 1, 2, 5, 10, ... at or beyond the value."""
    steps = _steps(value, value * 10)
    return max(s for s in steps if s <= value) if down else min(s for s in steps if s >= value)
