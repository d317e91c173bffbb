"""Articulator tracks: lips shut where they must, rest in silence, and show their context."""

import numpy as np
import pytest

from data_prep.synthetic.articulation import (
    ARTICULATORS,
    RATE_HZ,
    articulate,
    at_frames,
)
from data_prep.synthetic.gestures import gesture
from data_prep.synthetic.phones import PAUSE, PHONES, Phone
from talkjax.errors import UserError

# Widest opening of normal speech, of which tracks are parts: about 20 mm between the lips.
WIDEST_MM = 20


def spoken(labels, *, length_s=0.09, lead_s=0.4, stressed=()):
    """Phones of equal length with silence around them, and the seconds of the clip."""
    phones = [
        Phone(label, lead_s + i * length_s, lead_s + (i + 1) * length_s, 2 if i in stressed else 0)
        for i, label in enumerate(labels)
    ]
    return phones, 2 * lead_s + len(labels) * length_s


def track(labels, *, manner=1.0, **options):
    phones, seconds = spoken(labels, **options)
    curves = articulate(phones, seconds=seconds, manner=manner)
    return dict(zip(ARTICULATORS, curves.T, strict=True)), phones


def within(curve, phone):
    times_s = np.arange(len(curve)) / RATE_HZ
    return curve[(times_s >= phone.start_s) & (times_s <= phone.end_s)]


def middle(curve, phone):
    return curve[round((phone.start_s + phone.end_s) / 2 * RATE_HZ)]


def test_every_phone_of_the_inventory_has_a_posture_in_range():
    labels = list(PHONES)
    phones, seconds = spoken(labels)
    curves = articulate(phones, seconds=seconds, manner=1.5)
    assert curves.shape == (round(100 * seconds), 8)
    assert curves.dtype == np.float32
    low = np.where(np.array(ARTICULATORS) == "width", -1.0, 0.0)
    assert (curves >= low[None]).all()
    assert (curves <= 1).all()


@pytest.mark.parametrize("manner", [0.5, 1.0, 1.5])
@pytest.mark.parametrize("length_s", [0.04, 0.08, 0.15])
@pytest.mark.parametrize("lips", ["p", "b", "m", "m̩"])
@pytest.mark.parametrize("around", ["ɑɑ", "iu", "ʃæ"])
def test_bilabials_shut_the_lips_at_any_pace(lips, around, length_s, manner):
    curves, phones = track([around[0], lips, around[1]], length_s=length_s, manner=manner)
    assert within(curves["opening"], phones[1]).min() < 0.02
    assert within(curves["press"], phones[1]).max() > 0.03


