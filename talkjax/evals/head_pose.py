"""Head pose from 68 landmarks: a weak-perspective fit of a rigid model, in the source's picture.

The landmarks of the aligned crop go through crop_to_source, since the crop has taken the head's
tilt, place and size away. The eye corners and the nose (27-36, 39, 42, 45), which speech does not
move, are fitted by a generic face: least-squares affine camera, its nearest rotation gives yaw,
pitch and roll (the order of the rotations: pitch, yaw, roll), its scale the distance. Eyes move
when the head turns, so places are those of the top of the neck. All series are smoothed by
SMOOTH_SIGMA_FRAMES (dlib's noise has the speed of a fast head) and about the clip's mean: faces
differ from the generic one by a constant. Labels are smoothed likewise.
"""

import numpy as np

from talkjax.arrays import Float
from talkjax.ops import geometry

AXES = ("yaw", "pitch", "roll", "x", "y", "z")
SMOOTH_SIGMA_FRAMES = 2.0
# Distance of the camera that turns size into place, in eye distances: about 0.9 m.
CAMERA_DISTANCE = 14.0
# What the head turns about, from between the eyes, in eye distances: x, y up, z to the camera.
NECK = np.array([0.0, -1.0, -1.15])

# Places in eye distances: x to the right of the picture, y up, z to the camera, from between the
# eye centres. Source: means of adult faces (Farkas, Anthropometry of the Head and Face, 1994):
# canthi 90 and 33 mm apart, nose 51 mm long and 34 mm wide, tip 20 mm before its base.
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
    """The six series of AXES, degrees and eye distances.

    Args:
      landmarks_xy_px: in the crop.
      crop_to_source: from its pixels to the source's.
    """
    linear, shift = crop_to_source[:, :, :2].astype(np.float64), crop_to_source[:, :, 2]
    points = np.einsum("tij,tkj->tki", linear, landmarks_xy_px[:, list(MODEL)]) + shift[:, None]
    points = points * np.array([1.0, -1.0])  # y up, as the model
    model = np.array(list(MODEL.values()))
    middle = model.mean(axis=0)
    centred = points - points.mean(axis=1, keepdims=True)
    affine = np.einsum("tki,jk->tij", centred, np.linalg.pinv(model - middle))
    left, sizes, right = np.linalg.svd(affine, full_matrices=False)
    size, rows = sizes.mean(axis=1), left @ right
    rotation = np.concatenate([rows, np.cross(rows[:, 0], rows[:, 1])[:, None]], axis=1)
    eyes_xy = points.mean(axis=1) - size[:, None] * (rows @ middle)
    eyes_xy = (eyes_xy - np.median(eyes_xy, axis=0)) / size[:, None]
    nearness = CAMERA_DISTANCE * (1.0 - np.median(size) / size)
    eyes = np.column_stack([eyes_xy, nearness])
    neck = eyes + rotation @ NECK
    place = np.column_stack([neck[:, 0], -neck[:, 1], neck[:, 2]])
    return _series(np.column_stack([_angles(rotation), place]))


def from_label(head_pose: Float[np.ndarray, "t 6"]) -> dict[str, np.ndarray]:
    """The same from the label: yaw, pitch, roll in radians, x, y, z in eye distances."""
    return _series(np.column_stack([np.degrees(head_pose[:, :3]), head_pose[:, 3:]]))


def _angles(rotation: np.ndarray) -> np.ndarray:
    """(t, 3) degrees from matrices (t, 3, 3) = tilt @ turn @ nod."""
    yaw = -np.arcsin(np.clip(rotation[:, 2, 0], -1.0, 1.0))
    pitch = np.arctan2(rotation[:, 2, 1], rotation[:, 2, 2])
    roll = np.arctan2(-rotation[:, 1, 0], rotation[:, 0, 0])
    return np.degrees(np.column_stack([yaw, pitch, roll]))


def _series(pose: np.ndarray) -> dict[str, np.ndarray]:
    smoothed = geometry.smooth(pose, sigma_frames=SMOOTH_SIGMA_FRAMES)
    return dict(zip(AXES, (smoothed - smoothed.mean(axis=0)).T, strict=True))
