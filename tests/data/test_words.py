"""Words as labels, and windows that hold them whole."""

import dataclasses

import numpy as np
import pytest

from talkjax.data import fake, words
from talkjax.data.judge_windows import Words
from talkjax.data.samplers import make_sampler
from talkjax.data.source import open_source
from talkjax.errors import UserError
from talkjax.ops.image import mouth_box
from talkjax.ops.mel import mel_start

VOCABULARY = {"colour": ("red", "Blue"), "digit": ("one",)}


def _rng(seed=0):
    return np.random.default_rng(seed)


def sampler(**changes):
    settings = dict(
        image_size=32, clip_frames=12, mel_frames=4, max_words=3, vocabulary=VOCABULARY, flip=False
    )
    return Words(**settings | changes)


def test_labels_are_places_in_the_alphabet_whatever_the_class():
    assert words.word_labels(VOCABULARY) == {"blue": 0, "one": 1, "red": 2}
    assert words.word_classes(VOCABULARY) == {"red": "colour", "blue": "colour", "one": "digit"}


@pytest.mark.parametrize(
    ("vocabulary", "found"),
    [({"a": ("x", "X")}, "x twice"), ({"a": ("x",), "b": ("x",)}, "x twice"), ({}, "no words")],
)
def test_a_word_stands_once_in_a_vocabulary(vocabulary, found):
    with pytest.raises(UserError, match=f"data.vocabulary: has {found}"):
        words.word_labels(vocabulary)


def test_a_counted_vocabulary_holds_the_frequent_words():
    counts = words.count_words(
        [[(0.0, 1.0, "Yes"), (1.0, 2.0, "no")], [(0.0, 1.0, "NO"), (1.0, 2.0, "yes")]]
    )
    counts += words.count_words([[(0.0, 1.0, "maybe")]])
    found = words.counted_vocabulary(counts, min_count=2, where="here")
    assert found == {"word": ("no", "yes")}
    with pytest.raises(UserError, match="here: 0 words are spoken 3 times or more"):
        words.counted_vocabulary(counts, min_count=3, where="here")


def test_unknown_words_are_no_labels_and_times_become_frames():
    spoken = [(0.2, 0.4, "RED"), (0.4, 0.6, "green"), (0.6, 1.0, "one")]
    spans, labels = words.known_words(spoken, words.word_labels(VOCABULARY))
    np.testing.assert_allclose(spans, [[5, 10], [15, 25]])
    assert labels.tolist() == [2, 1]
    spans, labels = words.known_words([], {})
    assert spans.shape == (0, 2) and labels.shape == (0,)


def test_a_window_holds_all_words_if_it_can_and_starts_everywhere_it_may():
    spans = np.array([[10.0, 14.5], [14.5, 20.0], [20.0, 27.0]])
    starts = {
        words.choose_start(spans, frames=20, clip_frames=75, rng=_rng(seed)) for seed in range(99)
    }
    assert starts == set(range(7, 11))  # 27 - 20 to 10


def test_words_too_far_apart_take_turns():
    spans = np.array([[2.0, 6.0], [50.0, 58.0], [4.0, 40.0]])
    starts = [
        words.choose_start(spans, frames=10, clip_frames=75, rng=_rng(seed)) for seed in range(300)
    ]
    held = [words.inside(spans, first=start, frames=10).tolist() for start in starts]
    assert all(sum(one) == 1 and not one[2] for one in held)  # the third fits in no window
    assert 100 < sum(one[0] for one in held) < 200


def test_any_start_will_do_where_no_word_fits():
    starts = {
        words.choose_start(np.zeros((0, 2)), frames=5, clip_frames=8, rng=_rng(seed))
        for seed in range(50)
    }
    assert starts == {0, 1, 2, 3}
    assert words.choose_start(np.zeros((0, 2)), frames=9, clip_frames=8, rng=_rng()) == 0


