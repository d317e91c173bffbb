import numpy as np
import pytest

from talkjax.evals import intervals


def test_interval_of_a_mean_is_that_of_the_normal_law():
    rng = np.random.default_rng(0)
    values = rng.normal(3.0, 2.0, size=400)
    found = intervals.mean_interval(values, seed=1)
    half = 1.96 * values.std() / np.sqrt(400)
    assert found.mean == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - half, abs=0.03)
    assert found.high == pytest.approx(values.mean() + half, abs=0.03)


def test_interval_covers_the_true_mean_about_95_times_in_100():
    rng = np.random.default_rng(2)
    hits = 0
    for _ in range(200):
        found = intervals.mean_interval(rng.normal(0.0, 1.0, size=50), seed=3)
        hits += found.low <= 0.0 <= found.high
    # binomial(200, 0.94): 5 standard deviations are 17
    assert 171 <= hits <= 200


def test_same_seed_same_interval_and_another_seed_another():
    values = np.arange(20.0)
    assert intervals.mean_interval(values, seed=4) == intervals.mean_interval(values, seed=4)
    assert intervals.mean_interval(values, seed=4) != intervals.mean_interval(values, seed=5)


def test_one_clip_gives_an_interval_of_no_width():
    found = intervals.mean_interval(np.array([2.5]), seed=0)
    assert (found.mean, found.low, found.high) == (2.5, 2.5, 2.5)


def test_no_clip_is_an_error():
    with pytest.raises(ValueError, match="no clips"):
        intervals.mean_interval(np.zeros(0), seed=0)


def _pairs(seed, clips=12):
    rng = np.random.default_rng(seed)
    pairs = []
    for _ in range(clips):
        true = rng.normal(size=40) + 5.0
        pairs.append([(0.8 * true + 0.6 * rng.normal(size=40), true)])
    return pairs


def test_pooled_correlation_is_that_of_the_series_end_to_end():
    pairs = _pairs(0)
    x, y = (np.concatenate([pair[i] for (pair,) in pairs]) for i in (0, 1))
    found = intervals.correlation_interval(pairs, seed=0)
    assert found.mean == pytest.approx(np.corrcoef(x, y)[0, 1], abs=1e-12)
    assert 0.7 < found.low < found.mean < found.high < 0.9


def test_pooled_correlation_redraws_whole_clips():
    pairs = _pairs(1, clips=5)
    counts = intervals.resample_counts(5, seed=7)
    assert (counts.sum(axis=1) == 5).all()
    redrawn = []
    for row in counts[:50]:
        chosen = [pair for pair, count in zip(pairs, row, strict=True) for _ in range(count)]
        x, y = (np.concatenate([pair[i] for (pair,) in chosen]) for i in (0, 1))
        redrawn.append(np.corrcoef(x, y)[0, 1])
    moments = intervals._moments(pairs, centred=False)
    np.testing.assert_allclose(intervals._pooled_correlation(counts[:50] @ moments), redrawn)


def test_centred_correlation_does_not_see_the_clips_levels():
    rng = np.random.default_rng(6)
    levels = 10.0 * rng.normal(size=12)
    # within the clips pred says nothing, between them it knows the level
    pairs = [[(rng.normal(size=40) + n, rng.normal(size=40) + n)] for n in levels]
    centred = [[(x - x.mean(), y - y.mean())] for ((x, y),) in pairs]
    pooled = intervals.correlation_interval(pairs, seed=0)
    found = intervals.correlation_interval(pairs, seed=0, centred=True)
    assert pooled.mean > 0.9 and abs(found.mean) < 0.2
    want = intervals.correlation_interval(centred, seed=0)
    assert (found.mean, found.low) == pytest.approx((want.mean, want.low))
    paired = intervals.paired_correlation_difference(pairs, centred, seed=0, centred=True)
    assert (paired.low, paired.high) == pytest.approx((0.0, 0.0), abs=1e-9)


def test_a_constant_prediction_has_correlation_zero():
    rng = np.random.default_rng(3)
    pairs = [[(np.full(30, 0.1), rng.normal(size=30))] for _ in range(4)]
    found = intervals.correlation_interval(pairs, seed=0)
    assert (found.mean, found.low, found.high) == (0.0, 0.0, 0.0)


