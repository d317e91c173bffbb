"""A short video played to and fro, for as long as the sound lasts."""

import collections
import itertools
import os
from collections.abc import Iterator

from talkjax.media.picture import is_picture, read_picture
from talkjax.media.reader import Frame, FrameReader

# Small, so that a video that turns needs hardly more than one that does not; what is beyond it
# is decoded again. Of frames too large for it, a few: each chunk is decoded from a key frame.
MEMORY_BYTES = 32 * 2**20
LEAST_FRAMES = 6


def ping_pong_index(position: int, num_frames: int) -> int:
    """Which of `num_frames` frames is at a position of 0, 1, .., n-1, n-2, .., 1, 0, 1, .."""
    if num_frames == 1:
        return 0
    folded = position % (2 * num_frames - 2)
    return min(folded, 2 * num_frames - 2 - folded)


def chunk_frames(frame_bytes: int, memory_bytes: int) -> int:
    """How many frames are held to go backwards through them."""
    return max(LEAST_FRAMES, memory_bytes // frame_bytes)


class PingPongFrames:
    """Exactly `num_frames` frames of a video or picture, going to and fro, in bounded memory.

    A turning point is shown once; a picture is a video of one frame. `Frame.index` and
    `Frame.time_s` are those of the source. Backwards the video is decoded again in chunks that
    fit into `memory_bytes` (of `LEAST_FRAMES` at least), from the key frame before each. Iterate
    it once.

    Attributes:
      notes: one-line warnings about the file, complete after its last frame.
      source_frames: how many frames the source has, None until its end was reached.

    Raises:
      UserError: as `FrameReader` and `read_picture`.
    """

    def __init__(
        self, path: str | os.PathLike[str], num_frames: int, *, memory_bytes: int = MEMORY_BYTES
    ):
        self.notes: list[str] = []
        self.source_frames: int | None = None
        self._num_frames, self._memory_bytes = num_frames, memory_bytes
        self._picture = self._reader = None
        if is_picture(path):
            self._picture, notes = read_picture(path)
            self.notes += notes
            self.source_frames = 1
        else:
            self._reader = FrameReader(path)
            self.notes = self._reader.notes

    def __enter__(self) -> "PingPongFrames":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file."""
        if self._reader is not None:
            self._reader.close()

    def __iter__(self) -> Iterator[Frame]:
        if self._picture is not None:
            for _ in range(self._num_frames):
                yield Frame(index=0, time_s=0.0, rgb=self._picture.copy())
            return
        yield from itertools.islice(self._to_and_fro(), self._num_frames)

    def _to_and_fro(self) -> Iterator[Frame]:
        # The newest frames: what is needed first on the way back.
        tail: collections.deque[Frame] = collections.deque()
        for frame in self._reader:
            if not tail:
                chunk = chunk_frames(frame.rgb.nbytes, self._memory_bytes)
                tail = collections.deque(maxlen=chunk)
            tail.append(frame)
            yield _own(frame)
        count = self.source_frames = frame.index + 1
        if count <= chunk:
            kept = list(tail)
            for position in itertools.count(count):
                yield _own(kept[ping_pong_index(position, count)])
        tail.pop()
        while True:
            yield from self._backward(tail, stop=count - 1, chunk=chunk)
            yield from self._reader.window(0, count)
            tail.clear()

    def _backward(
        self, tail: collections.deque[Frame], *, stop: int, chunk: int
    ) -> Iterator[Frame]:
        """Frames stop - 1 down to 1; the last of them may be in `tail` already."""
        while stop > 1:
            if not tail:
                tail.extend(self._reader.window(max(1, stop - chunk), stop))
            while tail:
                frame = tail.pop()
                stop = frame.index
                if stop >= 1:
                    yield frame


def _own(frame: Frame) -> Frame:
    return Frame(index=frame.index, time_s=frame.time_s, rgb=frame.rgb.copy())
