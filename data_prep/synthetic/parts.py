"""Pieces of the picture besides the skin: eyeballs, teeth, tongue, ears, neck and clothes."""

import dataclasses

import numpy as np
from scipy.interpolate import PchipInterpolator

from data_prep.synthetic import blend, raster
from data_prep.synthetic.fields import smoothstep
from data_prep.synthetic.head_surface import EYE_RADIUS, EYE_X, EYE_Z
from data_prep.synthetic.identity import Identity
from talkjax.arrays import Float, Int


@dataclasses.dataclass(frozen=True)
class Part:
    """A mesh of one material.

    Attributes:
      points: (n, 3) at rest, after `Surface.stretch`.
      triangles: (m, 3).
      material: one for all, or (m,) of raster.SKIN ...
      colour: (n, 3) linear; multiplies a texture where the material has one.
      uv: (n, 2) texture coordinates of the material.
      follows: (n,) 1 moves with the head, 0 stays with the body.
      cut: (n,) below zero (after fraying) hair ends.
      rest_xy: (n, 2) canonical x, y, by which lids and eyes are painted.
      ambient, lit: (n,) share of surrounding and main light that reaches it.
      shapes: (k, n, 3) displacements by blend.SHAPES, or None for what does not bend.
    """

    points: Float[np.ndarray, "n 3"]
    triangles: Int[np.ndarray, "m 3"]
    material: object
    colour: Float[np.ndarray, "n 3"]
    uv: Float[np.ndarray, "n 2"]
    follows: Float[np.ndarray, "n"]
    cut: Float[np.ndarray, "n"]
    rest_xy: Float[np.ndarray, "n 2"]
    ambient: Float[np.ndarray, "n"]
    lit: Float[np.ndarray, "n"]
    shapes: Float[np.ndarray, "k n 3"] | None = None


def part(
    points: np.ndarray, triangles: np.ndarray, material: object, colour: object, **more: object
):
    """A `Part` with the usual values filled in; `more` replaces any of them."""
    number = len(points)
    values = {
        "uv": np.zeros((number, 2)),
        "follows": np.ones(number),
        "cut": np.ones(number),
        "rest_xy": points[:, :2],
        "ambient": np.ones(number),
        "lit": np.ones(number),
        "shapes": None,
    }
    colours = np.broadcast_to(np.asarray(colour, dtype=np.float64), (number, 3))
    return Part(points, triangles, material, colours, **(values | more))


def linear(srgb: object) -> np.ndarray:
    """sRGB in [0, 255] to linear light."""
    return (np.asarray(srgb, dtype=np.float64) / 255) ** 2.2


def grid_triangles(rows: int, columns: int, *, closed: bool = False) -> np.ndarray:
    """Triangles of a grid of rows x columns points; `closed` joins the last column to the first."""
    row, column = np.meshgrid(
        np.arange(rows - 1), np.arange(columns if closed else columns - 1), indexing="ij"
    )
    following = (column + 1) % columns
    a, b = row * columns + column, row * columns + following
    c, d = a + columns, b + columns
    first = np.stack([a, c, d], axis=-1).reshape(-1, 3)
    second = np.stack([a, d, b], axis=-1).reshape(-1, 3)
    return np.concatenate([first, second]).astype(np.int32)


def eyeballs() -> list[Part]:
    """The visible caps of both eyeballs."""
    polar, turn = np.meshgrid(
        np.linspace(0.01, 1.35, 12), np.linspace(0, 2 * np.pi, 28, endpoint=False), indexing="ij"
    )
    polar, turn = polar.reshape(-1), turn.reshape(-1)
    cap = EYE_RADIUS * np.stack(
        [np.sin(polar) * np.cos(turn), np.sin(polar) * np.sin(turn), np.cos(polar)], axis=-1
    )
    triangles = grid_triangles(12, 28, closed=True)
    return [
        part(cap + (side * EYE_X, 0.0, EYE_Z), triangles, raster.EYE, (1, 1, 1)) for side in (-1, 1)
    ]


def teeth(identity: Identity, lip_z: float, mouth_y: float) -> list[Part]:
    """Upper and lower rows of teeth and their gums."""
    width = 0.30 * identity.shape.mouth_width
    out = []
    for upper in (True, False):
        turn, height = np.meshgrid(np.linspace(-1.2, 1.2, 61), np.linspace(0, 1, 6), indexing="xy")
        turn, height = turn.reshape(-1), height.reshape(-1)
        size = 1.0 if upper else 0.88
        # Edges of the teeth: the upper hang a little below the line of the lips.
        tip = mouth_y - 0.045 if upper else mouth_y - 0.052
        sign = 1.0 if upper else -1.0
        x = size * width * np.sin(turn) / np.sin(1.2)
        z = lip_z - 0.100 - (0 if upper else 0.03) - 0.42 * (1 - np.cos(turn))
        z = z - (0 if upper else 0.09) * height
        y = tip + sign * ((0.24 if upper else 0.17) * height + 0.03 * turn**2 * (1 - height))
        gum = height > 0.5
        # Eight teeth to a row: dark lines between them, rounded corners.
        number = turn / 1.2 * (4.6 if upper else 5.2)
        seam = np.abs(number - np.round(number - 0.5) - 0.5)
        shade = 1 - 0.35 * np.clip((seam - 0.36) / 0.14, 0, 1)
        white = np.array([0.95, 0.87, 0.72]) * (1 - 0.15 * identity.age)
        colour = np.where(gum[:, None], [[0.36, 0.10, 0.10]], white * shade[:, None])
        colour = colour * (1 - 0.6 * np.abs(turn[:, None] / 1.2) ** 1.5)
        points = np.stack([x, y, z], axis=-1)
        shapes = np.zeros((len(blend.SHAPES), len(points), 3))
        # Lips that are drawn in must not be pierced.
        shapes[blend.SHAPES.index("press"), :, 2] = -0.03
        if not upper:
            shapes[blend.SHAPES.index("jaw")] = blend.jaw_motion(points)
            shapes[blend.SHAPES.index("tuck"), :, 2] = -0.09
        out.append(
            part(
                points,
                grid_triangles(6, 61),
                raster.TEETH,
                colour,
                shapes=shapes,
                ambient=np.full(len(points), 1.0),
                lit=np.full(len(points), 0.95),
            )
        )
    return out


