"""Dry speech -> a clip's sound: silence around it, a level, a little noise of a room.

Exact digital silence is what no microphone gives; a net that has only seen that would take a real
room for speech.
"""

import numpy as np

from talkjax.arrays import Float, Int
from talkjax.data.schema import SAMPLE_RATE_HZ, SAMPLES_PER_FRAME

FULL_SCALE = 32768
# A room's noise falls with frequency: half its power is below this.
NOISE_CORNER_HZ = 300.0


def placed(
    speech: Float[np.ndarray, " n"], *, lead_in_s: float, tail_s: float
) -> Float[np.ndarray, " m"]:
    """The speech with silence before and after, a whole number of frames long.

    Args:
      speech: 16 kHz mono in [-1, 1].
      lead_in_s, tail_s: least silence; the start is placed to a sample, the rest of the last
        frame goes to the tail.
    """
    before = round(lead_in_s * SAMPLE_RATE_HZ)
    frames = -(-(before + len(speech) + round(tail_s * SAMPLE_RATE_HZ)) // SAMPLES_PER_FRAME)
    after = frames * SAMPLES_PER_FRAME - before - len(speech)
    return np.pad(speech, (before, after))


def recorded(
    dry: Float[np.ndarray, " n"],
    rng: np.random.Generator,
    *,
    peak_dbfs: float,
    noise_dbfs: float,
) -> Int[np.ndarray, " n"]:
    """The sound as int16: scaled to its peak, with noise under it.

    Args:
      dry: sound that is not all zeros.
      rng: draws the noise.
      peak_dbfs: level of the largest sample before the noise, below 0.
      noise_dbfs: root mean square of the noise.
    """
    scaled = dry * (_amplitude(peak_dbfs) / np.abs(dry).max())
    mixed = scaled + _amplitude(noise_dbfs) * _room_noise(rng, len(dry))
    return np.clip(np.round(mixed * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)


def _room_noise(rng: np.random.Generator, samples: int) -> Float[np.ndarray, " n"]:
    """Noise of root mean square 1 whose spectrum falls 6 dB an octave above the corner."""
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    frequency_hz = np.fft.rfftfreq(samples, 1 / SAMPLE_RATE_HZ)
    noise = np.fft.irfft(spectrum / np.hypot(1.0, frequency_hz / NOISE_CORNER_HZ), n=samples)
    return noise / np.sqrt(np.mean(noise**2))


def _amplitude(dbfs: float) -> float:
    return 10 ** (dbfs / 20)
