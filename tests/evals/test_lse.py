"""The LSE protocol against a plain loop that follows its description step by step."""

import numpy as np
import pytest

from talkjax.evals import lse, lse_report
from talkjax.evals.runner import EvalClip
from talkjax.ops.mfcc import mfcc

SIDE, WIDTH = 4, 6


def _project(x, seed):
    """(n, ...) -> (n, WIDTH), a fixed linear map of each."""
    flat = x.reshape(len(x), -1).astype(np.float64)
    return (flat @ np.random.default_rng(seed).normal(size=(flat.shape[1], WIDTH))).astype(
        np.float32
    )


def _judge(windows_per_call=4, calls=None):
    def embed_lips(windows):
        assert windows.shape == (windows_per_call, 5, SIDE, SIDE, 3)
        return _project(windows / 255.0, 1)

    def embed_sound(windows):
        assert windows.shape == (windows_per_call, 13, 20)
        if calls is not None:
            calls.append(len(windows))
        return _project(windows / 10.0, 2)

    return lse.Judge(embed_lips, embed_sound, image_size=SIDE, windows_per_call=windows_per_call)


def _clip(frames, samples=None, seed=0):
    rng = np.random.default_rng(seed)
    pictures = rng.integers(0, 256, size=(frames, SIDE, SIDE, 3), dtype=np.uint8)
    count = frames * 640 if samples is None else samples
    return pictures, (rng.normal(size=count) * 1000).astype(np.int16)


