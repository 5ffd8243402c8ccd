"""The page of a representation: its figures where they belong."""

import re
from typing import Any

import pytest

from plexus.errors import RunError
from plexus.record import RepresentRecord
from plexus.report import render
from tests.report.pages import THIN, Elements, chart, embedded, marks, said, ticks
from tests.report.tasks import BALANCES, CLASSES, make_represent

QUIET: dict[str, Any] = {"probe": {}, "epochs": [], "fewshot": [], "results": {"unexplained": 0.218}}
"""Without the parts that take time to draw."""


@pytest.fixture(scope="module")
def made() -> str:
    return render(make_represent())


def test_the_result_is_told_in_words(made: str) -> None:
    text = said(made)
    assert "16 numbers keep 78.2 % of what pixels vary by, and name the class of 91.2 % of the test images." in text
    assert "An autoencoder with 40 labels on 1,234 images of 784 numbers each, balance 0.25 towards" in text
    assert "15 of the 16 numbers are in use." in text
    assert "classifier on Z 91.2 % 88.1 % to 94.0 %" in text
    assert "variance of pixels left unexplained 21.8 % squared error 0.0123" in text
    command = "plexus represent train animals --dim 16"
    for word in (command, "123,456", "54,321", "broken-7.png", "28 \u00d7 28", "1 min 1 s"):
        assert word in text
    assert all(image["alt"] for image in Elements(made).named("img"))


@pytest.mark.parametrize(
    ("objective", "start"),
    [("ae", "An autoencoder"), ("vae", "A variational autoencoder"), ("denoise", "A denoising autoencoder")],
)
def test_the_kind_has_its_article(objective: str, start: str) -> None:
    assert f"{start} with" in said(render(make_represent(3, config={"objective": objective}, **QUIET)))


@pytest.mark.parametrize(("balance", "shown"), [(0.0, "0"), (1.0, "1"), (1, "1"), (0.25, "0.25"), (0.1, "0.1")])
def test_a_balance_has_no_more_digits_than_it_needs(balance: float, shown: str) -> None:
    probe = {"data": "animals", "rows": [{"dim": 16, "balance": balance, "unexplained": 0.5}]}
    text = said(render(make_represent(3, config={"balance": balance}, **QUIET | {"probe": probe})))
    assert f"balance {shown} towards" in text
    assert f" 16 {shown} 50.0 % " in text


def test_collapse_is_told() -> None:
    units = {"dim": 16, "active": 2, "effective": 1.5, "divergence": 0.4, "collapsed": True}
    text = said(render(make_represent(3, units=units, **QUIET)))
    assert "2 of the 16 numbers are in use: the others have collapsed." in text
    assert "divergence from the prior 0.4 nats" in text


def test_every_probed_model_has_a_row(made: str) -> None:
    text = said(made)
    assert "16 this run 0.25 25.6 % 86.5 % 83.4 % to 89.3 % 82.5 %" in text
    for balance in BALANCES:
        assert f" {balance:g} {100 * (0.15 + 0.3 * balance + 0.5 / 16):.1f} % " in text
    assert text.count("0.57") >= 6  # a quarter turn: .8 sin 45


def test_charts_tell_both_scores_over_balance_and_size(made: str) -> None:
    labels = marks(chart(made, "Recognition and reconstruction in percent against the balance"))
    assert len(labels) == 3 * len(BALANCES)
    assert f"balance 1: line on Z 94.0{THIN}%" in labels
    assert f"balance 0: variance explained 81.9{THIN}%" in labels
    assert "0.25" in ticks(chart(made, "Recognition and reconstruction in percent against the balance"))
    labels = marks(chart(made, "Recognition and reconstruction in percent against the size of Z"))
    assert len(labels) == 3 * 3
    assert f"dim 8: 5 nearest in Z 82.5{THIN}%" in labels
    against = chart(made, "Accuracy of a line on Z in percent against the variance")
    assert {"a line on Z, percent right", "variance explained, percent"} <= set(ticks(against))
    points = marks(against)
    assert points[0] == f"balance 0: line 84.0{THIN}%, variance explained 81.9{THIN}%"
    assert len(points) == len(BALANCES)
    alone = make_represent(3)
    alone["probe"]["rows"] = alone["probe"]["rows"][:1]
    assert not chart(render(alone), "Recognition and reconstruction")


def test_few_shot_heads_have_their_intervals(made: str) -> None:
    text = said(made)
    assert "5-way, 1 shot: 1,000 episodes of bee, cow, fox, owl, yak" in text
    assert "5-way, 5 shots: 1,000 episodes" in text
    assert "nearest class mean in Z 65.0 % 64.5 % to 65.5 % +17.0 points" in text
    assert "nearest class mean of raw pixels 48.0 %" in text
    svg = chart(made, "Few-shot accuracy")
    assert f"nearest class mean in Z: 65.0{THIN}%, 64.5{THIN}% to 65.5{THIN}%" in marks(svg)
    assert len(marks(svg)) == 3
    assert {"Z, class means", "Z, logistic", "pixels, means"} < set(ticks(svg))  # whole, not cut


def test_turning_and_training_are_curves(made: str) -> None:
    labels = marks(chart(made, "Distance that Z moves when images turn"))
    assert labels[6] == "turned by 90 degrees: Z moves by 0.71"
    assert len(labels) == 24
    assert (
        marks(chart(made, "Validation images over the epochs: unexplained"))[0] == f"epoch 1: unexplained 80.0{THIN}%"
    )
    assert len(marks(chart(made, "Validation images over the epochs: accuracy"))) == 8


def test_the_map_has_what_its_script_needs(made: str) -> None:
    assert embedded(made)["map"] == make_represent()["map"]
    assert [b["data-class"] for b in Elements(made).named("button") if "data-class" in b] == ["0", "1", "2", "3"]
    assert all(name in said(made) for name in CLASSES)


@pytest.mark.parametrize(
    "odd",
    [
        {"x": []}, {"x": ["a"] * 60}, {"labels": ["0"] * 60}, {"tile": [12]}, {"tile": ["a", "b"]}, {"columns": 0},
        {"columns": None}, {"names": ["one"]}, {"x": [float("nan")] * 60},
    ],
)  # fmt: skip
def test_a_map_that_does_not_fit_is_refused(odd: dict[str, Any]) -> None:
    record = make_represent(**QUIET)
    record["map"] |= odd
    with pytest.raises(RunError, match=r"^broken: '?map.*; train anew$"):
        RepresentRecord.from_dict(record)


def test_a_map_without_its_picture_is_left_out() -> None:
    record = make_represent(**QUIET)
    record["map"] |= {"sprite": "https://example.com/a.png"}
    assert 'id="plane"' not in render(record)


def test_without_classes_there_is_no_legend() -> None:
    page = render(make_represent(classes=()))
    assert 'id="plane"' in page
    assert 'id="legend"' not in page
    assert "An autoencoder with no labels on 1,234 images" in said(page)
    assert "16 numbers keep 78.2 % of what pixels vary by." in said(page)
    assert not chart(page, "Validation images over the epochs: accuracy")


def test_pictures_that_are_none_are_left_out() -> None:
    record = make_represent(3, **QUIET)
    record["pictures"]["traversals"] += [{}, {"picture": "x"}, {"picture": None}]
    page = render(record)
    assert len(re.findall(r"direction \d, deviation", said(page))) == 6


def test_a_run_that_has_not_finished_says_so() -> None:
    record = {key: make_represent()[key] for key in ("format", "kind", "data", "epochs", "config")}
    assert "This run has not finished: 8 epochs recorded so far." in said(render(record))
