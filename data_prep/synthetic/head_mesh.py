"""The skin of the head as a mesh of rings around the mouth, and the lips on it.

The rings run from the back of the mouth over the inner edge of the lips, the lips' outline and
the face to the back of the head. Lip contours are mesh lines, so that what is drawn and the known
landmarks are the same points, and the inside of the mouth is closed by the same mesh.
"""

import dataclasses

import numpy as np

from data_prep.synthetic.head_surface import MOUTH_Y, ROW_RANGE, Surface
from data_prep.synthetic.identity import Shape
from talkjax.arrays import Float, Int

NUM_AROUND = 208
# Rings inside the mouth from its back to just behind the lips; then the lips' (0 is the inner
# edge, 1 the outline); then the skin.
LIP_PROFILE = (0.0, 0.07, 0.18, 0.34, 0.52, 0.70, 0.86, 1.0)
NUM_INSIDE, NUM_SKIN = 6, 60
FIRST_LIP_RING = NUM_INSIDE
OUTLINE_RING = FIRST_LIP_RING + len(LIP_PROFILE) - 1
NUM_RINGS = NUM_INSIDE + len(LIP_PROFILE) + NUM_SKIN
MOUTH_HALF_WIDTH = 0.375
# The corners lie below the line's middle.
CORNER_DROP = 0.068
# The parameter plane: angle times this, and row; about as long as they are on the face.
ANGLE_LENGTH = 1.3


@dataclasses.dataclass(frozen=True)
class SkinMesh:
    """Vertices in rings: index = ring * NUM_AROUND + place around the mouth.

    Attributes:
      canonical: (n, 3) before `Surface.stretch`.
      uv: (n, 2) angle and row: where the texture is looked up.
      triangles: (m, 3) counter-clockwise seen from outside.
      along: (NUM_AROUND,) -1 at the mouth corner left in the picture to 1 at the right one.
      upper: (NUM_AROUND,) 1 on the upper lip's half, 0 on the lower.
    """

    canonical: Float[np.ndarray, "n 3"]
    uv: Float[np.ndarray, "n 2"]
    triangles: Int[np.ndarray, "m 3"]
    along: Float[np.ndarray, "a"]
    upper: Float[np.ndarray, "a"]


@dataclasses.dataclass(frozen=True)
class LipLines:
    """Contours of the closed mouth, canonical coordinates, over `along` in [-1, 1]."""

    shape: Shape

    def half_width(self) -> float:
        return MOUTH_HALF_WIDTH * self.shape.mouth_width

    def inner_y(self, along: np.ndarray) -> np.ndarray:
        """The line where the lips meet."""
        tubercle = -0.014 * np.exp(-((along / 0.2) ** 2))
        wave = 0.010 * np.exp(-(((np.abs(along) - 0.45) / 0.25) ** 2))
        return MOUTH_Y + tubercle + wave + (self.shape.corner_up - CORNER_DROP) * np.abs(along) ** 3

    def upper_y(self, along: np.ndarray) -> np.ndarray:
        """Outline of the upper lip: cupid's bow."""
        side = np.abs(along)
        arch = (1 - side**1.9) ** 0.95
        bow = 0.022 * self.shape.cupid
        peaks = bow * np.exp(-(((side - 0.24) / 0.16) ** 2)) - bow * np.exp(-((along / 0.11) ** 2))
        thick = 0.122 * self.shape.upper_lip
        return self._ends(along) + thick * arch + peaks * (1 - side)

    def lower_y(self, along: np.ndarray) -> np.ndarray:
        """Outline of the lower lip."""
        side = np.abs(along)
        return self._ends(along) - 0.212 * self.shape.lower_lip * (1 - side**2.4) ** 0.8

    def _ends(self, along: np.ndarray) -> np.ndarray:
        return MOUTH_Y + (self.shape.corner_up - CORNER_DROP) * np.abs(along) ** 3


