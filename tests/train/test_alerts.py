"""Warnings come once while they hold, and not in the first steps."""

from talkjax.train.alerts import Alerts


def low(values):
    return {"low": f"only {values['x']}" if values["x"] < 5 else None} if "x" in values else {}


def test_a_warning_comes_once_and_again_only_after_it_was_gone():
    alerts = Alerts(low, steps=1000)
    said = [
        alerts.new(step, {"x": float(x)}) for step, x in ((300, 1), (350, 2), (400, 9), (450, 3))
    ]
    assert said == [["only 1.0"], [], [], ["only 3.0"]]


def test_values_that_say_nothing_of_it_do_not_end_a_warning():
    alerts = Alerts(low, steps=1000)
    said = [alerts.new(300, {"x": 1.0}), alerts.new(310, {"y": 1.0}), alerts.new(320, {"x": 1.0})]
    assert said == [["only 1.0"], [], []]


def test_the_end_of_a_short_run_is_looked_at_and_nothing_before():
    alerts = Alerts(low, steps=60)
    assert alerts.new(59, {"x": 1.0}) == []
    assert alerts.new(60, {"x": 1.0}) == ["only 1.0"]


def test_a_trial_of_a_few_steps_says_nothing():
    assert Alerts(low, steps=4).new(4, {"x": 1.0}) == []


def test_nothing_is_said_in_the_first_steps():
    assert Alerts(low, steps=60_000).new(11_999, {"x": 1.0}) == []
    assert Alerts(low, steps=60_000).new(12_000, {"x": 1.0}) == ["only 1.0"]


def test_the_end_says_again_what_was_said_long_ago():
    alerts = Alerts(low, steps=1000)
    said = [alerts.new(step, {"x": 1.0}) for step in (300, 999, 1000)]
    assert said == [["only 1.0"], [], ["only 1.0"]]
    assert alerts.new(1000, {"x": 9.0}) == []
