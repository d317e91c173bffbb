"""Draws a person: known landmarks, and any window of the camera's picture.

The camera sees head and shoulders in a square picture of `source_px`. A window of it, such as the
aligned crop, is drawn directly at its own size: nothing is resampled.

Signs of `head_pose` (yaw, pitch, roll in radians; x, y, z in eye distances), all as seen in the
picture: yaw > 0 turns the face to the right of the picture, pitch > 0 lowers the chin (a nod),
roll > 0 tilts the head clockwise; x > 0 moves it right, y > 0 down, z > 0 towards the camera.
`expression` is brows (-1 lowered to 1 raised) and gaze (x > 0 right, y > 0 down). As motion.py.
"""

import cv2
import numpy as np

from data_prep.synthetic import anchors, backdrop, blend, cloth, hair, paint, raster, shade, skin
from data_prep.synthetic.gestures import ARTICULATORS
from data_prep.synthetic.head import build_head
from data_prep.synthetic.identity import Identity
from data_prep.synthetic.parts import linear
from talkjax.arrays import Float, UInt8

# Eye distance over the side of the picture (dlib's box, 2.55 eye distances, is then 45%).
EYE_DISTANCE_OVER_SIDE = 0.176
# From the camera to the eyes, in eye distances: about 0.9 m.
CAMERA_DISTANCE = 14.0
# What the head turns about: the top of the neck.
PIVOT = np.array([0.0, -1.0, -1.15], dtype=np.float32)
SUBPIXELS = 2
# Share of the light that reaches the teeth, by how far the lips are open.
TEETH_LIGHT = ((0.0, 0.05, 0.2), (0.08, 0.25, 1.0))
OPENING = ARTICULATORS.index("opening")


class FaceRenderer:
    """Draws one identity. Building it takes a moment; frames are quick. Not thread-safe.

    Args:
      identity: whom to draw.
    """

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        self._head = build_head(identity)
        self._light = _light_table(identity)
        self._table = shade.gamma_table()
        self._strands, self._fray = hair.strands(identity)
        self._backdrop = backdrop.paint(identity)
        self._cloth = cloth.weave(identity)
        self._skin_frame = skin.frame()
        self._posed = np.empty_like(self._head.rest)
        self._normals = np.empty_like(self._head.rest)

    def landmarks(
        self,
        articulation: Float[np.ndarray, "t 8"],
        head_pose: Float[np.ndarray, "t 6"],
        blink: Float[np.ndarray, "t"],
        expression: Float[np.ndarray, "t 3"],
        *,
        source_px: int,
    ) -> Float[np.ndarray, "t 68 2"]:
        """Known landmarks, iBUG order, in pixels of the camera's picture; float32."""
        weights = blend.weights(articulation, expression)
        points = anchors.bent(self._head.anchors, weights, blink, expression)
        for frame, pose in enumerate(np.asarray(head_pose, dtype=np.float64)):
            rotation, shift = _motion(pose)
            points[frame] = (points[frame] - PIVOT) @ rotation.T + PIVOT + shift
        return project(points, self.identity, source_px=source_px).astype(np.float32)

    def render(
        self,
        articulation: Float[np.ndarray, "8"],
        head_pose: Float[np.ndarray, "6"],
        blink: float,
        expression: Float[np.ndarray, "3"],
        *,
        source_px: int,
        view: Float[np.ndarray, "2 3"],
        size_px: int,
    ) -> UInt8[np.ndarray, "size size 3"]:
        """Draws the window `view` (its pixels -> the picture's) at size_px x size_px."""
        head = self._head
        weights = blend.weights(np.asarray(articulation), np.asarray(expression))
        rotation, shift = _motion(np.asarray(head_pose, dtype=np.float64))
        raster.pose_points(
            head.rest,
            head.shapes,
            weights,
            head.follows,
            rotation.astype(np.float32),
            shift.astype(np.float32),
            PIVOT,
            self._posed,
        )
        raster.vertex_normals(self._posed, head.triangles, self._normals)
        eyes = head.eyes.copy()
        eyes[:, raster.EYE_CLOSED] = np.clip(blink, 0, 1)
        eyes[:, raster.EYE_GAZE_X], eyes[:, raster.EYE_GAZE_Y] = expression[1], -expression[2]
        side = size_px * SUBPIXELS
        screen = self._screen(source_px, view)
        found = np.full((side, side), -1, dtype=np.int32)
        depth = np.full((side, side), -1e9, dtype=np.float32)
        where = np.empty((side, side, 2), dtype=np.float32)
        raster.rasterise(
            screen,
            head.triangles,
            head.materials,
            head.attributes,
            eyes,
            self._fray,
            found,
            where,
            depth,
        )
        colours = self._behind(source_px, view, side)
        # Hardly any light falls on teeth behind lips that are hardly open.
        light = self._light.copy()
        light[paint.INSIDE] = np.interp(articulation[OPENING], *TEETH_LIGHT)
        shade.shade(
            found,
            where,
            head.triangles,
            head.materials,
            head.attributes,
            self._normals,
            (head.skin_rgb_gloss, self._strands, self._cloth),
            self._skin_frame,
            eyes,
            light,
            colours,
        )
        out = np.empty((size_px, size_px, 3), dtype=np.uint8)
        shade.develop(colours, self.identity.exposure, self._table, out)
        return out

    def _behind(self, source_px: int, view: np.ndarray, side: int) -> np.ndarray:
        """The backdrop in subpixels of the window."""
        ratio = backdrop.SIDE_PX / source_px
        to_source = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]]) @ np.vstack([view, [0, 0, 1]])
        to_view = np.diag([1 / SUBPIXELS, 1 / SUBPIXELS, 1]) @ _shifted(0.5)
        to_backdrop = _shifted(-0.5) @ np.diag([ratio, ratio, 1]) @ to_source
        matrix = to_backdrop @ _shifted(-0.5) @ to_view
        return cv2.warpAffine(
            self._backdrop,
            matrix[:2],
            (side, side),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )

    def _screen(self, source_px: int, view: np.ndarray) -> np.ndarray:
        """Vertices in subpixels of the window, and closeness."""
        in_source = project(self._posed, self.identity, source_px=source_px)
        inverse = np.linalg.inv(np.vstack([view, [0, 0, 1]]))
        in_view = in_source @ inverse[:2, :2].T + inverse[:2, 2]
        sub = (in_view + 0.5) * SUBPIXELS - 0.5
        return np.column_stack([sub, self._posed[:, 2]]).astype(np.float32)


