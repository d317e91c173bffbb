"""Video in and out: the names that the rest of TalkJAX uses."""

from talkjax.media.probe import MediaInfo, probe
from talkjax.media.reader import Frame, FrameReader

__all__ = ["Frame", "FrameReader", "MediaInfo", "probe"]
