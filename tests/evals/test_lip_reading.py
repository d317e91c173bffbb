"""Words are counted by clip, row and class; each row is judged by the words that it should say."""

import numpy as np
import pytest

from talkjax.evals import intervals, lip_reading, report, report_tables, runner
from talkjax.evals.landmarks import LandmarkTracker
from talkjax.evals.lip_reading import RECORDED, Reader, WordRead
from talkjax.evals.runner import EvalClip, Tools
from tests.evals import eval_toys

# The toy mouth's words: how far it is open, and so how bright the opening patch is.
WORDS = ("low", "middle", "wide")
CLASSES = {"low": "shut", "middle": "open", "wide": "open"}
LEVELS = np.array([0.1, 0.5, 0.9])
WORD_FRAMES = 8


def _logits(batch):
    """Nearness of a word's mean brightness in the opening patch to each word's."""
    mouths = batch["mouth_u8"].astype(float) / 255
    top, left = 80 - 56, 48 - 28
    found = []
    for clip, spans, columns in zip(
        mouths, batch["word_spans"], (left, mouths.shape[3] - left - 10), strict=True
    ):
        patch = clip[:, top : top + 10, columns : columns + 10].mean(axis=(1, 2, 3))
        heard = [patch[round(a) : max(round(b), round(a) + 1)].mean() for a, b in spans]
        found.append(-np.abs(np.array(heard)[:, None] - LEVELS))
    return np.stack(found)


READER = Reader(logits=_logits, image_size=128, words=WORDS, classes=CLASSES)


