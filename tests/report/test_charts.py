"""The charts draw what the record holds, in the page's colors, and the same every time."""

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plexus.report import _charts, _curves
from tests.report.records import make_record


def marks(svg: str) -> list[str]:
    """Labels of everything a pointer can read in the chart."""
    root = ElementTree.fromstring(svg)
    return [e.attrib["aria-label"] for e in root.iter() if "aria-label" in e.attrib and e is not root]


def wide(pair: str) -> str:
    found = re.match(r'<div class="wide">(<svg.*?</svg>)</div><div class="narrow">(<svg.*?</svg>)</div>', pair)
    assert found
    assert marks(found[1]) == marks(found[2])
    return found[1]


def test_budget_has_a_point_per_budget_in_order() -> None:
    record = make_record(9)
    counts = [int(label.split()[0]) for label in marks(wide(_charts.budget(record)))]
    assert counts == [budget.edges for budget in record.budgets]


def test_budget_needs_two_points() -> None:
    record = make_record(9)
    assert _charts.budget(make_record(9, budgets=record.budgets[:1], chosen=0)) == ""
    unmeasured = [budget.model_copy(update={"val_accuracy": None}) for budget in record.budgets]
    assert _charts.budget(make_record(9, budgets=unmeasured)) == ""


def test_final_net_goes_on_where_learning_ended_and_the_chain_starts_beside_it() -> None:
    rows = _curves.points(make_record(9), ["val_accuracy"])
    at = {phase: [row["at"] for row in rows if row["phase"] == phase] for phase in ("chain", "learn", "final")}
    assert at == {"chain": list(range(1, 13)), "learn": list(range(1, 13)), "final": list(range(13, 25))}


def test_a_loss_without_a_logarithm_is_left_out() -> None:
    epochs = [{"phase": "learn", "train_loss": loss, "val_loss": 0.5} for loss in (1.0, 0.0, -1.0, None)]
    rows = _curves.points(make_record(9, epochs=epochs), ["train_loss", "val_loss"])
    assert [row["kind"] for row in rows].count("train_loss") == 1
    assert [row["kind"] for row in rows].count("val_loss") == 4
    assert _curves.loss(make_record(9, epochs=[])) == ""
    assert len(marks(wide(_curves.loss(make_record(9, epochs=epochs[:1]))))) == 1


def test_curves_have_a_point_per_epoch() -> None:
    record = make_record(9)
    assert len(marks(wide(_curves.accuracy(record)))) == len(record.epochs)
    assert len(marks(wide(_curves.loss(record)))) == len(record.epochs)


@given(st.floats(1e-6, 1e4), st.floats(1, 1e6))
def test_logarithmic_marks_enclose_the_data(low: float, ratio: float) -> None:
    scale, axis = _curves._logarithm([low, low * ratio])
    start, stop = scale.to_dict()["domain"]
    assert start <= low
    assert stop >= low * ratio * (1 - 1e-9)
    values = axis.to_dict()["values"]
    assert all(start <= mark <= stop for mark in values)
    assert len(values) <= 13


@pytest.mark.parametrize("legos", [1, 9, 15])
def test_gates_have_a_panel_per_reader_and_a_line_per_input(legos: int) -> None:
    record = make_record(legos)
    panels = _charts.gates(record)
    assert [target for target, _ in panels] == [*record.nodes[2:-1], "head"]
    for target, svg in panels:
        sources = [edge.source for edge in record.edges if edge.target == target]
        assert [label.split(" to ")[0] for label in marks(svg)] == sources


def test_gates_need_two_epochs() -> None:
    record = make_record(2)
    assert _charts.gates(make_record(2, epochs=record.epochs[:13])) == []
    assert len(_charts.gates(make_record(2, epochs=record.epochs[:14]))) == 2


def test_importance_has_a_point_per_ablated_connection() -> None:
    record = make_record(9)
    for edge in record.edges[:10]:
        edge.ablation = None
    assert len(marks(wide(_charts.importance(record)))) == 44
    for edge in record.edges:
        edge.ablation = None
    assert _charts.importance(record) == ""


def test_more_rows_than_altairs_limit() -> None:
    epochs = [
        {"phase": "learn", "train_loss": 1.0, "val_loss": 1.0, "val_accuracy": 0.5, "gates": [0.5] * 2}
        for _ in range(5001)
    ]
    ((_, first), *_) = _charts.gates(make_record(1, epochs=epochs))
    assert len(marks(first)) == 2


def test_charts_obey_the_page() -> None:
    record = make_record(9)
    drawn = [_charts.budget(record), _curves.accuracy(record), _curves.loss(record), _charts.importance(record)]
    for svg in (*drawn, *(svg for _, svg in _charts.gates(record))):
        assert set(re.findall(r'(?:fill|stroke)="([^"]*)"', svg)) <= {"none", "transparent"} | {
            f"var(--{name})"
            for name in (
                "ink",
                "soft",
                "line",
                "accent",
                "chain",
                "learn",
                "final",
                *(f"reach-{i}" for i in range(1, 7)),
            )
        }
        assert not re.search(r"font-family| id=|url\(| style=|<style|href", svg)
    assert drawn[0] == _charts.budget(record)


def test_names_are_escaped() -> None:
    record = make_record(2, nodes=["input", "<b>&", "lego2", "head"], edges=[], budgets=[], chosen=None)
    record.edges = [{"source": s, "target": "head", "gate": 0.5, "ablation": 0.1} for s in ("<b>&", "lego2")]
    record.epochs = [{"phase": "learn", "gates": [0.5, 0.6]}] * 2
    ((_, svg),) = _charts.gates(record)
    assert "<b>" not in svg
    assert marks(svg)[0].startswith("<b>& to head")
    assert marks(wide(_charts.importance(record)))[0].startswith("<b>& to head")