def test_an_example_is_the_mouths_sound_and_words_of_one_window(telltale, frame_numbers):
    spoken = ((0.40, 0.52, "blue"), (0.52, 0.60, "green"), (0.60, 0.72, "one"))
    record = dataclasses.replace(telltale(40, size_px=32), words=spoken)
    for seed in range(5):
        example = sampler()(record, _rng(seed))
        assert {name: (a.shape, a.dtype) for name, a in example.items()} == {
            name: (spec.shape, spec.dtype) for name, spec in sampler().spec().items()
        }
        shown = frame_numbers(example["mouth_u8"])
        first = shown[0]
        np.testing.assert_array_equal(shown, first + np.arange(12))
        assert first in range(6, 11)  # both words lie in [10, 18)
        np.testing.assert_array_equal(example["mel_windows"][:, 0, 0], mel_start(shown))
        want = np.array([[10, 13], [15, 18], [first, first]]) - first
        np.testing.assert_allclose(example["word_spans"], want)
        np.testing.assert_array_equal(example["word_one_hot"], [[1, 0, 0], [0, 1, 0], [0, 0, 0]])


def test_a_short_clip_stays_on_its_last_frame(telltale, frame_numbers):
    example = sampler()(telltale(8, size_px=32), _rng())
    want = [0, 1, 2, 3, 4, 5, 6, 7, 7, 7, 7, 7]
    np.testing.assert_array_equal(frame_numbers(example["mouth_u8"]), want)
    assert not example["word_one_hot"].any()


def test_more_words_than_places_are_drawn_from(telltale):
    spoken = tuple((0.04 * i, 0.04 * (i + 1), "red") for i in range(9))
    record = dataclasses.replace(telltale(10, size_px=32), words=spoken)
    example = sampler(clip_frames=10)(record, _rng())
    assert example["word_one_hot"].sum() == 3
    assert np.all(np.diff(example["word_spans"][:, 0]) > 0)
    others = sampler(clip_frames=10)(record, _rng(1))["word_spans"]
    assert not np.array_equal(others, example["word_spans"])


def test_the_mouth_is_cut_with_a_border_and_mirrored():
    record = open_source("fake://1x20?size=64", "train")[0]
    plain = sampler(image_size=64, clip_frames=20)(record, _rng())["mouth_u8"]
    assert mouth_box(64) == (28, 60, 14, 50)
    assert plain.shape[1:] == (32, 36, 3)
    flipped = [
        sampler(image_size=64, clip_frames=20, flip=True)(record, _rng(seed))["mouth_u8"]
        for seed in range(8)
    ]
    turned = [np.array_equal(one, plain[:, :, ::-1]) for one in flipped]
    assert any(turned) and not all(turned)
    with pytest.raises(UserError, match="got 48 px, want a multiple of 32"):
        mouth_box(48)


def test_toys_say_what_their_mouths_do():
    record = open_source("fake://4x75?size=32", "train")[1]
    opening, width = record.labels["lip_opening"], record.labels["lip_width"]
    spoken = {name for row in fake.WORDS for name in row}
    assert {word for *_, word in record.words} <= spoken
    for one, other in (("ah", "oo"), ("ee", "mm")):
        means = {
            name: [
                opening[round(a * 25) : round(b * 25)].mean()
                for a, b, w in record.words
                if w == name
            ]
            for name in (one, other)
        }
        if means[one] and means[other]:
            assert min(means[one]) > max(means[other])
    assert width.shape == opening.shape


def test_settings_of_the_sampler_are_checked():
    data = dict(
        sampler="words", image_size=32, clip_frames=12, mel_frames=4, max_words=0, flip=False
    )
    with pytest.raises(UserError, match=r"data\.vocabulary: is missing"):
        make_sampler(data)
    with pytest.raises(UserError, match=r"data\.max_words: got 0, want at least 1"):
        make_sampler(data | {"vocabulary": VOCABULARY})
