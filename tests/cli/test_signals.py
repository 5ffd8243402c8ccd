"""A stop by Ctrl-C or SIGTERM is one line and exit code 130, however many signals come; short memory is one line."""

from __future__ import annotations

import errno
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import plexus.cli
import plexus.report
from plexus.cli import main
from tests.audit.speckle import save

STUDY = """
import os, signal
from plexus.experiments import Scale, Study, Variant

def trial(job):
    BODY

STUDY = Study("toy", "?", "a", (Variant("a"),), {"quick": Scale(None, 1, 1)}, "digits", trial)
"""


def left(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[object, str]:
    """The exit code and stderr."""
    with pytest.raises(SystemExit) as error:
        main(list(arguments))
    return error.value.code, capsys.readouterr().err


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A folder of one's own; and SIGINT as a terminal leaves it, since shells ignore it for work in the background."""
    monkeypatch.chdir(tmp_path)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def run(capsys: pytest.CaptureFixture[str], body: str) -> tuple[object, str]:
    Path("toy.py").write_text(STUDY.replace("BODY", body))
    return left(capsys, "study", "run", "toy.py", "--results", "new")


KILL = "os.kill(os.getpid(), signal.{})"
HANG = "__import__('threading').Event().wait(30)"


@pytest.mark.parametrize(
    "signals", [["SIGINT"], ["SIGTERM"], ["SIGINT", "SIGINT", "SIGINT"], ["SIGTERM", "SIGINT"], ["SIGINT", "SIGTERM"]]
)
def test_signals_stop_in_one_line(capsys: pytest.CaptureFixture[str], signals: list[str]) -> None:
    """Also where the second comes while the first unwinds."""
    first, *more = (KILL.format(name) for name in signals)
    code, err = run(capsys, f"try:\n        {first}\n    finally:\n        {'; '.join(['pass', *more])}")
    assert code == 130
    lines = [line for line in err.splitlines() if line.startswith("plexus: ")]
    assert [line.startswith("plexus: stopped; go on with `plexus ") for line in lines] == [True]
    assert "Traceback" not in err


@pytest.mark.parametrize("signals", [["SIGINT"], ["SIGTERM", "SIGINT"]])
def test_a_signal_while_an_object_is_taken_away_is_not_lost(
    capsys: pytest.CaptureFixture[str], signals: list[str]
) -> None:
    """Python prints such an exception as a traceback and goes on."""
    kills = "; ".join(KILL.format(name) for name in signals)
    code, err = run(capsys, f"type('Late', (), {{'__del__': lambda self: [{kills.replace(';', ',')}]}})()\n    {HANG}")
    assert code == 130
    assert [line for line in err.splitlines() if "stopped" in line or "Traceback" in line] == [err.splitlines()[-1]]


def test_a_library_that_makes_another_error_of_it_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    Path("own.py").write_text(
        "import os, signal\ntry:\n    os.kill(os.getpid(), signal.SIGINT)\nexcept KeyboardInterrupt:\n"
        "    raise RuntimeError('exporter failed') from None\n"
    )
    assert left(capsys, "fit", "digits", "--legos", "own.py:f", "--run", "new") == (130, "plexus: stopped\n")
    assert not Path("new").exists()  # nothing was begun


def test_handlers_are_put_back(capsys: pytest.CaptureFixture[str]) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    left(capsys, "fit", "nowhere")
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        MemoryError("Unable to allocate 9.00 GiB for an array"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:124] . DefaultCPUAllocator: can't allocate memory: you tried"),
        ImportError("libtorch_cpu.so: failed to map segment from shared object"),
        RuntimeError("can't start new thread"),
        RuntimeError("could not create a primitive"),
        SystemError("error return without exception set"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
    ],
)
def test_short_memory_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def app(*_: object, **__: object) -> None:
        try:
            raise error
        except Exception as cause:
            raise ValueError("a library's own words") from cause

    monkeypatch.setattr(plexus.cli, "app", app)
    code, err = left(capsys, "fit")
    assert (code, err.count("\n")) == (1, 1)
    assert err.startswith("plexus: memory is short")


def test_a_run_that_did_not_begin_leaves_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    Path("own.py").write_text("def f(shape):\n    raise MemoryError\n")
    code, err = left(capsys, "fit", "digits", "--legos", "own.py:f", "--run", "new")
    assert (code, err.count("\n")) == (1, 1)
    assert [p.name for p in Path().iterdir() if p.name != "__pycache__"] == ["own.py"]


@pytest.mark.parametrize("verb", [["audit", "images"], ["probe", "net.py:net", "digits", "--angles", "90"]])
def test_a_stop_while_the_page_is_drawn_leaves_no_part(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, verb: list[str]
) -> None:
    Path("net.py").write_text(
        "from torch import nn\ndef net():\n    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))"
    )
    for i in range(3):
        save(tmp_path / "images" / f"{i}.png", np.random.default_rng(i).integers(0, 256, (20, 30), dtype=np.uint8))
    monkeypatch.setattr(plexus.report, "render", lambda *_, **__: signal.raise_signal(signal.SIGTERM))
    code, err = left(capsys, *verb, "--out", "out")
    assert (code, err.splitlines()[-1]) == (130, "plexus: stopped")
    assert not list(tmp_path.rglob("out/*"))


def test_what_the_user_typed_cannot_move_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    code, err = left(capsys, "fit", "digits", "--legos", "no\x1b[2J.py:f", "--run", "new\x1b[31m")
    assert code == 2
    assert "\x1b" not in err
    assert "no\\x1b[2J.py" in err
