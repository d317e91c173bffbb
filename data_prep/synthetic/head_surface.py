"""The sculpted surface of an average head, and how identities bend it. Pure numpy.

Head coordinates, everywhere in the face: x right in the picture, y up, z towards the camera;
unit: the distance between the eye centres (about 63 mm); origin: midway between the eye centres.

A head is a loft: at each height a closed superellipse through a front, a side and a back point,
on which features (nose, sockets, cheekbones, chin) are added by smooth bumps. A place on it is
(angle, row): angle 0 at the front, +-pi at the back; row grows upwards and equals y on the
front of the face. Measures follow anthropometric means of adults.

Source: Farkas, Anthropometry of the Head and Face, 2nd ed. 1994 (means; rounded).
"""

import dataclasses

import numpy as np
from scipy.interpolate import PchipInterpolator

from data_prep.synthetic.fields import bump, smoothstep
from data_prep.synthetic.identity import Shape
from talkjax.arrays import Float

# row | front y, z | half width, side y, side z | back y, z | exponent of the superellipse.
ROWS = np.array(
    [
        [2.40, 1.80, -1.15, 0.03, 1.80, -1.18, 1.80, -1.22, 2.0],
        [2.00, 1.69, -0.62, 0.64, 1.68, -1.20, 1.64, -1.88, 2.0],
        [1.50, 1.40, -0.20, 1.02, 1.36, -1.20, 1.30, -2.38, 2.1],
        [0.95, 0.94, 0.06, 1.18, 0.98, -1.20, 0.90, -2.62, 2.25],
        [0.45, 0.45, 0.15, 1.22, 0.52, -1.20, 0.40, -2.68, 2.35],
        [0.00, 0.00, 0.12, 1.22, 0.06, -1.22, -0.02, -2.60, 2.35],
        [-0.45, -0.45, 0.13, 1.18, -0.34, -1.24, -0.50, -2.40, 2.3],
        [-0.80, -0.80, 0.16, 1.10, -0.64, -1.22, -0.90, -2.15, 2.2],
        [-1.10, -1.10, 0.17, 1.05, -0.88, -1.18, -1.25, -1.95, 2.1],
        [-1.38, -1.38, 0.13, 0.98, -1.08, -1.14, -1.60, -1.85, 2.05],
        [-1.62, -1.62, 0.14, 0.89, -1.24, -1.12, -1.80, -1.80, 2.0],
        [-1.82, -1.79, 0.02, 0.79, -1.36, -1.12, -1.95, -1.78, 2.0],
        [-2.02, -1.83, -0.22, 0.68, -1.46, -1.14, -2.10, -1.76, 2.0],
        [-2.30, -1.78, -0.60, 0.58, -1.56, -1.18, -2.25, -1.74, 2.0],
    ]
)
ROW_RANGE = (ROWS[-1, 0], ROWS[0, 0])
# Heights of features on the canonical head, which `Shape` moves.
BROW_Y, NOSE_TIP_Y, NOSE_BASE_Y, MOUTH_Y, CHIN_Y = 0.255, -0.60, -0.77, -1.140, -1.80
EYE_X = 0.5
# The eyeball: cornea just behind the plane z = 0.
EYE_Z, EYE_RADIUS, LID_THICKNESS = -0.215, 0.205, 0.018


