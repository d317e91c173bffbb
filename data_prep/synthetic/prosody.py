"""What of the melody of speech moves a head: loudness and pitch, one value a video frame."""

import numpy as np

from talkjax.arrays import Float
from talkjax.data.schema import SAMPLE_RATE_HZ, SAMPLES_PER_FRAME

# Loudness: 0 this far below the loudest frame, 1 at it.
RANGE_DB = 40.0
PITCH_RANGE_HZ = (60.0, 420.0)
# Two periods of the lowest pitch, and a power of two.
WINDOW_SAMPLES = 1024
# A frame is voiced if its sound repeats itself by at least this much (1 is exactly), and is
# not much softer than the loudest.
LEAST_PERIODICITY = 0.5
LEAST_ENERGY = 0.25
# A sound repeats itself at two periods as well; of equal peaks the earlier one counts.
OCTAVE_COST = 0.05


def energy(speech: Float[np.ndarray, " n"]) -> Float[np.ndarray, " t"]:
    """Loudness of each frame in [0, 1], linear in decibels.

    Args:
      speech: 16 kHz mono, a whole number of frames, not all zeros.
    """
    power = (speech.astype(np.float64).reshape(-1, SAMPLES_PER_FRAME) ** 2).mean(axis=1)
    level_db = 10 * np.log10(np.maximum(power / power.max(), 1e-12))
    return np.clip(1 + level_db / RANGE_DB, 0.0, 1.0).astype(np.float32)


def pitch(speech: Float[np.ndarray, " n"]) -> Float[np.ndarray, " t"]:
    """Fundamental frequency at the middle of each frame in Hz, 0 where there is none.

    By the highest peak of the normalised autocorrelation, less a cost for each octave down
    (Boersma 1993); for synthetic speech without noise that is enough.
    """
    frames = len(speech) // SAMPLES_PER_FRAME
    around = WINDOW_SAMPLES // 2 - SAMPLES_PER_FRAME // 2
    padded = np.pad(speech.astype(np.float64), around)
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW_SAMPLES)
    windows = windows[::SAMPLES_PER_FRAME][:frames]
    similar = _autocorrelation(windows)
    shortest, longest = (round(SAMPLE_RATE_HZ / hz) for hz in reversed(PITCH_RANGE_HZ))
    lags = similar[:, shortest : longest + 1]
    cost = OCTAVE_COST * np.log2(np.arange(shortest, longest + 1) / shortest)
    best = (lags - cost[None]).argmax(axis=1)
    found_hz = SAMPLE_RATE_HZ / (shortest + best)
    periodicity = np.take_along_axis(lags, best[:, None], axis=1)[:, 0]
    voiced = (periodicity >= LEAST_PERIODICITY) & (energy(speech) >= LEAST_ENERGY)
    return np.where(voiced, found_hz, 0.0).astype(np.float32)


def _autocorrelation(windows: Float[np.ndarray, "t w"]) -> Float[np.ndarray, "t w"]:
    """Per lag, in [-1, 1], 1 at lag 0; corrected for the taper of the window."""
    taper = np.hanning(windows.shape[1])
    return _raw(windows * taper) / np.maximum(_raw(taper[None]), 1e-3)


def _raw(windows: np.ndarray) -> np.ndarray:
    length = windows.shape[1]
    spectrum = np.fft.rfft(windows, n=2 * length, axis=1)
    lags = np.fft.irfft(np.abs(spectrum) ** 2, axis=1)[:, :length]
    return lags / np.maximum(lags[:, :1], 1e-12)
