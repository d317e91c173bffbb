"""Log-mel front end of Wav2Lip and SyncTalkFace, and the windows the nets see.

Everything here is host code (numpy). Two steps are unusual and matter: the pre-emphasis, and
the symmetric clip to [-4, 4].
"""

import functools

import librosa
import numpy as np
from jaxtyping import Float, Int

SAMPLE_RATE_HZ = 16_000
WINDOW_SAMPLES = 800
HOP_SAMPLES = 200
MEL_BINS = 80
LOWEST_HZ = 55.0
HIGHEST_HZ = 7600.0
PRE_EMPHASIS = 0.97
SMALLEST_MAGNITUDE = 1e-5
REFERENCE_DB = 20.0
FLOOR_DB = -100.0
CLIP = 4.0
BLOCK_FRAMES = 2048


@functools.cache
def mel_basis() -> Float[np.ndarray, "m f"]:
    """The mel filters (Slaney scale and area normalisation) on the 401 bins of the transform."""
    basis = librosa.filters.mel(
        sr=SAMPLE_RATE_HZ,
        n_fft=WINDOW_SAMPLES,
        n_mels=MEL_BINS,
        fmin=LOWEST_HZ,
        fmax=HIGHEST_HZ,
    )
    basis.flags.writeable = False
    return basis


@functools.cache
def _hann() -> Float[np.ndarray, " w"]:
    # periodic, as for a transform (np.hanning is symmetric)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW_SAMPLES) / WINDOW_SAMPLES)
    window.flags.writeable = False
    return window


def log_mel(audio: Float[np.ndarray, " n"]) -> Float[np.ndarray, "s 80"]:
    """The log-mel spectrogram, 80 frames a second, in [-4, 4]; silence is -4.

    Args:
      audio: 16 kHz mono in [-1, 1].

    Returns:
      float32, s = 1 + n // 200 frames; frame i is centred on sample 200 i.

    Raises:
      ValueError: if the audio is too short to be reflected at its ends (400 samples).

    Source: audio.py of Rudrabha/Wav2Lip@5c90fa9 with its hparams (n_fft 800, hop 200, 55 to
    7600 Hz, floor -100 dB). Padding is by reflection, as in the librosa 0.7 it pins.
    """
    half = WINDOW_SAMPLES // 2
    if len(audio) <= half:
        raise ValueError(
            f"audio for a mel spectrogram: got {len(audio)} samples, want more than {half} "
            f"({half / SAMPLE_RATE_HZ} s); use a longer clip"
        )
    samples = audio.astype(np.float64)
    emphasised = np.concatenate([samples[:1], samples[1:] - PRE_EMPHASIS * samples[:-1]])
    padded = np.pad(emphasised, half, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW_SAMPLES)[::HOP_SAMPLES]
    mel = np.empty((len(frames), MEL_BINS))
    for first in range(0, len(frames), BLOCK_FRAMES):  # bounds the memory of long audio
        block = slice(first, first + BLOCK_FRAMES)
        magnitude = np.abs(np.fft.rfft(frames[block] * _hann(), axis=-1))
        mel[block] = magnitude @ mel_basis().T.astype(np.float64)
    level_db = 20 * np.log10(np.maximum(SMALLEST_MAGNITUDE, mel)) - REFERENCE_DB
    scaled = 2 * CLIP * (level_db - FLOOR_DB) / -FLOOR_DB - CLIP
    return np.clip(scaled, -CLIP, CLIP).astype(np.float32)


def mel_start(frame):
    """The mel frame at which the window of a video frame starts: floor(80 frame / 25).

    Args:
      frame: video frame at 25 fps, an int or an array of ints; may be negative.

    Source: `int(80. * (start_frame_num / float(hparams.fps)))` in the training scripts of
    Wav2Lip and SyncTalkFace. Differs: floors below zero too, where `int` rounds to zero.
    """
    return (frame * 16) // 5


def mel_windows(
    mel: Float[np.ndarray, "s m"], first_frames: Int[np.ndarray, " k"], *, mel_frames: int
) -> Float[np.ndarray, "k m {mel_frames}"]:
    """Windows of a spectrogram, bins first; beyond its ends the edge frame is repeated.

    Args:
      mel: as `log_mel` gives it.
      first_frames: mel frame at which each window starts; may be negative or past the end.
      mel_frames: length of a window; 16 = 0.2 s.
    """
    frames = first_frames[:, None] + np.arange(mel_frames)
    return mel[np.clip(frames, 0, len(mel) - 1)].swapaxes(1, 2)
