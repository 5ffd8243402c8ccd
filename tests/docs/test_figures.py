"""The figures of the source tree: what they count is found where it is put, and the walls hold by name, too."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts import figures
from tests.docs.pages import ROOT

FILES = {
    "src/plexus/__init__.py": '"""A library."""\n',
    "src/plexus/nn/__init__.py": '"""Layers."""\nfrom plexus.nn._unit import unit\n',
    "src/plexus/nn/_unit.py": (
        '"""Which layer it is."""\nfrom plexus.nn import _bank\n\n\ndef unit():  # a comment\n    return _bank\n'
    ),
    "src/plexus/nn/_bank.py": "def bank():\n    from plexus.nn._unit import unit\n\n    return unit\n",
    "src/plexus/wiring/__init__.py": (
        "from typing import TYPE_CHECKING\n\nfrom plexus.nn._unit import unit\n\n"
        "if TYPE_CHECKING:\n    from plexus.training import fit\n"
    ),
    "src/plexus/training/__init__.py": (
        "import lightning as L\nfrom plexus.wiring import _secret\n\n\n"
        "def fit(folder, optimizer):\n    folder.mkdir()\n    folder.mkdir(exist_ok=True)\n"
        "    optimizer.step()\n    return L.Trainer()\n"
    ),
    "tests/nn/test_unit.py": "from plexus.nn._unit import unit\n",
    "tests/nn/test_kernels.py": "from plexus.nn.kernels._unit import loop\n",
    "tests/nn/test_nn.py": "from plexus.nn import unit\n",
}


@pytest.fixture
def tree(tmp_path: Path) -> figures.Tree:
    for name, text in FILES.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return figures.Tree(tmp_path)


def test_what_is_put_there_is_found(tree: figures.Tree) -> None:
    assert figures.private_imports(tree) == [
        "plexus.training: plexus.wiring._secret",
        "plexus.wiring: plexus.nn._unit.unit",
    ]
    assert figures.circles(tree) == [["plexus.nn._bank", "plexus.nn._unit"]]
    rows = list(figures.figures(tree).values())
    assert rows[1:4] == ["2", "1", "0"]
    assert rows[6:9] == ["2; 1", "2 of 3 (1)", "33.3 %"]
    assert figures.comments(tree)[0] == 1


def test_no_private_name_leaves_its_package_and_nothing_goes_in_circles() -> None:
    here = figures.Tree(ROOT)
    assert figures.private_imports(here) == []
    assert figures.circles(here) == []
    assert [text for text in figures.docstrings(here) if figures.QUESTIONS.match(text)] == []


def test_figures_go_into_their_rows() -> None:
    page = "| figure | before | now |\n| --- | --- | --- |\n| `a` | 1 | |\n| b (c) | 2 | 3 |\n"
    expected = page.replace("| 1 | |", "| 1 | 7 |").replace("| 2 | 3 |", "| 2 | 8 |")
    assert figures.written(page, {"`a`": "7", "b (c)": "8"}) == expected
    with pytest.raises(SystemExit, match="expected one row 'd'"):
        figures.written(page, {"d": "1"})
