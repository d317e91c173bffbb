"""Offset of whole clips, by the toy critic that reads its drawings."""

import pytest

from talkjax.evals.clip_offset import clip_score, least_frames
from talkjax.evals.sync import Critic
from tests.evals import eval_toys

FRAMES = 60


def critic():
    return Critic(eval_toys.embed_faces, eval_toys.embed_sound, 128, 5, 16)


@pytest.mark.parametrize("late", [-10, -3, 0, 5, 10])
def test_a_shift_that_was_put_in_is_found_and_a_late_picture_is_positive(late):
    values = eval_toys.lips(3, frames=14 + 10 + FRAMES + 10)[14:]  # without the rest
    blank = eval_toys.clip(3, frames=FRAMES).truth_u8
    shown = eval_toys.with_mouth(blank, values[10 - late : 10 - late + FRAMES])
    score = clip_score(critic(), shown, eval_toys.mel_of(values[10 : 10 + FRAMES]))
    assert score.offset_frames == late
    assert score.confidence > 0.5


def test_a_clip_needs_31_windows():
    assert least_frames(critic()) == 35
    clip = eval_toys.clip(0, frames=34)
    with pytest.raises(ValueError, match="clip has 34 frames, a verdict needs 35"):
        clip_score(critic(), clip.truth_u8, clip.mel)
