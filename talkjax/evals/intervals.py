"""Bootstrap intervals over clips.

Frames of one clip are far from independent, so clips are what is drawn. Every interval is the
2.5 to 97.5 percentile range of the statistic over seeded redraws of the clips. The same seed
gives the same redraws, so differences between two rows of the same clips are paired.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from talkjax.arrays import Float, Int

RESAMPLES = 2000
LEVEL = 0.95


@dataclasses.dataclass(frozen=True)
class Interval:
    """A statistic of all clips and its bootstrap interval."""

    mean: float
    low: float
    high: float

    def as_json(self) -> dict[str, float]:
        return {"mean": self.mean, "low": self.low, "high": self.high}


# (predicted, true) series of a clip; both (t,).
SeriesPair = tuple[np.ndarray, np.ndarray]
# One clip's pairs: one, or one for each voice that it was given. They are drawn together.
ClipPairs = Sequence[SeriesPair]


def resample_counts(num_clips: int, *, seed: int) -> Int[np.ndarray, "r b"]:
    """How often each clip is drawn in each of RESAMPLES redraws of num_clips clips."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(num_clips, np.full(num_clips, 1.0 / num_clips), size=RESAMPLES)


def mean_interval(values: Float[np.ndarray, " b"], *, seed: int) -> Interval:
    """The mean over clips of per-clip values.

    Raises:
      ValueError: without any clip.
    """
    if len(values) == 0:
        raise ValueError("interval: got no clips, want at least one")
    redrawn = resample_counts(len(values), seed=seed) @ values / len(values)
    return _percentiles(float(values.mean()), redrawn)


def share_interval(
    right: Float[np.ndarray, " b"], total: Float[np.ndarray, " b"], *, seed: int
) -> Interval:
    """The share of all things that are right, from each clip's counts; clips are redrawn whole.

    Raises:
      ValueError: without any thing.
    """
    return share_ratio(np.stack([right, total], axis=1), None, seed=seed)


def share_ratio(
    first: Float[np.ndarray, "b 2"], second: Float[np.ndarray, "b 2"] | None, *, seed: int
) -> Interval:
    """The share of `first` over that of `second`, the same clips drawn for both; columns: right,
    all. Without `second` the share itself.

    Redraws in which a share has nothing to be of, or nothing right in `second`, do not count.

    Raises:
      ValueError: if that is so of the clips themselves.
    """
    counts = resample_counts(len(first), seed=seed)

    def shares(weights: np.ndarray) -> np.ndarray:
        of_first = _share(weights @ first)
        if second is None:
            return of_first
        of_second = _share(weights @ second)
        return of_first / np.where(of_second > 0, of_second, np.nan)

    value = float(shares(np.ones((1, len(first))))[0])
    if not np.isfinite(value):
        raise ValueError("share: nothing to be a share of")
    redrawn = shares(counts)
    return _percentiles(value, redrawn[np.isfinite(redrawn)])


def _share(counted: np.ndarray) -> np.ndarray:
    right, total = counted[:, 0], counted[:, 1]
    return right / np.where(total > 0, total, np.nan)


def paired_mean_difference(
    first: Float[np.ndarray, " b"], second: Float[np.ndarray, " b"], *, seed: int
) -> Interval:
    """The mean of first - second over the same clips."""
    return mean_interval(first - second, seed=seed)


def correlation_interval(
    clips: Sequence[ClipPairs], *, seed: int, centred: bool = False
) -> Interval:
    """Pearson correlation of all clips' frames put end to end; clips are redrawn whole.

    A constant prediction has correlation 0: it follows nothing.

    Args:
      centred: remove each pair's own means first, so that the clips' levels do not count.
    """
    moments = _moments(clips, centred=centred)
    counts = resample_counts(len(clips), seed=seed)
    value = _pooled_correlation(moments.sum(axis=0, keepdims=True))
    return _percentiles(float(value[0]), _pooled_correlation(counts @ moments))


def paired_correlation_difference(
    first: Sequence[ClipPairs],
    second: Sequence[ClipPairs],
    *,
    seed: int,
    centred: bool = False,
) -> Interval:
    """Pooled correlation of `first` minus that of `second`, the same clips drawn for both."""
    if len(first) != len(second):
        raise ValueError(f"paired difference: got {len(first)} and {len(second)} clips")
    one, two = _moments(first, centred=centred), _moments(second, centred=centred)
    counts = resample_counts(len(first), seed=seed)
    value = _pooled_correlation(one.sum(axis=0, keepdims=True))
    value = value - _pooled_correlation(two.sum(axis=0, keepdims=True))
    redrawn = _pooled_correlation(counts @ one) - _pooled_correlation(counts @ two)
    return _percentiles(float(value[0]), redrawn)


