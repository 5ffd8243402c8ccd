"""The page of a study: a function of its summary and of nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from plexus.errors import RunError
from plexus.record import atomic_write
from plexus.report import _study_charts as charts
from plexus.report import _study_view as view
from plexus.report._page import document, embedded
from plexus.report._rotation_charts import polar
from plexus.report._study_wirings import picture, wirings

STYLES = ("base.css", "figures.css", "tables.css", "study.css")
SCRIPTS = ("tools.js", "page.js")
ROWS = 40
"""More variants than these are ranked and not listed."""
SHOWN = 24
"""Of small pictures side by side."""


def render_study(summary: Mapping[str, Any], records: Sequence[Mapping[str, Any]] = ()) -> str:
    """A study as one HTML page; see `render` for what the page may do. The data behind each figure is a link to CSV.

    Args:
        summary: what `plexus.study.summary` returns.
        records: the trials, for the table of all of their numbers.

    Raises:
        RunError: something else.

    Example:
        >>> render_study({"kind": "fit"})
        Traceback (most recent call last):
        plexus.errors.RunError: not the summary of a study: expected "study", "variants" and "seeds"
    """
    if not isinstance(summary, Mapping) or not {"study", "variants", "seeds"} <= summary.keys():
        raise RunError('not the summary of a study: expected "study", "variants" and "seeds"')
    found = view.variants(summary)
    few = found if len(found) <= ROWS else []
    turned = view.turned(few)
    rankings = _rankings(summary)
    return document(
        "study.html.j2",
        STYLES,
        SCRIPTS,
        {
            "summary": summary,
            "headline": view.headline(summary),
            "lede": view.lede(summary),
            "masthead": view.masthead(summary),
            "variants": few,
            "rows": view.rows(few),
            "convergence": _convergence(few, summary["baseline"]),
            "boxes": charts.boxes(few),
            "differences": charts.differences(
                few, "difference", summary["margin"], "points", "Differences to the baseline with their 95 % intervals"
            ),
            "speeds": charts.differences(
                few,
                "speed",
                summary["speed_margin"],
                "% of the epochs",
                "Epochs to the same loss, against the baseline",
            ),
            "circles": [(group, polar(group)) for group in view.circles(turned, summary["baseline"])],
            "gates": [
                (name, seed, charts.gates(history, f"Gates of {name}, seed {seed}, over the epochs"))
                for name, seed, history in view.moved(few)[:SHOWN]
            ],
            "wirings": _wirings(few),
            "rankings": rankings,
            "agreements": [(v["name"], v["agreement"]) for v in few if v.get("agreement")],
            "csv": _tables(summary, found, turned, records),
            "making": view.making(summary),
            "data": Markup(embedded({})),
        },
    )


def write_study(summary: Mapping[str, Any], records: Sequence[Mapping[str, Any]], path: str | Path) -> Path:
    """Writes `render_study`'s page to a file, whole or not at all, and returns its path."""
    return atomic_write(path, render_study(summary, records))


def _convergence(found: Sequence[Mapping[str, Any]], base: str) -> list[dict[str, Any]]:
    """Validation accuracy and training loss: in one chart, or where there are many variants in one each."""
    made = []
    for key, title, name, logarithm in (
        ("val_accuracy_curve", "Validation accuracy, %", "Validation accuracy over the epochs", False),
        ("train_loss", "Training loss", "Training loss over the epochs", True),
    ):
        together = len(found) <= charts.TOGETHER
        whole = charts.curves(found, key, name, logarithm=logarithm) if together else Markup("")
        each = [] if together else charts.panels(found, base, key, name, logarithm=logarithm)
        if whole or each:
            made.append({"title": title, "chart": whole, "panels": each, "key": key})
    return made


def _rankings(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """All wirings, and those of as many edges as the learned one keeps."""
    made = []
    for edges in dict.fromkeys((None, view.budget(summary))):
        ranked, marked = view.ranked(summary, edges=edges)
        if ranked:
            which = f"all {len(ranked)} wirings" if edges is None else f"the {len(ranked)} wirings of {edges:g} edges"
            colors = list(dict.fromkeys((m["search"], m["color"]) for m in marked))
            made.append({"title": which, "chart": charts.ranking(ranked, marked), "key": colors})
    return made


def _wirings(found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [
        w | {"picture": picture(w["nodes"], w["edges"], f"{w['variant']}, seed {w['seed']}")}
        for w in wirings(found)[:SHOWN]
    ]


def _tables(
    summary: Mapping[str, Any],
    found: Sequence[Mapping[str, Any]],
    turned: Sequence[Mapping[str, Any]],
    records: Sequence[Mapping[str, Any]],
) -> dict[str, str]:
    """The figures behind each chart, as links."""
    measure = summary["measure"]
    rows: dict[str, list[dict[str, Any]]] = {
        key: [
            {"variant": v["name"], "seed": seed, "epoch": i, key: value}
            for v in found
            for seed, curve in v["curves"].get(key, {}).get("seeds", {}).items()
            for i, value in enumerate(curve, 1)
        ]
        for key in ("val_accuracy_curve", "train_loss")
    }
    rows["points"] = [
        {"variant": v["name"], "seed": seed, measure: p} for v in found for seed, p in v["points"].items()
    ]
    for key in ("difference", "speed"):
        rows[key] = [
            {"variant": v["name"]} | {k: d for k, d in v[key].items() if k != "bootstrap"} | _ends(v[key]["bootstrap"])
            for v in found
            if v.get(key)
        ]
    rows["turned"] = [
        {"model": t["name"], "kind": t["kind"], "angle": a, "accuracy": p}
        for t in turned
        for a, p in zip(t["summary"]["angles"], t["summary"]["accuracy"], strict=True)
    ]
    rows["gates"] = [
        {"variant": name, "seed": seed, "epoch": epoch, "gate": i, "value": value}
        for name, seed, history in view.moved(found)
        for epoch, values in enumerate(history, 1)
        for i, value in enumerate(values, 1)
    ]
    rows["wirings"] = [
        {"variant": w["variant"], "seed": w["seed"], "source": s, "target": t, "strength": strength}
        for w in wirings(found)
        for s, t, strength in w["edges"]
    ]
    ranked, marked = view.ranked(summary)
    rows["ranking"] = [{"rank": i, **r} for i, r in enumerate(ranked, 1)]
    rows["found"] = [{"search": m["search"], "rank": m["at"], "mean": m["mean"], "what": m["text"]} for m in marked]
    rows["trials"] = [
        {"variant": r["variant"], "seed": r["seed"]}
        | {k: v for k, v in r["metrics"].items() if isinstance(v, int | float | str)}
        for r in records
    ]
    return {name: view.table(each) for name, each in rows.items() if each}


def _ends(pair: Sequence[float] | None) -> dict[str, Any]:
    return {"bootstrap_low": pair[0] if pair else None, "bootstrap_high": pair[1] if pair else None}
