"""From a decoded frame to the picture as displayed: upright, 8-bit RGB."""

import av
import numpy as np
from av.sidedata.sidedata import Type as SideDataType
from av.video.reformatter import VideoReformatter

from talkjax.arrays import UInt8

# Display matrices (a, b, c, d) of 0, 90, 180 and 270 degrees counter-clockwise.
_QUARTER_TURNS = ((1, 0, 0, 1), (0, -1, 1, 0), (-1, 0, 0, -1), (0, 1, -1, 0))


def display_matrix(frame: av.VideoFrame) -> tuple[int, int, int, int]:
    """The nearest quarter-turn or flip of a frame's display matrix, as (a, b, c, d).

    A stored pixel (x, y) is shown at (a x + c y, b x + d y), up to a shift.

    Source: libavutil/display.h (FFmpeg), the layout of AV_FRAME_DATA_DISPLAYMATRIX.
    """
    try:
        found = [d for d in frame.side_data if d.type == SideDataType.DISPLAYMATRIX]
    except ValueError:
        # PyAV 18 cannot list side data of a kind that it has no name for (10-bit phone video
        # carries some). The rotation is still known; only a mirror image is not.
        return _QUARTER_TURNS[round(frame.rotation / 90) % 4]
    if not found:
        return _QUARTER_TURNS[0]
    a, b, _, c, d = np.frombuffer(bytes(found[0]), dtype="<i4")[:5].tolist()
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return (-1 if a < 0 else 1), 0, 0, (-1 if d < 0 else 1)
    return 0, (-1 if b < 0 else 1), (-1 if c < 0 else 1), 0


class ToRgb:
    """Converts decoded frames of one video to upright RGB arrays of one size.

    The frame's own matrix (BT.601 where it names none, as FFmpeg does) and range decide the
    colours; more than 8 bits are rounded to 8.

    Attributes:
      resized: whether a frame came in another size than the first.
    """

    def __init__(self):
        self.resized = False
        # One converter for all frames: it keeps its tables.
        self._reformatter = VideoReformatter()
        self._stored_wh: tuple[int, int] | None = None
        self._matrix = _QUARTER_TURNS[0]

    def __call__(self, frame: av.VideoFrame) -> UInt8[np.ndarray, "h w 3"]:
        if self._stored_wh is None:
            self._stored_wh = (frame.width, frame.height)
            self._matrix = display_matrix(frame)
        width, height = self._stored_wh
        self.resized |= (frame.width, frame.height) != self._stored_wh
        converted = self._reformatter.reformat(
            frame, width=width, height=height, format="rgb24", threads=1
        )
        return turn(converted.to_ndarray(), self._matrix)


def turn(
    rgb: UInt8[np.ndarray, "h w 3"], matrix: tuple[int, int, int, int]
) -> UInt8[np.ndarray, "r q 3"]:
    """Applies a display matrix of `display_matrix` to a stored picture."""
    a, b, c, d = matrix
    if matrix == _QUARTER_TURNS[0]:
        return rgb
    if a == 0:
        rgb = rgb.transpose(1, 0, 2)
        a, d = c, b
    return np.ascontiguousarray(rgb[::d, ::a])
