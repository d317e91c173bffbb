"""Video files as a stream of RGB frames at a constant rate, by timestamps."""

import dataclasses
import math
import os
from collections.abc import Iterator

import av
import numpy as np

from talkjax.arrays import UInt8
from talkjax.errors import UserError
from talkjax.media.container import (
    Decoder,
    frame_interval_s,
    frame_time_s,
    is_still_picture,
    open_media,
    promised_duration_s,
    video_stream,
)
from talkjax.media.probe import MediaInfo, describe, display_matrix

# A place without frames longer than this is worth a note; shorter ones are plain VFR.
LONG_GAP_S = 1.0


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

    Use it as a context manager and iterate it once. Decoding errors do not end it as long as
    frames are left; `notes` says what was wrong (complete after the last frame).

    Attributes:
      info: the file's `MediaInfo`.
      notes: one-line warnings, each with the file's name.

    Raises:
      UserError: on opening, if the file is no video; on reading, if no frame can be decoded.
    """

    def __init__(self, path: str | os.PathLike[str], *, fps: int = 25):
        self.notes: list[str] = []
        self._path, self._fps = path, fps
        with open_media(path) as container:
            stream = video_stream(container)
            if stream is None:
                raise UserError(f"{path}: no video stream in the file, want a video")
            if is_still_picture(container):
                raise UserError(f"{path}: is a picture, want a video")
            promised_s = promised_duration_s(container, stream)
            self.info: MediaInfo = describe(container, path)
        self._container = open_media(path)
        self._stream = video_stream(self._container)
        # One thread: the same frames on every run past damage, and small buffers.
        self._stream.codec_context.thread_count = 1
        self._interval_s = frame_interval_s(self._stream)
        self._promised_frames = 0
        if promised_s is not None and self.info.average_fps > 0:
            # Rounded down: many headers measure the duration from first to last stamp.
            self._promised_frames = math.floor(promised_s * self.info.average_fps + 0.01)
        self._decoder = Decoder(self._container, self._stream)
        self._to_rgb = _ToRgb()

    def __enter__(self) -> "FrameReader":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file; the reader gives no more frames."""
        self._container.close()

    def __iter__(self) -> Iterator[Frame]:
        half_s = 0.5 * min(self._interval_s, 1 / self._fps)
        held, index, end_s = None, 0, 0.0
        for time_s, frame in self._source_frames():
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
        return duration_s if 0 < duration_s <= 10 * self._interval_s else self._interval_s

    def _source_frames(self) -> Iterator[tuple[float, av.VideoFrame]]:
        """Decoded frames with times from 0, strictly rising."""
        count, damaged, long_gaps, steps_back = 0, 0, [], 0
        origin_s = last_s = 0.0
        for frame in self._decoder:
            stamp_s = frame_time_s(frame)
            if count == 0:
                origin_s = 0.0 if stamp_s is None else stamp_s
                time_s = 0.0
            else:
                time_s = last_s + self._interval_s if stamp_s is None else stamp_s - origin_s
                if time_s <= last_s:
                    # Joined recordings start their clock again: go on from where we are.
                    steps_back += 1
                    origin_s += time_s - (last_s + self._interval_s)
                    time_s = last_s + self._interval_s
                if time_s - last_s > max(LONG_GAP_S, 2 * self._interval_s):
                    long_gaps.append((last_s, time_s))
            count, last_s = count + 1, time_s
            damaged += bool(frame.is_corrupt)
            yield time_s, frame
        self._take_notes(count, damaged, long_gaps, steps_back)

    def _take_notes(
        self, count: int, damaged: int, long_gaps: list[tuple[float, float]], steps_back: int
    ) -> None:
        missing = self._promised_frames - count
        if self._decoder.failures or damaged or missing > 0:
            promised = max(self._promised_frames, count)
            self.notes.append(
                f"{self._path}: decoding errors: {count} of {promised} frames could be read "
                f"({damaged} of them damaged)"
            )
        for start_s, stop_s in long_gaps:
            self.notes.append(
                f"{self._path}: no frames from {start_s:.2f} s to {stop_s:.2f} s; "
                "the frame before is held"
            )
        if steps_back:
            self.notes.append(f"{self._path}: the timestamps step back {steps_back} times")
        if self._to_rgb.resized:
            self.notes.append(
                f"{self._path}: the picture changes size; all frames are scaled to the first"
            )


class _ToRgb:
    """Converts decoded frames to upright RGB arrays of one size."""

    def __init__(self):
        self.resized = False
        self._stored_wh: tuple[int, int] | None = None
        self._matrix = (1, 0, 0, 1)

    def __call__(self, frame: av.VideoFrame) -> UInt8[np.ndarray, "h w 3"]:
        if self._stored_wh is None:
            self._stored_wh = (frame.width, frame.height)
            self._matrix = display_matrix(frame)
        width, height = self._stored_wh
        self.resized |= (frame.width, frame.height) != self._stored_wh
        rgb = frame.to_ndarray(format="rgb24", width=width, height=height)
        return _turn(rgb, self._matrix)


def _turn(
    rgb: UInt8[np.ndarray, "h w 3"], matrix: tuple[int, int, int, int]
) -> UInt8[np.ndarray, "r q 3"]:
    a, b, c, d = matrix
    if matrix == (1, 0, 0, 1):
        return rgb
    if a == 0:
        rgb = rgb.transpose(1, 0, 2)
        a, d = c, b
    return np.ascontiguousarray(rgb[::d, ::a])
