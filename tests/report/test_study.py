"""The page of a study: self-contained, escaped, every seed drawn, the data behind every figure in a link."""

import base64
import csv
import io
import re
from pathlib import Path
from typing import Any

import pytest

from plexus.errors import RunError
from plexus.experiments import summary
from plexus.report import _study_charts as charts
from plexus.report import _study_curves as curves
from plexus.report import _study_ranking as ranking
from plexus.report import _study_view as view
from plexus.report import render_study, write_study
from plexus.report._study_csv import table
from plexus.report._study_wirings import picture, wirings
from plexus.report._words import MINUS
from tests.report.records import HOSTILE
from tests.report.studies import make_records, make_search, make_study
from tests.report.test_charts import marks, wide
from tests.report.test_page import Elements

STUDY = make_study(4)
RECORDS = make_records(STUDY, extras=True)
SUMMARY = summary(STUDY, RECORDS)


@pytest.fixture(scope="module")
def made() -> str:
    return render_study(SUMMARY, RECORDS)


def tables(page: str) -> dict[str, list[dict[str, str]]]:
    """The data links of a page, read back."""
    links = [a for a in Elements(page).named("a") if a.get("class") == "csv"]
    found = {}
    for link in links:
        kind, _, text = link["href"].partition(",")
        assert kind == "data:text/csv;base64"
        found[link["download"]] = list(csv.DictReader(io.StringIO(base64.b64decode(text).decode())))
    return found


