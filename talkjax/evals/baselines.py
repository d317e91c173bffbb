"""What the numbers of a model have to be read beside.

Rows of a report and what each one is:
  generated               the clip's own sound; judged against the clip.
  ground_truth            the clip's true frames, reduced to the model's image size and back.
  shuffled_audio          another clip's sound; judged against the face's own clip and sound.
  still_mouth             the reference frame's mouth on every frame of the clip (at the model's
                          image size); judged against the clip.
  still_hidden            the same with all rows that are hidden from the model, that is, with all
                          that it must draw. still_mouth keeps true pixels around the mouth, which
                          decide measures of the whole crop: there this is the row to beat. Its
                          frames share their eyes with the true ones and nothing else, so its
                          *_framewise correlations are those of the landmark noise.
  silence                 some of the clip's frames, driven by digital silence: do the lips rest?
  swapped_voice_vs_voice  the frames of shuffled_audio; lips against the lips of the clip the
                          *voice* comes from. High: the lips follow the voice.
  swapped_voice_vs_face   the same lips against those of the clip the *face* comes from. Above
                          linear_swapped_vs_face: the visible part of the face may give the lips
                          away.
  linear_swapped_vs_face  lips that `linear` predicts from the other clip's sound, against those
                          of the face's clip. The floor of the row above: a prediction without a
                          face lies above base_rate, since it keeps the rhythm that the clips
                          share and drops what is each clip's own.
  base_rate               true lips of the two clips against each other (they share a rhythm).
  linear                  lips predicted from 0.2 s of sound by ridge regression; no picture.
  ground_truth_shuffled   true frames with another clip's sound (sync measures only).
  labels                  what the labels of the clip say of it; no picture (ground_truth.py).

Where clips have labels, the measures label_* of a row are against the labels of the clip that it
is judged by, and those of base_rate compare the labels of the two clips.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from talkjax.arrays import Float, UInt8
from talkjax.evals.image_quality import MOUTH_COLUMNS_PX, MOUTH_ROWS_PX
from talkjax.evals.landmarks import LipSeries, stack_series
from talkjax.ops import image
from talkjax.ops.mel import mel_start, mel_windows

FEATHER_PX = 6
LINEAR_MEL_FRAMES = 16
# The window [f - 2, f + 3) video frames is centred on frame f.
LINEAR_SHIFT_FRAMES = -2
RIDGE_STRENGTHS = (1e1, 1e2, 1e3, 1e4)
# The last fifth of the fitting clips chooses the strength; then all are fitted.
CHOOSING_PART = 5


def pairing(
    clip_ids: Sequence[str], *, seed: int, num_voices: int = 1
) -> dict[str, tuple[str, ...]]:
    """For each clip, the clips whose voices it is given; empty with fewer than two clips.

    The next ones in a seeded cycle of the sorted names: no clip gets its own voice, each voice is
    used `num_voices` times, and the order of `clip_ids` does not matter. Few clips give each other
    fewer voices.
    """
    if len(clip_ids) < 2:
        return {}
    order = np.random.default_rng(seed).permutation(sorted(clip_ids)).tolist()
    count = min(num_voices, len(order) - 1)
    twice = order + order
    return {clip: tuple(twice[i + 1 : i + 1 + count]) for i, clip in enumerate(order)}


def still_mouth(
    frames_u8: UInt8[np.ndarray, "t h w 3"], reference_u8: UInt8[np.ndarray, "h w 3"]
) -> UInt8[np.ndarray, "t h w 3"]:
    """Every frame with the reference's mouth rectangle in its place.

    The rectangle is the one of the image measures; its edge is blended over FEATHER_PX pixels
    (at 128) inside it. Pixels outside it are untouched.
    """
    weight = _mouth_weight(frames_u8.shape[1], frames_u8.shape[2])[None, :, :, None]
    mixed = frames_u8 * (1.0 - weight) + reference_u8[None] * weight
    return np.round(mixed).astype(np.uint8)


def still_hidden(
    frames_u8: UInt8[np.ndarray, "t h w 3"],
    reference_u8: UInt8[np.ndarray, "h w 3"],
    *,
    hide_from: float,
) -> UInt8[np.ndarray, "t h w 3"]:
    """Every frame with the reference's rows from `hide_from` of the side down in their place."""
    still, first = frames_u8.copy(), image.rows_from(hide_from, frames_u8.shape[1])
    still[:, first:] = reference_u8[first:]
    return still


