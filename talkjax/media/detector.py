"""Finding faces and five landmarks with dlib: HOG detector and 5-point predictor.

dlib works on whole pixels and was trained on upright faces of a given size, so faces are looked
at through a small aligned patch: it makes landmarks finer than a pixel of a small source, and
costs the same in a 4K frame as in a small one.
"""

import dataclasses
import importlib.util
import pathlib
from typing import Protocol, runtime_checkable

import cv2
import dlib
import numpy as np

from talkjax.arrays import Float, UInt8
from talkjax.errors import UserError
from talkjax.media import align
from talkjax.ops import geometry

# The frame is searched at a long side of at most FAST_SIDE_PX; where that finds nothing, once
# more at up to THOROUGH_SIDE_PX (dlib's smallest face is 80 px, so small frames are enlarged).
FAST_SIDE_PX = 640
THOROUGH_SIDE_PX = 1280
MAX_ENLARGEMENT = 4.0

# The patch that landmarks are read from, and where its upright face box lies.
PATCH_PX = 256
PATCH_BOX_PX = 150
# The same patch, shrunk, is what the HOG detector confirms: its face is then about 94 px.
CONFIRM_PX = 160

# dlib's HOG box against the landmarks of the 5-point model: medians over 178 frames of 39
# real clips. The size is that of the eye distance, or of the nose's distance from the eyes
# where a turned head shortens the former.
BOX_OVER_EYE_DISTANCE = 2.55
NOSE_OVER_EYE_DISTANCE = 0.77
TURNED_NOSE_WEIGHT = 0.9
BOX_CENTRE_TOWARDS_NOSE = 0.66


@dataclasses.dataclass(frozen=True)
class Face:
    """A detected face.

    Attributes:
      box_xyxy_px: (4,) left, top, right, bottom in the frame; square, dlib's HOG extent.
      landmarks_xy_px: (5, 2) dlib's five points in the frame.
      score: confidence of the detector; dlib's own zero is its threshold.
    """

    box_xyxy_px: np.ndarray
    landmarks_xy_px: np.ndarray
    score: float

    @property
    def width_px(self) -> float:
        return float(self.box_xyxy_px[2] - self.box_xyxy_px[0])


@runtime_checkable
class Detector(Protocol):
    """What tracking needs; another detector has to offer these three."""

    def detect(self, rgb: UInt8[np.ndarray, "h w 3"]) -> list[Face]:
        """All faces of a frame, the best first."""
        ...

    def follow(
        self, rgb: UInt8[np.ndarray, "h w 3"], landmarks_xy_px: Float[np.ndarray, "5 2"]
    ) -> tuple[Float[np.ndarray, "5 2"], UInt8[np.ndarray, "p p"]]:
        """Landmarks of a face that was at `landmarks_xy_px` a frame ago, and its patch."""
        ...

    def confirm(self, patch: UInt8[np.ndarray, "p p"]) -> float | None:
        """The score of the face in a patch of `follow`; None if there is none."""
        ...


def model_path(name: str) -> pathlib.Path:
    """A dlib model file of the face_recognition_models wheel.

    The package is located, not imported: importing it needs pkg_resources, which is gone.

    Raises:
      UserError: if the wheel or the file is missing.
    """
    spec = importlib.util.find_spec("face_recognition_models")
    if spec is None or spec.origin is None:
        raise UserError(f"{name}: not found; install the package face_recognition_models")
    path = pathlib.Path(spec.origin).parent / "models" / name
    if not path.is_file():
        raise UserError(f"{path}: not found; reinstall the package face_recognition_models")
    return path


