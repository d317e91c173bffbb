"""LSE-D and LSE-C to the letter: how far SyncNet hears the lips from the sound.

The protocol of Wav2Lip's evaluation (Prajwal et al. 2020, section 4.2) on Chung & Zisserman's
SyncNet. Oddities that matter and are kept: the last full window of a clip is left out, shifts
that reach beyond the clip meet vectors of zeros whose distances count, and 1e-6 is added to each
component of a difference. Pictures come here as the judge sees them (media/sync_crops.py).

Numbers of different judges cannot be compared, and a score better than the true clips' means
nothing. Zero-shift distances stand beside, as LSE-D hides a constant lag.

Source: SyncNetInstance.py of joonson/syncnet_python@6efbb1c; evaluation/scores_LSE of
Rudrabha/Wav2Lip.
"""

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from talkjax.arrays import Float, Int, UInt8
from talkjax.ops.mfcc import STEPS_PER_FRAME, mfcc_windows

MAX_SHIFT_FRAMES = 15
WINDOW_FRAMES = 5
WINDOW_STEPS = WINDOW_FRAMES * STEPS_PER_FRAME
SAMPLES_PER_FRAME = 640
# Added to each component of a difference (PyTorch's pairwise_distance).
EPSILON = 1e-6
# Frames of the shortest clip that has a window: one more than the window.
LEAST_FRAMES = WINDOW_FRAMES + 1
BLOCK_WINDOWS = 256


@dataclasses.dataclass(frozen=True)
class Judge:
    """A SyncNet as two functions, always called with `windows_per_call` windows.

    Attributes:
      embed_lips: (n, 5, side, side, 3) uint8 RGB -> (n, d).
      embed_sound: (n, 13, 20) MFCC -> (n, d).
      image_size: side of its pictures, px.
      windows_per_call: n; bounds the memory.
    """

    embed_lips: Callable[[np.ndarray], np.ndarray]
    embed_sound: Callable[[np.ndarray], np.ndarray]
    image_size: int
    windows_per_call: int = 16


class Heard(NamedTuple):
    """Embeddings of a clip's windows; row i is the window at frame i."""

    lips: Float[np.ndarray, "w d"]
    sound: Float[np.ndarray, "w d"]


@dataclasses.dataclass(frozen=True)
class LseScore:
    """What SyncNet says of one clip.

    Attributes:
      distance: LSE-D, the least mean distance over the shifts.
      confidence: LSE-C, the median of the mean distances minus the least.
      offset_frames: the shift that is least; positive when the picture is late, that is, when it
        shows the lips of a sound heard that many frames before.
      distance_unshifted: mean distance without a shift.
      windows: how many windows the means are over.
    """

    distance: float
    confidence: float
    offset_frames: int
    distance_unshifted: float
    windows: int

    def values(self) -> dict[str, float]:
        """By the names that reports use."""
        return {
            "lse_d": self.distance,
            "lse_c": self.confidence,
            "lse_offset": float(self.offset_frames),
            "lse_d_unshifted": self.distance_unshifted,
        }


def score_clip(
    frames_u8: Iterable[np.ndarray], audio_i16: Int[np.ndarray, " n"], judge: Judge
) -> LseScore:
    """The score of a clip: `embed_clip`, `shift_distances`, `score_of`."""
    heard = embed_clip(frames_u8, audio_i16, judge)
    return score_of(shift_distances(heard.lips, heard.sound))


def score_rows(
    rows_u8: Mapping[str, UInt8[np.ndarray, "t h w 3"]],
    own_i16: Int[np.ndarray, " n"],
    voice_i16: Int[np.ndarray, " m"] | None,
    *,
    judge: Judge,
    prepare: Callable[[Iterable[np.ndarray]], Iterable[np.ndarray]],
) -> dict[str, dict[str, float]]:
    """Scores of the rows of `baselines`, each with the clip's own sound.

    Args:
      rows_u8: row -> its frames. `shuffled_audio` and `ground_truth` are heard with the voice as
        well, as `swapped_voice_vs_voice` and `ground_truth_shuffled`.
      own_i16: the clip's own sound.
      voice_i16: the voice that drove `shuffled_audio`; None if there was none.
      prepare: frames as they are -> pictures at the judge's side.
    """
    lips = {row: embed_lips(prepare(frames), judge) for row, frames in rows_u8.items()}
    own = embed_sound(own_i16, _windows_of(own_i16), judge)
    heard_with = {row: (row, own) for row in rows_u8}
    if voice_i16 is not None:
        voice = embed_sound(voice_i16, _windows_of(voice_i16), judge)
        heard_with["swapped_voice_vs_voice"] = ("shuffled_audio", voice)
        heard_with["ground_truth_shuffled"] = ("ground_truth", voice)
    values = {}
    for row, (made, sound) in heard_with.items():
        both = min(len(lips[made]), len(sound))
        distances = shift_distances(lips[made][:both], sound[:both])
        values[row] = score_of(distances).values()
    return values


