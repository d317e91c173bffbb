"""Pictures as SyncNet's evaluation sees them: recompressed, cropped, brought to its side.

Two variants of Wav2Lip's evaluation: the whole frame, for clips that are face crops already; and
a crop that follows the face, for other videos, by dlib (`find_tracks`) or by boxes that a detector
such as the original's S3FD found elsewhere (`box_tracks`). A third, ours, makes the crops of our
records. Everything streams.

Source: evaluation/scores_LSE of Rudrabha/Wav2Lip; run_pipeline.py and SyncNetInstance.py of
joonson/syncnet_python@6efbb1c.
"""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import NamedTuple

import av
import cv2
import numpy as np
import scipy.signal

from talkjax.arrays import Float, UInt8
from talkjax.data.schema import FPS
from talkjax.media.align import crop
from talkjax.media.detector import Detector
from talkjax.media.reader import Frame
from talkjax.media.shots import ShotCutter
from talkjax.media.track import Track, TrackSettings, iou, track
from talkjax.ops import geometry

# The crop around a face box with half side s: rows -s to 1.8 s, columns -1.4 s to 1.4 s.
CROP_SCALE = 0.40
BORDER_GREY = 110
MEDIAN_FRAMES = 13
CROP_PX = 224
# Misses of the detector that a track survives, and the least overlap from frame to frame.
MAX_MISSED_FRAMES = 25
SAME_FACE_IOU = 0.5
# The original drops tracks of 100 frames or fewer without a word.
MIN_TRACK_FRAMES = 25
MIN_FACE_PX = 100.0


def recompressed(frames_rgb: Iterable[UInt8[np.ndarray, "h w 3"]]) -> Iterator[np.ndarray]:
    """Frames as JPEGs that FFmpeg writes by default, read again by OpenCV.

    FFmpeg aims at 200 kbit/s for whatever size, so after a few frames its JPEGs are coarse. That
    is part of the protocol, and of the published numbers.

    Source: `ffmpeg -i VIDEO -threads 1 -f image2 %06d.jpg`. Differs: its frames come as RGB.
    """
    encoder = None
    for number, rgb in enumerate(frames_rgb):
        if encoder is None:
            encoder = _jpeg_encoder(rgb.shape[0], rgb.shape[1])
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
        frame = frame.reformat(format=encoder.pix_fmt)
        frame.pts, frame.time_base = number, encoder.time_base
        (packet,) = encoder.encode(frame)
        bgr = cv2.imdecode(np.frombuffer(bytes(packet), np.uint8), cv2.IMREAD_COLOR)
        yield cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def _jpeg_encoder(rows: int, columns: int) -> av.VideoCodecContext:
    encoder = av.CodecContext.create("mjpeg", "w")
    encoder.height, encoder.width, encoder.pix_fmt = rows, columns, "yuvj420p"
    encoder.time_base, encoder.framerate = Fraction(1, FPS), Fraction(FPS)
    encoder.thread_count = 1
    return encoder


def at_side(
    frames_rgb: Iterable[UInt8[np.ndarray, "h w 3"]], size_px: int
) -> Iterator[UInt8[np.ndarray, "s s 3"]]:
    """Frames brought to a square by OpenCV's plain resize: bilinear, not anti-aliased."""
    for rgb in frames_rgb:
        same = rgb.shape[:2] == (size_px, size_px)
        yield rgb if same else cv2.resize(rgb, (size_px, size_px), interpolation=cv2.INTER_LINEAR)


def whole_frames(
    frames_rgb: Iterable[UInt8[np.ndarray, "h w 3"]], size_px: int
) -> Iterator[UInt8[np.ndarray, "s s 3"]]:
    """The first variant: recompressed as they are, then brought to the judge's side."""
    return at_side(recompressed(frames_rgb), size_px)


