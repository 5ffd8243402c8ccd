"""Progress of a run: one live line on a terminal, the same facts line by line elsewhere; knows no torch."""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TextIO

from plexus.errors import printable

Step = Callable[..., None]
"""Says how many more steps are done, and what of them."""
STARTING = "loading PyTorch"
"""The part before there is anything to say."""
REDRAW = 0.1
"""Seconds between two drawings of the live line."""
REPEAT = 10.0
"""Seconds between two lines, at most, where the output is no terminal."""
FIRST = 8.0
"""Seconds until the first line there, where nothing else was said."""
WAITED = 5.0
"""Seconds without a step, from which a line tells how long the part has been at it."""
SILENT = 5.0
"""Seconds of computing in a part before its steps are told there, where nothing was said yet: it may turn out that the
options are wrong, and that is told in one line."""


@dataclass
class _Part:
    """A part under way: what it is, how much of it there is, and how much is done."""

    title: str
    total: float
    done: float = 0.0
    words: str = ""
    since: float = 0.0  # when it last had something to say


class Progress:
    """The progress of a whole run, made of parts that each take a share of it.

    On a terminal one line is drawn over and over; elsewhere, once something was said, a line is written where a part
    begins, at every `note`, and at least every ten seconds in between. Each says the share of the run that is done, the
    time that is left, the part in words, and its figures. What is not known yet is not said: the share of a part whose
    weight nobody knows, and the time before some of the run was measured.

    Args:
        stream: where to; None writes nothing.
        live: draw one line over and over; by default where the stream is a terminal.
        clock: seconds.
        busy: seconds that this process computed.

    Example:
        >>> import io
        >>> out, now = io.StringIO(), [0.0]
        >>> progress = Progress(out, clock=lambda: now[0])
        >>> progress.expect({"reading": 1, "learning": 3})
        >>> with progress.part("reading"):
        ...     progress.say("data  9 images")
        >>> with progress.part("learning", 2) as step:
        ...     now[0] = 6.0
        ...     step(1, "loss 0.5")
        ...     progress.note("epoch 1 of 2")
        >>> print(out.getvalue(), end="")
        data  9 images
         25 %  learning
         62 %  6.0 s left  learning  epoch 1 of 2
    """

    def __init__(
        self, stream: TextIO | None, *, live: bool | None = None, clock: Callable[[], float] = time.monotonic,
        busy: Callable[[], float] = time.process_time,
    ) -> None:  # fmt: skip
        self.stream, self.clock, self.busy = stream, clock, busy
        self.live = (stream is not None and stream.isatty()) if live is None else live
        self._parts: list[_Part] = []
        self._expected: dict[str, float] = {}
        self._ended: set[str] = set()  # titles of the parts that are done
        self._share = 0.0
        self._mark: tuple[float, float] | None = None  # time and share from which the pace is measured
        self._pace: float | None = None  # seconds for the whole
        self._start, self._drawn, self._open = clock(), clock() - REPEAT, False
        self._told, self._begun = False, busy()
        self._stepped = clock()  # when a step was done last
        self._lock = threading.RLock()  # `beat` is another thread's

    def expect(self, weights: Mapping[str, float]) -> None:
        """Say which parts are to come, and how long each takes beside the others; may be said again as more is known.

        Args:
            weights: title of a part -> its weight, in any unit.
        """
        if not self._parts:  # a run within a step of another has no say
            self._expected = dict(weights)

    @property
    def share(self) -> float:
        """The share of the whole run that is done, 0 to 1; it never falls."""
        whole, inner = sum(self._expected.values()), 0.0
        if not whole:
            return 0.0
        for part in reversed(self._parts):  # what runs inside a step of a part is a fraction of that step
            inner = min(1.0, (part.done + inner) / part.total) if part.total else 1.0
        current = self._expected.get(self._parts[0].title, 0.0) * inner if self._parts else 0.0
        ended = sum(self._expected.get(title, 0.0) for title in self._ended)
        self._share = max(self._share, min(1.0, (ended + current) / whole))
        return self._share

    @property
    def known(self) -> bool:
        """True where the share of the part under way in the whole is known."""
        weights = [self._expected.get(part.title, 0.0) for part in self._parts[:1]]
        return sum(self._expected.values()) > 0 and (not weights or weights[0] > 0)

    @contextmanager
    def part(self, title: str, total: float = 1) -> Iterator[Step]:
        """Run a part of the work; within another part, a step of that one.

        Args:
            title: what is done, in a word or two.
            total: steps that it has.

        Yields:
            A function that says how many more steps are done, and what of them: `step(1, "loss 0.5")`. With
            ``skipped=True`` they were done before, and do not count for the pace.
        """
        outer = not self._parts
        with self._lock:
            self._parts.append(_Part(title, total, since=self.clock()))
            if outer:
                self._stepped = self.clock()
                self._mark, self._begun = (self._stepped, self.share), self.busy()
                if self.live or self._told:
                    self._draw(always=True)
        try:
            yield self.step
        finally:
            with self._lock:
                self._parts.pop()
                self._stepped = self.clock()
                if outer:
                    self._ended.add(title)
                    self._pace = self._measured_pace()

    def step(self, count: float = 1, words: str = "", *, skipped: bool = False) -> None:
        """Count steps of the part under way.

        Args:
            count: how many more are done.
            words: what there is to say of them.
            skipped: they were done before, and do not count for the pace.
        """
        if not self._parts:
            return
        with self._lock:
            part = self._parts[-1]
            part.done = min(part.total, part.done + count)
            part.words, part.since = words or part.words, self.clock()
            self._stepped = part.since
            if skipped:
                self._mark = (self._stepped, self.share)
            self._draw()

    def due(self) -> bool:
        """Return whether a step would be shown: figures that cost something need not be computed otherwise."""
        if self.stream is None:
            return False
        if not (self.live or self._told):
            return self.busy() - self._begun >= SILENT
        return self.clock() - self._drawn >= (REDRAW if self.live else REPEAT)

    def note(self, words: str) -> None:
        """Show what the part under way has come to, such as the figures of an epoch.

        Args:
            words: in place of those of its last step.
        """
        with self._lock:
            if self._parts:
                self._parts[-1].words, self._parts[-1].since = words, self.clock()
            self._draw(always=True)

    def say(self, line: str) -> None:
        """Write a line that stays."""
        if self.stream is not None:
            with self._lock:
                self._clear()
                print(line, file=self.stream, flush=True)
                self._drawn, self._told = self.clock() - REPEAT, True

    def beat(self) -> None:
        """Draw where nothing was drawn for a while, as in a long step; a thread of `whole` calls it every second."""
        with self._lock:
            now = self.clock()
            if self._parts and (
                self.live or (now - self._drawn >= REPEAT if self._told else now - self._start >= FIRST)
            ):
                self._draw(always=True)

    def line(self, width: int | None = None) -> str:
        """Return the line as it stands.

        Args:
            width: letters at most.
        """
        words = dict.fromkeys(part for p in self._parts for part in (self._title(p), p.words) if part)
        if self._parts and (waited := self.clock() - self._parts[-1].since) >= WAITED:
            words[f"{duration(waited)} so far"] = None
        done = 100 if self.share >= 1 else min(99, round(100 * self.share))  # 100 is the end, not nearly so
        share = [f"{done:>3} %", *self._left()] if self.known else []
        text = "  ".join([*share, *words])
        return printable(text if width is None or len(text) <= width else f"{text[: width - 1]}\u2026")

    def close(self) -> None:
        """End the live line; nothing stays of it."""
        with self._lock:
            self._clear()

    def _title(self, part: _Part) -> str:
        """Name a part; with its own share done, where that of the whole is not known."""
        share = f" {100 * part.done / part.total:.0f} %" if part.total > 1 and part.done and not self.known else ""
        return f"{part.title}{share}"

    def _left(self) -> list[str]:
        """The time that is left, counted down within a step; nothing where it is not known, or was exceeded."""
        pace, share = self._measured_pace(), self.share
        left = pace * (1 - share) - (self.clock() - self._stepped) if pace is not None else 0.0
        return [f"{duration(left)} left"] if left > 0 else []

    def _measured_pace(self) -> float | None:
        """Seconds for the whole, from the part under way once it tells enough, else from those before it."""
        if self._mark is None:
            return self._pace
        start, before = self._mark
        spent, gone = self._stepped - start, self.share - before
        return spent / gone if gone > 0.03 and spent >= 2 else self._pace  # the first steps are no measure of the rest

    def _draw(self, *, always: bool = False) -> None:
        if self.stream is None or not (always or self.due()):
            return
        self._drawn, self._told = self.clock(), True
        if self.live:
            self.stream.write(f"\r{self.line(shutil.get_terminal_size().columns - 1)}\x1b[K")
            self._open = True
        else:
            self.stream.write(f"{self.line()}\n")
        self.stream.flush()

    def _clear(self) -> None:
        if self._open and self.stream is not None:
            self.stream.write("\r\x1b[K")
            self.stream.flush()
        self._open = False


