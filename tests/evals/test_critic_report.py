import numpy as np
import pytest

from talkjax.evals import critic_report, report, report_tables, sync
from talkjax.evals.runner import EvalClip
from talkjax.ops.mel import log_mel, mel_start
from tests.evals import eval_toys

NAMES = [f"clip{i:02d}" for i in range(6)]


def _load(clip_id):
    if clip_id == "broken":
        raise ValueError("cannot be read")
    return eval_toys.clip(int(clip_id[4:]))


def _evaluate(embed_faces, names=NAMES):
    critic = sync.Critic(
        embed_faces=embed_faces,
        embed_sound=eval_toys.embed_sound,
        image_size=128,
        clip_frames=5,
        mel_frames=16,
    )
    return critic_report.evaluate_critic(names, _load, critic, seed=0, on_clip_done=lambda: None)


def test_a_critic_that_hears_scores_full_marks():
    found = _evaluate(eval_toys.embed_faces, [*NAMES, "broken"])
    contents = report.metrics(found, protocol={}, seed=0)
    truth = contents["rows"]["ground_truth"]
    for key in ("retrieval_window", "retrieval_clip", "above_shuffled"):
        assert truth[key]["mean"] == 1.0
    # resting windows sound alike
    assert truth["accuracy_ranked"]["mean"] > 0.95
    assert truth["accuracy_at_half"]["mean"] > 0.85
    assert truth["sync_offset"]["mean"] == 0.0
    for key in ("retrieval_2", "retrieval_4", "retrieval_8"):
        assert truth[key]["mean"] == 1.0
    shuffled = contents["rows"]["ground_truth_shuffled"]
    # 10 windows of 6 clips at chance 0.032
    assert shuffled["retrieval_window"]["mean"] < 0.15
    assert critic_report.REPORTED_OFFSETS not in contents["rows"]
    assert shuffled["sync_confidence"]["high"] < truth["sync_confidence"]["low"]
    assert contents["failed"] == {"broken": "cannot be read"}
    assert critic_report.offset_histogram(found, seed=0) == {
        "0": {"mean": 1.0, "low": 1.0, "high": 1.0}
    }


def test_a_critic_of_noise_is_at_chance():
    rng = np.random.default_rng(0)

    def noise(batch):
        return eval_toys.embed_windows(rng.uniform(size=(1, batch["frames_u8"].shape[1], 5, 2)))

    found = _evaluate(noise)
    truth = report.metrics(found, protocol={}, seed=0)["rows"]["ground_truth"]
    # 6 clips x 10 windows: chance 0.032, binomial deviation 0.023
    assert truth["retrieval_window"]["mean"] < 0.15
    for key in ("accuracy_at_half", "accuracy_ranked"):
        assert truth[key]["mean"] == pytest.approx(0.5, abs=0.06)
    histogram = critic_report.offset_histogram(found, seed=0)
    assert sum(share["mean"] for share in histogram.values()) == pytest.approx(1.0)


def test_a_critic_with_a_lag_shows_it_in_the_histogram():
    def late(batch):
        return np.roll(eval_toys.embed_faces(batch), 2, axis=1)

    # with one call per clip, rolling the windows shows each mouth two frames late
    critic = sync.Critic(
        embed_faces=late,
        embed_sound=eval_toys.embed_sound,
        image_size=128,
        clip_frames=5,
        mel_frames=16,
        windows_per_call=40,
    )
    found = critic_report.evaluate_critic(NAMES, _load, critic, seed=0, on_clip_done=lambda: None)
    assert list(critic_report.offset_histogram(found, seed=0)) == ["2"]


LEVELS = 5  # of loudness, a frame


