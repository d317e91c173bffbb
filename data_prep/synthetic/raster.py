"""Triangles to pixels: a z-buffer rasteriser compiled by numba.

It only finds which triangle is seen in each pixel, and where in it; shade.py colours it. Pieces of
a triangle may be absent (the opening between the lids, the frayed edge of hair), which is decided
here, pixel by pixel.
"""

import numpy as np

from data_prep.synthetic.compiled import njit

# What a triangle is made of; shade.py knows how each looks.
SKIN, LID, MOUTH, EYE, TEETH, HAIR, CLOTH, FRAME, FLESH, LENS = range(10)
# Columns of the per-vertex attributes.
U, V, RED, GREEN, BLUE, AMBIENT, SHADOW, CUT, REST_X, REST_Y = range(10)
NUM_ATTRIBUTES = 10
EDGE = 1e-7
# Rows of the eyes' table (2 rows: the eye on the left of the picture, on the right).
(
    EYE_CX,
    EYE_CY,
    EYE_OUT,
    EYE_HALF_WIDTH,
    EYE_UPPER,
    EYE_LOWER,
    EYE_TILT,
    EYE_CLOSED,
    EYE_GAZE_X,
    EYE_GAZE_Y,
) = range(10)


@njit
def lid_heights(along, eye):
    """Heights of the upper and the lower lid's edge over the eye's centre.

    Args:
      along: -1 at the inner corner, 1 at the outer.
      eye: a row of the eyes' table.
    """
    side = min(abs(along), 1.0)
    slope = eye[EYE_TILT] * along
    upper = eye[EYE_UPPER] * (1 - side**2.5) ** 0.75 * (1 - 0.13 * along)
    upper *= 1 + 0.22 * eye[EYE_GAZE_Y]
    lower = -eye[EYE_LOWER] * (1 - side**2.2) ** 0.85 * (1 + 0.15 * along)
    closed = eye[EYE_CLOSED]
    lower += 0.45 * closed * eye[EYE_LOWER] * (1 - side * side)
    upper += (lower - upper) * closed
    return slope + upper, slope + lower


@njit
def _mixed(attributes, corners, shares, column):
    return (
        shares[0] * attributes[corners[0], column]
        + shares[1] * attributes[corners[1], column]
        + shares[2] * attributes[corners[2], column]
    )


@njit
def _absent(material, attributes, corners, shares, eyes, fray):
    """Whether a place of the surface is a hole: between the lids, or past the edge."""
    if material == LID:
        mx = _mixed(attributes, corners, shares, REST_X)
        eye = eyes[0] if mx < 0 else eyes[1]
        along = eye[EYE_OUT] * (mx - eye[EYE_CX]) / eye[EYE_HALF_WIDTH]
        if abs(along) >= 1.0:
            return False
        upper, lower = lid_heights(along, eye)
        height = _mixed(attributes, corners, shares, REST_Y) - eye[EYE_CY]
        return lower < height < upper
    cut = _mixed(attributes, corners, shares, CUT)
    if material == HAIR:
        rows, columns = fray.shape
        u = _mixed(attributes, corners, shares, U)
        v = _mixed(attributes, corners, shares, V)
        cut += fray[int(v * rows) % rows, int(u * columns) % columns]
    return cut < 0.0


