"""Sound files as 16 kHz mono, placed on the container's clock.

The whole sound is one array: ten minutes are 38 MB, decoded and resampled in small pieces
straight into it, so nothing else grows with the length.
"""

import dataclasses
import math
import os
from collections.abc import Callable, Iterable, Iterator

import av
import av.container
import numpy as np
import soxr
from jaxtyping import Num

from talkjax.arrays import AnyArray, Float
from talkjax.data.schema import SAMPLE_RATE_HZ
from talkjax.errors import UserError
from talkjax.media.container import (
    MAX_GAP_S,
    Decoder,
    audio_stream,
    frame_time_s,
    open_media,
    promised_duration_s,
)
from talkjax.media.probe import probe

# Peak below this is silence: one step and a half of 16-bit sound, under any dither of speech.
SILENCE_DBFS = -80.0
# Timestamps may be off by this before samples are moved: containers round them (Matroska to
# 1 ms, MPEG to whole packets), and moving samples for that would click.
PLACE_TOLERANCE_S = 0.01
# Missing sound longer than this is worth a note.
LONG_GAP_S = 0.1
# A step back by more than this is a new clock, not an overlap.
JOINED_S = 0.5
# Silence that fills a gap comes in pieces of at most this length, as a gap may be minutes.
SILENCE_PIECE_S = 1.0

# A decoded frame as float32 [n, channels], full scale 1.
ToSamples = Callable[[av.AudioFrame], Float[np.ndarray, "n c"]]


@dataclasses.dataclass(frozen=True)
class Audio:
    """Decoded sound.

    Attributes:
      samples: 16 kHz mono in [-1, 1]; sample 0 is at `start_s`.
      start_s: container time of sample 0.
      notes: one-line warnings, each with the file's name.
    """

    samples: Float[np.ndarray, " n"]
    start_s: float
    notes: tuple[str, ...]


def read_audio(
    path: str | os.PathLike[str], *, start_s: float | None = None
) -> Float[np.ndarray, " n"]:
    """16 kHz mono float32 in [-1, 1]: `decode_audio` without its notes."""
    return decode_audio(path, start_s=start_s).samples


def decode_audio(path: str | os.PathLike[str], *, start_s: float | None = None) -> Audio:
    """Decodes a file's sound as 16 kHz mono (the mean of the channels).

    Args:
      path: any file that FFmpeg reads; a video's sound track will do.
      start_s: container time that sample 0 shall have: what comes before is dropped, a later
        start is filled with zeros. None takes the first video frame, so that sound and
        picture have one clock, or the first sound sample in a file without video.

    Raises:
      UserError: if the file cannot be opened, has no audio stream or no audio in it.
    """
    if start_s is None:
        info = probe(path)
        start_s = info.start_s
    with open_media(path) as container:
        stream = audio_stream(container)
        if stream is None:
            raise UserError(f"{path}: no audio stream in the file, want sound")
        placer = Placer(path, start_s, to_samples=mono)
        decoder = Decoder(container, stream)
        promised_s = promised_duration_s(container, stream)
        output = _Growing(math.ceil((promised_s or 0.0) * SAMPLE_RATE_HZ))
        for block in resampled(placer.blocks(decoder), rate_hz=SAMPLE_RATE_HZ):
            output.append(block[:, 0])
        notes = placer.notes(decoder.failures, promised_s)
        end_s = sound_end_s(container, stream)
    if placer.decoded_s == 0:
        raise UserError(f"{path}: the audio is empty (no samples), want sound")
    samples = output.array()
    if end_s is not None:
        samples = samples[: max(0, round((end_s - start_s) * SAMPLE_RATE_HZ))]
    np.clip(samples, -1.0, 1.0, out=samples)
    return Audio(samples=samples, start_s=start_s, notes=notes)


def sound_end_s(container: av.container.InputContainer, stream: av.AudioStream) -> float | None:
    """Container time at which the sound ends, where that is known better than by decoding.

    An AAC packet always decodes to 1024 samples; MP4 says how many of the last are padding,
    but FFmpeg only drops the padding in front.
    """
    if not container.format.name.startswith("mov") or stream.duration is None:
        return None
    return float(((stream.start_time or 0) + stream.duration) * stream.time_base)


def is_silent(audio: Float[AnyArray, " n"]) -> bool:
    """Whether no sample reaches `SILENCE_DBFS` (0 dBFS is a full-scale sample)."""
    peak = float(np.abs(np.asarray(audio)).max(initial=0.0))
    return peak < 10 ** (SILENCE_DBFS / 20)


