"""The command's first and last moments: signals before anything is loaded, and names where the locale is ASCII."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
COMMAND = """
import os, signal, sys

class Finder:
    def find_spec(self, name, path, target=None):
        if name == sys.argv[1]:
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGINT)

class Late:
    def __del__(self, write=os.write, kill=os.kill, me=os.getpid()):
        write(1, b"late\\n")
        kill(me, 2)

sys.late = Late()
sys.meta_path.insert(0, Finder())
sys.argv[0] = "/somewhere/bin/plexus"
from plexus.cli import main
main(["--version"])
"""


def python(*arguments: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    source = os.pathsep.join([str(Path(__file__).parents[2] / "src"), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, encoding="utf-8",
        env={**os.environ, "PYTHONPATH": source, **environment},
    )  # fmt: skip


@pytest.mark.parametrize("module", ["lazy_loader", "plexus.cli", "cyclopts"])
def test_a_signal_before_anything_is_loaded(module: str, tmp_path: Path) -> None:
    done = python("-c", COMMAND, module, folder=tmp_path)
    assert (done.returncode, done.stderr) == (130, "plexus: stopped\n")


@pytest.mark.parametrize("how", [("-sm", "plexus", "--version"), ("-c", "import sys; sys.argv.clear(); import plexus")])
def test_it_starts_however_python_was_called(how: tuple[str, ...], tmp_path: Path) -> None:
    done = python(*how, folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_signal_after_everything_is_done(tmp_path: Path) -> None:
    done = python("-c", COMMAND, "none", folder=tmp_path)
    assert done.stdout.endswith("late\n")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture(scope="module")
def umlauts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("ä")
    rng = np.random.default_rng(0)
    for name in ("Bär/größe_1.png", "Bär/größe_2.png", "Ñandú/größe_3.png", "Ñandú/größe_4.png"):
        file = place / "Zoo ö" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (16, 16), dtype=np.uint8)).save(file)
    return place


def test_names_are_utf_8_where_the_locale_is_ascii(umlauts: Path) -> None:
    done = python("-m", "plexus", "audit", "Zoo ö", "--out", "Prüfung", "--folds", "2", folder=umlauts, **ASCII)
    assert done.returncode == 0, done.stderr
    assert "open Prüfung/audit.html" in done.stdout
    assert "Bär/größe_1.png" in (umlauts / "Prüfung" / "folds.json").read_text(encoding="utf-8")


def test_python_that_reads_names_as_ascii_says_what_to_do(umlauts: Path) -> None:
    code = (
        "import plexus\nfrom plexus.errors import DataError\n"
        "try: plexus.audit('.')\nexcept DataError as error: print(error)"
    )
    done = python("-c", code, folder=umlauts, **ASCII)
    assert done.stdout.endswith("is read as ascii: start Python with PYTHONUTF8=1\n"), done.stderr


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
def test_closed_streams_are_as_good_as_nothing(closed: str, tmp_path: Path) -> None:
    code = "import os, sys; sys.argv[0] = 'plexus'; from plexus.cli import main; main(['fit', '--print-config'])"
    file = tmp_path / "new.txt"
    code += f"; assert os.open({str(file)!r}, os.O_CREAT) > 2"
    done = python(
        "-c", "import subprocess, sys; sys.exit(subprocess.call(sys.argv[1:]))",
        "sh", "-c", f'exec "$0" -c "$1" {closed}', sys.executable, code, folder=tmp_path,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_nobody_reads_what_it_prints(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    code = "import sys; sys.argv[:] = ['plexus']; from plexus.cli import main; main()"
    source = str(Path(__file__).parents[2] / "src")
    done = subprocess.run(
        [sys.executable, "-c", code], stdout=write, stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": source}
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.parametrize("verb", [["fit", "digits"], ["audit", "/"], ["study", "list"], ["claims"]])
def test_the_folder_is_gone(verb: list[str], tmp_path: Path) -> None:
    code = "import os, sys; os.rmdir(os.getcwd()); from plexus.cli import main; main(sys.argv[1:])"
    (tmp_path / "in").mkdir()
    done = python("-c", code, *verb, folder=tmp_path / "in")
    assert (done.returncode, done.stderr) == (2, "plexus: the folder that you are in is gone: go to another\n")
