"""The picture painted on the skin: tone, lips, brows, stubble, spots. Linear light, plus gloss."""

import cv2
import numpy as np

from data_prep.synthetic import hair
from data_prep.synthetic.fields import bump, noise, smoothstep
from data_prep.synthetic.head_mesh import LipLines
from data_prep.synthetic.head_surface import BROW_Y, Surface
from data_prep.synthetic.identity import Identity, Shape
from data_prep.synthetic.parts import linear
from talkjax.arrays import Float

# What the picture covers of (angle, row), and its size.
ANGLE_LIMIT, ROW_LOW, ROW_HIGH = 1.9, -2.30, 2.40
COLUMNS, ROWS = 640, 768
COARSE = 4


def frame() -> np.ndarray:
    """Left angle, top row, and texels per unit of each: shade.py finds texels by it."""
    return np.array(
        [
            -ANGLE_LIMIT,
            ROW_HIGH,
            (COLUMNS - 1) / (2 * ANGLE_LIMIT),
            (ROWS - 1) / (ROW_HIGH - ROW_LOW),
        ]
    )


def paint(identity: Identity, surface: Surface) -> Float[np.ndarray, "h w 4"]:
    """Linear RGB albedo and gloss of the skin."""
    rng = np.random.Generator(np.random.Philox(key=identity.texture_seed))
    x, y, z = _places(surface)
    colour = np.empty((ROWS, COLUMNS, 3), dtype=np.float32)
    colour[:] = linear(identity.skin)
    blotches = noise(rng, (ROWS, COLUMNS), 60) + 0.5 * noise(rng, (ROWS, COLUMNS), 14)
    pores = noise(rng, (ROWS, COLUMNS), 3)
    colour *= (1 + 0.05 * blotches + 0.035 * pores)[..., None]
    ax = np.abs(x)
    flush = bump(ax, y, (0.62, -0.50), (0.34, 0.28)) + 0.8 * bump(x, y, (0, -0.6), (0.2, 0.18))
    colour *= 1 - identity.redness * flush[..., None] * np.array([0.02, 0.14, 0.13])
    socket = bump(ax, y, (0.46, -0.14), (0.26, 0.07)) + 0.6 * bump(ax, y, (0.3, 0.02), (0.1, 0.12))
    colour *= 1 - (0.06 + 0.16 * identity.shape.bags) * socket[..., None] * np.array([0.8, 1, 0.8])
    gloss = 0.35 + 0.2 * bump(x, y, (0, -0.5), (0.14, 0.3)) + 0.4 * bump(x, y, (0, 0.8), (0.6, 0.3))
    _paint_lips(colour, gloss, identity, surface, (x, y, z), pores)
    _paint_age(colour, identity, (x, y), pores)
    _paint_roots(colour, identity, rng)
    _paint_brows(colour, identity, (x, y), rng)
    _paint_beard(colour, gloss, identity, surface, (x, y, z), rng)
    return np.ascontiguousarray(
        np.concatenate([colour, gloss[..., None]], axis=-1), dtype=np.float32
    )