def test_nothing_is_loaded_from_elsewhere(made: str) -> None:
    elements = Elements(made)
    assert set(re.findall(r"https?://[^\s\"'<)]*", made)) == {"http://www.w3.org/2000/svg"}
    (policy,) = (m["content"] for m in elements.named("meta") if m.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert not [a for _, a in elements.found if "style" in a or any(name.startswith("on") for name in a)]


def test_the_verdict_is_one_sentence_with_names_and_effects(made: str) -> None:
    effects = {v["name"]: v["difference"]["mean"] for v in SUMMARY["variants"][1:]}
    listed = ", ".join(f"{name} (+{effect:.1f})" for name, effect in effects.items())
    mean = SUMMARY["variants"][0]["mean"]
    assert f"Against baseline ({mean:.1f}): higher: {listed}." in Elements(made).text
    lower = summary(STUDY, make_records(STUDY, effect=-2.0))
    assert f"lower: norm_conv ({MINUS}" in view.headline(lower)
    assert "nothing to compare yet" in view.headline(summary(STUDY, [], "standard"))


def test_every_seed_is_a_point() -> None:
    found = view.variants(SUMMARY)
    labels = marks(wide(charts.boxes(found)))
    for v in found:
        for seed, value in v["points"].items():
            assert f"{v['name']}, seed {seed}: {value:.2f}" in labels
        assert f"{v['name']}: mean {v['mean']:.2f} of 5 seeds" in labels


def test_differences_tell_their_intervals() -> None:
    labels = marks(wide(charts.differences(view.variants(SUMMARY), "difference", 0.5, "points", "name")))
    for v, label in zip(SUMMARY["variants"][1:], labels, strict=True):
        d = v["difference"]
        assert label == f"{v['name']}: +{d['mean']:.2f} points, 95 % interval +{d['low']:.2f} to +{d['high']:.2f}"


def test_many_variants_get_a_panel_each_and_few_share_one_chart() -> None:
    nine = make_study(9)
    page = render_study(summary(nine, make_records(nine, seeds=2)))
    assert page.count("panels") >= 2
    names = [name for name, _ in charts.panels(view.variants(SUMMARY), "baseline", "train_loss", "x", logarithm=True)]
    assert names == [v.name for v in STUDY.variants]


def test_every_figure_has_its_data(made: str) -> None:
    found = tables(made)
    assert {name.removeprefix("neurons-").removesuffix(".csv") for name in found} == {
        "points", "difference", "val_accuracy_curve", "train_loss", "speed", "turned", "wirings", "gates", "trials",
    }  # fmt: skip
    assert len(found["neurons-points.csv"]) == 20
    first = RECORDS[0]["metrics"]
    assert [float(r["train_loss"]) for r in found["neurons-train_loss.csv"][:10]] == first["train_loss"]
    assert float(found["neurons-points.csv"][0]["test_accuracy"]) == first["test_accuracy"]
    edges = [r for r in found["neurons-wirings.csv"] if r["variant"] == "baseline" and r["seed"] == "0"]
    assert [[r["source"], r["target"], float(r["strength"])] for r in edges] == first["wiring"]
    assert len(found["neurons-gates.csv"]) == 4 * 11 * len(first["gates"][0])
    assert float(found["neurons-gates.csv"][0]["value"]) == first["gates"][0][0]
    assert found["neurons-gates.csv"][0]["epoch"] == "0"


def test_a_cell_is_no_formula() -> None:
    link = table([{"=a": "=HYPERLINK(1)", "b": "+1", "c": "@x", "d": "-x", "e": -1.5, "f": 'q"q', "g": None}])
    (row,) = csv.DictReader(io.StringIO(base64.b64decode(link.partition(",")[2]).decode()))
    assert row == {"'=a": "'=HYPERLINK(1)", "b": "'+1", "c": "'@x", "d": "'-x", "e": "-1.5", "f": 'q"q', "g": ""}


def test_curves_of_turned_images_stand_beside_the_baseline() -> None:
    groups = curves.circles(curves.turned(view.variants(SUMMARY)), "baseline")
    assert [[c["name"] for c in group] for group in groups] == [
        ["baseline", "norm_conv", "norm_dense", "norm_conv_dense"],
        ["baseline", "transplant 8_rot_1"],
    ]
    assert groups[0][0]["summary"]["accuracy"][0] == pytest.approx(0.9)  # percent in the record, a share here


def test_a_wiring_is_drawn_edge_by_edge() -> None:
    found = wirings(view.variants(SUMMARY))
    assert len(found) == 20
    svg = picture(found[0]["nodes"], found[0]["edges"], "a wiring")
    assert svg.count("<path") == len(RECORDS[0]["metrics"]["wiring"])
    assert svg.count("<circle") == 9
    source, target, strength = RECORDS[0]["metrics"]["wiring"][0]
    assert f'aria-label="{source} to {target}, {strength:.2f}"' in svg


def test_a_wiring_with_strange_names_is_still_drawn() -> None:
    found = wirings([{"name": "v", "others": {"wiring": {"0": [["strange", "head", 1.0], ["head", "input", 0.5]]}}}])
    svg = picture(found[0]["nodes"], found[0]["edges"], "strange")
    assert svg.count("<path") == 2
    assert re.fullmatch(r"[MLC0-9. -]+", "".join(re.findall(r' d="([^"]*)"', svg)))


def test_the_ranking_marks_what_each_search_found() -> None:
    study, records = make_search()
    found = summary(study, records)
    rows, marked = ranking.ranked(found)
    assert [r["mean"] for r in rows] == sorted((r["mean"] for r in rows), reverse=True)
    assert len(rows) == 21
    places = {m["text"].split(":")[0]: m["at"] for m in marked}
    assert (places["gradient, seed 0"], places["gradient, seed 1"], places["evolution, seed 0"]) == (1, 4, 2)
    few, marked = ranking.ranked(found, edges=5)
    assert (len(few), [m["at"] for m in marked if m["search"] == "gradient"]) == (7, [1, 2, 1])
    page = render_study(found, records)
    assert "of 7 wirings of 5 edges, that of gradient is number 1;" in Elements(page).text
    assert len(tables(page)["search-ranking.csv"]) == 21
    assert len(marks(wide(charts.ranking(rows, ranking.ranked(found)[1])))) == 21 + 9


def hostile() -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A summary whose every text tries to become an element."""
    found = summary(STUDY, RECORDS)
    found |= {"study": HOSTILE, "question": HOSTILE, "baseline": HOSTILE, "measure": HOSTILE, "scale": HOSTILE}
    found["data"] = {"spec": HOSTILE, HOSTILE: HOSTILE}
    found["versions"] = {"plexus": HOSTILE}
    for v in found["variants"]:
        v["name"] = HOSTILE
        v["others"]["wiring"] = {HOSTILE: [[HOSTILE, "head", 1.0]]}
    return found, [r | {"variant": HOSTILE} for r in RECORDS]


def test_text_of_the_records_makes_no_element() -> None:
    found = Elements(render_study(*hostile()))
    assert found.named("img") == []
    assert len(found.named("script")) == 2
    assert not [a for _, a in found.found if any(name.startswith("on") for name in a)]
    assert found.text.count(HOSTILE) >= 20


@pytest.mark.parametrize("records", [[], RECORDS[:1], [r for r in RECORDS if r["seed"] == 0]])
def test_any_part_may_be_missing(records: list[dict[str, Any]]) -> None:
    page = render_study(summary(STUDY, records, "standard"), records)
    assert "How it was made" in Elements(page).text


@pytest.mark.parametrize("wrong", [{}, [], {"kind": "fit"}])
def test_what_is_no_summary_is_refused(wrong: Any, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="not the summary of a study"):
        write_study(wrong, [], tmp_path / "out.html")
    assert list(tmp_path.iterdir()) == []


def test_the_page_comes_from_the_summary_alone(made: str, tmp_path: Path) -> None:
    path = write_study(SUMMARY, RECORDS, tmp_path / "page.html")
    assert path.read_text(encoding="utf-8") == made
