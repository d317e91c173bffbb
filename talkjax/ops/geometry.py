"""Landmarks, similarity transforms, the one crop geometry and lip measures. Pure numpy.

Coordinates are pixels, x right, y down, pixel centres at integers (so an image of n pixels
spans [-0.5, n - 0.5]). A transform is a 2x3 affine: `out = M[:, :2] @ point + M[:, 2]`.

Crop geometry. Only the eyes decide the crop: one that followed the jaw or the nose would leak
the lips into the part of the picture that a model is allowed to see.
"""

from collections.abc import Iterator

import numpy as np

from talkjax.arrays import Bool, Float

# dlib's five points: 0, 1 the corners of the eye on the right of the picture, 2, 3 those of the
# eye on its left, 4 the base of the nose.
RIGHT_EYE_OF_PICTURE = (0, 1)
LEFT_EYE_OF_PICTURE = (2, 3)
NOSE = 4

# The crop, in fractions of its side: the two eye centres sit at x = 0.5 -+ 1/6, y = 0.28.
EYE_DISTANCE_FRACTION = 1 / 3
EYE_LINE_FRACTION = 0.28
# How much a data set's crops are smoothed over time unless its preparation was told otherwise.
SMOOTH_SIGMA_FRAMES = 2.5

# iBUG's 68 points (0-based).
EYE_A_68 = slice(36, 42)
EYE_B_68 = slice(42, 48)
INNER_LIP_TOP_68, INNER_LIP_BOTTOM_68 = 62, 66
MOUTH_CORNER_A_68, MOUTH_CORNER_B_68 = 48, 54


def eye_centres(landmarks_xy_px: Float[np.ndarray, "t 5 2"]) -> Float[np.ndarray, "t 2 2"]:
    """Mean of each eye's two corners: first the eye on the left of the picture, then the right."""
    left = landmarks_xy_px[:, LEFT_EYE_OF_PICTURE].mean(axis=1)
    right = landmarks_xy_px[:, RIGHT_EYE_OF_PICTURE].mean(axis=1)
    return np.stack([left, right], axis=1)


def crops_from_eyes(
    eyes_xy_px: Float[np.ndarray, "t 2 2"], *, size_px: int
) -> Float[np.ndarray, "t 2 3"]:
    """Similarity transforms from pixels of the square crop to pixels of the source.

    Args:
      eyes_xy_px: per frame, the eye centre on the left of the picture and that on the right.
      size_px: side of the crop.
    """
    middle, log_distance, angle = _pose(eyes_xy_px.astype(np.float64))
    return _crops_from_pose(middle, log_distance, angle, size_px=size_px)


def smooth_crops(
    landmarks_xy_px: Float[np.ndarray, "t 5 2"], size_px: int, sigma_frames: float | int
) -> Float[np.ndarray, "t 2 3"]:
    """Crop-to-source transforms of a clip, smoothed over time without lag.

    The eye midpoint, the log of the eye distance and the angle are smoothed by a Gaussian in
    each run of frames that have landmarks; frames whose landmarks are NaN get NaN.

    Args:
      landmarks_xy_px: dlib's five points in the source; NaN where there is no face.
      size_px: side of the crop.
      sigma_frames: standard deviation of the Gaussian; 0 does not smooth.

    Returns:
      float32 transforms from crop pixels to source pixels.
    """
    landmarks = landmarks_xy_px.astype(np.float64)
    crops = np.full((len(landmarks), 2, 3), np.nan)
    for first, end in true_runs(np.isfinite(landmarks).all(axis=(1, 2))):
        middle, log_distance, angle = _pose(eye_centres(landmarks[first:end]))
        series = np.column_stack([middle, log_distance, np.unwrap(angle)])
        series = smooth(series, sigma_frames=sigma_frames)
        crops[first:end] = _crops_from_pose(
            series[:, :2], series[:, 2], series[:, 3], size_px=size_px
        )
    return crops.astype(np.float32)


def smooth(
    series: Float[np.ndarray, "t d"], *, sigma_frames: float | int
) -> Float[np.ndarray, "t d"]:
    """Gaussian-weighted local straight lines: zero phase, and exact on constant velocity.

    Away from the ends this is the plain Gaussian mean. At the ends a mean would be pulled
    inwards; a line through the frames that are there is not.
    """
    if sigma_frames < 0:
        raise ValueError(f"sigma_frames: got {sigma_frames}, want 0 or more")
    if sigma_frames == 0 or len(series) < 3:
        return series
    reach = min(int(np.ceil(4 * sigma_frames)), len(series) - 1)
    offset = np.arange(-reach, reach + 1, dtype=np.float64)
    weight = np.exp(-0.5 * (offset / sigma_frames) ** 2)

    def moment(values: np.ndarray, power: int) -> np.ndarray:
        # np.convolve flips its kernel; flip it back so that offset = other frame - this frame.
        return np.convolve(values, (weight * offset**power)[::-1], mode="full")[reach:-reach]

    ones = np.ones(len(series))
    m0, m1, m2 = (moment(ones, power) for power in (0, 1, 2))
    lines = [m2 * moment(column, 0) - m1 * moment(column, 1) for column in series.T]
    return np.stack(lines, axis=1) / (m0 * m2 - m1**2)[:, None]


