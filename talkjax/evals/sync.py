"""Lip sync as a critic hears it: distance, confidence, offset, and how good the critic is.

Follows the LSE-D / LSE-C protocol (Chung & Zisserman's SyncNet, Wav2Lip's evaluation) with a
critic of our own, so the numbers are NOT comparable with published LSE values. Differs: only
shifts inside the clip count, where the original also averages distances to zero padding; and
all full windows are used, where the original drops the last.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

from talkjax.arrays import Bool, Float, Int, UInt8
from talkjax.evals.image_quality import resize_frames
from talkjax.ops.mel import MEL_BINS, mel_start, mel_windows

MAX_SHIFT_FRAMES = 15
NUM_SHIFTS = 2 * MAX_SHIFT_FRAMES + 1
# Windows closer than their own length share frames: neither true nor false pairs.
FALSE_GAP_FRAMES = 5


@dataclasses.dataclass(frozen=True)
class SyncScore:
    """How one clip sounds to the critic.

    Attributes:
      distance: least mean L2 distance over the shifts (as LSE-D), 0 to 2.
      confidence: median over the shifts minus the least (as LSE-C), at least 0.
      offset_frames: the shift that is least; positive when the picture is late, that is,
        when it shows the lips of a sound heard that many frames before.
      fine_offset_frames: the same with its fraction: where a parabola through the least mean and
        its neighbours is least.
      distance_unshifted: mean distance without a shift; `distance` hides a constant lag.
    """

    distance: float
    confidence: float
    offset_frames: int
    fine_offset_frames: float
    distance_unshifted: float


@dataclasses.dataclass(frozen=True)
class Critic:
    """A trained sync critic as two functions.

    Attributes:
      embed_faces: {"frames_u8" b w t h w 3, "mel_chunk" b w m f} -> (b, w, d), unit norm; only
        the frames matter. Always called with the same shapes.
      embed_sound: the same from "mel_chunk" alone.
      image_size: side of the critic's crops, pixels.
      clip_frames: frames in a window.
      mel_frames: mel frames in a window.
      windows_per_call: w of every call.
    """

    embed_faces: Callable[[dict[str, np.ndarray]], np.ndarray]
    embed_sound: Callable[[dict[str, np.ndarray]], np.ndarray]
    image_size: int
    clip_frames: int
    mel_frames: int
    windows_per_call: int = 32

    def num_windows(self, num_frames: int) -> int:
        """Windows that lie in a clip; window i starts at frame i.

        Raises:
          ValueError: if the clip is shorter than a window.
        """
        if num_frames < self.clip_frames:
            raise ValueError(f"clip has {num_frames} frames, the critic needs {self.clip_frames}")
        return num_frames - self.clip_frames + 1

    def faces(
        self, frames_u8: UInt8[np.ndarray, "t h w 3"], starts: Int[np.ndarray, " i"]
    ) -> Float[np.ndarray, "i d"]:
        """Embeddings of the windows that start at these frames."""
        frames = resize_frames(frames_u8, self.image_size)
        sound = self._no_sound()

        def call(chosen: np.ndarray) -> np.ndarray:
            windows = frames[chosen[:, None] + np.arange(self.clip_frames)]
            return self.embed_faces({"frames_u8": windows[None], "mel_chunk": sound})

        return self._in_calls(call, starts)

    def sound(
        self, mel: Float[np.ndarray, "s m"], starts: Int[np.ndarray, " i"]
    ) -> Float[np.ndarray, "i d"]:
        """Embeddings of the sound of the windows that start at these video frames."""
        shape = (1, self.windows_per_call, self.clip_frames, self.image_size, self.image_size, 3)
        no_faces = np.zeros(shape, np.uint8)

        def call(chosen: np.ndarray) -> np.ndarray:
            first = mel_start(chosen)
            chunks = mel_windows(np.asarray(mel, np.float32), first, mel_frames=self.mel_frames)
            return self.embed_sound({"frames_u8": no_faces, "mel_chunk": chunks[None]})

        return self._in_calls(call, starts)

    def _in_calls(self, call: Callable[[np.ndarray], np.ndarray], starts: np.ndarray) -> np.ndarray:
        size, pieces = self.windows_per_call, []
        for first in range(0, len(starts), size):
            chosen = starts[first : first + size]
            # The last call repeats its last window, so that one shape is compiled.
            padded = np.pad(chosen, (0, size - len(chosen)), mode="edge")
            pieces.append(np.asarray(call(padded), np.float32)[0, : len(chosen)])
        return np.concatenate(pieces)

    def _no_sound(self) -> np.ndarray:
        return np.zeros((1, self.windows_per_call, MEL_BINS, self.mel_frames), np.float32)


def pair_distances(
    face: Float[np.ndarray, "w d"], sound: Float[np.ndarray, "v d"]
) -> Float[np.ndarray, "w v"]:
    """L2 distance of every face window to every sound window."""
    squares = np.sum(face**2, axis=1)[:, None] + np.sum(sound**2, axis=1)[None, :]
    return np.sqrt(np.maximum(squares - 2.0 * face @ sound.T, 0.0))


def shift_distances(
    face: Float[np.ndarray, "w d"],
    sound: Float[np.ndarray, "v d"],
    starts: Int[np.ndarray, " w"],
) -> Float[np.ndarray, "w 31"]:
    """Distance of each face window to the sound s frames later, s = -15 .. 15.

    Args:
      face: windows that start at `starts`.
      sound: all windows; row i starts at frame i.

    Returns:
      nan where the shifted window lies outside the sound.
    """
    distances = pair_distances(face, sound)
    columns = starts[:, None] + np.arange(NUM_SHIFTS)[None, :] - MAX_SHIFT_FRAMES
    inside = (columns >= 0) & (columns < len(sound))
    picked = np.take_along_axis(distances, np.clip(columns, 0, len(sound) - 1), axis=1)
    return np.where(inside, picked, np.nan)


def sync_score(shifted: Float[np.ndarray, "w 31"]) -> SyncScore:
    """Distance, confidence and offset of one clip from its `shift_distances`.

    Shifts that no window of a short clip can reach are left out.
    """
    shifts, means = _shift_means(shifted)
    best = int(np.argmin(means))
    return SyncScore(
        distance=float(means[best]),
        confidence=float(np.median(means) - means[best]),
        offset_frames=int(-shifts[best]),
        fine_offset_frames=float(-shifts[best] - _fraction(means, best)),
        distance_unshifted=float(means[shifts == 0][0]),
    )


def window_retrieval(
    shifted: Float[np.ndarray, "w 31"], *, windows: int = 1
) -> Bool[np.ndarray, " i"]:
    """For each run of windows with all 31 shifts inside the clip: is its own sound the nearest?

    Chance is 1/31. Ties count as misses, so that a collapsed critic does not score.

    Args:
      shifted: of windows that start one frame after the other.
      windows: length of a run, whose distances are averaged; runs overlap.
    """
    complete = shifted[~np.isnan(shifted).any(axis=1)]
    if len(complete) < windows:
        return np.zeros(0, bool)
    means = np.lib.stride_tricks.sliding_window_view(complete, windows, axis=0).mean(axis=-1)
    own = means[:, MAX_SHIFT_FRAMES : MAX_SHIFT_FRAMES + 1]
    return np.all(np.delete(means, MAX_SHIFT_FRAMES, axis=1) > own, axis=1)


def clip_retrieval(shifted: Float[np.ndarray, "w 31"]) -> bool:
    """Is shift 0 the nearest when distances are averaged over the clip's windows? Ties miss."""
    shifts, means = _shift_means(shifted)
    return bool(np.all(means[shifts != 0] > means[shifts == 0][0]))


