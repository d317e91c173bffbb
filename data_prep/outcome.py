"""What can become of a clip: a record, or a reject with its reason."""

import dataclasses

from talkjax.data.schema import Record
from talkjax.media.audio import SILENCE_DBFS

# Every name that a reject can carry, in the order of the checks; `crashed` is the pool's.
FILTERS = {
    "unreadable": "cannot be opened or decoded",
    "no_video": "has no video stream",
    "no_audio": "has no audio stream, or no samples in it",
    "too_short": "less video than min_seconds",
    "audio_short": "the sound ends before min_seconds",
    "silent": f"no sample of the sound reaches {SILENCE_DBFS:.0f} dBFS",
    "no_face": "no face in any frame",
    "several_faces": "more than one face, with several_faces=reject",
    "face_too_small": "the median face box is narrower than min_face_px",
    "shot_cut": "a cut leaves no good stretch that is long enough",
    "damaged": "flat (grey) frames leave no good stretch that is long enough",
    "face_lost": "the face is missing and no good stretch is long enough",
    "bad_words": "the word file cannot be read",
    "sync_confidence": "the critic's confidence is below min_confidence",
    "sync_offset": "by the critic lips and sound are further apart than max_offset_frames",
    "crashed": "reading it kills the process",
}
# What cuts kept clips short.
TRIMS = ("shot_cut", "damaged", "face_lost", "audio_short", "sync_offset")


@dataclasses.dataclass(frozen=True)
class About:
    """What was seen of a source, kept or not.

    Attributes:
      notes: one-line warnings.
      video_s: seconds of video that were looked at.
      fps: frame rate by the header; 0 if it could not be read.
      audio_rate_hz: 0 without sound.
      trimmed: what cut a kept clip short, of TRIMS.
    """

    notes: tuple[str, ...] = ()
    video_s: float = 0.0
    fps: float = 0.0
    audio_rate_hz: int = 0
    trimmed: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Kept:
    """A clip that became a record, ready to encode."""

    record: Record
    about: About


@dataclasses.dataclass(frozen=True)
class Reject:
    """A clip that was left out.

    Attributes:
      filter: a key of FILTERS.
      detail: one line: what was found, and what is wanted.
      about: what was seen of the source.
    """

    filter: str
    detail: str
    about: About = About()


class Stop(Exception):
    """Ends the preparation of this clip with a reject."""

    def __init__(self, name: str, detail: str, about: About = About()):
        super().__init__(f"{name}: {detail}")
        self.name, self.detail, self.about = name, detail, about
