"""Lids and eyes, painted pixel by pixel; compiled by numba and used by shade.py."""

import math

from data_prep.synthetic.compiled import njit
from data_prep.synthetic.raster import (
    BLUE,
    EYE_CLOSED,
    EYE_CX,
    EYE_CY,
    EYE_GAZE_X,
    EYE_GAZE_Y,
    EYE_HALF_WIDTH,
    EYE_OUT,
    EYE_TILT,
    EYE_UPPER,
    GREEN,
    RED,
    REST_X,
    REST_Y,
    lid_heights,
)

# Rows of the light table (each three numbers, linear).
KEY_DIRECTION, KEY_COLOUR, FILL_COLOUR, IRIS, LASH, TRIM, LID_COLOUR, LOOKS, INSIDE = range(9)
# Columns of the row LOOKS.
OILINESS, LASH_WIDTH, EXPOSURE = range(3)


@njit
def bilinear(image, row, column, channel):
    rows, columns = image.shape[0], image.shape[1]
    row = min(max(row, 0.0), rows - 1.001)
    column = min(max(column, 0.0), columns - 1.001)
    r, c = int(row), int(column)
    fr, fc = row - r, column - c
    top = image[r, c, channel] * (1 - fc) + image[r, c + 1, channel] * fc
    bottom = image[r + 1, c, channel] * (1 - fc) + image[r + 1, c + 1, channel] * fc
    return top * (1 - fr) + bottom * fr


@njit
def smooth(value):
    value = min(max(value, 0.0), 1.0)
    return value * value * (3 - 2 * value)


@njit
def paint_lid(eyes, light, place):
    """Lashes, the wet rim and the crease of the lid, into place[RED...]; returns extra darkness."""
    mx, my = place[REST_X], place[REST_Y]
    eye = eyes[0] if mx < 0 else eyes[1]
    along = eye[EYE_OUT] * (mx - eye[EYE_CX]) / eye[EYE_HALF_WIDTH]
    if abs(along) > 1.35:
        return 1.0
    upper, lower = lid_heights(min(max(along, -1.0), 1.0), eye)
    height = my - eye[EYE_CY]
    over = height - upper
    beyond = max(abs(along) - 1.0, 0.0) * eye[EYE_HALF_WIDTH]
    # The lashes of a shut eye lie in one dark line.
    width = light[LOOKS, LASH_WIDTH] * (0.7 + 0.3 * along) * (1.0 + 0.9 * eye[EYE_CLOSED])
    lash = 0.0
    if over > -0.004:
        gap = math.sqrt(over * over + beyond * beyond * (4.0 if along < 0 else 0.6))
        lash = 1.0 - smooth((gap - 0.45 * width) / (0.8 * width))
    under = lower - height
    if under > 0.0 and eye[EYE_CLOSED] > 0.0:
        gap = math.sqrt(under * under + 3 * beyond * beyond)
        lash = max(lash, eye[EYE_CLOSED] * (1.0 - smooth((gap - 0.3 * width) / (0.6 * width))))
    if under > -0.004:
        gap = math.sqrt(under * under + 3 * beyond * beyond)
        # Neither the wet rim nor the lower lashes are seen once the upper lid lies on them.
        rim = (1.0 - smooth(gap / 0.028)) * (1.0 - 0.9 * eye[EYE_CLOSED])
        for channel in range(3):
            place[RED + channel] += 0.55 * rim * (light[LID_COLOUR, channel] - place[RED + channel])
        lower_lash = (1.0 - smooth(abs(gap - 0.024) / 0.018)) * (0.28 + 0.15 * along)
        lower_lash *= 1.0 - 0.85 * eye[EYE_CLOSED]
        lash = max(lash, lower_lash)
    lash = min(max(lash, 0.0), 1.0)
    for channel in range(3):
        place[RED + channel] += 0.93 * lash * (light[LASH, channel] - place[RED + channel])
    # The crease above the lid; it is drawn flat as the lid closes.
    crease_height = eye[EYE_TILT] * along + eye[EYE_UPPER] * (1.42 - 0.55 * along * along)
    off = (height - crease_height) / 0.022
    crease = math.exp(-off * off) * smooth((1.25 - abs(along)) / 0.4)
    return 1.0 - 0.42 * crease * (1.0 - 0.9 * eye[EYE_CLOSED])


@njit
def paint_eye(eyes, light, place):
    """Sclera, iris, pupil; returns the shade under the upper lid and the catch light."""
    mx, my = place[REST_X], place[REST_Y]
    eye = eyes[0] if mx < 0 else eyes[1]
    along = eye[EYE_OUT] * (mx - eye[EYE_CX]) / eye[EYE_HALF_WIDTH]
    height = my - eye[EYE_CY]
    upper, lower = lid_heights(min(max(along, -1.0), 1.0), eye)
    iris_x = mx - eye[EYE_CX] + 0.006 * eye[EYE_OUT] - 0.075 * eye[EYE_GAZE_X]
    iris_y = height - 0.012 - 0.05 * eye[EYE_GAZE_Y]
    radius = math.sqrt(iris_x * iris_x + iris_y * iris_y)
    red = smooth((abs(along) - 0.55) / 0.5) * 0.35 + (0.25 if along < -0.88 else 0.0)
    place[RED], place[GREEN], place[BLUE] = 0.72, 0.70 - 0.26 * red, 0.68 - 0.28 * red
    edge = smooth((0.0975 - radius) / 0.012)
    if edge > 0.0:
        angle = math.atan2(iris_y, iris_x)
        spokes = 0.85 + 0.15 * math.sin(23 * angle) * math.sin(11 * angle + 1.3)
        ring = 1.0 - 0.65 * smooth((radius - 0.072) / 0.022)
        inner = 1.0 + 0.5 * smooth((0.065 - radius) / 0.02)
        pupil = smooth((radius - 0.036) / 0.008)
        for channel in range(3):
            iris = light[IRIS, channel] * spokes * ring * inner * pupil + 0.002
            place[RED + channel] += edge * (iris - place[RED + channel])
    # Shade of the upper lid and its lashes; of the lower a little.
    shade = 0.30 + 0.70 * smooth((upper - height) / 0.085)
    shade *= 0.75 + 0.25 * smooth((height - lower) / 0.02)
    # The main light and a window mirrored in the cornea.
    glint_x = iris_x - 0.05 * light[KEY_DIRECTION, 0] - 0.006
    glint_y = iris_y - 0.030 - 0.02 * light[KEY_DIRECTION, 1]
    glint = math.exp(-(glint_x * glint_x + glint_y * glint_y) / 0.00028)
    return shade, glint * smooth((upper - height) / 0.02)
