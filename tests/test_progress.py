"""What a long loop says of itself: honest times, lines in a log, a bar in a terminal."""

import io
import sys

import pytest

from talkjax import progress
from talkjax.progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch, capsys):
    """`clock.now` is the time; `clock.said()` what was printed."""

    class Clock:
        now = 100.0

        def monotonic(self):
            return self.now

        def said(self):
            return capsys.readouterr().err

    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def lines_of(clock, ends_s, *, total, **settings):
    """The lines of items that end at these seconds."""
    with Progress(total, label="prepare", **settings) as bar:
        for end_s in ends_s:
            clock.now = 100.0 + end_s
            bar.step()
    return clock.said().splitlines()


def test_the_start_of_the_first_item_is_in_no_time_left(clock):
    # 40 s until the first is done, then 2 s each.
    lines = lines_of(clock, [40 + 2 * item for item in range(31)], total=100)
    assert lines[0] == "prepare: 1 of 100 clips"
    assert lines[1] == "prepare: 6 of 100 clips, 2.0 s each, about 3 min left"
    assert lines[-1] == "prepare: 31 of 100 clips, 2.0 s each, about 2 min left"


def test_the_first_round_of_several_workers_tells_no_speed(clock):
    # Four workers start for 10 s; then each needs 20 s for an item: 5 s each, all told.
    ends = [10 + 20 * turn for turn in (1, 2, 3, 4) for _ in range(4)]
    lines = lines_of(clock, ends, total=40, at_once=4)
    assert lines[0] == "prepare: 1 of 40 clips"
    assert lines[1] == "prepare: 5 of 40 clips"
    assert lines[-1] == "prepare: 13 of 40 clips, 6.7 s each, about 3 min left"


def test_what_an_earlier_run_did_is_counted_but_is_no_speed(clock):
    lines = lines_of(clock, [5, 10, 15], total=53, done=50)
    assert lines == ["prepare: 52 of 53 clips, 5.0 s each, about 5 s left"]


def test_without_a_total_there_is_no_time_left(clock):
    assert lines_of(clock, [0.1, 10.1], total=None) == ["prepare: 2 clips, 10.0 s each"]


def test_quick_items_are_counted_a_second_and_the_last_leaves_nothing(clock):
    lines = lines_of(clock, [0.1 * item for item in range(1, 101)], total=100)
    assert lines == ["prepare: 100 of 100 clips, 10.0 a second"]


def test_nothing_is_said_when_nothing_is_asked_for(clock):
    assert lines_of(clock, [20, 40], total=2, shown=False) == []


@pytest.mark.parametrize("total", [3, None])
def test_a_terminal_gets_a_bar_with_the_same_words(monkeypatch, total):
    monkeypatch.setattr(progress, "QUIET_S", 0.0)
    monkeypatch.setattr(progress, "PLAIN_LINE_EVERY_S", 0.0)
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    items = progress.progress(range(3), total=total, label="listen")
    assert list(items) == [0, 1, 2]
    shown = stream.getvalue()
    assert "listen: " in shown and "\r" in shown
    assert shown.count("\n") <= 1  # a bar stays in its line
