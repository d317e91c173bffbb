"""`prepare_clip`: one raw file -> one record, or a reject with its reason. Pure and picklable.

The video is decoded twice, frame by frame: once to follow the face and look for cuts and damage,
once to crop. So memory does not grow with the frame size or, but for the JPEGs, the length.
"""

import dataclasses
import functools
import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import simplejpeg

from data_prep.defects import Defect, FrameWatch, longest_good
from data_prep.layouts.api import Clip
from data_prep.layouts.words import READERS, Words
from data_prep.settings import Settings
from talkjax.data.schema import FPS, SAMPLES_PER_FRAME, Record
from talkjax.errors import UserError
from talkjax.media.align import crop
from talkjax.media.audio import SILENCE_DBFS, decode_audio, is_silent
from talkjax.media.detector import DlibDetector
from talkjax.media.probe import MediaInfo, probe
from talkjax.media.reader import FrameReader
from talkjax.media.track import Track, TrackSettings, track
from talkjax.ops import geometry
from talkjax.ops.mel import log_mel, mel_basis

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
    "crashed": "reading it kills the process",
}
FULL_SCALE = 32768
# Sound cut by more than this beyond the video is worth a note; less is packet padding.
QUIET_EXCESS_FRAMES = 2


@dataclasses.dataclass(frozen=True)
class About:
    """What was seen of a source, kept or not.

    Attributes:
      notes: one-line warnings.
      video_s: seconds of video that were looked at.
      fps: frame rate by the header; 0 if it could not be read.
      audio_rate_hz: 0 without sound.
    """

    notes: tuple[str, ...] = ()
    video_s: float = 0.0
    fps: float = 0.0
    audio_rate_hz: int = 0


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


class _Stop(Exception):
    """Ends the preparation of this clip with a reject."""

    def __init__(self, name: str, detail: str):
        super().__init__(f"{name}: {detail}")
        self.name, self.detail = name, detail


def prepare_clip(clip: Clip, settings: Settings) -> Kept | Reject:
    """Reads, checks, crops and packs one clip.

    Equal files and settings give equal records. Never raises for bad media: that is a `Reject`.
    """
    work = _Work(clip, settings)
    try:
        record = work.record()
    except _Stop as stop:
        return Reject(stop.name, stop.detail, work.about())
    return Kept(record, work.about())


def warm_up() -> None:
    """Loads what every clip needs, so that the first is not slower than the rest."""
    _detector()
    mel_basis()


