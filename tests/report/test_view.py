"""What the page counts and computes from a record."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from plexus.report import _facts, _view
from plexus.report._words import NONE
from tests.report.records import make_record

SHARES = st.floats(0, 1)


@given(SHARES, SHARES)
def test_scale_holds_its_data_with_few_marks(a: float, b: float) -> None:
    low, high, step = _view._scale(min(a, b), max(a, b))
    assert low <= min(a, b) + 1e-9
    assert high >= max(a, b) - 1e-9
    assert 1 <= round((high - low) / step) <= 6
    assert math.isclose((high - low) / step, round((high - low) / step), abs_tol=1e-6)


@given(st.lists(st.tuples(st.integers(0, 5).map(float), st.integers(0, 5).map(float)), min_size=3, max_size=30))
def test_spearman_agrees_with_scipy(pairs: list[tuple[float, float]]) -> None:
    ours = _view._spearman(pairs)
    if len({a for a, _ in pairs}) == 1 or len({b for _, b in pairs}) == 1:
        assert ours is None
    else:
        assert ours == pytest.approx(spearmanr(*zip(*pairs, strict=True)).statistic, abs=1e-12)


@pytest.mark.parametrize(("legos", "count"), [(1, 2), (2, 5), (9, 54), (15, 135)])
def test_drawing_names_every_connection_by_index(legos: int, count: int) -> None:
    record = make_record(legos)
    drawn = _view.drawing(record)
    assert len(drawn["edges"]) == count
    for edge, shown in zip(record.edges, drawn["edges"], strict=True):
        assert drawn["nodes"][shown["source"]]["name"] == edge.source
        assert drawn["nodes"][shown["target"]]["name"] == edge.target
        assert shown["kept"] == edge.kept
    assert [len(budget["kept"]) for budget in drawn["budgets"]] == [budget.edges for budget in record.budgets]
    assert len(drawn["epochs"]) == 12


def test_reach_grows_with_the_layers_spanned() -> None:
    record = make_record(15)
    place = record.nodes.index
    found = sorted({(place(e.target) - place(e.source), _view.reach(record, e)) for e in record.edges})
    assert dict(found) == {
        1: 1, 2: 2, 3: 3, 4: 3, 5: 4, 6: 4, 7: 4, 8: 5, 9: 5, 10: 5, 11: 5, 12: 6, 13: 6, 14: 6, 15: 6, 16: 6
    }  # fmt: skip


def test_gates_that_do_not_match_the_connections_are_left_out() -> None:
    record = make_record(2)
    for epoch, gates in zip(record.epochs[12:15], ([0.5], None, []), strict=True):
        epoch.gates = gates
    assert len(_view.gate_history(record)) == 9


def test_an_unmeasured_gate_is_read_from_the_last_epoch() -> None:
    record = make_record(2)
    last = record.epochs[23].gates
    record.edges[0].gate, record.edges[1].gate = None, 0.125
    assert [_view.gate_of(record, 0), _view.gate_of(record, 1)] == [last[0], 0.125]
    assert _view.gate_of(make_record(2, epochs=[], edges=[record.edges[0]], budgets=[], chosen=None), 0) is None


def test_intervals_lie_on_one_scale() -> None:
    rows = _view.networks(make_record(9))["rows"]
    assert [row["name"] for row in rows] == ["chain", "supernet", "pruned", "final"]
    assert all(0 <= row["low"] < row["at"] < row["high"] <= 100 for row in rows)
    assert sorted(rows, key=lambda row: row["at"]) == sorted(rows, key=lambda row: row["accuracy"])


def test_a_network_without_an_accuracy_is_left_out() -> None:
    results = [{"name": "chain", "accuracy": None}, {"name": "final", "accuracy": 0.5}]
    shown = _view.networks(make_record(9, results=results))
    assert [(row["label"], row["interval"], row["low"]) for row in shown["rows"]] == [("final", "", None)]
    assert _view.networks(make_record(9, results=[])) == {"rows": [], "ticks": []}


def test_agreement_says_when_nothing_was_ablated() -> None:
    record = make_record(9)
    assert "rank correlation of gate and rise in loss is 0.88 over 54" in _view.connections(record)["sentence"]
    for edge in record.edges:
        edge.ablation = None
    assert "No connection was cut on its own" in _view.connections(record)["sentence"]
    for edge in record.edges:
        edge.ablation = 0.5
    assert "rank correlation" not in _view.connections(record)["sentence"]


def test_confusion_counts_what_is_off_the_diagonal() -> None:
    matrix = [[5, 0, 1], [0, 4, 0], [2, 0, 0]]
    found = _facts.confusion(make_record(2, classes=("a", "b", "c"), confusion=matrix))
    assert (found["wrong"], found["total"]) == (3, 12)
    assert found["pairs"] == [
        {"true": "c", "predicted": "a", "count": 2},
        {"true": "a", "predicted": "c", "count": 1},
    ]
    shades = [[shade for _, shade in row["cells"]] for row in found["rows"]]
    assert shades == [[0, 0, 3], [0, 0, 0], [5, 0, 0]]


@pytest.mark.parametrize("matrix", [[], [[0, 0], [0, 0]], [[1, 2]]])
def test_an_unusable_confusion_matrix_is_none(matrix: list[list[int]]) -> None:
    assert _facts.confusion(make_record(2, confusion=matrix))["rows"] == []


def test_many_classes_become_a_list_of_confusions() -> None:
    classes = tuple(f"class {i}" for i in range(40))
    matrix = [[1 if (i + j) % 3 else 0 for j in range(40)] for i in range(40)]
    found = _facts.confusion(make_record(2, classes=classes, confusion=matrix))
    assert found["rows"] == []
    assert len(found["pairs"]) == 20


@pytest.mark.parametrize(
    "image",
    [
        None,
        "https://example.org/a.png",
        "javascript:alert(1)",
        "data:text/html;base64,AAAA",
        "data:image/svg+xml;base64,AAAA",
        'data:image/png;base64,AAAA" onerror="x',
        "data:image/png;base64,AAAA\n",
    ],
)
def test_only_embedded_bitmaps_are_pictures(image: Any) -> None:
    shown = _facts.mistakes(make_record(2, mistakes=[{"name": "a", "image": image, "true": 1, "predicted": 99}]))
    assert shown == [{"name": "a", "image": "", "true": "1", "predicted": "99", "probability": NONE}]
    record = make_record(2)
    assert [m["image"] for m in _facts.mistakes(record)] == [m.image for m in record.mistakes]
