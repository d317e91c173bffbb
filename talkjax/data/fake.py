"""Toy talkers: a cartoon face whose mouth is driven by its audio, to overfit and to test on.

Written explicitly in a config as `fake://<clips>x<frames>[?size=<px>]`, e.g.
`fake://8x75?size=64`; never a stand-in for data that could not be read. The sound of a frame
determines its mouth: loudness opens it, brightness (energy in the upper formant) widens it. Both
change a few times a second and pause now and then. Skin, eyes and place of the mouth belong to
the identity, and the light drifts over a clip, so that a reference frame tells something.
Deterministic: one (path, split, index) gives the same bytes everywhere that numpy and libjpeg do.
"""

import dataclasses
import re

import numpy as np
import simplejpeg
from jaxtyping import Float, UInt8

from talkjax.data import schema
from talkjax.errors import UserError
from talkjax.ops import mel

SCHEME = "fake://"
DEFAULT_SIZE_PX = 64
JPEG_QUALITY = 95
CLIPS_PER_IDENTITY = 4
# Fractions of the crop's side: eye distance, eye line and mouth line of the aligned crop.
EYE_DISTANCE = 1 / 3
EYE_LINE = 0.28
MOUTH_LINE = 0.68
WORD_FRAMES = 8
# By whether the mouth is open, then by whether it is wide.
WORDS = (("oo", "mm"), ("ah", "ee"))
_SPLIT_SEEDS = {"train": 0, "val": 1, "test": 2}


@dataclasses.dataclass(frozen=True)
class Toy:
    """What the address asks for: clips per split, frames per clip, side of the crops."""

    clips: int
    frames: int
    size_px: int


def parse(path: str) -> Toy:
    """Reads `fake://<clips>x<frames>[?size=<px>]`.

    Raises:
      UserError: if it has another form or asks for nothing.
    """
    match = re.fullmatch(r"fake://(\d+)x(\d+)(?:\?size=(\d+))?", path)
    if not match:
        raise UserError(f"{path}: want fake://<clips>x<frames>[?size=<px>], e.g. fake://8x75")
    size_px = int(match[3]) if match[3] else DEFAULT_SIZE_PX
    toy = Toy(clips=int(match[1]), frames=int(match[2]), size_px=size_px)
    if toy.clips < 1 or toy.frames < 1 or toy.size_px < 16:
        raise UserError(f"{path}: want at least 1 clip, 1 frame and a size of 16 px")
    return toy


def clip_id(split: str, index: int) -> str:
    return f"toy/{split}-{index:05d}"


def identity(split: str, index: int) -> str:
    return f"toy-{split}-{index // CLIPS_PER_IDENTITY}"


