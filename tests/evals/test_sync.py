import numpy as np
import pytest

from talkjax.evals import sync
from tests.evals.eval_toys import clip, embed_faces, embed_sound


def _unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _sequence(seed=0, count=80, width=64):
    return _unit(np.random.default_rng(seed).normal(size=(count, width)))


def _shifted(face, sound, starts=None):
    starts = np.arange(len(face)) if starts is None else starts
    return sync.shift_distances(face, sound, starts)


def test_pair_distances_are_euclidean():
    face, sound = _sequence(0, 5, 7), _sequence(1, 6, 7)
    want = np.linalg.norm(face[:, None] - sound[None], axis=2)
    np.testing.assert_allclose(sync.pair_distances(face, sound), want, atol=1e-7)


@pytest.mark.parametrize("late", [-15, -4, 0, 7, 15])
def test_offset_of_a_shifted_sequence_is_its_shift_and_late_pictures_are_positive(late):
    long = _sequence(0, 140)
    sound = long[30:110]
    face = long[30 - late : 110 - late]  # face i shows what is heard at i - late
    score = sync.sync_score(_shifted(face, sound))
    assert score.offset_frames == late
    assert score.distance == pytest.approx(0.0, abs=1e-6)
    # unrelated unit vectors are sqrt(2) apart
    assert score.confidence == pytest.approx(np.sqrt(2), abs=0.05)
    want = 0.0 if late == 0 else np.sqrt(2)
    assert score.distance_unshifted == pytest.approx(want, abs=0.05)


@pytest.mark.parametrize("late", [-1.3, -0.5, 0.0, 0.4, 2.2])
def test_a_fraction_of_a_frame_is_heard(late):
    """Distances about a parabola's least, read at whole frames."""
    shifts = np.arange(-15, 16)
    means = 0.5 + np.minimum(0.1 * (shifts + late) ** 2, 1.0)
    score = sync.sync_score(np.tile(means, (40, 1)))
    assert score.fine_offset_frames == pytest.approx(late)
    assert abs(score.fine_offset_frames - score.offset_frames) <= 0.5 + 1e-9


def test_an_offset_at_the_end_of_the_search_has_no_fraction():
    score = sync.sync_score(np.tile(np.arange(31.0), (40, 1)))
    assert score.offset_frames == 15 and score.fine_offset_frames == 15.0


def test_strided_windows_give_the_same_offset():
    long = _sequence(1, 140)
    sound, face = long[30:110], long[27:107]
    starts = np.arange(0, 80, 3)
    assert sync.sync_score(_shifted(face[starts], sound, starts)).offset_frames == 3


def test_shift_distances_are_nan_outside_the_clip_only():
    shifted = _shifted(_sequence(0, 20), _sequence(1, 20))
    outside = np.isnan(shifted)
    for i in range(20):
        want = [not 0 <= i + s < 20 for s in range(-15, 16)]
        assert outside[i].tolist() == want


def test_a_clip_shorter_than_the_shifts_is_scored_on_those_it_has():
    sequence = _sequence(2, 6)
    score = sync.sync_score(_shifted(sequence, sequence))
    assert score.offset_frames == 0
    assert len(sync.window_retrieval(_shifted(sequence, sequence))) == 0


def test_retrieval_is_perfect_for_equal_sequences_and_chance_for_unrelated_ones():
    face = _sequence(3, 4000, 16)
    hits = sync.window_retrieval(_shifted(face, face))
    assert len(hits) == 4000 - 30 and hits.all()
    hits = sync.window_retrieval(_shifted(face, _sequence(4, 4000, 16)))
    # chance 1/31 = 0.032; binomial deviation 0.0028
    assert 0.018 < hits.mean() < 0.047


def test_a_collapsed_critic_retrieves_nothing():
    same = np.repeat(_sequence(5, 1), 60, axis=0)
    shifted = _shifted(same, same)
    assert not sync.window_retrieval(shifted).any()
    assert not sync.clip_retrieval(shifted)


