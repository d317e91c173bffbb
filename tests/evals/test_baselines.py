import numpy as np
import pytest

from talkjax.evals import baselines
from talkjax.evals.landmarks import LipSeries
from tests.evals.eval_toys import clip, lips, mel_of


def test_pairing_gives_each_clip_another_voice_and_each_voice_once():
    names = [f"clip{i}" for i in range(9)]
    voices = baselines.pairing(names, seed=0, num_voices=3)
    assert set(voices) == set(names)
    assert all(clip_id not in given for clip_id, given in voices.items())
    assert all(len(set(given)) == 3 for given in voices.values())
    used = sorted(voice for given in voices.values() for voice in given)
    assert used == sorted(3 * names)
    # another number of voices changes the others of no clip
    first = baselines.pairing(names, seed=0)
    assert all(first[name] == voices[name][:1] for name in names)


def test_pairing_depends_on_the_seed_and_not_on_the_order():
    names = [f"clip{i}" for i in range(9)]
    assert baselines.pairing(names, seed=0) == baselines.pairing(names[::-1], seed=0)
    assert baselines.pairing(names, seed=0) != baselines.pairing(names, seed=1)


def test_few_clips_give_each_other_what_voices_there_are():
    assert baselines.pairing(["alone"], seed=0, num_voices=3) == {}
    assert baselines.pairing(["a", "b"], seed=0, num_voices=3) == {"a": ("b",), "b": ("a",)}


def test_still_mouth_has_the_reference_inside_and_the_frames_outside():
    frames = clip(0).truth_u8
    reference = clip(1).truth_u8[0]
    still = baselines.still_mouth(frames, reference)
    inside = (slice(72, 104), slice(40, 88))
    np.testing.assert_array_equal(still[(3, *inside)], reference[inside])
    outside = np.ones((128, 128), bool)
    outside[64:112, 32:96] = False
    np.testing.assert_array_equal(still[:, outside], frames[:, outside])


def test_still_hidden_has_all_rows_of_the_reference_that_a_model_does_not_see():
    frames, reference = clip(0).truth_u8, clip(1).truth_u8[0]
    still = baselines.still_hidden(frames, reference, hide_from=0.36)
    np.testing.assert_array_equal(still[:, :46], frames[:, :46])
    for frame in still:
        np.testing.assert_array_equal(frame[46:], reference[46:])


def test_still_mouth_of_a_small_model_covers_the_same_part_of_the_face():
    frames, reference = np.zeros((1, 64, 64, 3), np.uint8), np.full((64, 64, 3), 200, np.uint8)
    still = baselines.still_mouth(frames, reference)[0, :, :, 0]
    assert still[44, 32] == 200
    assert (still[:32] == 0).all() and (still[56:] == 0).all()
    assert (still[:, :16] == 0).all() and (still[:, 48:] == 0).all()


def test_mel_features_average_pairs_of_a_window_centred_on_the_frame():
    mel = np.random.default_rng(0).normal(size=(200, 80)).astype(np.float32)
    features = baselines.mel_features(mel, 40)
    assert features.shape == (40, 320)
    # frame 10: video frames 8 .. 12 start at mel frame floor(8 * 3.2) = 25
    window = mel[25:41]
    want = [
        [window[2 * j : 2 * j + 2, 2 * i : 2 * i + 2].mean() for j in range(8)] for i in range(40)
    ]
    np.testing.assert_allclose(features[10], np.ravel(want), atol=1e-6)


def _training(clips):
    values = [lips(seed) for seed in range(clips)]
    series = [LipSeries(opening=v[:, 0], width=2 * v[:, 1] + 1) for v in values]
    return [mel_of(v) for v in values], series


def test_linear_lips_finds_a_linear_law():
    mels, series = _training(20)
    model = baselines.fit_linear_lips(mels, series)
    unseen = lips(77)
    found = model.predict(mel_of(unseen), 44)
    assert np.corrcoef(found.opening, unseen[:, 0])[0, 1] > 0.97
    assert np.corrcoef(found.width, unseen[:, 1])[0, 1] > 0.97
    assert np.abs(found.width - (2 * unseen[:, 1] + 1)).mean() < 0.1


def test_ridge_equals_the_normal_equations():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(50, 6)) * np.arange(1, 7), rng.normal(size=(50, 2))
    (model,) = baselines._ridge(x, y, (3.0,))
    z = (x - x.mean(0)) / x.std(0)
    want = np.linalg.solve(z.T @ z + 3.0 * np.eye(6), z.T @ (y - y.mean(0)))
    np.testing.assert_allclose(model.weights, want, atol=1e-10)
    np.testing.assert_allclose(model.bias, y.mean(0))


def test_linear_lips_prefers_a_strong_ridge_for_noise():
    rng = np.random.default_rng(2)
    mels = [rng.normal(size=(141, 80)).astype(np.float32) for _ in range(20)]
    noise = [LipSeries(rng.normal(size=44), rng.normal(size=44)) for _ in mels]
    assert baselines.fit_linear_lips(mels, noise).strength == max(baselines.RIDGE_STRENGTHS)


def test_linear_lips_needs_five_clips():
    mels, series = _training(4)
    with pytest.raises(ValueError, match="got 4 mels"):
        baselines.fit_linear_lips(mels, series)