def explained_interval(clips: Sequence[ClipPairs], *, seed: int) -> Interval:
    """R2 of all clips' frames put end to end: 1 - squared error / variance of the truth.

    Clips are redrawn whole, and the variance is that of the redraw. Redraws in which the truth is
    constant do not count.

    Raises:
      ValueError: without any clip, or if the truth is constant.
    """
    return _explained_percentiles(clips, None, seed=seed)


def paired_explained_difference(
    first: Sequence[ClipPairs], second: Sequence[ClipPairs], *, seed: int
) -> Interval:
    """R2 of `first` minus that of `second`, the same clips drawn for both.

    Raises:
      ValueError: as `explained_interval`, or if there are not as many clips in both.
    """
    if len(first) != len(second):
        raise ValueError(f"paired difference: got {len(first)} and {len(second)} clips")
    return _explained_percentiles(first, second, seed=seed)


def _explained_percentiles(
    first: Sequence[ClipPairs], second: Sequence[ClipPairs] | None, *, seed: int
) -> Interval:
    moments = [_moments(clips, centred=False) for clips in (first, second) if clips is not None]
    # Of the prediction and the truth about means of their own: the error needs both.
    offsets = [_mean_offset(clips) for clips in (first, second) if clips is not None]

    def value(weights: np.ndarray) -> np.ndarray:
        found = [
            _explained(weights @ part, offset)
            for part, offset in zip(moments, offsets, strict=True)
        ]
        return found[0] - found[1] if len(found) == 2 else found[0]

    whole = float(value(np.ones((1, len(first))))[0])
    if not np.isfinite(whole):
        raise ValueError("R2: the truth is constant")
    redrawn = value(resample_counts(len(first), seed=seed).astype(np.float64))
    return _percentiles(whole, redrawn[np.isfinite(redrawn)])


def _mean_offset(clips: Sequence[ClipPairs]) -> float:
    """Mean prediction less mean truth over all frames."""
    return float(np.concatenate([x - y for pairs in clips for x, y in pairs]).mean())


def _explained(moments: np.ndarray, offset: float) -> np.ndarray:
    n, x, y, xx, yy, xy = moments.T
    error = xx - 2 * xy + yy + 2 * offset * (x - y) + n * offset**2
    spread = yy - y**2 / n
    # Rounding leaves a constant series a spread of about 1e-32 a frame.
    return 1 - error / np.where(spread > 1e-15 * n, spread, np.nan)


def _moments(clips: Sequence[ClipPairs], *, centred: bool) -> np.ndarray:
    """(b, 6): n, sums of x, y, xx, yy, xy of each clip, about the grand or each pair's means."""
    if len(clips) == 0:
        raise ValueError("interval: got no clips, want at least one")
    # About the grand means, so that the sums of squares do not cancel.
    mean_x = np.concatenate([x for pairs in clips for x, _ in pairs]).mean()
    mean_y = np.concatenate([y for pairs in clips for _, y in pairs]).mean()
    rows = np.zeros((len(clips), 6))
    for row, pairs in zip(rows, clips, strict=True):
        for x, y in pairs:
            x = np.asarray(x, np.float64) - (x.mean() if centred else mean_x)
            y = np.asarray(y, np.float64) - (y.mean() if centred else mean_y)
            row += [len(x), x.sum(), y.sum(), x @ x, y @ y, x @ y]
    return rows


def _pooled_correlation(moments: np.ndarray) -> np.ndarray:
    n, x, y, xx, yy, xy = moments.T
    var_x, var_y = xx / n - (x / n) ** 2, yy / n - (y / n) ** 2
    covariance = xy / n - x * y / n**2
    scale = np.sqrt(np.maximum(var_x, 0.0) * np.maximum(var_y, 0.0))
    # Rounding leaves a constant series a variance of about 1e-32.
    return np.where(scale > 1e-15, covariance / np.where(scale > 1e-15, scale, 1.0), 0.0)


def _percentiles(value: float, redrawn: np.ndarray) -> Interval:
    tail = 100 * (1 - LEVEL) / 2
    low, high = np.percentile(redrawn, [tail, 100 - tail])
    return Interval(mean=value, low=float(low), high=float(high))
