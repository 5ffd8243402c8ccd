"""Training of every fold: thin lines for folds, a thick one for their mean, a band from the least to the greatest."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
from markupsafe import Markup

from plexus.report._study_charts import _scale as scale_of
from plexus.report._svg import NARROW, both
from plexus.report._words import decimal, number

LOSSES = {"train_loss": ("training loss", "var(--chain)"), "val_loss": ("validation loss", "var(--learn)")}
DICE = {"val_dice": ("validation Dice", "var(--learn)")}


def losses(folds: Sequence[Mapping[str, Any]]) -> Markup:
    """Training and validation loss; empty where no epoch measured one."""
    return _curves(folds, LOSSES, "Training and validation loss over the epochs", logarithm=True)


def dice(folds: Sequence[Mapping[str, Any]]) -> Markup:
    """Validation Dice; empty where no epoch measured it."""
    return _curves(folds, DICE, "Validation Dice over the epochs", logarithm=False)


def rows(folds: Sequence[Mapping[str, Any]], key: str, name: str, color: str) -> list[dict[str, Any]]:
    """One entry per epoch and fold, and one per epoch for the mean of the folds that have come so far."""
    made: list[dict[str, Any]] = []
    epochs: dict[int, list[float]] = {}
    for fold in folds:
        for at, epoch in enumerate(fold.get("epochs") or (), 1):
            if (value := number(epoch.get(key))) is not None:
                line = {"at": at, "value": value, "low": value, "high": value, "line": f"{name} {fold.get('fold')}"}
                made.append(line | {"color": color, "text": "", "mean": False})
                epochs.setdefault(at, []).append(value)
    for at, values in sorted(epochs.items()):
        mean, low, high = sum(values) / len(values), min(values), max(values)
        over = f", folds {decimal(low)} to {decimal(high)}" if len(values) > 1 else ""
        line = {"at": at, "value": mean, "low": low, "high": high, "line": name, "color": color, "mean": True}
        made.append(line | {"text": f"{name}, epoch {at}: {decimal(mean)}{over}"})
    return made


def _curves(
    folds: Sequence[Mapping[str, Any]], kinds: Mapping[str, tuple[str, str]], title: str, *, logarithm: bool
) -> Markup:
    found = [row for key, (name, color) in kinds.items() for row in rows(folds, key, name, color)]
    if not found:
        return Markup("")
    scale, axis = scale_of(found, logarithm, 5)
    last = max(2, *(row["at"] for row in found))

    def draw(width: int) -> alt.LayerChart:
        marks = list(range(1, last + 1, max(1, math.ceil((last - 1) / (5 if width <= NARROW else 9)))))
        y = alt.Y("value:Q", title=None, scale=scale, axis=axis)
        base = alt.Chart(alt.InlineData(values=found), width=width - 50, height=210).encode(
            alt.X(
                "at:Q",
                title="epochs",
                scale=alt.Scale(domain=[1, last], nice=False),
                axis=alt.Axis(values=marks, format="d"),
            ),
            alt.Color("color:N", scale=None, legend=None),
            detail="line:N",
        )
        mean = base.transform_filter("datum.mean")
        area = mean.mark_area(aria=False, opacity=0.14).encode(
            alt.Y("low:Q", title=None, scale=scale, axis=axis), alt.Y2("high:Q"),
            alt.Fill("color:N", scale=None, legend=None), alt.ColorValue(None),
        )  # fmt: skip
        thin = base.mark_line(aria=False, strokeWidth=0.7, opacity=0.7).encode(y).transform_filter("!datum.mean")
        thick = mean.mark_line(aria=False, strokeWidth=2.2).encode(y)
        told = mean.mark_point(filled=True, size=60, opacity=0).encode(y, description="text:N")
        return alt.LayerChart(layer=[area, thin, thick, told])

    return both(draw, title)