@dataclasses.dataclass(frozen=True)
class FaceTrack:
    """A face over a stretch of frames without a gap.

    Attributes:
      first: its first frame in the video.
      box_xyxy_px: (t, 4) its box in each frame.
      found: in how many frames it was measured; the others are interpolated.
      landmarks_xy_px: (t, 5, 2); None where only boxes are known.
    """

    first: int
    box_xyxy_px: np.ndarray
    found: int
    landmarks_xy_px: np.ndarray | None = None

    @property
    def end(self) -> int:
        """One past its last frame in the video."""
        return self.first + len(self.box_xyxy_px)

    @property
    def face_px(self) -> float:
        """The longer of the box's mean sides."""
        return float(np.mean(self.box_xyxy_px[:, 2:] - self.box_xyxy_px[:, :2], axis=0).max())


class Seen(NamedTuple):
    """All stretches of a video with a face, how many frames it has, most faces seen at once."""

    tracks: tuple[FaceTrack, ...]
    num_frames: int
    max_faces: int


def find_tracks(frames: Iterable[Frame], detector: Detector) -> Seen:
    """The stretches of each shot in which its largest face is seen; nothing is dropped.

    Source: `track_shot` and `scene_detect` of run_pipeline.py. Differs: another detector (dlib
    instead of S3FD, whose boxes reach a little higher) and shot detector, landmarks followed
    between detections, and one face in each shot, the largest, where the original takes all.
    """
    settings = TrackSettings(max_gap_frames=MAX_MISSED_FRAMES, same_face_iou=SAME_FACE_IOU)
    tracks: list[FaceTrack] = []
    num_frames, max_faces = 0, 0
    for _, shot in itertools.groupby(frames, key=_ShotNumber()):
        found = track(shot, detector, settings=settings)
        tracks += _stretches(found, first=num_frames)
        num_frames += found.num_frames
        max_faces = max(max_faces, found.max_faces)
    return Seen(tuple(tracks), num_frames, max_faces)


def find_shots(frames: Iterable[Frame]) -> tuple[tuple[int, int], ...]:
    """(first, end) of each shot in frames of the video, end exclusive."""
    lengths = [sum(1 for _ in shot) for _, shot in itertools.groupby(frames, key=_ShotNumber())]
    ends = itertools.accumulate(lengths)
    return tuple((end - length, end) for end, length in zip(ends, lengths, strict=True))


def box_tracks(
    boxes_xyxy_px: Sequence[Float[np.ndarray, "_ 4"]], shots: Sequence[tuple[int, int]]
) -> Seen:
    """All faces of each shot, followed through boxes found elsewhere; nothing is dropped.

    Args:
      boxes_xyxy_px: (n, 4) of each frame of the video, as its detector orders them.
      shots: (first, end) of each, end exclusive.

    Source: `track_shot` of run_pipeline.py. Differs: a face takes one box of a frame, where the
    original takes a second that overlaps the first by more than SAME_FACE_IOU (S3FD gives none);
    another shot detector.
    """
    tracks: list[FaceTrack] = []
    for first, end in shots:
        left = [list(of_frame) for of_frame in boxes_xyxy_px[first:end]]
        while taken := _take_face(left):
            tracks.append(_without_gaps(taken, first=first))
    most = max((len(of_frame) for of_frame in boxes_xyxy_px), default=0)
    return Seen(tuple(tracks), len(boxes_xyxy_px), most)


def _take_face(left: Sequence[list[np.ndarray]]) -> dict[int, np.ndarray]:
    """{frame of the shot: box} of the first face that is left, whose boxes are taken away."""
    taken: dict[int, np.ndarray] = {}
    last = 0
    for number, boxes in enumerate(left):
        # As the original counts: the next box is at most so many frames later.
        if taken and number - last > MAX_MISSED_FRAMES:
            break
        for place, box in enumerate(boxes):
            if not taken or iou(box, taken[last]) > SAME_FACE_IOU:
                taken[number], last = boxes.pop(place), number
                break
    return taken


