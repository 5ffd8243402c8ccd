"""`plexus study` on the command line, and what it shows."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from plexus.cli import main
from plexus.cli.study import Show, line, table
from plexus.experiments import Progress, run
from plexus.progress import duration
from plexus.record import TrialRecord
from tests.experiments.toy import STUDY

TOY = str(Path(__file__).parent / "toy.py")
NEWS = Progress(
    study="toy",
    scale="quick",
    total=9,
    records=(TrialRecord(study="toy", variant="a", options={}, metrics={}),) * 3,
    running=("a~[1]", "b~1"),
    failed={"c~0": "ValueError: [bold]no"},
    left=3,
    to_go=100.0,
    best=("a", 81.234, 2),
    measure="test_accuracy",
)


def shown(progress: Progress, since: float = 0.0) -> str:
    console = Console(file=io.StringIO(), width=100)
    console.print(table(progress, since))
    return str(console.file.getvalue())  # type: ignore[attr-defined]


def folder_of_studies(place: Path) -> Path:
    """A place with a folder of studies: the toy, and a file that is none."""
    (place / "studies").mkdir()
    (place / "studies" / "toy.py").write_text(Path(TOY).read_text())
    (place / "studies" / "shared.py").write_text("ANSWER = 42\n")
    return place


def left(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout, stderr."""
    try:
        main(["study", *arguments])
        code = 0
    except SystemExit as stop:
        code = int(stop.code or 0)
    said = capsys.readouterr()
    return code, said.out, said.err


def test_the_table_says_all_five(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [" ".join(row.split()) for row in shown(NEWS, since=10.0).splitlines()]
    assert rows[1:] == [
        "done 3 of 9, 1 failed",
        "running a~[1], b~1",
        "left 3",
        "time to go 1 min 30 s",
        "best so far a test_accuracy 81.23 (2 seeds)",
    ]


def test_a_terminal_gets_a_table_and_elsewhere_a_line_tells_each_trial(tmp_path: Path) -> None:
    said = {}
    for terminal in (True, False):
        console = Console(file=io.StringIO(), force_terminal=terminal, width=100)
        with Show(console) as show:
            run(STUDY, scale="quick", seeds=1, results=tmp_path / str(terminal), listen=show)
        said[terminal] = str(console.file.getvalue())  # type: ignore[attr-defined]
    assert "best so far" in said[True]
    assert [row.split()[:3] for row in said[False].splitlines()] == [
        ["1/3", "none~0", "test_accuracy"],
        ["2/3", "some~0", "test_accuracy"],
        ["3/3", "much~0", "test_accuracy"],
    ]


def test_a_failure_is_told_with_its_reason() -> None:
    from dataclasses import replace

    assert line(replace(NEWS, ended="c~0")) == "4/9  c~0  failed: ValueError: [bold]no"


def test_run_and_go_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("run", TOY, "--results", str(tmp_path), "--seeds", "1")
    code, out, _ = left(capsys, *options)
    assert (code, out) == (
        0,
        f"records in {tmp_path}/toy/quick; see `plexus study report {TOY} --results {tmp_path}`\n",
    )
    code, _, err = left(capsys, *options)
    assert (code, err.count("\n")) == (2, 1)
    assert "go on with --resume" in err
    assert left(capsys, *options, "--resume")[0] == 0


def test_a_time_is_told_in_two_units_at_most() -> None:
    assert [duration(s) for s in (0.42, 12, 75, 7300, None)] == [
        "0.4 s", "12 s", "1 min 15 s", "2 h 1 min", "not known yet",
    ]  # fmt: skip


def test_the_studies_of_a_folder_are_listed_with_their_questions_and_where_they_are(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    below = folder_of_studies(tmp_path) / "deep" / "down"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    code, out, _ = left(capsys, "list")
    assert code == 0
    assert out.splitlines() == [
        "toy  Does the gain matter?",
        "     variants x seeds: quick 3 x 2, full 3 x 5; data digits",
        "",
        f"from {tmp_path / 'studies'}; run one by its name, or any other with `plexus study run FILE.py`",
    ]


def test_where_there_are_no_studies_it_says_where_it_looked_and_how_to_run_one(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "studies").mkdir()  # with no study in it
    code, out, _ = left(capsys, "list")
    assert (code, out.count("\n")) == (0, 1)
    assert str(tmp_path) in out
    assert "`plexus study run FILE.py`" in out
    code, _, err = left(capsys, "run", "toy")
    assert (code, err.count("\n")) == (2, 1)
    assert "unknown study 'toy': there is no folder studies/ here or above" in err


def test_a_study_in_the_folder_runs_by_its_name(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder_of_studies(tmp_path))
    code, out, _ = left(capsys, "run", "toy", "--seeds", "1")
    assert (code, out) == (0, "records in results/toy/quick; see `plexus study report toy`\n")
    assert left(capsys, "report", "toy")[:2] == (0, "results/toy/quick.html\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", "tyo"), "unknown study 'tyo': did you mean 'toy'?"),
        (("report", "neurons"), "unknown study 'neurons': there are toy; or name a .py file"),
        (("run", "no.py"), "no.py: no such file; a study is one Python file with a constant STUDY"),
        (("run", "bad.py"), "bad.py: ZeroDivisionError: division by zero"),
        (("run", "empty.py"), "empty.py: has no study: give the file a constant STUDY"),
        (("run", "wrong.py"), "wrong.py: study 'w': the baseline 'b' is not among its variants"),
        (("run", TOY, "--scale", "huge"), "study 'toy' has no scale 'huge': there are quick, full"),
        (("run", TOY, "--jobs", "0"), "jobs must be 1 or more, not 0"),
        (("run", TOY, "--engine", "slurm"), "slurm"),
        (("report", TOY), "results/toy/quick: no records yet; run `plexus study run"),
        (("bla",), "bla"),
    ],
)
def test_mistakes_are_one_line(
    arguments: tuple[str, ...],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder_of_studies(tmp_path))
    (tmp_path / "bad.py").write_text("1 / 0\n")
    (tmp_path / "empty.py").write_text("")
    (tmp_path / "wrong.py").write_text(
        "from plexus.experiments import Scale, Study, Variant\n"
        "STUDY = Study('w', '?', 'b', (Variant('a'),), {'quick': Scale(1, 1, 1)}, 'digits', print)\n"
    )
    code, out, err = left(capsys, *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err
    assert not (tmp_path / "results").exists()
