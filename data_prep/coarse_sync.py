"""A/V offset of a whole set without a trained critic: a coarse check.

The mouth's picture is predicted from the sound by ridge regression, once for each lag between
the two, each time on clips that the regression was not fitted on. The lag that predicts best is
the set's. It finds a data set that is shifted as a whole (a wrong container offset, a wrong frame
rate); for a single short clip it is weak evidence, a sync critic is better.
"""

import dataclasses
from collections.abc import Sequence

import cv2
import numpy as np
import simplejpeg

from talkjax.arrays import Float
from talkjax.data.schema import Record
from talkjax.ops.image import MOUTH
from talkjax.ops.mel import mel_start, mel_windows

MAX_LAG_FRAMES = 10
MOUTH_WH = (16, 12)
COMPONENTS = 8
WINDOW_MEL_FRAMES = 12
BINS_TOGETHER = 4
FRAMES_TOGETHER = 2
RIDGE = 10.0
FOLDS = 2
# Below this the regression has too little to learn from.
MIN_CLIPS = 8
MIN_FRAMES = 1000
# Standard deviations by which the best lag must stand out of the distant ones.
MIN_CLARITY = 3.5


@dataclasses.dataclass(frozen=True)
class CoarseSync:
    """The lag of a set.

    Attributes:
      lag_frames: at 25 fps; positive when the picture is later than the sound.
      explained: share of the mouth's variance that the sound explains, per lag from
        -MAX_LAG_FRAMES to MAX_LAG_FRAMES, on held-out clips.
      clarity: how far the best lag stands above those more than 5 frames away, in their
        standard deviations.
      clips, frames: what it was measured on.
    """

    lag_frames: int
    explained: tuple[float, ...]
    clarity: float
    clips: int
    frames: int

    @property
    def is_clear(self) -> bool:
        return self.clarity >= MIN_CLARITY


@dataclasses.dataclass(frozen=True)
class ClipFeatures:
    """What one clip adds: mouth pictures without their mean, and its log-mel."""

    mouth: Float[np.ndarray, "t d"]
    mel: Float[np.ndarray, "s m"]


def clip_features(record: Record) -> ClipFeatures:
    """Small grey mouth pictures of all frames, less the clip's mean picture."""
    low, high, left, right = (round(side * record.size_px) for side in MOUTH)
    mouths = []
    for jpeg in record.frames_jpeg:
        grey = simplejpeg.decode_jpeg(jpeg, "GRAY")[low:high, left:right, 0]
        small = cv2.resize(np.ascontiguousarray(grey), MOUTH_WH, interpolation=cv2.INTER_AREA)
        mouths.append(small.ravel())
    pictures = np.array(mouths, dtype=np.float32)
    return ClipFeatures(pictures - pictures.mean(axis=0), record.mel.astype(np.float32))


def coarse_sync(clips: Sequence[ClipFeatures]) -> CoarseSync | None:
    """The set's lag, or None if there is too little video to say."""
    frames = sum(len(clip.mouth) for clip in clips)
    if len(clips) < MIN_CLIPS or frames < MIN_FRAMES:
        return None
    targets = _components(np.concatenate([clip.mouth for clip in clips]))
    lengths = [len(clip.mouth) for clip in clips]
    fold = np.repeat(np.arange(len(clips)) % FOLDS, lengths)
    explained = [
        _explained(np.concatenate([_sound(clip, lag) for clip in clips]), targets, fold)
        for lag in range(-MAX_LAG_FRAMES, MAX_LAG_FRAMES + 1)
    ]
    best = int(np.argmax(explained))
    far = [value for lag, value in enumerate(explained) if abs(lag - best) > MAX_LAG_FRAMES // 2]
    clarity = (explained[best] - np.mean(far)) / max(np.std(far), 1e-6)
    return CoarseSync(
        lag_frames=best - MAX_LAG_FRAMES,
        explained=tuple(round(value, 4) for value in explained),
        clarity=round(float(clarity), 2),
        clips=len(clips),
        frames=frames,
    )


def _components(mouth: Float[np.ndarray, "t d"]) -> Float[np.ndarray, "t k"]:
    """The mouth pictures in their strongest directions."""
    _, vectors = np.linalg.eigh(mouth.T.astype(np.float64) @ mouth)
    return mouth @ vectors[:, -COMPONENTS:]


def _sound(clip: ClipFeatures, lag_frames: int) -> Float[np.ndarray, "t d"]:
    """The sound around each frame, `lag_frames` before it, coarse in time and pitch."""
    first = mel_start(np.arange(len(clip.mouth)) - lag_frames) + 1 - WINDOW_MEL_FRAMES // 2
    bands = clip.mel.reshape(len(clip.mel), -1, BINS_TOGETHER).mean(axis=2)
    windows = mel_windows(bands, first, mel_frames=WINDOW_MEL_FRAMES)
    flat = windows.reshape(len(windows), -1, FRAMES_TOGETHER).mean(axis=2)
    return flat - flat.mean(axis=0)


def _explained(sound: np.ndarray, targets: np.ndarray, fold: np.ndarray) -> float:
    """Share of the targets' variance explained on the clips left out of the fit."""
    error = 0.0
    for held_out in range(FOLDS):
        fit, test = fold != held_out, fold == held_out
        x = sound[fit].astype(np.float64)
        gram = x.T @ x
        gram[np.diag_indices_from(gram)] += RIDGE * np.trace(gram) / len(gram) / 100
        weights = np.linalg.solve(gram, x.T @ targets[fit])
        error += float(((targets[test] - sound[test] @ weights) ** 2).sum())
    return 1.0 - error / float((targets**2).sum())