_current: ContextVar[Progress | None] = ContextVar("progress", default=None)


@contextmanager
def whole(show: bool = True, weights: Mapping[str, float] | None = None) -> Iterator[Progress]:
    """Show the progress of everything inside on stderr; inside another one, that one goes on.

    Args:
        show: without it nothing is shown, unless it is inside one that is.
        weights: see `Progress.expect`; the outermost counts.

    Yields:
        The progress, which `bar` finds by itself.

    Example:
        >>> with whole(show=False) as progress:
        ...     progress.say("not shown")
    """
    if (outer := _current.get()) is not None:
        yield outer
        return
    # of several processes of one run the first one speaks
    progress = Progress(sys.stderr if show and int(os.environ.get("LOCAL_RANK", "0")) == 0 else None)
    progress.expect(weights or {})
    token, ended = _current.set(progress), threading.Event()
    if progress.stream is not None:
        with suppress(RuntimeError):  # there may be no thread to be had: then steps alone are told
            threading.Thread(target=_beat, args=(progress, ended), daemon=True).start()
    try:
        yield progress
    finally:
        ended.set()
        _current.reset(token)
        progress.close()


def _beat(progress: Progress, ended: threading.Event) -> None:
    """Draw every second until the work has ended, or nobody reads any more."""
    with suppress(OSError, ValueError):
        while not ended.wait(1.0):
            progress.beat()


def current() -> Progress:
    """Return the progress that is under way; a silent one where there is none.

    Example:
        >>> current().due()
        False
    """
    return _current.get() or Progress(None)


@contextmanager
def bar(title: str, total: float, show: bool = True) -> Iterator[Step]:
    """Show a part of the work: of the `whole` that is under way, or by itself.

    Args:
        title: what is done, in a word or two.
        total: steps that it has.
        show: whether to show it where nothing else is shown.

    Yields:
        A function that says how many more steps are done, and what of them: `step(1, "loss 0.5")`.

    Example:
        >>> with bar("counting", 3, show=False) as step:
        ...     for _ in range(3):
        ...         step()
    """
    with whole(show, {title: 1.0}) as progress, progress.part(title, total) as step:
        yield step


def duration(seconds: float | None) -> str:
    """Say a time in words.

    Args:
        seconds: None where it is not known.

    Example:
        >>> duration(0.42), duration(75), duration(7300), duration(None)
        ('0.4 s', '1 min 15 s', '2 h 1 min', 'not known yet')
    """
    if seconds is None:
        return "not known yet"
    if seconds < 59.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min {rest} s"
