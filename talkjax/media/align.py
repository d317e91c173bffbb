"""A picture seen through a transform: the aligned face crop, anti-aliased."""

import cv2
import numpy as np

from talkjax.arrays import Float, UInt8
from talkjax.ops import geometry

# Above this many source pixels per output pixel, point sampling would alias.
SHRINK_LIMIT = 1.5


def crop(
    rgb: UInt8[np.ndarray, "h w 3"], crop_to_source: Float[np.ndarray, "2 3"], size_px: int
) -> UInt8[np.ndarray, "size size 3"]:
    """The square crop that `crop_to_source` describes.

    Parts outside the picture repeat its border.

    Args:
      rgb: source frame.
      crop_to_source: affine from crop pixels to source pixels (ops/geometry.smooth_crops).
      size_px: side of the crop.

    Raises:
      ValueError: if the transform is not finite (a frame without a face).
    """
    if not np.isfinite(crop_to_source).all():
        raise ValueError("crop: the transform is not finite: this frame has no face; skip it")
    return warp(rgb, crop_to_source, size_px=size_px, interpolation=cv2.INTER_CUBIC)


def warp(
    image: UInt8[np.ndarray, "h w *c"],
    crop_to_source: Float[np.ndarray, "2 3"],
    *,
    size_px: int,
    interpolation: int = cv2.INTER_LINEAR,
) -> UInt8[np.ndarray, "size size *c"]:
    """`crop` with a choice of cv2 interpolation, for one or more channels."""
    matrix = crop_to_source.astype(np.float64)
    if geometry.transform_scale(matrix) > SHRINK_LIMIT:
        image, matrix = _shrunk(image, matrix, size_px=size_px)
    return cv2.warpAffine(
        image,
        matrix,
        (size_px, size_px),
        flags=interpolation | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )


def bounds_in_source(
    crop_to_source: Float[np.ndarray, "2 3"],
    *,
    size_px: int,
    source_hw: tuple[int, int],
    margin_px: float = 2.0,
) -> tuple[int, int, int, int]:
    """Rows and columns (top, bottom, left, right; ends exclusive) of the source under the crop.

    Clipped to the picture; never empty, even if the crop lies outside of it.
    """
    low, high = -0.5, size_px - 0.5
    corners = np.array([[low, low], [high, low], [low, high], [high, high]])
    corners = geometry.transform_points(crop_to_source.astype(np.float64), corners)
    left, top = np.floor(corners.min(axis=0) - margin_px).astype(int)
    right, bottom = np.ceil(corners.max(axis=0) + margin_px).astype(int) + 1
    rows, columns = source_hw
    top, left = min(max(top, 0), rows - 1), min(max(left, 0), columns - 1)
    bottom, right = min(max(bottom, top + 1), rows), min(max(right, left + 1), columns)
    return int(top), int(bottom), int(left), int(right)


def _shrunk(
    image: np.ndarray, matrix: np.ndarray, *, size_px: int
) -> tuple[np.ndarray, np.ndarray]:
    """The part of the picture under the crop, area-averaged to about the crop's resolution."""
    scale = geometry.transform_scale(matrix)
    top, bottom, left, right = bounds_in_source(
        matrix, size_px=size_px, source_hw=image.shape[:2], margin_px=2 * scale
    )
    width = max(round((right - left) / scale), 1)
    height = max(round((bottom - top) / scale), 1)
    small = cv2.resize(image[top:bottom, left:right], (width, height), interpolation=cv2.INTER_AREA)
    ratio = np.array([width / (right - left), height / (bottom - top)])
    shrunk = matrix.copy()
    shrunk[:, 2] -= [left, top]
    # Source pixel u becomes (u + 0.5) * ratio - 0.5.
    shrunk[:, 2] += 0.5
    shrunk *= ratio[:, None]
    shrunk[:, 2] -= 0.5
    return small, shrunk
