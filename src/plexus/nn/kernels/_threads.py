"""The work of a kernel, shared over threads that sleep when idle."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import lru_cache
from itertools import pairwise

import torch


def in_parts(kernel: Callable[[int, int, int], None], size: int, *, most: int | None = None) -> None:
    """Call kernel(part, first, last) so that the ranges cover 0 .. size, at once over torch's number of threads.

    These are threads of our own that sleep when idle: OpenMP's keep spinning, and a second pool beside torch's makes
    both wait for each other on a machine with few cores. The kernel releases the GIL; `most` bounds the parts.
    """
    parts = count(size, most)
    if parts == 1:
        kernel(0, 0, size)
        return
    edges = [size * i // parts for i in range(parts + 1)]
    ranges = list(pairwise(edges))
    others: list[Future[None]] = []
    try:
        for i in range(1, parts):
            others.append(_pool(torch.get_num_threads()).submit(kernel, i, *ranges[i]))
        kernel(0, *ranges[0])  # the caller works, too
    finally:
        _all_done(others)
    for other in others:
        other.result()


def _all_done(others: list[Future[None]]) -> None:
    """Wait whatever happens: the others write to memory that is freed once the caller is left."""
    stopped: KeyboardInterrupt | None = None
    while not all(other.done() for other in others):
        try:
            wait(others)
        except KeyboardInterrupt as error:  # raised once nobody writes any more
            stopped = error
    if stopped is not None:
        raise stopped


def count(size: int, most: int | None = None) -> int:
    """Count the parts that `in_parts` makes."""
    return max(1, min(size, torch.get_num_threads(), most or size))


@lru_cache(maxsize=1)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max(1, threads - 1), thread_name_prefix="plexus")


# a child of a fork has the pool but not its threads, and would wait for them for ever
os.register_at_fork(after_in_child=_pool.cache_clear)
