"""The ledger as page, Markdown and lines: the same verdicts, the rules beside them, no text that becomes an element."""

from typing import Any

import pytest

from plexus.errors import RunError
from plexus.report import claims_lines, claims_markdown, render
from tests.report.findings import make_ledger
from tests.report.pages import said


def test_markdown_has_a_row_and_a_rule_for_every_claim() -> None:
    text = claims_markdown(make_ledger())
    rows = [line for line in text.splitlines() if line.startswith("| ") and "neurons" in line]
    assert rows[:3] == [
        "| 4 | ELU does not help. | neurons, standard | **holds** | −0.91 (−0.95 to −0.80) correlation |",  # noqa: RUF001
        "| 14 | ELU does not help. | neurons, standard | **fails** | +0.31 (−0.10 to 0.73) points |",  # noqa: RUF001
        "| 18 | ELU does not help. | neurons | open: not run yet |  |",
    ]
    assert text.count("Rule: A rule") == 3
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
    assert lines[-1] == "Of 3 claims 1 holds, 1 fails and 1 is open."
    assert not [line for line in claims_lines(make_ledger("two\nlines\x1b[2J")) if "\n" in line or "\x1b" in line]


def test_the_page_says_the_same() -> None:
    text = said(render(make_ledger()))
    assert "Of 3 claims 1 holds, 1 fails and 1 is open." in text
    assert "fails +0.31 (\u22120.10 to 0.73) points , refuted: ELU does not help." in text
    assert "beside: fails : elu no better than baseline, +0.31" in text
    assert text.count("A rule: ELU does not help.") == 3
    assert "bootstrap 0.05 to 0.60, 5 seeds" in text


@pytest.mark.parametrize("wrong", [{}, [], {"kind": "claims"}, {"kind": "fit", "format": 1}])
def test_what_is_no_ledger_is_refused(wrong: Any) -> None:
    for use in (claims_markdown, claims_lines):
        with pytest.raises(RunError, match=r"not a run record|not the record of `plexus claims`"):
            use(wrong)
