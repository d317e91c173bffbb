"""The first look at a job's inputs: the sound, the face's way through the video, its crops.

Small arrays only. Everything that is wrong with the inputs is said here, before a frame is
generated.
"""

import dataclasses
from pathlib import Path
from typing import Literal

import numpy as np

from talkjax.arrays import Bool, Float, Int, UInt8
from talkjax.data.schema import FPS, SAMPLE_RATE_HZ, SAMPLES_PER_FRAME
from talkjax.errors import UserError
from talkjax.infer.source import FaceSource
from talkjax.media.align import crop
from talkjax.media.audio import SILENCE_DBFS, decode_audio, is_silent
from talkjax.media.detector import Detector
from talkjax.media.track import Track, TrackSettings, track
from talkjax.ops import geometry
from talkjax.progress import progress

# Below this the crop is mostly interpolation, and dlib's landmarks are noise. `talkjax prepare`
# wants 48 px by default: what is learnt from needs detail, what is re-lipped only a steady track.
MIN_FACE_PX = 40.0
# The model hears this much at once; shorter sound has no whole window.
MIN_AUDIO_S = 0.2
# How long `--missing-face hold` keeps a crop where it was: 1 s.
HOLD_LIMIT_FRAMES = 25

MissingFace = Literal["error", "hold", "pass"]


@dataclasses.dataclass(frozen=True)
class Speech:
    """The driving sound, as the model hears it.

    Attributes:
      path: where it is from.
      start_s: time of sample 0 on the file's clock.
      samples: 16 kHz mono, 16 bit as in the records: it is the one thing that grows with the
        length, by 2 MB a minute.
      num_frames: video frames that it lasts, rounded.
      notes: one-line warnings.
    """

    path: Path
    start_s: float
    samples: Int[np.ndarray, " n"]
    num_frames: int
    notes: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class FacePlan:
    """What happens to each frame of the face's video.

    Attributes:
      path: picture or video.
      crop_to_source: (t, 2, 3) float32, where the face is in each source frame; NaN in frames
        that stay as they are.
      missing: (first, end) of the ranges in which no face was found, end exclusive.
      first_crop_u8: crop of the first frame with a face.
      source_hw: rows and columns of the frames.
      max_faces: most faces seen at once.
      notes: one-line warnings.
    """

    path: Path
    crop_to_source: Float[np.ndarray, "t 2 3"]
    missing: tuple[tuple[int, int], ...]
    first_crop_u8: UInt8[np.ndarray, "s s 3"]
    source_hw: tuple[int, int]
    max_faces: int
    notes: tuple[str, ...]

    @property
    def num_frames(self) -> int:
        return len(self.crop_to_source)

    @property
    def crop_px(self) -> int:
        """Side of the crops that `crop_to_source` describes."""
        return len(self.first_crop_u8)

    @property
    def has_face(self) -> Bool[np.ndarray, " t"]:
        """Frames that get a generated face."""
        return np.isfinite(self.crop_to_source).all(axis=(1, 2))


def read_speech(path: Path) -> Speech:
    """The driving sound of any file that has some.

    Raises:
      UserError: if there is none, or it is shorter than the model's window.
    """
    audio = decode_audio(path)
    seconds = len(audio.samples) / SAMPLE_RATE_HZ
    if seconds < MIN_AUDIO_S:
        raise UserError(
            f"{path}: the audio is too short: {seconds:.2f} s, want at least {MIN_AUDIO_S} s "
            "(one window of the model); give a longer sound"
        )
    notes = list(audio.notes)
    if is_silent(audio.samples):
        notes.append(f"{path}: silent audio (no sample reaches {SILENCE_DBFS:.0f} dBFS)")
    num_frames = int(np.floor(len(audio.samples) / SAMPLES_PER_FRAME + 0.5))
    return Speech(path, audio.start_s, _to_i16(audio.samples), num_frames, tuple(notes))


