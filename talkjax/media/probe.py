"""What a media file says about itself: streams, size as displayed, start and duration."""

import dataclasses
import os

import av
import av.container

from talkjax.errors import UserError
from talkjax.media.container import (
    Decoder,
    audio_stream,
    frame_time_s,
    has_presentation_times,
    open_media,
    promised_duration_s,
    video_stream,
)
from talkjax.media.display import display_matrix


@dataclasses.dataclass(frozen=True)
class MediaInfo:
    """What the header of a media file says, and where its first frame is.

    Attributes:
      path: the file.
      has_video, has_audio: whether there is such a stream; cover art is no video.
      width, height: pixels as displayed (after rotation); 0 without video.
      rotation: degrees counter-clockwise that the display matrix turns the picture.
      duration_s: of the video stream, or of the audio without video; the header's promise.
      average_fps: frames per second by the header; 0 without video.
      audio_rate_hz, audio_channels: 0 without audio.
      start_s: container time of t = 0, which is the presentation time of the first video
        frame that can be shown, or of the first audio sample in a file without video.
    """

    path: str
    has_video: bool
    has_audio: bool
    width: int
    height: int
    rotation: int
    duration_s: float
    average_fps: float
    audio_rate_hz: int
    audio_channels: int
    start_s: float


def probe(path: str | os.PathLike[str]) -> MediaInfo:
    """Reads a file's header and decodes its first frame.

    Raises:
      UserError: if the file cannot be opened, or holds neither video nor audio.
    """
    with open_media(path) as container:
        return describe(container, path)


def describe(container: av.container.InputContainer, path: str | os.PathLike[str]) -> MediaInfo:
    """`probe` for a container that is open and unread; it has to be opened again to be read."""
    video, audio = video_stream(container), audio_stream(container)
    main = audio if video is None else video
    if main is None:
        raise UserError(f"{path}: has no video stream and no audio stream")
    first = next(iter(Decoder(container, main)), None)
    width = height = rotation = 0
    if video is not None:
        width, height = video.codec_context.width, video.codec_context.height
    if video is not None and first is not None:
        width, height = first.width, first.height
        matrix = display_matrix(first)
        rotation = first.rotation % 360
        if matrix[0] == 0:
            width, height = height, width
    start_s = None if first is None else frame_time_s(first)
    if not has_presentation_times(container):
        start_s = float((main.start_time or 0) * main.time_base)
    duration_s = promised_duration_s(container, main)
    if duration_s is None:
        duration_s = (container.duration or 0) / av.time_base
    rate = None if video is None else (video.average_rate or video.guessed_rate)
    return MediaInfo(
        path=str(path),
        has_video=video is not None,
        has_audio=audio is not None,
        width=width,
        height=height,
        rotation=rotation,
        duration_s=duration_s,
        average_fps=float(rate) if rate else 0.0,
        audio_rate_hz=0 if audio is None else audio.rate,
        audio_channels=0 if audio is None else audio.channels,
        start_s=start_s or 0.0,
    )