def _by_the_letter(frames_u8, audio_i16, *, vshift=15):
    """Steps 3 to 6 of the protocol, one number after the other."""
    features = mfcc(audio_i16).T  # 13 x steps
    count = min(len(frames_u8), len(audio_i16) // 640)
    lips, sound = [], []
    for i in range(count - 5):
        lips.append(_project(frames_u8[i : i + 5][None] / 255.0, 1)[0])
        sound.append(_project(features[:, 4 * i : 4 * i + 20][None] / 10.0, 2)[0])
    padded = [np.zeros(WIDTH)] * vshift + sound + [np.zeros(WIDTH)] * vshift
    distances = np.zeros((len(lips), 2 * vshift + 1))
    for i in range(len(lips)):
        for k in range(2 * vshift + 1):
            total = 0.0
            for v, a in zip(lips[i], padded[i + k], strict=True):
                total += (float(v) - float(a) + 1e-6) ** 2
            distances[i, k] = total**0.5
    means = [sum(distances[:, k]) / len(lips) for k in range(2 * vshift + 1)]
    least = min(means)
    return {
        "lse_d": least,
        "lse_c": sorted(means)[vshift] - least,
        "lse_offset": float(vshift - means.index(least)),
        "lse_d_unshifted": means[vshift],
    }, len(lips)


@pytest.mark.parametrize("windows_per_call", [1, 4, 64])
@pytest.mark.parametrize(
    ("frames", "samples"),
    [(6, None), (21, None), (21, 20 * 640 - 1), (21, 15 * 640 + 639), (15, 40 * 640)],
)
def test_a_score_is_that_of_the_plain_loop(frames, samples, windows_per_call):
    frames_u8, audio_i16 = _clip(frames, samples)
    want, windows = _by_the_letter(frames_u8, audio_i16)
    score = lse.score_clip(iter(frames_u8), audio_i16, _judge(windows_per_call))
    assert score.windows == windows
    assert score.values() == pytest.approx(want, abs=1e-4)


def test_the_last_full_window_is_left_out():
    frames_u8, audio_i16 = _clip(20)
    heard = lse.embed_clip(frames_u8, audio_i16, _judge())
    assert len(heard.lips) == len(heard.sound) == 15  # windows 0 .. 15 would fit
    changed = frames_u8.copy()
    changed[19] = 0
    again = lse.embed_clip(changed, audio_i16, _judge())
    np.testing.assert_array_equal(heard.lips, again.lips)


def test_frames_are_taken_one_by_one_and_few_are_held():
    held = []

    def film():
        for _ in range(100):
            frame = np.zeros((SIDE, SIDE, 3), np.uint8)
            held.append(frame)
            yield frame

    seen = []

    def embed_lips(windows):
        seen.append(len(held))
        return np.zeros((len(windows), WIDTH), np.float32)

    judge = lse.Judge(embed_lips, _judge(8).embed_sound, image_size=SIDE, windows_per_call=8)
    assert len(lse.embed_lips(film(), judge)) == 95
    # the first call after 8 windows and the frame after their last, then every 8 frames
    assert seen[:3] == [13, 21, 29]


@pytest.mark.parametrize("late", [-15, -4, 0, 7, 15])
def test_a_late_picture_has_a_positive_offset(late):
    rng = np.random.default_rng(3)
    long = rng.normal(size=(140, 32)).astype(np.float32)
    sound = long[30:110]
    lips = long[30 - late : 110 - late]  # lips i show what is heard at i - late
    score = lse.score_of(lse.shift_distances(lips, sound))
    assert score.offset_frames == late
    # inside the clip the distance is that of 1e-6 in each component; beyond it, of the lips to 0
    beyond = np.linalg.norm(lips[:late] if late >= 0 else lips[late:], axis=1).sum()
    inside = (80 - abs(late)) * 1e-6 * np.sqrt(32)
    assert score.distance == pytest.approx((beyond + inside) / 80, abs=1e-5)


def test_distances_do_not_depend_on_the_blocks(monkeypatch):
    rng = np.random.default_rng(4)
    lips, sound = rng.normal(size=(2, 50, 8)).astype(np.float32)
    whole = lse.shift_distances(lips, sound)
    monkeypatch.setattr(lse, "BLOCK_WINDOWS", 7)
    np.testing.assert_array_equal(lse.shift_distances(lips, sound), whole)
    np.testing.assert_allclose(
        whole[:, 0],
        np.linalg.norm(lips - np.vstack([np.zeros((15, 8)), sound[:35]]), axis=1),
        atol=1e-4,
    )


@pytest.mark.parametrize(
    ("frames", "samples", "message"),
    [
        (5, 640 * 9, "clip has 5 frames, SyncNet needs 6"),
        (0, 640 * 9, "clip has 0 frames, SyncNet needs 6"),
        (9, 640 * 6 - 1, r"clip has 3839 samples of sound, SyncNet needs 3840 \(6 frames\)"),
    ],
)
def test_a_clip_that_is_too_short_is_refused(frames, samples, message):
    with pytest.raises(ValueError, match=message):
        lse.score_clip(*_clip(frames, samples), _judge())


def _prepared(frames_u8):
    return (frame for frame in frames_u8)


def test_rows_are_heard_with_their_own_sound_and_two_with_the_voice_as_well():
    truth, own = _clip(20, seed=1)
    _, voice = _clip(14, seed=2)
    made, _ = _clip(20, seed=3)
    rows = {"ground_truth": truth, "generated": made, "shuffled_audio": made[:14]}
    found = lse.score_rows(rows, own, voice, judge=_judge(), prepare=_prepared)
    want = {
        "ground_truth": (truth, own),
        "generated": (made, own),
        "shuffled_audio": (made[:14], own),
        "swapped_voice_vs_voice": (made[:14], voice),
        "ground_truth_shuffled": (truth, voice),
    }
    assert set(found) == set(want)
    for row, (frames_u8, audio_i16) in want.items():
        assert found[row] == pytest.approx(_by_the_letter(frames_u8, audio_i16)[0], abs=1e-4), row
    alone = lse.score_rows({"generated": made}, own, None, judge=_judge(), prepare=_prepared)
    assert list(alone) == ["generated"]


def _in_sync_judge():
    """Hears the first cepstrum of a window, sees the first pixel of its first frame."""

    def embed_lips(windows):
        return np.repeat(windows[:, 0, 0, 0, :1].astype(np.float32), WIDTH, axis=1)

    def embed_sound(windows):
        return np.repeat(np.round(windows[:, 0, :1] * 10), WIDTH, axis=1)

    return lse.Judge(embed_lips, embed_sound, image_size=SIDE, windows_per_call=4)


def _talking(seed, frames=50):
    rng = np.random.default_rng(seed)
    loudness = rng.uniform(20, 4000, size=frames)
    wave = np.repeat(loudness, 640) * rng.normal(size=frames * 640)
    audio_i16 = np.clip(wave, -32768, 32767).astype(np.int16)
    level = np.round(mfcc(audio_i16)[: 4 * frames : 4, 0] * 10)
    truth = np.zeros((frames, SIDE, SIDE, 3), np.uint8)
    truth[: len(level), 0, 0, 0] = level
    empty = np.zeros((1, 80), np.float32)
    return EvalClip(truth_u8=truth, model_u8=truth, mel=empty, audio_i16=audio_i16)


def test_a_judge_that_hears_finds_every_clip_and_short_clips_are_named():
    clips = {f"clip{i}": _talking(i) for i in range(3)} | {"short": _talking(9, frames=5)}
    done = []
    found = lse_report.evaluate_judge(
        list(clips),
        clips.__getitem__,
        _in_sync_judge(),
        prepare=_prepared,
        seed=0,
        on_clip_done=lambda: done.append(1),
    )
    assert len(done) == 4
    assert found.failed == {
        "short": "clip has 3200 samples of sound, SyncNet needs 3840 (6 frames)"
    }
    for result in found.results.values():
        truth, wrong = result.values["ground_truth"], result.values["ground_truth_shuffled"]
        assert truth["lse_offset"] == 0.0
        assert truth["retrieval_clip"] == truth["above_shuffled"] == 1.0
        assert truth["retrieval_window"] > 0.2  # chance 1/31; levels repeat, and ties are misses
        assert truth["lse_d_unshifted"] < wrong["lse_d_unshifted"]
        assert wrong["retrieval_window"] < 0.2
        assert set(wrong) == {
            *("lse_d", "lse_c", "lse_offset", "lse_d_unshifted", "retrieval_window")
        }
