"""What goes wrong during a training is told in one line, and nothing is half-written."""

from __future__ import annotations

from pathlib import Path

import pytest

from plexus.record import FitRecord
from tests.e2e.commands import Done, plexus
from tests.e2e.conftest import SMALL

pytestmark = pytest.mark.e2e


def assert_told(done: Done, code: int, *words: str) -> None:
    last = done.err.splitlines()[-1]
    assert done.code == code, done.err
    assert last.startswith("plexus: "), done.err
    assert [word for word in words if word not in last] == []
    assert "Traceback" not in done.err


def test_a_loss_that_is_no_number(place: Path) -> None:
    done = plexus("fit", "images", *SMALL, "--lr", "1e30", "--run", "nan", folder=place)
    assert_told(done, 1, "became", "lower --lr than 1e+30")
    assert not FitRecord.read(place / "nan" / "record.json").finished


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--legos", "legos.py:three", "--devices", "64", "--strategy", "nonsense"], ["strategy='nonsense'"]),
        (["--legos", "legos.py:deep"], ["lego2", "does not accept maps (4, 3, 3)"]),
        (["--legos", "legos.py:wrong"], ["must return a list of torch modules, got int"]),
        (["--legos", "legos.py:failing"], ["ZeroDivisionError: too few"]),
        (["--legos", "legos.py:none"], ["has no function none"]),
        (["--legos", "nowhere.py:three"], ["there is no file", "nowhere.py"]),
        (["--legos", "legos.py"], ["must be FILE.py:function"]),
        (["--limit", "3"], ["--limit 3 is too low"]),
    ],
)
def test_what_cannot_be_built_leaves_no_folder(place: Path, options: list[str], words: list[str]) -> None:
    done = plexus("fit", "images", *options, "--run", "never", folder=place)
    assert_told(done, 2, *words)
    assert len(done.err.splitlines()) == 1
    assert not (place / "never").exists()
    assert not list(place.glob(".*"))
