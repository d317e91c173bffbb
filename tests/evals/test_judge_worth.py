"""A judge that tells nothing apart is called that, and one that does is not."""

import pytest

from talkjax.evals import judge_worth, lip_reading, report, report_tables
from talkjax.evals.lip_reading import RECORDED, WordRead
from talkjax.evals.runner import Evaluation

OWN = "ground_truth - ground_truth_shuffled"


def _contents(key="sync_distance", *, low, high):
    apart = {"mean": (low + high) / 2, "low": low, "high": high}
    return {"differences": {OWN: {key: apart}}}


@pytest.mark.parametrize(
    ("key", "who"),
    [
        ("sync_distance", "the sync critic"),
        ("sync_distance_training_critic", "the training's own critic"),
        ("lse_d", "the SyncNet"),
    ],
)
def test_a_judge_must_hold_the_own_sound_nearer(key, who):
    assert judge_worth.warnings(_contents(key, low=-0.5, high=-0.3)) == []
    for low, high in ((-0.002, 0.002), (0.1, 0.2)):
        (line,) = judge_worth.warnings(_contents(key, low=low, high=high))
        assert line.startswith(f"{who} does not hold") and "say nothing here" in line
        assert f"[{low:.3f}, {high:.3f}]" in line


def test_without_another_clips_sound_there_is_no_verdict():
    assert judge_worth.warnings({"differences": {}}) == []


def _read(said, read):
    return WordRead(said, "vowel" if said in "ae" else "stop", read)


def _reading(answers):
    """Six clips of three words, said and answered alike in each."""
    words = tuple(_read(said, read) for said, read in zip("aab", answers, strict=True))
    clips = {f"clip{i}": {RECORDED: words, "still_hidden": words} for i in range(6)}
    return {"differences": {}, "lip_reading": lip_reading.summary(clips, seed=0)}


def test_a_reader_must_read_more_than_the_commonest_word():
    good = _reading("aab")
    assert good["lip_reading"]["commonest"] == {"all words": 2 / 3, "stop": 1.0, "vowel": 1.0}
    assert judge_worth.warnings(good) == []
    (line,) = judge_worth.warnings(_reading("aaa"))  # says one word always
    assert line.startswith("the lip reader reads 0.667 [0.667, 0.667] of the words")
    assert "has 0.667 of them" in line


def test_the_warning_stands_before_the_tables():
    contents = _reading("aaa") | {"rows": {}, "failed": {}}
    who = {"label": "runs/r", "trained_on_data": "toys", "vocabulary_words": 2, "chance": 0.5}
    contents |= {"protocol": {"clips_measured": 6, "lip_reader": who}}
    contents |= {"warnings": judge_worth.warnings(contents)}
    lines = report_tables.markdown(contents, title="x").splitlines()
    assert lines[2].startswith("* **Warning**: the lip reader reads 0.667")
    assert "| always the commonest word | 0.67 | 1.00 | 1.00 |" in lines


def test_every_report_has_its_warnings():
    empty = Evaluation(results={}, failed={"a": "cut off"}, voices={})
    assert report.metrics(empty, protocol={}, seed=0)["warnings"] == []