def _mouth_weight(height: int, width: int) -> np.ndarray:
    """(h, w): 1 well inside the mouth rectangle, 0 outside, linear in between."""
    y, x = np.arange(height) * (128 / height), np.arange(width) * (128 / width)

    def ramp(place: np.ndarray, low: int, high: int) -> np.ndarray:
        return np.clip(np.minimum(place - low, high - 1 - place) / FEATHER_PX, 0.0, 1.0)

    return ramp(y, *MOUTH_ROWS_PX)[:, None] * ramp(x, *MOUTH_COLUMNS_PX)[None, :]


@dataclasses.dataclass(frozen=True)
class LinearLips:
    """An affine map from standardised mel windows to lip opening and width.

    mean, scale: (f,) of the features; weights: (f, 2); bias: (2,); strength: the ridge's.
    """

    mean: np.ndarray
    scale: np.ndarray
    weights: np.ndarray
    bias: np.ndarray
    strength: float

    def predict(self, mel: Float[np.ndarray, "s m"], num_frames: int) -> LipSeries:
        """Opening and width of each frame, from the sound alone."""
        features = (mel_features(mel, num_frames) - self.mean) / self.scale
        lips = features @ self.weights + self.bias
        return LipSeries(opening=lips[:, 0], width=lips[:, 1])


def mel_features(mel: Float[np.ndarray, "s m"], num_frames: int) -> Float[np.ndarray, "t f"]:
    """0.2 s of mel centred on each frame, pairs of bins and of frames averaged: 320 numbers."""
    starts = mel_start(np.arange(num_frames) + LINEAR_SHIFT_FRAMES)
    windows = mel_windows(np.asarray(mel, np.float32), starts, mel_frames=LINEAR_MEL_FRAMES)
    frames, bins, steps = windows.shape
    pairs = windows.reshape(frames, bins // 2, 2, steps // 2, 2).mean(axis=(2, 4))
    return pairs.reshape(frames, -1).astype(np.float64)


def fit_linear_lips(
    mels: Sequence[np.ndarray], lips: Sequence[LipSeries], *, strengths=RIDGE_STRENGTHS
) -> LinearLips:
    """Ridge regression of true lips on sound, the strength chosen on the last fifth of clips.

    Args:
      mels: (s, m) of each clip of the *training* split.
      lips: the true lips of the same clips.

    Raises:
      ValueError: with fewer than CHOOSING_PART clips.
    """
    if len(mels) < CHOOSING_PART or len(mels) != len(lips):
        raise ValueError(
            f"linear baseline: got {len(mels)} mels and {len(lips)} lips of training clips, "
            f"want as many of both and at least {CHOOSING_PART}"
        )
    features = [mel_features(m, len(s.opening)) for m, s in zip(mels, lips, strict=True)]
    kept = len(mels) - len(mels) // CHOOSING_PART
    held_out, true = np.concatenate(features[kept:]), _targets(lips[kept:])
    errors = {}
    for model in _ridge(np.concatenate(features[:kept]), _targets(lips[:kept]), strengths):
        pred = (held_out - model.mean) / model.scale @ model.weights + model.bias
        spread = np.maximum(true.var(axis=0), 1e-12)
        errors[model.strength] = float(np.sum(np.mean((pred - true) ** 2, axis=0) / spread))
    best = min(errors, key=errors.get)
    return _ridge(np.concatenate(features), _targets(lips), (best,))[0]


def _targets(lips: Sequence[LipSeries]) -> np.ndarray:
    series = stack_series(lips)
    return np.stack([series.opening, series.width], axis=1)


def _ridge(features: np.ndarray, targets: np.ndarray, strengths) -> list[LinearLips]:
    """Closed form: one eigendecomposition serves all strengths."""
    mean = features.mean(axis=0)
    # A mel bin that never changes (silence) has no scale; its weight becomes zero.
    scale = np.maximum(features.std(axis=0), 1e-6)
    x, bias = (features - mean) / scale, targets.mean(axis=0)
    values, vectors = np.linalg.eigh(x.T @ x)
    projected = vectors.T @ (x.T @ (targets - bias))
    solutions = [vectors @ (projected / (values + a)[:, None]) for a in strengths]
    return [
        LinearLips(mean=mean, scale=scale, weights=w, bias=bias, strength=a)
        for w, a in zip(solutions, strengths, strict=True)
    ]
