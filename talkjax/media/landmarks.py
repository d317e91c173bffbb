"""iBUG's 68 landmarks on the canonical crop, for metrics only.

The model file was trained by dlib's author on iBUG 300-W, whose terms allow research use only:
nothing that is trained or shipped for other use may depend on it. Cropping does not; it uses the
5-point model (media/detector.py).
"""

import functools
from collections.abc import Iterable

import cv2
import dlib
import numpy as np

from talkjax.arrays import Float, UInt8
from talkjax.media.detector import model_path

# The crop is brought to this side first; the predictor answers in whole pixels.
CROP_PX = 256

# Where dlib's HOG box lies in the canonical crop, as fractions of its side: median over 235
# frames of 47 real clips (10th to 90th percentile of the width: 0.72 to 0.97). No detector is
# run on the crop, so a blurred or odd generated face is measured like any other.
BOX_CENTRE_X, BOX_CENTRE_Y, BOX_WIDTH = 0.5, 0.458, 0.814
# The predictor depends on its rectangle; the mean over three, shifted and scaled by these
# fractions of the width, is a fifth less noisy in the lip opening than any one.
BOX_VARIANTS = ((-0.03, 0.0, 0.04), (0.03, 0.03, 0.0), (0.0, -0.03, -0.04))


def landmarks68(crop_rgb_u8: UInt8[np.ndarray, "h w 3"]) -> Float[np.ndarray, "68 2"]:
    """68 landmarks of a canonical crop (ops/geometry.py), in pixels of that crop, float32.

    Args:
      crop_rgb_u8: square crop of any size. There is no test that it shows a face.

    Raises:
      ValueError: if the crop is not square.
    """
    rows, columns = crop_rgb_u8.shape[:2]
    if rows != columns:
        raise ValueError(f"crop: got {columns}x{rows} px, want a square canonical crop")
    grey = cv2.cvtColor(_resized(crop_rgb_u8), cv2.COLOR_RGB2GRAY)
    shapes = [_predictor()(grey, rectangle).parts() for rectangle in _rectangles()]
    points = np.array([[(point.x, point.y) for point in shape] for shape in shapes])
    # Pixel centres at integers: borders coincide, not centres.
    scaled = (points.mean(axis=0) + 0.5) * (rows / CROP_PX) - 0.5
    return scaled.astype(np.float32)


def landmarks68_many(
    crops_rgb_u8: Iterable[UInt8[np.ndarray, "h w 3"]],
) -> Float[np.ndarray, "t 68 2"]:
    """`landmarks68` of each crop; takes any iterable, so that a clip need not be held."""
    points = [landmarks68(crop) for crop in crops_rgb_u8]
    return np.stack(points) if points else np.zeros((0, 68, 2), dtype=np.float32)


@functools.cache
def _predictor() -> dlib.shape_predictor:
    return dlib.shape_predictor(str(model_path("shape_predictor_68_face_landmarks.dat")))


@functools.cache
def _rectangles() -> tuple[dlib.rectangle, ...]:
    rectangles = []
    for shift_x, shift_y, growth in BOX_VARIANTS:
        centre_x = (BOX_CENTRE_X + shift_x * BOX_WIDTH) * CROP_PX
        centre_y = (BOX_CENTRE_Y + shift_y * BOX_WIDTH) * CROP_PX
        half = BOX_WIDTH * (1 + growth) * CROP_PX / 2
        edges = (centre_x - half, centre_y - half, centre_x + half - 1, centre_y + half - 1)
        rectangles.append(dlib.rectangle(*[round(edge) for edge in edges]))
    return tuple(rectangles)


def _resized(crop: np.ndarray) -> np.ndarray:
    if crop.shape[0] == CROP_PX:
        return crop
    how = cv2.INTER_AREA if crop.shape[0] > CROP_PX else cv2.INTER_CUBIC
    return cv2.resize(crop, (CROP_PX, CROP_PX), interpolation=how)
