"""Shared work covers everything once, and nobody is left at work when its caller goes on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from plexus.nn.kernels import _threads


@pytest.fixture(autouse=True)
def three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("size", "most"), [(0, None), (1, None), (2, None), (10, None), (10, 2), (10, 1)])
def test_every_piece_is_done_once(size: int, most: int | None) -> None:
    done: list[tuple[int, int, int]] = []
    _threads.in_parts(lambda *part: done.append(part), size, most=most)
    assert sorted(i for _, first, last in done for i in range(first, last)) == list(range(size))
    assert sorted(part for part, *_ in done) == list(range(_threads.count(size, most)))


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_waits_for_the_others(error: type[BaseException], monkeypatch: pytest.MonkeyPatch) -> None:
    released, finished = threading.Event(), []

    def kernel(part: int, first: int, last: int) -> None:
        if part == 0:
            raise error
        released.wait()
        finished.append(part)

    def waiting(others: Any) -> Any:
        released.set()
        return original(others)

    original = _threads.wait
    monkeypatch.setattr(_threads, "wait", waiting)
    with pytest.raises(error):
        _threads.in_parts(kernel, 3)
    assert sorted(finished) == [1, 2]


def test_a_second_interrupt_does_not_leave_them_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    released, finished, calls = threading.Event(), [], []

    def kernel(part: int, first: int, last: int) -> None:
        if part:
            released.wait()
            finished.append(part)

    def waiting(others: Any) -> Any:
        calls.append(others)
        if len(calls) == 1:
            raise KeyboardInterrupt
        released.set()
        return original(others)

    original = _threads.wait
    monkeypatch.setattr(_threads, "wait", waiting)
    with pytest.raises(KeyboardInterrupt):
        _threads.in_parts(kernel, 3)
    assert sorted(finished) == [1, 2]


def test_an_error_of_another_part_is_told() -> None:
    def kernel(part: int, first: int, last: int) -> None:
        if part == 2:
            raise ValueError("part 2")

    with pytest.raises(ValueError, match="part 2"):
        _threads.in_parts(kernel, 3)
