"""Shot cuts, by comparing each frame with the one before. Cheap; nothing but a thumbnail is kept.

A cut changes both where things are and which colours there are; motion changes mostly the
former, a change of light mostly the latter. Both have to change.
"""

from collections.abc import Iterable

import cv2
import numpy as np

from talkjax.arrays import UInt8
from talkjax.media.track import HasRgb

THUMBNAIL_PX = 32
COLOUR_BINS = 8
# In 29 real clips without cuts no frame exceeded 12.3 grey levels or 0.08; of the 528 pairs of
# first frames of 33 clips, 99 % exceed both limits. A jump cut on one person may not.
# Mean absolute difference of the thumbnails, in grey levels.
MIN_PICTURE_CHANGE = 12.0
# Half the L1 distance of the colour histograms: the share of pixels that changed their bin.
MIN_COLOUR_CHANGE = 0.2


class ShotCutter:
    """Says of each frame whether it starts a new shot. Feed it the frames in order."""

    def __init__(self) -> None:
        self._thumbnail: np.ndarray | None = None
        self._histogram: np.ndarray | None = None

    def starts_shot(self, rgb: UInt8[np.ndarray, "h w 3"]) -> bool:
        """True if a cut lies between the frame before and this one; False for the first."""
        # About 100 pixels a side are enough, and taking every n-th keeps the colours.
        step = max(1, min(rgb.shape[:2]) // 100)
        sample = np.ascontiguousarray(rgb[::step, ::step])
        thumbnail = cv2.resize(sample, (THUMBNAIL_PX, THUMBNAIL_PX), interpolation=cv2.INTER_AREA)
        histogram = _colour_histogram(sample)
        cut = False
        if self._thumbnail is not None and self._histogram is not None:
            picture_change = np.abs(thumbnail.astype(np.float32) - self._thumbnail).mean()
            colour_change = 0.5 * np.abs(histogram - self._histogram).sum()
            cut = picture_change > MIN_PICTURE_CHANGE and colour_change > MIN_COLOUR_CHANGE
        self._thumbnail, self._histogram = thumbnail, histogram
        return bool(cut)


def shot_cuts(frames: Iterable[HasRgb]) -> tuple[int, ...]:
    """Positions (0-based) of the frames that start a new shot; the first frame is not listed."""
    cutter = ShotCutter()
    return tuple(index for index, frame in enumerate(frames) if cutter.starts_shot(frame.rgb))


def _colour_histogram(rgb: np.ndarray) -> np.ndarray:
    """Share of the pixels in each of 8 x 8 x 8 colour bins."""
    bins, ranges = [COLOUR_BINS] * 3, [0, 256] * 3
    counts = cv2.calcHist([rgb], [0, 1, 2], None, bins, ranges).ravel()
    return counts / counts.sum()