def _without_gaps(taken: dict[int, np.ndarray], *, first: int) -> FaceTrack:
    """The track of a face in a shot that begins at frame `first`; gaps are straight lines."""
    known, boxes = list(taken), np.stack(list(taken.values())).astype(np.float64)
    every = np.arange(known[0], known[-1] + 1)
    filled = np.stack([np.interp(every, known, side) for side in boxes.T], axis=1)
    return FaceTrack(first=first + known[0], box_xyxy_px=filled, found=len(known))


class _ShotNumber:
    """The shot that a frame belongs to; asked for each frame in order."""

    def __init__(self) -> None:
        self._cutter, self._number = ShotCutter(), 0

    def __call__(self, frame: Frame) -> int:
        self._number += self._cutter.starts_shot(frame.rgb)
        return self._number


def _stretches(found: Track, *, first: int) -> Iterator[FaceTrack]:
    for start, end in geometry.true_runs(found.usable):
        # From the first to the last frame in which the face was measured: nothing is held.
        measured = start + np.flatnonzero(found.found[start:end])
        if len(measured) == 0:
            continue
        rows = slice(int(measured[0]), int(measured[-1]) + 1)
        yield FaceTrack(
            first=first + rows.start,
            box_xyxy_px=found.box_xyxy_px[rows],
            found=len(measured),
            landmarks_xy_px=found.landmarks_xy_px[rows],
        )


def followed_crops(
    frames_rgb: Iterable[UInt8[np.ndarray, "h w 3"]], box_xyxy_px: Float[np.ndarray, "t 4"]
) -> Iterator[UInt8[np.ndarray, "224 224 3"]]:
    """The second variant's crops of the frames of a track, before recompression.

    Source: `crop_video` of run_pipeline.py. Differs: the two finer compressions before the
    crop (MPEG-4 and JPEG at quality 2) and the one after it (XVID at 80 Mbit/s) are left out.
    """
    centre_x, centre_y, half = _smooth_squares(box_xyxy_px)
    for rgb, x, y, s in zip(frames_rgb, centre_x, centre_y, half, strict=True):
        yield _crop(rgb, x=float(x), y=float(y), half=float(s))


def aligned_crops(
    frames_rgb: Iterable[UInt8[np.ndarray, "h w 3"]],
    landmarks_xy_px: Float[np.ndarray, "t 5 2"],
    *,
    size_px: int,
    smooth_sigma_frames: float,
) -> Iterator[UInt8[np.ndarray, "s s 3"]]:
    """The crops that `talkjax prepare` makes, for judges that were trained on such."""
    matrices = geometry.smooth_crops(landmarks_xy_px, size_px, smooth_sigma_frames)
    for rgb, matrix in zip(frames_rgb, matrices, strict=True):
        yield crop(rgb, matrix, size_px)


def _smooth_squares(boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centre and half side of the boxes, medians of 13 frames; beyond the ends are zeros."""
    boxes = boxes.astype(np.float64)
    half = np.maximum(boxes[:, 3] - boxes[:, 1], boxes[:, 2] - boxes[:, 0]) / 2
    series = ((boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2, half)
    # scipy warns of a kernel longer than the series, and does the same.
    padded = (np.pad(one, (0, max(0, MEDIAN_FRAMES - len(one)))) for one in series)
    x, y, s = (scipy.signal.medfilt(one, MEDIAN_FRAMES)[: len(boxes)] for one in padded)
    return x, y, s


def _crop(rgb: np.ndarray, *, x: float, y: float, half: float) -> np.ndarray:
    border = int(half * (1 + 2 * CROP_SCALE))
    padded = np.pad(rgb, ((border, border), (border, border), (0, 0)), constant_values=BORDER_GREY)
    x, y = x + border, y + border
    # A face whose middle is far outside would start before the border.
    rows = slice(max(0, int(y - half)), int(y + half * (1 + 2 * CROP_SCALE)))
    reach = half * (1 + CROP_SCALE)
    columns = slice(max(0, int(x - reach)), int(x + reach))
    return cv2.resize(padded[rows, columns], (CROP_PX, CROP_PX), interpolation=cv2.INTER_LINEAR)