def _places(surface: Surface) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    angle = np.linspace(-ANGLE_LIMIT, ANGLE_LIMIT, COLUMNS)
    row = np.linspace(ROW_HIGH, ROW_LOW, ROWS)
    coarse = np.meshgrid(angle[::COARSE], row[::COARSE], indexing="xy")
    points = surface.loft(*coarse).astype(np.float32)
    columns = (np.arange(COLUMNS, dtype=np.float32)[None] / COARSE).repeat(ROWS, 0)
    rows = (np.arange(ROWS, dtype=np.float32)[:, None] / COARSE).repeat(COLUMNS, 1)
    full = cv2.remap(points, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return full[..., 0], full[..., 1], full[..., 2]


def _paint_lips(colour, gloss, identity, surface, places, pores) -> None:
    x, y, z = places
    lips = LipLines(surface.shape)
    along = np.clip(x / lips.half_width(), -1, 1)
    edge = 0.018
    inside = np.minimum(lips.upper_y(along) - y, y - lips.lower_y(along)) / edge
    mask = smoothstep(inside * 0.5 + 0.5) * (np.abs(x) < lips.half_width()) * (z > -0.4)
    mask *= 0.85 + 0.15 * identity.makeup
    line = np.exp(-(((y - lips.inner_y(along)) / 0.020) ** 2)) * mask
    shade = 1 + 0.05 * np.sin(x * 160 + 3 * pores) - 0.75 * line
    # The upper lip looks down and is the darker one.
    shade *= np.where(y > lips.inner_y(along), 0.72, 1.06)
    red = linear(identity.lips)
    colour += mask[..., None] * (red * shade[..., None] - colour)
    # The corners are dark dents, and the lower lip throws a soft shadow.
    ax = np.abs(x)
    dent = bump(ax, y, (lips.half_width() - 0.004, lips.inner_y(np.ones(1))[0]), (0.034, 0.020))
    colour *= 1 - 0.6 * np.clip(1.2 * dent, 0, 1)[..., None] * np.array([0.85, 1, 1])
    under = bump(x, y, (0, float(lips.lower_y(np.zeros(1))[0]) - 0.045), (0.24, 0.04))
    colour *= 1 - 0.16 * (under * (1 - mask))[..., None]
    gloss += mask * (0.3 + 0.3 * identity.makeup)


def _paint_brows(colour, identity, places, rng) -> None:
    x, y = places
    shape = identity.shape
    ax = np.abs(x)
    # 0 at the inner end, 1 at the outer.
    along = (ax - 0.19) / 0.62
    centre = brow_line(identity.shape, along)
    half = (0.045 + 0.035 * shape.brow_thick) * np.clip(1.15 - 0.7 * along, 0.2, 1)
    inside = 1 - np.abs(y - centre) / half
    mask = smoothstep(inside * 1.5) * smoothstep(along / 0.14) * smoothstep((1.03 - along) / 0.12)
    strands = noise(rng, colour.shape[:2], 2.2)
    mask = np.clip(mask * (0.85 + 0.25 * strands), 0, 1) * 0.92
    colour += mask[..., None] * (linear(identity.brows) - colour)


def brow_line(shape: Shape, along: np.ndarray) -> np.ndarray:
    """Height of the brow's middle, from its inner end (0) to its outer (1)."""
    share = np.clip(along, 0, 1)
    arch = (0.05 + 0.05 * shape.brow_arch) * np.sin(share**1.2 * np.pi * 0.9)
    return BROW_Y + shape.brow_height + arch - 0.05 * share**3


def _paint_age(colour, identity, places, pores) -> None:
    """Nostrils, and what the years add: lines, folds, freckles and spots."""
    x, y = places
    ax = np.abs(x)
    shape = identity.shape
    nostril = bump(ax, y, (0.095 * shape.nose_width, -0.742), (0.055 * shape.nose_width, 0.026))
    colour *= 1 - 0.9 * np.clip(1.4 * nostril, 0, 1)[..., None]
    wing = np.hypot((ax - 0.185 * shape.nose_width) / 0.115, (y + 0.665) / 0.10)
    crease = np.exp(-(((wing - 1.0) / 0.22) ** 2)) * smoothstep(
        (ax - 0.2 * shape.nose_width) / 0.06
    )
    colour *= 1 - 0.30 * crease[..., None] * np.array([0.8, 1, 1])
    lines = np.zeros_like(x)
    for height, bend in ((0.56, 0.03), (0.68, 0.05), (0.80, 0.04)):
        away = (y - height - bend * np.cos(3.1 * x)) / 0.012
        lines += np.exp(-(away**2)) * smoothstep((0.62 - ax) / 0.3)
    foot = np.abs(np.arctan2(y + 0.02, ax - 0.66)) * 5
    rays = np.exp(-(((foot - np.round(foot)) / 0.16) ** 2))
    lines += 0.8 * rays * bump(ax, y, (0.82, -0.02), (0.09, 0.12))
    lines += 0.7 * np.exp(-(((ax - 0.045) / 0.012) ** 2)) * bump(x, y, (0, 0.24), (1, 0.09))
    fold_x = 0.28 + 0.24 * np.clip((-0.66 - y) / 0.5, 0, 1.2)
    fold = np.exp(-(((ax - fold_x) / 0.018) ** 2))
    fold = fold * smoothstep((-0.62 - y) / 0.1) * smoothstep((y + 1.16) / 0.2)
    strength = 0.32 * np.clip(identity.age * 1.3 - 0.15, 0, 1)
    colour *= 1 - (strength * lines + 0.22 * shape.folds * fold)[..., None] * np.array([0.8, 1, 1])
    if identity.freckles > 0:
        spots = smoothstep((pores - 1.1) / 0.4) * bump(ax, y, (0.4, -0.35), (0.55, 0.4))
        colour *= 1 - 0.45 * identity.freckles * spots[..., None] * np.array([0.6, 0.9, 1])


def _paint_roots(colour, identity, rng) -> None:
    """Short hair and its shadow on the scalp, so that the hairline is soft."""
    angle, row = np.meshgrid(
        np.linspace(-ANGLE_LIMIT, ANGLE_LIMIT, COLUMNS // COARSE),
        np.linspace(ROW_HIGH, ROW_LOW, ROWS // COARSE),
        indexing="xy",
    )
    within = hair.inside(identity, angle, row).astype(np.float32)
    within = cv2.resize(within, (COLUMNS, ROWS), interpolation=cv2.INTER_LINEAR)
    ragged = within + 0.03 * noise(rng, (ROWS, COLUMNS), (9.0, 3.0))
    strength = 0.28 if identity.hair_style == "bald" else 0.75
    mask = strength * smoothstep((ragged + 0.07) / 0.16)
    roots = np.minimum(linear(identity.hair), 0.8 * linear(identity.skin))
    colour += mask[..., None] * (roots - colour)


def _paint_beard(colour, gloss, identity, surface, places, rng) -> None:
    if identity.beard == "none":
        return
    x, y, z = places
    ax = np.abs(x)
    lips = LipLines(surface.shape)
    along = np.clip(x / lips.half_width(), -1, 1)
    # Where beards grow: below a line from the sideburn to the mouth, and above the upper lip.
    line = np.interp(ax, [0.0, 0.40, 0.62, 0.92, 1.1], [-1.22, -1.16, -0.98, -0.55, -0.2])
    cheek = smoothstep((line - y) / 0.16) * smoothstep((y + 2.05) / 0.2)
    gap = 0.035 + 0.02 * rng.random()
    moustache = smoothstep((y - lips.upper_y(along) - gap) / 0.03) * smoothstep(
        (-0.77 - 0.15 * ax - y) / 0.10
    )
    moustache *= smoothstep((0.50 - ax) / 0.2)
    below = np.maximum(lips.lower_y(along) - y, (ax - lips.half_width()) * 0.8)
    cheek *= smoothstep((below - 0.05) / 0.06)
    chin = cheek * smoothstep((0.46 - ax) / 0.08)
    masks = {
        "stubble": np.maximum(cheek, moustache),
        "moustache": moustache,
        "goatee": np.maximum(chin, moustache * 0.9),
        "full": np.maximum(cheek, moustache),
    }
    strength = 0.42 if identity.beard == "stubble" else 0.86
    grain = noise(rng, colour.shape[:2], (5.0, 2.2)) + 0.6 * noise(rng, colour.shape[:2], 9)
    mask = np.clip(masks[identity.beard] * strength * (0.9 + 0.22 * grain), 0, 0.95) * (z > -1.3)
    whiskers = np.minimum(linear(identity.hair), 0.45 * linear(identity.skin))
    shade = np.clip(1 + 0.25 * grain, 0.4, 1.8)[..., None]
    colour += mask[..., None] * (0.9 * whiskers * shade - colour)
    gloss *= 1 - 0.8 * mask
