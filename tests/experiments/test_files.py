"""Studies in files: what lies beside a file can be imported, here and in other processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from plexus.errors import ConfigError
from plexus.experiments import load, load_module, names, records, run, studies_folder

STUDY = """
from plexus.experiments import Scale, Study, Variant
from .beside import bonus
{top}
def trial(job):
    from {inside} import factor
    return {{"test_accuracy": factor(10.0 * job.seed) + bonus(job)}}
STUDY = Study(name="own", question="?", baseline="a", variants=(Variant("a", {{"x": 1}}),),
    scales={{"quick": Scale(None, 1, 3)}}, data="digits", trial=trial)
"""
BESIDE = "def bonus(job):\n    return job.variant.options['x']\n"


def write(place: Path, times: int = 1, *, top: str = "", inside: str = ".helper") -> Path:
    """A study that imports one file as it is read and another in its trials, with a dot or by its name."""
    place.mkdir(exist_ok=True)
    (place / "own.py").write_text(STUDY.format(top=top, inside=inside))
    (place / "beside.py").write_text(BESIDE)
    (place / "helper.py").write_text(f"def factor(x):\n    return {times} * x\n")
    (place / f"own_helper_{times}.py").write_text(f"def factor(x):\n    return {times} * x\n")
    return place / "own.py"


@pytest.mark.parametrize(("inside", "jobs"), [(".helper", 2), ("own_helper_2", 2), ("own_helper_2", 1)])
def test_a_trial_finds_what_lies_beside_its_file(tmp_path: Path, inside: str, jobs: int) -> None:
    study = load(write(tmp_path / "one", 2, inside=inside))
    run(study, scale="quick", results=tmp_path, jobs=jobs)
    assert [r.metrics["test_accuracy"] for r in records(tmp_path, study, "quick")] == [1.0, 21.0, 41.0]


def test_two_folders_have_files_of_the_same_names(tmp_path: Path) -> None:
    studies = [load(write(tmp_path / str(times), times)) for times in (1, 3)]
    for times, study in zip((1, 3), studies, strict=True):
        run(study, scale="quick", results=tmp_path / f"results {times}")
        found = records(tmp_path / f"results {times}", study, "quick")
        assert [r.metrics["test_accuracy"] for r in found] == [1.0, 10.0 * times + 1, 20.0 * times + 1]


def test_a_file_beside_takes_no_librarys_place(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("raise AssertionError\n")
    load(write(tmp_path, top="import json; json.dumps"))


def test_a_name_is_looked_up_in_the_nearest_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "studies")
    (tmp_path / "inner" / "studies").mkdir(parents=True)  # holds none
    monkeypatch.chdir(tmp_path / "inner" / "studies")
    assert studies_folder() == tmp_path / "studies"
    assert names() == ["own"]
    assert load("own").question == "?"


def test_what_a_file_raises_is_one_line_that_names_it(tmp_path: Path) -> None:
    file = write(tmp_path, top="from .nothing import x")
    with pytest.raises(ConfigError, match=r"^\S*own\.py: ModuleNotFoundError: No module named '\S*nothing'$"):
        load(file)
    with pytest.raises(ConfigError, match="no such file"):
        load_module(tmp_path / "other.py")
