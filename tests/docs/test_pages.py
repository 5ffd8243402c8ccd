"""All code of the documentation works: Python runs, block after block; every command line is one that plexus takes.

Trainings of `FitConfig` are shortened where the page does not say how long they are, so that a page shows what is worth
typing and the tests take seconds. Pages run in a folder of their own and leave nothing behind.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from cyclopts import CycloptsError, MissingArgumentError

import plexus.front  # before its options are shortened, which it writes into its help
import plexus.training
from plexus.cli import app, main
from plexus.training import FitConfig
from tests.docs.pages import PAGES, ROOT, SHELL, SHOWN, blocks, commands, spans

TEXTS = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in PAGES}
RUNNING = [name for name, text in TEXTS.items() if any(block.language == "python" for block in blocks(text))]
HISTORY = ("CHANGELOG.md", "docs/log.md")
"""Pages that may name what is gone."""
SHORT: dict[str, Any] = {"limit": 200, "epochs": 4, "controls": False}
OTHERS = {"cd", "docker", "git", "open", "pip", "source"}
"""Programs that a page may name without a check; `make` and `python` are checked."""


@pytest.fixture(params=RUNNING, scope="module")
def ran(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Any]]:
    """A page's name, and what its code left."""
    name: str = request.param
    space: dict[str, Any] = {"__name__": Path(name).stem}
    with pytest.MonkeyPatch.context() as patch, torch.random.fork_rng():
        patch.chdir(tmp_path_factory.mktemp("page"))
        patch.setattr(plexus.training, "FitConfig", partial(FitConfig, **SHORT))
        for block in blocks(TEXTS[name]):
            if block.language != "python":
                continue
            if block.saved_as:
                Path(block.saved_as).write_text(block.code)
            exec(compile("\n" * (block.line - 1) + block.code, str(ROOT / name), "exec"), space)
    return name, space


def test_the_code_of_a_page_runs(ran: tuple[str, dict[str, Any]]) -> None:
    name, space = ran
    if name == "docs/guide/rotation.md":
        before, after, augmented, both = (
            {group: space[curve].group(group)["accuracy"] for group in ("upright", "exact", "interpolated")}
            for curve in ("before", "after", "augmented", "both")
        )
        assert before["upright"] > 0.9 > 0.5 > before["exact"]
        for converted in (after, both):  # quarter turns change nothing
            assert converted["exact"] == pytest.approx(converted["upright"], abs=0.005)
        assert after["upright"] > 0.85
        assert after["interpolated"] > before["interpolated"]
        assert augmented["interpolated"] > before["interpolated"] + 0.2
        assert both["interpolated"] > augmented["interpolated"]


@pytest.mark.parametrize("name", TEXTS)
def test_every_block_is_run_or_checked(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    for block in blocks(TEXTS[name]):
        where = f"{name}, line {block.line}"
        assert block.language in ("python", *SHELL, *SHOWN), f"{where}: a block of {block.language!r} is not checked"
        for words in commands(block.code) if block.language in SHELL else ():
            assert (wrong := fault(words)) is None, f"{where}: {wrong}"
    capsys.readouterr()


@pytest.mark.parametrize("name", TEXTS)
def test_commands_and_options_in_the_text_exist(name: str) -> None:
    known = options() | ({f"--{option}" for option in FitConfig.gone} if name in HISTORY else set())
    for span in spans(TEXTS[name]):
        if re.match(r"plexus [a-z]", span):
            assert (wrong := fault(span.split(), values=False)) is None, f"{name}: `{span}`: {wrong}"
        elif span.startswith("--"):
            assert re.split(r"[ =]", span)[0] in known, f"{name}: there is no option {span}"


@pytest.mark.parametrize("name", [name for name in TEXTS if name not in HISTORY])
def test_files_that_a_page_names_exist(name: str) -> None:
    assert [path for span in spans(TEXTS[name]) for path in span.split() if not exists(path)] == [], name


def exists(word: str) -> bool:
    """False for a file or folder of the repository that is not there, and for a module without its folders."""
    if re.fullmatch(r"\w+/_\w+\.py", word):
        return False
    path = re.fullmatch(r"(?:src|tests|scripts|studies|benchmarks|docs)/[\w./-]*", word)
    return path is None or any(ROOT.glob(word.replace("NAME", "*")))  # NAME stands for any name


def fault(words: list[str], *, values: bool = True) -> str | None:
    """What is wrong with a command, or None; with `values`, it must be whole, and the values of its options good."""
    program, *rest = words
    if program.endswith("plexus"):
        try:
            app.parse_args(rest, exit_on_error=False, print_error=False)
        except MissingArgumentError as error:  # text may name a verb alone
            return f"`{' '.join(words)}`: {error}" if values else None
        except CycloptsError as error:
            return f"`{' '.join(words)}`: {error}"
        fits = rest[:1] == ["fit"] or rest[:2] == ["segment", "train"]
        if values and fits and not {"--resume", "--config", "--print-config"} & set(rest):
            return _refused([*rest, "--print-config"])
        return None
    if program == "make":
        targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
        return next((f"the Makefile has no target {t}" for t in rest if t not in targets), None)
    if program in ("python", ".venv/bin/python"):
        file = ROOT / rest[0]
        return None if rest[0] == "-m" or file.is_file() else f"there is no {rest[0]}"
    if (ROOT / program).is_file() and program.startswith("scripts/"):
        return None
    return None if program in OTHERS else f"{program} is not checked"


def _refused(arguments: list[str]) -> str | None:
    """What plexus says to options that it does not take."""
    try:
        main(arguments)
    except SystemExit as left:
        return f"`plexus {' '.join(arguments)}` leaves with {left.code}" if left.code else None
    return None


def options() -> set[str]:
    """Every option that some verb of plexus has."""
    return set(re.findall(r"--[a-z][a-z0-9-]*", app.generate_docs(output_format="markdown"))) | {"--help", "--version"}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("plexus fit digits --keeep 0.3", "keeep"),
        ("plexus fti digits", "fti"),
        ("plexus fit digits --epochs many", "many"),
        ("plexus fit digits --merge size", "leaves with 2"),
        ("plexus segment train scans --loss none", "leaves with 2"),
        ("make everything", "no target everything"),
        ("python benchmarks/none.py", "there is no benchmarks/none.py"),
        ("rm -rf /", "is not checked"),
    ],
)
def test_a_wrong_command_is_found(line: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    (found,) = [fault(command) for command in commands(line)]
    assert found is not None
    assert words in found
    capsys.readouterr()


def test_commands_are_taken_apart() -> None:
    block = (
        "plexus fit --print-config > fit.yaml; plexus fit a --label '#1'  # why\n# no command\nmake x && \\\n  make y\n"
    )
    assert list(commands(block)) == [
        ["plexus", "fit", "--print-config"], ["plexus", "fit", "a", "--label", "#1"], ["make", "x"], ["make", "y"],
    ]  # fmt: skip


def test_blocks_know_their_place() -> None:
    text = "a\n\nSave this as `b.py`:\n\n```python\nx = 1\n```\n\n```sh\nls\n```\n\n`plexus claims` and ``` no block\n"
    assert [(b.language, b.code, b.line, b.saved_as) for b in blocks(text)] == [
        ("python", "x = 1\n", 6, "b.py"), ("sh", "ls\n", 10, None),
    ]  # fmt: skip
    assert spans(text) == ["b.py", "plexus claims"]