def _clip(seed, *, frames=44):
    """A clip whose mouth says words, as `eval_toys` draws and sounds it."""
    rng = np.random.default_rng(seed)
    said = rng.integers(0, 3, size=frames // WORD_FRAMES)
    values = np.zeros((frames, 2))
    for place, word in enumerate(said):
        values[place * WORD_FRAMES : (place + 1) * WORD_FRAMES] = LEVELS[word]
    values = np.round(values * 255) / 255
    background = rng.integers(0, 256, size=(1, 128, 128, 3), dtype=np.uint8)
    truth = eval_toys.with_mouth(np.repeat(background, frames, axis=0), values)
    spoken = [
        (p * WORD_FRAMES / 25, (p + 1) * WORD_FRAMES / 25, WORDS[w].upper())
        for p, w in enumerate(said)
    ]
    wave = np.repeat(values[:, 0], 640) * np.sin(np.arange(frames * 640) * 0.3)
    return EvalClip(
        truth_u8=truth,
        model_u8=truth,
        mel=eval_toys.mel_of(values),
        audio_i16=np.round(wave * 20000).astype(np.int16),
        words=(*spoken, (0.0, 0.2, "unknown"), (1.6, 1.9, "low")),  # the last one ends too late
    )


def test_known_words_that_lie_in_the_frames_are_read():
    clip = _clip(0)
    read = READER.read(clip.truth_u8, clip.words)
    assert [word.said for word in read] == [w.casefold() for *_, w in clip.words[:5]]
    assert all(word.right for word in read)
    assert {word.word_class for word in read} <= {"open", "shut"}
    assert READER.read(clip.truth_u8, [(0.0, 0.2, "unknown")]) == ()
    shorter = READER.read(clip.truth_u8[:17], clip.words)
    assert len(shorter) == 2


def _evaluate(generate):
    tools = Tools(
        generate=generate,
        tracker=LandmarkTracker(eval_toys.track, workers=0),
        critics={},
        linear=None,
        sync_stride=2,
        hide_from=0.5,
        num_voices=1,
        reader=READER,
    )
    names = [f"clip{i}" for i in range(6)]
    found = runner.evaluate_clips(
        names,
        lambda name: _clip(int(name[4:])),
        tools,
        seed=0,
        reference_frame=0,
        on_clip_done=lambda: None,
    )
    assert not found.failed
    who = {"label": "runs/reader", "trained_on_data": "toys", "vocabulary_words": 3}
    return report.metrics(found, protocol={"lip_reader": who | {"chance": 1 / 3}}, seed=0)


def test_a_model_that_listens_is_read_as_well_as_the_truth():
    contents = _evaluate(eval_toys.listens)
    accuracy = contents["lip_reading"]["accuracy"]
    for row in (RECORDED, "ground_truth", "generated", "swapped_voice_vs_voice"):
        assert accuracy[row]["all words"]["mean"] == 1.0, row
    for row in ("shuffled_audio", "still_mouth", "still_hidden"):
        assert accuracy[row]["all words"]["mean"] < 0.7, row
    assert contents["lip_reading"]["relative"]["generated"]["all words"]["mean"] == 1.0
    assert contents["lip_reading"]["words"]["generated"]["all words"] == 30
    table = report_tables.markdown(contents, title="x")
    assert "Read by runs/reader, trained on toys: 3 words, chance 0.333." in table
    assert "| generated | 1.00 [1.00, 1.00] |" in table
    assert "| always the commonest word | 0." in table and "Warning" not in table


def test_a_deaf_model_is_not_read_and_one_that_peeks_says_the_wrong_words():
    deaf = _evaluate(eval_toys.deaf)["lip_reading"]
    assert deaf["accuracy"]["generated"]["all words"]["mean"] < 0.6
    assert deaf["relative"]["generated"]["all words"]["high"] < 0.9
    peeks = _evaluate(eval_toys.peeks)["lip_reading"]["accuracy"]
    assert peeks["generated"]["all words"]["mean"] == 1.0
    assert peeks["shuffled_audio"]["all words"]["mean"] == 1.0
    assert peeks["swapped_voice_vs_voice"]["all words"]["mean"] < 0.7


def _read(*marks):
    """Words of class "c", right (1) or read as "b"."""
    return tuple(WordRead("a", "c", "a" if mark else "b") for mark in marks)


def test_accuracy_is_over_words_and_relative_to_the_same_clips():
    clips = {
        "one": {RECORDED: _read(1, 1, 1, 1), "generated": _read(1, 1, 1, 0)},
        "two": {RECORDED: _read(1, 0), "generated": _read(0, 0)},
        "three": {RECORDED: _read(0, 0, 0, 0)},
    }
    found = lip_reading.summary(clips, seed=0)
    assert found["accuracy"][RECORDED]["all words"]["mean"] == pytest.approx(5 / 10)
    assert found["accuracy"]["generated"]["c"]["mean"] == pytest.approx(3 / 6)
    assert found["relative"]["generated"]["all words"]["mean"] == pytest.approx((3 / 6) / (5 / 6))
    assert found["confusions"] == [["a", "b", 5]]
    assert found["words"]["generated"] == {"all words": 6, "c": 6}
    assert found["clips"]["two"] == {RECORDED: [1, 2], "generated": [0, 2]}


def test_every_class_has_intervals_and_the_table_prints_the_ratio_to_the_recording_with_its_own():
    rng = np.random.default_rng(3)
    clips = {}
    for place in range(12):
        words = [("a", "vowel"), ("e", "vowel"), ("p", "stop"), ("t", "stop")]
        read = {
            row: tuple(
                WordRead(said, name, said if rng.uniform() < share else "x") for said, name in words
            )
            for row, share in ((RECORDED, 0.9), ("generated", 0.5), ("still_hidden", 0.1))
        }
        clips[f"clip{place:02d}"] = read
    found = lip_reading.summary(clips, seed=0)
    for part, rows in (("accuracy", 3), ("relative", 2)):
        assert len(found[part]) == rows
        for row, cells in found[part].items():
            assert set(cells) == {"all words", "stop", "vowel"}, row
            assert all(cell["low"] <= cell["mean"] <= cell["high"] for cell in cells.values())
    generated = found["accuracy"]["generated"]
    assert all(cell["low"] < cell["high"] for cell in generated.values())
    for name, cell in found["relative"]["generated"].items():
        real = found["accuracy"][RECORDED][name]["mean"]
        assert cell["mean"] == pytest.approx(generated[name]["mean"] / real)
    who = {"label": "runs/reader", "trained_on_data": "toys", "vocabulary_words": 4}
    lines = lip_reading.markdown(found, reader=who | {"chance": 0.25})
    head = lines.index("| relative to recorded | all words | stop | vowel |")
    cells = ["{mean:.2f} [{low:.2f}, {high:.2f}]".format(**found["relative"]["generated"][name])
             for name in ("all words", "stop", "vowel")]  # fmt: skip
    assert lines[head + 2] == f"| generated | {' | '.join(cells)} |"


def test_the_interval_of_a_share_is_that_of_the_mean_where_clips_are_of_one_length():
    rng = np.random.default_rng(0)
    right = rng.integers(0, 7, size=40).astype(float)
    share = intervals.share_interval(right, np.full(40, 6.0), seed=3)
    mean = intervals.mean_interval(right / 6.0, seed=3)
    assert (share.mean, share.low, share.high) == pytest.approx((mean.mean, mean.low, mean.high))


def test_the_interval_of_a_share_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(1)
    inside = 0
    for trial in range(150):
        total = rng.integers(1, 12, size=30)
        right = rng.binomial(total, 0.6)
        found = intervals.share_interval(right.astype(float), total.astype(float), seed=trial)
        inside += found.low <= 0.6 <= found.high
    assert 0.87 < inside / 150 < 0.99


def test_a_ratio_of_paired_shares_is_narrow_and_nothing_is_no_share():
    rng = np.random.default_rng(2)
    second = np.stack([rng.integers(1, 7, size=40), np.full(40, 6)], axis=1).astype(float)
    first = second * [0.5, 1.0]
    found = intervals.share_ratio(first, second, seed=0)
    assert (found.mean, found.low, found.high) == pytest.approx((0.5, 0.5, 0.5))
    with pytest.raises(ValueError, match="nothing to be a share of"):
        intervals.share_interval(np.zeros(3), np.zeros(3), seed=0)