def test_retrieval_of_runs_rises_with_their_length_and_stays_at_chance_on_noise():
    rng = np.random.default_rng(67)
    sound = _sequence(6, 1500, 16)
    face = _unit(sound + 0.6 * rng.normal(size=sound.shape))
    shares = [sync.window_retrieval(_shifted(face, sound), windows=n).mean() for n in (1, 2, 4, 8)]
    assert np.all(np.diff(shares) > 0.02) and shares[-1] > 0.95
    unrelated = _shifted(_sequence(8, 1500, 16), sound)
    for n in (1, 2, 4, 8):
        hits = sync.window_retrieval(unrelated, windows=n)
        assert len(hits) == 1500 - 30 - n + 1
        # chance 0.032; runs overlap, so there are 1470 / n independent ones
        assert abs(hits.mean() - 1 / 31) < 4 * 0.177 / np.sqrt(1470 / n)


def test_a_clip_without_a_run_of_complete_windows_has_no_hits():
    sequence = _sequence(2, 33)  # three windows have all shifts
    assert len(sync.window_retrieval(_shifted(sequence, sequence), windows=3)) == 1
    assert len(sync.window_retrieval(_shifted(sequence, sequence), windows=4)) == 0


def test_retrieval_per_clip_hears_through_noise_that_single_windows_do_not():
    rng = np.random.default_rng(66)
    sound = _sequence(6, 200, 16)
    face = _unit(sound + 0.6 * rng.normal(size=sound.shape))
    shifted = _shifted(face, sound)
    assert 1 / 31 < sync.window_retrieval(shifted).mean() < 0.9
    assert sync.clip_retrieval(shifted)


def test_pair_scores_by_hand():
    # seven windows: the first two and the last two are far enough apart to make false pairs
    face = np.repeat([[1.0, 0.0], [0.0, 1.0]], [3, 4], axis=0)
    assert sync.pair_scores(face, face) == sync.PairScores(at_half=1.0, ranked=1.0)
    # own cosines 0 but for the middle window, false ones 1
    found = sync.pair_scores(face, face[::-1].copy())
    assert found.at_half == pytest.approx(0.5 * 1 / 7) and found.ranked == 0.0
    # everything looks in sync: positives right, negatives wrong, and ties rank nothing
    same = np.repeat(face[:1], 7, axis=0)
    assert sync.pair_scores(same, same) == sync.PairScores(at_half=0.5, ranked=0.0)


def test_pair_scores_need_a_false_pair():
    face = np.ones((5, 1))
    with pytest.raises(ValueError, match="clip has 5 windows, want more than 5"):
        sync.pair_scores(face, face)


def test_mean_similarity_leaves_out_windows_without_sound():
    face = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    starts = np.array([0, 1, 2])
    assert sync.mean_similarity(face, face[:2], starts) == 1.0
    assert sync.mean_similarity(face, face[[1, 1]], starts) == 0.5


def _critic(windows_per_call):
    return sync.Critic(
        embed_faces=embed_faces,
        embed_sound=embed_sound,
        image_size=128,
        clip_frames=5,
        mel_frames=16,
        windows_per_call=windows_per_call,
    )


@pytest.mark.parametrize("windows_per_call", [3, 64])
def test_critic_sees_each_window_once_whatever_the_call_size(windows_per_call):
    toy = clip(0)
    critic = _critic(windows_per_call)
    starts = np.arange(critic.num_windows(44))
    assert len(starts) == 40
    face, sound = critic.faces(toy.truth_u8, starts), critic.sound(toy.mel, starts)
    assert face.shape == sound.shape == (40, 10)
    np.testing.assert_allclose(face, sound, atol=1e-3)


def test_critic_refuses_a_clip_shorter_than_a_window():
    with pytest.raises(ValueError, match="clip has 4 frames, the critic needs 5"):
        _critic(8).num_windows(4)