def tongue(lip_z: float, mouth_y: float) -> Part:
    """A flat ellipsoid behind the lower teeth; its tip rises with the articulator `tongue`."""
    polar, turn = np.meshgrid(
        np.linspace(0.02, np.pi - 0.02, 16),
        np.linspace(0, 2 * np.pi, 24, endpoint=False),
        indexing="ij",
    )
    polar, turn = polar.reshape(-1), turn.reshape(-1)
    unit = np.stack(
        [np.sin(polar) * np.cos(turn), np.cos(polar), np.sin(polar) * np.sin(turn)], axis=-1
    )
    points = unit * (0.19, 0.07, 0.28) + (0.0, mouth_y - 0.16, lip_z - 0.52)
    shapes = np.zeros((len(blend.SHAPES), len(points), 3))
    shapes[blend.SHAPES.index("jaw")] = 0.85 * blend.jaw_motion(points)
    # Its tip rises to the upper teeth and comes forwards.
    tip = smoothstep((unit[:, 2] + 0.4) / 1.2)
    shapes[blend.SHAPES.index("tongue"), :, 1] = 0.05 + 0.11 * tip
    shapes[blend.SHAPES.index("tongue"), :, 2] = 0.13
    return part(
        points,
        grid_triangles(16, 24, closed=True),
        raster.FLESH,
        (0.42, 0.15, 0.14),
        shapes=shapes,
        ambient=np.full(len(points), 0.6),
        lit=np.full(len(points), 0.3),
    )


def body(identity: Identity) -> list[Part]:
    """Neck and shoulders; over them a shell of cloth that ends at the collar."""
    neck = identity.shape.neck_width
    # y, half width, half depth, z of the middle.
    rows = np.array(
        [
            [-0.95, 0.80 * neck, 0.62, -1.20],
            [-1.55, 0.80 * neck, 0.62, -1.14],
            [-2.05, 0.82 * neck, 0.66, -1.12],
            [-2.40, 0.95 * neck, 0.72, -1.14],
            [-2.60, 1.25 * neck, 0.78, -1.16],
            [-2.80, 1.80, 0.82, -1.18],
            [-3.02, 2.40, 0.88, -1.18],
            [-3.35, 2.82, 0.98, -1.15],
            [-4.0, 3.05, 1.15, -1.1],
            [-6.0, 3.05, 1.25, -1.1],
        ]
    )
    height = np.concatenate([np.linspace(-0.95, -3.4, 54), np.linspace(-3.5, -6.0, 12)])
    turn = np.linspace(-np.pi, np.pi, 80, endpoint=False)
    width, deep, middle = PchipInterpolator(-rows[:, 0], rows[:, 1:])(-height).T
    y, angle = np.meshgrid(height, turn, indexing="ij")
    out = np.stack([width[:, None] * np.sin(angle), 0 * y, deep[:, None] * np.cos(angle)], -1)
    centre = np.stack([0 * y, y, middle[:, None] + 0 * y], axis=-1)
    points = (centre + out).reshape(-1, 3)
    triangles = grid_triangles(len(height), len(turn), closed=True)
    follows = smoothstep((points[:, 1] + 2.5) / 1.2)
    skin = part(points, triangles, raster.FLESH, linear(identity.skin), follows=follows)
    cut = _collar(identity.collar, points)
    # Cloth stands off the body, most at its edge.
    off = 0.05 + 0.05 * np.exp(-((cut / 0.12) ** 2))
    away = out.reshape(-1, 3) / np.linalg.norm(out.reshape(-1, 3), axis=1, keepdims=True)
    worn = cut[triangles].max(axis=1) > 0
    cloth = part(
        points + off[:, None] * away,
        triangles[worn],
        raster.CLOTH,
        linear(identity.cloth),
        follows=follows,
        uv=np.stack([angle.reshape(-1) * 0.8, points[:, 1] * 0.8], axis=-1) + 10,
        cut=cut,
    )
    return [skin, cloth]


def _collar(kind: str, points: np.ndarray) -> np.ndarray:
    """About the distance below the collar's edge; negative is bare skin."""
    x, y, z = points.T
    front = smoothstep((z + 1.1) / 0.5)
    if kind == "turtle":
        return -1.95 - y
    if kind == "v":
        return -2.42 - y - front * np.clip(0.75 - 1.05 * np.abs(x), 0, 1)
    if kind == "shirt":
        return -2.12 - y - front * np.clip(0.80 - 2.0 * np.abs(x), 0, 1)
    return -2.40 - y - 0.16 * front