def make_record(toy: Toy, split: str, index: int) -> schema.Record:
    """Clip `index` of a split, through the same schema as prepared video."""
    if split not in _SPLIT_SEEDS:
        raise UserError(f"split: got {split!r}, want one of {', '.join(_SPLIT_SEEDS)}")
    rng = np.random.default_rng([_SPLIT_SEEDS[split], index])
    loudness, brightness = _syllables(rng, toy.frames), _syllables(rng, toy.frames)
    audio = speech(rng, loudness, brightness)
    face = _Face.draw(np.random.default_rng([_SPLIT_SEEDS[split], 7, index // CLIPS_PER_IDENTITY]))
    frames_u8 = cartoon(loudness, brightness, face=face, size_px=toy.size_px)
    times_s = np.arange(toy.frames) / schema.FPS
    audio_i16 = np.round(audio * 32767).astype(np.int16)
    size = toy.size_px
    eye_left, eye_right = size * (0.5 - EYE_DISTANCE / 2), size * (0.5 + EYE_DISTANCE / 2)
    corner = 0.05 * size
    points = [  # dlib's order: outer and inner corner of each eye, then under the nose
        [eye_right + corner, EYE_LINE * size],
        [eye_right - corner, EYE_LINE * size],
        [eye_left - corner, EYE_LINE * size],
        [eye_left + corner, EYE_LINE * size],
        [0.5 * size, 0.52 * size],
    ]
    whole = np.eye(2, 3, dtype=np.float32)  # the crop is the source frame
    return schema.Record(
        clip_id=clip_id(split, index),
        source=f"{SCHEME}{split}/{index}",
        identity=identity(split, index),
        split=split,
        size_px=size,
        frames_jpeg=tuple(
            simplejpeg.encode_jpeg(frame, quality=JPEG_QUALITY, colorsubsampling="420")
            for frame in frames_u8
        ),
        frame_times_s=times_s,
        audio_i16=audio_i16,
        mel=mel.log_mel(audio_i16.astype(np.float32) / 32768).astype(np.float16),
        landmarks_xy_px=np.tile(np.asarray(points, np.float32), (toy.frames, 1, 1)),
        box_xyxy_px=np.tile(np.asarray([0, 0, size, size], np.float32), (toy.frames, 1)),
        crop_to_source=np.tile(whole, (toy.frames, 1, 1)),
        source_hw=(size, size),
        words=_words(loudness, brightness),
        labels=_lips(loudness, brightness, face=face),
    )


def _words(
    loudness: Float[np.ndarray, " t"], brightness: Float[np.ndarray, " t"]
) -> tuple[tuple[float, float, str], ...]:
    """Words of `WORD_FRAMES` frames, named after what the mouth does in them on average."""
    words = []
    for first in range(0, len(loudness) - WORD_FRAMES + 1, WORD_FRAMES):
        part = slice(first, first + WORD_FRAMES)
        name = WORDS[int(loudness[part].mean() > 0.5)][int(brightness[part].mean() > 0.5)]
        words.append((first / schema.FPS, (first + WORD_FRAMES) / schema.FPS, name))
    return tuple(words)


def _syllables(rng: np.random.Generator, frames: int) -> Float[np.ndarray, " t"]:
    """A smooth curve in [0, 1], about three bumps a second, with pauses."""
    knots = rng.uniform(0.2, 1.0, size=frames // 4 + 3)
    knots[rng.random(len(knots)) < 0.3] = 0.0
    position = np.arange(frames) / 4 + rng.uniform()
    below = position.astype(int)
    blend = 0.5 - 0.5 * np.cos(np.pi * (position - below))
    return (1 - blend) * knots[below] + blend * knots[below + 1]


def speech(
    rng: np.random.Generator, loudness: Float[np.ndarray, " t"], brightness: Float[np.ndarray, " t"]
) -> Float[np.ndarray, " n"]:
    """16 kHz audio in [-1, 1]: a buzz whose level follows `loudness`, its colour `brightness`.

    Args:
      rng: picks the pitch, and a noise floor at about -66 dB.
      loudness: in [0, 1], one a frame.
      brightness: in [0, 1], one a frame.
    """
    samples = len(loudness) * schema.SAMPLES_PER_FRAME
    time_s = np.arange(samples) / schema.SAMPLE_RATE_HZ
    at_frame = time_s * schema.FPS - 0.5  # a frame's value holds at its middle
    grid = np.arange(len(loudness))
    level = np.interp(at_frame, grid, loudness)
    colour = np.interp(at_frame, grid, brightness)
    pitch_hz = rng.uniform(100.0, 220.0)
    phase = 2 * np.pi * pitch_hz * time_s
    low = sum(np.sin(k * phase) / k for k in (1, 2, 3, 4, 5)) / 2
    high = sum(np.sin(k * phase) / 4 for k in (12, 14, 16, 18))
    wave = level * (0.5 * low * (1 - 0.5 * colour) + 0.4 * high * colour)
    return np.clip(wave + 0.0005 * rng.standard_normal(samples), -1.0, 1.0)


@dataclasses.dataclass(frozen=True)
class _Face:
    skin_rgb: tuple[float, ...]
    background_rgb: tuple[float, ...]
    iris_rgb: tuple[float, ...]
    mouth_width: float
    jaw_width: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "_Face":
        tone = rng.uniform(0.45, 0.95)
        return cls(
            skin_rgb=(tone, tone * rng.uniform(0.7, 0.85), tone * rng.uniform(0.5, 0.7)),
            background_rgb=tuple(rng.uniform(0.1, 0.9, 3).tolist()),
            iris_rgb=tuple(rng.uniform(0.0, 0.5, 3).tolist()),
            mouth_width=float(rng.uniform(0.11, 0.14)),
            jaw_width=float(rng.uniform(0.36, 0.42)),
        )


def cartoon(
    loudness: Float[np.ndarray, " t"],
    brightness: Float[np.ndarray, " t"],
    *,
    face: _Face,
    size_px: int,
) -> UInt8[np.ndarray, "t h w 3"]:
    """One picture a frame; mouth height follows loudness, its width brightness."""
    axis = (np.arange(size_px, dtype=np.float32) + 0.5) / size_px
    y, x = np.meshgrid(axis, axis, indexing="ij")
    frames = np.empty((len(loudness), size_px, size_px, 3), np.uint8)
    for f, (loud, bright) in enumerate(zip(loudness, brightness, strict=True)):
        picture = np.broadcast_to(np.float32(face.background_rgb), (size_px, size_px, 3)).copy()
        light = 1 + 0.08 * np.sin(2 * np.pi * f / 61)
        _paint(picture, _inside(x, y, (0.5, 0.5), (face.jaw_width, 0.47)), face.skin_rgb)
        picture *= np.float32(light) * (1.1 - 0.2 * x[..., None])
        for eye_x in (0.5 - EYE_DISTANCE / 2, 0.5 + EYE_DISTANCE / 2):
            _paint(picture, _inside(x, y, (eye_x, EYE_LINE), (0.07, 0.035)), (1.0, 1.0, 1.0))
            _paint(picture, _inside(x, y, (eye_x, EYE_LINE), (0.03, 0.03)), face.iris_rgb)
        width, height = _mouth_radii(loud, bright, face=face)
        _paint(picture, _inside(x, y, (0.5, MOUTH_LINE), (width + 0.025, height + 0.025)), _LIPS)
        _paint(picture, _inside(x, y, (0.5, MOUTH_LINE), (width, height)), _CAVITY)
        frames[f] = np.clip(np.round(picture * 255), 0, 255)
    return frames


def _mouth_radii(
    loud: float | np.ndarray, bright: float | np.ndarray, *, face: _Face
) -> tuple[float | np.ndarray, float | np.ndarray]:
    """Half the width and half the height of the open mouth, in sides of the picture."""
    return face.mouth_width * (0.8 + 0.5 * bright), 0.012 + 0.09 * loud


def _lips(loudness: np.ndarray, brightness: np.ndarray, *, face: _Face) -> dict[str, np.ndarray]:
    """The labels of the mouth, in eye distances."""
    width, height = _mouth_radii(loudness, brightness, face=face)
    drawn = {"lip_opening": height, "lip_width": width}
    return {name: (2 * radius / EYE_DISTANCE).astype(np.float32) for name, radius in drawn.items()}


_LIPS = (0.75, 0.25, 0.3)
_CAVITY = (0.12, 0.02, 0.03)


def _inside(
    x: Float[np.ndarray, "h w"],
    y: Float[np.ndarray, "h w"],
    centre: tuple[float, float],
    radii: tuple[float, float],
) -> Float[np.ndarray, "h w"]:
    """How much of each pixel lies in an ellipse, about; all in fractions of the side."""
    radius = np.hypot((x - centre[0]) / radii[0], (y - centre[1]) / radii[1])
    edge = 1.0 / (len(x) * min(radii))  # one pixel, in radii
    return np.clip(0.5 + (1.0 - radius) / edge, 0.0, 1.0).astype(np.float32)


def _paint(
    picture: Float[np.ndarray, "h w 3"],
    cover: Float[np.ndarray, "h w"],
    rgb: tuple[float, ...],
) -> None:
    picture += cover[..., None] * (np.float32(rgb) - picture)
