"""Drawings whose mouth can be read off two patches, with a sound that says the same."""

import os

import numpy as np

from talkjax.evals.runner import EvalClip
from talkjax.ops.mel import mel_start

FRAMES = 44
OPENING_PATCH = (slice(80, 90), slice(48, 58))
WIDTH_PATCH = (slice(80, 90), slice(70, 80))
EYE_DISTANCE_PX = 128 / 3


def lips(seed: int, frames: int = FRAMES) -> np.ndarray:
    """(t, 2) opening and width in [0, 1]; the mouth rests in the first 14 frames."""
    rng = np.random.default_rng(seed)
    values = rng.uniform(0.2, 1.0, size=(frames, 2))
    values[:14] = 0.0
    return np.round(values * 255) / 255


def with_mouth(frames_u8: np.ndarray, values: np.ndarray) -> np.ndarray:
    frames = frames_u8.copy()
    levels = np.round(values * 255).astype(np.uint8)
    for patch, level in ((OPENING_PATCH, levels[:, 0]), (WIDTH_PATCH, levels[:, 1])):
        frames[(slice(None), *patch)] = level[:, None, None, None]
    return frames


def read_mouth(frames_u8: np.ndarray) -> np.ndarray:
    patches = [frames_u8[(slice(None), *patch)] for patch in (OPENING_PATCH, WIDTH_PATCH)]
    return np.stack([p.mean(axis=(1, 2, 3)) / 255 for p in patches], axis=1)


def track(frames_u8: np.ndarray) -> np.ndarray:
    """68 landmarks whose lip opening and mouth width are those of the patches, as fractions of
    the eye distance: opening o gives 0.2 o, width w gives 0.5 + 0.2 w."""
    values = read_mouth(frames_u8)
    points = np.zeros((len(frames_u8), 68, 2))
    points[:, 36:42] = (64 - EYE_DISTANCE_PX / 2, 36)
    points[:, 42:48] = (64 + EYE_DISTANCE_PX / 2, 36)
    points[:, 48:68] = (64, 85)
    half_gap = 0.1 * EYE_DISTANCE_PX * values[:, 0]
    points[:, 62, 1] -= half_gap
    points[:, 66, 1] += half_gap
    half_width = (0.25 + 0.1 * values[:, 1]) * EYE_DISTANCE_PX
    points[:, 48, 0] -= half_width
    points[:, 54, 0] += half_width
    return points


def track_or_die(frames_u8: np.ndarray) -> np.ndarray:
    """As `track`, but frames whose first pixel is black end the process."""
    if not frames_u8[0, 0, 0].any():
        os._exit(1)
    return track(frames_u8)


def mel_of(values: np.ndarray) -> np.ndarray:
    """(s, 80): the lower bins say the opening, the upper ones the width."""
    mel = np.zeros((1 + len(values) * 640 // 200, 80), np.float32)
    for frame, (opening, width) in enumerate(values):
        mel[mel_start(frame) :, :40] = opening
        mel[mel_start(frame) :, 40:] = width
    return mel


def lips_of(mel: np.ndarray, frames: int) -> np.ndarray:
    rows = np.minimum(mel_start(np.arange(frames)), len(mel) - 1)
    said = np.stack([mel[rows, 0], mel[rows, 79]], axis=1).astype(np.float64)
    return np.clip(said, 0.0, 1.0)  # digital silence is -4


def clip(seed: int, frames: int = FRAMES) -> EvalClip:
    values = lips(seed, frames)
    rng = np.random.default_rng([seed, 1])
    background = rng.integers(0, 256, size=(1, 128, 128, 3), dtype=np.uint8)
    truth = with_mouth(np.repeat(background, frames, axis=0), values)
    loudness = np.repeat(values[:, 0], 640)
    wave = loudness * np.sin(np.arange(len(loudness)) * 0.3)
    return EvalClip(
        truth_u8=truth,
        model_u8=truth,
        mel=mel_of(values),
        audio_i16=np.round(wave * 20000).astype(np.int16),
    )


def listens(frames_u8, reference_u8, mel):
    """A perfect model: the mouth that the sound says."""
    return with_mouth(frames_u8, lips_of(mel, len(frames_u8)))


def deaf(frames_u8, reference_u8, mel):
    """A model that ignores the sound and moves at random."""
    return with_mouth(frames_u8, lips(991, len(frames_u8)))


def peeks(frames_u8, reference_u8, mel):
    """A model that reads the lips off the face it is given."""
    return frames_u8.copy()


def embed_windows(values: np.ndarray) -> np.ndarray:
    """(1, w, 5, 2) lips of windows -> unit vectors (1, w, 10)."""
    flat = values.reshape(1, values.shape[1], -1) - 0.5
    return flat / np.maximum(np.linalg.norm(flat, axis=-1, keepdims=True), 1e-9)


def embed_faces(batch):
    frames = batch["frames_u8"]
    read = read_mouth(frames.reshape(-1, *frames.shape[-3:]))
    return embed_windows(read.reshape(1, frames.shape[1], 5, 2))


def embed_sound(batch):
    chunks = batch["mel_chunk"]  # 1 w 80 16
    # frames start at mel frames 0, 3.2, ... of the window, wherever it begins
    rows = np.array([1, 4, 7, 10, 14])
    read = np.stack([chunks[:, :, 0, rows], chunks[:, :, 79, rows]], axis=-1)
    return embed_windows(read)
