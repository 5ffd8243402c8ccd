"""The sections of a representation's page: sentences, tables, pictures, the map, charts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import altair as alt
from markupsafe import Markup

from plexus.errors import plural
from plexus.record import RepresentRecord
from plexus.report._charts import INK, SOFT, chart, curves, intervals, numbers, to_svg
from plexus.report._formatting import NONE, count, decimal, duration, facts, percent, signed, times

HEADS = {
    "prototype": "nearest class mean in Z",
    "logistic": "logistic regression on Z",
    "pixels": "nearest class mean of raw pixels",
}
SHORT = {"prototype": "Z, class means", "logistic": "Z, logistic", "pixels": "pixels, means"}
"""Names beside the chart of few-shot heads, where there is little room."""
OBJECTIVES = {"ae": "autoencoder", "vae": "variational autoencoder", "denoise": "denoising autoencoder"}
SCORES = {
    "linear": ("line on Z", "var(--learn)"),
    "knn": ("5 nearest in Z", "var(--supernet)"),
    "explained": ("variance explained", "var(--final)"),
}
Sibling = RepresentRecord.Sibling


def sections(record: RepresentRecord) -> dict[str, Any]:
    """Return the values that the page's template names."""
    rows = [row for row in record.probe.rows if row.unexplained is not None]
    drawn = bool(record.map.x and record.map.sprite)
    return {
        "headline": _headline(record),
        "lede": _lede(record),
        "skip": ("figures", "the results"),
        "figures": _figures(record),
        "images": record.pictures,
        "traversals": [(row.picture, decimal(row.deviation, 2)) for row in record.pictures.traversals if row.picture],
        "variations": [
            (f"{row.image} to {row.to}" if row.to else row.image, row.picture, row.kind)
            for row in record.variations
            if row.picture
        ],
        "map": drawn,
        "classes": record.map.classes,
        "probe": [_probe_row(row) for row in rows],
        "tradeoffs": [
            ("Over the balance", _over(rows, "balance")),
            ("Recognition against reconstruction, each point a balance", _tradeoff(rows)),
            ("Over the size of Z", _over(rows, "dim")),
        ],
        "fewshot": [_fewshot(test) for test in record.fewshot],
        "shots": _heads(record.fewshot),
        "turning": _turning(record.results.turning),
        "curves": [
            ("Share of the pixels' variance left unexplained", _epochs(record, "val_unexplained", "unexplained")),
            ("Accuracy of the classifier on Z, validation", _epochs(record, "val_accuracy", "accuracy")),
        ],
        "skipped": record.data.skipped,
        "notes": record.data.notes,
        "making": _making(record),
        "data": {"map": _map(record) if drawn else {}},
    }  # fmt: skip


def _plain(value: Any) -> str:
    """A number with no more digits than it has: 0.0 -> 0, 0.25 -> 0.25."""
    return f"{value:g}" if isinstance(value, int | float) else NONE


def _ends(share: RepresentRecord.Share | RepresentRecord.Estimate | None) -> str:
    return f"{percent(share.low)} to {percent(share.high)}" if share else ""


def _headline(record: RepresentRecord) -> str:
    results, rest = record.results, record.results.unexplained
    if not record.finished or rest is None:
        return f"This run has not finished: {plural(len(record.epochs), 'epoch')} recorded so far."
    size = f"{count(record.units.dim)} numbers keep {percent(1 - rest)} of what pixels vary by"
    for share, what in ((results.classifier, "name the class of"), (results.linear, "let a line name the class of")):
        if share and share.value is not None:
            return f"{size}, and {what} {percent(share.value)} of the test images."
    return f"{size}."


def _lede(record: RepresentRecord) -> str:
    """Size, labels and the units in use."""
    config, data, units = record.config, record.data, record.units
    kind = OBJECTIVES.get(str(config.get("objective")), "autoencoder")
    labels, train = data.labelled or 0, data.counts.get("train", 0)
    known = "no labels" if not labels else "all labels" if labels >= train else plural(labels, "label")
    article = "An" if kind.startswith("a") else "A"
    text = (
        f"{article} {kind} with {known} on {plural(train, 'image')} of {count(math.prod(data.in_shape))} numbers each"
    )
    text += f", balance {_plain(config['balance'])} towards recognition." if "balance" in config else "."
    if units.active is not None:
        text += f" {count(units.active)} of the {count(units.dim)} numbers are in use"
        text += ": the others have collapsed." if units.collapsed else "."
    return text