def build_skin(surface: Surface) -> SkinMesh:
    """The mesh at rest, mouth closed."""
    turn = 2 * np.pi * np.arange(NUM_AROUND) / NUM_AROUND
    along, upper = np.cos(turn), (np.sin(turn) >= 0).astype(np.float64)
    # sin(pi) is not quite zero; both corners belong to both lips.
    lips = LipLines(surface.shape)
    lip_rings = [_lip_ring(surface, lips, (along, upper), at) for at in LIP_PROFILE]
    inside = _inside_rings(lip_rings[0], along, upper)
    outline = np.stack([surface.locate(lip_rings[-1][:, :2])], 0)[0]
    plane = np.stack([outline[0] * ANGLE_LENGTH, outline[1]], axis=-1)
    border = _border(turn)
    skin, skin_uv = [], []
    for step in range(1, NUM_SKIN + 1):
        share = _spacing(step / NUM_SKIN)
        at = plane + (border - plane) * np.stack([share[0], share[1]], axis=-1)
        angle, row = at[:, 0] / ANGLE_LENGTH, at[:, 1]
        skin.append(surface.at(angle, row))
        skin_uv.append(np.stack([angle, row], axis=-1))
    lip_uv = [np.stack(surface.locate(ring[:, :2]), axis=-1) for ring in lip_rings]
    uv = [lip_uv[0]] * NUM_INSIDE + lip_uv + skin_uv
    return SkinMesh(
        canonical=np.concatenate([*inside, *lip_rings, *skin]),
        uv=np.concatenate(uv),
        triangles=ring_triangles(NUM_RINGS, NUM_AROUND),
        along=along,
        upper=upper,
    )


def ring_triangles(num_rings: int, num_around: int) -> np.ndarray:
    """Triangles between closed rings; the outside is where rings grow anticlockwise."""
    ring, place = np.meshgrid(np.arange(num_rings - 1), np.arange(num_around), indexing="ij")
    following = (place + 1) % num_around
    a, b = ring * num_around + place, ring * num_around + following
    c, d = a + num_around, b + num_around
    first = np.stack([a, c, d], axis=-1).reshape(-1, 3)
    second = np.stack([a, d, b], axis=-1).reshape(-1, 3)
    return np.concatenate([first, second]).astype(np.int32)


def _lip_ring(surface: Surface, lips: LipLines, place: tuple, at: float) -> np.ndarray:
    """One contour on the lips: 0 the inner edge, 1 the outline."""
    along, upper = place
    outline = np.where(upper > 0, lips.upper_y(along), lips.lower_y(along))
    y = lips.inner_y(along) * (1 - at) + outline * at
    # The inner edge ends a little before the corner of the outline.
    x = lips.half_width() * along * (0.955 + 0.045 * at)
    angle, row = surface.locate(np.stack([x, y], axis=-1))
    points = surface.at(angle, row)
    fullness = np.where(upper > 0, surface.shape.upper_lip, surface.shape.lower_lip)
    bulge = 0.035 + 0.035 * fullness
    profile = np.sin(np.pi * (0.18 + 0.82 * at) ** 0.8)
    rolled = -0.035 * (1 - np.minimum(at / 0.3, 1)) ** 2
    body = (1 - np.abs(along) ** 2.2) * (bulge * profile + rolled)
    # The corners lie in a small dent.
    points[:, 2] += body - 0.02 * np.abs(along) ** 12
    points[:, 0], points[:, 1] = x, y
    return points


def _inside_rings(edge: np.ndarray, along: np.ndarray, upper: np.ndarray) -> list[np.ndarray]:
    """From the back of the mouth to just behind the inner edge."""
    sign = np.where(upper > 0, 1.0, -1.0)
    # Fractions of the edge's width, half height, depth behind the edge.
    shapes = [
        (0.02, 0.02, 0.95),
        (0.72, 0.16, 0.80),
        (0.90, 0.18, 0.50),
        (0.96, 0.14, 0.28),
        (0.98, 0.07, 0.14),
        (0.99, 0.02, 0.06),
    ]
    rings = []
    for width, height, depth in shapes:
        ring = edge.copy()
        ring[:, 0] *= width
        ring[:, 1] += sign * height * (1 - np.abs(along) ** 2.5)
        ring[:, 2] -= depth * (0.4 + 0.6 * (1 - along**2))
        rings.append(ring)
    return rings


def _border(turn: np.ndarray) -> np.ndarray:
    """The edge of the parameter plane: a rounded rectangle at the back of the head."""
    cosine, sine = np.cos(turn), np.sin(turn)
    radius = (np.abs(cosine) ** 5 + np.abs(sine) ** 5) ** (-1 / 5)
    up, down = ROW_RANGE[1] - MOUTH_Y, MOUTH_Y - ROW_RANGE[0]
    x = np.pi * ANGLE_LENGTH * np.clip(radius * cosine, -1, 1)
    y = MOUTH_Y + np.where(sine > 0, up, down) * np.clip(radius * sine, -1, 1)
    return np.stack([x, y], axis=-1)


def _spacing(share: float) -> tuple[float, float]:
    """How far out a ring lies (0 lips, 1 border), across and along the face: dense by the lips."""
    even = 0.28 * share + 0.72 * share**2.1
    return 0.35 * even + 0.65 * even**1.9, even
