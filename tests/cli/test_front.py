"""The front door: one screen of examples, and a help with an example that parses for every verb."""

from __future__ import annotations

import ast
import functools
import inspect
import io
import json
import math
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from cyclopts import App
from rich.console import Console

import plexus.represent
from plexus import __version__
from plexus.cli import app, main
from plexus.represent import RepresentConfig
from plexus.segment import SegmentConfig
from plexus.training import FitConfig, declared
from tests.docs.pages import commands
from tests.docs.test_pages import fault


def walk(node: App, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The verbs of an app, and theirs."""
    for name in node:
        if not name.startswith("-"):
            yield (*path, name)
            yield from walk(node[name], (*path, name))


VERBS = list(walk(app))


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a command prints that goes well."""
    code = None
    try:
        main(list(arguments))
    except SystemExit as left:
        code = left.code
    out, err = capsys.readouterr()
    assert (code or 0, err) == (0, "")
    return out


def test_all_verbs_are_walked() -> None:
    assert {("fit",), ("doctor",), ("segment", "submit"), ("study", "list"), ("represent", "vary")} <= set(VERBS)


def test_every_declared_option_is_read_by_its_verb() -> None:
    for verb in VERBS:
        if (made := functools.reduce(App.__getitem__, verb, app).default_command) is None:  # a verb of verbs
            continue
        (body,) = ast.parse(inspect.getsource(made)).body
        assert isinstance(body, ast.FunctionDef)
        read = {node.id for line in body.body for node in ast.walk(line) if isinstance(node, ast.Name)}
        assert {*inspect.signature(made).parameters} <= read, verb


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_help_has_an_example_that_parses(
    verb: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    found = re.findall(r"^Example: (.+?) *$", said(capsys, *verb, "--help"), re.MULTILINE)
    assert found, f"`plexus {' '.join(verb)} --help` has no line `Example: plexus ...`"
    for line in found:
        assert line.split()[: 1 + len(verb)] == ["plexus", *verb]
        for words in commands(line):
            assert fault(words) is None


def test_nothing_said_is_one_screen_with_an_example_of_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    lines = said(capsys).splitlines()
    assert __version__ in lines[0]
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    shown = [line.split() for line in lines if line.startswith("plexus ")]
    assert {verb[0] for verb in VERBS} <= {words[1] for words in shown}
    for line in lines:
        example, _, text = line.partition("  ")
        if text and "VERB" not in example:
            assert text.strip().endswith(".")
            assert [fault(words) for words in commands(example)] == [None]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_learns_the_verbs(
    shell: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    for name in ("ZSH", "ZSH_CUSTOM"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / ".bashrc").write_text("export MINE=1\n")
    assert str(tmp_path) in said(capsys, "--install-completion", "--shell", shell)
    scripts = [path for path in tmp_path.rglob("*plexus*") if path.is_file()]
    assert len(scripts) == 1
    text = scripts[0].read_text()
    assert [verb for verb in VERBS if verb[-1] not in text] == []
    assert (tmp_path / ".bashrc").read_text().startswith("export MINE=1\n")


def test_a_shell_that_is_not_known_is_told(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ZSH_VERSION", "BASH_VERSION", "FISH_VERSION", "SHELL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SystemExit) as left:
        main(["--install-completion"])
    assert left.value.code
    _, err = capsys.readouterr()
    assert err.count("\n") == 1
    assert "--shell" in err


@pytest.mark.parametrize("arguments", [["fit", "日本"], ["represent", "train", "Größe 😀"]], ids=["fit", "represent"])
def test_output_that_takes_ascii_alone(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """What is printed can still be read back."""
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    with pytest.raises(SystemExit) as left:
        main([*arguments, "--print-config"])
    sys.stdout.flush()
    assert left.value.code == 0
    assert yaml.safe_load(raw.getvalue())["data"] == arguments[-1]


def test_figures_in_ascii_are_json(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(plexus.represent, "search", lambda *_, **__: {"😀": math.inf})
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    with pytest.raises(SystemExit) as left:
        main(["represent", "search", "runs/z", "cat.jpg", "photos", "--json"])
    assert left.value.code == 0
    sys.stdout.flush()
    assert json.loads(raw.getvalue()) == {"😀": "inf"}


@pytest.mark.parametrize("verb", [("fit",), ("segment", "train"), ("represent", "train")], ids=" ".join)
def test_help_stands_in_panels_with_a_line_choices_and_default_for_each_option(
    verb: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "console", Console(width=240))  # an app keeps the console of its first help
    config = {"fit": FitConfig, "segment": SegmentConfig, "represent": RepresentConfig}[verb[0]]
    panels = re.split(r"╭─ (\w+) ─+╮", said(capsys, *verb, "--help"))
    text = dict(zip(panels[1::2], panels[2::2], strict=True))
    assert list(text) == ["Data", "Network", "Wiring", "Training", "Hardware", "Output"]
    for name, option in declared(config).items():
        flag, lines = f"--{name.replace('_', '-')}", text[option.panel.capitalize()].splitlines()
        (line,) = (line for line in lines if flag in line.split("  ")[0].split())
        if name != "data":  # it has a text of its own
            assert option.text[1:].replace("`", "") in line
            assert option.default is None or f"[default: {option.default}]" in line
        if option.choices:
            assert f"[choices: {', '.join(map(str, option.choices))}]" in line