@dataclasses.dataclass(frozen=True)
class Surface:
    """The skin of one identity at rest, lips excluded."""

    shape: Shape

    def at(
        self, angle: Float[np.ndarray, "*n"], row: Float[np.ndarray, "*n"]
    ) -> Float[np.ndarray, "*n 3"]:
        """Points of the canonical, sculpted skin (before `stretch`)."""
        points = self.loft(angle, row)
        return points + self._sculpted(points)

    def locate(
        self, xy: Float[np.ndarray, "n 2"]
    ) -> tuple[Float[np.ndarray, "n"], Float[np.ndarray, "n"]]:
        """(angle, row) on the front of the head over canonical x, y. Fixed-point iteration."""
        angle = np.arctan2(xy[:, 0], 1.3)
        row = xy[:, 1].copy()
        for _ in range(20):
            points = self.loft(angle, row)
            angle = angle + 0.7 * (xy[:, 0] - points[:, 0]) / 1.25
            row = row + 0.8 * (xy[:, 1] - points[:, 1])
        return angle, np.clip(row, *ROW_RANGE)

    def stretch(self, points: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n 3"]:
        """Canonical points with this identity's heights of brow, nose, mouth, chin and skull."""
        shape = self.shape
        heights = np.array([-3.0, CHIN_Y, MOUTH_Y, NOSE_BASE_Y, -0.30, 0.30, 1.0, 1.80, 2.6])
        nose = NOSE_BASE_Y * shape.nose_length
        mouth = nose + (MOUTH_Y - NOSE_BASE_Y) * shape.philtrum
        chin = mouth + (CHIN_Y - MOUTH_Y) * shape.chin_length
        top = 0.30 + 1.50 * shape.forehead
        wanted = np.array(
            [
                chin - 1.2,
                chin,
                mouth,
                nose,
                -0.30,
                0.30,
                0.30 + 0.7 * shape.forehead,
                top,
                top + 0.8,
            ]
        )
        out = points.copy()
        out[..., 1] = PchipInterpolator(heights, wanted, extrapolate=True)(points[..., 1])
        return out

    def loft(self, angle: np.ndarray, row: np.ndarray) -> np.ndarray:
        """The smooth head without features; x, y are all but those of `at`."""
        shape = self.shape
        front_y, front_z, width, side_y, side_z, back_y, back_z, power = (
            PchipInterpolator(ROWS[::-1, 0], ROWS[::-1, 1:])(np.clip(row, *ROW_RANGE))
            .reshape(-1, 8)
            .T.reshape(8, *row.shape)
        )
        upper = smoothstep((row - 0.1) / 0.9)
        jaw = smoothstep((-0.45 - row) / 0.9)
        cheek = 1 - upper - jaw
        width = width * (
            upper * shape.skull_width + cheek * shape.cheek_width + jaw * shape.jaw_width
        )
        width = width - 0.12 * jaw * (shape.chin_point - 0.5) * smoothstep((-1.1 - row) / 0.6)
        sine, cosine = np.sin(angle), np.cos(angle)
        front = cosine >= 0
        depth = np.where(front, front_z - side_z, side_z - back_z)
        depth = np.maximum(depth, 1e-3)
        radius = (
            np.abs(sine / np.maximum(width, 1e-3)) ** power + np.abs(cosine / depth) ** power
        ) ** (-1 / power)
        y = side_y + np.where(front, front_y - side_y, back_y - side_y) * cosine**2
        return np.stack([radius * sine, y, side_z + radius * cosine], axis=-1)

    def _sculpted(self, points: np.ndarray) -> np.ndarray:
        """Displacement of features; only on the front half."""
        shape = self.shape
        x, y = points[..., 0], points[..., 1]
        ax = np.abs(x)
        push = np.zeros_like(x)
        # Muzzle over the teeth, chin, groove between chin and lip.
        push += 0.115 * bump(x, y, (0, -1.08), (0.42, 0.34))
        push += (0.05 + 0.09 * shape.chin_out) * bump(x, y, (0, -1.64), (0.26, 0.17))
        push += 0.03 * shape.chin_cleft * -bump(x, y, (0, -1.66), (0.03, 0.09))
        push -= 0.05 * bump(x, y, (0, -1.385), (0.30, 0.085))
        # Cheekbones, cheeks, the hollow under them, temples.
        push += (0.05 + 0.06 * shape.cheekbones) * bump(ax, y, (0.74, -0.36), (0.24, 0.20))
        push += (0.03 + 0.10 * shape.fullness) * bump(ax, y, (0.60, -0.88), (0.28, 0.32))
        push -= 0.05 * (1 - shape.fullness) * bump(ax, y, (0.80, -0.86), (0.18, 0.26))
        push -= 0.05 * bump(ax, y, (1.02, 0.42), (0.16, 0.30))
        # The fold from the wing of the nose to beside the mouth.
        fold_x = 0.28 + 0.24 * np.clip((-0.66 - y) / 0.5, 0, 1.2)
        along = smoothstep((-0.60 - y) / 0.12) * smoothstep((y + 1.22) / 0.3)
        push -= (0.008 + 0.035 * shape.folds) * along * np.exp(-(((ax - fold_x) / 0.055) ** 2))
        # Brow ridge and glabella, sockets.
        push += (0.02 + 0.07 * shape.brow_ridge) * bump(ax, y, (0.42, 0.27), (0.34, 0.10))
        push += 0.04 * shape.brow_ridge * bump(x, y, (0, 0.22), (0.16, 0.12))
        push -= 0.085 * bump(ax, y, (0.47, 0.03), (0.30, 0.17))
        push -= 0.075 * bump(ax, y, (0.245, 0.06), (0.11, 0.13))
        push -= 0.03 * shape.bags * bump(ax, y, (0.40, -0.20), (0.22, 0.04))
        push += 0.02 * shape.bags * bump(ax, y, (0.45, -0.14), (0.18, 0.04))
        # Philtrum.
        push -= 0.011 * bump(x, y, (0, -0.90), (0.035, 0.09))
        push += 0.007 * bump(ax, y, (0.07, -0.90), (0.03, 0.10))
        moved = np.zeros_like(points)
        front = smoothstep((points[..., 2] + 0.95) / 0.4)
        moved[..., 2] = push * front
        # Cheeks and cheekbones also widen the face, not only deepen it.
        moved[..., 0] = 0.25 * np.sign(x) * push * front * smoothstep((ax - 0.5) / 0.4)
        self._add_nose(x, y, moved)
        self._add_lids(points, moved)
        return moved

    def _add_nose(self, x: np.ndarray, y: np.ndarray, moved: np.ndarray) -> None:
        """Ridge from the nasion to the tip, wings, overhanging base (in place)."""
        shape = self.shape
        ax = np.abs(x)
        tip_y = NOSE_TIP_Y + 0.05 * shape.nose_upturn
        tip = 0.40 * shape.nose_out
        heights = np.array(
            [-0.86, NOSE_BASE_Y - 0.01, NOSE_BASE_Y + 0.05, tip_y, -0.45, -0.25, 0.0, 0.14, 0.34]
        )
        hump = 0.05 * shape.nose_hump
        ridge = np.array(
            [
                0.0,
                0.06,
                0.62 * tip,
                tip,
                tip * 0.86,
                tip * 0.60 + hump,
                0.10 + hump * 0.6,
                0.05,
                0.0,
            ]
        )
        height = PchipInterpolator(heights, ridge)(np.clip(y, heights[0], heights[-1]))
        inside = (y > heights[0]) & (y < heights[-1])
        half = np.interp(
            y, [-0.80, tip_y, -0.42, -0.15, 0.10, 0.3], [0.20, 0.175, 0.145, 0.135, 0.125, 0.18]
        )
        half = half * shape.nose_width
        moved[..., 2] += inside * height * np.exp(-((ax / half) ** 2.1))
        wing_y = -0.665 + 0.02 * shape.nose_upturn
        wing = bump(ax, y, (0.185 * shape.nose_width, wing_y), (0.085, 0.088))
        moved[..., 2] += (0.17 + 0.02 * shape.nose_out) * wing
        moved[..., 0] += 0.035 * np.sign(x) * wing
        # The tip hangs over its base: pull the rows under it down and out of sight.
        under = bump(x, y, (0, -0.70), (0.17 * shape.nose_width, 0.06))
        moved[..., 1] += (0.035 * shape.nose_upturn - 0.02) * under

    def _add_lids(self, points: np.ndarray, moved: np.ndarray) -> None:
        """Bulge the lids over the eyeballs: a smooth maximum with a sphere (in place)."""
        x, y = points[..., 0], points[..., 1]
        away = (np.abs(x) - EYE_X) ** 2 + y**2
        radius = EYE_RADIUS + LID_THICKNESS
        sphere = EYE_Z + np.sqrt(np.maximum(radius**2 - away, 0.0))
        z = points[..., 2] + moved[..., 2]
        near = (away < radius**2) & (points[..., 2] > -0.8)
        softness = 0.022
        lifted = softness * np.logaddexp(z / softness, sphere / softness)
        edge = smoothstep((radius**2 - away) / (0.35 * radius**2))
        moved[..., 2] += np.where(near, (lifted - z) * edge, 0.0)
