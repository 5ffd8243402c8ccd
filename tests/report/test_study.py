"""The page of a study: every seed drawn, the verdict in words, the data behind every figure in a link."""

import re
from collections.abc import Sequence

import pytest

from plexus.experiments import Study, summary
from plexus.record import TrialRecord
from plexus.report import render
from tests.report.findings import make_records, make_search, make_study
from tests.report.pages import MINUS, Elements, chart, charts, links, marks, said, ticks

STUDY = make_study(4)
RECORDS = make_records(STUDY, extras=True)
SUMMARY = summary(STUDY, RECORDS)


def page(study: Study, records: Sequence[TrialRecord], scale: str | None = None) -> str:
    return render({**summary(study, records, scale), "records": list(records)})


@pytest.fixture(scope="module")
def made() -> str:
    return page(STUDY, RECORDS)


@pytest.fixture(scope="module")
def search() -> str:
    return page(*make_search())


def test_the_verdict_is_one_sentence_with_names_and_effects(made: str) -> None:
    effects = {v["name"]: v["difference"]["mean"] for v in SUMMARY["variants"][1:]}
    listed = ", ".join(f"{name} (+{effect:.1f})" for name, effect in effects.items())
    assert f"Against baseline ({SUMMARY['variants'][0]['mean']:.1f}): higher: {listed}." in said(made)
    assert "20 of 20 trials" in said(made)
    more = said(page(STUDY, make_records(STUDY, seeds=7)))  # than the scale has
    assert "28 trials" in more
    assert "of 20 trials" not in more
    assert f"lower: norm_conv ({MINUS}" in said(page(STUDY, make_records(STUDY, effect=-2.0)))
    assert "nothing to compare yet" in said(page(STUDY, [], "standard"))


def test_every_seed_is_a_point(made: str) -> None:
    labels = marks(chart(made, "The measure, a point per seed"))
    for v in SUMMARY["variants"]:
        for seed, value in v["points"].items():
            assert f"{v['name']}, seed {seed}: {value:.2f}" in labels
        assert f"{v['name']}: mean {v['mean']:.2f} of 5 seeds" in labels


def test_differences_tell_their_intervals(made: str) -> None:
    labels = marks(chart(made, "Differences to the baseline"))
    for v, label in zip(SUMMARY["variants"][1:], labels, strict=True):
        d = v["difference"]
        assert label == f"{v['name']}: +{d['mean']:.2f} points, 95 % interval +{d['low']:.2f} to +{d['high']:.2f}"


def test_many_variants_get_a_panel_each_and_few_share_one_chart(made: str) -> None:
    assert len(marks(chart(made, "Training loss over the epochs"))) == 4 * 10
    nine = make_study(9)
    panels = [name for name in charts(page(nine, make_records(nine, seeds=2))) if name.startswith("Training loss over")]
    assert panels == [f"Training loss over the epochs, {v.name}" for v in nine.variants]
    for drawn in (made, page(nine, make_records(nine, seeds=2))):
        over = [svg for name, svg in charts(drawn).items() if name.startswith("Training loss over")]
        assert over
        assert all("epochs" in ticks(svg) for svg in over)


def test_every_figure_has_its_data(made: str) -> None:
    found = links(made)
    assert {name.removeprefix("neurons-").removesuffix(".csv") for name in found} == {
        "points", "difference", "val_accuracy_curve", "train_loss", "speed", "turned", "wirings", "gates", "trials",
    }  # fmt: skip
    assert len(found["neurons-points.csv"]) == len(found["neurons-trials.csv"]) == 20
    first = RECORDS[0].metrics
    assert [float(r["train_loss"]) for r in found["neurons-train_loss.csv"][:10]] == first["train_loss"]
    assert float(found["neurons-points.csv"][0]["test_accuracy"]) == first["test_accuracy"]
    edges = [r for r in found["neurons-wirings.csv"] if r["variant"] == "baseline" and r["seed"] == "0"]
    assert [[r["source"], r["target"], float(r["strength"])] for r in edges] == first["wiring"]
    assert len(found["neurons-gates.csv"]) == 4 * 11 * len(first["gates"][0])
    assert float(found["neurons-gates.csv"][0]["value"]) == first["gates"][0][0]
    assert found["neurons-gates.csv"][0]["epoch"] == "0"


