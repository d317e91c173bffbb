"""Opening a media file: what it is, which streams it has, packets past damage.

FFmpeg is reached through PyAV only, in this process; nothing is printed by it (PyAV keeps
FFmpeg's log quiet unless somebody turns it on).
"""

import os
import pathlib
import re
from collections.abc import Iterator
from fractions import Fraction

import av
import av.container
from av.stream import Disposition, Stream

from talkjax.errors import UserError

# Reading goes on past damaged packets, but not for ever: a demuxer that fails this many times
# in a row has lost its way.
MAX_FAILURES_IN_A_ROW = 200
# A pause in the timestamps beyond this is a broken clock; filling it could take for ever.
MAX_GAP_S = 600.0
_DURATION_TAG = re.compile(r"([0-9]+):([0-9]+):([0-9]+(?:[.][0-9]+)?)")
# Formats of FFmpeg that "play" plain text as a video of letters.
_TEXT_FORMATS = {"tty", "bin", "xbin", "idf", "adf"}


def open_media(path: str | os.PathLike[str]) -> av.container.InputContainer:
    """Opens a file by its content, whatever its name says.

    Raises:
      UserError: if there is no such file, it is empty, or it is no media file.
    """
    file = pathlib.Path(path)
    if not file.exists():
        raise UserError(f"{file}: no such file")
    if not file.is_file():
        raise UserError(f"{file}: is not a file, want a video or audio file")
    if file.stat().st_size == 0:
        raise UserError(f"{file}: the file is empty (0 bytes), want a video or audio file")
    try:
        # "file:" keeps a colon in the name from being taken for a protocol.
        container = av.open(f"file:{file}", mode="r", metadata_errors="replace")
    except (av.FFmpegError, OSError) as error:
        raise UserError(f"{file}: {_why_unreadable(file, error)}") from error
    if container.format.name in _TEXT_FORMATS:
        container.close()
        raise UserError(f"{file}: is a text file, not a video or audio file")
    return container


def _why_unreadable(file: pathlib.Path, error: Exception) -> str:
    try:
        with file.open("rb") as stream:
            head = stream.read(4096)
    except OSError as read_error:
        return f"cannot be read ({read_error.strerror})"
    if b"\0" not in head and _is_text(head):
        return "is a text file, not a video or audio file"
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"free"):
        return (
            "cannot be opened, its index (moov) is missing or damaged: the file was truncated; "
            "get a complete copy"
        )
    reason = getattr(error, "strerror", None) or str(error)
    return f"is not a video or audio file that can be read ({reason})"


def _is_text(head: bytes) -> bool:
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        # The block may end inside a letter.
        return error.start >= len(head) - 3
    return True


def video_stream(container: av.container.InputContainer) -> av.VideoStream | None:
    """The video stream that a player would show; pictures attached to audio do not count."""
    return _pick(container, [s for s in container.streams.video if not _is_cover(s)], "video")


def audio_stream(container: av.container.InputContainer) -> av.AudioStream | None:
    """The audio stream that a player would play, or None."""
    return _pick(container, list(container.streams.audio), "audio")


def _pick(container: av.container.InputContainer, streams: list, kind: str):
    streams = [s for s in streams if s.codec_context is not None]
    if not streams:
        return None
    best = container.streams.best(kind)
    for stream in streams:
        if best is not None and stream.index == best.index:
            return stream
    return streams[0]


def _is_cover(stream: av.VideoStream) -> bool:
    return bool(stream.disposition & Disposition.attached_pic)


def is_still_picture(container: av.container.InputContainer) -> bool:
    """Whether FFmpeg took the file for a single picture."""
    name = container.format.name
    return name == "image2" or name.endswith("_pipe")


class Decoder:
    """Decoded frames of one stream, in order, going on past damage.

    Attributes:
      failures: how many packets could not be read or decoded so far.
    """

    def __init__(self, container: av.container.InputContainer, stream: Stream):
        self._container = container
        self._stream = stream
        self.failures = 0

    def __iter__(self) -> Iterator:
        for packet in self._packets():
            try:
                frames = packet.decode()
            except (av.FFmpegError, ValueError):
                # FFmpegError covers the codec's complaints; PyAV raises a bare ValueError for
                # a few of its own.
                self.failures += 1
                continue
            yield from frames

    def _packets(self) -> Iterator[av.Packet]:
        failures_in_a_row = 0
        while failures_in_a_row < MAX_FAILURES_IN_A_ROW:
            try:
                for packet in self._container.demux(self._stream):
                    failures_in_a_row = 0
                    yield packet
                return
            except av.FFmpegError:
                # The generator is finished after an error; a new one reads on behind it.
                failures_in_a_row += 1
                self.failures += 1


def promised_duration_s(container: av.container.InputContainer, stream: Stream) -> float | None:
    """Duration of one stream by the header, or None where the header does not say."""
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    # Matroska writes it as a tag, "00:00:02.960000000".
    tag = _DURATION_TAG.fullmatch(stream.metadata.get("DURATION", ""))
    if tag is not None:
        hours, minutes, seconds = tag.groups()
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    if container.duration is not None and len(container.streams) == 1:
        return container.duration / av.time_base
    return None


def frame_interval_s(stream: av.VideoStream) -> float:
    """Nominal time from one frame to the next; 0.04 s where the header gives none."""
    for rate in (stream.guessed_rate, stream.average_rate, stream.base_rate):
        # Above 240 it is the clock of a file with a variable rate, not its frame rate.
        if rate and Fraction(1, 10) <= rate <= 240:
            return float(1 / rate)
    return 0.04


def has_presentation_times(container: av.container.InputContainer) -> bool:
    """Whether the format stores when frames are shown; AVI only stores their order.

    FFmpeg makes presentation times up for AVI, and they are late by the decoder's delay.
    """
    return container.format.name != "avi"


def frame_time_s(frame, *, by_order: bool = False) -> float | None:
    """Presentation time of a decoded frame in container seconds, None where it has none.

    With `by_order` it is the time at which the decoder gave it, for formats without
    presentation times: right but for a constant.
    """
    stamp = frame.dts if by_order or frame.pts is None else frame.pts
    if stamp is None or frame.time_base is None:
        return None
    return float(stamp * frame.time_base)
