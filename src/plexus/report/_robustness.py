"""The sections of a rotation probe's page: sentences, rows, pictures, and curves round and flat."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np
from markupsafe import Markup

from plexus.errors import RunError, plural, printable
from plexus.record import RobustnessRecord, record_of
from plexus.report._charts import (
    COLORS,
    INK,
    LINE,
    NAMES,
    SOFT,
    WIDTH,
    Row,
    chart,
    curves,
    fixed,
    named,
    numbers,
    paint,
)
from plexus.report._charts import to_svg as drawn
from plexus.report._formatting import MINUS, NONE, PLAIN, count, decimal, duration, facts, percent, times

GROUPS = {
    "upright": ("0", "no turn"),
    "exact": ("90, 180, 270", "exact quarter turns"),
    "interpolated": ("all others", "interpolated"),
}
CHANGED = 0.05
"""The share of answers that a mask may change before it is warned of."""
TOLD = 72
"""Points of a curve that tell their figures."""
Summary = RobustnessRecord.Summary


def sections(record: RobustnessRecord) -> dict[str, Any]:
    """Return the values that the page's template names."""
    models = [_model(record, i, model) for i, model in enumerate(record.models)]
    name = "against the angle"
    return {
        "headline": _headline(models),
        "lede": _lede(record),
        "skip": ("curve", "the curves"),
        "warnings": masking(record),
        "models": models,
        "polar": polar([row for m in models for row in _rows(m, "accuracy")], f"Accuracy, %, {name}, drawn round"),
        "flat": _curves(models, "accuracy", f"Accuracy in percent {name}"),
        "bands": [(m, _band(m, f"Mean probability of the true class {name}, {m['name']}")) for m in models],
        "boxes": _boxes(models),
        "agreement": _curves(models, "agreement", f"Agreement with the prediction at 0 degrees, in percent, {name}"),
        "drift": _curves(models, "drift", f"Relative drift of the logits {name}"),
        "making": _making(record),
    }  # fmt: skip


def rotation_lines(record: RobustnessRecord | Mapping[str, Any]) -> list[str]:
    """Return the figures as lines of text: a line for each model and group of angles.

    Args:
        record: of a rotation probe.

    Returns:
        A head line, then the figures.

    Raises:
        RunError: something else.

    Example:
        >>> from plexus.record import RobustnessRecord
        >>> rotation_lines(RobustnessRecord())[0].split()[:3]
        ['model', 'degrees', 'accuracy']
    """
    found = record if isinstance(record, RobustnessRecord) else record_of(record)
    if not isinstance(found, RobustnessRecord):
        raise RunError("not the record of `plexus probe`")
    names = [printable(model.name) for model in found.models]
    wide = max(len("model"), *map(len, names), 0)
    lines = [f"{'model':<{wide}}  {'degrees':<13}{'accuracy':>9}{'95 %':>15}{'agreement':>11}{'logit drift':>13}"]
    for name, model in zip(names, found.models, strict=True):
        for key, (degrees, _) in GROUPS.items():
            if (group := model.curve.summary.groups.get(key)) and group.accuracy is not None:
                ends = "..".join(f"{100 * end:.1f}" for end in group.accuracy_ci or ())
                figures = (
                    f"{percent(group.accuracy):>9}{ends:>15}{percent(group.agreement):>11}{group.drift or 0:>13.3f}"
                )
                lines.append(f"{name:<{wide}}  {degrees:<13}{figures}")
        if (whole := model.unmasked) is not None and whole.accuracy is not None:
            ends = "..".join(f"{100 * end:.1f}" for end in whole.ci or ())
            figures = f"{percent(whole.accuracy):>9}{ends:>15}{percent(whole.same):>11}"
            lines.append(f"{name:<{wide}}  {'0, no mask':<13}{figures}")
    lines = [line.translate(PLAIN) for line in lines]
    return [*lines, *(printable(text.translate(PLAIN)) for text in masking(found))]


def _model(record: RobustnessRecord, i: int, model: RobustnessRecord.Model) -> dict[str, Any]:
    """A model's name, color, curves, table rows and failures."""
    summary = model.curve.summary
    return {
        "name": model.name,
        "unmasked": _whole(model.unmasked),
        "own": model.own,
        "color": COLORS[i % len(COLORS)],
        "dashed": i >= len(COLORS),
        "summary": summary,
        "overall": float(np.mean(summary.accuracy)),
        "rows": _groups(summary),
        "fate": _fate(summary),
        "failures": [_failure(failure, record.data.classes) for failure in model.failures],
    }


