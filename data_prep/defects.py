"""Cuts and damaged frames, and the longest stretch without them.

The frames are looked at as thumbnails while they stream by; only the verdicts are kept.
"""

import dataclasses
from collections.abc import Iterable, Iterator

import cv2
import numpy as np

from talkjax.media.reader import Frame
from talkjax.media.shots import ShotCutter
from talkjax.ops import geometry

THUMBNAIL_WH = (32, 24)
# A frame whose grey thumbnail varies less than this holds no picture: a decoder paints grey
# where the first key frame is missing (GRID prii9a), and films fade through black.
FLAT_DEVIATION = 6.0


@dataclasses.dataclass(frozen=True)
class Defect:
    """Frames [first, end) that cannot be used; empty (first == end) for a cut before `first`."""

    name: str
    first: int
    end: int

    def __str__(self) -> str:
        if self.name == "shot_cut":
            return f"shot cut at frame {self.first}"
        what = {"damaged": "flat (damaged) frames", "face_lost": "face missing in frames"}
        return f"{what[self.name]} {self.first}-{self.end - 1}"


def runs(name: str, bad: Iterable[bool]) -> list[Defect]:
    """A defect for each run of True."""
    return [Defect(name, *run) for run in geometry.true_runs(np.array(list(bad), dtype=bool))]


def longest_good(num_frames: int, defects: Iterable[Defect]) -> tuple[int, int]:
    """(first, end) of the longest stretch without a defect; (0, 0) if there is none."""
    best, first = (0, 0), 0
    for defect in sorted(defects, key=lambda d: (d.first, d.end)):
        if defect.first - first > best[1] - best[0]:
            best = (first, defect.first)
        first = max(first, defect.end)
    return (first, num_frames) if num_frames - first > best[1] - best[0] else best


class FrameWatch:
    """Looks at frames as they pass: `watched(frames)` yields them unchanged."""

    def __init__(self) -> None:
        self._cutter = ShotCutter()
        self._cuts: list[int] = []
        self._flat: list[bool] = []

    def watched(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        for frame in frames:
            place = len(self._flat)
            if self._cutter.starts_shot(frame.rgb):
                self._cuts.append(place)
            grey = cv2.resize(frame.rgb, THUMBNAIL_WH, interpolation=cv2.INTER_AREA).mean(axis=-1)
            self._flat.append(bool(grey.std() < FLAT_DEVIATION))
            yield frame

    def defects(self, num_frames: int) -> list[Defect]:
        """Cuts and runs of flat frames among the first `num_frames`."""
        cuts = [Defect("shot_cut", place, place) for place in self._cuts if place < num_frames]
        return cuts + runs("damaged", self._flat[:num_frames])
