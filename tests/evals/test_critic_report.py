import numpy as np
import pytest

from talkjax.evals import critic_report, report, sync
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
    shuffled = contents["rows"]["ground_truth_shuffled"]
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