def _whole(unmasked: RobustnessRecord.Unmasked | None) -> dict[str, Any] | None:
    """The row of upright images that keep their corners."""
    if unmasked is None or unmasked.accuracy is None:
        return None
    return {"accuracy": percent(unmasked.accuracy), "span": _span(unmasked.ci, 100), "same": percent(unmasked.same)}


def masking(record: RobustnessRecord) -> list[str]:
    """Return a warning for each model of which the mask itself changes many answers, or that knows nothing to turn.

    Args:
        record: of a rotation probe.

    Example:
        >>> from plexus.record import RobustnessRecord
        >>> masking(RobustnessRecord())
        []
    """
    found = []
    for model in record.models:
        whole, upright = model.unmasked, model.curve.summary.groups.get("upright")
        groups = [model.curve.summary.groups.get(key) for key in ("interpolated", "exact")]
        turned = next((group for group in groups if group is not None and group.agreement is not None), None)
        if upright is not None and turned is not None and _blind(record, upright, turned):
            found.append(
                f"{model.name} is right on {percent(upright.accuracy)} of the upright images, which is chance for "
                f"{len(record.data.classes)} classes: that turns do not change its answers means nothing."
            )
        if whole is None or whole.same is None or upright is None or 1 - whole.same < CHANGED:
            continue
        found.append(
            f"The mask itself changes the answer of {model.name} on {percent(1 - whole.same)} of the images, with no "
            f"turn: {percent(whole.accuracy)} are right with their corners, {percent(upright.accuracy)} without. It "
            "needs what the mask takes away, so its curve says little about turns; --mask none keeps the corners."
        )
    return found


def _blind(record: RobustnessRecord, upright: RobustnessRecord.Group, turned: RobustnessRecord.Group) -> bool:
    """Tell if a model is right by chance alone, and answers alike at every angle."""
    chance = 1.5 / len(record.data.classes) if record.data.classes else 0.0
    return (upright.accuracy or 0.0) <= chance and (turned.agreement or 0.0) >= 0.9


def _groups(summary: Summary) -> list[dict[str, Any]]:
    rows = []
    for name, (degrees, note) in GROUPS.items():
        if (group := summary.groups.get(name)) and group.accuracy is not None:
            cells = [
                ("accuracy", percent(group.accuracy), _span(group.accuracy_ci, 100)),
                ("true class", percent(group.probability), _span(group.probability_ci, 100)),
                ("agreement", percent(group.agreement), _span(group.agreement_ci, 100)),
                ("logit drift", decimal(group.drift, 2), _span(group.drift_ci, 1)),
            ]
            rows.append({"degrees": degrees, "note": note, "cells": cells, "angles": group.angles})
    return rows


def _span(pair: Sequence[float] | None, scale: float) -> str:
    if not pair:
        return ""
    low, high = max(0.0, scale * pair[0]), scale * pair[1]
    return f"{low:.1f}{NONE}{min(100.0, high):.1f}" if scale == 100 else f"{low:.2f}{NONE}{high:.2f}"


def _fate(summary: Summary) -> str:
    """Tell how far the images that are right upright stay right."""
    group = summary.groups.get("upright")
    right = round((group.accuracy or 0) * summary.images) if group else 0
    turns = sorted(turn for turn in summary.first_failure if turn is not None)
    if not right:
        return ""
    stay = count(right - len(turns))
    text = f"Of {plural(right, 'image')} it gets right upright, {stay} stay right at every angle probed"
    half = turns[math.ceil(right / 2) - 1] if len(turns) >= right / 2 else None
    return f"{text}." if half is None else f"{text}; half have failed once turned by {half:g}\u00b0 to either side."


def _failure(entry: RobustnessRecord.Failure, classes: Sequence[str]) -> dict[str, Any]:
    def name(index: int | None) -> str:
        return classes[index] if index is not None and 0 <= index < len(classes) else str(index)

    folded = ((entry.angle or 0.0) + 180) % 360 - 180  # 350 -> -10: the shorter way
    return {
        "name": entry.name,
        "true": name(entry.true),
        "predicted": name(entry.predicted),
        "turn": f"{MINUS if folded < 0 else ''}{abs(folded):g}\u00b0",
        "before": percent(entry.before),
        "after": percent(entry.after),
        "probability": percent(entry.probability),
        "upright": entry.upright,
        "turned": entry.turned,
    }


