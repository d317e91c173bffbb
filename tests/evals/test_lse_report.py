"""What a SyncNet is asked of itself: shifts that are cut into clips, and wrong sound."""

import numpy as np
import pytest

from talkjax.evals import critic_report, lse, lse_report, report
from talkjax.evals.runner import EvalClip

SIDE, LEVELS = 4, 5
FRAMES = 60


def _clip(seed, *, late_frames=0, frames=FRAMES):
    """Noise whose loudness jumps from frame to frame; the pictures show it, so much later."""
    rng = np.random.default_rng([3, seed])
    level = rng.uniform(size=frames)
    wave = rng.normal(size=frames * 640) * np.repeat(200 * np.exp(2.5 * level), 640)
    shown = np.round(np.roll(level, late_frames) * 255).astype(np.uint8)
    pictures = np.repeat(shown, SIDE * SIDE * 3).reshape(frames, SIDE, SIDE, 3)
    return EvalClip(
        truth_u8=pictures,
        model_u8=pictures,
        mel=np.zeros((1, 80), np.float32),
        audio_i16=np.clip(wave, -32768, 32767).astype(np.int16),
    )


def _sees(windows):
    return windows[:, :, 0, 0, 0].astype(np.float32) / 255 - 0.5


def _hears(windows):
    energy = windows[:, 0].reshape(len(windows), LEVELS, 4)[..., 1]  # within each frame
    return (energy - energy.mean(axis=1, keepdims=True)) / 5


JUDGE = lse.Judge(_sees, _hears, image_size=SIDE, windows_per_call=8)


def _evaluate(clips, judge=JUDGE):
    return lse_report.evaluate_judge(
        list(clips), clips.__getitem__, judge, prepare=iter, seed=0, on_clip_done=lambda: None
    )


@pytest.mark.parametrize("late_frames", [0, 3])
def test_injected_shifts_are_found_where_a_clip_is_in_sync_and_followed_where_it_is_not(
    late_frames,
):
    found = _evaluate({str(i): _clip(i, late_frames=late_frames) for i in range(2)})
    for result in found.results.values():
        assert result.values[critic_report.REPORTED_OFFSETS] == {
            str(shift): float(shift + late_frames) for shift in range(-10, 11)
        }
    truth = report.metrics(found, protocol={}, seed=0)["rows"]["ground_truth"]
    assert truth["shift_found"]["mean"] == (1.0 if late_frames == 0 else 0.0)
    assert truth["shift_followed"]["mean"] == 1.0
    assert truth["shift_error"]["mean"] == late_frames
    table = critic_report.injected_shifts(found, seed=0)
    assert {one["mean"] for one in table.values()} == {float(late_frames == 0)}
    assert len(table) == 21


@pytest.mark.parametrize("shift", [-7, 7])
def test_a_shift_is_that_of_a_clip_whose_sound_and_picture_are_cut(shift):
    """The cut windows stand for the recut clip: its own embeddings give the same distances."""
    clip = _clip(5)
    first_picture, first_sound = max(-shift, 0), max(shift, 0)
    left = FRAMES - abs(shift)
    pictures = clip.truth_u8[first_picture : first_picture + left]
    audio_i16 = clip.audio_i16[first_sound * 640 : (first_sound + left) * 640]
    recut = lse.score_clip(iter(pictures), audio_i16, JUDGE)
    assert recut.offset_frames == shift
    heard = lse.embed_clip(iter(clip.truth_u8), clip.audio_i16, JUDGE)
    assert lse_report.reported_when_shifted(heard)[shift] == recut.offset_frames
    again = lse.embed_clip(iter(pictures), audio_i16, JUDGE)
    assert len(again.sound) == len(heard.sound) - abs(shift)
    # but for the emphasis of the first sample, which is in the first step of the first window
    np.testing.assert_allclose(
        again.sound[1:], heard.sound[first_sound:][: len(again.sound)][1:], atol=1e-5
    )
    np.testing.assert_array_equal(again.lips, heard.lips[first_picture:][: len(again.lips)])


def test_a_clip_too_short_for_a_shift_does_not_count_for_it():
    found = _evaluate({"0": _clip(0, frames=40)})  # 35 windows: 31 are left of shift 4
    reported = found.results["0"].values[critic_report.REPORTED_OFFSETS]
    assert list(reported) == [str(shift) for shift in range(-4, 5)]
    short = _evaluate({"0": _clip(0, frames=30)}).results["0"].values
    assert short[critic_report.REPORTED_OFFSETS] == {}
    assert not {"shift_found", "retrieval_window"} & short["ground_truth"].keys()


def test_retrieval_is_certain_of_own_sound_and_at_chance_of_another_clips():
    found = _evaluate({str(i): _clip(i, frames=90) for i in range(4)})
    rows = report.metrics(found, protocol={}, seed=0)["rows"]
    assert rows["ground_truth"]["retrieval_window"]["mean"] > 0.95
    # 4 clips x 55 windows: chance 0.032, binomial deviation 0.012
    assert rows["ground_truth_shuffled"]["retrieval_window"]["mean"] < 0.1


def test_a_judge_of_noise_finds_no_shift():
    rng = np.random.default_rng(0)

    def noise(windows):
        return rng.normal(size=(len(windows), LEVELS)).astype(np.float32)

    judge = lse.Judge(noise, _hears, image_size=SIDE, windows_per_call=8)
    found = _evaluate({str(i): _clip(i) for i in range(4)}, judge)
    truth = report.metrics(found, protocol={}, seed=0)["rows"]["ground_truth"]
    assert truth["shift_found"]["mean"] < 0.3  # one hit may repeat over a clip's shifts
    assert truth["retrieval_window"]["mean"] < 0.15