def true_runs(flags: Bool[np.ndarray, "t"]) -> Iterator[tuple[int, int]]:
    """(first, end) of each run of True, end exclusive."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)


def fill_gaps(
    values: Float[np.ndarray, "t *rest"], found: Bool[np.ndarray, "t"], *, max_gap_frames: int
) -> Float[np.ndarray, "t *rest"]:
    """Short gaps filled: straight lines between neighbours, the nearest value held at the ends.

    Frames of gaps longer than `max_gap_frames` are NaN.
    """
    filled = np.where(found.reshape(-1, *[1] * (values.ndim - 1)), values, np.nan)
    for first, end in true_runs(~found):
        if end - first > max_gap_frames or end - first == len(found):
            continue
        before = filled[first - 1] if first > 0 else filled[end]
        after = filled[end] if end < len(found) else filled[first - 1]
        share = np.arange(1, end - first + 1) / (end - first + 1)
        share = share.reshape(-1, *[1] * (values.ndim - 1))
        filled[first:end] = before * (1 - share) + after * share
    return filled.astype(values.dtype)


def transform_points(
    matrix: Float[np.ndarray, "2 3"], points_xy: Float[np.ndarray, "*k 2"]
) -> Float[np.ndarray, "*k 2"]:
    """The affine applied to points."""
    return points_xy @ matrix[:, :2].T + matrix[:, 2]


def invert(matrix: Float[np.ndarray, "2 3"]) -> Float[np.ndarray, "2 3"]:
    """The inverse affine, float64."""
    linear = np.linalg.inv(matrix[:, :2].astype(np.float64))
    return np.column_stack([linear, -linear @ matrix[:, 2]])


def transform_scale(matrix: Float[np.ndarray, "2 3"]) -> float:
    """How many output pixels one input pixel spans, along a side."""
    return float(np.sqrt(abs(np.linalg.det(matrix[:, :2].astype(np.float64)))))


def rescale_crops(
    crop_to_source: Float[np.ndarray, "t 2 3"], *, from_px: int, to_px: int
) -> Float[np.ndarray, "t 2 3"]:
    """The transforms of the same crops at another size: they cover the same part of the source."""
    ratio = from_px / to_px
    # New pixel u is old pixel (u + 0.5) * ratio - 0.5: the borders coincide, not the centres.
    shift = 0.5 * ratio - 0.5
    rescaled = crop_to_source.astype(np.float64)
    rescaled[:, :, 2] += rescaled[:, :, :2].sum(axis=2) * shift
    rescaled[:, :, :2] *= ratio
    return rescaled.astype(crop_to_source.dtype)


def lip_opening(landmarks68_xy: Float[np.ndarray, "*t 68 2"]) -> Float[np.ndarray, "*t"]:
    """Distance of the inner lips (points 62, 66) over the distance of the eye centres."""
    gap = landmarks68_xy[..., INNER_LIP_TOP_68, :] - landmarks68_xy[..., INNER_LIP_BOTTOM_68, :]
    return np.asarray(np.linalg.norm(gap, axis=-1) / eye_distance68(landmarks68_xy))


def mouth_width(landmarks68_xy: Float[np.ndarray, "*t 68 2"]) -> Float[np.ndarray, "*t"]:
    """Distance of the mouth corners (points 48, 54) over the distance of the eye centres."""
    span = landmarks68_xy[..., MOUTH_CORNER_A_68, :] - landmarks68_xy[..., MOUTH_CORNER_B_68, :]
    return np.asarray(np.linalg.norm(span, axis=-1) / eye_distance68(landmarks68_xy))


def eye_distance68(landmarks68_xy: Float[np.ndarray, "*t 68 2"]) -> Float[np.ndarray, "*t"]:
    """Distance between the means of points 36-41 and 42-47."""
    eye_a = landmarks68_xy[..., EYE_A_68, :].mean(axis=-2)
    eye_b = landmarks68_xy[..., EYE_B_68, :].mean(axis=-2)
    # asarray: numpy makes a scalar of the answer for a single face.
    return np.asarray(np.linalg.norm(eye_a - eye_b, axis=-1))


def _pose(eyes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Midpoint (t, 2), log distance (t,) and angle (t,) of the line from left to right eye."""
    across = eyes[:, 1] - eyes[:, 0]
    distance = np.linalg.norm(across, axis=1)
    return eyes.mean(axis=1), np.log(distance), np.arctan2(across[:, 1], across[:, 0])


def _crops_from_pose(
    middle: np.ndarray, log_distance: np.ndarray, angle: np.ndarray, *, size_px: int
) -> np.ndarray:
    scale = np.exp(log_distance) / (EYE_DISTANCE_FRACTION * size_px)
    cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
    linear = np.stack([np.stack([cosine, -sine], 1), np.stack([sine, cosine], 1)], axis=1)
    # Fractions of the side count from the border, pixel coordinates from the first centre.
    eyes_in_crop = np.array([0.5, EYE_LINE_FRACTION]) * size_px - 0.5
    return np.concatenate([linear, (middle - linear @ eyes_in_crop)[:, :, None]], axis=2)