class _Work:
    """The steps for one clip, with the notes that they leave."""

    def __init__(self, clip: Clip, settings: Settings):
        self.clip, self.settings = clip, settings
        self.notes: list[str] = []
        self.video_s = 0.0
        self.info: MediaInfo | None = None
        self.audio_path = clip.path
        self.first = round((clip.start_s or 0.0) * FPS)
        self.end = None if clip.end_s is None else round(clip.end_s * FPS)

    def about(self) -> About:
        if self.info is None:
            return About(tuple(self.notes), self.video_s)
        return About(
            tuple(self.notes),
            self.video_s,
            round(self.info.average_fps, 3),
            self.info.audio_rate_hz,
        )

    def record(self) -> Record:
        start_s = self._check_streams()
        samples = self._samples()
        followed, watch = self._follow()
        num_frames = self._audible(followed.num_frames, samples)
        samples = samples[: num_frames * SAMPLES_PER_FRAME]
        if is_silent(samples):
            raise _Stop("silent", f"silent audio: no sample reaches {SILENCE_DBFS:.0f} dBFS")
        self._check_faces(followed)
        low, high = self._good_part(followed, watch, num_frames)
        crops = geometry.smooth_crops(
            followed.landmarks_xy_px[low:high],
            self.settings.size_px,
            float(self.settings.smooth_sigma_frames),
        )
        samples = samples[low * SAMPLES_PER_FRAME : high * SAMPLES_PER_FRAME]
        samples = np.pad(samples, (0, (high - low) * SAMPLES_PER_FRAME - len(samples)))
        audio_i16 = np.clip(np.round(samples * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1)
        words = self._words(low, high)
        return Record(
            clip_id=self.clip.clip_id,
            source=self.clip.source,
            identity=self.clip.identity,
            split=self.clip.split,
            size_px=self.settings.size_px,
            frames_jpeg=self._jpegs(crops, low),
            frame_times_s=start_s + (self.first + np.arange(low, high)) / FPS,
            audio_i16=audio_i16.astype(np.int16),
            mel=log_mel((audio_i16 / FULL_SCALE).astype(np.float32)).astype(np.float16),
            landmarks_xy_px=_in_crop(followed.landmarks_xy_px[low:high], crops),
            box_xyxy_px=followed.box_xyxy_px[low:high],
            crop_to_source=crops,
            source_hw=followed.source_hw,
            words=words.words,
            texts={"transcript": words.transcript} if words.transcript else {},
        )

    def _check_streams(self) -> float:
        """The container's time of the first frame."""
        try:
            info = probe(self.clip.path)
        except UserError as error:
            raise _Stop("unreadable", self._plain(error)) from error
        self.info = info
        if not info.has_video:
            raise _Stop("no_video", "no video stream in the file, want a video")
        if not info.has_audio:
            if not self.clip.audio_source:
                raise _Stop("no_audio", "no audio stream in the file; training needs the sound")
            self.audio_path = Path(self.clip.root, self.clip.audio_source)
        return info.start_s

    def _samples(self) -> np.ndarray:
        """The sound from the clip's first frame on, on the video's clock."""
        try:
            audio = decode_audio(self.audio_path)
        except UserError as error:
            raise _Stop("no_audio", self._plain(error)) from error
        self.notes += [self._plain(note) for note in audio.notes]
        return audio.samples[self.first * SAMPLES_PER_FRAME :]

    def _follow(self) -> tuple[Track, FrameWatch]:
        watch = FrameWatch()
        how = TrackSettings(
            choose="largest",
            detect_every_frames=self.settings.detect_every_frames,
            max_gap_frames=self.settings.max_gap_frames,
        )
        try:
            with FrameReader(self.clip.path) as reader:
                frames = watch.watched(self._part(reader))
                followed = track(frames, _detector(), settings=how)
                self.notes += [self._plain(note) for note in reader.notes]
        except UserError as error:
            raise _Stop("unreadable", self._plain(error)) from error
        self.video_s = followed.num_frames / FPS
        if self.video_s < self.settings.min_seconds:
            raise _Stop(
                "too_short",
                f"too short: {self.video_s:.2f} s of video ({followed.num_frames} frames), want "
                f"at least {self.settings.min_seconds:g} s",
            )
        return followed, watch

    def _part(self, reader: Iterable) -> Iterable:
        """The frames between the clip's start and end."""
        for frame in reader:
            if self.end is not None and frame.index >= self.end:
                return
            if frame.index >= self.first:
                yield frame

    def _audible(self, num_frames: int, samples: np.ndarray) -> int:
        """Frames that have sound. A rest of up to one frame is filled with zeros."""
        covered = len(samples) / SAMPLES_PER_FRAME
        if covered >= num_frames - 1:
            if covered > num_frames + QUIET_EXCESS_FRAMES and self.end is None:
                self.notes.append(
                    f"audio cut from {covered / FPS:.2f} s to {num_frames / FPS:.2f} s, where the "
                    "video ends"
                )
            return num_frames
        kept = math.floor(covered)
        if kept < self.settings.min_seconds * FPS:
            raise _Stop(
                "audio_short",
                f"the audio ends {covered / FPS:.2f} s after the video's start, want at least "
                f"{self.settings.min_seconds:g} s",
            )
        self.notes.append(
            f"video cut from {num_frames / FPS:.2f} s to {kept / FPS:.2f} s, where the audio ends"
        )
        return kept

    def _check_faces(self, followed: Track) -> None:
        if not followed.usable.any():
            raise _Stop("no_face", f"no face found in {followed.num_frames} frames")
        if followed.max_faces > 1:
            if self.settings.several_faces == "reject":
                raise _Stop("several_faces", f"{followed.max_faces} faces at once, want one")
            self.notes.append(
                f"{followed.max_faces} faces at once; kept the largest of the first second"
            )
        width = followed.face_width_px
        if width < self.settings.min_face_px:
            raise _Stop(
                "face_too_small",
                f"face too small: {width:.0f} px wide in the source, want at least "
                f"{self.settings.min_face_px:g} px",
            )

    def _good_part(self, followed: Track, watch: FrameWatch, num_frames: int) -> tuple[int, int]:
        """First and end of the frames to keep."""
        defects = watch.defects(num_frames)
        defects += [
            Defect("face_lost", first, min(end, num_frames))
            for first, end in followed.missing
            if first < num_frames
        ]
        low, high = longest_good(num_frames, defects)
        if not defects:
            return low, high
        text = "; ".join(str(defect) for defect in defects)
        kept_s, min_s = (high - low) / FPS, self.settings.min_seconds
        least_s = max(min_s, self.settings.min_kept_fraction * num_frames / FPS)
        if self.settings.on_defect == "reject" or kept_s < least_s:
            # Whoever follows after a cut has another face: the cut is the cause.
            names = {defect.name for defect in defects}
            name = next(n for n in ("shot_cut", "damaged", "face_lost") if n in names)
            raise _Stop(name, f"{text}; the longest good stretch has {kept_s:.2f} s")
        self.notes.append(f"{text}; kept frames {low}-{high - 1} ({kept_s:.2f} s)")
        return low, high

    def _jpegs(self, crops: np.ndarray, low: int) -> tuple[bytes, ...]:
        """The second pass over the video."""
        size_px = self.settings.size_px
        frames = []
        with FrameReader(self.clip.path) as reader:
            for frame in reader:
                place = frame.index - self.first - low
                if place >= len(crops):
                    break
                if place >= 0:
                    face = crop(frame.rgb, crops[place], size_px)
                    frames.append(
                        simplejpeg.encode_jpeg(
                            face, self.settings.jpeg_quality, "RGB", "444", fastdct=False
                        )
                    )
        return tuple(frames)

    def _words(self, low: int, high: int) -> Words:
        """Words on the record's clock, those that reach into it, cut at its ends."""
        if not self.clip.words_source:
            return Words((), "")
        path = Path(self.clip.root, self.clip.words_source)
        try:
            found = READERS[self.clip.words_format](path)
        except UserError as error:
            raise _Stop("bad_words", self._plain(error)) from error
        offset_s, length_s = (self.first + low) / FPS, (high - low) / FPS
        words = tuple(
            (max(start - offset_s, 0.0), min(end - offset_s, length_s), word)
            for start, end, word in found.words
            if end > offset_s and start < offset_s + length_s
        )
        # A part of the words is not the transcript.
        whole = len(words) == len(found.words)
        return Words(words, found.transcript if whole else " ".join(w for _, _, w in words))

    def _plain(self, text: UserError | str) -> str:
        """A message without the path: the report has its own name for the clip."""
        text = str(text)
        for path in (self.clip.path, self.audio_path):
            text = text.removeprefix(f"{path}: ")
        return text


def _in_crop(landmarks: np.ndarray, crops: np.ndarray) -> np.ndarray:
    """Landmarks of the source frames in the pixels of their crops, float32."""
    points = [
        geometry.transform_points(geometry.invert(matrix.astype(np.float64)), points)
        for matrix, points in zip(crops, landmarks.astype(np.float64), strict=True)
    ]
    return np.stack(points).astype(np.float32)


@functools.cache
def _detector() -> DlibDetector:
    """One per process: loading its models takes as long as a clip."""
    return DlibDetector()