def _headline(models: Sequence[Row]) -> str:
    if not models:
        return "No model was probed."
    if len(models) > 1:
        ranked = sorted(models, key=lambda model: -model["overall"])
        others = ", ".join(f"{percent(m['overall'])} {m['name']}" for m in ranked[1:4])
        return f"Over all angles {ranked[0]['name']} is right on {percent(ranked[0]['overall'])}; {others}."
    groups = models[0]["summary"].groups
    words = {"upright": "right upright", "exact": "after quarter turns", "interpolated": "at all other angles"}
    parts = [
        f"{percent(groups[name].accuracy)} {text}"
        for name, text in words.items()
        if name in groups and groups[name].angles
    ]
    return f"{', '.join(parts)}." if parts else f"{models[0]['name']} was probed."


def _lede(record: RobustnessRecord) -> str:
    """Tell how it was measured."""
    if not record.models:
        return ""
    summary, total = record.models[0].curve.summary, record.data.test
    of = f" of {count(total)}" if total is not None and total != summary.images else ""
    angles = count(len(summary.angles))
    text = f"{count(summary.images)}{of} test images, each turned counter-clockwise to {angles} angles. "
    if record.mask == "circle":
        text += (
            "What lies outside the inscribed circle is black at every angle, 0\u00b0 too: corners give nothing away. "
        )
    else:
        text += "Corners are kept: turned images lose theirs to black, which a model may notice. "
    return text + "Multiples of 90\u00b0 are exact; other angles are interpolated, which blurs a little by itself."


def _making(record: RobustnessRecord) -> list[dict[str, Any]]:
    data = record.data
    shape = {"source": data.spec, "fingerprint": data.fingerprint, "image size": times(data.in_shape)}
    models = {model.name: f"{model.source} ({duration(model.seconds)})" for model in record.models}
    return facts(
        {
            "Data": shape | {"classes": len(data.classes) or None, "images": data.images},
            "Models, and time": models,
            "Versions": record.versions,
        }
    )


def _rows(model: Row, key: str) -> list[dict[str, Any]]:
    """One entry per angle, 0..360 with the first angle again at the end where the circle is whole."""
    summary, values = model["summary"], getattr(model["summary"], key)
    turns = sorted(range(len(summary.angles)), key=lambda i: summary.angles[i] % 360)
    often = max(1, math.ceil(len(turns) / TOLD))
    rows = []
    for k, i in enumerate(turns):
        angle, value, exact = summary.angles[i] % 360, values[i], summary.exact[i]
        figure = decimal(value, 3) if key == "drift" else percent(value)
        text = f"{model['name']}, {angle:g}\u00b0{' (exact)' if exact else ''}: {figure}"
        rows.append(
            {
                "at": angle, "value": value if key == "drift" else 100 * value, "dot": int(exact), "turn": i,
                "text": text if exact or k % often == 0 else "", "line": model["name"], "color": model["color"],
                "dashed": model["dashed"],
            }
        )  # fmt: skip
    if rows and rows[0]["at"] == 0:
        rows.append({**rows[0], "at": 360})
    return rows


def _angles() -> tuple[alt.Scale, alt.Axis]:
    return fixed(0, 360, values=list(range(0, 361, 45)), labelExpr="datum.value + '\u00b0'")


def _curves(models: Sequence[Row], key: str, name: str) -> Markup:
    """A measure against the angle, one line per model, exact angles as points."""
    rows = [row for model in models for row in _rows(model, key)]
    return curves(rows, _angles(), numbers(zero=True) if key == "drift" else fixed(0, 100), name)


def _band(model: Row, name: str) -> Markup:
    """Mean probability of the true class, with the band between its quartiles over images."""
    lower, upper = model["summary"].lower, model["summary"].upper
    rows = []
    for row in _rows(model, "mean"):
        low, high = lower[row["turn"]], upper[row["turn"]]
        text = f"{row['text']}, quartiles {percent(low)} and {percent(high)}" if row["text"] else ""
        rows.append(row | {"low": 100 * low, "high": 100 * high, "text": text})
    return curves(rows, _angles(), fixed(0, 100), name)


