"""A file's sound in its own quality, in pieces: rate and channels are kept, memory is constant.

It is for hearing, where `audio.py` is for the model: the same frames at the same places.
"""

import itertools
import os
from collections.abc import Iterator

import av
import numpy as np

from talkjax.arrays import Float
from talkjax.errors import UserError
from talkjax.media.audio import Placer, planes, resampled, sound_end_s, to_float
from talkjax.media.container import Decoder, audio_stream, open_media


class Soundtrack:
    """The sound of a file from `start_s` on, as float32 (n, channels) in [-1, 1].

    A context manager; iterate it once. It is placed, filled and cut as by `decode_audio` with
    the same `start_s`, whose notes say what is odd about the file.

    Attributes:
      rate_hz: of the first frame; what comes at another rate is brought to it.
      channels: 1 or 2. More are mixed down to stereo, scaled so that it cannot overflow.

    Raises:
      UserError: if the file cannot be opened, has no audio stream or no audio in it.
    """

    def __init__(self, path: str | os.PathLike[str], *, start_s: float):
        self._path, self._start_s = path, start_s
        self._container = open_media(path)
        try:
            stream = audio_stream(self._container)
            if stream is None:
                raise UserError(f"{path}: no audio stream in the file, want sound")
            self._end_s = sound_end_s(self._container, stream)
            self._frames = iter(Decoder(self._container, stream))
            self._first = next(self._frames, None)
            if self._first is None:
                raise UserError(f"{path}: the audio is empty (no samples), want sound")
        except BaseException:
            self._container.close()
            raise
        self.rate_hz: int = self._first.sample_rate
        self.channels: int = min(self._first.layout.nb_channels, 2)
        self._mixers: dict[tuple, av.AudioResampler] = {}

    def __enter__(self) -> "Soundtrack":
        return self

    def __exit__(self, *error: object) -> None:
        self._frames.close()
        self._container.close()

    def __iter__(self) -> Iterator[Float[np.ndarray, "n c"]]:
        placer = Placer(self._path, self._start_s, to_samples=self._to_samples)
        frames = itertools.chain([self._first], self._frames)
        left = None
        if self._end_s is not None:
            left = max(0, round((self._end_s - self._start_s) * self.rate_hz))
        for piece in resampled(placer.blocks(frames), rate_hz=self.rate_hz):
            piece = np.clip(piece[:left], -1.0, 1.0)
            if left is not None:
                left -= len(piece)
            yield piece

    def _to_samples(self, frame: av.AudioFrame) -> Float[np.ndarray, "n c"]:
        if frame.layout.nb_channels > 2:
            frame = self._stereo(frame)
        samples = planes(frame)
        samples = to_float(samples, samples.dtype)
        if len(samples) != self.channels:
            # A change within the file: mono is heard on both sides, stereo becomes its mean.
            samples = samples.mean(axis=0, keepdims=True).repeat(self.channels, axis=0)
        return samples.T

    def _stereo(self, frame: av.AudioFrame) -> av.AudioFrame:
        """FFmpeg's down-mix by the names of the channels; whole numbers make it scale."""
        kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        if kind not in self._mixers:
            self._mixers[kind] = av.AudioResampler(
                format="s32p", layout="stereo", rate=frame.sample_rate
            )
        (mixed,) = self._mixers[kind].resample(frame)
        return mixed
