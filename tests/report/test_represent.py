"""The page of a representation as text: self-contained, escaped, and its figures where they belong."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from plexus.errors import RunError
from plexus.report import _represent_charts as charts
from plexus.report import _represent_view as view
from plexus.report import render_represent, write_represent
from plexus.report._words import THIN
from tests.report.records import HOSTILE
from tests.report.represents import BALANCES, CLASSES, hostile_represent, make_represent
from tests.report.test_audit import embedded
from tests.report.test_charts import marks, wide
from tests.report.test_page import Elements


@pytest.fixture(scope="module")
def made() -> str:
    return render_represent(make_represent())


def said(page: str) -> str:
    return Elements(page).text.replace(THIN, " ")


def test_nothing_is_loaded_from_elsewhere(made: str) -> None:
    elements = Elements(made)
    assert set(re.findall(r"https?://[^\s\"'<)]*", made)) == {"http://www.w3.org/2000/svg"}
    (policy,) = (m["content"] for m in elements.named("meta") if m.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    assert "unsafe" not in policy
    assert not [a for _, a in elements.found if "style" in a or any(name.startswith("on") for name in a)]
    assert all(image["src"].startswith("data:image/png;base64,") for image in elements.named("img"))
    assert all(image["alt"] for image in elements.named("img"))
    assert {tag for tag, _ in elements.found}.isdisjoint({"iframe", "object", "embed", "form", "base"})


def test_the_page_is_a_function_of_the_record(made: str) -> None:
    assert render_represent(make_represent()) == made
    assert render_represent(json.loads(json.dumps(make_represent()))) == made


def test_the_result_is_told_in_words(made: str) -> None:
    text = said(made)
    assert "16 numbers keep 78.2 % of what pixels vary by, and name the class of 91.2 % of the test images." in text
    assert "An autoencoder with 40 labels on 1,234 images of 784 numbers each, balance 0.25 towards" in text
    assert "15 of the 16 numbers are in use." in text
    assert "classifier on Z 91.2 % 88.1 % to 94.0 %" in text
    assert "variance of pixels left unexplained 21.8 % squared error 0.0123" in text
    for name in (
        "plexus represent train animals --dim 16",
        "123,456",
        "54,321",
        "broken-7.png",
        "28 \u00d7 28",
        "1 min 1 s",
    ):
        assert name in text


@pytest.mark.parametrize(
    ("objective", "start"),
    [("ae", "An autoencoder"), ("vae", "A variational autoencoder"), ("denoise", "A denoising autoencoder")],
)
def test_the_kind_has_its_article(objective: str, start: str) -> None:
    assert view.lede(make_represent(config={"objective": objective})).startswith(f"{start} with")


@pytest.mark.parametrize(("balance", "shown"), [(0.0, "0"), (1.0, "1"), (1, "1"), (0.25, "0.25"), (0.1, "0.1")])
def test_a_balance_has_no_more_digits_than_it_needs(balance: float, shown: str) -> None:
    assert f"balance {shown} towards" in view.lede(make_represent(config={"balance": balance}))
    (row,) = view.probe_rows([{"balance": balance, "unexplained": 0.5}])
    assert row["balance"] == shown


def test_collapse_is_told() -> None:
    units = {"dim": 16, "active": 2, "effective": 1.5, "divergence": 0.4, "collapsed": True}
    text = said(render_represent(make_represent(units=units)))
    assert "2 of the 16 numbers are in use: the others have collapsed." in text
    assert "divergence from the prior 0.4 nats" in text


def test_every_probed_model_has_a_row(made: str) -> None:
    text = said(made)
    assert "16 this run 0.25 25.6 % 86.5 % 83.4 % to 89.3 % 82.5 %" in text
    for balance in BALANCES:
        assert f" {balance:g} {100 * (0.15 + 0.3 * balance + 0.5 / 16):.1f} % " in text
    assert text.count("0.57") >= 6  # a quarter turn: .8 sin 45


def test_charts_tell_both_scores_over_balance_and_size() -> None:
    rows = view.probed(make_represent())
    labels = marks(wide(charts.over(rows, "balance")))
    assert len(labels) == 3 * len(BALANCES)
    assert f"balance 1: line on Z 94.0{THIN}%" in labels
    assert f"balance 0: variance explained 81.9{THIN}%" in labels
    labels = marks(wide(charts.over(rows, "dim")))
    assert len(labels) == 3 * 3
    assert f"dim 8: 5 nearest in Z 82.5{THIN}%" in labels
    points = marks(wide(charts.tradeoff(rows)))
    assert points[0] == f"balance 0: line 84.0{THIN}%, variance explained 81.9{THIN}%"
    assert len(points) == len(BALANCES)
    assert charts.over(rows[:1], "balance") == charts.tradeoff(rows[:1]) == charts.over([], "dim") == ""


def test_few_shot_heads_have_their_intervals(made: str) -> None:
    text = said(made)
    assert "5-way, 1 shot: 1,000 episodes of bee, cow, fox, owl, yak" in text
    assert "5-way, 5 shots: 1,000 episodes" in text
    assert "nearest class mean in Z 65.0 % 64.5 % to 65.5 % +17.0 points" in text
    assert "nearest class mean of raw pixels 48.0 %" in text
    labels = marks(wide(charts.fewshot(make_represent()["fewshot"])))
    assert f"nearest class mean in Z: 65.0{THIN}%, 64.5{THIN}% to 65.5{THIN}%" in labels
    assert len(labels) == 3


def test_names_beside_the_few_shot_chart_are_inside_it() -> None:
    """At both widths, and whole."""
    for svg in re.findall(r"<svg.*?</svg>", charts.fewshot(make_represent()["fewshot"])):
        assert all(f">{name}<" in svg for name in charts.SHORT.values())
        _, _, width, _ = (float(n) for n in re.search(r'viewBox="([^"]*)"', svg)[1].split())  # type: ignore[index]
        assert width <= 510


def test_turning_and_training_are_curves() -> None:
    record = make_represent()
    labels = marks(wide(charts.turning(record["results"]["turning"])))
    assert labels[6] == "turned by 90 degrees: Z moves by 0.71"
    assert len(labels) == 24
    assert charts.turning(None) == ""
    assert marks(wide(charts.unexplained(record["epochs"])))[0] == f"epoch 1: unexplained 80.0{THIN}%"
    assert charts.accuracy(make_represent(classes=())["epochs"]) == ""


def test_the_map_has_what_its_script_needs(made: str) -> None:
    found = embedded(made, "data")["map"]
    assert found == make_represent()["map"]
    assert [b["data-class"] for b in Elements(made).named("button") if "data-class" in b] == ["0", "1", "2", "3"]
    assert all(name in said(made) for name in CLASSES)


@pytest.mark.parametrize(
    "odd",
    [
        {"x": []}, {"x": ["a"] * 60}, {"labels": None}, {"labels": ["0"] * 60}, {"sprite": "https://example.com/a.png"},
        {"tile": [12]}, {"tile": ["a", "b"]}, {"columns": 0}, {"columns": None}, {"names": ["one"]},
        {"x": [float("nan")] * 60},
    ],
)  # fmt: skip
def test_a_map_that_does_not_fit_is_left_out(odd: dict[str, Any]) -> None:
    record = make_represent()
    record["map"] |= odd
    assert view.plane(record) == {}
    assert 'id="plane"' not in render_represent(record)


def test_without_classes_there_is_no_legend() -> None:
    page = render_represent(make_represent(classes=()))
    assert 'id="plane"' in page
    assert 'id="legend"' not in page
    assert "An autoencoder with no labels on 1,234 images" in said(page)
    assert "16 numbers keep 78.2 % of what pixels vary by." in said(page)


def test_text_of_the_record_stays_text() -> None:
    page = render_represent(hostile_represent())
    elements = Elements(page)
    assert HOSTILE not in page
    assert not [a for _, a in elements.found if a.get("src") == "x" or any(name.startswith("on") for name in a)]
    assert all(image["src"].startswith("data:image/png;base64,") for image in elements.named("img"))
    assert "example.com" not in page
    assert "svg+xml" not in page
    assert elements.text.count(HOSTILE) > 6
    assert embedded(page, "data")["map"]["classes"][0] == HOSTILE
    assert len(elements.named("script")) == 2


PARTS = [part for part in make_represent() if part not in ("format", "kind", "finished")]


@pytest.mark.parametrize("odd", [None, [], {}, "text", 7, [None], {"x": None}, [{"picture": 3}], True])
def test_odd_parts_are_survived(odd: Any) -> None:
    assert "<h1>" in render_represent(make_represent(3) | dict.fromkeys(PARTS, odd) | {"finished": False})


def test_missing_parts_are_survived() -> None:
    assert "This run has not finished" in render_represent({"format": 1, "kind": "represent"})


@pytest.mark.parametrize("part", ["data", "results", "pictures"])
def test_a_finished_run_without_figures_is_refused(part: str) -> None:
    with pytest.raises(RunError, match=f"'{part}' is not there; train again"):
        render_represent({key: value for key, value in make_represent(3).items() if key != part})


@pytest.mark.parametrize("odd", [None, "text", [1], {"a": 1}])
def test_odd_values_inside_parts_are_survived(odd: Any) -> None:
    record = make_represent(3)
    for name in ("data", "results", "units", "pictures", "map", "probe", "config"):
        record[name] = dict.fromkeys(record[name], odd)
    assert "<h1>" in render_represent(record)


def test_odd_rows_are_survived() -> None:
    record = make_represent(3)
    for rows in (record["probe"]["rows"], record["fewshot"], record["variations"], record["epochs"]):
        rows += [None, {}, "text", {"heads": {"a": None, "b": "x"}, "shots": "y"}]
        for key in list(rows[0]):
            rows.append(rows[0] | {key: "odd"})
            rows.append(rows[0] | {key: None})
    record["pictures"]["traversals"] += [None, {}, {"picture": "x"}]
    assert "<h1>" in render_represent(record)


def test_a_run_that_has_not_finished_says_so() -> None:
    record = {key: make_represent()[key] for key in ("format", "kind", "data", "epochs", "config")}
    assert "This run has not finished: 8 epochs recorded so far." in said(render_represent(record))


@pytest.mark.parametrize(
    "record", [{}, [], None, {"kind": "represent"}, {"kind": "represent", "format": 2}, {"kind": "fit"}]
)
def test_other_records_are_refused(record: Any, tmp_path: Path) -> None:
    with pytest.raises(RunError, match='expected "kind": "represent" and "format": 1'):
        write_represent(record, tmp_path / "report.html")
    assert not list(tmp_path.iterdir())


def test_the_page_is_written(made: str, tmp_path: Path) -> None:
    path = write_represent(make_represent(), tmp_path / "report.html")
    assert path.read_text(encoding="utf-8") == made
