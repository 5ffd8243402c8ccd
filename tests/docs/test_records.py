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


def test_a_row_of_the_benchmarks_without_a_record_is_told(clone: Path) -> None:
    head = "| net of 4 | target .5 |\n| --- | --- |\n"
    (clone / "docs/benchmarks.md").write_text(f"{head}| net at 3 px | 4.5 |\n| speed | none |\n| memory | 17 |\n")
    assert list(records.faults(clone, ["README.md", "docs/benchmarks.md"])) == [
        "docs/benchmarks.md: no record is named for the row | memory | 17 |"
    ]


def test_a_record_that_is_gone_is_told(clone: Path) -> None:
    (clone / "benchmarks/results/nets.json").write_text("{}")
    told = list(records.faults(clone, ["README.md"]))
    assert told[0].startswith("README.md: its record is not there ('benchmarks/results/nets.json has no net/*'): Acc")
    assert "README.md:2: no record is named for '91.5 %' in docs/figures.toml" in told


def test_trials_of_a_study_are_read_by_variant_and_seed(clone: Path) -> None:
    for seed in range(3):
        trial = {"variant": "a", "seed": seed, "started": f"2026-01-01T00:00:{20 * seed:02}Z", "seconds": 10.0}
        path = clone / f"results/toy/standard/a~{seed}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(trial))
    found = records.names(clone)["trials"]("toy", "a", seeds=2)
    assert [t["seed"] for t in found] == [0, 1]
    assert records.overhead(found) == pytest.approx(0.5)  # 30 seconds from the first to the last, 20 of them in trials


def test_every_figure_of_this_project_is_that_of_its_record() -> None:
    assert list(records.faults(ROOT)) == []
