"""Sound files as 16 kHz mono, placed on the container's clock.

The whole sound is one array: ten minutes are 38 MB, decoded and resampled in small pieces
straight into it, so nothing else grows with the length.
"""

import dataclasses
import math
import os
from collections.abc import Iterator

import av
import av.container
import numpy as np
import soxr

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
        placer = _Placer(path, start_s)
        decoder = Decoder(container, stream)
        promised_s = promised_duration_s(container, stream)
        output = _Growing(math.ceil((promised_s or 0.0) * SAMPLE_RATE_HZ))
        for block in _resampled(placer.blocks(decoder)):
            output.append(block)
        notes = placer.notes(decoder.failures, promised_s)
        end_s = _end_s(container, stream)
    if placer.decoded_s == 0:
        raise UserError(f"{path}: the audio is empty (no samples), want sound")
    samples = output.array()
    if end_s is not None:
        samples = samples[: max(0, round((end_s - start_s) * SAMPLE_RATE_HZ))]
    np.clip(samples, -1.0, 1.0, out=samples)
    return Audio(samples=samples, start_s=start_s, notes=notes)


def _end_s(container: av.container.InputContainer, stream: av.AudioStream) -> float | None:
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


class _Placer:
    """Turns decoded frames into gapless mono blocks that start at `start_s`."""

    def __init__(self, path: str | os.PathLike[str], start_s: float):
        self._path, self._start_s = path, start_s
        self._gaps: list[tuple[float, float]] = []
        self._rate_hz = 0
        self.decoded_s = 0.0

    def blocks(self, decoder: Decoder) -> Iterator[tuple[int, Float[np.ndarray, " n"]]]:
        """Pairs of rate in Hz and samples; joined they are the sound from `start_s` on."""
        reached_s = None
        for frame in decoder:
            samples, rate_hz = _mono(frame), frame.sample_rate
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
                yield rate_hz, self._silence(reached_s, reached_s + gap_s, rate_hz)
                reached_s += gap_s
            elif gap_s < -PLACE_TOLERANCE_S:
                samples = samples[round(-gap_s * rate_hz) :]
            self._rate_hz = self._rate_hz or rate_hz
            self.decoded_s += frame.samples / rate_hz
            before_start = min(len(samples), max(0, round(-reached_s * rate_hz)))
            reached_s += len(samples) / rate_hz
            yield rate_hz, samples[before_start:]

    def _silence(self, start_s: float, stop_s: float, rate_hz: int) -> Float[np.ndarray, " n"]:
        if stop_s - start_s > MAX_GAP_S:
            raise UserError(
                f"{self._path}: no sound for {stop_s - start_s:.0f} s (from {start_s:.1f} s) by "
                f"its timestamps, want gaps below {MAX_GAP_S:.0f} s; repair the file"
            )
        if stop_s - start_s > LONG_GAP_S:
            self._gaps.append((start_s, stop_s))
        # The part before the start is nobody's.
        wanted_s = max(0.0, stop_s - max(start_s, 0.0))
        return np.zeros(round(wanted_s * rate_hz), np.float32)

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


def _resampled(
    blocks: Iterator[tuple[int, Float[np.ndarray, " n"]]],
) -> Iterator[Float[np.ndarray, " n"]]:
    """Brings blocks to 16 kHz without delay; a change of rate starts a new filter."""
    stream, stream_rate_hz = None, 0
    for rate_hz, samples in blocks:
        if stream is not None and rate_hz != stream_rate_hz:
            yield stream.resample_chunk(np.zeros(0, np.float32), last=True)
            stream = None
        if stream is None:
            stream_rate_hz = rate_hz
            stream = soxr.ResampleStream(rate_hz, SAMPLE_RATE_HZ, 1, dtype="float32", quality="HQ")
        if len(samples):
            yield stream.resample_chunk(samples)
    if stream is not None:
        yield stream.resample_chunk(np.zeros(0, np.float32), last=True)


def _mono(frame: av.AudioFrame) -> Float[np.ndarray, " n"]:
    """Mean of the channels as float32, full scale 1."""
    samples = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, frame.layout.nb_channels).T
    if samples.dtype.kind == "f":
        return samples.mean(axis=0, dtype=np.float32)
    mono = samples.mean(axis=0, dtype=np.float64)
    if samples.dtype == np.uint8:
        mono -= 128
    full_scale = 2.0 ** (8 * samples.dtype.itemsize - 1)
    return (mono / full_scale).astype(np.float32)


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
