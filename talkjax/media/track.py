"""One face followed through a stream of frames: small arrays out, no frame is kept.

Every frame: the 5-point predictor, started from the frame before. Every few frames: the HOG
detector on the face's own patch, because the predictor always answers, face or not. When that
fails, the patches since the last confirmed frame are looked at one by one, so that the first
frame without the face is known exactly.
"""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Literal, Protocol, runtime_checkable

import numpy as np

from talkjax.arrays import Bool, Float
from talkjax.media.detector import Detector, Face, box_from_landmarks
from talkjax.ops import geometry


@dataclasses.dataclass(frozen=True)
class TrackSettings:
    """How a face is followed.

    Attributes:
      choose: which of several faces: "largest" mean area over the choice time, or "center", the
        nearest on average to the middle of the frame.
      choose_frames: the choice time, from the first frame with a face.
      detect_every_frames: how often the followed face is confirmed by the detector, and how
        often a frame without a known face is searched.
      count_every_frames: how often the whole frame is searched, to count the faces.
      max_gap_frames: gaps up to this are interpolated (held at the ends of the clip).
      same_face_iou: least overlap of a found face with the last known box.
    """

    choose: Literal["largest", "center"] = "largest"
    choose_frames: int = 25
    detect_every_frames: int = 5
    count_every_frames: int = 25
    max_gap_frames: int = 5
    same_face_iou: float = 0.2


@dataclasses.dataclass(frozen=True)
class Track:
    """One face over a clip.

    Attributes:
      box_xyxy_px: (t, 4) float32, upright square with dlib's HOG extent; NaN where missing.
      landmarks_xy_px: (t, 5, 2) float32, dlib's five points; NaN where missing.
      found: (t,) bool, measured; False where interpolated, held or missing.
      max_faces: most faces seen at once.
      source_hw: rows and columns of the frames; (0, 0) if there were none.
    """

    box_xyxy_px: np.ndarray
    landmarks_xy_px: np.ndarray
    found: np.ndarray
    max_faces: int
    source_hw: tuple[int, int]

    @property
    def num_frames(self) -> int:
        return len(self.found)

    @property
    def usable(self) -> Bool[np.ndarray, "t"]:
        """Frames with landmarks, measured or filled in."""
        return np.isfinite(self.landmarks_xy_px).all(axis=(1, 2))

    @property
    def missing(self) -> tuple[tuple[int, int], ...]:
        """(first, end) of each range of frames without landmarks, end exclusive."""
        return tuple(geometry.true_runs(~self.usable))

    @property
    def face_width_px(self) -> float:
        """Median width of the box over the measured frames; 0 if there are none."""
        if not self.found.any():
            return 0.0
        boxes = self.box_xyxy_px[self.found]
        return float(np.median(boxes[:, 2] - boxes[:, 0]))


@runtime_checkable
class HasRgb(Protocol):
    """A frame: anything with its picture, uint8 rows x columns x 3."""

    @property
    def rgb(self) -> np.ndarray: ...


def track(
    frames: Iterable[HasRgb], detector: Detector, *, settings: TrackSettings | None = None
) -> Track:
    """Follows one face through a clip.

    With several faces, one is chosen by `settings.choose` and followed; the track never moves to
    a face that does not overlap the last known box, so a face that leaves and comes back
    elsewhere stays missing. A cut to another face in the same place goes unnoticed: split the
    frames at cuts first (media/shots.py).

    Args:
      frames: in order; consumed once, one at a time. All of one size.
      detector: finds, follows and confirms faces (media/detector.py).
    """
    settings = settings or TrackSettings()
    tracker = _Tracker(detector, settings)
    for index, frame in enumerate(frames):
        tracker.step(index, frame.rgb)
    return tracker.finish()


def iou(box_a: Float[np.ndarray, "4"], box_b: Float[np.ndarray, "4"]) -> float:
    """Intersection over union of two boxes (x0, y0, x1, y1)."""
    sides = np.minimum(box_a[2:], box_b[2:]) - np.maximum(box_a[:2], box_b[:2])
    shared = float(np.prod(np.maximum(sides, 0)))
    areas = float(np.prod(box_a[2:] - box_a[:2]) + np.prod(box_b[2:] - box_b[:2]))
    return shared / (areas - shared) if areas > shared else 0.0


# A step that changes the eye distance or moves the face by more than this between two frames is
# checked at once.
MAX_SIZE_RATIO = 1.25
MAX_MOVE_WIDTHS = 0.25


