"""What follows from a critic's verdict: keep, reject, move the sound."""

import dataclasses

import numpy as np
import pytest

from data_prep.outcome import FILTERS, TRIMS, About, Kept, Reject
from data_prep.sync_check import Heard, SyncRules, checked, moved, refusal, sync_summary
from talkjax.data import schema
from talkjax.data.source import open_source
from talkjax.data.transforms import decode_frames
from talkjax.errors import UserError
from talkjax.evals.clip_offset import clip_score
from talkjax.ops.mel import log_mel
from tests.data_prep.sync_stub import cartoon_critic

FIX = SyncRules(min_confidence=0.1, fix_offset=True)
SAMPLES = schema.SAMPLES_PER_FRAME


@pytest.fixture(scope="module")
def long_record():
    return dataclasses.replace(open_source("fake://1x90?size=32", "train")[0], labels={})


def late(record, frames, *, length=70):
    """A part of a record whose picture is late by `frames`."""
    shown = slice(10 - frames, 10 - frames + length)
    audio = record.audio_i16[10 * SAMPLES : (10 + length) * SAMPLES]
    per_frame = {
        name: getattr(record, name)[shown]
        for name in (
            "frames_jpeg",
            "frame_times_s",
            "landmarks_xy_px",
            "box_xyxy_px",
            "crop_to_source",
        )
    }
    return dataclasses.replace(
        record,
        audio_i16=audio,
        mel=log_mel(audio.astype(np.float32) / 32768).astype(np.float16),
        words=(),
        **per_frame,
    )


def hears(record):
    frames = decode_frames(record, np.arange(record.num_frames), size_px=32)
    return clip_score(cartoon_critic(), frames, record.mel.astype(np.float32))


class Says:
    """A listener with one answer."""

    least_frames = 50

    def __init__(self, offset_frames=0, confidence=0.5):
        self._heard = Heard(offset_frames, confidence)

    def __call__(self, record):
        return self._heard


def ask(record, rules, *, min_seconds=0.5, **verdict):
    return checked(Kept(record, About()), Says(**verdict), rules, min_seconds=min_seconds)


@pytest.mark.parametrize("offset", [-10, -4, 5, 10])
def test_a_clip_whose_sound_was_moved_is_in_step_and_whole(long_record, offset):
    record = late(long_record, offset)
    assert hears(record).offset_frames == offset
    fixed = moved(record, offset)
    schema.validate(fixed)
    assert fixed.num_frames == 70 - abs(offset)
    assert hears(fixed).offset_frames == 0


def test_picture_and_sound_that_belong_together_are_kept_to_the_sample(long_record):
    fixed = moved(late(long_record, 4), 4)
    # What it shows: frames 10 to 75 of the record that is in step, and their sound.
    assert [bytes(f) for f in fixed.frames_jpeg] == [
        bytes(f) for f in long_record.frames_jpeg[10:76]
    ]
    np.testing.assert_array_equal(
        fixed.audio_i16, long_record.audio_i16[10 * SAMPLES :][: 66 * 640]
    )
    np.testing.assert_array_equal(fixed.frame_times_s, long_record.frame_times_s[10:76])
    early = moved(late(long_record, -4), -4)
    assert [bytes(f) for f in early.frames_jpeg] == [
        bytes(f) for f in long_record.frames_jpeg[14:80]
    ]
    np.testing.assert_array_equal(
        early.audio_i16, long_record.audio_i16[14 * SAMPLES :][: 66 * 640]
    )


@pytest.mark.parametrize("offset", [0.5, -0.25, 2.75])
def test_fractions_of_a_frame_move_samples_and_cost_the_rest_of_the_frame(long_record, offset):
    fixed = moved(long_record, offset)
    schema.validate(fixed)
    cut = int(np.ceil(abs(offset)))
    assert fixed.num_frames == 90 - cut
    shown, sound = (cut, round((cut - offset) * SAMPLES)) if offset > 0 else (0, 160)
    assert fixed.frames_jpeg[0] == long_record.frames_jpeg[shown]
    np.testing.assert_array_equal(
        fixed.audio_i16, long_record.audio_i16[sound : sound + fixed.num_frames * SAMPLES]
    )


def test_a_fraction_is_moved_with_the_frames_unless_it_is_next_to_nothing(long_record):
    verdicts = {0.04: 0, -0.3: -0.3}
    for fraction, want in verdicts.items():
        listener = Says()
        listener._heard = Heard(0, 0.5, fraction)
        _, said = checked(Kept(long_record, About()), listener, FIX, min_seconds=0.5)
        assert said["moved_frames"] == want


def test_words_go_with_the_sound_and_are_cut_at_its_ends(long_record):
    words = ((0.0, 0.1, "bin"), (0.1, 0.5, "blue"), (2.5, 2.78, "now"))
    record = dataclasses.replace(
        late(long_record, 0), words=words, texts={"transcript": "bin blue now"}
    )
    early = moved(record, -5)  # 0.2 s of the sound go
    assert [word for _, _, word in early.words] == ["blue", "now"]
    np.testing.assert_allclose([w[:2] for w in early.words], [[0.0, 0.3], [2.3, 2.58]])
    assert early.texts == {"transcript": "blue now"}
    late_picture = moved(record, 5)  # the last 0.2 s of the sound go
    np.testing.assert_allclose([w[:2] for w in late_picture.words][-1], [2.5, 2.6])
    assert late_picture.texts == {"transcript": "bin blue now"}


