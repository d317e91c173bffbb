"""Colours of the pixels that the rasteriser found: skin, eyes, teeth, hair, cloth; then 8 bits."""

import math

import numba
import numpy as np

from data_prep.synthetic.raster import (
    AMBIENT,
    CLOTH,
    CUT,
    EYE,
    EYE_CLOSED,
    EYE_CX,
    EYE_CY,
    EYE_GAZE_X,
    EYE_GAZE_Y,
    EYE_HALF_WIDTH,
    EYE_OUT,
    EYE_TILT,
    EYE_UPPER,
    FRAME,
    HAIR,
    LID,
    MOUTH,
    RED,
    REST_X,
    REST_Y,
    SHADOW,
    SKIN,
    TEETH,
    U,
    V,
    lid_heights,
)

# Rows of the light table (each three numbers, linear).
KEY_DIRECTION, KEY_COLOUR, FILL_COLOUR, IRIS, LASH, TRIM, LID_COLOUR, LOOKS = range(8)
# Columns of the row LOOKS.
OILINESS, LASH_WIDTH, EXPOSURE = range(3)
GAMMA = 2.2
TRIM_WIDTH = 0.07
GAMMA_STEPS = 4096


@numba.njit(cache=True)
def _bilinear(image, row, column, channel):
    rows, columns = image.shape[0], image.shape[1]
    row = min(max(row, 0.0), rows - 1.001)
    column = min(max(column, 0.0), columns - 1.001)
    r, c = int(row), int(column)
    fr, fc = row - r, column - c
    top = image[r, c, channel] * (1 - fc) + image[r, c + 1, channel] * fc
    bottom = image[r + 1, c, channel] * (1 - fc) + image[r + 1, c + 1, channel] * fc
    return top * (1 - fr) + bottom * fr


@numba.njit(cache=True)
def _smooth(value):
    value = min(max(value, 0.0), 1.0)
    return value * value * (3 - 2 * value)


@numba.njit(cache=True)
def _lid_paint(mx, my, eyes, light, albedo):
    """Lashes, the wet rim and the crease of the lid, into `albedo`; returns extra darkness."""
    eye = eyes[0] if mx < 0 else eyes[1]
    along = eye[EYE_OUT] * (mx - eye[EYE_CX]) / eye[EYE_HALF_WIDTH]
    if abs(along) > 1.35:
        return 1.0
    upper, lower = lid_heights(min(max(along, -1.0), 1.0), eye)
    height = my - eye[EYE_CY]
    over = height - upper
    beyond = max(abs(along) - 1.0, 0.0) * eye[EYE_HALF_WIDTH]
    width = light[LOOKS, LASH_WIDTH] * (0.7 + 0.3 * along)
    lash = 0.0
    if over > -0.004:
        gap = math.sqrt(over * over + beyond * beyond * (4.0 if along < 0 else 0.6))
        lash = 1.0 - _smooth((gap - 0.45 * width) / (0.8 * width))
    under = lower - height
    if under > -0.004:
        gap = math.sqrt(under * under + 3 * beyond * beyond)
        rim = 1.0 - _smooth(gap / 0.028)
        for channel in range(3):
            albedo[channel] += 0.55 * rim * (light[LID_COLOUR, channel] - albedo[channel])
        lower_lash = (1.0 - _smooth(abs(gap - 0.024) / 0.018)) * (0.28 + 0.15 * along)
        lash = max(lash, lower_lash)
    lash = min(max(lash, 0.0), 1.0)
    for channel in range(3):
        albedo[channel] += 0.93 * lash * (light[LASH, channel] - albedo[channel])
    # The crease above the lid; it opens as the lid closes.
    crease_height = eye[EYE_TILT] * along + eye[EYE_UPPER] * (1.42 - 0.55 * along * along)
    off = (height - crease_height) / 0.022
    crease = math.exp(-off * off) * _smooth((1.25 - abs(along)) / 0.4)
    return 1.0 - 0.42 * crease * (1.0 - 0.6 * eye[EYE_CLOSED])