def scan_face(
    path: Path,
    detector: Detector,
    *,
    num_frames: int,
    size_px: int,
    smooth_sigma_frames: float,
    missing_face: MissingFace,
    face_choice: Literal["largest", "center"],
) -> FacePlan:
    """Follows the face through up to `num_frames` frames and plans each frame's crop.

    Args:
      num_frames: frames of the output; the rest of a longer video is not looked at.
      size_px: side of the crops (`Predictor.crop_px`).
      smooth_sigma_frames: smoothing of the crops over time, as in the model's data.
      missing_face: what to do about frames without a face; see `planned_crops`.
      face_choice: which of several faces.

    Raises:
      UserError: if there is no face at all, it is too small, or (with "error") missing at times.
    """
    with FaceSource(path, num_frames, to_and_fro=False) as source:
        frames = progress(source, total=source.promised_frames, label="find the face")
        settings = TrackSettings(choose=face_choice)
        found = track(frames, detector, settings=settings)
        notes = list(source.notes)
    check_face(path, found)
    smooth = geometry.smooth_crops(found.landmarks_xy_px, size_px, smooth_sigma_frames)
    crops, plan_notes = planned_crops(path, found, smooth, missing_face=missing_face)
    if found.max_faces > 1:
        notes.append(
            f"{path}: {found.max_faces} faces in a frame; the {face_choice} one is taken "
            "(--face-choice) and followed"
        )
    first = int(np.flatnonzero(np.isfinite(crops).all(axis=(1, 2)))[0])
    return FacePlan(
        path=path,
        crop_to_source=crops,
        missing=found.missing,
        first_crop_u8=_crop_of_frame(path, first, crops[first], size_px=size_px),
        source_hw=found.source_hw,
        max_faces=found.max_faces,
        notes=(*notes, *plan_notes),
    )


def check_face(path: Path, found: Track) -> None:
    """Raises UserError if there is no face to work on."""
    if not found.found.any():
        raise UserError(
            f"{path}: no face found in {_counted(found.num_frames)}; want a frontal face of at "
            f"least {MIN_FACE_PX:.0f} px"
        )
    if found.face_width_px < MIN_FACE_PX:
        raise UserError(
            f"{path}: the face is too small: {found.face_width_px:.0f} px wide, want at least "
            f"{MIN_FACE_PX:.0f} px; use a closer or larger picture"
        )


def planned_crops(
    path: Path, found: Track, crops: Float[np.ndarray, "t 2 3"], *, missing_face: MissingFace
) -> tuple[Float[np.ndarray, "t 2 3"], tuple[str, ...]]:
    """Crop transforms, NaN where a frame stays as it is, and what to tell about it.

    `crops` are those of the frames with a face, NaN in others.

    "error" refuses a video in which the face is missing; "pass" leaves such frames as they are;
    "hold" keeps the last crop for up to `HOLD_LIMIT_FRAMES`, then leaves the frame as it is.
    """
    if not found.missing:
        return crops, ()
    ranges = ", ".join(_range_text(first, end) for first, end in found.missing)
    what = f"{path}: no face in {ranges} of {_counted(found.num_frames)}"
    if missing_face == "error":
        raise UserError(
            f"{what}; cut the video, or say what to do: --missing-face pass (leave these frames "
            "as they are) or hold (keep the last place)"
        )
    if missing_face == "pass":
        return crops, (f"{what}; they stay as they are",)
    crops = crops.copy()
    for first, end in found.missing:
        if first > 0:
            crops[first : min(end, first + HOLD_LIMIT_FRAMES)] = crops[first - 1]
        else:
            crops[max(0, end - HOLD_LIMIT_FRAMES) : end] = crops[end]
    return crops, (
        f"{what}; the crop is held for up to {HOLD_LIMIT_FRAMES / FPS:.1f} s, after that "
        "they stay as they are",
    )


def _to_i16(samples: Float[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    scaled = samples * 32768.0
    np.clip(np.rint(scaled, out=scaled), -32768, 32767, out=scaled)
    return scaled.astype(np.int16)


def _crop_of_frame(path: Path, index: int, matrix: np.ndarray, *, size_px: int) -> np.ndarray:
    with FaceSource(path, index + 1, to_and_fro=False) as source:
        for frame in source:
            rgb = frame.rgb  # the last one is wanted; no other is kept
    return crop(rgb, matrix, size_px)


def _counted(num_frames: int) -> str:
    return f"{num_frames} frame{'' if num_frames == 1 else 's'}"


def _range_text(first: int, end: int) -> str:
    return f"frames {first}-{end - 1} ({first / FPS:.2f}-{end / FPS:.2f} s)"