def _figures(record: RepresentRecord) -> list[tuple[str, str, str]]:
    """Name, value and interval of what was measured on test images."""
    results, units = record.results, record.units
    rows = [
        (title, percent(share.value), _ends(share))
        for share, title in (
            (results.classifier, "classifier on Z"),
            (results.linear, "logistic regression on Z, all labels"),
            (results.knn, "5 nearest images in Z, all labels"),
        )
        if share
    ]
    if results.unexplained is not None:
        beside = f"squared error {decimal(results.mse, 4)}"
        rows.append(("variance of pixels left unexplained", percent(results.unexplained), beside))
    if units.effective is not None:
        rows.append(("numbers of Z in use", count(units.active), f"as much as {units.effective:.1f} of equal variance"))
    if units.divergence is not None:
        rows.append(("divergence from the prior", f"{units.divergence:.1f} nats", "of an image"))
    return rows


def _map(record: RepresentRecord) -> dict[str, Any]:
    """The places of test images, and the picture of all thumbnails."""
    found = record.map
    labels = [k if 0 <= k < len(found.classes) else -1 for k in found.labels]
    keys = ("x", "y", "names", "classes", "sprite", "tile", "columns")
    return {key: getattr(found, key) for key in keys} | {"labels": labels}


def _probe_row(row: Sibling) -> dict[str, Any]:
    turn = dict(zip(row.turning.angles, row.turning.moved, strict=False)) if row.turning else {}
    return {
        "own": row.own, "dim": count(row.dim), "balance": _plain(row.balance), "unexplained": percent(row.unexplained),
        "shares": [(percent(share.value if share else None), _ends(share)) for share in (row.linear, row.knn)],
        "moved": decimal(turn.get(90), 2), "active": count(row.active),
    }  # fmt: skip


def _fewshot(test: RepresentRecord.FewShot) -> dict[str, Any]:
    """One few-shot test: what was drawn, and each head with its interval."""
    heads = []
    for name, head in test.heads.items():
        gain = test.gains.get(name)
        more = f"{signed(100 * gain.mean, 1)} points" if gain and gain.mean is not None else ""
        heads.append((HEADS.get(name, name), percent(head.mean), _ends(head), more))
    title = f"{count(test.ways)}-way, {plural(test.shots or 0, 'shot')}"
    return {
        "title": title,
        "drawn": f"{plural(test.episodes or 0, 'episode')} of {', '.join(test.classes)}",
        "heads": heads,
    }


def _making(record: RepresentRecord) -> list[dict[str, Any]]:
    data, model = record.data, record.model
    shape = {
        "name": data.name,
        "fingerprint": data.fingerprint,
        "labelled": data.labelled,
        "shape": times(data.in_shape),
    }
    return facts(
        {
            "Data": shape | {f"{name} images": count(n) for name, n in data.counts.items()},
            "Model": {key: count(n) for key in ("parameters", "encoder") if (n := getattr(model, key))},
            "Configuration": record.config,
            "Versions": record.versions,
            "Machine": record.machine,
            "Time": {name: duration(seconds) for name, seconds in record.seconds.items()},
        },
        whole="",
    )


def _score(row: Sibling, name: str) -> float | None:
    if name == "explained":
        return None if row.unexplained is None else 1 - row.unexplained
    share = row.linear if name == "linear" else row.knn
    return share.value if share else None


def _siblings(rows: Sequence[Sibling], by: str) -> list[Sibling]:
    """The run and those that differ from it in one option, in the order of that option."""
    own = next((row for row in rows if row.own), None)
    if own is None:
        return []
    other = "dim" if by == "balance" else "balance"
    found = [row for row in rows if getattr(row, other) == getattr(own, other) and getattr(row, by) is not None]
    return sorted(found, key=lambda row: getattr(row, by)) if len(found) > 1 else []


def _over(rows: Sequence[Sibling], by: str) -> Markup:
    """Both recognition scores and the variance explained, in percent, against the balance or the size of Z."""
    points = []
    for row in _siblings(rows, by):
        at = getattr(row, by)
        for name, (title, color) in SCORES.items():
            if (value := _score(row, name)) is not None:
                text = f"{by} {at:g}: {title} {percent(value)}"
                points.append({"at": at, "value": 100 * value, "line": title, "color": color, "text": text})
    title = {"balance": "balance: 0 reconstruction, 1 recognition", "dim": "numbers in Z"}[by]
    name = f"Recognition and reconstruction in percent against the {'balance' if by == 'balance' else 'size of Z'}"
    return _lines(points, title, name, log=by == "dim")


