"""One person put together: all meshes in one set of arrays, ready to be posed and drawn."""

import dataclasses

import numpy as np

from data_prep.synthetic import bake, blend, extras, hair, head_mesh, parts, raster, skin
from data_prep.synthetic.anchors import Anchors, build_anchors
from data_prep.synthetic.head_surface import EYE_X, Surface
from data_prep.synthetic.identity import Identity, Shape
from data_prep.synthetic.parts import Part, linear
from talkjax.arrays import Float, Int

# From the inner edge of the lips (0) to their outline (1): share of the light that arrives.
LIP_LIGHT = ((0.0, 0.07, 0.18, 0.34, 0.5), (0.05, 0.18, 0.58, 0.92, 1.0))


@dataclasses.dataclass(frozen=True)
class Head:
    """Arrays of everything that is drawn before the backdrop.

    Attributes:
      rest: (n, 3) vertices at rest; those that bend come first.
      shapes: (k, d, 3) displacements of the first d vertices.
      follows: (n,) share of the head's motion.
      triangles, materials, attributes: as raster.rasterise takes them.
      skin_rgb_gloss: painted skin.
      eyes: (2, 10) table of both eyes, lids open, looking ahead.
      anchors: the known landmarks.
    """

    rest: Float[np.ndarray, "n 3"]
    shapes: Float[np.ndarray, "k d 3"]
    follows: Float[np.ndarray, "n"]
    triangles: Int[np.ndarray, "m 3"]
    materials: Int[np.ndarray, "m"]
    attributes: Float[np.ndarray, "n 10"]
    skin_rgb_gloss: Float[np.ndarray, "h w 4"]
    eyes: Float[np.ndarray, "2 10"]
    anchors: Anchors