@numba.njit(cache=True)
def _eye_paint(mx, my, eyes, light, albedo):
    """Sclera, iris, pupil; returns the shade under the upper lid and the catch light."""
    eye = eyes[0] if mx < 0 else eyes[1]
    along = eye[EYE_OUT] * (mx - eye[EYE_CX]) / eye[EYE_HALF_WIDTH]
    height = my - eye[EYE_CY]
    upper, lower = lid_heights(min(max(along, -1.0), 1.0), eye)
    iris_x = mx - eye[EYE_CX] + 0.006 * eye[EYE_OUT] - 0.075 * eye[EYE_GAZE_X]
    iris_y = height - 0.012 - 0.05 * eye[EYE_GAZE_Y]
    radius = math.sqrt(iris_x * iris_x + iris_y * iris_y)
    red = _smooth((abs(along) - 0.55) / 0.5) * 0.35 + (0.25 if along < -0.88 else 0.0)
    albedo[0], albedo[1], albedo[2] = 0.72, 0.70 - 0.26 * red, 0.68 - 0.28 * red
    edge = _smooth((0.0975 - radius) / 0.012)
    if edge > 0.0:
        angle = math.atan2(iris_y, iris_x)
        spokes = 0.85 + 0.15 * math.sin(23 * angle) * math.sin(11 * angle + 1.3)
        ring = 1.0 - 0.65 * _smooth((radius - 0.072) / 0.022)
        inner = 1.0 + 0.5 * _smooth((0.065 - radius) / 0.02)
        pupil = _smooth((radius - 0.036) / 0.008)
        for channel in range(3):
            iris = light[IRIS, channel] * spokes * ring * inner * pupil + 0.002
            albedo[channel] += edge * (iris - albedo[channel])
    # Shade of the upper lid and its lashes; of the lower a little.
    shade = 0.30 + 0.70 * _smooth((upper - height) / 0.085)
    shade *= 0.75 + 0.25 * _smooth((height - lower) / 0.02)
    # The main light and a window mirrored in the cornea.
    glint_x = iris_x - 0.05 * light[KEY_DIRECTION, 0] - 0.006
    glint_y = iris_y - 0.030 - 0.02 * light[KEY_DIRECTION, 1]
    glint = math.exp(-(glint_x * glint_x + glint_y * glint_y) / 0.00028)
    return shade, glint * _smooth((upper - height) / 0.02)


