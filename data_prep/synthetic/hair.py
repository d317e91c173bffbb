"""Hair: a shell that follows the skull, frayed at its edge, and for long styles a curtain."""

import numpy as np
from scipy.interpolate import PchipInterpolator

from data_prep.synthetic import parts, raster
from data_prep.synthetic.fields import bump, smoothstep, wrapped_noise
from data_prep.synthetic.head_surface import Surface
from data_prep.synthetic.identity import Identity
from data_prep.synthetic.parts import Part, linear
from talkjax.arrays import Float

# The hairline: |angle| and the row above which hair grows.
LINE_ANGLE = (0.0, 0.30, 0.58, 0.80, 0.95, 1.05, 1.12, 1.22, 1.40, 1.55, 1.80, 2.05, 2.4, 3.2)
LINE_ROW = (
    1.00,
    1.01,
    0.98,
    0.78,
    0.40,
    0.10,
    -0.25,
    -0.30,
    0.02,
    0.10,
    -0.10,
    -0.75,
    -1.15,
    -1.25,
)
# Style -> thickness (eye distances), extra on top, roughness, how far the curtain hangs down.
STYLES = {
    "short": (0.10, 0.17, 0.20, None),
    "crop": (0.045, 0.03, 0.10, None),
    "parted": (0.12, 0.16, 0.18, None),
    "bob": (0.15, 0.14, 0.15, -1.30),
    "long": (0.13, 0.14, 0.15, -3.2),
    "bun": (0.07, 0.03, 0.08, None),
    "curly": (0.24, 0.16, 0.55, None),
    "receding": (0.06, 0.03, 0.15, None),
}
SHELL_ROWS, SHELL_COLUMNS = 56, 132
CENTRE = np.array([0.0, 0.35, -1.25])


def build(identity: Identity, surface: Surface) -> list[Part]:
    """All hair of the head; none for the bald."""
    if identity.hair_style == "bald":
        return []
    rng = np.random.Generator(np.random.Philox(key=identity.texture_seed + 3))
    out = [_shell(identity, surface, rng)]
    hangs = STYLES[identity.hair_style][3]
    if hangs is not None:
        out.append(_curtain(identity, surface, rng, low_y=hangs))
    if identity.hair_style == "bun":
        out.append(_bun(identity, surface))
    return out


def strands(identity: Identity) -> tuple[Float[np.ndarray, "h w"], Float[np.ndarray, "h w"]]:
    """Brightness of strands in [0, 1], and the noise that frays edges; both wrap around."""
    rng = np.random.Generator(np.random.Philox(key=identity.texture_seed + 4))
    length = {"curly": 24.0, "short": 50.0, "crop": 16.0, "receding": 40.0}.get(
        identity.hair_style, 90.0
    )
    size = (256, 256)
    mixed = (
        wrapped_noise(rng, size, (length, 2.5))
        + 0.9 * wrapped_noise(rng, size, (length, 8))
        + 0.4 * wrapped_noise(rng, size, (1.3 * length, 24))
    )
    fray = wrapped_noise(rng, size, (0.4 * length, 3)) + wrapped_noise(rng, size, (length, 10))
    reach = {"bob": 0.045, "long": 0.045, "curly": 0.04}
    tips = reach.get(identity.hair_style, 0.022)
    # Ends are only cut in: hair that stuck out would float before the skin.
    fray = np.minimum(tips * fray, 0.02)
    return np.clip(0.5 + 0.17 * mixed, 0, 1).astype(np.float32), fray.astype(np.float32)


def _shell(identity: Identity, surface: Surface, rng: np.random.Generator) -> Part:
    thick, top, rough, _ = STYLES[identity.hair_style]
    row, angle = np.meshgrid(
        np.linspace(2.40, -1.45, SHELL_ROWS),
        np.linspace(-np.pi, np.pi, SHELL_COLUMNS, endpoint=False),
        indexing="ij",
    )
    within = inside(identity, angle, row)
    skin = surface.at(angle, row)
    outward = skin - CENTRE
    outward /= np.linalg.norm(outward, axis=-1, keepdims=True)
    volume = 0.75 + 0.5 * identity.hair_volume
    height = volume * (thick + top * smoothstep((row - 0.7) / 1.0))
    height = height * smoothstep(within / 0.42) ** 0.8
    blobs = (7.0, 5.0) if identity.hair_style == "curly" else (14.0, 6.0)
    lumps = wrapped_noise(rng, row.shape, blobs)
    height = height * (1 + 0.5 * rough * lumps)
    if identity.hair_style == "parted":
        # A furrow on one side of the crown, and hair swept up from it.
        part_at = 0.55 * identity.part_side
        furrow = np.exp(-(((angle - part_at) / 0.07) ** 2)) * smoothstep((row - 0.8) / 0.2)
        height = height * (1 - 0.75 * furrow) + 0.05 * bump(
            angle * identity.part_side, row, (-0.25, 1.2), (0.6, 0.5)
        )
    points = surface.stretch(skin) + (0.022 + np.maximum(height, 0))[..., None] * outward
    triangles = parts.grid_triangles(SHELL_ROWS, SHELL_COLUMNS, closed=True)
    cut = (within - 0.03).reshape(-1)
    grows = cut[triangles].max(axis=1) > -0.25
    return parts.part(
        points.reshape(-1, 3),
        triangles[grows],
        raster.HAIR,
        _colour(identity, row.size),
        uv=np.stack([0.55 * (angle + _sweep(identity, angle, row)), 0.30 * row], axis=-1).reshape(
            -1, 2
        )
        + 10,
        cut=cut,
    )


