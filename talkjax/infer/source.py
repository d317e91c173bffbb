"""The face's frames: a picture or a video, forwards or to and fro, behind one door."""

import itertools
from collections.abc import Iterator
from pathlib import Path

from talkjax.data.schema import FPS
from talkjax.media.video import Frame, FrameReader, PingPongFrames, is_picture, read_picture


class FaceSource:
    """Up to `num_frames` frames of a face file; `Frame.index` is the one in the file.

    Forwards it ends with the file; to and fro it gives exactly `num_frames`. A picture is a
    video of one frame. A context manager; iterate it once.

    Attributes:
      notes: one-line warnings, complete after the last frame.
      promised_frames: how many frames there will be, as far as the header can be trusted.

    Raises:
      UserError: if the file is neither a picture nor a video that can be read.
    """

    def __init__(self, path: Path, num_frames: int, *, to_and_fro: bool):
        self._num_frames = num_frames
        self.promised_frames: int | None = num_frames
        self._frames: FrameReader | PingPongFrames
        if is_picture(path):
            self.promised_frames = num_frames if to_and_fro else 1
            self._frames = PingPongFrames(path, self.promised_frames)
        elif to_and_fro:
            self._frames = PingPongFrames(path, num_frames)
        else:
            self._frames = FrameReader(path)
            in_file = round(self._frames.info.duration_s * FPS)
            self.promised_frames = min(in_file, num_frames) if in_file > 0 else None
        self.notes = self._frames.notes

    def __enter__(self) -> "FaceSource":
        return self

    def __exit__(self, *error: object) -> None:
        self._frames.close()

    def __iter__(self) -> Iterator[Frame]:
        frames = iter(self._frames)
        try:
            yield from itertools.islice(frames, self._num_frames)
        finally:
            frames.close()  # a reader that is not at its end says now what was wrong so far


def frame_size(path: Path) -> tuple[int, int]:
    """Width and height in px, as displayed.

    Raises:
      UserError: if the file is neither a picture nor a video that can be read.
    """
    if is_picture(path):
        picture, _ = read_picture(path)
        return picture.shape[1], picture.shape[0]
    with FrameReader(path) as reader:
        return reader.info.width, reader.info.height
