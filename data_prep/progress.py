"""Progress of a long preparation: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from typing import TextIO

from tqdm import tqdm

PLAIN_EVERY_S = 10.0


class Progress:
    """Counts clips; shows clips/s, seconds of video per second, and the time left.

    Args:
      total: clips in all.
      done: clips that an earlier run finished.
      quiet: shows nothing.
    """

    def __init__(self, total: int, *, done: int, quiet: bool, stream: TextIO | None = None):
        self._total, self._first, self._done = total, done, done
        self._stream = stream or sys.stderr
        self._quiet = quiet
        self._start = self._last = time.monotonic()
        self._video_s = 0.0
        self._rejected = 0
        self._bar = None
        if not quiet and self._stream.isatty():
            self._bar = tqdm(total=total, initial=done, unit="clip", file=self._stream)

    def update(self, *, video_s: float, kept: bool) -> None:
        """One more clip is done."""
        self._done += 1
        self._video_s += video_s
        self._rejected += not kept
        if self._bar is not None:
            elapsed = max(time.monotonic() - self._start, 1e-9)
            self._bar.set_postfix_str(
                f"{self._video_s / elapsed:.1f}x real time, {self._rejected} rejected", False
            )
            self._bar.update()
        elif not self._quiet and time.monotonic() - self._last >= PLAIN_EVERY_S:
            self._last = time.monotonic()
            print(self._line(), file=self._stream, flush=True)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()

    def _line(self) -> str:
        elapsed = max(time.monotonic() - self._start, 1e-9)
        speed = (self._done - self._first) / elapsed
        left_s = (self._total - self._done) / max(speed, 1e-9)
        return (
            f"{self._done}/{self._total} clips, {speed:.2f} clips/s, "
            f"{self._video_s / elapsed:.1f}x real time, {self._rejected} rejected, "
            f"about {left_s:.0f} s left"
        )
