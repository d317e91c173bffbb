"""Ears and glasses."""

import numpy as np

from data_prep.synthetic import parts, raster
from data_prep.synthetic.fields import bump, smoothstep
from data_prep.synthetic.head_surface import EYE_X, Surface
from data_prep.synthetic.identity import Identity
from data_prep.synthetic.parts import Part, linear
from talkjax.arrays import Float

EAR_RINGS, EAR_PLACES = 15, 40


def ears(identity: Identity, surface: Surface) -> list[Part]:
    """Two shells with a rim, a ridge and a hollow."""
    radius, turn = np.meshgrid(
        np.linspace(0, 1, EAR_RINGS),
        np.linspace(0, 2 * np.pi, EAR_PLACES, endpoint=False),
        indexing="ij",
    )
    radius, turn = radius.reshape(-1), turn.reshape(-1)
    # In the plane of the ear: `back` away from the face, `up`.
    back, up = radius * np.cos(turn), radius * np.sin(turn)
    # Narrow lobe below, broad arch above.
    back = back * (0.80 + 0.20 * up) + 0.10 * up
    rim = 0.11 * np.exp(-(((radius - 0.90) / 0.13) ** 2)) * smoothstep((up + 0.75) / 0.3)
    ridge = 0.09 * np.exp(-(((radius - 0.58) / 0.14) ** 2)) * smoothstep((back + 0.25) / 0.5)
    hollow = 0.14 * bump(back, up, (-0.10, -0.12), (0.38, 0.40))
    flap = 0.09 * bump(back, up, (-0.55, -0.14), (0.16, 0.16))
    lift = rim + ridge - hollow + flap - 0.06 * (1 - radius)
    size = identity.shape.ear_size
    middle = surface.stretch(np.array([[0.0, -0.27, 0.0]]))[0, 1]
    # The widest place of this head at the ear's height.
    wide = float(surface.at(np.array([1.45]), np.array([-0.3]))[0, 0])
    out = []
    for side in (-1.0, 1.0):
        outward = np.array([side * 0.86, 0.0, 0.51])
        along = np.array([side * 0.51, 0.0, -0.86])
        upward = np.array([0.0, 1.0, -0.12])
        points = (
            np.array([side * (wide + 0.05), middle, -1.13])
            + size * 0.29 * back[:, None] * along
            + size * 0.47 * up[:, None] * upward
            + size * lift[:, None] * outward
        )
        tint = np.array([1.0, 0.86, 0.84])
        shade = np.clip(1 - 2.2 * np.clip(hollow - rim - ridge, 0, 1), 0.3, 1)
        out.append(
            parts.part(
                points,
                parts.grid_triangles(EAR_RINGS, EAR_PLACES, closed=True),
                raster.FLESH,
                linear(identity.skin) * tint * shade[:, None],
            )
        )
    return out


def glasses(identity: Identity) -> list[Part]:
    """Rims, bridge and sides as tubes; the lenses are clear."""
    if identity.glasses == "none":
        return []
    power, wide, high, thick = {
        "round": (2.0, 0.335, 0.325, 0.020),
        "square": (4.5, 0.375, 0.265, 0.027),
        "thin": (3.0, 0.365, 0.265, 0.012),
    }[identity.glasses]
    colour = linear(identity.glasses_colour)
    turn = np.linspace(0, 2 * np.pi, 56)
    cosine, sine = np.cos(turn), np.sin(turn)
    radius = (np.abs(cosine) ** power + np.abs(sine) ** power) ** (-1 / power)
    out = []
    for side in (-1.0, 1.0):
        x = side * (EYE_X + 0.01) + wide * radius * cosine
        y = -0.03 + high * radius * sine
        out.append(_tube(np.stack([x, y, _front(x)], axis=-1), thick, colour))
        edge = side * (EYE_X + 0.01 + wide)
        ear = np.array([side * 1.24, 0.10, -1.25])
        start = np.array([edge, 0.07, _front(np.array(edge))])
        knee = np.array([side * 1.10, 0.10, start[2] - 0.12])
        out.append(_tube(np.stack([start, knee, 0.5 * (knee + ear), ear]), thick, colour))
    inner = EYE_X + 0.01 - wide
    x = np.linspace(-inner, inner, 9)
    bridge = np.stack([x, 0.05 + 0.035 * (1 - (x / inner) ** 2), _front(x) + 0.02], axis=-1)
    out.append(_tube(bridge, thick, colour))
    return out


def _front(x: np.ndarray) -> np.ndarray:
    """Depth of the glasses' plane, bent around the face."""
    return 0.30 - 0.16 * x**2


def _tube(line: Float[np.ndarray, "n 3"], radius: float, colour: np.ndarray) -> Part:
    """A round bar along a line of points."""
    tangent = np.gradient(line, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    helper = np.where(np.abs(tangent[:, 2:]) < 0.8, [[0.0, 0.0, 1.0]], [[0.0, 1.0, 0.0]])
    one = np.cross(tangent, helper)
    one /= np.linalg.norm(one, axis=1, keepdims=True)
    two = np.cross(tangent, one)
    turn = np.linspace(0, 2 * np.pi, 8, endpoint=False)
    ring = one[:, None] * np.cos(turn)[None, :, None] + two[:, None] * np.sin(turn)[None, :, None]
    points = (line[:, None] + radius * ring).reshape(-1, 3)
    triangles = parts.grid_triangles(len(line), 8, closed=True)
    return parts.part(points, triangles, raster.FRAME, colour)
