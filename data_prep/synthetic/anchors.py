"""The 68 known landmarks (iBUG order, as dlib's): places on the mesh that move with it."""

import dataclasses

import numpy as np

from data_prep.synthetic import raster
from data_prep.synthetic.head_mesh import FIRST_LIP_RING, NUM_AROUND, OUTLINE_RING, SkinMesh
from data_prep.synthetic.head_surface import (
    EYE_RADIUS,
    EYE_Z,
    LID_THICKNESS,
    NOSE_BASE_Y,
    Surface,
)
from data_prep.synthetic.skin import brow_line
from talkjax.arrays import Float

NUM_LANDMARKS = 68
# Jaw, from ear to chin: angle and row on the surface.
JAW_ANGLE = (1.32, 1.30, 1.27, 1.20, 1.08, 0.88, 0.62, 0.32, 0.0)
JAW_ROW = (0.02, -0.38, -0.76, -1.12, -1.44, -1.68, -1.80, -1.86, -1.88)
# dlib puts the upper lip's outline a little inside its border.
UPPER_RING = OUTLINE_RING - 1
# Lips: places `along` of the upper outline (48-54), the lower (55-59), the inner lines.
UPPER_OUTLINE = (-1.0, -0.62, -0.24, 0.0, 0.24, 0.62, 1.0)
LOWER_OUTLINE = (0.63, 0.28, 0.0, -0.28, -0.63)
UPPER_INNER = (-0.86, -0.27, 0.0, 0.27, 0.86)
LOWER_INNER = (0.28, 0.0, -0.28)
INNER_CORNER = UPPER_INNER[-1]
# Lids, from the outer corner over the upper to the inner one and back (-1 inner, 1 outer).
# An eye seems to end before its lids meet: their outer ends are a dark line.
LID_ALONG = (0.78, 0.36, -0.34, -1.0, -0.30, 0.38)
# Share of the upper lid; corners lie halfway.
LID_UPPER = (0.5, 1.0, 1.0, 0.5, 0.0, 0.0)


@dataclasses.dataclass(frozen=True)
class Anchors:
    """Rest positions (68, 3) of the landmarks and their displacements (k, 68, 3).

    The eyes' twelve are placeholders: `eye_points` gives them for a given lid closure.
    """

    rest: Float[np.ndarray, "68 3"]
    shapes: Float[np.ndarray, "k 68 3"]
    eyes: Float[np.ndarray, "2 10"]


def build_anchors(
    mesh: SkinMesh,
    points: Float[np.ndarray, "n 3"],
    shapes: Float[np.ndarray, "k n 3"],
    *,
    surface: Surface,
    eyes: Float[np.ndarray, "2 10"],
) -> Anchors:
    """Finds the landmarks on a mesh given at rest (`points`) with its blend shapes."""
    vertices, shares = [], []
    for xy in _skin_places(surface):
        corner, share = _on_skin(mesh, xy)
        vertices.append(corner)
        shares.append(share)
    for upper, ring, places in (
        (True, UPPER_RING, UPPER_OUTLINE),
        (False, OUTLINE_RING, LOWER_OUTLINE),
        (True, FIRST_LIP_RING, UPPER_INNER),
        (False, FIRST_LIP_RING, LOWER_INNER),
    ):
        for along in places:
            corner, share = _on_lip(ring, along, upper=upper)
            if abs(along) == INNER_CORNER:
                # Where the lips part: half on the upper, half on the lower.
                other, rest = _on_lip(ring, along, upper=False)
                corner = [corner[0], corner[1], other[0], other[1]]
                share = [share[0] / 2, share[1] / 2, rest[0] / 2, rest[1] / 2]
            vertices.append(corner)
            shares.append(share)
    order = [*range(36), *([0] * 12), *range(36, 56)]
    index, weight = np.array(vertices)[order], np.array(shares)[order]
    rest = (points[index] * weight[..., None]).sum(axis=1)
    moved = (shapes[:, index] * weight[None, ..., None]).sum(axis=2)
    moved[:, 36:48] = 0
    return Anchors(rest=rest, shapes=moved, eyes=eyes)


def bent(
    anchors: Anchors,
    weights: Float[np.ndarray, "t k"],
    blink: Float[np.ndarray, "t"],
    expression: Float[np.ndarray, "t 3"],
) -> Float[np.ndarray, "t 68 3"]:
    """Landmarks of each frame before the head moves."""
    out = anchors.rest + np.einsum("tk,kpc->tpc", weights, anchors.shapes)
    for frame in range(len(out)):
        out[frame, 36:48] = eye_points(anchors.eyes, float(blink[frame]), expression[frame])
    return out


