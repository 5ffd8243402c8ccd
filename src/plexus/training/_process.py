"""A training in a process that does other things, too: one at a time, and it is left as it was."""

from __future__ import annotations

import contextlib
import ctypes
import sys
from collections.abc import Iterator
from threading import RLock

_BUSY = RLock()


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Leave the process as it was: its random numbers, and what its allocator keeps.

    Weights are drawn from the global generators, which every thread shares: one run at a time in a process.
    """
    import torch

    with _BUSY, torch.random.fork_rng(range(torch.cuda.device_count())):
        _keep_memory(True)
        try:
            yield
        finally:
            _keep_memory(False)


def _keep_memory(all_of_it: bool) -> None:
    """Let glibc keep the memory that one step frees for the next: to give pages back and get them again takes a tenth.

    By default it does so beyond some megabytes, and a training step frees and takes hundreds. -3 is M_MMAP_THRESHOLD,
    for which 32 MiB is the most, and -1 is M_TRIM_THRESHOLD; other C libraries have no `mallopt`. Afterwards the
    thresholds are those that glibc itself comes to once a block of 32 MiB was freed.
    """
    libc = ctypes.CDLL(None)
    if sys.platform == "linux" and hasattr(libc, "mallopt"):
        for option, value in ((-3, 32 << 20), (-1, 2**31 - 1 if all_of_it else 64 << 20)):
            libc.mallopt(option, value)
        if not all_of_it:
            libc.malloc_trim(0)