def polar(rows: Sequence[Row], name: str) -> Markup:
    """Draw percent as the distance from the centre, 0 degrees at the top, counter-clockwise: a circle is invariance.

    Args:
        rows: `at` (degrees), `value`, `text`, `line`, `color`, `dashed` and `dot`, in order.
        name: for those who cannot see it.
    """
    if not rows:
        return Markup("")

    def places(points: Sequence[tuple[float, float]], **more: Any) -> list[dict[str, Any]]:
        """Up at 0 degrees, left at 90: as the images turn."""
        turns = [(-radius * math.sin(math.radians(a)), radius * math.cos(math.radians(a))) for a, radius in points]
        return [{"x": round(x, 3), "y": round(y, 3), "order": i} | more for i, (x, y) in enumerate(turns)]

    def base(values: Sequence[Row]) -> alt.Chart:
        scale = alt.Scale(domain=[-120, 120], nice=False)
        x, y = (channel(f"{end}:Q", scale=scale, axis=None) for channel, end in ((alt.X, "x"), (alt.Y, "y")))
        return chart(values, width=WIDTH - 30, height=WIDTH - 30).encode(x, y)

    rings = [row for r in (25, 50, 75, 100) for row in places([(5 * step, r) for step in range(73)], line=f"r{r}")]
    spokes = [row for a in range(0, 360, 45) for row in places([(a, 0), (a, 100)], line=f"s{a}")]
    words = [row for a in range(0, 360, 45) for row in places([(a, 112)], text=f"{a}\u00b0")]
    words += [row for radius in (50, 100) for row in places([(292, radius - 6)], text=str(radius))]
    around = [
        place | dict(row) for row, place in zip(rows, places([(row["at"], row["value"]) for row in rows]), strict=True)
    ]
    grid = (
        base(rings + spokes).mark_line(aria=False, color=LINE, strokeWidth=1).encode(detail="line:N", order="order:Q")
    )
    text = base(words).mark_text(aria=False, color=SOFT, fontSize=11.5).encode(text="text:N")
    curve = base(around).encode(paint(alt.Color, "color:N"), detail="line:N")
    dash = alt.StrokeDash("dashed:N", scale=alt.Scale(domain=[False, True], range=[[1, 0], [4, 3]]), legend=None)
    line = curve.mark_line(aria=False, strokeWidth=1.8, strokeJoin="round").encode(dash, order="order:Q")
    dots = curve.mark_point(filled=True, size=46).transform_filter("datum.text != ''")
    dots = dots.encode(paint(alt.Opacity, "dot:Q"), description="text:N")
    return drawn(alt.LayerChart(layer=[grid, text, line, dots]), name)


def _boxes(models: Sequence[Row]) -> Markup:
    """Percentage of angles classified correctly, over images: a box per model."""
    rows = []
    for i, model in enumerate(models):
        values = np.array(model["summary"].percent_correct)
        low, lower, median, upper, high = np.quantile(values, (0.05, 0.25, 0.5, 0.75, 0.95)).tolist()
        text = (
            f"{model['name']}: median {median:.1f} % of the angles, half of the images between {lower:.1f} and "
            f"{upper:.1f}, nine in ten between {low:.1f} and {high:.1f}, mean {values.mean():.1f}"
        )
        ends = {"low": low, "lower": lower, "median": median, "upper": upper, "high": high}
        rows.append({"at": i, **ends, "mean": float(values.mean()), "color": model["color"], "text": text})
    if not rows:
        return Markup("")
    y = named([model["name"] for model in models])
    base = chart(rows, width=WIDTH + 38 - NAMES, height=40 * len(rows)).encode(y, paint(alt.Color, "color:N"))
    scale, axis = fixed(0, 100, grid=True, gridColor=LINE)
    across = alt.X("low:Q", title=None, scale=scale, axis=axis)
    whisker = base.mark_rule(aria=False, strokeWidth=1.4).encode(across, alt.X2("high:Q"))
    box = base.mark_bar(height=20, opacity=1, stroke=None)
    box = box.encode(alt.X("lower:Q", scale=scale), alt.X2("upper:Q"), description="text:N")
    middle = base.mark_tick(aria=False, thickness=2.5, size=24)
    middle = middle.encode(alt.X("median:Q", scale=scale), alt.ColorValue(INK))
    mean = base.mark_point(aria=False, size=34, strokeWidth=1.6, fill="var(--paper)")
    mean = mean.encode(alt.X("mean:Q", scale=scale), alt.ColorValue(INK))
    name = "Percentage of angles classified correctly, over images"
    return drawn(alt.LayerChart(layer=[whisker, box, middle, mean]), name)
