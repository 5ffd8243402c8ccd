"""The ledger as page, Markdown and lines: the same verdicts, the rules beside them, no text that becomes an element."""

from typing import Any

import pytest

from plexus.errors import RunError
from plexus.report import claims_lines, claims_markdown, render
from tests.report.findings import make_ledger
from tests.report.pages import charts, marks, said


def test_markdown_has_a_row_and_a_rule_for_every_claim() -> None:
    text = claims_markdown(make_ledger())
    rows = [line for line in text.splitlines() if line.startswith("| ") and "neurons" in line]
    assert rows[:3] == [
        "| 4 | ELU does not help. | neurons, standard | **holds** | −0.91 (−0.95 to −0.80) correlation |",  # noqa: RUF001
        "| 14 | ELU does not help. | neurons, standard | **fails** | +0.31 (−0.10 to 0.73) points |",  # noqa: RUF001
        "| 18 | ELU does not help. | neurons | open: not run yet |  |",
    ]
    assert text.count("Rule: A rule") == 3
    assert "**fails**. It is refuted, for it would need this to be true: ELU does not help." in text
    assert "- fails: ELU does not help.: +0.31" in text
    assert "bootstrap 0.05 to 0.60, 5 seeds" in text
    assert "- *beside* fails: elu no better than baseline" in text
    assert "| neurons | standard | 24 of 25 | 5 | ELU does not help., 8000 images, 12 epochs |" in text
    assert "Of 3 claims 1 holds, 1 fails and 1 is open." in text


def test_markdown_keeps_its_table_whatever_the_text() -> None:
    rows = [r for r in claims_markdown(make_ledger("a | b\n| c |")).splitlines() if r.startswith("| 14 ")]
    assert len(rows) == 1
    assert rows[0].replace("\\|", "").count("|") == 6


def test_the_lines_say_the_same() -> None:
    lines = claims_lines(make_ledger())
    assert lines[2].split() == ["14", "fails", "ELU", "does", "not", "help."]
    assert lines[3].startswith(
        "           neurons: It is refuted, for it would need this to be true: ELU does not help."
    )
    assert lines[-1] == "Of 3 claims 1 holds, 1 fails and 1 is open."
    assert not [line for line in claims_lines(make_ledger("two\nlines\x1b[2J")) if "\n" in line or "\x1b" in line]


def test_the_page_says_the_same() -> None:
    text = said(render(make_ledger()))
    assert "Of 3 claims 1 holds, 1 fails and 1 is open." in text
    assert (
        "fails It is refuted, for it would need this to be true: ELU does not help. Measured: 0.3 points more (95 % "
        "interval: 0.1 points less to 0.7 points more), over 5 seeds. If there is an effect, it is smaller than what "
        "would count."
    ) in text
    assert "open Nobody has run it yet: plexus study run neurons would make its trials." in text
    assert "beside: fails : elu no better than baseline, +0.31" in text
    assert text.count("A rule: ELU does not help.") == 3
    assert "bootstrap 0.05 to 0.60, 5 seeds" in text


def claim(**parts: Any) -> str:
    """The sentence of one claim, the text of its one part in it."""
    figures = {"effect": 1.0, "low": -1.0, "high": 3.0, "unit": "points"}
    figures |= {name: parts.pop(name) for name in list(parts) if name in figures}
    evidence = {"text": "b is better", "n": 3, "counted": True, **figures, **parts.pop("part", {})}
    row = {"id": 1, "sentence": "B.", "study": "ab", "verdict": "open", "why": "not settled: b is better"}
    ledger = {"format": 1, "kind": "claims", "claims": [row | figures | parts | {"parts": [evidence]}], "studies": []}
    return claims_lines(ledger)[1].strip().removeprefix("ab: ")


@pytest.mark.parametrize(
    ("figures", "text"),
    [
        ({}, "Measured: 1.0 points more (95 % interval: 1.0 points less to 3.0 points more), over 3 seeds."),
        (
            {"effect": -7.0, "unit": "% of the epochs"},
            "Measured: 7 % fewer epochs (95 % interval: 1 % fewer to 3 % more)",
        ),
        (
            {"effect": 0.9, "low": 0.8, "high": 0.95, "unit": "times"},
            "a factor of 0.90 (0.80 to 0.95, 95 %; 1 is no diff",
        ),
        (
            {"effect": 0.9, "low": 0.8, "high": 0.95, "unit": "correlation"},
            "a correlation of 0.90 (0.80 to 0.95, 95 %; 1",
        ),
        ({"effect": 4.0, "unit": "% of images"}, "Measured: 4.00 % of images (\u22121.00 to 3.00), over"),
        ({"effect": None, "low": None, "high": None}, "It is not settled; this is still to be shown: b is better."),
        ({"verdict": "holds"}, "It holds; shown is: b is better. Measured"),
        ({"verdict": "fails"}, "If there is an effect, it is smaller than what would count."),
        ({"verdict": "fails", "low": 0.5}, "The difference is beyond chance, and on the wrong side."),
        ({"part": {"note": "of two"}}, "still to be shown: b is better (of two)."),
        ({"effect": 0.01, "high": -0.2}, "Measured: no difference (95 % interval: 1.0 points less to 0.2 points less)"),
        (
            {"effect": 0.2, "high": 0.4, "unit": "% of the epochs"},
            "Measured: as many epochs (95 % interval: 1 % fewer to as many), over 3 seeds.",
        ),
        (
            {"terms": {"b": "the second", "b_2": "third"}, "part": {"text": "b_2 above b as b.3"}},
            "shown: third above the second as b.3. Measured",
        ),
        ({"takes": "about 7 seeds would"}, "The interval holds both sides. About 7 seeds would."),
        ({"takes": "about 7 seeds would", "low": 0.5}, "over 3 seeds. About 7 seeds would."),
    ],
)
def test_a_verdict_is_a_sentence_in_its_unit(figures: dict[str, Any], text: str) -> None:
    assert text in claim(**figures)


def test_the_page_draws_every_effect_on_the_axis_of_its_unit() -> None:
    drawn = charts(render(make_ledger()))
    assert sorted(drawn) == ["Effects that decided, in correlation", "Effects that decided, in points"]
    assert marks(drawn["Effects that decided, in points"]) == [
        "14. ELU does not help. fails: +0.31 (\u22120.10 to 0.73) points"
    ]


@pytest.mark.parametrize(("page", "linked"), [("ab/full.html", True), ("javascript:alert(1).html", False), ("", False)])
def test_a_study_is_linked_where_its_page_is_there(page: str, linked: bool) -> None:
    ledger = make_ledger()
    ledger["studies"][0]["page"] = page
    text = render(ledger)
    assert (f'href="{page}"' in text) == (linked and bool(page))
    assert ("plexus study report neurons" in said(text)) != linked


def test_what_was_wrong_in_the_procedure_is_told() -> None:
    ledger = make_ledger()
    ledger["claims"][1]["procedure"] = "Two things changed at once."
    assert "The procedure it comes from: Two things changed at once." in said(render(ledger))
    assert "The procedure it comes from: Two things changed at once." in claims_markdown(ledger)


@pytest.mark.parametrize("wrong", [{}, [], {"kind": "claims"}, {"kind": "fit", "format": 1}])
def test_what_is_no_ledger_is_refused(wrong: Any) -> None:
    for use in (claims_markdown, claims_lines):
        with pytest.raises(RunError, match=r"not a run record|not the record of `plexus claims`"):
            use(wrong)