def test_paired_difference_is_narrower_than_the_rows_it_compares():
    rng = np.random.default_rng(4)
    hard = rng.normal(0.0, 5.0, size=60)  # clips differ far more than the methods do
    better, worse = hard + 1.0, hard + rng.normal(0.0, 0.1, size=60)
    difference = intervals.paired_mean_difference(better, worse, seed=0)
    alone = intervals.mean_interval(better, seed=0)
    assert 0.9 < difference.low < difference.high < 1.1
    assert alone.high - alone.low > 10 * (difference.high - difference.low)


def test_paired_correlation_difference_of_a_row_with_itself_is_zero():
    pairs = _pairs(5)
    found = intervals.paired_correlation_difference(pairs, pairs, seed=0)
    assert (found.mean, found.low, found.high) == (0.0, 0.0, 0.0)
    with pytest.raises(ValueError, match="12 and 11 clips"):
        intervals.paired_correlation_difference(pairs, pairs[1:], seed=0)


def test_pairs_of_one_clip_are_drawn_together_and_centred_each_by_its_own_means():
    one, other = _pairs(8), _pairs(9)
    levels = [[(x + 9.0, y + 7.0) for x, y in pairs] for pairs in other]
    both = [a + b for a, b in zip(one, levels, strict=True)]
    x, y = (np.concatenate([p[i] - p[i].mean() for c in both for p in c]) for i in (0, 1))
    found = intervals.correlation_interval(both, seed=0, centred=True)
    assert found.mean == pytest.approx(np.corrcoef(x, y)[0, 1])
    # as often as a clip is drawn twice over, its second pair tells nothing new
    twice = intervals.correlation_interval([pairs * 2 for pairs in one], seed=0)
    once = intervals.correlation_interval(one, seed=0)
    assert (twice.low, twice.high) == pytest.approx((once.low, once.high))


def explained_clips(*, clips, noise, seed=0):
    """Clips of 30 frames whose truth is a prediction plus noise."""
    rng = np.random.default_rng(seed)
    said = rng.normal(2.0, 1.0, size=(clips, 30))
    return [[(x, x + rng.normal(0.0, noise, size=30) - 1.0)] for x in said]


def test_explained_variance_is_that_of_all_frames_put_end_to_end():
    clips = explained_clips(clips=40, noise=0.5)
    said, true = (np.concatenate([pairs[0][i] for pairs in clips]) for i in (0, 1))
    wanted = 1 - np.square(said - true).sum() / np.square(true - true.mean()).sum()
    found = intervals.explained_interval(clips, seed=1)
    assert found.mean == pytest.approx(wanted)
    assert found.low < wanted < found.high
    # The prediction is off by 1 with a spread of 1: worse than the mean.
    assert wanted < 0.2


def test_a_better_prediction_explains_more_on_the_same_clips():
    rng = np.random.default_rng(3)
    true = rng.normal(0.0, 1.0, size=(60, 30))
    close = [[(y + rng.normal(0, 0.5, size=30), y)] for y in true]
    closer = [[(pairs[0][0] * 0.5 + pairs[0][1] * 0.5, pairs[0][1])] for pairs in close]
    found = intervals.paired_explained_difference(closer, close, seed=4)
    # Half the error is a quarter of its square: 1 - 0.0625 against 1 - 0.25.
    assert found.mean == pytest.approx(0.1875, abs=0.02)
    assert 0.15 < found.low < found.mean < found.high < 0.23
    same = intervals.paired_explained_difference(close, close, seed=4)
    assert (same.mean, same.low, same.high) == (0, 0, 0)


def test_explained_variance_of_a_constant_or_of_other_clips_is_an_error():
    flat = [[(np.arange(5.0), np.full(5, 0.3))]]
    with pytest.raises(ValueError, match="constant"):
        intervals.explained_interval(flat, seed=0)
    with pytest.raises(ValueError, match="got 1 and 2 clips"):
        intervals.paired_explained_difference(flat, flat * 2, seed=0)