def _tradeoff(rows: Sequence[Sibling]) -> Markup:
    """Accuracy of a line on Z against the variance explained, one point per balance, joined in their order."""
    points = []
    for row in _siblings(rows, "balance"):
        value, explained = _score(row, "linear"), _score(row, "explained")
        if value is not None and explained is not None:
            label = _plain(row.balance)
            text = f"balance {label}: line {percent(value)}, variance explained {percent(explained)}"
            points.append({"x": 100 * explained, "y": 100 * value, "order": row.balance, "text": text, "label": label})
    if len(points) < 2:
        return Markup("")
    across, up = numbers(), numbers()
    base = chart(points).encode(
        alt.X("x:Q", title="variance explained, percent", scale=across[0], axis=across[1]),
        alt.Y("y:Q", title="a line on Z, percent right", scale=up[0], axis=up[1]),
    )
    line = base.mark_line(aria=False, color=SOFT, strokeWidth=1.2).encode(order="order:Q")
    marks = base.mark_point(filled=True, size=52, opacity=1, color=INK).encode(description="text:N")
    words = base.mark_text(aria=False, dx=9, dy=-8, color=SOFT, fontSize=11.5).encode(text="label:N")
    name = "Accuracy of a line on Z in percent against the variance explained, one point per balance"
    return to_svg(alt.LayerChart(layer=[line, marks, words]), name)


def _heads(tests: Sequence[RepresentRecord.FewShot]) -> Markup:
    """Accuracy of every head with its interval, of the newest test."""
    rows: list[dict[str, Any]] = []
    for key, head in tests[0].heads.items() if tests else ():
        if head.mean is not None and head.low is not None and head.high is not None:
            text = f"{HEADS.get(key, key)}: {percent(head.mean)}, {percent(head.low)} to {percent(head.high)}"
            means = {"mean": 100 * head.mean, "low": 100 * head.low, "high": 100 * head.high}
            rows.append({"name": SHORT.get(key, key), "at": len(rows), **means, "text": text})
            rows[-1] |= {"stroke": SOFT, "fill": INK}
    names, name = [row["name"] for row in rows], "Few-shot accuracy in percent with 95 percent intervals"
    return intervals(names, rows, name, title="accuracy, percent")


def _turning(turning: RepresentRecord.Turning | None) -> Markup:
    """The distance that Z moves when images turn, relative to the distance between two images."""
    points = [
        {
            "at": angle, "value": value, "line": "Z", "color": "var(--learn)",
            "text": f"turned by {angle:g} degrees: Z moves by {decimal(value, 2)}",
        }
        for angle, value in (zip(turning.angles, turning.moved, strict=False) if turning else ())
        if value is not None
    ]  # fmt: skip
    name = "Distance that Z moves when images turn, relative to that between images, against the angle"
    return _lines(points, "degrees", name, zero=True)


def _epochs(record: RepresentRecord, key: str, what: str) -> Markup:
    """A validation measure over the epochs."""
    points = [
        {
            "at": epoch.epoch + 1, "value": 100 * value, "line": what, "color": "var(--learn)",
            "text": f"epoch {epoch.epoch + 1}: {what} {percent(value)}",
        }
        for epoch in record.epochs
        if (value := getattr(epoch, key)) is not None and epoch.phase == "train"
    ]  # fmt: skip
    return _lines(points, "epochs", f"Validation images over the epochs: {what}, in percent", dot=0)


def _lines(
    points: list[dict[str, Any]], title: str, name: str, *, log: bool = False, zero: bool = False, dot: int = 1
) -> Markup:
    """A line per name through its points; empty where there are no two places."""
    values = sorted({point["at"] for point in points})
    if len(values) < 2:
        return Markup("")
    scale, ticks = numbers(nice=False, type="log" if log else "linear")
    if len(values) <= 7:
        ticks = alt.Axis(values=values, format=".3~g")
    return curves([point | {"dot": dot} for point in points], (scale, ticks), numbers(zero=zero), name, title=title)
