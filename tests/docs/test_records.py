"""Figures of the documentation are those of the records, and none stands there without one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts import records
from tests.docs.pages import ROOT

PAGE = "Accuracy is\n91.5 % at 2,000 parameters, and .3 ms.\n\n```\n99 %\n```\n"
PAGE += "In `77 %`, 95 % intervals; 12 kB by a setting.\n"
ENTRIES = """
[[figure]]
page = "README.md"
text = "Accuracy is {mean:.1f} % at {size:,} parameters, and {time} ms"
[figure.values]
mean = "100 * mean(bench('nets', 'net/*', 'figures/accuracy'))"
size = "bench('nets', 'net/0', 'figures/size')[0]"
time = "short(0.3, 1)"

[[figure]]
page = "README.md"
text = "12 kB by a setting"
said = "a setting"
"""


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    nets = {f"net/{i}": {"figures": {"accuracy": 0.91 + i / 100, "size": 2000}} for i in range(2)}
    (tmp_path / "benchmarks/results").mkdir(parents=True)
    (tmp_path / "benchmarks/results/nets.json").write_text(json.dumps(nets))
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/figures.toml").write_text(ENTRIES)
    (tmp_path / "docs/benchmarks.md").write_text("| net at 3 px | 4.5 |\n")
    (tmp_path / "README.md").write_text(PAGE)
    monkeypatch.setattr(records, "tables", lambda root: {"docs/benchmarks.md": ["| net at 3 px | 4.5 |"]})
    return tmp_path


def test_figures_as_in_the_records_are_right(clone: Path) -> None:
    assert list(records.faults(clone, ["README.md"])) == []


def test_another_figure_is_told_and_written(clone: Path) -> None:
    (clone / "README.md").write_text(PAGE.replace("91.5", "92"))
    told = list(records.faults(clone, ["README.md"]))
    assert "README.md: not there as the records have it: Accuracy is 91.5 % at 2,000 parameters, and .3 ms" in told
    records.write(clone)
    assert list(records.faults(clone, ["README.md"])) == []


def test_a_figure_without_a_record_is_told(clone: Path) -> None:
    (clone / "README.md").write_text(PAGE + "\nIt gains +1.5 ± .5 points and is 3x as fast.\n")
    told = list(records.faults(clone, ["README.md"]))
    assert told == [
        f"README.md:9: no record is named for {f!r} in docs/figures.toml" for f in ("+1.5 ±", ".5 points", "3x")
    ]


def test_a_row_of_the_benchmarks_is_told_and_written(clone: Path) -> None:
    (clone / "docs/benchmarks.md").write_text("| net at 2 px | 4.4 |\n")
    assert list(records.faults(clone, ["README.md"])) == [
        "docs/benchmarks.md: a row of the record is not there: | net at 3 px | 4.5 |"
    ]
    records.write(clone)
    assert (clone / "docs/benchmarks.md").read_text() == "| net at 3 px | 4.5 |\n"


def test_every_figure_of_this_project_is_that_of_its_record() -> None:
    assert list(records.faults(ROOT)) == []
