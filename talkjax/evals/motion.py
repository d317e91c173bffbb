"""How the lips move: do they rest in silence, do they tremble.

Peers' users complain of both (a mouth that moves in silence, jitter), and neither LMD nor a
sync critic sees them.
"""

import numpy as np

from talkjax.arrays import AnyArray, Bool, Float, Int, UInt8
from talkjax.ops.mel import PRE_EMPHASIS, SAMPLE_RATE_HZ

FRAMES_PER_SECOND = 25
SAMPLES_PER_FRAME = SAMPLE_RATE_HZ // FRAMES_PER_SECOND

# A frame is quiet when its level is this far below the clip's loud frames (95th percentile),
# or below an absolute floor. Levels are taken after the mel's pre-emphasis: rumble of a room
# lies within 25 dB of the voice in plain level, and 35 dB and more below it after (GRID).
QUIET_BELOW_LOUD_DB = 25.0
QUIET_FLOOR_DBFS = -70.0
# Lips close some time after the last sound and open well before the first: only what is left
# of a pause without these counts. (On GRID mouths open up to 0.4 s ahead.)
MIN_PAUSE_FRAMES = 6
AFTER_SPEECH_FRAMES = 4
BEFORE_SPEECH_FRAMES = 10
# The clip's own rest and open mouth: percentiles of its true opening.
REST_PERCENTILE, OPEN_PERCENTILE = 5.0, 95.0


def frame_level_dbfs(audio_i16: Int[np.ndarray, " n"]) -> Float[np.ndarray, " t"]:
    """RMS level of each video frame's 40 ms of pre-emphasised sound, dB re full scale."""
    count = len(audio_i16) // SAMPLES_PER_FRAME
    samples = audio_i16[: count * SAMPLES_PER_FRAME].astype(np.float64) / 32768.0
    emphasised = np.concatenate([samples[:1], samples[1:] - PRE_EMPHASIS * samples[:-1]])
    power = np.mean(np.square(emphasised.reshape(count, SAMPLES_PER_FRAME)), axis=1)
    return 10.0 * np.log10(np.maximum(power, 1e-12))


def silent_frames(level_dbfs: Float[np.ndarray, " t"]) -> Bool[np.ndarray, " t"]:
    """Which frames lie well inside a pause; pauses at the clip's ends reach the end."""
    loud = np.percentile(level_dbfs, 95.0)
    quiet = level_dbfs < max(loud - QUIET_BELOW_LOUD_DB, QUIET_FLOOR_DBFS)
    silent = np.zeros(len(quiet), dtype=bool)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], quiet, [False]]).astype(np.int8)))
    for start, end in edges.reshape(-1, 2):
        if end - start >= MIN_PAUSE_FRAMES:
            first = start if start == 0 else start + AFTER_SPEECH_FRAMES
            last = end if end == len(quiet) else end - BEFORE_SPEECH_FRAMES
            silent[first : max(last, first)] = True
    return silent


def silence_opening(
    opening: Float[np.ndarray, " t"],
    silent: Bool[np.ndarray, " t"],
    *,
    true_opening: Float[np.ndarray, " u"],
) -> float | None:
    """Mean lip opening in silence: 0 is the face's own resting mouth, 1 its open mouth.

    Args:
      opening: of the frames that are judged.
      silent: of the sound that drove them.
      true_opening: of the face's own clip; its percentiles fix 0 and 1.

    Returns:
      None where nothing is silent or the true mouth never moves.
    """
    rest, wide = np.percentile(true_opening, [REST_PERCENTILE, OPEN_PERCENTILE])
    if not silent.any() or wide - rest < 1e-6:
        return None
    return float(np.mean((opening[silent] - rest) / (wide - rest)))


def mean_second_difference(series: Float[AnyArray, "t ..."]) -> float:
    """Mean absolute second difference over time: what a tremble adds to and a glide does not.

    Raises:
      ValueError: with fewer than three frames.
    """
    if len(series) < 3:
        raise ValueError(f"jitter: got {len(series)} frames, want 3 or more")
    return float(np.mean(np.abs(np.diff(np.asarray(series, np.float64), n=2, axis=0))))


def jitter_ratio(
    pred: Float[np.ndarray, "t ..."], target: Float[np.ndarray, "t ..."]
) -> float | None:
    """Second difference of pred over the truth's; 1 is as lively as the truth, None if that is 0.

    Speech itself has second differences, so a mouth that hardly moves is far below 1.
    """
    reference = mean_second_difference(target)
    return mean_second_difference(pred) / reference if reference > 0 else None


def pixel_jitter_ratio(
    pred_u8: UInt8[np.ndarray, "t h w 3"], target_u8: UInt8[np.ndarray, "t h w 3"]
) -> float | None:
    """`jitter_ratio` of pixels: flicker."""
    return jitter_ratio(pred_u8.astype(np.float32), target_u8.astype(np.float32))
