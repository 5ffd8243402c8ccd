"""Progress: the share of the whole run never falls, and a line says what, how far and how long."""

import io
import threading

import pytest

from plexus.progress import Progress, bar, current, whole


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_shares_follow_the_weights_and_the_steps_within_steps() -> None:
    progress = Progress(None)
    progress.expect({"reading": 1, "learning": 8, "judging": 1})
    with progress.part("reading", 4) as step:
        step(2)
        assert progress.share == pytest.approx(0.05)
    assert progress.share == pytest.approx(0.1)
    with progress.part("learning", 2):
        with progress.part("an epoch", 10) as step:
            step(5)
            assert progress.share == pytest.approx(0.1 + 0.8 * 0.25)
        progress.step(1)
        assert progress.share == pytest.approx(0.5)
    with progress.part("judging"):
        pass
    assert progress.share == pytest.approx(1.0)


def test_nothing_is_called_done_before_its_end() -> None:
    progress = Progress(None)
    progress.expect({"learning": 1})
    with progress.part("learning", 1000) as step:
        step(999)
        assert progress.line().startswith(" 99 %")
        step(1000)
        assert progress.line().startswith("100 %")


def test_a_share_never_falls() -> None:
    progress = Progress(None)
    progress.expect({"measuring": 1})
    seen = []
    with progress.part("measuring", 2):
        for _ in range(2):
            with progress.part("a run inside", 2) as step:
                progress.expect({"its own": 1})  # it has no say
                step(2)
                seen.append(progress.share)
    assert seen == [0.5, 0.5]


def test_time_left_is_the_pace_of_this_process_times_what_is_left() -> None:
    clock, progress = Clock(), None
    progress = Progress(io.StringIO(), clock=clock)
    progress.expect({"learning": 10})
    with progress.part("learning", 10) as step:
        step(5, skipped=True)  # an earlier process did them
        assert "left" not in progress.line()
        clock.now += 10
        step(1)
        assert progress.line() == " 60 %  40 s left  learning"


def test_nothing_is_said_before_the_work_begins_where_it_is_no_terminal() -> None:
    out, clock = io.StringIO(), Clock()
    progress = Progress(out, clock=clock, busy=clock)
    with progress.part("reading", 3) as step:
        step()
    assert out.getvalue() == ""
    with progress.part("reading more", 3) as step:
        clock.now += 6
        step()
    assert out.getvalue().endswith("reading more 33 %\n")  # of the part: nobody knows that of the whole


def test_a_long_step_is_told_every_ten_seconds_with_how_long_it_has_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plexus.progress.FIRST", 8.0)  # as users have it
    out, clock = io.StringIO(), Clock()
    progress = Progress(out, clock=clock)
    progress.expect({"judging": 1})
    with progress.part("judging", 4) as step:
        step(1, "cut to 50%")
        for _ in range(30):
            clock.now += 1
            progress.beat()
    assert out.getvalue().splitlines() == [
        " 25 %  judging  cut to 50%  8.0 s so far",  # nothing was said before it, not even a header
        " 25 %  judging  cut to 50%  18 s so far",
        " 25 %  judging  cut to 50%  28 s so far",
    ]


def test_nothing_is_drawn_between_parts_nor_twice_within_ten_seconds() -> None:
    out, clock = io.StringIO(), Clock()
    progress = Progress(out, clock=clock)
    progress.say("data")
    progress.beat()
    with progress.part("learning", 9) as step:
        for _ in range(3):
            step()
            clock.now += 3
            progress.beat()
        clock.now += 3
        progress.beat()
    assert out.getvalue().splitlines() == ["data", "learning", "learning 33 %  6.0 s so far"]


def test_time_left_is_not_said_before_it_was_measured_nor_after_it_was_exceeded() -> None:
    clock = Clock()
    progress = Progress(None, clock=clock)
    progress.expect({"learning": 90, "judging": 10})
    with progress.part("reading"):
        clock.now += 60
        assert progress.line() == "reading  1 min 0 s so far"  # whatever it took, nobody knows the share
    with progress.part("learning", 90) as step:
        clock.now += 1
        step(2)
        assert "left" not in progress.line()
        clock.now += 8
        step(16)
        assert progress.line() == " 18 %  41 s left  learning"
        clock.now += 36
        step(72)
    with progress.part("judging", 10):
        assert "5.0 s left" in progress.line()
        clock.now += 2
        assert "3.0 s left" in progress.line()
        clock.now += 3
        assert "left" not in progress.line()


def test_a_thread_beats_while_the_work_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    beaten = threading.Event()
    monkeypatch.setattr(Progress, "beat", lambda _: beaten.set())
    with whole():
        assert beaten.wait(30)


def test_a_terminal_shows_one_line_that_fits_and_leaves_nothing() -> None:
    out, clock = io.StringIO(), Clock()
    progress = Progress(out, live=True, clock=clock)
    with progress.part("learning", 2) as step:
        clock.now += 1
        step(1, "loss 0.5" * 99)
        progress.say("a word")
    progress.close()
    drawn = [part for part in out.getvalue().split("\r") if part]
    assert all(len(part.partition("\x1b[K")[0]) < 80 for part in drawn)
    assert drawn[-1] == "\x1b[Ka word\n"
    assert "\n" not in "".join(drawn[:-1])


def test_text_of_the_user_cannot_steer_the_terminal() -> None:
    progress = Progress(None)
    with progress.part("learning") as step:
        step(0, "a\x1b[2Jb")
        assert "\x1b" not in progress.line()


def test_what_is_inside_a_whole_joins_it(capsys: pytest.CaptureFixture[str]) -> None:
    with whole(show=False) as outer, bar("counting", 2, show=True) as step, whole(show=True) as inner:
        step(1)
        assert inner is outer is current()
    assert current() is not outer
    assert capsys.readouterr().err == ""


def test_another_process_of_the_run_is_silent(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    with whole(show=True) as progress:
        progress.say("a word")
    assert capsys.readouterr().err == ""
