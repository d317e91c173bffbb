"""The rasteriser, lids and baked shadows on shapes simple enough to count."""

import numpy as np

from data_prep.synthetic import bake, raster


def draw(screen, triangles, *, materials=None, cut=1.0, side=20):
    number = len(screen)
    attributes = np.zeros((number, raster.NUM_ATTRIBUTES), dtype=np.float32)
    attributes[:, raster.CUT] = cut
    found = np.full((side, side), -1, dtype=np.int32)
    where = np.zeros((side, side, 2), dtype=np.float32)
    depth = np.full((side, side), -1e9, dtype=np.float32)
    if materials is None:
        materials = np.full(len(triangles), raster.FLESH)
    raster.rasterise(
        np.array(screen, dtype=np.float32),
        np.array(triangles, dtype=np.int32),
        np.asarray(materials, dtype=np.int32),
        attributes,
        np.zeros((2, 10)),
        np.zeros((4, 4), dtype=np.float32),
        found,
        where,
        depth,
    )
    return found, where, depth


SQUARE = [(2, 2, 0), (12, 2, 0), (12, 12, 0), (2, 12, 0)]
HALVES = [(0, 1, 2), (0, 2, 3)]


def test_a_square_of_two_triangles_has_no_holes():
    found, _, _ = draw(SQUARE, HALVES)
    assert (found[2:13, 2:13] >= 0).all()
    assert (found >= 0).sum() == 11 * 11


def test_the_nearer_triangle_is_seen_whatever_the_order():
    near = [(x, y, 1.0) for x, y, _ in SQUARE]
    for order in (0, 1):
        corners = (SQUARE + near) if order == 0 else (near + SQUARE)
        triangles = [*HALVES, *[(a + 4, b + 4, c + 4) for a, b, c in HALVES]]
        found, _, depth = draw(corners, triangles)
        assert (depth[3:12, 3:12] == 1.0).all()
        assert (found[3:12, 3:12] // 2 == 1 - order).all()


def test_weights_find_the_place_in_the_triangle():
    found, where, _ = draw([(0, 0, 0), (10, 0, 0), (0, 10, 0)], [(0, 1, 2)])
    assert found[3, 4] == 0
    np.testing.assert_allclose(where[3, 4], [0.4, 0.3], atol=1e-6)


def test_skin_is_not_seen_from_behind_and_cloth_is():
    # Rows grow downwards: this order is clockwise in the world, its back.
    for material, seen in ((raster.SKIN, False), (raster.FLESH, True)):
        found, _, _ = draw(SQUARE, HALVES, materials=[material] * 2)
        assert (found >= 0).any() == seen
    found, _, _ = draw(SQUARE, [(0, 2, 1), (0, 3, 2)], materials=[raster.SKIN] * 2)
    assert (found >= 0).any()


def test_hair_ends_where_its_cut_is_negative():
    cut = np.array([-1.0, 1.0, 1.0, -1.0])
    found, _, _ = draw(SQUARE, HALVES, materials=[raster.HAIR] * 2, cut=cut)
    assert (found[3:12, 3:7] < 0).all()
    assert (found[3:12, 8:12] >= 0).all()


def test_lids_meet_when_shut_and_corners_always_do():
    eye = np.zeros(10)
    eye[raster.EYE_UPPER], eye[raster.EYE_LOWER] = 0.1, 0.06
    upper, lower = raster.lid_heights(0.0, eye)
    assert upper > 0.09
    assert lower < -0.05
    eye[raster.EYE_CLOSED] = 1.0
    upper, lower = raster.lid_heights(0.0, eye)
    assert abs(upper - lower) < 1e-9
    upper, lower = raster.lid_heights(1.0, eye)
    assert abs(upper - lower) < 1e-9


def test_a_roof_shades_what_is_under_it_and_nothing_else():
    def plate(height, half, number):
        side = np.linspace(-half, half, number)
        x, z = np.meshgrid(side, side, indexing="ij")
        points = np.stack([x, np.full_like(x, height), z], axis=-1).reshape(-1, 3)
        row, column = np.meshgrid(np.arange(number - 1), np.arange(number - 1), indexing="ij")
        corner = (row * number + column).reshape(-1)
        one = np.stack([corner, corner + 1, corner + number], axis=-1)
        two = np.stack([corner + 1, corner + number + 1, corner + number], axis=-1)
        return points, np.concatenate([one, two])

    floor, floor_triangles = plate(0.0, 3.0, 25)
    roof, roof_triangles = plate(1.0, 0.8, 9)
    points = np.concatenate([floor, roof])
    normals = np.tile([0.0, 1.0, 0.0], (len(points), 1))
    triangles = np.concatenate([floor_triangles, roof_triangles + len(floor)]).astype(np.int32)
    ambient, lit = bake.light_reach(points, normals, triangles, np.array([0.0, 1.0, 0.0]))
    distance = np.abs(floor[:, [0, 2]]).max(axis=1)
    under, far = distance < 0.4, distance > 2.0
    assert lit[: len(floor)][under].max() < 0.1
    assert lit[: len(floor)][far].min() > 0.95
    assert ambient[: len(floor)][under].mean() < 0.6
    assert ambient[: len(floor)][far].mean() > 0.85
