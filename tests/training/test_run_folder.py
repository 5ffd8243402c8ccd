"""Run folders: what killed processes left is swept, what living ones hold stays; a phase has the files written."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from plexus.errors import RunError
from plexus.training.run_folder import CHECKSUMS, make_folder, read_checked, write_checked


def test_halves_of_dead_processes_are_swept_and_no_others(tmp_path: Path) -> None:
    dead, alive, mine = (tmp_path / name for name in (".run.1.new", ".run.00ff00ff.new", ".run.backup.new"))
    for folder in (dead, alive, mine, tmp_path / ".other.1.new"):
        (folder / "sub").mkdir(parents=True)
        (folder / "sub" / "file").write_text("half")
    held = os.open(alive, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    try:
        make_folder(tmp_path / "run", {"a/b.txt": b"whole"})
    finally:
        os.close(held)
    assert (tmp_path / "run" / "a" / "b.txt").read_bytes() == b"whole"
    assert sorted(p.name for p in tmp_path.iterdir()) == [".other.1.new", alive.name, mine.name, "run"]
    make_folder(tmp_path / "run2", {})
    assert alive.exists()  # of another name


def test_a_link_is_never_followed_by_the_sweep(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("mine")
    (tmp_path / ".run.1.new").symlink_to(tmp_path / "precious")
    make_folder(tmp_path / "run", {})
    assert (tmp_path / "precious" / "file").read_text() == "mine"


def test_a_checked_file_is_the_one_written_last_or_before(tmp_path: Path) -> None:
    """The checksum is written before the file: a process that dies between leaves the former file, which is good."""
    file = tmp_path / "last.ckpt"
    write_checked(file, b"first")
    before = file.read_bytes()
    write_checked(file, b"second")
    assert read_checked(file) == b"second"
    file.write_bytes(before)
    assert read_checked(file) == b"first"
    write_checked(file, b"third")
    file.write_bytes(before)  # died again: neither the second nor the third came to the disk
    assert read_checked(file) == b"first"
    write_checked(file, b"fourth")
    write_checked(file, b"fifth")
    file.write_bytes(before)
    with pytest.raises(RunError, match=r"last.ckpt: broken, or changed since it was written.*train the phase anew"):
        read_checked(file)


def test_to_write_beside_a_foreign_file_does_not_make_it_good(tmp_path: Path) -> None:
    file = tmp_path / "last.ckpt"
    write_checked(file, b"first")
    file.write_bytes(b"foreign")
    write_checked(file, b"second")
    file.write_bytes(b"foreign")
    with pytest.raises(RunError, match="broken, or changed"):
        read_checked(file)


@pytest.mark.parametrize(
    "content", ["", "{}", "[]", '{"format": 1, "files": 3}', '{"format": 99, "files": {}}', "[" * 10**5]
)
def test_without_its_checksum_a_file_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "history.json"
    write_checked(file, b"[]")
    (tmp_path / CHECKSUMS).write_text(content)
    with pytest.raises(RunError, match="broken, or changed"):
        read_checked(file)


def test_a_pipe_in_place_of_a_checkpoint_is_told(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "last.ckpt")
    with pytest.raises(RunError, match="a pipe, not a regular file"):
        read_checked(tmp_path / "last.ckpt")


@pytest.mark.skipif(sys.platform != "linux", reason="no such limit of memory elsewhere")
def test_a_folder_is_taken_back_where_there_is_no_memory_left(tmp_path: Path) -> None:
    program = """
import contextlib, resource, sys
from pathlib import Path
from plexus.training.run_folder import discard, make_folder

folder, held = Path(sys.argv[1]), []
make_folder(folder, {"config.yaml": b"", "record.json": b""})
size = resource.getpagesize() * int(Path("/proc/self/statm").read_text().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (size, size))
for part in (2**20, 2**14, 2**12):
    with contextlib.suppress(MemoryError):
        while True:
            held.append(bytearray(part))
discard(folder)
"""
    subprocess.run([sys.executable, "-c", program, tmp_path / "run"], check=True)
    assert not (tmp_path / "run").exists()
