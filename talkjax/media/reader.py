"""Video files as a stream of RGB frames at a constant rate, by timestamps."""

import dataclasses
import itertools
import math
import os
from collections.abc import Iterable, Iterator

import av
import numpy as np

from talkjax.arrays import UInt8
from talkjax.data.schema import FPS
from talkjax.errors import UserError
from talkjax.media.container import (
    MAX_GAP_S,
    Decoder,
    frame_interval_s,
    has_presentation_times,
    is_still_picture,
    open_media,
    promised_duration_s,
    video_stream,
)
from talkjax.media.display import ToRgb
from talkjax.media.probe import MediaInfo, describe
from talkjax.media.timeline import Timeline

# How far before a wanted frame decoding starts, in turn, until a key frame lies before it.
SEEK_BACK_S = (0.5, 2.0, 8.0, 32.0)


@dataclasses.dataclass(frozen=True)
class Frame:
    """One frame of the constant-rate video.

    Attributes:
      index: place in the output, from 0.
      time_s: index / fps; t = 0 is the first frame that can be shown.
      rgb: upright picture, uint8, owned by the receiver.
    """

    index: int
    time_s: float
    rgb: UInt8[np.ndarray, "h w c"]


class FrameReader:
    """Reads a video at a constant rate, in constant memory.

    Output frame i shows the last source frame whose presentation time comes before
    i / fps + half an interval, where the interval is the shorter of the source's and the
    output's. So a source at `fps` maps one to one however its timestamps jitter, a faster one
    loses frames, a slower one repeats them, a gap holds the frame before it, and nothing
    drifts. The number of output frames is the duration times `fps`, rounded half up.

    Use it as a context manager; every iteration starts at the first frame. Decoding errors do
    not end it as long as frames are left; `notes` says what was wrong, and is complete when
    the last frame was read for the first time.

    Attributes:
      info: the file's `MediaInfo`.
      notes: one-line warnings, each with the file's name.

    Raises:
      UserError: on opening, if the file is no video; on reading, if no frame can be decoded.
    """

    def __init__(self, path: str | os.PathLike[str], *, fps: int = FPS):
        self.notes: list[str] = []
        self._path, self._fps = path, fps
        with open_media(path) as container:
            stream = video_stream(container)
            if stream is None:
                raise UserError(f"{path}: no video stream in the file, want a video")
            if is_still_picture(container):
                raise UserError(f"{path}: is a picture, want a video")
            self._interval_s = frame_interval_s(stream)
            promised_s = promised_duration_s(container, stream) or 0.0
            self.info: MediaInfo = describe(container, path)
        # Rounded down: many headers measure the duration from the first to the last stamp.
        self._promised_frames = math.floor(promised_s * self.info.average_fps + 0.01)
        self._to_rgb = ToRgb()
        self._is_read = self._can_seek = False
        self._container = None
        self._open()
        self._timeline = self._new_timeline()

    def _open(self) -> None:
        self.close()
        self._container = open_media(self._path)
        self._stream = video_stream(self._container)
        # One thread: the same frames on every run past damage, and small buffers.
        self._stream.codec_context.thread_count = 1
        self._is_fresh = True

    def _new_timeline(self) -> Timeline:
        by_order = not has_presentation_times(self._container)
        return Timeline(self._interval_s, by_order=by_order)

    def __enter__(self) -> "FrameReader":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file; the reader gives no more frames."""
        if self._container is not None:
            self._container.close()

    def __iter__(self) -> Iterator[Frame]:
        timeline = self._new_timeline()
        decoder = self._from_the_start()
        try:
            yield from self._at_constant_rate(timeline.place(decoder), first=0)
        except GeneratorExit:
            # Closed before the end: what was wrong so far is said all the same.
            if not self._is_read and (decoder.failures or timeline.damaged):
                self.notes.append(
                    f"{self._path}: decoding errors in the first {timeline.count} frames "
                    f"({timeline.damaged} of them damaged)"
                )
            raise
        if not self._is_read:
            self._is_read, self._timeline = True, timeline
            self._can_seek = timeline.is_plain and decoder.failures == 0
            self._take_notes(decoder.failures)

    def window(self, first: int, stop: int) -> Iterator[Frame]:
        """Output frames `first` to `stop` - 1, after the video was read to its end once.

        Decoding starts at the key frame before them, or at the first frame of a file whose
        timestamps cannot be trusted; the frames are those of a plain iteration.
        """
        if not self._is_read:
            raise ValueError(f"{self._path}: read it to its end once before asking for windows")
        frames = self._at_constant_rate(self._placed_from(first), first=first)
        yield from itertools.islice(frames, stop - first)

    def _from_the_start(self) -> Decoder:
        if not self._is_fresh:
            self._open()
        self._is_fresh = False
        return Decoder(self._container, self._stream)

    def _placed_from(self, first: int) -> Iterator[tuple[float, av.VideoFrame]]:
        time_s = first / self._fps
        for back_s in SEEK_BACK_S if self._can_seek else ():
            if time_s <= back_s:
                break
            stamp_s = self._timeline.origin_s + time_s - back_s
            self._is_fresh = False
            try:
                self._container.seek(int(stamp_s / self._stream.time_base), stream=self._stream)
            except (av.FFmpegError, OSError):
                # Not every file can be searched; reading from the start always works.
                break
            decoder = Decoder(self._container, self._stream)
            # Frames before the first key frame lack what they were predicted from.
            whole = itertools.dropwhile(lambda frame: not frame.key_frame, decoder)
            placed = self._timeline.follow(whole)
            head = next(placed, None)
            if head is not None and head[0] <= time_s:
                return itertools.chain([head], placed)
        return self._new_timeline().place(self._from_the_start())

    def _at_constant_rate(
        self, placed: Iterable[tuple[float, av.VideoFrame]], *, first: int
    ) -> Iterator[Frame]:
        half_s = 0.5 * min(self._interval_s, 1 / self._fps)
        held, index, end_s = None, first, 0.0
        for time_s, frame in placed:
            if held is not None and time_s - index / self._fps > MAX_GAP_S:
                raise UserError(
                    f"{self._path}: no frames from {index / self._fps:.1f} s to {time_s:.1f} s by "
                    f"its timestamps, want gaps below {MAX_GAP_S:.0f} s; repair the file"
                )
            while held is not None and time_s >= index / self._fps + half_s:
                yield self._frame(index, held)
                index += 1
            held = frame
            end_s = time_s + self._shown_s(frame)
        if held is None:
            raise UserError(f"{self._path}: no frame of the video can be decoded")
        for last in range(index, max(1, math.floor(end_s * self._fps + 0.5))):
            yield self._frame(last, held)

    def _frame(self, index: int, source: av.VideoFrame) -> Frame:
        return Frame(index=index, time_s=index / self._fps, rgb=self._to_rgb(source))

    def _shown_s(self, frame: av.VideoFrame) -> float:
        duration_s = float((frame.duration or 0) * (frame.time_base or 0))
        # Some files give the last frame no duration, or a nonsensical one.
        in_range = self._interval_s / 2 < duration_s <= 10 * self._interval_s
        return duration_s if in_range else self._interval_s

    def _take_notes(self, failures: int) -> None:
        count, damaged = self._timeline.count, self._timeline.damaged
        if failures or damaged or count < self._promised_frames:
            self.notes.append(
                f"{self._path}: decoding errors: {count} of "
                f"{max(self._promised_frames, count)} frames could be read "
                f"({damaged} of them damaged)"
            )
        for start_s, stop_s in self._timeline.long_gaps:
            self.notes.append(
                f"{self._path}: no frames from {start_s:.2f} s to {stop_s:.2f} s; "
                "the frame before is held"
            )
        if self._timeline.steps_back:
            self.notes.append(
                f"{self._path}: the timestamps step back {self._timeline.steps_back} times"
            )
        if self._to_rgb.resized:
            self.notes.append(
                f"{self._path}: the picture changes size; all frames are scaled to the first"
            )
