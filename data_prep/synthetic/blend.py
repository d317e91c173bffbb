"""Blend shapes: how the skin moves with the eight articulators and the brows.

Each shape is a displacement of every skin vertex at weight 1; weights add up linearly, so that the
gap between the inner lips is proportional to `opening` whatever the jaw does.
"""

import numpy as np

from data_prep.synthetic import head_mesh
from data_prep.synthetic.fields import bump, smoothstep
from data_prep.synthetic.head_mesh import SkinMesh
from talkjax.arrays import Float

SHAPES = (
    "jaw",
    "opening",
    "spread",
    "round",
    "protrusion",
    "tuck",
    "press",
    "teeth",
    "brow",
    "tongue",
)
# Inner-lip gap of opening 1 and the share of it that the upper lip moves.
OPEN_GAP, UPPER_SHARE = 0.34, 0.24
# The jaw turns about an axis through the joints before the ears.
HINGE_Y, HINGE_Z, JAW_TURN = -0.35, -1.15, 0.20


def jaw_motion(points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
    """Displacement of points fixed to the jawbone when it is fully open."""
    moved = np.zeros_like(points)
    y, z = points[:, 1] - HINGE_Y, points[:, 2] - HINGE_Z
    cosine, sine = np.cos(JAW_TURN), np.sin(JAW_TURN)
    moved[:, 1] = y * cosine - z * sine - y
    # The joint slides forwards while it turns, which takes back some of the way.
    moved[:, 2] = 0.55 * (y * sine + z * cosine - z)
    return moved


def skin_shapes(mesh: SkinMesh) -> Float[np.ndarray, "k n 3"]:
    """Displacements of all skin vertices, in the order of `SHAPES`."""
    field = _Field(mesh)
    makers = (
        field.jaw,
        field.opening,
        field.spread,
        field.rounding,
        field.protrusion,
        field.tuck,
        field.press,
        field.teeth,
        field.brow,
    )
    # The tongue, which is no skin, moves by itself (parts.py).
    return np.stack([*[make() for make in makers], np.zeros_like(mesh.canonical)])


def weights(
    articulation: Float[np.ndarray, "*t 8"], expression: Float[np.ndarray, "*t 3"]
) -> Float[np.ndarray, "*t k"]:
    """Weights of `SHAPES` from articulators (articulation.ARTICULATORS) and the brows' raise."""
    jaw, opening, width, protrusion, tuck, tongue, teeth, press = np.moveaxis(articulation, -1, 0)
    brow = expression[..., 0]
    columns = (
        jaw,
        opening,
        np.maximum(width, 0),
        np.maximum(-width, 0),
        protrusion,
        tuck,
        press,
        teeth,
        brow,
        tongue,
    )
    return np.stack(columns, axis=-1).astype(np.float32)


class _Field:
    """Per vertex: where it is around the mouth, how far from the lips, which lip it belongs to."""

    def __init__(self, mesh: SkinMesh) -> None:
        self.points = mesh.canonical
        rings = mesh.canonical.reshape(-1, head_mesh.NUM_AROUND, 3)
        number = rings.shape[0]
        self.along = np.tile(mesh.along, number)
        self.side = np.abs(self.along)
        self.upper = np.tile(mesh.upper, number)
        outline = rings[head_mesh.OUTLINE_RING]
        ring = np.arange(number)[:, None]
        away = np.linalg.norm(rings - outline, axis=-1)
        self.away = np.where(ring > head_mesh.OUTLINE_RING, away, 0.0).reshape(-1)
        # 0 at the inner edge and inside, 1 at the outline and beyond.
        profile = np.interp(
            np.arange(number),
            np.arange(head_mesh.FIRST_LIP_RING, head_mesh.OUTLINE_RING + 1),
            head_mesh.LIP_PROFILE,
        )
        self.outward = np.repeat(profile, head_mesh.NUM_AROUND)
        middle = rings[head_mesh.FIRST_LIP_RING]
        self.thickness = np.tile(outline[:, 1] - middle[:, 1], number)

    def fade(self, reach: float) -> np.ndarray:
        """1 on the lips and inside, falling to 1/e at `reach` from their outline."""
        return np.exp(-((self.away / reach) ** 2))

    def _moved(self, x: object = 0.0, y: object = 0.0, z: object = 0.0) -> np.ndarray:
        out = np.zeros_like(self.points)
        out[:, 0], out[:, 1], out[:, 2] = x, y, z
        return out

    def jaw(self) -> np.ndarray:
        x, y = self.points[:, 0], self.points[:, 1]
        below = smoothstep((-0.78 - 0.10 * smoothstep((0.6 - np.abs(x)) / 0.4) - y) / 0.62)
        off_lips = 1 - np.exp(-((self.away / 0.20) ** 2))
        front = smoothstep((self.points[:, 2] + 1.25) / 0.5)
        # The underside hardly follows where it meets the neck.
        return jaw_motion(self.points) * (below * off_lips * front)[:, None]

    def opening(self) -> np.ndarray:
        gap = (1 - self.side**2.2) ** 0.8
        share = np.where(self.upper > 0, UPPER_SHARE, UPPER_SHARE - 1)
        reach = np.where(self.upper > 0, 0.17, 0.22)
        fade = np.exp(-((self.away / reach) ** 2))
        inner = 1 - 0.12 * self.outward
        inside = self.upper < 0.5
        return self._moved(
            x=-0.05 * self.along * self.fade(0.25),
            y=OPEN_GAP * share * gap * fade * inner,
            z=np.where(inside, -0.045, -0.01) * gap * fade,
        )

    def spread(self) -> np.ndarray:
        fade = self.fade(0.28)
        return self._moved(
            x=0.075 * self.along * fade,
            y=(0.014 * self.side**3 - 0.12 * self.thickness * self.outward) * fade,
            z=-0.03 * self.side**2 * fade,
        )

    def rounding(self) -> np.ndarray:
        fade = self.fade(0.25)
        return self._moved(
            x=-0.105 * self.along * fade,
            y=0.06 * self.thickness * self.outward * fade,
            z=0.03 * fade,
        )

    def protrusion(self) -> np.ndarray:
        fade = self.fade(0.20)
        return self._moved(
            x=-0.03 * self.along * fade,
            y=0.10 * self.thickness * self.outward * fade,
            z=0.11 * (1 - 0.6 * self.side**2) * fade,
        )

    def tuck(self) -> np.ndarray:
        """The lower lip rolls back under the upper teeth, the upper lip bares their edge."""
        middle = 1 - self.side**3
        lower = (1 - self.upper) * middle * self.fade(0.14)
        raised = self.upper * middle * np.exp(-((self.away / 0.17) ** 2))
        return self._moved(
            y=0.012 * lower * self.outward + 0.038 * raised,
            z=(-0.075 + 0.05 * self.outward) * lower,
        )

    def press(self) -> np.ndarray:
        fade = self.fade(0.12)
        return self._moved(y=-0.28 * self.thickness * self.outward * fade, z=-0.028 * fade)

    def teeth(self) -> np.ndarray:
        fade = np.exp(-((self.away / np.where(self.upper > 0, 0.17, 0.12)) ** 2))
        return self._moved(y=0.03 * (1 - self.side**3) * fade)

    def brow(self) -> np.ndarray:
        x, y = np.abs(self.points[:, 0]), self.points[:, 1]
        raised = bump(x, y, (0.45, 0.42), (0.60, 0.24)) * smoothstep((y - 0.12) / 0.14)
        return self._moved(y=0.075 * raised * smoothstep((self.points[:, 2] + 0.9) / 0.4))