def build_head(identity: Identity) -> Head:
    surface = Surface(identity.shape)
    mesh = head_mesh.build_skin(surface)
    face = _skin_part(mesh, surface)
    lip = face.points[head_mesh.FIRST_LIP_RING * head_mesh.NUM_AROUND + head_mesh.NUM_AROUND // 4]
    bending = [face, *parts.teeth(identity, lip[2], lip[1]), parts.tongue(lip[2], lip[1])]
    stiff = [
        *parts.eyeballs(),
        *parts.body(identity),
        *extras.ears(identity, surface),
        *extras.glasses(identity),
        *hair.build(identity, surface),
    ]
    anchors = build_anchors(
        mesh, face.points, face.shapes, surface=surface, eyes=eye_table(identity.shape)
    )
    return _joined(bending, stiff, identity, surface=surface, anchors=anchors)


def eye_table(shape: Shape) -> np.ndarray:
    """Both eyes' rows as raster.py names them, open, looking ahead."""
    rows = []
    for side in (-1.0, 1.0):
        rows.append(
            [
                side * (EYE_X - 0.012),
                0.0,
                side,
                0.204 * shape.eye_width,
                0.097 * shape.eye_open,
                0.068 * shape.eye_open,
                shape.eye_tilt,
                0.0,
                0.0,
                0.0,
            ]
        )
    return np.array(rows)


def _skin_part(mesh: head_mesh.SkinMesh, surface: Surface) -> Part:
    canonical = mesh.canonical
    points = surface.stretch(canonical)
    shapes = np.stack(
        [surface.stretch(canonical + moved) - points for moved in blend.skin_shapes(mesh)]
    )
    centres = canonical[mesh.triangles].mean(axis=1)
    ring = mesh.triangles.min(axis=1) // head_mesh.NUM_AROUND
    near_eye = (
        (np.abs(np.abs(centres[:, 0]) - EYE_X) < 0.36)
        & (np.abs(centres[:, 1]) < 0.28)
        & (centres[:, 2] > -0.7)
    )
    material = np.where(near_eye, raster.LID, raster.SKIN)
    material = np.where(ring < head_mesh.FIRST_LIP_RING, raster.MOUTH, material)
    number = len(canonical)
    colour = np.ones((number, 3))
    inside = np.arange(number) // head_mesh.NUM_AROUND
    dark = np.clip(inside / head_mesh.FIRST_LIP_RING, 0, 1)[:, None] ** 2
    bag = linear((120, 45, 45)) * (0.08 + 0.9 * dark)
    colour = np.where((inside < head_mesh.FIRST_LIP_RING)[:, None], bag, colour)
    return parts.part(
        points,
        mesh.triangles,
        material,
        colour,
        uv=mesh.uv,
        rest_xy=canonical[:, :2],
        shapes=shapes,
    )


def _joined(
    bending: list[Part],
    stiff: list[Part],
    identity: Identity,
    *,
    surface: Surface,
    anchors: Anchors,
) -> Head:
    everything = bending + stiff
    sizes = np.cumsum([0] + [len(piece.points) for piece in everything])
    attributes = np.zeros((sizes[-1], raster.NUM_ATTRIBUTES), dtype=np.float32)
    for piece, start, stop in zip(everything, sizes[:-1], sizes[1:], strict=True):
        rows = attributes[start:stop]
        rows[:, raster.U : raster.V + 1] = piece.uv
        rows[:, raster.RED : raster.BLUE + 1] = piece.colour
        rows[:, raster.AMBIENT], rows[:, raster.SHADOW] = piece.ambient, piece.lit
        rows[:, raster.CUT] = piece.cut
        rows[:, raster.REST_X : raster.REST_Y + 1] = piece.rest_xy
    materials = [
        np.broadcast_to(np.asarray(piece.material, dtype=np.int32), len(piece.triangles))
        for piece in everything
    ]
    rest = np.concatenate([piece.points for piece in everything]).astype(np.float32)
    triangles = np.concatenate(
        [piece.triangles + start for piece, start in zip(everything, sizes[:-1], strict=True)]
    ).astype(np.int32)
    material = np.ascontiguousarray(np.concatenate(materials))
    # Teeth and tongue come after the skin among those that bend; lips open to let light in.
    inside = slice(sizes[1], sizes[len(bending)])
    _bake_light(attributes, rest, triangles, material, identity=identity, inside=inside)
    return Head(
        rest=rest,
        shapes=np.concatenate([piece.shapes for piece in bending], axis=1).astype(np.float32),
        follows=np.concatenate([piece.follows for piece in everything]).astype(np.float32),
        triangles=triangles,
        materials=material,
        attributes=attributes,
        skin_rgb_gloss=skin.paint(identity, surface),
        eyes=anchors.eyes,
        anchors=anchors,
    )


def _bake_light(
    attributes: np.ndarray,
    rest: np.ndarray,
    triangles: np.ndarray,
    material: np.ndarray,
    *,
    identity: Identity,
    inside: slice,
) -> None:
    """Soft shadows of the head at rest, multiplied into the attributes."""
    normals = np.empty_like(rest)
    raster.vertex_normals(rest, triangles, normals)
    casts = np.isin(material, (raster.SKIN, raster.LID, raster.FLESH, raster.CLOTH, raster.HAIR))
    cut = attributes[triangles, raster.CUT].min(axis=1) < 0
    key = np.array(identity.key_direction)
    ambient, lit = bake.light_reach(rest, normals, triangles[casts & ~cut], key)
    # Behind the lips and the lids the shaders know better.
    outside = np.zeros(len(rest), dtype=bool)
    outside[triangles[casts | (material == raster.FRAME)]] = True
    outside[inside] = False
    lips = np.arange(len(rest)) < (head_mesh.OUTLINE_RING + 1) * head_mesh.NUM_AROUND
    ambient = np.where(lips, np.maximum(ambient, 0.45), ambient)
    worn = np.zeros(len(rest), dtype=bool)
    worn[triangles[material == raster.CLOTH]] = True
    ambient = np.where(worn, np.maximum(ambient, 0.5), ambient)
    flesh = np.zeros(len(rest), dtype=bool)
    flesh[triangles[material == raster.FLESH]] = True
    ambient = np.where(flesh & (rest[:, 1] > -0.95), np.maximum(ambient, 0.45), ambient)
    attributes[outside, raster.AMBIENT] *= ambient[outside]
    attributes[outside, raster.SHADOW] *= lit[outside]
    # Little light gets between the lips: a dark line where they meet.
    first = head_mesh.FIRST_LIP_RING * head_mesh.NUM_AROUND
    last = (head_mesh.OUTLINE_RING + 1) * head_mesh.NUM_AROUND
    reach = np.interp(head_mesh.LIP_PROFILE, *LIP_LIGHT).repeat(head_mesh.NUM_AROUND)
    attributes[first:last, raster.AMBIENT : raster.SHADOW + 1] *= reach[:, None]
