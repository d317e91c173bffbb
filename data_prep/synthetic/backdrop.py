"""What is behind the person: a wall, a gradient, lights out of focus, shelves, a window."""

import cv2
import numpy as np

from data_prep.synthetic.identity import Identity
from talkjax.arrays import Float

SIDE_PX = 256


def paint(identity: Identity) -> Float[np.ndarray, "s s 3"]:
    """The backdrop over the whole camera picture, linear light, out of focus."""
    rng = np.random.Generator(np.random.Philox(key=identity.texture_seed + 2))
    first, second = (
        (np.array(colour, dtype=np.float32) / 255) ** 2.2 for colour in identity.backdrop_colours
    )
    down, across = np.meshgrid(
        np.linspace(0, 1, SIDE_PX), np.linspace(0, 1, SIDE_PX), indexing="ij"
    )
    makers = {
        "plain": _plain,
        "gradient": _gradient,
        "bokeh": _bokeh,
        "shelf": _shelf,
        "window": _window,
    }
    picture = makers[identity.backdrop](rng, (across, down), first, second)
    # Light falls off towards one side and the corners.
    tilt = 0.25 * rng.uniform(-1, 1) * (across - 0.5) - 0.1 * (down - 0.5)
    corner = 1 - 0.25 * ((across - 0.5) ** 2 + (down - 0.5) ** 2)
    picture = picture * ((1 + tilt) * corner)[..., None]
    return np.ascontiguousarray(np.clip(0.8 * picture, 0, 1), dtype=np.float32)


def _plain(rng, places, first, second):
    rough = cv2.resize(
        rng.standard_normal((16, 16)), (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_CUBIC
    )
    return first * (1 + 0.04 * rough[..., None])


def _gradient(rng, places, first, second):
    angle = rng.uniform(0, 2 * np.pi)
    along = 0.5 + (places[0] - 0.5) * np.cos(angle) + (places[1] - 0.5) * np.sin(angle)
    share = np.clip(along, 0, 1)[..., None]
    return first * (1 - share) + second * share


def _bokeh(rng, places, first, second):
    picture = _gradient(rng, places, 0.35 * first, 0.35 * second)
    for _ in range(26):
        x, y, radius = rng.random(), rng.random(), rng.uniform(0.02, 0.09)
        away = np.hypot(places[0] - x, places[1] - y)
        disc = np.clip((radius - away) / 0.012, 0, 1)[..., None]
        colour = np.clip(second + 0.3 * rng.random(3), 0, 1)
        picture = picture + disc * rng.uniform(0.1, 0.5) * colour
    return cv2.GaussianBlur(picture, (0, 0), 2)


def _shelf(rng, places, first, second):
    picture = np.empty((SIDE_PX, SIDE_PX, 3))
    picture[:] = first * 0.6
    top = 0
    while top < SIDE_PX:
        height = int(rng.integers(48, 70))
        left = 0
        while left < SIDE_PX:
            width = int(rng.integers(5, 16))
            tall = int(height * rng.uniform(0.6, 0.88))
            colour = np.clip(second * rng.uniform(0.3, 1.4) + 0.25 * rng.random(3) ** 2, 0, 1)
            if rng.random() < 0.88:
                picture[max(top + height - 5 - tall, 0) : top + height - 5, left : left + width] = (
                    colour
                )
            left += width
        picture[top + height - 5 : top + height] = first
        top += height
    return cv2.GaussianBlur(picture, (0, 0), 4)


def _window(rng, places, first, second):
    picture = np.empty((SIDE_PX, SIDE_PX, 3))
    picture[:] = 0.5 * first
    left, width = rng.uniform(-0.1, 0.6), rng.uniform(0.35, 0.6)
    inside = (np.abs(places[0] - left - width / 2) < width / 2) & (places[1] < 0.75)
    sky = np.array([0.75, 0.85, 0.95]) * (0.6 + 0.4 * (1 - places[1][..., None])) + 0.15 * second
    picture = np.where(inside[..., None], sky, picture)
    bar = np.abs(places[0] - left - width / 2) < 0.012
    bar |= np.abs(places[1] - 0.38) < 0.012
    picture = np.where((bar & inside)[..., None], 0.6 * first, picture)
    return cv2.GaussianBlur(picture, (0, 0), 5)
