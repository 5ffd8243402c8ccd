"""The charts of a representation: the trade-off, few-shot heads, turned images, training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
from markupsafe import Markup

from plexus.report._represent_view import HEADS, part
from plexus.report._svg import NARROW, both
from plexus.report._words import decimal, number, percent

Record = Mapping[str, Any]
SCORES = {
    "linear": ("line on Z", "var(--learn)"),
    "knn": ("5 nearest in Z", "var(--supernet)"),
    "explained": ("variance explained", "var(--final)"),
}
SHORT = {"prototype": "Z, class means", "logistic": "Z, logistic", "pixels": "pixels, class means"}
"""Names beside the chart of few-shot heads, where there is little room."""
SOFT = "var(--soft)"


def over(rows: Sequence[Record], by: str) -> Markup:
    """Both recognition scores and the variance explained, in percent, against the balance or the size of Z."""
    points = []
    for row in _siblings(rows, by):
        for name, (title, color) in SCORES.items():
            value = _score(row, name)
            if value is not None:
                text = f"{by} {row[by]:g}: {title} {percent(value)}"
                points.append({"at": row[by], "value": 100 * value, "name": title, "color": color, "text": text})
    title = {"balance": "balance: 0 reconstruction, 1 recognition", "dim": "numbers in Z"}[by]
    name = f"Recognition and reconstruction in percent against the {'balance' if by == 'balance' else 'size of Z'}"
    return _lines(points, title, name, logarithm=by == "dim")


def tradeoff(rows: Sequence[Record]) -> Markup:
    """Accuracy of a line on Z against the variance explained, one point per balance, joined in their order."""
    points = []
    for row in _siblings(rows, "balance"):
        value, explained = _score(row, "linear"), _score(row, "explained")
        if value is not None and explained is not None:
            text = f"balance {row['balance']:g}: line {percent(value)}, variance explained {percent(explained)}"
            points.append({"x": 100 * explained, "y": 100 * value, "order": row["balance"], "text": text,
                           "label": f"{row['balance']:g}"})  # fmt: skip
    if len(points) < 2:
        return Markup("")

    def draw(width: int) -> alt.LayerChart:
        base = alt.Chart(alt.InlineData(values=points), width=width - 50, height=210).encode(
            alt.X(
                "x:Q", title="variance explained, percent", scale=alt.Scale(zero=False, nice=True), axis=_axis(width)
            ),
            alt.Y("y:Q", title=None, scale=alt.Scale(zero=False, nice=True), axis=alt.Axis(tickCount=5)),
        )
        line = base.mark_line(aria=False, color=SOFT, strokeWidth=1.2).encode(order="order:Q")
        marks = base.mark_point(filled=True, size=52, opacity=1, color="var(--ink)").encode(description="text:N")
        words = base.mark_text(aria=False, dx=9, dy=-8, color=SOFT, fontSize=11).encode(text="label:N")
        return alt.LayerChart(layer=[line, marks, words])

    return both(draw, "Accuracy of a line on Z in percent against the variance explained, one point per balance")


def fewshot(tests: Sequence[Any]) -> Markup:
    """Accuracy of every head with its interval, of the newest test."""
    heads = part(tests[0], "heads") if tests and isinstance(tests[0], Mapping) else {}
    rows = []
    for name, found in heads.items():
        mean, low, high = (number(found.get(key)) for key in ("mean", "low", "high"))
        if mean is not None and low is not None and high is not None:
            title, short = HEADS.get(str(name), str(name)), SHORT.get(str(name), str(name)[:24])
            rows.append({"name": short, "mean": 100 * mean, "low": 100 * low, "high": 100 * high,
                         "text": f"{title}: {percent(mean)}, {percent(low)} to {percent(high)}"})  # fmt: skip
    if not rows:
        return Markup("")

    def draw(width: int) -> alt.LayerChart:
        base = alt.Chart(alt.InlineData(values=rows), width=width - (250 if width > NARROW else 200), height=90).encode(
            alt.Y("name:N", title=None, sort=None, axis=alt.Axis(labelLimit=240))
        )
        scale = alt.Scale(zero=False, nice=True)
        span = base.mark_rule(aria=False, color=SOFT, strokeWidth=1.6).encode(
            alt.X("low:Q", title="accuracy, percent", scale=scale), alt.X2("high:Q")
        )
        marks = base.mark_point(filled=True, size=52, opacity=1, color="var(--ink)").encode(
            alt.X("mean:Q", scale=scale), description="text:N"
        )
        return alt.LayerChart(layer=[span, marks])

    return both(draw, "Few-shot accuracy in percent with 95 percent intervals")


def turning(found: Any) -> Markup:
    """How far Z moves when images turn, relative to the distance between two images."""
    if not isinstance(found, Mapping):
        return Markup("")
    points = [
        {"at": angle, "value": value, "name": "Z", "color": "var(--learn)",
         "text": f"turned by {angle:g} degrees: Z moves by {decimal(value, 2)}"}
        for angle, value in zip(found.get("angles") or (), found.get("moved") or (), strict=False)
        if number(angle) is not None and number(value) is not None
    ]  # fmt: skip
    name = "Distance that Z moves when images turn, relative to that between images, against the angle"
    return _lines(points, "degrees", name, zero=True)


def unexplained(epochs: Sequence[Record]) -> Markup:
    """Share of the variance left unexplained, over the epochs."""
    return _epochs(epochs, "val_unexplained", "unexplained", "Variance left unexplained in percent over the epochs")


def accuracy(epochs: Sequence[Record]) -> Markup:
    """Validation accuracy over the epochs, where there is a classifier."""
    return _epochs(epochs, "val_accuracy", "accuracy", "Validation accuracy in percent over the epochs")


def _epochs(epochs: Sequence[Record], key: str, what: str, name: str) -> Markup:
    points = []
    for entry in epochs:
        value = number(entry.get(key)) if isinstance(entry, Mapping) else None
        if value is not None and entry.get("phase") == "train":
            at = int(number(entry.get("epoch")) or 0) + 1
            points.append({"at": at, "value": 100 * value, "name": what, "color": "var(--learn)",
                           "text": f"epoch {at}: {what} {percent(value)}"})  # fmt: skip
    return _lines(points, "epochs", name, marks=False)


def _score(row: Record, name: str) -> float | None:
    if name == "explained":
        rest = number(row.get("unexplained"))
        return None if rest is None else 1 - rest
    return number(part(row, name).get("value"))


def _siblings(rows: Sequence[Record], by: str) -> list[Record]:
    """The run and those that differ from it in one option, in the order of that option."""
    own = next((row for row in rows if row.get("own") is True), None)
    if own is None:
        return []
    other = "dim" if by == "balance" else "balance"
    found = [row for row in rows if row.get(other) == own.get(other) and number(row.get(by)) is not None]
    return sorted(found, key=lambda row: row[by]) if len(found) > 1 else []


def _lines(
    points: list[dict[str, Any]], title: str, name: str,
    *, logarithm: bool = False, zero: bool = False, marks: bool = True,
) -> Markup:  # fmt: skip
    """A line per name through its points, each with its meaning."""
    if len({p["at"] for p in points}) < 2:
        return Markup("")
    values = sorted({p["at"] for p in points})

    def draw(width: int) -> alt.LayerChart:
        ticks = alt.Axis(values=values, format="~g") if len(values) <= 7 else _axis(width)
        kind = {"type": "log"} if logarithm else {"zero": False, "nice": False}
        base = alt.Chart(alt.InlineData(values=points), width=width - 50, height=210).encode(
            alt.X("at:Q", title=title, scale=alt.Scale(**kind), axis=ticks),
            alt.Y("value:Q", title=None, scale=alt.Scale(zero=zero, nice=True), axis=alt.Axis(tickCount=5)),
            alt.Color("color:N", scale=None, legend=None),
            detail="name:N",
        )
        line = base.mark_line(aria=False, strokeWidth=2)
        told = base.mark_point(filled=True, size=46, opacity=1 if marks else 0).encode(description="text:N")
        return alt.LayerChart(layer=[line, told])

    return both(draw, name)


def _axis(width: int) -> alt.Axis:
    return alt.Axis(tickCount=5 if width <= NARROW else 8)
