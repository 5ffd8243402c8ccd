"""The ledger as page, Markdown and lines: the same verdicts, the rules beside them, no text that becomes an element."""

from typing import Any

import pytest

from plexus.errors import RunError
from plexus.report import claims_lines, claims_markdown, render_claims, write_claims
from tests.report.records import HOSTILE
from tests.report.test_page import Elements

PART = {
    "text": "elu no better than baseline", "effect": 0.314, "low": -0.1, "high": 0.728, "unit": "points",
    "p_holds": 0.2, "p_fails": 0.01, "n": 5, "note": "", "counted": True, "bootstrap": (0.05, 0.6), "verdict": "fails",
}  # fmt: skip


def make_ledger(text: str = "ELU does not help.") -> dict[str, Any]:
    """Three claims: one refuted, one that holds, one that was not run."""
    claim = {
        "id": 14, "sentence": text, "study": "neurons", "scale": "standard", "rule": f"A rule: {text}",
        "verdict": "fails", "effect": 0.314, "low": -0.1, "high": 0.728, "unit": "points", "why": f"refuted: {text}",
        "parts": [PART | {"text": text}, PART | {"counted": False, "bootstrap": None, "note": text}],
    }  # fmt: skip
    open_claim: dict[str, Any] = {
        "id": 18, "scale": None, "verdict": "open", "effect": None, "low": None, "high": None, "unit": "", "parts": [],
        "why": "not run yet",
    }  # fmt: skip
    rank = {"id": 4, "verdict": "holds", "effect": -0.91, "low": -0.95, "high": -0.8, "unit": "correlation"}
    study = {
        "study": "neurons", "question": text, "scale": "standard", "trials": 24, "expected": 25, "seconds": 60.0,
        "seeds": [0, 1, 2, 3, 4], "data": {"spec": text}, "settings": {"images": 8000, "epochs": 12},
        "measure": "test_accuracy",
    }  # fmt: skip
    return {
        "format": 1, "kind": "claims", "claims": [claim | rank, claim, claim | open_claim], "studies": [study],
    }  # fmt: skip


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


def test_the_page_is_safe_and_loads_nothing() -> None:
    found = Elements(render_claims(make_ledger(HOSTILE)))
    assert found.named("img") == []
    assert len(found.named("script")) == 2
    assert found.text.count(HOSTILE) >= 9
    assert not [a for _, a in found.found if "style" in a or any(name.startswith("on") for name in a)]
    assert "Of 3 claims 1 holds, 1 fails and 1 is open." in found.text


@pytest.mark.parametrize("wrong", [{}, [], {"kind": "claims"}, {"kind": "fit", "format": 1}])
def test_what_is_no_ledger_is_refused(wrong: Any, tmp_path: Any) -> None:
    for use in (claims_markdown, claims_lines, lambda w: write_claims(w, tmp_path / "x.html")):
        with pytest.raises(RunError, match="not a ledger of claims"):
            use(wrong)
    assert list(tmp_path.iterdir()) == []
