"""Shares the work of a kernel over threads that sleep when idle."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import lru_cache
from itertools import pairwise

import torch


def in_parts(kernel: Callable[[int, int, int], None], size: int, *, most: int | None = None) -> None:
    """Calls kernel(part, first, last) so that the ranges cover 0 .. size, at once over torch's number of threads.

    These are threads of our own that sleep when idle: OpenMP's keep spinning, and a second pool beside torch's makes
    both wait for each other on a machine with few cores.

    Args:
        kernel: releases the GIL.
        size: what is to be shared.
        most: parts at most.
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
        kernel(0, *ranges[0])
    finally:
        _all_done(others)
    for other in others:
        other.result()


def _all_done(others: list[Future[None]]) -> None:
    """Waits whatever happens: the others write to memory that is freed once the caller is left."""
    stopped: KeyboardInterrupt | None = None
    while not all(other.done() for other in others):
        try:
            wait(others)
        except KeyboardInterrupt as error:
            stopped = error
    if stopped is not None:
        raise stopped


def count(size: int, most: int | None = None) -> int:
    """How many parts `in_parts` makes."""
    return max(1, min(size, torch.get_num_threads(), most or size))


@lru_cache(maxsize=1)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max(1, threads - 1), thread_name_prefix="plexus")


os.register_at_fork(after_in_child=_pool.cache_clear)
