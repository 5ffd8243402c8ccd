"""The page of a study: a function of its summary and of nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from plexus.errors import RunError
from plexus.record import atomic_write
from plexus.report import _study_charts as charts
from plexus.report import _study_curves as curves
from plexus.report import _study_ranking as ranking
from plexus.report import _study_view as view
from plexus.report._page import document, embedded
from plexus.report._rotation_charts import polar
from plexus.report._study_csv import tables
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
        summary: what `plexus.experiments.summary` returns.
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
    turned = curves.turned(few)
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
            "circles": [(group, polar(group)) for group in curves.circles(turned, summary["baseline"])],
            "gates": [
                (name, seed, charts.gates(history, f"Gates of {name}, seed {seed}, over the epochs"))
                for name, seed, history in curves.moved(few)[:SHOWN]
            ],
            "wirings": _wirings(few),
            "rankings": rankings,
            "agreements": [(v["name"], v["agreement"]) for v in few if v.get("agreement")],
            "csv": tables(summary, found, turned, records),
            "making": view.making(summary),
            "data": Markup(embedded({})),
        },
    )


def write_study(summary: Mapping[str, Any], records: Sequence[Mapping[str, Any]], path: str | Path) -> Path:
    """Writes `render_study`'s page to a file, whole or not at all, and returns its path.

    Args:
        summary: what `plexus.experiments.summary` returns.
        records: the trials, for the table of all of their numbers.
        path: the file; its folder must be there.

    Raises:
        RunError: the summary is none of a study, or the file cannot be written.
        TrainingError: the disk is full.

    Example:
        >>> write_study({"kind": "fit"}, (), "study.html")
        Traceback (most recent call last):
        plexus.errors.RunError: not the summary of a study: expected "study", "variants" and "seeds"
    """
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
    for edges in dict.fromkeys((None, ranking.budget(summary))):
        ranked, marked = ranking.ranked(summary, edges=edges)
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