def test_a_cell_is_no_formula() -> None:
    records = make_records(STUDY, seeds=1)
    records[0].metrics |= {"=a": "=HYPERLINK(1)", "b": "+1", "c": "@x", "d": "-x", "e": -1.5, "f": 'q"q'}
    row = links(page(STUDY, records))["neurons-trials.csv"][0]
    expected = {"'=a": "'=HYPERLINK(1)", "b": "'+1", "c": "'@x", "d": "'-x", "e": "-1.5", "f": 'q"q'}
    assert {name: row[name] for name in expected} == expected


def test_curves_of_turned_images_stand_beside_the_baseline(made: str) -> None:
    names = [name for name in charts(made) if name.startswith("Accuracy against the angle")]
    assert [name.partition(": ")[2] for name in names] == [
        "baseline, norm_conv, norm_dense, norm_conv_dense", "baseline, transplant 8_rot_1",
    ]  # fmt: skip
    assert "baseline, 0\u00b0 (exact): 90.0\u202f%" in marks(charts(made)[names[0]])
    assert float(links(made)["neurons-turned.csv"][0]["accuracy"]) == pytest.approx(0.9)  # percent in the trial


def test_a_wiring_is_drawn_edge_by_edge(made: str) -> None:
    svg = chart(made, "baseline, seed 0")
    assert svg.count("<path") == len(RECORDS[0].metrics["wiring"])
    assert svg.count("<circle") == 9
    source, target, strength = RECORDS[0].metrics["wiring"][0]
    assert f"{source} to {target}, {strength:.2f}" in marks(svg)
    assert len([name for name in charts(made) if re.fullmatch(r"\w+, seed \d", name)]) == 20


def test_a_wiring_with_strange_names_is_still_drawn() -> None:
    records = make_records(STUDY, seeds=1)[:1]
    records[0].metrics["wiring"] = [["strange", "head", 1.0], ["head", "input", 0.5]]
    svg = chart(page(STUDY, records, "standard"), "baseline, seed 0")
    assert svg.count("<path") == 2
    assert re.fullmatch(r"[MLC0-9. -]+", "".join(re.findall(r' d="([^"]*)"', svg)))


def test_the_ranking_marks_what_each_search_found(search: str) -> None:
    assert "of 7 wirings of 5 edges, that of gradient is number 1;" in said(search)
    rows, found = links(search)["search-ranking.csv"], links(search)["search-found.csv"]
    assert [float(r["mean"]) for r in rows] == sorted((float(r["mean"]) for r in rows), reverse=True)
    assert len(rows) == 21
    places = {row["what"].split(":")[0]: int(row["rank"]) for row in found}
    assert (places["gradient, seed 0"], places["gradient, seed 1"], places["evolution, seed 0"]) == (1, 4, 2)
    assert "All wirings, ranked" in said(search)


def test_wirings_of_as_many_edges_are_ranked_apart() -> None:
    study, records = make_search()
    svgs = re.findall(r'<svg [^>]*class="chart[^>]*aria-label="Every wiring by its mean.*?</svg>', page(study, records))
    assert [len(marks(svg)) for svg in svgs] == [21 + 9, 7 + 3]
    assert [int(label.split("rank ")[1].split(" ")[0]) for label in marks(svgs[1])[7:]] == [1, 2, 1]


@pytest.mark.parametrize("records", [[], RECORDS[:1], [r for r in RECORDS if r.seed == 0]])
def test_trials_may_be_missing(records: list[TrialRecord]) -> None:
    assert "How it was made" in Elements(page(STUDY, records, "standard")).text
