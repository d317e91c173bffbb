"""Colours of the pixels that the rasteriser found: skin, eyes, teeth, hair, cloth; then 8 bits."""

import math

import numpy as np

from data_prep.synthetic.compiled import njit
from data_prep.synthetic.paint import (
    FILL_COLOUR,
    INSIDE,
    KEY_COLOUR,
    KEY_DIRECTION,
    LOOKS,
    OILINESS,
    TRIM,
    bilinear,
    paint_eye,
    paint_lid,
)
from data_prep.synthetic.raster import (
    AMBIENT,
    CLOTH,
    CUT,
    EYE,
    FLESH,
    FRAME,
    HAIR,
    LID,
    MOUTH,
    NUM_ATTRIBUTES,
    RED,
    SHADOW,
    SKIN,
    TEETH,
    U,
    V,
)

GAMMA = 2.2
GAMMA_STEPS = 4096
TRIM_WIDTH = 0.07
# Columns of what a material adds to its colour: mirror-like shine and its sharpness, light that
# wraps around the terminator (scattered in skin: red goes farthest), shine of hair, light of the
# eye's glint.
GLOSS, SHARPNESS, WRAP, STRAND, GLINT = 0, 1, 2, 5, 6
MATERIALS = np.zeros((10, 7))
for _material, _row in {
    SKIN: (0.075, 9.0, 0.32, 0.25, 0.22),
    LID: (0.075, 9.0, 0.32, 0.25, 0.22),
    MOUTH: (0.05, 12.0, 0.3, 0.3, 0.3),
    EYE: (0.0, 20.0, 0.3, 0.3, 0.3),
    TEETH: (0.15, 30.0, 0.4, 0.4, 0.4),
    HAIR: (0.0, 9.0, 0.3, 0.3, 0.3),
    CLOTH: (0.0, 20.0, 0.15, 0.15, 0.15),
    FRAME: (0.5, 40.0, 0.0, 0.0, 0.0),
    FLESH: (0.045, 10.0, 0.32, 0.25, 0.22),
}.items():
    MATERIALS[_material, :5] = _row


@njit
def _wrapped(image, u, v):
    """Row and column of a texture that wraps around."""
    return int(v * image.shape[0]) % image.shape[0], int(u * image.shape[1]) % image.shape[1]


@njit
def _paint(material, place, textures, frame, eyes, light, look):
    """Colour of a place, into place[RED...]; what dims its light, into place[AMBIENT, SHADOW]."""
    skin, strands, cloth = textures
    if material in (SKIN, LID):
        row, column = (frame[1] - place[V]) * frame[3], (place[U] - frame[0]) * frame[2]
        for channel in range(3):
            place[RED + channel] *= bilinear(skin, row, column, channel)
        shine = bilinear(skin, row, column, 3)
        look[GLOSS] *= (0.3 + light[LOOKS, OILINESS]) * (0.3 + shine)
        look[SHARPNESS] += 14.0 * shine
        if material == LID:
            place[AMBIENT] *= paint_lid(eyes, light, place)
    elif material == EYE:
        dark, glint = paint_eye(eyes, light, place)
        place[AMBIENT] = 0.85 * dark
        place[SHADOW] *= dark
        look[GLINT] = glint * 1.3 * (0.4 + 0.6 * light[KEY_COLOUR, 1])
    elif material == TEETH:
        place[AMBIENT] *= light[INSIDE, 0]
        place[SHADOW] *= light[INSIDE, 0]
    elif material == HAIR:
        row, column = _wrapped(strands, place[U], place[V])
        look[STRAND] = strands[row, column]
        for channel in range(3):
            place[RED + channel] *= 0.5 + look[STRAND]
    elif material == CLOTH:
        row, column = _wrapped(cloth, place[U], place[V])
        trim = place[CUT] < TRIM_WIDTH
        for channel in range(3):
            place[RED + channel] *= cloth[row, column, channel]
            if trim:
                place[RED + channel] = light[TRIM, channel]


@njit
def _shine(place, normal, halfway, light, look):
    """What the main light mirrors towards the camera."""
    nx, ny, nz = normal[0], normal[1], normal[2]
    if look[STRAND] == 0.0:
        half = max(nx * halfway[0] + ny * halfway[1] + nz * halfway[2], 0.0)
        sharpness = look[SHARPNESS]
        return look[GLOSS] * half**sharpness * (sharpness + 8) * 0.11 * place[SHADOW]
    # Strands run down the surface: light glides off them in a band (Kajiya and Kay 1989).
    tx, ty, tz = -nx * ny, 1.0 - ny * ny, -nz * ny
    length = math.sqrt(tx * tx + ty * ty + tz * tz) + 1e-6
    slope = (tx * halfway[0] + ty * halfway[1] + tz * halfway[2]) / length
    across = max(1 - slope * slope, 0.0)
    cosine = nx * light[KEY_DIRECTION, 0] + ny * light[KEY_DIRECTION, 1]
    cosine += nz * light[KEY_DIRECTION, 2]
    band = 0.16 * across**14 * max(cosine + 0.3, 0.0) + 0.05 * across**60
    return look[STRAND] * place[SHADOW] * band