@njit
def rasterise(screen, triangles, materials, attributes, eyes, fray, found, where, depth):
    """Draws all triangles into the buffers.

    Args:
      screen: (n, 3) float32 x, y in pixels of the buffers and closeness (larger is nearer).
      triangles: (m, 3) int32; seen from their back skin is not drawn (the rest is).
      materials: (m,) int32.
      attributes: (n, NUM_ATTRIBUTES) float32.
      eyes: (2, 10) float64.
      fray: (h, w) float32 wrapped noise by (U, V) of hair, that its edge is frayed by.
      found: (h, w) int32 out: triangle, -1 for none. Must be filled with -1.
      where: (h, w, 2) float32 out: weights of the second and the third vertex.
      depth: (h, w) float32 out: must be filled with a very negative number.
    """
    rows, columns = depth.shape
    for index in range(triangles.shape[0]):
        i, j, k = triangles[index]
        # In double precision: triangles are small, and no pixel may fall between two of them.
        ax, ay = np.float64(screen[i, 0]), np.float64(screen[i, 1])
        bx, by = np.float64(screen[j, 0]), np.float64(screen[j, 1])
        cx, cy = np.float64(screen[k, 0]), np.float64(screen[k, 1])
        material = materials[index]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        # Rows grow downwards: what is anticlockwise in the world has a negative area here.
        if area > -1e-9 and (material <= MOUTH or area < 1e-9):
            continue
        low_x = max(int(np.ceil(min(ax, bx, cx))), 0)
        high_x = min(int(np.floor(max(ax, bx, cx))), columns - 1)
        low_y = max(int(np.ceil(min(ay, by, cy))), 0)
        high_y = min(int(np.floor(max(ay, by, cy))), rows - 1)
        if low_x > high_x or low_y > high_y:
            continue
        inverse = 1.0 / area
        step_b = (cy - ay) * inverse
        step_c = -(by - ay) * inverse
        az, bz, cz = screen[i, 2], screen[j, 2], screen[k, 2]
        holes = material in (LID, HAIR, CLOTH)
        for y in range(low_y, high_y + 1):
            base_b = (-(cx - ax) * (y - ay) - (cy - ay) * ax) * inverse
            base_c = ((bx - ax) * (y - ay) + (by - ay) * ax) * inverse
            for x in range(low_x, high_x + 1):
                wb = base_b + step_b * x
                wc = base_c + step_c * x
                if wb < -EDGE or wc < -EDGE or wb + wc > 1.0 + EDGE:
                    continue
                z = az + wb * (bz - az) + wc * (cz - az)
                if z <= depth[y, x]:
                    continue
                if holes and _absent(
                    material, attributes, (i, j, k), (1.0 - wb - wc, wb, wc), eyes, fray
                ):
                    continue
                depth[y, x] = z
                found[y, x] = index
                where[y, x, 0] = wb
                where[y, x, 1] = wc


@njit
def vertex_normals(points, triangles, normals):
    """Unit normals of vertices, weighted by the area of their triangles (into `normals`)."""
    normals[:] = 0.0
    for index in range(triangles.shape[0]):
        i, j, k = triangles[index]
        ux, uy, uz = (
            points[j, 0] - points[i, 0],
            points[j, 1] - points[i, 1],
            points[j, 2] - points[i, 2],
        )
        vx, vy, vz = (
            points[k, 0] - points[i, 0],
            points[k, 1] - points[i, 1],
            points[k, 2] - points[i, 2],
        )
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for corner in (i, j, k):
            normals[corner, 0] += nx
            normals[corner, 1] += ny
            normals[corner, 2] += nz
    for vertex in range(normals.shape[0]):
        nx, ny, nz = normals[vertex]
        size = np.sqrt(nx * nx + ny * ny + nz * nz) + 1e-20
        normals[vertex, 0] = nx / size
        normals[vertex, 1] = ny / size
        normals[vertex, 2] = nz / size


@njit
def pose_points(rest, shapes, weights, follows, rotation, shift, pivot, out):
    """Vertices bent by blend shapes, then turned with the head as far as they follow it.

    Args:
      rest: (n, 3) float32.
      shapes: (k, d, 3) float32 displacements of the first d vertices.
      weights: (k,) float32.
      follows: (n,) float32: 1 moves with the head, 0 stays with the body.
      rotation: (3, 3), shift: (3,), pivot: (3,) float32, of the head.
      out: (n, 3) float32.
    """
    bent = shapes.shape[1]
    for vertex in range(rest.shape[0]):
        x, y, z = rest[vertex, 0], rest[vertex, 1], rest[vertex, 2]
        if vertex < bent:
            for shape in range(weights.shape[0]):
                weight = weights[shape]
                if weight != 0.0:
                    x += weight * shapes[shape, vertex, 0]
                    y += weight * shapes[shape, vertex, 1]
                    z += weight * shapes[shape, vertex, 2]
        dx, dy, dz = x - pivot[0], y - pivot[1], z - pivot[2]
        share = follows[vertex]
        for axis in range(3):
            turned = (
                rotation[axis, 0] * dx
                + rotation[axis, 1] * dy
                + rotation[axis, 2] * dz
                + pivot[axis]
                + shift[axis]
            )
            own = x if axis == 0 else (y if axis == 1 else z)
            out[vertex, axis] = own + share * (turned - own)
