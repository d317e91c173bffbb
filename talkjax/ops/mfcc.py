"""Mel-frequency cepstra as SyncNet hears them: python_speech_features with its defaults.

Host code (numpy, float64 inside). A step is 10 ms, so a video frame at 25 fps is four steps.
Samples are whole numbers as 16-bit sound has them, not scaled to 1: the first value of a step is
the logarithm of its energy.
"""

import functools

import numpy as np
import scipy.fft
from jaxtyping import Float, Int

SAMPLE_RATE_HZ = 16_000
WINDOW_SAMPLES = 400
HOP_SAMPLES = 160
TRANSFORM_SAMPLES = 512
FILTERS = 26
CEPSTRA = 13
LIFTER = 22
PRE_EMPHASIS = 0.97
STEPS_PER_FRAME = 4
BLOCK_STEPS = 4096

# What stands for a zero before its logarithm.
SMALLEST = np.finfo(np.float64).eps


def num_steps(num_samples: int) -> int:
    """How many steps so many samples have; the last one is filled up with zeros."""
    if num_samples <= WINDOW_SAMPLES:
        return 1
    return 1 + -(-(num_samples - WINDOW_SAMPLES) // HOP_SAMPLES)


def mfcc(audio_i16: Int[np.ndarray, " n"]) -> Float[np.ndarray, "s 13"]:
    """13 values for each 10 ms, float32: log energy, then cepstra 1 to 12.

    Args:
      audio_i16: 16 kHz mono, int16.

    Raises:
      ValueError: if there is no sample.

    Source: `mfcc` of jameslyons/python_speech_features 0.6 with default settings: rectangular
    windows of 25 ms, 512-point power spectrum, 26 triangular filters up to 8 kHz, lifter 22.
    """
    if len(audio_i16) == 0:
        raise ValueError("audio for MFCC: got no samples, want at least one")
    every = num_steps(len(audio_i16))
    features = np.empty((every, CEPSTRA), np.float32)
    for first in range(0, every, BLOCK_STEPS):  # bounds the memory of long audio
        last = min(every, first + BLOCK_STEPS)
        features[first:last] = _features(_steps(audio_i16, first, last))
    return features


def mfcc_windows(
    audio_i16: Int[np.ndarray, " n"], first_steps: Int[np.ndarray, " k"], *, steps: int
) -> Float[np.ndarray, "k 13 {steps}"]:
    """`mfcc(audio_i16)[first : first + steps].T` of each, from the samples around it alone.

    Raises:
      ValueError: if a window reaches beyond the sound.
    """
    every = num_steps(len(audio_i16))
    if len(first_steps) and not 0 <= first_steps.min() <= first_steps.max() <= every - steps:
        raise ValueError(
            f"MFCC windows: got starts {first_steps.min()} to {first_steps.max()}, want 0 to "
            f"{every - steps} in sound of {every} steps"
        )
    windows = np.empty((len(first_steps), CEPSTRA, steps), np.float32)
    for place, first in enumerate(first_steps.tolist()):
        windows[place] = _features(_steps(audio_i16, first, first + steps)).T
    return windows


def _steps(audio_i16: np.ndarray, first: int, last: int) -> np.ndarray:
    """Pre-emphasised samples of steps first .. last - 1, (steps, 400); zeros after the end."""
    start = first * HOP_SAMPLES
    stop = (last - 1) * HOP_SAMPLES + WINDOW_SAMPLES
    samples = audio_i16[max(start - 1, 0) : stop].astype(np.float64)
    if start == 0:
        samples = np.concatenate([[0.0], samples])  # the first sample has none before it
    emphasised = samples[1:] - PRE_EMPHASIS * samples[:-1]
    # The padding comes after the emphasis: the step down to silence is not heard.
    padded = np.pad(emphasised, (0, stop - start - len(emphasised)))
    return np.lib.stride_tricks.sliding_window_view(padded, WINDOW_SAMPLES)[::HOP_SAMPLES]


def _features(steps: np.ndarray) -> np.ndarray:
    spectrum = np.square(np.abs(np.fft.rfft(steps, TRANSFORM_SAMPLES))) / TRANSFORM_SAMPLES
    energy = spectrum.sum(axis=1)
    filtered = spectrum @ _filters().T
    log_filtered = np.log(np.where(filtered == 0, SMALLEST, filtered))
    cepstra = scipy.fft.dct(log_filtered, type=2, axis=1, norm="ortho")[:, :CEPSTRA]
    lift = 1 + LIFTER / 2 * np.sin(np.pi * np.arange(CEPSTRA) / LIFTER)
    features = cepstra * lift[None, :]
    features[:, 0] = np.log(np.where(energy == 0, SMALLEST, energy))
    return features


@functools.cache
def _filters() -> Float[np.ndarray, "m f"]:
    """Triangles between 28 points evenly spaced in mel (2595 log10(1 + f / 700)), on whole bins."""
    highest_mel = 2595 * np.log10(1 + SAMPLE_RATE_HZ / 2 / 700)
    corners_hz = 700 * (10 ** (np.linspace(0, highest_mel, FILTERS + 2) / 2595) - 1)
    corners = np.floor((TRANSFORM_SAMPLES + 1) * corners_hz / SAMPLE_RATE_HZ)
    bins = np.arange(TRANSFORM_SAMPLES // 2 + 1)[None, :]
    low, middle, high = (corners[i : i + FILTERS, None] for i in range(3))
    rising = (bins >= low) & (bins < middle)
    falling = (bins >= middle) & (bins < high)
    filters = np.where(rising, (bins - low) / (middle - low), 0.0)
    filters = np.where(falling, (high - bins) / (high - middle), filters)
    filters.flags.writeable = False
    return filters