def _loud_clip(seed, *, late_frames=0, frames=90):
    """Noise whose loudness jumps from frame to frame; the pictures show it, so much later."""
    rng = np.random.default_rng([7, seed])
    level = rng.uniform(0.02, 1.0, frames)
    noise = rng.normal(size=frames * 640) * np.repeat(level, 640) * 6000
    shown = np.roll(level, late_frames)
    pictures = np.broadcast_to((shown * 255)[:, None, None, None], (frames, 128, 128, 3))
    audio_i16 = np.clip(noise, -32768, 32767).astype(np.int16)
    return EvalClip(
        truth_u8=pictures.astype(np.uint8),
        model_u8=pictures.astype(np.uint8),
        mel=log_mel(audio_i16.astype(np.float32) / 32768),
        audio_i16=audio_i16,
    )


def _centred(values):
    values = values - values.mean(axis=-1, keepdims=True)
    return values / np.maximum(np.linalg.norm(values, axis=-1, keepdims=True), 1e-9)


def _sees_loudness(batch):
    return _centred(np.log(batch["frames_u8"][..., 64, 64, 0] / 255.0 + 0.01))


def _hears_loudness(batch):
    rows = mel_start(np.arange(LEVELS)) + 1  # within each frame
    return _centred(batch["mel_chunk"].mean(axis=2)[..., rows])


def _evaluate_loudness(late_frames):
    critic = sync.Critic(
        embed_faces=_sees_loudness,
        embed_sound=_hears_loudness,
        image_size=128,
        clip_frames=5,
        mel_frames=16,
    )
    return critic_report.evaluate_critic(
        ["0", "1"],
        lambda name: _loud_clip(int(name), late_frames=late_frames),
        critic,
        seed=0,
        on_clip_done=lambda: None,
    )


@pytest.mark.parametrize("late_frames", [0, 3])
def test_injected_shifts_are_found_where_a_clip_is_in_sync_and_followed_where_it_is_not(
    late_frames,
):
    found = _evaluate_loudness(late_frames)
    for result in found.results.values():
        reported = result.values[critic_report.REPORTED_OFFSETS]
        assert reported == {str(k): float(k + late_frames) for k in range(-10, 11)}
        truth = result.values["ground_truth"]
        assert truth["shift_found"] == (1.0 if late_frames == 0 else 0.0)
        assert truth["shift_followed"] == 1.0
        assert truth["shift_error"] == late_frames
    table = critic_report.injected_shifts(found, seed=0)
    assert list(table) == [str(k) for k in range(-10, 11)]
    assert {(one["mean"], one["clips"]) for one in table.values()} == {
        (1.0 if late_frames == 0 else 0.0, 2)
    }


def test_a_clip_too_short_for_a_shift_does_not_count_for_it():
    found = _evaluate(eval_toys.embed_faces, NAMES[:2])  # 40 windows: 31 are left of shift 9
    assert list(critic_report.injected_shifts(found, seed=0)) == [str(k) for k in range(-9, 10)]


def test_the_table_prints_the_shift_that_is_found_least_and_nothing_where_there_is_none():
    found = _evaluate(eval_toys.embed_faces, NAMES[:2])
    contents = report.metrics(found, protocol={}, seed=0)
    assert "found least" not in report_tables.markdown(contents, title="x")
    always = {"mean": 1.0, "low": 1.0, "high": 1.0, "clips": 40}
    seldom = {"mean": 0.75, "low": 0.625, "high": 0.875, "clips": 38}
    contents["injected_shifts"] = {"-9": always, "-1": seldom, "4": seldom, "9": always}
    table = report_tables.markdown(contents, title="x")
    assert "| -1 | 0.750 [0.625, 0.875] | 38 | 2 | 4 |" in table


def test_the_table_says_what_its_columns_mean_and_what_a_coin_gets():
    contents = {
        "rows": {},
        "differences": {},
        "failed": {},
        "warnings": [],
        "protocol": {"clips_measured": 2} | critic_report.protocol(),
    }
    table = report_tables.markdown(contents, title="x")
    assert "`retrieval_*`, chance 1/31 = 0.03: nearest of 31 shifts" in table
    assert "Chance 0.5: `accuracy_at_half`" in table
    contents["protocol"] = {"clips_measured": 2}
    assert "Chance" not in report_tables.markdown(contents, title="x")