class _Candidate:
    """One face being followed: landmarks per frame, and the patches not yet confirmed."""

    def __init__(self, index: int, face: Face) -> None:
        self.landmarks = {index: face.landmarks_xy_px}
        self.pending: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self.last = face.landmarks_xy_px
        self.lost = False

    @property
    def box(self) -> np.ndarray:
        return box_from_landmarks(self.last)

    def follow(self, index: int, rgb: np.ndarray, detector: Detector) -> bool:
        """One frame on; True if the step is plausible."""
        before = self.box
        self.last, patch = detector.follow(rgb, self.last)
        self.pending[index] = (self.last, patch)
        after = self.box
        width, new_width = before[2] - before[0], after[2] - after[0]
        ratio = max(width / new_width, new_width / width)
        move = np.abs((after - before).reshape(2, 2).mean(axis=0)).max() / width
        return bool(ratio < MAX_SIZE_RATIO and move < MAX_MOVE_WIDTHS)

    def confirm(self, detector: Detector) -> bool:
        """Checks the newest frame, and if that fails each frame since the last good one."""
        newest = max(self.pending)
        good = detector.confirm(self.pending[newest][1]) is not None
        for index in sorted(self.pending):
            landmarks, patch = self.pending[index]
            if not good and (index == newest or detector.confirm(patch) is None):
                break
            self.landmarks[index] = self.last = landmarks
        self.pending.clear()
        self.lost = not good
        return good

    def anchor(self, index: int, face: Face) -> None:
        """Found again by the detector."""
        self.landmarks[index] = self.last = face.landmarks_xy_px
        self.pending.clear()
        self.lost = False


class _Tracker:
    """The state while frames stream by."""

    def __init__(self, detector: Detector, settings: TrackSettings) -> None:
        self.detector = detector
        self.settings = settings
        self.candidates: list[_Candidate] = []
        self.first_face: int | None = None
        self.chosen = False
        self.max_faces = 0
        self.num_frames = 0
        self.source_hw = (0, 0)

    def step(self, index: int, rgb: np.ndarray) -> None:
        self.num_frames, self.source_hw = index + 1, (rgb.shape[0], rgb.shape[1])
        check = index % self.settings.detect_every_frames == 0
        for candidate in self.candidates:
            if not candidate.lost:
                plausible = candidate.follow(index, rgb, self.detector)
                if check or not plausible:
                    candidate.confirm(self.detector)
        if self._wants_search(index, check):
            self._search(index, rgb)
        if not self.chosen and self._choice_is_due(index):
            self._choose_or_wait()

    def finish(self) -> Track:
        for candidate in self.candidates:
            if candidate.pending:
                candidate.confirm(self.detector)
        if not self.chosen:
            self._choose()
        landmarks = np.full((self.num_frames, 5, 2), np.nan, dtype=np.float32)
        if self.candidates:
            for index, points in self.candidates[0].landmarks.items():
                landmarks[index] = points
        found = np.isfinite(landmarks).all(axis=(1, 2))
        landmarks = geometry.fill_gaps(
            landmarks, found, max_gap_frames=self.settings.max_gap_frames
        )
        boxes = np.full((self.num_frames, 4), np.nan, dtype=np.float32)
        for index in np.flatnonzero(np.isfinite(landmarks).all(axis=(1, 2))):
            boxes[index] = box_from_landmarks(landmarks[index])
        return Track(boxes, landmarks, found, self.max_faces, self.source_hw)

    def _wants_search(self, index: int, check: bool) -> bool:
        if index % self.settings.count_every_frames == 0:
            return True
        if not self.chosen and check:
            return True
        lost = [candidate for candidate in self.candidates if candidate.lost]
        # Just lost, or at the very start: every frame, to keep the gap short; then at times.
        last_seen = max((max(c.landmarks) for c in lost), default=-1)
        recent = index - last_seen <= self.settings.max_gap_frames + 1
        return (bool(lost) or not self.candidates) and (check or recent)

    def _search(self, index: int, rgb: np.ndarray) -> None:
        faces = self.detector.detect(rgb)
        self.max_faces = max(self.max_faces, len(faces))
        for candidate in self.candidates:
            overlaps = [iou(candidate.box, box_from_landmarks(f.landmarks_xy_px)) for f in faces]
            if not overlaps or max(overlaps) < self.settings.same_face_iou:
                continue
            face = faces.pop(int(np.argmax(overlaps)))
            if candidate.lost:
                candidate.anchor(index, face)
        if not self.chosen:
            self.candidates += [_Candidate(index, face) for face in faces]
            if self.first_face is None and not all(c.lost for c in self.candidates):
                self.first_face = index

    def _choice_is_due(self, index: int) -> bool:
        if self.first_face is None:
            return False
        return index - self.first_face >= self.settings.choose_frames - 1

    def _choose_or_wait(self) -> None:
        """Chooses, unless there was only a glimpse: then another face gets its chance."""
        best = max(self.candidates, key=self._preference)
        glimpse = best.lost and len(best.landmarks) < self.settings.choose_frames / 2
        if glimpse:
            self.first_face = None
        else:
            self.chosen = True
            self._choose()

    def _choose(self) -> None:
        if self.candidates:
            self.candidates = [max(self.candidates, key=self._preference)]

    def _preference(self, candidate: _Candidate) -> float:
        """Summed over the choice time, so that a face seen in a few frames only loses."""
        points: Sequence[np.ndarray] = list(candidate.landmarks.values())
        points = points + [landmarks for landmarks, _ in candidate.pending.values()]
        boxes = np.stack([box_from_landmarks(p) for p in points])
        if self.settings.choose == "largest":
            return float(((boxes[:, 2] - boxes[:, 0]) ** 2).sum())
        middle = np.array(self.source_hw[::-1]) / 2
        distance = np.linalg.norm((boxes[:, :2] + boxes[:, 2:]) / 2 - middle, axis=1)
        return float((np.linalg.norm(middle) - distance).sum())
