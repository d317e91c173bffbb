"""The sound track of a file that is being written: AAC, frame by frame of the picture."""

import dataclasses
from collections.abc import Iterator
from fractions import Fraction
from typing import Protocol, runtime_checkable

import av
import numpy as np

from talkjax.arrays import Float, Int
from talkjax.media.audio import resampled

# Rates that AAC has and that are written as they come. Others become 48 kHz: those below lose
# nothing by it, and AAC's frame of 1024 samples stays shorter than a frame of the picture.
KEPT_RATES_HZ = (32_000, 44_100, 48_000, 88_200, 96_000)
OTHERWISE_HZ = 48_000
LAYOUTS = {1: "mono", 2: "stereo"}
BITS_PER_S = {1: 128_000, 2: 192_000}
# AAC comes in packets of so many samples. MP4 says how much of the last one counts, Matroska
# does not: there the sound ends with the packet whose end is nearest.
PACKET_SAMPLES = 1024
# An array is handed on in pieces of this length, as each is turned into floats.
PIECE_S = 1.0


@runtime_checkable
class Sound(Protocol):
    """Sound in pieces of float32 (n, channels) in [-1, 1], channels being 1 or 2."""

    rate_hz: int
    channels: int

    def __iter__(self) -> Iterator[Float[np.ndarray, "n c"]]: ...


@dataclasses.dataclass(frozen=True)
class ArraySound:
    """An array (n,) or (n, channels), float in [-1, 1] or int16, as `Sound`."""

    samples: Float[np.ndarray, "n *c"] | Int[np.ndarray, "n *c"]
    rate_hz: int

    @property
    def channels(self) -> int:
        return 1 if self.samples.ndim == 1 else self.samples.shape[1]

    def __iter__(self) -> Iterator[Float[np.ndarray, "n c"]]:
        step = round(PIECE_S * self.rate_hz)
        for first in range(0, len(self.samples), step):
            piece = self.samples[first : first + step].reshape(-1, self.channels)
            whole = piece.dtype.kind == "i"
            yield piece.astype(np.float32) / np.float32(32768 if whole else 1)


class SoundWriter:
    """Writes as much sound as there is picture: longer sound is cut, shorter one goes on silent.

    Attributes:
      rate_hz: of the file, see `KEPT_RATES_HZ`.
    """

    def __init__(self, container: av.container.OutputContainer, sound: Sound):
        self._container = container
        self._ends_anywhere = container.format.name != "matroska"
        self.rate_hz = sound.rate_hz if sound.rate_hz in KEPT_RATES_HZ else OTHERWISE_HZ
        self._layout = LAYOUTS[sound.channels]
        self._stream = container.add_stream("aac", rate=self.rate_hz, layout=self._layout)
        self._stream.bit_rate = BITS_PER_S[sound.channels]
        blocks = ((sound.rate_hz, piece) for piece in sound)
        self._pieces = resampled(blocks, rate_hz=self.rate_hz)
        self._waiting = np.zeros([0, sound.channels], np.float32)
        self._written = 0

    def write_until(self, time_s: float) -> None:
        """Writes the sound before `time_s`, in whole packets."""
        packets = self._samples_until(time_s) // PACKET_SAMPLES
        if packets:
            self._encode(self._take(packets * PACKET_SAMPLES))

    def finish(self, time_s: float) -> None:
        """Ends the sound at `time_s`."""
        count = self._samples_until(time_s)
        if not self._ends_anywhere:
            count = round(count / PACKET_SAMPLES) * PACKET_SAMPLES
        if count:
            self._encode(self._take(count))
        self._container.mux(self._stream.encode(None))

    def _samples_until(self, time_s: float) -> int:
        return round(time_s * self.rate_hz) - self._written

    def _take(self, count: int) -> Float[np.ndarray, "{count} c"]:
        while len(self._waiting) < count:
            piece = next(self._pieces, None)
            if piece is None:
                self._waiting = np.pad(self._waiting, ((0, count - len(self._waiting)), (0, 0)))
            else:
                self._waiting = np.concatenate([self._waiting, piece])
        taken, self._waiting = self._waiting[:count], self._waiting[count:]
        return taken

    def _encode(self, samples: Float[np.ndarray, "n c"]) -> None:
        planes = np.ascontiguousarray(samples.T)
        frame = av.AudioFrame.from_ndarray(planes, format="fltp", layout=self._layout)
        frame.sample_rate = self.rate_hz
        frame.pts = self._written
        frame.time_base = Fraction(1, self.rate_hz)
        self._written += len(samples)
        self._container.mux(self._stream.encode(frame))