def test_labels_and_clips_with_nothing_left_are_refused(long_record):
    with pytest.raises(ValueError, match="cannot move the sound by 90 of 90"):
        moved(long_record, 90)
    labelled = dataclasses.replace(long_record, labels={"blink": np.zeros(90, np.float32)})
    with pytest.raises(ValueError, match=r"with labels \['blink'\]"):
        moved(labelled, 1)


@pytest.mark.parametrize(
    ("rules", "heard", "want"),
    [
        (SyncRules(), Heard(15, 0.0), None),
        (SyncRules(min_confidence=0.3), Heard(15, 0.3), None),
        (SyncRules(min_confidence=0.3), Heard(0, 0.2999), "sync_confidence"),
        (SyncRules(max_offset_frames=2), Heard(-2, 0.0), None),
        (SyncRules(max_offset_frames=2), Heard(-3, 9.0), "sync_offset"),
        (SyncRules(max_offset_frames=0), Heard(1, 9.0), "sync_offset"),
        (FIX, Heard(14, 9.0), None),
        (FIX, Heard(-15, 9.0), "sync_offset"),  # the end of the search
        (dataclasses.replace(FIX, max_offset_frames=3), Heard(4, 9.0), "sync_offset"),
    ],
)
def test_what_the_rules_reject(rules, heard, want):
    found = refusal(heard, rules)
    assert (found and found[0]) == want
    assert want is None or want in FILTERS


def test_a_reject_says_what_was_found_and_what_is_wanted():
    _, text = refusal(Heard(-3, 0.12344), SyncRules(max_offset_frames=2))
    assert text == "the sound is 3 frames late (confidence 0.1234), want at most 2"
    _, text = refusal(Heard(1, 0.05), SyncRules(min_confidence=0.1))
    assert text == "sync confidence 0.0500 (offset +1), want at least 0.1"


def test_a_clip_too_short_for_a_verdict_is_kept_and_that_is_said(long_record):
    short = late(long_record, 0, length=49)
    result, said = ask(short, SyncRules(min_confidence=9.0), confidence=0.0)
    assert isinstance(result, Kept) and result.record is short and said == {}
    assert result.about.notes == ("too short for a verdict of the critic: 49 frames, want 50",)


def test_without_fix_offset_nothing_is_moved(long_record):
    record = late(long_record, 3)
    result, said = ask(record, SyncRules(min_confidence=0.1), offset_frames=3)
    assert result == Kept(record, About())
    assert said == {
        "offset_frames": 3,
        "fine_offset_frames": 3,
        "confidence": 0.5,
        "moved_frames": 0,
    }


def test_a_moved_clip_has_a_note_and_counts_as_shortened(long_record):
    result, said = ask(late(long_record, -3), FIX, offset_frames=-3)
    assert result.record.num_frames == 67
    assert said["moved_frames"] == -3
    assert result.about.trimmed == ("sync_offset",) and "sync_offset" in TRIMS
    assert result.about.notes == (
        "the sound is 3 frames late (critic, confidence 0.5000): sound moved, 67 of 70 frames kept",
    )


def test_what_is_too_short_once_moved_is_rejected(long_record):
    result, said = ask(late(long_record, 7), FIX, offset_frames=7, min_seconds=2.6)
    assert isinstance(result, Reject) and result.filter == "too_short"
    assert (
        "2.52 s are left where the picture is 7 frames late, want at least 2.6 s" in result.detail
    )
    assert said["moved_frames"] == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"min_confidence": -0.1}, "min_confidence: got -0.1"),
        ({"min_confidence": float("nan")}, "min_confidence: got nan"),
        ({"max_offset_frames": 15}, "max_offset_frames: got 15, want 0 to 14"),
        ({"fix_offset": True}, "fix_offset: got no min_confidence"),
    ],
)
def test_rules_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(UserError, match=message):
        SyncRules(**settings)


def test_a_verdict_survives_the_report():
    heard = Heard(-2, 0.4321, 0.33)
    said = heard.as_json()
    assert said["fine_offset_frames"] == -1.67
    assert Heard.from_json(said) == heard


def test_a_summary_counts_offsets_and_names_the_worst():
    heard = {f"c{i}": Heard(0, 0.5 + i / 100) for i in range(8)}
    heard |= {"far": Heard(-9, 0.6), "near": Heard(1, 0.01), "brief": None}
    found = sync_summary(heard, SyncRules(), identity={"step": 7})
    assert found["offsets"] == {"-9": 1, "+0": 8, "+1": 1}
    assert (found["measured"], found["too_short"]) == (10, 1)
    assert found["least_confident"] == ["near", "c0", "c1", "c2", "c3"]
    assert found["furthest_off"] == ["far", "near"]
    assert found["confidence"]["least"] == 0.01 and found["confidence"]["most"] == 0.6
    assert found["fine_offset_frames"]["least"] == -9
    assert found["clips"]["far"] == {
        "offset_frames": -9,
        "fine_offset_frames": -9,
        "confidence": 0.6,
    }
    assert found["critic"] == {"step": 7}
    assert sync_summary({"brief": None}, SyncRules(), identity={})["confidence"] is None
