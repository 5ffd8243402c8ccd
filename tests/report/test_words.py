"""The sentences of the page say what the record says."""

from typing import Any

import pytest

from plexus.record import FitRecord
from plexus.report import _facts, _words
from tests.report.records import make_record

T = _words.THIN
M = _words.MINUS


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (999, "999"),
        (999.6, f"1.00{T}k"),
        (12_034, f"12.0{T}k"),
        (999_400, f"999{T}k"),
        (999_600, f"1.00{T}M"),
        (1_151_000, f"1.15{T}M"),
        (2.5e9, f"2.50{T}G"),
        (None, _words.NONE),
        (float("nan"), _words.NONE),
    ],
)
def test_short_keeps_three_digits(value: Any, text: str) -> None:
    assert _words.short(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.31, f"0.3{T}s"),
        (9.94, f"9.9{T}s"),
        (9.97, f"10{T}s"),
        (59.6, f"1{T}min 0{T}s"),
        (125, f"2{T}min 5{T}s"),
        (7261, f"2{T}h 1{T}min"),
        (None, _words.NONE),
    ],
)
def test_duration_carries_over(seconds: Any, text: str) -> None:
    assert _words.duration(seconds) == text


@pytest.mark.parametrize(("value", "text"), [(0.04, "0.0"), (-0.04, "0.0"), (-0.06, f"{M}0.1"), (1.26, "+1.3")])
def test_zero_has_no_sign(value: float, text: str) -> None:
    assert _words.signed(value, 1) == text


def test_percent_and_count() -> None:
    assert _words.percent(0.98333) == f"98.3{T}%"
    assert _words.count(19_226) == "19,226"
    assert _words.plural(1, "image") == "1 image"
    assert _words.plural(0, "image") == "0 images"
    assert _words.decimal(-0.125, 3) == f"{M}0.125"
    assert _words.day("2026-03-14T09:26:53Z") == "14 March 2026"
    assert _words.day("<b>") == "<b>"


def headline(**parts: Any) -> str:
    return _words.headline(make_record(9, **parts)).replace(T, " ")


def test_headline_states_the_result() -> None:
    assert headline() == "Kept 16 of 54 connections: 98.3 % against 95.3 % for the chain, 19.2 k parameters."


def test_headline_without_a_chain() -> None:
    final = {"name": "final", "accuracy": 0.9833}
    assert headline(results=[final]) == "Kept 16 of 54 connections: 98.3 % of the test images right."


def test_headline_falls_back_on_the_pruned_net() -> None:
    assert headline(results=[{"name": "pruned", "accuracy": 0.5}]).startswith("Kept 16 of 54 connections: 50.0 %")


def test_headline_of_what_is_not_done() -> None:
    assert headline(results=[]) == "Kept 16 of 54 connections; the net was not tested."
    assert headline(finished=False) == "This run has not finished: 36 epochs recorded so far."
    assert _words.headline(FitRecord(finished=True)) == "A run without a tested net."


def test_kept_count_reads_the_marks_where_no_budget_was_chosen() -> None:
    marked = make_record(9)
    assert _words.kept_count(marked) == 16
    assert _words.kept_count(make_record(9, chosen=None)) == 16
    bare = [{"source": e.source, "target": e.target} for e in marked.edges]
    assert _words.kept_count(make_record(9, chosen=None, edges=bare)) is None


@pytest.mark.parametrize(
    ("final", "chain", "says"),
    [
        ([0.96, 0.99], [0.93, 0.97], "overlap, so"),
        ([0.96, 0.99], [0.93, 0.95], "do not overlap"),
        ([0.90, 0.92], [0.93, 0.95], "do not overlap"),
        ([0.96, 0.99], None, ""),
    ],
)
def test_verdict_compares_the_intervals(final: Any, chain: Any, says: str) -> None:
    results = [{"name": "final", "accuracy": 0.97, "ci": final}, {"name": "chain", "accuracy": 0.94, "ci": chain}]
    verdict = _words.verdict(make_record(9, results=results))
    assert says in verdict
    assert bool(verdict) == bool(says)


def test_gap_states_both_accuracies_and_the_difference() -> None:
    said = _words.gap(make_record(9, gap={"before": 0.984, "after": 0.982, "split": "val"})).replace(T, " ")
    assert said == (
        "Cutting 38 connections, with no training afterwards, took validation accuracy from 98.4 % to 98.2 %: "
        f"{M}0.2 points."
    )
    assert _words.gap(make_record(9, gap={})) == ""


def test_background_says_what_was_done() -> None:
    said = _facts.background(make_record(9)).replace(T, " ")
    assert said == (
        "A net of 9 layers learned on 1,222 training images which of its connections to keep; the pruned net was then "
        "fine-tuned. The whole run took 48 s. Tested on 360 images."
    )
    assert "trained anew" in _facts.background(make_record(9, then="retrain"))
    assert "So far it took" in _facts.background(make_record(9, finished=False))
    assert "Tested" not in _facts.background(make_record(9, results=[]))
    assert _facts.background(FitRecord()) == ""