def embed_clip(
    frames_u8: Iterable[np.ndarray], audio_i16: Int[np.ndarray, " n"], judge: Judge
) -> Heard:
    """Windows i = 0 .. N - 6 of N = min(frames, whole frames of sound), pictures and sound.

    Args:
      frames_u8: (side, side, 3) uint8 RGB each, at the judge's side, 25 a second; consumed one
        by one, so that a long video is never held.
      audio_i16: 16 kHz mono; sample 0 is heard when frame 0 is shown.

    Raises:
      ValueError: if there are fewer than `LEAST_FRAMES` frames or as much sound.
    """
    heard_frames = _windows_of(audio_i16) + WINDOW_FRAMES
    lips = embed_lips(itertools.islice(frames_u8, heard_frames), judge)
    return Heard(lips, embed_sound(audio_i16, len(lips), judge))


def _windows_of(audio_i16: np.ndarray) -> int:
    """How many windows so much sound has."""
    windows = len(audio_i16) // SAMPLES_PER_FRAME - WINDOW_FRAMES
    if windows < 1:
        raise ValueError(
            f"clip has {len(audio_i16)} samples of sound, SyncNet needs "
            f"{LEAST_FRAMES * SAMPLES_PER_FRAME} ({LEAST_FRAMES} frames)"
        )
    return windows


def embed_lips(frames_u8: Iterable[np.ndarray], judge: Judge) -> Float[np.ndarray, "w d"]:
    """Of all windows of consecutive frames but the last.

    Raises:
      ValueError: if there are fewer than `LEAST_FRAMES` frames.
    """
    pieces, waiting = [], []
    for frame in frames_u8:
        waiting.append(frame)
        if len(waiting) == judge.windows_per_call + WINDOW_FRAMES:
            pieces.append(_embed_windows(waiting, judge))
            # A window is embedded when the frame after its last is there, so these go on.
            waiting = waiting[judge.windows_per_call :]
    if len(waiting) > WINDOW_FRAMES:
        pieces.append(_embed_windows(waiting, judge))
    if not pieces:
        raise ValueError(f"clip has {len(waiting)} frames, SyncNet needs {LEAST_FRAMES}")
    return np.concatenate(pieces)


def _embed_windows(frames_u8: list[np.ndarray], judge: Judge) -> np.ndarray:
    count = len(frames_u8) - WINDOW_FRAMES
    # The last call repeats its last window, so that one shape is compiled.
    starts = np.minimum(np.arange(judge.windows_per_call), count - 1)
    windows = np.stack(frames_u8)[starts[:, None] + np.arange(WINDOW_FRAMES)]
    return np.asarray(judge.embed_lips(windows), np.float32)[:count]


def embed_sound(
    audio_i16: Int[np.ndarray, " n"], count: int, judge: Judge
) -> Float[np.ndarray, "{count} d"]:
    """Of the sound of windows 0 .. count - 1; window i starts at MFCC step 4 i."""
    pieces = []
    for first in range(0, count, judge.windows_per_call):
        frames = np.minimum(first + np.arange(judge.windows_per_call), count - 1)
        windows = mfcc_windows(audio_i16, frames * STEPS_PER_FRAME, steps=WINDOW_STEPS)
        pieces.append(np.asarray(judge.embed_sound(windows), np.float32)[: count - first])
    return np.concatenate(pieces)


def shift_distances(
    lips: Float[np.ndarray, "w d"],
    sound: Float[np.ndarray, "w d"],
    *,
    max_shift: int = MAX_SHIFT_FRAMES,
) -> Float[np.ndarray, "w shifts"]:
    """Column j: distance of each picture window to the sound j - max_shift windows later.

    Beyond the clip the sound is a vector of zeros, whose distance counts.
    """
    padded = np.pad(sound.astype(np.float64), ((max_shift, max_shift), (0, 0)))
    distances = np.empty((len(lips), 2 * max_shift + 1))
    for rows in _blocks(len(lips)):
        for shift in range(distances.shape[1]):
            heard = padded[rows.start + shift : rows.stop + shift]
            distances[rows, shift] = np.linalg.norm(lips[rows] - heard + EPSILON, axis=1)
    return distances


def score_of(distances: Float[np.ndarray, "w shifts"]) -> LseScore:
    """The score that a clip's `shift_distances` give; 2 k + 1 shifts, the middle one is none."""
    means = distances.mean(axis=0)
    middle, best = len(means) // 2, int(np.argmin(means))
    return LseScore(
        distance=float(means[best]),
        confidence=float(np.median(means) - means[best]),
        offset_frames=middle - best,
        distance_unshifted=float(means[middle]),
        windows=len(distances),
    )


def _blocks(count: int) -> Iterator[slice]:
    for first in range(0, count, BLOCK_WINDOWS):
        yield slice(first, min(count, first + BLOCK_WINDOWS))
