"""`prepare_parts`: one raw file -> its records, or rejects with their reason. Pure and picklable.

The video is decoded twice, frame by frame: once to follow the face and look for cuts and damage,
once to crop. A long source is cut into parts of at most `max_seconds`, each as good as a clip of
its own; memory grows with the part, not with the source or the frame size.
"""

import contextlib
import dataclasses
import functools
import itertools
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import simplejpeg

from data_prep.defects import Defect, FrameWatch, longest_good
from data_prep.layouts.api import Clip
from data_prep.layouts.words import READERS, Words
from data_prep.outcome import TRIMS, About, Kept, Reject, Stop
from data_prep.settings import Settings
from data_prep.source_reader import SourceReader
from talkjax.data.schema import FPS, SAMPLES_PER_FRAME, Record
from talkjax.errors import UserError
from talkjax.media.align import crop
from talkjax.media.audio import SILENCE_DBFS, is_silent
from talkjax.media.detector import DlibDetector
from talkjax.media.probe import MediaInfo, probe
from talkjax.media.track import Track, TrackSettings, track
from talkjax.ops import geometry
from talkjax.ops.mel import log_mel, mel_basis

FULL_SCALE = 32768
# Sound cut by more than this beyond the video is worth a note; less is packet padding.
QUIET_EXCESS_FRAMES = 2


def prepare_clip(clip: Clip, settings: Settings) -> Kept | Reject:
    """`prepare_parts` for a clip that is one record, however long it is."""
    whole = dataclasses.replace(settings, max_seconds=0)
    ((_, result),) = prepare_parts(clip, whole)
    return result


def prepare_parts(clip: Clip, settings: Settings) -> Iterator[tuple[Clip, Kept | Reject]]:
    """Reads, checks, crops and packs one clip; cuts it where it is longer than `max_seconds`.

    Equal files and settings give equal records. Never raises for bad media: that is a `Reject`.

    Yields:
      The clip, or the part of it with times and an id of its own ("anna/1.part000"), and what
      became of it.
    """
    try:
        source = _open(clip, settings)
    except Stop as stop:
        yield clip, Reject(stop.name, stop.detail, stop.about)
        return
    with contextlib.closing(source):
        for number in itertools.count():
            part = _Part(clip, settings, source, number=number)
            try:
                record = part.record()
            except Stop as stop:
                yield part.clip, Reject(stop.name, stop.detail, part.about())
            else:
                yield part.clip, Kept(record, part.about())
            if not source.has_more or part.is_broken:
                return
            source.next_part(part.num_frames)


def warm_up() -> None:
    """Loads what every clip needs, so that the first is not slower than the rest."""
    _detector()
    mel_basis()


def _open(clip: Clip, settings: Settings) -> SourceReader:
    """The clip's streams, not read yet."""
    try:
        info = probe(clip.path)
    except UserError as error:
        raise Stop("unreadable", _plain(clip, error)) from error
    about = _about(info)
    if not info.has_video:
        raise Stop("no_video", "no video stream in the file, want a video", about)
    audio_path = clip.path
    if not info.has_audio:
        if not clip.audio_source:
            detail = "no audio stream in the file; training needs the sound"
            raise Stop("no_audio", detail, about)
        audio_path = Path(clip.root, clip.audio_source)
    limit = round(settings.max_seconds * FPS)
    return SourceReader(clip, info, audio_path=audio_path, limit=limit)


def _about(info: MediaInfo) -> About:
    return About(fps=round(info.average_fps, 3), audio_rate_hz=info.audio_rate_hz)