def test_no_closure_falls_between_two_video_frames():
    for shift_s in np.arange(0, 0.04, 0.005):
        phones, seconds = spoken(["ɑ", "b", "ɑ"], length_s=0.06, lead_s=0.4 + shift_s)
        curves = articulate(phones, seconds=seconds, manner=1.0)
        opening = at_frames(curves, len(curves) // 4)[:, 1]
        # Between the two vowels, whose openings are far apart from a closure.
        peaks = [round((p.start_s + p.end_s) / 2 * 25) for p in (phones[0], phones[2])]
        assert opening[peaks[0] : peaks[1] + 1].min() < 0.02


def test_only_bilabials_shut_the_lips_between_open_vowels():
    for label, kind in PHONES.items():
        if kind.manner == "pause":
            continue
        curves, phones = track(["ɑ", label, "ɑ"])
        shut = within(curves["opening"], phones[1]).min() < 0.02
        assert shut == (kind.place == "bilabial" and kind.manner in ("stop", "nasal")), label


def test_silence_rests():
    curves, phones = track(["h", "ɑ", PAUSE, PAUSE, PAUSE, PAUSE, "ʃ", "u"], lead_s=0.5)
    times_s = np.arange(len(curves["jaw"])) / RATE_HZ
    middle_of_pause = (phones[2].start_s + phones[5].end_s) / 2
    quiet = (times_s < 0.2) | (times_s > times_s[-1] - 0.15)
    for name in ("opening", "press", "teeth", "tongue", "tuck"):
        assert np.abs(curves[name][quiet]).max() < 0.03, name
        assert abs(curves[name][round(middle_of_pause * RATE_HZ)]) < 0.03, name
    for name in ("jaw", "width", "protrusion"):
        assert np.abs(curves[name][quiet]).max() < 0.2, name


def test_the_mouth_opens_before_the_sound():
    curves, phones = track(["ɑ", "t", "ɑ"], stressed=(0,))
    start = round(phones[0].start_s * RATE_HZ)
    assert curves["opening"][start] > 0.05
    assert curves["opening"][start - 25] < 0.02


def test_vowels_differ_as_the_chart_says():
    def posture(vowel):
        curves, phones = track(["h", vowel, "h"], length_s=0.2, stressed=(1,))
        return {name: middle(curve, phones[1]) for name, curve in curves.items()}

    open_, spread, rounded = posture("ɑ"), posture("i"), posture("u")
    assert open_["opening"] > 2 * spread["opening"] > 2 * rounded["opening"]
    assert open_["jaw"] > spread["jaw"] + 0.3
    assert spread["width"] > 0.5 > -0.5 > rounded["width"]
    assert rounded["protrusion"] > 0.6 > 0.1 > spread["protrusion"]


@pytest.mark.parametrize("label", ["f", "v"])
def test_labiodentals_tuck_the_lip_and_leave_a_slit(label):
    curves, phones = track(["ɑ", label, "ɑ"])
    assert middle(curves["tuck"], phones[1]) > 0.6
    assert 0.0 < middle(curves["opening"], phones[1]) < 0.25
    assert middle(curves["tuck"], phones[0]) < 0.2


def test_the_tongue_shows_in_th_and_l_and_not_in_k():
    shown = {}
    for label in ("θ", "l", "k"):
        curves, phones = track(["ɑ", label, "ɑ"])
        shown[label] = middle(curves["tongue"], phones[1])
    assert shown["θ"] > 0.6
    assert shown["l"] > 0.5
    assert shown["k"] < 0.2


def test_the_same_phone_looks_different_in_different_company():
    between = {}
    for vowel in "iu":
        curves, phones = track([vowel, "s", "t", vowel], stressed=(0, 3))
        between[vowel] = {n: middle(c, phones[2]) for n, c in curves.items()}
    assert between["u"]["protrusion"] - between["i"]["protrusion"] > 0.2
    assert between["i"]["width"] - between["u"]["width"] > 0.3


@pytest.mark.parametrize(("first_s", "last_s"), [(0.1, 0.2), (0.2, 0.3)])
def test_rounding_is_seen_well_before_a_rounded_vowel(first_s, last_s):
    labels = ["i", "s", "t", "t", "s"]
    plain, phones = track([*labels, "i"], stressed=(0, 5))
    rounded, _ = track([*labels, "u"], stressed=(0, 5))
    start_s = phones[5].start_s
    times_s = np.arange(len(plain["jaw"])) / RATE_HZ
    span = (times_s > start_s - last_s) & (times_s < start_s - first_s)
    assert (rounded["protrusion"] - plain["protrusion"])[span].mean() > 0.03


def test_fast_speech_undershoots():
    peaks = []
    for length_s in (0.05, 0.08, 0.14):
        curves, phones = track(["t", "ɑ", "t"], length_s=length_s)
        peaks.append(within(curves["opening"], phones[1]).max())
    assert peaks[0] + 0.03 < peaks[1] < peaks[2] - 0.03


def test_stress_and_manner_open_the_mouth():
    opening = {
        (manner, stress): track(["t", "ɛ", "t"], manner=manner, stressed=stress)[0]["opening"].max()
        for manner in (0.7, 1.0, 1.3)
        for stress in ((), (1,))
    }
    assert opening[0.7, ()] < opening[1.0, ()] < opening[1.3, ()]
    assert opening[1.0, ()] < opening[1.0, (1,)]


def test_lips_move_as_fast_as_human_lips():
    # Peak speeds of the lip aperture in speech: some 100 to 350 mm/s.
    curves, _ = track(["b", "ɑ", "b", "ɑ", "p", "æ", "m", "ɑ"], length_s=0.12, stressed=(1, 5))
    fastest = np.abs(np.diff(curves["opening"])).max() * RATE_HZ * WIDEST_MM
    assert 100 < fastest < 350


def test_frames_are_taken_at_their_middle():
    ramp = np.arange(100, dtype=np.float32)[:, None] / RATE_HZ
    np.testing.assert_allclose(at_frames(ramp, 25)[:, 0], np.arange(25) * 0.04 + 0.02, atol=1e-6)
    with pytest.raises(UserError, match="want 104"):
        at_frames(ramp, 26)


def test_gaps_are_pauses():
    phones, seconds = spoken(["ɑ", PAUSE, PAUSE, PAUSE, "ɑ"])
    gap = [phone for phone in phones if phone.label != PAUSE]
    np.testing.assert_array_equal(
        articulate(phones, seconds=seconds, manner=1.0),
        articulate(gap, seconds=seconds, manner=1.0),
    )


@pytest.mark.parametrize(
    ("phones", "seconds", "manner", "message"),
    [
        ([Phone("Q", 0.1, 0.2)], 1.0, 1.0, "'Q'.*PHONES"),
        ([Phone("ɑ", 0.1, 0.3), Phone("t", 0.2, 0.4)], 1.0, 1.0, "want phones in order"),
        ([Phone("ɑ", 0.2, 0.2)], 1.0, 1.0, "want phones in order"),
        ([Phone("ɑ", 0.1, 0.3)], 0.2, 1.0, "after the clip of 0.2 s"),
        ([Phone("ɑ", 0.1, 0.3)], 1.0, 2.0, "manner of articulation: got 2.0"),
    ],
)
def test_bad_input_is_one_line(phones, seconds, manner, message):
    with pytest.raises(UserError, match=message) as caught:
        articulate(phones, seconds=seconds, manner=manner)
    assert "\n" not in str(caught.value)


def test_unstressed_schwa_gives_way():
    assert gesture("ə").strengths[1] < gesture("ɛ").strengths[1]


def test_jaw_and_lips_open_further_towards_the_end_of_a_phrase():
    curves, phones = track(["t", "ɑ", "t"] * 6, length_s=0.09)
    for name in ("opening", "jaw"):
        peaks = [within(curves[name], phone).max() for phone in phones[1::3]]
        assert peaks[1] < peaks[3] < peaks[5], name
        assert peaks[5] > 1.3 * peaks[1], name


def test_a_phrase_ends_at_a_whole_pause_and_not_at_a_short_one():
    word = ["t", "ɑ", "t", "ɑ", "t", "ɑ"]
    peaks = {}
    for pauses in (1, 4):
        labels = word + [PAUSE] * pauses + word
        curves, phones = track(labels, length_s=0.09)
        peaks[pauses] = within(curves["jaw"], phones[5]).max()
    assert peaks[4] > 1.15 * peaks[1]


def test_a_clip_without_speech_rests():
    curves = articulate([], seconds=1.0, manner=1.0)
    assert np.abs(curves[:, 1]).max() < 0.02
