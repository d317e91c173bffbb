"""Soft shadows at rest, once per identity: how much light from around and from the main light
reaches each vertex. Depth maps from many directions, as many lamps would see the head.
"""

import numpy as np

from data_prep.synthetic.compiled import njit
from talkjax.arrays import Float, Int

MAP_SIDE = 176
NUM_AROUND_DIRECTIONS = 44
NUM_KEY_DIRECTIONS = 12
KEY_SPREAD = 0.16
# How far a vertex is lifted off its own surface, in eye distances.
LIFT = 0.035
BIAS = 0.05


def light_reach(
    points: Float[np.ndarray, "n 3"],
    normals: Float[np.ndarray, "n 3"],
    occluders: Int[np.ndarray, "m 3"],
    key: Float[np.ndarray, "3"],
) -> tuple[Float[np.ndarray, "n"], Float[np.ndarray, "n"]]:
    """Shares in [0, 1] of the surrounding light and of the main light that arrive.

    Args:
      points, normals: of all vertices.
      occluders: triangles that cast shadows.
      key: unit vector towards the main light.
    """
    around = _spiral(NUM_AROUND_DIRECTIONS)
    # Light comes from above and from the camera's side more than from below and behind.
    strength = np.clip(0.55 + 0.45 * around[:, 1] + 0.35 * around[:, 2], 0.03, None)
    arrived, whole = np.zeros(len(points)), np.full(len(points), 1e-6)
    lifted = (points + LIFT * normals).astype(np.float32)
    solid = points.astype(np.float32)
    for direction, amount in zip(around, strength, strict=True):
        facing = np.maximum(normals @ direction, 0) * amount
        arrived += facing * _seen(solid, lifted, occluders, direction)
        whole += facing
    lit = np.zeros(len(points))
    for offset in _spiral(2 * NUM_KEY_DIRECTIONS)[:NUM_KEY_DIRECTIONS]:
        direction = key + KEY_SPREAD * offset
        direction = direction / np.linalg.norm(direction)
        lit += _seen(solid, lifted, occluders, direction) / NUM_KEY_DIRECTIONS
    # Where the surface turns away it is dark by itself; light scattered in skin stays soft.
    turned = np.clip((normals @ key + 0.1) / 0.4, 0, 1)
    return arrived / whole, 1 - (1 - lit) * turned


def _spiral(number: int) -> np.ndarray:
    """Unit vectors spread evenly over the sphere."""
    place = np.arange(number) + 0.5
    height = 1 - 2 * place / number
    turn = np.pi * (1 + 5**0.5) * place
    flat = np.sqrt(1 - height**2)
    return np.stack([flat * np.cos(turn), height, flat * np.sin(turn)], axis=-1)


def _seen(
    solid: np.ndarray, lifted: np.ndarray, occluders: np.ndarray, direction: np.ndarray
) -> np.ndarray:
    """1 where a vertex sees the light far away in a direction."""
    helper = np.array([0.0, 1.0, 0.0]) if abs(direction[1]) < 0.9 else np.array([1.0, 0, 0])
    right = np.cross(helper, direction)
    right = right / np.linalg.norm(right)
    axes = np.stack([right, np.cross(direction, right), direction]).astype(np.float32)
    seen = solid @ axes.T
    low = seen[:, :2].min(axis=0)
    scale = np.float32((MAP_SIDE - 3) / (seen[:, :2].max(axis=0) - low).max())
    seen[:, :2] = (seen[:, :2] - low) * scale + 1
    own = lifted @ axes.T
    own[:, :2] = (own[:, :2] - low) * scale + 1
    depth = np.full((MAP_SIDE, MAP_SIDE), -1e9, dtype=np.float32)
    _depth_map(seen, occluders, depth)
    return _visible(own, depth)


@njit
def _depth_map(seen, triangles, depth):
    rows, columns = depth.shape
    for index in range(triangles.shape[0]):
        i, j, k = triangles[index]
        ax, ay, bx, by = seen[i, 0], seen[i, 1], seen[j, 0], seen[j, 1]
        cx, cy = seen[k, 0], seen[k, 1]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if abs(area) < 1e-9:
            continue
        for y in range(
            max(int(np.ceil(min(ay, by, cy))), 0), min(int(max(ay, by, cy)), rows - 1) + 1
        ):
            for x in range(
                max(int(np.ceil(min(ax, bx, cx))), 0), min(int(max(ax, bx, cx)), columns - 1) + 1
            ):
                wb = ((cy - ay) * (x - ax) - (cx - ax) * (y - ay)) / area
                wc = ((bx - ax) * (y - ay) - (by - ay) * (x - ax)) / area
                if wb < -1e-5 or wc < -1e-5 or wb + wc > 1.00001:
                    continue
                z = seen[i, 2] + wb * (seen[j, 2] - seen[i, 2]) + wc * (seen[k, 2] - seen[i, 2])
                if z > depth[y, x]:
                    depth[y, x] = z


@njit
def _visible(own, depth):
    out = np.empty(own.shape[0])
    side = depth.shape[0]
    for vertex in range(own.shape[0]):
        x = min(max(own[vertex, 0], 0.0), side - 1.001)
        y = min(max(own[vertex, 1], 0.0), side - 1.001)
        c, r = int(x), int(y)
        fx, fy = x - c, y - r
        free = 0.0
        for dy in range(2):
            for dx in range(2):
                weight = (fx if dx else 1 - fx) * (fy if dy else 1 - fy)
                if depth[r + dy, c + dx] <= own[vertex, 2] + BIAS:
                    free += weight
        out[vertex] = free
    return out
