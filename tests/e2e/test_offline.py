"""No verb opens a socket to another machine: the kernel ends a process that tries, whatever library it is."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SOCKET = {"x86_64": 41, "aarch64": 198}
"""The number of the system call socket()."""
GUARDED = """
import ctypes, struct, sys

LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06  # BPF: a word of the call, a jump, an answer
INET, INET6 = 2, 10
program = b"".join(struct.pack("HBBI", *step) for step in (
    (LOAD, 0, 0, 0),             # the call's number
    (EQUAL, 0, 3, {socket}),     # not socket(): allowed
    (LOAD, 0, 0, 16),            # the family
    (EQUAL, 2, 0, INET),
    (EQUAL, 1, 0, INET6),
    (RETURN, 0, 0, 0x7FFF0000),  # allowed
    (RETURN, 0, 0, 0x80000000),  # the process ends with SIGSYS
))
held = ctypes.create_string_buffer(program)
libc = ctypes.CDLL(None, use_errno=True)
libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
filter = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(held))
if libc.prctl(22, 2, filter, 0, 0):  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER
    sys.exit("no seccomp here")
"""
REACHES = "import socket; socket.socket(socket.AF_INET, socket.SOCK_STREAM)"
VERBS = (
    ("doctor",),
    ("fit", "digits", "--limit", "150", "--epochs", "1", "--run", "run", "--int8"),
    ("predict", "run", "images"),
    ("prune", "run", "--keep", "0.5"),
    ("probe", "run", "digits", "--images", "40", "--angles", "90"),
    ("audit", "images", "--kinds", "same", "--out", "audit"),
    ("represent", "train", "digits", "--limit", "150", "--epochs", "1", "--run", "z"),
)


def guarded(code: str, place: Path) -> subprocess.CompletedProcess[str]:
    """Run code where the calls that would reach another machine end the process."""
    whole = GUARDED.replace("{socket}", str(SOCKET[platform.machine()])) + code
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(
        [sys.executable, "-c", whole], cwd=place, capture_output=True, text=True, env=environment, check=False
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if sys.platform != "linux" or platform.machine() not in SOCKET:
        pytest.skip("the guard is of Linux")
    folder = tmp_path_factory.mktemp("offline")
    if "no seccomp here" in guarded("", folder).stderr:
        pytest.skip("this system does not let a process guard itself")
    return folder


def test_the_guard_bites(place: Path) -> None:
    assert guarded(REACHES, place).returncode == -signal.SIGSYS


@pytest.mark.e2e
def test_no_verb_reaches_another_machine(place: Path) -> None:
    drawn = np.random.default_rng(0)
    for i in range(8):
        file = place / "images" / "ab"[i % 2] / f"{i}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(drawn.integers(0, 256, (8, 8), dtype=np.uint8)).save(file)
    calls = f"""
from plexus.cli import main
for verb in {VERBS!r}:
    try:
        main(list(verb))
    except SystemExit as left:
        assert not left.code, (verb, left.code)
"""
    done = guarded(calls, place)
    assert done.returncode == 0, done.stdout + done.stderr
