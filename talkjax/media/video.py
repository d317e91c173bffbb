"""Video in and out: the names that the rest of TalkJAX uses."""

from talkjax.media.picture import is_picture, read_picture
from talkjax.media.pingpong import PingPongFrames, ping_pong_index
from talkjax.media.probe import MediaInfo, probe
from talkjax.media.reader import Frame, FrameReader
from talkjax.media.writer import VideoWriter

__all__ = [
    "Frame",
    "FrameReader",
    "MediaInfo",
    "PingPongFrames",
    "VideoWriter",
    "is_picture",
    "ping_pong_index",
    "probe",
    "read_picture",
]