class Placer:
    """Turns decoded frames into gapless blocks that start at `start_s`.

    Attributes:
      decoded_s: how much sound there was so far.
    """

    def __init__(self, path: str | os.PathLike[str], start_s: float, *, to_samples: ToSamples):
        self._path, self._start_s, self._to_samples = path, start_s, to_samples
        self._gaps: list[tuple[float, float]] = []
        self._rate_hz = 0
        self.decoded_s = 0.0

    def blocks(
        self, frames: Iterable[av.AudioFrame]
    ) -> Iterator[tuple[int, Float[np.ndarray, "n c"]]]:
        """Pairs of rate in Hz and samples; joined they are the sound from `start_s` on."""
        reached_s = None
        for frame in frames:
            samples, rate_hz = self._to_samples(frame), frame.sample_rate
            stamp_s = frame_time_s(frame)
            if reached_s is None:
                # What comes before the start is dropped, a late start is filled.
                reached_s = min(0.0 if stamp_s is None else stamp_s - self._start_s, 0.0)
            gap_s = 0.0 if stamp_s is None else stamp_s - self._start_s - reached_s
            if gap_s < -JOINED_S:
                # Joined recordings start their clock again: go on from where we are.
                self._start_s += gap_s
                gap_s = 0.0
            if gap_s > PLACE_TOLERANCE_S:
                missing = self._missing_samples(reached_s, reached_s + gap_s, rate_hz)
                for piece in _silence(missing, rate_hz, channels=samples.shape[1]):
                    yield rate_hz, piece
                reached_s += gap_s
            elif gap_s < -PLACE_TOLERANCE_S:
                samples = samples[round(-gap_s * rate_hz) :]
            self._rate_hz = self._rate_hz or rate_hz
            self.decoded_s += frame.samples / rate_hz
            before_start = min(len(samples), max(0, round(-reached_s * rate_hz)))
            reached_s += len(samples) / rate_hz
            yield rate_hz, samples[before_start:]

    def _missing_samples(self, start_s: float, stop_s: float, rate_hz: int) -> int:
        if stop_s - start_s > MAX_GAP_S:
            raise UserError(
                f"{self._path}: no sound for {stop_s - start_s:.0f} s (from {start_s:.1f} s) by "
                f"its timestamps, want gaps below {MAX_GAP_S:.0f} s; repair the file"
            )
        if stop_s - start_s > LONG_GAP_S:
            self._gaps.append((start_s, stop_s))
        # The part before the start is nobody's.
        wanted_s = max(0.0, stop_s - max(start_s, 0.0))
        return round(wanted_s * rate_hz)

    def notes(self, failures: int, promised_s: float | None) -> tuple[str, ...]:
        """Warnings about what was read."""
        notes = []
        if failures:
            notes.append(f"{self._path}: decoding errors in the audio ({failures} packets lost)")
        if promised_s is not None and self.decoded_s < promised_s - 0.25:
            notes.append(
                f"{self._path}: the audio has {self.decoded_s:.2f} s, its header says "
                f"{promised_s:.2f} s"
            )
        for start_s, stop_s in self._gaps:
            notes.append(
                f"{self._path}: no audio from {start_s:.2f} s to {stop_s:.2f} s; "
                "filled with silence"
            )
        if 0 < self._rate_hz < SAMPLE_RATE_HZ:
            notes.append(
                f"{self._path}: the audio has {self._rate_hz} Hz, nothing above "
                f"{self._rate_hz // 2} Hz is in it; {SAMPLE_RATE_HZ} Hz is wanted"
            )
        return tuple(notes)


def _silence(
    num_samples: int, rate_hz: int, *, channels: int
) -> Iterator[Float[np.ndarray, "n c"]]:
    piece = round(SILENCE_PIECE_S * rate_hz)
    for first in range(0, num_samples, piece):
        yield np.zeros([min(piece, num_samples - first), channels], np.float32)


def resampled(
    blocks: Iterable[tuple[int, Float[np.ndarray, "n c"]]], *, rate_hz: int
) -> Iterator[Float[np.ndarray, "m c"]]:
    """Brings blocks of any rates (Hz, samples) to one rate, without delay.

    A change of rate starts a new filter. Samples that have the rate already are not changed.
    """
    stream, stream_rate_hz, channels = None, 0, 0
    for block_rate_hz, samples in blocks:
        if stream is not None and block_rate_hz != stream_rate_hz:
            yield stream.resample_chunk(np.zeros([0, channels], np.float32), last=True)
            stream = None
        if stream is None:
            stream_rate_hz, channels = block_rate_hz, samples.shape[1]
            stream = soxr.ResampleStream(
                block_rate_hz, rate_hz, channels, dtype="float32", quality="HQ"
            )
        if len(samples):
            yield stream.resample_chunk(samples)
    if stream is not None:
        yield stream.resample_chunk(np.zeros([0, channels], np.float32), last=True)


def planes(frame: av.AudioFrame) -> Num[np.ndarray, "c n"]:
    """The samples of a frame as they are, channel by channel."""
    samples = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, frame.layout.nb_channels).T
    return samples


def to_float(samples: Num[np.ndarray, "*n"], kind: np.dtype) -> Float[np.ndarray, "*n"]:
    """Samples of a format to float32 with full scale 1.

    Args:
      kind: the type of the format's samples, of which these may be a mean.
    """
    if kind.kind == "f":
        return samples.astype(np.float32)
    if kind == np.uint8:
        samples = samples - 128.0
    return (samples / 2.0 ** (8 * kind.itemsize - 1)).astype(np.float32)


def mono(frame: av.AudioFrame) -> Float[np.ndarray, "n 1"]:
    """Mean of the channels."""
    samples = planes(frame)
    exact = np.float32 if samples.dtype.kind == "f" else np.float64
    return to_float(samples.mean(axis=0, dtype=exact), samples.dtype)[:, None]


class _Growing:
    """An array that is appended to; one copy in memory when the first size was right."""

    def __init__(self, expected_samples: int):
        hour = 3600 * SAMPLE_RATE_HZ
        self._buffer = np.zeros(min(max(expected_samples, 0), hour) + SAMPLE_RATE_HZ, np.float32)
        self._used = 0

    def append(self, block: Float[np.ndarray, " n"]) -> None:
        stop = self._used + len(block)
        if stop > len(self._buffer):
            self._buffer = np.concatenate([self._buffer, np.zeros(stop, np.float32)])
        self._buffer[self._used : stop] = block
        self._used = stop

    def array(self) -> Float[np.ndarray, " n"]:
        return self._buffer[: self._used]