class _Part:
    """The steps for one part of a source, with the notes that they leave."""

    def __init__(self, clip: Clip, settings: Settings, source: SourceReader, *, number: int):
        self.whole, self.settings, self.source = clip, settings, source
        self.number, self.first = number, source.place
        self.notes: list[str] = []
        self.trimmed: list[str] = []
        self.num_frames = 0
        self.unread_frames = 0.0
        self.is_broken = False

    @property
    def is_end(self) -> bool:
        """Whether the part ends where the source does."""
        return self.source.is_open_ended and not self.source.has_more

    @property
    def clip(self) -> Clip:
        """The part as a clip of its own; the source's clip where that is all there is."""
        if not self.number and not self.source.has_more:
            return self.whole
        return dataclasses.replace(
            self.whole,
            clip_id=f"{self.whole.clip_id}.part{self.number:03d}",
            start_s=self.first / FPS,
            end_s=self.whole.end_s if self.is_broken else (self.first + self.num_frames) / FPS,
        )

    def about(self) -> About:
        info = self.source.info
        return About(
            tuple(self.notes),
            self.num_frames / FPS,
            round(info.average_fps, 3),
            info.audio_rate_hz,
            tuple(self.trimmed),
        )

    def record(self) -> Record:
        samples = self._samples()
        followed, watch = self._follow()
        num_frames = self._audible(followed.num_frames, samples)
        samples = samples[: num_frames * SAMPLES_PER_FRAME]
        if is_silent(samples):
            raise Stop("silent", f"silent audio: no sample reaches {SILENCE_DBFS:.0f} dBFS")
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
            source=self.whole.source,
            identity=self.whole.identity,
            split=self.whole.split,
            size_px=self.settings.size_px,
            frames_jpeg=self._jpegs(crops, low),
            frame_times_s=self.source.info.start_s + (self.first + np.arange(low, high)) / FPS,
            audio_i16=audio_i16.astype(np.int16),
            mel=log_mel((audio_i16 / FULL_SCALE).astype(np.float32)).astype(np.float16),
            landmarks_xy_px=_in_crop(followed.landmarks_xy_px[low:high], crops),
            box_xyxy_px=followed.box_xyxy_px[low:high],
            crop_to_source=crops,
            source_hw=followed.source_hw,
            words=words.words,
            texts={"transcript": words.transcript} if words.transcript else {},
        )

    def _samples(self) -> np.ndarray:
        """The part's sound, on the video's clock."""
        try:
            return self.source.samples()
        except UserError as error:
            self.is_broken = True
            raise Stop("no_audio", self._plain(error)) from error

    def _follow(self) -> tuple[Track, FrameWatch]:
        watch = FrameWatch()
        how = TrackSettings(
            choose="largest",
            detect_every_frames=self.settings.detect_every_frames,
            max_gap_frames=self.settings.max_gap_frames,
        )
        try:
            followed = track(watch.watched(self.source.frames()), _detector(), settings=how)
        except UserError as error:
            self.is_broken = True
            raise Stop("unreadable", self._plain(error)) from error
        self.num_frames = followed.num_frames
        self._read_to_the_end()
        if self.num_frames < self.settings.min_seconds * FPS:
            raise Stop(
                "too_short",
                f"too short: {self.num_frames / FPS:.2f} s of video ({self.num_frames} frames), "
                f"want at least {self.settings.min_seconds:g} s",
            )
        return followed, watch

    def _read_to_the_end(self) -> None:
        """Behind the last frame: how much sound is left, and what was wrong."""
        if self.is_end:
            try:
                self.unread_frames = self.source.unread_samples() / SAMPLES_PER_FRAME
            except UserError as error:
                raise Stop("no_audio", self._plain(error)) from error
        if not self.source.has_more:
            self.notes += [self._plain(note) for note in self.source.notes()]

    def _audible(self, num_frames: int, samples: np.ndarray) -> int:
        """Frames that have sound. A rest of up to one frame is filled with zeros."""
        covered = len(samples) / SAMPLES_PER_FRAME
        if covered >= num_frames - 1:
            there = covered + self.unread_frames
            if self.is_end and there > num_frames + QUIET_EXCESS_FRAMES:
                self.notes.append(
                    f"audio cut from {there / FPS:.2f} s to {num_frames / FPS:.2f} s, where the "
                    "video ends"
                )
            return num_frames
        kept = math.floor(covered)
        if kept < self.settings.min_seconds * FPS:
            raise Stop(
                "audio_short",
                f"the audio ends {covered / FPS:.2f} s after the video's start, want at least "
                f"{self.settings.min_seconds:g} s",
            )
        self.trimmed.append("audio_short")
        self.notes.append(
            f"video cut from {num_frames / FPS:.2f} s to {kept / FPS:.2f} s, where the audio ends"
        )
        return kept

    def _check_faces(self, followed: Track) -> None:
        if not followed.usable.any():
            raise Stop("no_face", f"no face found in {followed.num_frames} frames")
        if followed.max_faces > 1:
            if self.settings.several_faces == "reject":
                raise Stop("several_faces", f"{followed.max_faces} faces at once, want one")
            self.notes.append(
                f"{followed.max_faces} faces at once; kept the largest of the first second"
            )
        width = followed.face_width_px
        if width < self.settings.min_face_px:
            raise Stop(
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
        names = {defect.name for defect in defects}
        kept_s, min_s = (high - low) / FPS, self.settings.min_seconds
        least_s = max(min_s, self.settings.min_kept_fraction * num_frames / FPS)
        if self.settings.on_defect == "reject" or kept_s < least_s:
            # Whoever follows after a cut has another face: the cut is the cause.
            name = next(name for name in TRIMS if name in names)
            raise Stop(name, f"{text}; the longest good stretch has {kept_s:.2f} s")
        self.trimmed += [name for name in TRIMS if name in names]
        self.notes.append(f"{text}; kept frames {low}-{high - 1} ({kept_s:.2f} s)")
        return low, high

    def _jpegs(self, crops: np.ndarray, low: int) -> tuple[bytes, ...]:
        """The second pass over the video."""
        first, size_px = self.first + low, self.settings.size_px
        return tuple(
            simplejpeg.encode_jpeg(
                crop(frame.rgb, matrix, size_px),
                self.settings.jpeg_quality,
                "RGB",
                "444",
                fastdct=False,
            )
            for frame, matrix in zip(
                self.source.again(first, first + len(crops)), crops, strict=True
            )
        )

    def _words(self, low: int, high: int) -> Words:
        """Words on the record's clock, those that reach into it, cut at its ends."""
        if not self.whole.words_source:
            return Words((), "")
        path = Path(self.whole.root, self.whole.words_source)
        try:
            found = READERS[self.whole.words_format](path)
        except UserError as error:
            raise Stop("bad_words", self._plain(error)) from error
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
        return _plain(self.whole, text)


def _plain(clip: Clip, text: UserError | str) -> str:
    """A message without the path: the report has its own name for the clip."""
    text = str(text)
    for path in (clip.path, Path(clip.root, clip.audio_source)):
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