class DlibDetector:
    """dlib's frontal HOG detector and its 5-point predictor. Make one per process.

    Args:
      detect_threshold: least HOG score of a face found in a frame.
      confirm_threshold: least HOG score at which a followed face is still taken for one.
        Lower, because we know where to look.
    """

    def __init__(self, *, detect_threshold: float = 0.0, confirm_threshold: float = -0.3) -> None:
        self._hog = dlib.get_frontal_face_detector()
        self._predictor = dlib.shape_predictor(
            str(model_path("shape_predictor_5_face_landmarks.dat"))
        )
        self._detect_threshold = detect_threshold
        self._confirm_threshold = confirm_threshold

    def detect(self, rgb: UInt8[np.ndarray, "h w 3"]) -> list[Face]:
        """All frontal faces of a frame, the best score first.

        Looks at the frame reduced to 640 px first, and if that shows no face, again at up to
        1280 px or four times its size: faces down to about 20 px in a small frame, and down to
        80 px at 1280.
        """
        long_side = max(rgb.shape[:2])
        fast = min(1.0, FAST_SIDE_PX / long_side)
        thorough = min(MAX_ENLARGEMENT, THOROUGH_SIDE_PX / long_side)
        return self._detect_at(rgb, scale=fast) or self._detect_at(rgb, scale=thorough)

    def follow(
        self, rgb: UInt8[np.ndarray, "h w 3"], landmarks_xy_px: Float[np.ndarray, "5 2"]
    ) -> tuple[Float[np.ndarray, "5 2"], UInt8[np.ndarray, "p p"]]:
        """Landmarks of a face that was at `landmarks_xy_px` a frame ago, and its patch.

        Two passes: the first finds where the face went, the second reads it in the middle of an
        upright patch. The predictor always answers, face or not; `confirm` the patch.
        """
        moved, _ = self._read(rgb, patch_to_source(landmarks_xy_px))
        return self._read(rgb, patch_to_source(moved))

    def confirm(self, patch: UInt8[np.ndarray, "p p"]) -> float | None:
        """The HOG score of the face in the middle of a patch; None if there is none."""
        small = cv2.resize(patch, (CONFIRM_PX, CONFIRM_PX), interpolation=cv2.INTER_AREA)
        boxes, scores, _ = self._hog.run(small, 0, self._confirm_threshold)
        middle = (CONFIRM_PX - 1) / 2
        reach = 0.25 * PATCH_BOX_PX * CONFIRM_PX / PATCH_PX
        near = [
            score
            for box, score in zip(boxes, scores, strict=True)
            if abs(box.center().x - middle) < reach and abs(box.center().y - middle) < reach
        ]
        return float(max(near)) if near else None

    def _detect_at(self, rgb: np.ndarray, *, scale: float) -> list[Face]:
        rows, columns = rgb.shape[:2]
        size = (max(round(columns * scale), 1), max(round(rows * scale), 1))
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        image = rgb if scale == 1 else cv2.resize(rgb, size, interpolation=how)
        # dlib misreads rows with padding (as decoders give them), differently on each call.
        image = np.ascontiguousarray(image)
        boxes, scores, _ = self._hog.run(image, 0, self._detect_threshold)
        ratio = np.array([columns / size[0], rows / size[1]] * 2)
        faces = []
        for box, score in zip(boxes, scores, strict=True):
            # dlib's right and bottom are the last pixels inside.
            edges = np.array([box.left(), box.top(), box.right() + 1, box.bottom() + 1]) * ratio
            landmarks, _ = self._read(rgb, _upright_patch(edges))
            landmarks, _ = self._read(rgb, patch_to_source(landmarks))
            faces.append(Face((edges - 0.5).astype(np.float32), landmarks, float(score)))
        return faces

    def _read(self, rgb: np.ndarray, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Landmarks in the frame (float32) read through a patch, and the grey patch."""
        # Grey before the warp, and only what is needed: a third of the cost in large frames.
        margin_px = 2 * geometry.transform_scale(matrix) + 2
        top, bottom, left, right = align.bounds_in_source(
            matrix, size_px=PATCH_PX, source_hw=rgb.shape[:2], margin_px=margin_px
        )
        grey = cv2.cvtColor(rgb[top:bottom, left:right], cv2.COLOR_RGB2GRAY)
        to_grey = matrix - np.array([[0, 0, left], [0, 0, top]])
        patch = align.warp(grey, to_grey, size_px=PATCH_PX)
        low = (PATCH_PX - PATCH_BOX_PX) // 2
        box = dlib.rectangle(low, low, low + PATCH_BOX_PX - 1, low + PATCH_BOX_PX - 1)
        points = self._predictor(patch, box).parts()
        in_patch = np.array([(point.x, point.y) for point in points], dtype=np.float64)
        return geometry.transform_points(matrix, in_patch).astype(np.float32), patch


def box_from_landmarks(landmarks_xy_px: Float[np.ndarray, "5 2"]) -> Float[np.ndarray, "4"]:
    """The square that dlib's HOG detector would give, from five landmarks: x0, y0, x1, y1."""
    centre, width, _ = _face_pose(landmarks_xy_px)
    return np.concatenate([centre - width / 2, centre + width / 2]).astype(np.float32)


def patch_to_source(landmarks_xy_px: Float[np.ndarray, "5 2"]) -> Float[np.ndarray, "2 3"]:
    """Transform of the upright patch around a face, from patch pixels to frame pixels."""
    centre, width, angle = _face_pose(landmarks_xy_px)
    return _patch(centre, width, angle)


def _upright_patch(edges: np.ndarray) -> np.ndarray:
    return _patch((edges[:2] + edges[2:]) / 2 - 0.5, float(edges[2] - edges[0]), 0.0)


def _patch(centre: np.ndarray, width: float, angle: float) -> np.ndarray:
    scale = width / PATCH_BOX_PX
    linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.column_stack([linear, centre - linear @ np.full(2, (PATCH_PX - 1) / 2)])


def _face_pose(landmarks: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Centre and width of the face box, and the angle of the eye line."""
    landmarks = landmarks.astype(np.float64)
    left, right = geometry.eye_centres(landmarks[None])[0]
    to_nose = landmarks[geometry.NOSE] - (left + right) / 2
    across = right - left
    nose_size = np.linalg.norm(to_nose) / NOSE_OVER_EYE_DISTANCE * TURNED_NOSE_WEIGHT
    # Never zero, so that landmarks fallen into one point give a patch that can be refused.
    width = BOX_OVER_EYE_DISTANCE * max(float(np.linalg.norm(across)), float(nose_size), 1.0)
    centre = (left + right) / 2 + BOX_CENTRE_TOWARDS_NOSE * to_nose
    return centre, width, float(np.arctan2(across[1], across[0]))