@dataclasses.dataclass(frozen=True)
class PairScores:
    """A critic's verdicts on true pairs and on false pairs of the same clip; chance is 0.5.

    at_half: balanced accuracy of "cosine above 0.5 means in sync".
    ranked: share of false pairs whose cosine is below that of the same window's true pair.
    """

    at_half: float
    ranked: float


def pair_scores(face: Float[np.ndarray, "w d"], sound: Float[np.ndarray, "w d"]) -> PairScores:
    """True pairs: a window and its own sound. False: sounds FALSE_GAP_FRAMES or more away.

    Raises:
      ValueError: if the clip is too short for a false pair.
    """
    cosines = face @ sound.T
    own = np.diagonal(cosines)
    place = np.arange(len(face))
    false = np.abs(place[:, None] - place[None, :]) >= FALSE_GAP_FRAMES
    if not false.any():
        raise ValueError(f"clip has {len(face)} windows, want more than {FALSE_GAP_FRAMES}")
    at_half = 0.5 * (np.mean(own > 0.5) + np.mean(cosines[false] <= 0.5))
    ranked = np.mean((own[:, None] > cosines)[false])
    return PairScores(at_half=float(at_half), ranked=float(ranked))


def mean_similarity(
    face: Float[np.ndarray, "w d"], sound: Float[np.ndarray, "v d"], starts: Int[np.ndarray, " w"]
) -> float:
    """Mean cosine of each face window with the sound at its place, where there is one."""
    inside = starts < len(sound)
    return float(np.mean(np.sum(face[inside] * sound[starts[inside]], axis=1)))


def _fraction(means: np.ndarray, best: int) -> float:
    """Where between its neighbours the least lies, -0.5 to 0.5; 0 at the ends."""
    if not 0 < best < len(means) - 1:
        return 0.0
    before, least, after = means[best - 1 : best + 2]
    curvature = before - 2.0 * least + after
    return float(0.5 * (before - after) / curvature) if curvature > 0 else 0.0


def _shift_means(shifted: np.ndarray) -> tuple[Int[np.ndarray, " i"], np.ndarray]:
    reached = ~np.isnan(shifted).all(axis=0)
    shifts = np.arange(-MAX_SHIFT_FRAMES, MAX_SHIFT_FRAMES + 1)[reached]
    return shifts, np.nanmean(shifted[:, reached], axis=0)