@njit
def _light_up(place, normal, shine, light, look, out, y, x):
    """Linear light that a painted place sends to the camera, into out[y, x]."""
    nx, ny, nz = normal[0], normal[1], normal[2]
    cosine = nx * light[KEY_DIRECTION, 0] + ny * light[KEY_DIRECTION, 1]
    cosine += nz * light[KEY_DIRECTION, 2]
    facing = max(nz, 0.0)
    rim = look[GLOSS] * 0.8 * (1 - facing) ** 4 * place[AMBIENT]
    sky = (0.50 + 0.32 * ny + 0.22 * facing) * place[AMBIENT]
    for channel in range(3):
        wrap = look[WRAP + channel]
        direct = max((cosine + wrap) / (1 + wrap), 0.0) * place[SHADOW]
        key_light, fill = light[KEY_COLOUR, channel], light[FILL_COLOUR, channel]
        value = place[RED + channel] * (key_light * direct + fill * sky)
        out[y, x, channel] = value + (shine + look[GLINT]) * key_light + rim * fill


@njit
def shade(
    found, where, triangles, materials, attributes, normals, textures, frame, eyes, light, out
):
    """Fills `out` (h, w, 3) with linear light where a triangle was found.

    Args:
      found, where: as raster.rasterise left them.
      triangles, materials, attributes: as it took them.
      normals: (n, 3) float32 of the posed vertices.
      textures: painted skin (h, w, 4), strands of hair (h, w), cloth (h, w, 3), float32.
      frame: skin.frame().
      eyes: (2, 10) table of both eyes.
      light: (9, 3) table whose rows paint.py names.
      out: (h, w, 3) float32.
    """
    rows, columns = found.shape
    place, look, normal = np.zeros(NUM_ATTRIBUTES), np.zeros(7), np.zeros(3)
    # Halfway between the main light and the camera.
    halfway = light[KEY_DIRECTION].copy()
    halfway[2] += 1.0
    halfway /= math.sqrt((halfway**2).sum())
    for y in range(rows):
        for x in range(columns):
            index = found[y, x]
            if index < 0:
                continue
            i, j, k = triangles[index]
            wb, wc = where[y, x, 0], where[y, x, 1]
            wa = 1.0 - wb - wc
            material = materials[index]
            for column in range(NUM_ATTRIBUTES):
                place[column] = (
                    wa * attributes[i, column]
                    + wb * attributes[j, column]
                    + wc * attributes[k, column]
                )
            for axis in range(3):
                normal[axis] = wa * normals[i, axis] + wb * normals[j, axis] + wc * normals[k, axis]
            length = math.sqrt(normal[0] ** 2 + normal[1] ** 2 + normal[2] ** 2) + 1e-9
            # The inner side of a curtain of hair.
            if material == HAIR and normal[2] < -0.2:
                length = -length
            for axis in range(3):
                normal[axis] /= length
            for column in range(7):
                look[column] = MATERIALS[material, column]
            _paint(material, place, textures, frame, eyes, light, look)
            shine = _shine(place, normal, halfway, light, look)
            _light_up(place, normal, shine, light, look, out, y, x)


def gamma_table() -> np.ndarray:
    """uint8 sRGB-like values of GAMMA_STEPS linear ones in [0, 1]."""
    linear = np.arange(GAMMA_STEPS) / (GAMMA_STEPS - 1)
    return np.round(255 * linear ** (1 / GAMMA)).astype(np.uint8)


@njit
def develop(linear, exposure, table, out):
    """Averages 2x2 subpixels, rolls highlights off and writes 8 bits."""
    rows, columns, _ = out.shape
    for y in range(rows):
        for x in range(columns):
            for channel in range(3):
                total = 0.0
                for dy in range(2):
                    for dx in range(2):
                        value = linear[2 * y + dy, 2 * x + dx, channel] * exposure
                        # Straight up to 0.6, then a shoulder that never quite reaches 1.
                        if value > 0.6:
                            value = 0.6 + 0.4 * (1 - math.exp(-(value - 0.6) / 0.4))
                        total += value
                place = int(total * 0.25 * (table.shape[0] - 1) + 0.5)
                out[y, x, channel] = table[min(max(place, 0), table.shape[0] - 1)]