def project(
    points: Float[np.ndarray, "*n 3"], identity: Identity, *, source_px: int
) -> Float[np.ndarray, "*n 2"]:
    """Points of the head's world to pixels of the camera's picture."""
    scale = EYE_DISTANCE_OVER_SIDE * identity.head_scale * source_px
    near = scale * CAMERA_DISTANCE / (CAMERA_DISTANCE - points[..., 2])
    x = 0.5 * source_px - 0.5 + near * points[..., 0]
    y = identity.eye_height * source_px - 0.5 - near * points[..., 1]
    return np.stack([x, y], axis=-1)


def _motion(pose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rotation and shift of the head in its own coordinates (y up)."""
    yaw, pitch, roll, x, y, z = pose
    cy, sy = np.cos(yaw), np.sin(yaw)
    cp, sp = np.cos(pitch), np.sin(pitch)
    cr, sr = np.cos(roll), np.sin(roll)
    turn = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    nod = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    tilt = np.array([[cr, sr, 0], [-sr, cr, 0], [0, 0, 1]])
    return tilt @ turn @ nod, np.array([x, -y, z])


def _light_table(identity: Identity) -> np.ndarray:
    table = np.zeros((9, 3))
    table[paint.KEY_DIRECTION] = identity.key_direction
    table[paint.KEY_COLOUR] = identity.key_colour
    table[paint.FILL_COLOUR] = identity.fill_colour
    table[paint.IRIS] = linear(identity.iris)
    table[paint.LASH] = 0.5 * linear(identity.brows) + 0.002
    trimmed = identity.collar in ("crew", "shirt") and identity.cloth_pattern != 0
    table[paint.TRIM] = linear(identity.cloth_trim if trimmed else identity.cloth)
    table[paint.LID_COLOUR] = linear(identity.skin) * (1.0, 0.72, 0.70)
    table[paint.LOOKS] = (identity.oiliness, 0.022 + 0.014 * identity.makeup, identity.exposure)
    return table


def _shifted(by: float) -> np.ndarray:
    return np.array([[1.0, 0, by], [0, 1.0, by], [0, 0, 1.0]])
