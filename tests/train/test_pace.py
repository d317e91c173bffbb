"""The time left, on a clock that is wound by hand."""

import pytest

from talkjax.train.pace import Pace


class Clock:
    now_s = 0.0

    def __call__(self):
        return self.now_s


def run(pace, clock, *, steps, step_s=1.0, first=0):
    for step in range(first, first + steps):
        clock.now_s += step_s
        if step == 0:
            with pace.aside():
                clock.now_s += 500.0  # compiles
        pace.step()


def test_start_up_and_compiling_are_no_steps():
    clock = Clock()
    pace = Pace(100, {}, clock_s=clock)
    clock.now_s += 60.0
    run(pace, clock, steps=1)
    assert pace.left_s(1) is None
    run(pace, clock, steps=9, first=1)
    assert pace.left_s(10) == (pytest.approx(90.0), [])


def test_periodic_work_counts_as_often_as_it_comes_and_its_first_time_does_not():
    clock = Clock()
    pace = Pace(100, {"validation": 30, "pictures": 0}, clock_s=clock)
    run(pace, clock, steps=30)
    with pace.aside("validation"):
        clock.now_s += 200.0  # compiles too
    assert pace.left_s(30) == (pytest.approx(70.0), ["validation"])
    run(pace, clock, steps=30, first=30)
    with pace.aside("validation"):
        clock.now_s += 7.0
    assert pace.left_s(60) == (pytest.approx(40.0 + 2 * 7.0), [])  # after 90 and after 100
    assert pace.left_s(100) == (0.0, [])


def test_one_odd_step_moves_the_estimate_little():
    clock = Clock()
    pace = Pace(100, {}, clock_s=clock)
    run(pace, clock, steps=21)
    run(pace, clock, steps=1, first=21, step_s=300.0)
    left_s, _ = pace.left_s(22)
    assert 78.0 < left_s < 86.0


def test_work_that_comes_only_at_the_end_is_timed_too():
    clock = Clock()
    pace = Pace(10, {"saving": 0}, clock_s=clock)
    run(pace, clock, steps=10)
    with pace.aside("saving"):
        clock.now_s += 5.0
    assert pace.left_s(10) == (0.0, [])
