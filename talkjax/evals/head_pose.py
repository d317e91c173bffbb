"""Head pose from 68 landmarks, in the source's picture: yaw, pitch, roll and the place of the eyes.

The landmarks of the aligned crop go through crop_to_source, since the crop has taken the head's
tilt, place and size away. Roll is the angle of the line through the eye centres. Yaw and pitch are
those of a weak-perspective camera fitted by least squares to the eye corners and the nose (27-36,
39, 42, 45), which speech does not move, of a generic face: a face with a longer nose seems to turn
further, so spread and speed of the two are right to a fifth or so. x and y are the middle between
the eyes, in eye distances. Towards the camera is not measured: a step of 0.14 eye distances is 1%
of size, which is less than dlib's noise. All series are smoothed by SMOOTH_SIGMA_FRAMES (dlib's
noise has the speed of a fast head) and about the clip's mean, labels as well.
"""

import numpy as np

from talkjax.arrays import Float
from talkjax.ops import geometry

AXES = ("yaw", "pitch", "roll", "x", "y")
SMOOTH_SIGMA_FRAMES = 2.0
# What a labelled head turns about, from between the eyes, in eye distances: x to the right of the
# picture, y up, z to the camera; the top of the neck. Turning moves the eyes.
NECK = np.array([0.0, -1.0, -1.15])

# Points of a generic face, as NECK. Source: means of adult faces (Farkas, Anthropometry of the
# Head and Face, 1994): canthi 90 and 33 mm apart, nose 51 mm long and 34 mm wide, its tip 20 mm
# before its base.
MODEL = {
    36: (-0.73, 0.0, -0.13),
    39: (-0.27, -0.02, 0.0),
    42: (0.27, -0.02, 0.0),
    45: (0.73, 0.0, -0.13),
    27: (0.0, 0.05, 0.22),
    28: (0.0, -0.16, 0.33),
    29: (0.0, -0.37, 0.46),
    30: (0.0, -0.58, 0.60),
    31: (-0.24, -0.74, 0.22),
    32: (-0.12, -0.78, 0.31),
    33: (0.0, -0.80, 0.36),
    34: (0.12, -0.78, 0.31),
    35: (0.24, -0.74, 0.22),
}


def from_landmarks(
    landmarks_xy_px: Float[np.ndarray, "t 68 2"], crop_to_source: Float[np.ndarray, "t 2 3"]
) -> dict[str, np.ndarray]:
    """The series of AXES, degrees and eye distances.

    Args:
      landmarks_xy_px: in the crop.
      crop_to_source: from its pixels to the source's.
    """
    linear, shift = crop_to_source[:, :, :2].astype(np.float64), crop_to_source[:, :, 2]
    points = np.einsum("tij,tkj->tki", linear, landmarks_xy_px) + shift[:, None]
    left = points[:, geometry.EYE_A_68].mean(axis=1)
    right = points[:, geometry.EYE_B_68].mean(axis=1)
    across, middle = right - left, (left + right) / 2
    roll = np.arctan2(across[:, 1], across[:, 0])
    # Level and y up, as the model.
    offsets = points[:, list(MODEL)] - middle[:, None]
    cosine, sine = np.cos(roll)[:, None], np.sin(roll)[:, None]
    level_x = cosine * offsets[:, :, 0] + sine * offsets[:, :, 1]
    level_y = sine * offsets[:, :, 0] - cosine * offsets[:, :, 1]
    # A level head, nodded then turned: level_x is size (cos yaw, sin yaw sin pitch,
    # sin yaw cos pitch) times the model's point, level_y is size (0, cos pitch, -sin pitch).
    inverse = np.linalg.pinv(_centred(np.array(list(MODEL.values()))))
    from_x, from_y = _centred(level_x, 1) @ inverse.T, _centred(level_y, 1) @ inverse.T
    pitch = np.arctan2(-from_y[:, 2], from_y[:, 1])
    depth = from_x[:, 1] * np.sin(pitch) + from_x[:, 2] * np.cos(pitch)
    yaw = np.arctan2(depth, from_x[:, 0])
    place = middle / np.median(np.hypot(from_y[:, 1], from_y[:, 2]))
    return _series(np.column_stack([np.degrees(yaw), np.degrees(pitch), np.degrees(roll), place]))


def from_label(head_pose: Float[np.ndarray, "t 6"]) -> dict[str, np.ndarray]:
    """The same from the label.

    Args:
      head_pose: yaw, pitch, roll in radians; x, y, z of the neck in eye distances.
    """
    yaw, pitch, roll, x, y, _ = head_pose.T
    # The way from the neck to the eyes, nodded, turned, tilted.
    up = -NECK[1] * np.cos(pitch) + NECK[2] * np.sin(pitch)
    ahead = -NECK[1] * np.sin(pitch) - NECK[2] * np.cos(pitch)
    aside = np.sin(yaw) * ahead
    eyes_x = x + np.cos(roll) * aside + np.sin(roll) * up
    eyes_y = y + np.sin(roll) * aside - np.cos(roll) * up
    return _series(np.column_stack([np.degrees(head_pose[:, :3]), eyes_x, eyes_y]))


def _centred(values: np.ndarray, axis: int = 0) -> np.ndarray:
    return values - values.mean(axis=axis, keepdims=True)


def _series(pose: np.ndarray) -> dict[str, np.ndarray]:
    smoothed = geometry.smooth(pose, sigma_frames=SMOOTH_SIGMA_FRAMES)
    return dict(zip(AXES, _centred(smoothed).T, strict=True))
