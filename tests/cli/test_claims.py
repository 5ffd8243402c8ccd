"""`plexus claims`: every claim has a verdict, whatever has been run."""

import json
from pathlib import Path

import pytest

from plexus.cli import main
from plexus.errors import PlexusError
from plexus.experiments.claims import ledger
from plexus.report import claims_markdown
from studies.claims import CLAIMS
from tests.studies.invented import invent
from tests.studies.test_rules import write

ROOT = Path(__file__).parents[2]


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as done:
        main(["claims", *arguments])
    assert done.value.code == 0
    return capsys.readouterr().out


def test_without_records_all_are_open(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = said(capsys, "--results", str(tmp_path))
    assert out.splitlines()[-1] == "Of 19 claims 0 hold, 0 fail and 19 are open."
    assert out.count("Nobody has run it yet: `plexus study run ") == 19


def test_every_form_comes_from_the_same_records(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    write(tmp_path, "neurons", invent("neurons", seeds=3))
    found = json.loads(said(capsys, "--results", str(tmp_path), "--json"))
    words = {c["id"]: c["verdict"] for c in found["claims"]}
    assert words[13] == "fails"
    page = tmp_path / "claims.html"
    markdown = said(capsys, "--results", str(tmp_path), "--markdown", "--html", str(page))
    assert markdown == claims_markdown(ledger(CLAIMS, tmp_path))
    assert "both together cancel out. | neurons, standard | **fails** |" in markdown
    told = "It is refuted, for it would need this to be true: unit norm in the convolutions needs fewer epochs."
    assert told in page.read_text(encoding="utf-8")


def test_two_things_to_print_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["claims", "--json", "--markdown"])
    assert stop.value.code == PlexusError.exit_code
    assert "name one" in capsys.readouterr().err


def test_outside_of_a_clone_it_says_where_rules_and_records_are(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        main(["claims"])
    assert stop.value.code == PlexusError.exit_code
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "studies/claims.py of a clone of plexus" in told
    assert "--results" in told


def test_the_committed_ledger_is_that_of_the_committed_records() -> None:
    results, page = ROOT / "results", ROOT / "docs" / "claims.md"
    if not any(results.glob("*/standard/*.json")) and not any(results.glob("*/full/*.json")):
        assert not page.exists()  # nothing to tell yet
        return
    assert page.read_text(encoding="utf-8") == claims_markdown(ledger(CLAIMS, results))