@numba.njit(cache=True)
def shade(
    found,
    where,
    triangles,
    materials,
    attributes,
    normals,
    skin,
    strands,
    cloth,
    frame,
    eyes,
    light,
    out,
):
    """Fills `out` (h, w, 3) with linear light where a triangle was found."""
    rows, columns = found.shape
    albedo = np.zeros(3)
    key = light[KEY_DIRECTION]
    size = math.sqrt(key[0] ** 2 + key[1] ** 2 + (key[2] + 1) ** 2)
    hx, hy, hz = key[0] / size, key[1] / size, (key[2] + 1) / size
    oil = light[LOOKS, OILINESS]
    for y in range(rows):
        for x in range(columns):
            index = found[y, x]
            if index < 0:
                continue
            i, j, k = triangles[index]
            wb, wc = where[y, x, 0], where[y, x, 1]
            wa = 1.0 - wb - wc
            material = materials[index]
            nx = wa * normals[i, 0] + wb * normals[j, 0] + wc * normals[k, 0]
            ny = wa * normals[i, 1] + wb * normals[j, 1] + wc * normals[k, 1]
            nz = wa * normals[i, 2] + wb * normals[j, 2] + wc * normals[k, 2]
            size = math.sqrt(nx * nx + ny * ny + nz * nz) + 1e-9
            if nz < -0.2 and material == HAIR:
                size = -size
            nx, ny, nz = nx / size, ny / size, nz / size
            ambient = (
                wa * attributes[i, AMBIENT]
                + wb * attributes[j, AMBIENT]
                + wc * attributes[k, AMBIENT]
            )
            lit = (
                wa * attributes[i, SHADOW] + wb * attributes[j, SHADOW] + wc * attributes[k, SHADOW]
            )
            u = wa * attributes[i, U] + wb * attributes[j, U] + wc * attributes[k, U]
            v = wa * attributes[i, V] + wb * attributes[j, V] + wc * attributes[k, V]
            for channel in range(3):
                albedo[channel] = (
                    wa * attributes[i, RED + channel]
                    + wb * attributes[j, RED + channel]
                    + wc * attributes[k, RED + channel]
                )
            glint = 0.0
            strand = 0.0
            gloss, sharpness = 0.0, 20.0
            wrap_r, wrap_g, wrap_b = 0.0, 0.0, 0.0
            if material == SKIN or material == LID:
                row = (frame[1] - v) * frame[3]
                column = (u - frame[0]) * frame[2]
                for channel in range(3):
                    albedo[channel] *= _bilinear(skin, row, column, channel)
                shine = _bilinear(skin, row, column, 3)
                wrap_r, wrap_g, wrap_b = 0.32, 0.25, 0.22
                gloss, sharpness = 0.075 * (0.3 + oil) * (0.3 + shine), 9.0 + 14.0 * shine
                if material == LID:
                    mx = (
                        wa * attributes[i, REST_X]
                        + wb * attributes[j, REST_X]
                        + wc * attributes[k, REST_X]
                    )
                    my = (
                        wa * attributes[i, REST_Y]
                        + wb * attributes[j, REST_Y]
                        + wc * attributes[k, REST_Y]
                    )
                    ambient *= _lid_paint(mx, my, eyes, light, albedo)
            elif material == EYE:
                mx = (
                    wa * attributes[i, REST_X]
                    + wb * attributes[j, REST_X]
                    + wc * attributes[k, REST_X]
                )
                my = (
                    wa * attributes[i, REST_Y]
                    + wb * attributes[j, REST_Y]
                    + wc * attributes[k, REST_Y]
                )
                dark, glint = _eye_paint(mx, my, eyes, light, albedo)
                ambient = 0.85 * dark
                lit *= dark
                wrap_r = wrap_g = wrap_b = 0.3
                glint *= 1.3 * (0.4 + 0.6 * light[KEY_COLOUR, 1])
            elif material == HAIR:
                strand = strands[
                    int(v * strands.shape[0]) % strands.shape[0],
                    int(u * strands.shape[1]) % strands.shape[1],
                ]
                for channel in range(3):
                    albedo[channel] *= 0.35 + 1.3 * strand
                gloss, sharpness = 0.0, 9.0
                wrap_r = wrap_g = wrap_b = 0.3
            elif material == CLOTH:
                r = int(v * cloth.shape[0]) % cloth.shape[0]
                c = int(u * cloth.shape[1]) % cloth.shape[1]
                cut = wa * attributes[i, CUT] + wb * attributes[j, CUT] + wc * attributes[k, CUT]
                for channel in range(3):
                    albedo[channel] *= cloth[r, c, channel]
                    if cut < TRIM_WIDTH:
                        albedo[channel] = light[TRIM, channel]
                wrap_r = wrap_g = wrap_b = 0.15
            elif material == FRAME:
                gloss, sharpness = 0.5, 40.0
            elif material == TEETH:
                gloss, sharpness = 0.15, 30.0
                wrap_r = wrap_g = wrap_b = 0.4
            elif material == MOUTH:
                gloss, sharpness = 0.05, 12.0
                wrap_r = wrap_g = wrap_b = 0.3
            else:
                wrap_r, wrap_g, wrap_b = 0.32, 0.25, 0.22
                gloss, sharpness = 0.045, 10.0
            cosine = nx * key[0] + ny * key[1] + nz * key[2]
            half = max(nx * hx + ny * hy + nz * hz, 0.0)
            shine = gloss * half**sharpness * (sharpness + 8) * 0.11 * lit
            facing = max(nz, 0.0)
            rim = gloss * 0.8 * (1 - facing) ** 4 * ambient
            if material == HAIR:
                # Strands run down the surface: light glides off them in a band.
                dot = ny
                tx, ty, tz = -nx * dot, 1.0 - ny * dot, -nz * dot
                size = math.sqrt(tx * tx + ty * ty + tz * tz) + 1e-6
                slope = (tx * hx + ty * hy + tz * hz) / size
                shine = (
                    0.16 * strand * max(1 - slope * slope, 0.0) ** 14 * lit * max(cosine + 0.3, 0.0)
                )
                shine += 0.05 * strand * max(1 - slope * slope, 0.0) ** 60 * lit
            sky = 0.50 + 0.32 * ny + 0.22 * facing
            for channel in range(3):
                wrap = wrap_r if channel == 0 else (wrap_g if channel == 1 else wrap_b)
                direct = max((cosine + wrap) / (1 + wrap), 0.0) * lit
                fill = light[FILL_COLOUR, channel] * sky * ambient
                value = albedo[channel] * (light[KEY_COLOUR, channel] * direct + fill)
                value += (shine + glint) * light[KEY_COLOUR, channel]
                value += rim * light[FILL_COLOUR, channel]
                out[y, x, channel] = value


def gamma_table() -> np.ndarray:
    """uint8 sRGB-like values of GAMMA_STEPS linear ones in [0, 1]."""
    linear = np.arange(GAMMA_STEPS) / (GAMMA_STEPS - 1)
    return np.round(255 * linear ** (1 / GAMMA)).astype(np.uint8)


@numba.njit(cache=True)
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
