"""`plexus essay`: what it prints, and one line for every mistake."""

from __future__ import annotations

import io
import json
import re
import shlex
from pathlib import Path

import pytest

from plexus.cli import main
from plexus.essays.keystrokes import SAMPLE
from tests.cli.test_mistakes import told

NAMES = ("squares", "shields", "fitness", "kleiber", "keystrokes")


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "there.svg").write_text("mine")
    (tmp_path / "bad.csv").write_bytes(b"\x00\xff")
    (tmp_path / "in.txt").write_text("3\n25\n0\n3\n")


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as left:
        main(["essay", *arguments])
    assert not left.value.code
    return capsys.readouterr().out


def test_alone_it_lists_five_examples_that_run(capsys: pytest.CaptureFixture[str]) -> None:
    examples = re.findall(r"  plexus essay (.+)$", said(capsys), re.MULTILINE)
    assert [example.split()[0] for example in examples] == list(NAMES)
    for example in examples:
        assert said(capsys, *shlex.split(example))


@pytest.mark.parametrize("name", NAMES)
def test_help_has_an_example_that_runs(capsys: pytest.CaptureFixture[str], name: str) -> None:
    found = re.search(r"Example: plexus essay (.+?)\s*$", said(capsys, name, "--help"), re.MULTILINE)
    assert found
    assert said(capsys, *shlex.split(found[1]))


def test_squares(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert said(capsys, "squares", "25", "3", "--pairs") == "25: 2 (0, 5) (3, 4)\n3: 0\n"
    assert said(capsys, "squares", "--file", "in.txt") == "2\n1\n0\n"
    monkeypatch.setattr("sys.stdin", io.StringIO("1 5525"))
    assert json.loads(said(capsys, "squares", "--file", "-", "--json")) == [{"n": 5525, "count": 6}]


def test_shields(capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(said(capsys, "shields", "1", "1", "5", "--json"))
    assert (found["damage"], found["pairs"], found["optimal_pairs"]) == (6, [[2, 3], [3, 2]], 2)
    told = said(capsys, "shields", "1", "2", "5")
    assert "  3 shields, 1 warrior\nfloor(M/2G): 2 shields, 1 warrior, damage 2, 1 less" in told
    assert "does not buy one of each" in said(capsys, "shields", "3", "3", "5")
    assert "and 1 more" in said(capsys, "shields", "1", "1", "5", "--show", "1")
    assert said(capsys, "shields", "--losses", "1").startswith("G=2 W=1 M=3: best 1 by ((1, 1),)")
    assert len(json.loads(said(capsys, "shields", "--losses", "4", "--json"))) == 4


def test_fitness(capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(said(capsys, "fitness", "--seeds", "2", "--json"))
    assert [round(end["x"]) for ends in found.values() for end in ends] == [0, 0, -5, -5]


def test_kleiber(capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(said(capsys, "kleiber", "--json"))
    assert [v["holds"] for v in found["verdicts"]["mammal"]] == [False, True]
    assert "blind to phylogeny" in said(capsys, "kleiber")


def test_keystrokes(capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, "keystrokes", SAMPLE, "--power")
    assert "1.0000  g index, h middle, j ring, k little" in text
    assert re.search(r"\d+ keystrokes give a posterior of 0.95 for the right fingers in 9 of 10 texts", text)
    two = json.loads(said(capsys, "keystrokes", "asdf jkl;", "--left", "asdf", "--right", "jkl;", "--json"))
    assert list(two) == ["left hand", "right hand"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["shields", "3/2", "2", "1000"],
        ["shields", "1000003", "1000000", "999999999999999999"],
        ["fitness", "--seeds", "2"],
        ["kleiber"],
        ["keystrokes", SAMPLE],
    ],
    ids=lambda a: a[0],
)
@pytest.mark.parametrize(("suffix", "begins"), [("svg", b"<svg"), ("png", b"\x89PNG"), ("html", b"<!DOCTYPE html>")])
def test_pictures(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: list[str], suffix: str, begins: bytes
) -> None:
    assert f"open new.{suffix}" in said(capsys, *arguments, "--picture", f"new.{suffix}")
    assert (tmp_path / f"new.{suffix}").read_bytes().lstrip().startswith(begins)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nothing"], "no essay is called 'nothing'"),
        (["squares"], "give numbers or --file"),
        (["squares", "1", "--file", "in.txt"], "give numbers or --file"),
        (["squares", "1.5"], "'1.5' is not an integer"),
        (["squares", "--", "-1"], "-1 is out of range"),
        (["squares", "9" * 5000], "is out of range"),
        (["squares", "--file", "nowhere\nat all"], "cannot be read"),
        (["squares", "--file", "."], "cannot be read"),
        (["squares", "--file", "bad.csv"], "not a text file"),
        (["shields", "1", "2"], "give three numbers"),
        (["shields", "0", "1", "5"], "shield costs 0"),
        (["shields", "1", "1", "x"], "money 'x' is not a number"),
        (["shields", "1", "1", "5", "--show", "0"], "--show must be 1 or more"),
        (["shields", "1", "1", "5", "--losses", "3"], "--losses takes no prices"),
        (["shields", "--losses", "0"], "must be 1 to 1000"),
        (["shields", "1", "1", "5", "--picture", "there.svg"], "there.svg: is there already"),
        (["fitness", "--seeds", "0"], "seeds must be 1 to 1000"),
        (["fitness", "--generations", "0"], "generations go from 1"),
        (["fitness", "--picture", "picture.gif"], "a picture ends in"),
        (["fitness", "--picture", "nowhere/picture.svg"], "nowhere: is no folder"),
        (["kleiber", "--data", "bad.csv"], "bad.csv: not a text file"),
        (["kleiber", "--data", "none.csv"], "none.csv: cannot be read"),
        (["keystrokes"], "give a text or --file"),
        (["keystrokes", ""], "the text is empty"),
        (["keystrokes", "ggg"], "one distinct key"),
        (["keystrokes", "gh", "--left", "g"], "need both --left and --right"),
        (["keystrokes", "gh", "--power"], "several assignments fit"),
        (["keystrokes", "gh", "--top", "0"], "--top must be 1 or more"),
        (["keystrokes", "--file", "bad.csv"], "not a text file"),
        (["keystrokes", "gh", "--prior", "x"], "prior"),
    ],
)
def test_a_mistake_is_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: list[str], words: str
) -> None:
    before = {p: p.read_bytes() for p in tmp_path.iterdir()}
    assert words in told(capsys, "essay", *arguments)
    assert {p: p.read_bytes() for p in tmp_path.iterdir()} == before