def has_fringe(identity: Identity) -> bool:
    """Whether hair covers the forehead."""
    return identity.hair_style in ("bob", "long") and identity.hair_volume > 0.6


def _sweep(identity: Identity, angle: np.ndarray, row: np.ndarray) -> np.ndarray:
    """How much strands lean sideways as they run over the head."""
    if identity.hair_style in ("short", "parted", "receding"):
        return -0.5 * identity.part_side * row * np.exp(-((angle / 0.9) ** 2))
    if identity.hair_style in ("bob", "long") and not has_fringe(identity):
        side = np.tanh((angle - 0.25 * identity.part_side) / 0.12)
        return 0.5 * side * row * np.exp(-((angle / 0.9) ** 2))
    return np.zeros_like(row)


def inside(identity: Identity, angle: np.ndarray, row: np.ndarray) -> np.ndarray:
    """About the distance to the hairline, positive where hair grows; also of the shaven head."""
    side = np.abs(angle)
    line = PchipInterpolator(LINE_ANGLE, LINE_ROW)(np.minimum(side, 3.2))
    if identity.hair_style == "receding":
        line = (
            line
            + 0.42 * smoothstep((0.95 - side) / 0.4)
            + 0.12 * bump(side, 0 * side, (0.5, 0), (0.3, 1))
        )
    elif identity.hair_style in ("bob", "long"):
        if has_fringe(identity):
            line = line - 0.46 * smoothstep((0.85 - side) / 0.3)
        else:
            # Parted in the middle, hair falls over the temples.
            aside = np.abs(angle - 0.25 * identity.part_side)
            line = line + 0.10 - 0.55 * smoothstep((aside - 0.06) / 0.75) * (side < 1.0)
    else:
        line = line - 0.06 * np.cos(3 * angle + identity.part_side) * (side < 0.8)
    step = 0.02
    slope = (
        PchipInterpolator(LINE_ANGLE, LINE_ROW)(np.clip(side + step, 0, 3.2))
        - PchipInterpolator(LINE_ANGLE, LINE_ROW)(np.clip(side - step, 0, 3.2))
    ) / (2 * step * 1.2)
    return (row - line) / np.sqrt(1 + slope**2)


def _curtain(
    identity: Identity, surface: Surface, rng: np.random.Generator, *, low_y: float
) -> Part:
    """Hair that hangs from the sides and the back of the head."""
    rows, columns = 48, 112
    front = 0.92 if identity.hair_style == "bob" else 1.0
    height, turn = np.meshgrid(
        np.linspace(1.15, low_y - 0.35, rows),
        np.linspace(front, 2 * np.pi - front, columns),
        indexing="ij",
    )
    full = 0.9 + 0.2 * identity.hair_volume
    levels = [-3.6, -2.2, -1.2, -0.4, 0.4, 0.9, 1.2]
    wide = PchipInterpolator(levels, [1.55, 1.36, 1.36, 1.42, 1.36, 1.22, 1.0])(height) * full
    if identity.hair_style == "bob":
        # Its ends turn in under the jaw.
        wide = wide - 0.16 * smoothstep((-0.9 - height) / 0.5)
    deep = PchipInterpolator(levels, [1.2, 1.25, 1.35, 1.5, 1.5, 1.35, 1.1])(height)
    lumps = 0.05 * wrapped_noise(rng, height.shape, (30.0, 5.0))
    wide, deep = wide + lumps, deep + lumps
    wide = wide * surface.shape.skull_width
    points = np.stack([wide * np.sin(turn), height, -1.22 + deep * np.cos(turn)], axis=-1)
    edge = np.minimum(turn - front, 2 * np.pi - front - turn)
    cut = np.minimum((height - low_y) * 0.35, 0.3 * edge + 0.02)
    follows = np.clip((points[..., 1] + 2.6) / 1.8, 0, 1)
    return parts.part(
        points.reshape(-1, 3),
        parts.grid_triangles(rows, columns),
        raster.HAIR,
        _colour(identity, height.size),
        uv=np.stack([0.55 * turn, 0.30 * height], axis=-1).reshape(-1, 2) + 10,
        cut=cut.reshape(-1),
        follows=follows.reshape(-1),
    )


def _bun(identity: Identity, surface: Surface) -> Part:
    polar, turn = np.meshgrid(
        np.linspace(0.05, np.pi - 0.05, 18),
        np.linspace(0, 2 * np.pi, 32, endpoint=False),
        indexing="ij",
    )
    unit = np.stack(
        [np.sin(polar) * np.cos(turn), np.cos(polar), np.sin(polar) * np.sin(turn)], axis=-1
    ).reshape(-1, 3)
    top = surface.stretch(np.array([[0.0, 1.80, 0.0]]))[0, 1]
    points = unit * (0.46, 0.36, 0.42) + (0.0, top + 0.14, -1.75)
    return parts.part(
        points,
        parts.grid_triangles(18, 32, closed=True),
        raster.HAIR,
        _colour(identity, len(points)),
        uv=np.stack([0.8 * polar, 0.25 * turn], axis=-1).reshape(-1, 2) + 10,
    )


def _colour(identity: Identity, number: int) -> np.ndarray:
    return np.broadcast_to(linear(identity.hair), (number, 3))