def eye_points(
    eyes: Float[np.ndarray, "2 10"], blink: float, expression: Float[np.ndarray, "3"]
) -> Float[np.ndarray, "12 3"]:
    """Landmarks 36-47 on the lids."""
    points = np.empty((12, 3))
    radius = EYE_RADIUS + LID_THICKNESS
    for number in range(2):
        eye = eyes[number].copy()
        eye[raster.EYE_CLOSED] = np.clip(blink, 0, 1)
        eye[raster.EYE_GAZE_X], eye[raster.EYE_GAZE_Y] = expression[1], -expression[2]
        # The eye on the right begins at its inner corner: 42 inner, 43, 44 above, 45 outer, 46, 47.
        order = (0, 1, 2, 3, 4, 5) if number == 0 else (3, 2, 1, 0, 5, 4)
        for place, which in enumerate(order):
            along = LID_ALONG[which]
            upper, lower = raster.lid_heights(along, eye)
            x = eye[raster.EYE_OUT] * along * eye[raster.EYE_HALF_WIDTH]
            y = LID_UPPER[which] * upper + (1 - LID_UPPER[which]) * lower
            z = np.sqrt(max(radius**2 - x**2 - y**2, 0.004))
            points[6 * number + place] = (
                x + eye[raster.EYE_CX],
                y + eye[raster.EYE_CY],
                EYE_Z + z,
            )
    return points


def _skin_places(surface: Surface) -> np.ndarray:
    """Canonical x, y of landmarks 0-35; the jaw's are found on the surface."""
    shape = surface.shape
    right = surface.at(np.array(JAW_ANGLE), np.array(JAW_ROW))[:, :2]
    left = right * (-1, 1)
    jaw = np.concatenate([left, right[-2::-1]])
    along = np.array([0.98, 0.74, 0.50, 0.26, 0.03])
    brow = np.stack([-(0.19 + 0.62 * along), brow_line(shape, along) + 0.02], axis=-1)
    bridge = np.stack([np.zeros(4), [0.02, -0.18, -0.39, -0.60]], axis=-1)
    base_x = np.array([-0.215, -0.11, 0.0, 0.11, 0.215]) * shape.nose_width
    base = np.stack([base_x, NOSE_BASE_Y + np.array([0.03, -0.005, -0.02, -0.005, 0.03])], axis=-1)
    return np.concatenate([jaw, brow, (brow * (-1, 1))[::-1], bridge, base])


def _on_lip(ring: int, along: float, *, upper: bool) -> tuple[list[int], list[float]]:
    turn = np.arccos(np.clip(along, -1, 1))
    if not upper:
        turn = 2 * np.pi - turn
    place = turn / (2 * np.pi) * NUM_AROUND
    first = int(np.floor(place + 1e-9))
    share = place - first
    one = ring * NUM_AROUND + first % NUM_AROUND
    two = ring * NUM_AROUND + (first + 1) % NUM_AROUND
    return [one, two, two, two], [1 - share, share, 0.0, 0.0]


def _on_skin(mesh: SkinMesh, xy: np.ndarray) -> tuple[list[int], list[float]]:
    """The triangle of the skin in front of everything else at x, y, and the place in it."""
    corners = mesh.canonical[mesh.triangles]
    a, b, c = corners[:, 0, :2], corners[:, 1, :2], corners[:, 2, :2]
    area = _cross(b - a, c - a)
    usable = area > 1e-9
    safe = np.where(usable, area, 1.0)
    wb, wc = _cross(xy - a, c - a) / safe, _cross(b - a, xy - a) / safe
    inside = np.minimum(np.minimum(wb, wc), 1 - wb - wc)
    # Where nothing covers the place (it is on the silhouette), the nearest triangle.
    score = np.where(usable & (corners[..., 2].mean(axis=1) > -1.3), inside, -np.inf)
    covering = np.flatnonzero(score >= -1e-9)
    if len(covering):
        best = covering[np.argmax(corners[covering, :, 2].mean(axis=1))]
    else:
        distance = np.linalg.norm(corners[..., :2].mean(axis=1) - xy, axis=-1)
        best = int(np.argmin(distance + np.where(usable, 0.0, 10.0)))
    share_b, share_c = np.clip([wb[best], wc[best]], 0, 1)
    total = max(1.0, share_b + share_c)
    share_b, share_c = share_b / total, share_c / total
    corner = list(mesh.triangles[best])
    return [*corner, corner[0]], [1 - share_b - share_c, share_b, share_c, 0.0]


def _cross(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return first[..., 0] * second[..., 1] - first[..., 1] * second[..., 0]
