"""When the frames of a video are shown, by their timestamps."""

from collections.abc import Iterable, Iterator

import av

from talkjax.media.container import frame_time_s

# A place without frames longer than this is worth a note; shorter ones are plain VFR.
LONG_GAP_S = 1.0


class Timeline:
    """Gives decoded frames strictly rising times from 0, and keeps count.

    Args:
      interval_s: nominal time from one frame to the next.
      by_order: the format has no presentation times (see `frame_time_s`).

    Attributes:
      origin_s: container time of t = 0.
      count, damaged: frames so far, and how many of them the decoder calls corrupt.
      unstamped: frames without a timestamp; they follow one interval after the last.
      steps_back: how often the clock went back.
      long_gaps: (start_s, stop_s) of the places without frames.
    """

    def __init__(self, interval_s: float, *, by_order: bool = False):
        self._interval_s, self._by_order = interval_s, by_order
        self.origin_s = 0.0
        self.count = self.damaged = self.unstamped = self.steps_back = 0
        self.long_gaps: list[tuple[float, float]] = []

    @property
    def is_plain(self) -> bool:
        """Whether every time is its timestamp less `origin_s`, so that one can seek by it."""
        troubles = self.unstamped + self.steps_back + self.damaged
        return troubles == 0 and not self._by_order

    def place(self, frames: Iterable[av.VideoFrame]) -> Iterator[tuple[float, av.VideoFrame]]:
        """All frames of a video, from the first."""
        last_s = 0.0
        for frame in frames:
            stamp_s = frame_time_s(frame, by_order=self._by_order)
            self.unstamped += stamp_s is None
            if self.count == 0:
                self.origin_s, time_s = stamp_s or 0.0, 0.0
            else:
                time_s = self._next_s(stamp_s, last_s)
            self.count += 1
            self.damaged += bool(frame.is_corrupt)
            last_s = time_s
            yield time_s, frame

    def _next_s(self, stamp_s: float | None, last_s: float) -> float:
        expected_s = last_s + self._interval_s
        time_s = expected_s if stamp_s is None else stamp_s - self.origin_s
        if time_s <= last_s:
            # Joined recordings start their clock again: go on from where we are.
            self.steps_back += 1
            self.origin_s += time_s - expected_s
            return expected_s
        if time_s - last_s > max(LONG_GAP_S, 2 * self._interval_s):
            self.long_gaps.append((last_s, time_s))
        return time_s

    def follow(self, frames: Iterable[av.VideoFrame]) -> Iterator[tuple[float, av.VideoFrame]]:
        """Frames from anywhere in a video whose timeline `is_plain`."""
        for frame in frames:
            yield frame_time_s(frame) - self.origin_s, frame
