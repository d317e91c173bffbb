"""The sound of a clip whose picture and sound belong together, frame for frame."""

import dataclasses
import math
import os

import numpy as np

from talkjax.arrays import Float
from talkjax.data.schema import FPS, SAMPLES_PER_FRAME
from talkjax.media.audio import SILENCE_DBFS, decode_audio, is_silent

# Encoders pad the sound to whole packets; cutting up to this much needs no note.
QUIET_EXCESS_FRAMES = 2


@dataclasses.dataclass(frozen=True)
class ClipAudio:
    """Sound that covers whole frames of a clip's video.

    Attributes:
      samples: 16 kHz mono float32, exactly `num_frames` * 640.
      num_frames: how many frames of the video to keep, from the first.
      notes: one-line warnings: what was cut, damage, silence.
    """

    samples: Float[np.ndarray, " n"]
    num_frames: int
    notes: tuple[str, ...]


def read_clip_audio(path: str | os.PathLike[str], num_frames: int) -> ClipAudio:
    """Reads the sound that goes with the first `num_frames` 25 fps frames of the same file.

    The clock is the video's: sound is placed by its timestamps relative to the first frame
    (late sound has zeros before it). If the sound ends more than one frame before the video,
    the video is to be cut to the frames that have sound; a rest of up to one frame is filled
    with zeros. Longer sound is cut.

    Raises:
      UserError: as `decode_audio`.
    """
    audio = decode_audio(path)
    notes = list(audio.notes)
    covered = len(audio.samples) / SAMPLES_PER_FRAME
    kept = num_frames
    if covered < num_frames - 1:
        kept = math.floor(covered)
        notes.append(_cut_note(path, "video", kept=kept, was=float(num_frames)))
    elif covered > num_frames + QUIET_EXCESS_FRAMES:
        notes.append(_cut_note(path, "audio", kept=num_frames, was=covered))
    samples = audio.samples[: kept * SAMPLES_PER_FRAME]
    samples = np.pad(samples, (0, kept * SAMPLES_PER_FRAME - len(samples)))
    if is_silent(samples):
        notes.append(f"{path}: silent audio (no sample reaches {SILENCE_DBFS:.0f} dBFS)")
    return ClipAudio(samples=samples, num_frames=kept, notes=tuple(notes))


def _cut_note(path: str | os.PathLike[str], what: str, *, kept: int, was: float) -> str:
    other = "audio" if what == "video" else "video"
    return (
        f"{path}: {what} cut from {was / FPS:.2f} s to {kept / FPS:.2f} s, where the {other} ends"
    )
