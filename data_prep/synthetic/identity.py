"""Who is drawn: the numbers that make one synthetic person and the place they sit in.

Nothing here describes a real person; ranges are chosen so that faces vary as widely as people
do while a detector trained on real faces still finds every one.
"""

import dataclasses

import numpy as np

# Skin in sRGB from very light to very dark; a tone between two is a blend in linear light.
# Of our own choosing, spread over the range of the ten-step Monk Skin Tone scale.
SKIN_SRGB = (
    (240, 211, 193),
    (234, 198, 174),
    (229, 184, 154),
    (211, 160, 124),
    (184, 130, 95),
    (150, 100, 70),
    (118, 77, 54),
    (88, 56, 41),
    (66, 43, 34),
)
HAIR_SRGB = {
    "black": (24, 20, 19),
    "dark brown": (48, 33, 25),
    "brown": (82, 54, 36),
    "light brown": (122, 86, 55),
    "blond": (186, 148, 95),
    "red": (136, 62, 30),
    "grey": (140, 138, 136),
    "white": (208, 206, 202),
}
IRIS_SRGB = {
    "dark brown": (52, 30, 18),
    "brown": (86, 52, 28),
    "hazel": (110, 86, 44),
    "green": (92, 110, 70),
    "blue": (84, 118, 150),
    "grey": (118, 128, 134),
}
HAIR_STYLES = ("short", "crop", "parted", "bob", "long", "bun", "curly", "receding", "bald")
BEARD_STYLES = ("none", "stubble", "moustache", "goatee", "full")
GLASSES = ("none", "round", "square", "thin")
COLLARS = ("crew", "v", "shirt", "turtle")
BACKDROPS = ("plain", "gradient", "bokeh", "shelf", "window")


@dataclasses.dataclass(frozen=True)
class Shape:
    """Bends of the average head. Factors are near 1; the others run over [0, 1] but where said."""

    skull_width: float
    cheek_width: float
    jaw_width: float
    chin_point: float
    chin_out: float
    chin_length: float
    chin_cleft: float
    forehead: float
    philtrum: float
    cheekbones: float
    fullness: float
    folds: float
    brow_ridge: float
    bags: float
    nose_length: float
    nose_width: float
    nose_out: float
    nose_upturn: float
    nose_hump: float
    mouth_width: float
    upper_lip: float
    lower_lip: float
    cupid: float
    corner_up: float
    eye_width: float
    eye_open: float
    eye_tilt: float
    lid_fold: float
    brow_height: float
    brow_arch: float
    brow_thick: float
    ear_size: float
    neck_width: float


@dataclasses.dataclass(frozen=True)
class Identity:
    """One synthetic person, their clothes and their room. Plain numbers and words.

    Attributes:
      name: as given; part of no drawing.
      shape: the bends of the head.
      texture_seed: seeds the noise of skin, hair and cloth.
      skin, lips, hair, iris, brows, cloth, cloth_trim: sRGB in [0, 255].
      age: 0 (young adult) to 1 (old): wrinkles, spots, folds.
      redness, freckles, makeup, oiliness: 0 to 1.
      key_direction: towards the main light, head at rest (x right, y up, z to the camera).
      key_colour, fill_colour: linear light, 1 is neutral.
    """

    name: str
    shape: Shape
    texture_seed: int
    age: float
    skin: tuple[float, float, float]
    lips: tuple[float, float, float]
    redness: float
    freckles: float
    makeup: float
    oiliness: float
    hair: tuple[float, float, float]
    hair_style: str
    hair_volume: float
    part_side: float
    brows: tuple[float, float, float]
    iris: tuple[float, float, float]
    beard: str
    glasses: str
    glasses_colour: tuple[float, float, float]
    collar: str
    cloth: tuple[float, float, float]
    cloth_trim: tuple[float, float, float]
    cloth_pattern: int
    backdrop: str
    backdrop_colours: tuple[tuple[float, float, float], tuple[float, float, float]]
    key_direction: tuple[float, float, float]
    key_colour: tuple[float, float, float]
    fill_colour: tuple[float, float, float]
    exposure: float
    head_scale: float
    eye_height: float


def sample_identity(rng: np.random.Generator, name: str) -> Identity:
    """A person drawn at random; the same generator state gives the same person."""
    female = bool(rng.random() < 0.5)
    age = float(rng.beta(1.3, 1.8))
    tone = float(rng.random())
    skin = _skin(rng, tone)
    hair_name = _hair_name(rng, tone=tone, age=age)
    hair = _jitter(rng, HAIR_SRGB[hair_name], 0.08)
    style = _hair_style(rng, female=female, age=age)
    beard = "none" if female else str(rng.choice(BEARD_STYLES, p=(0.46, 0.22, 0.08, 0.10, 0.14)))
    iris_names = list(IRIS_SRGB)
    dark = np.array([0.1, 0.15, 0.15, 0.15, 0.3, 0.15])
    chances = np.array([0.7, 0.3, 0.0, 0, 0, 0]) if tone > 0.5 else dark
    iris = _jitter(rng, IRIS_SRGB[iris_names[rng.choice(6, p=chances)]], 0.1)
    makeup = float(rng.uniform(0.2, 0.9)) if female and rng.random() < 0.6 else 0.0
    backdrop, backdrop_colours = _backdrop(rng)
    key, key_colour, fill_colour, exposure = _light(rng)
    brow_source = np.minimum(np.minimum(hair, 105), 0.75 * np.array(skin))
    return Identity(
        name=name,
        shape=_shape(rng, female=female, age=age),
        texture_seed=int(rng.integers(2**31)),
        age=age,
        skin=skin,
        lips=_lips(rng, skin, makeup=makeup),
        redness=float(rng.uniform(0.1, 0.9)),
        freckles=float(rng.uniform(0.3, 1)) if tone < 0.35 and rng.random() < 0.3 else 0.0,
        makeup=makeup,
        oiliness=float(rng.uniform(0.2, 1)),
        hair=hair,
        hair_style=style,
        hair_volume=float(rng.uniform(0.0, 1.0)),
        part_side=float(rng.choice((-1.0, 1.0))),
        brows=_triple(brow_source * rng.uniform(0.55, 0.85)),
        iris=iris,
        beard=beard,
        glasses=str(rng.choice(GLASSES, p=(0.72, 0.09, 0.10, 0.09))),
        glasses_colour=_triple(rng.choice(np.array([[20, 20, 22], [70, 40, 25], [120, 110, 90]]))),
        collar=str(rng.choice(COLLARS, p=(0.35, 0.25, 0.28, 0.12))),
        cloth=_cloth(rng),
        cloth_trim=_cloth(rng),
        cloth_pattern=int(rng.integers(4)),
        backdrop=backdrop,
        backdrop_colours=backdrop_colours,
        key_direction=key,
        key_colour=key_colour,
        fill_colour=fill_colour,
        exposure=exposure,
        head_scale=float(rng.uniform(0.94, 1.05)),
        eye_height=float(rng.uniform(0.40, 0.44)),
    )


def _shape(rng: np.random.Generator, *, female: bool, age: float) -> Shape:
    def near(middle: float, spread: float) -> float:
        return float(middle + spread * np.clip(rng.standard_normal(), -2, 2))

    def unit(low: float = 0.0, high: float = 1.0) -> float:
        return float(rng.uniform(low, high))

    male = not female
    return Shape(
        skull_width=near(0.98, 0.022),
        cheek_width=near(0.97, 0.025),
        jaw_width=near(1.00 if male else 0.93, 0.035),
        chin_point=unit(0.0, 0.7) if male else unit(0.4, 1.0),
        chin_out=unit(),
        chin_length=near(1.03 if male else 0.96, 0.04),
        chin_cleft=unit() if male and rng.random() < 0.3 else 0.0,
        forehead=near(1.0, 0.03),
        philtrum=near(1.0, 0.045),
        cheekbones=unit(),
        fullness=unit(0.1, 1.0),
        folds=float(np.clip(0.15 + 0.75 * age + 0.15 * rng.standard_normal(), 0, 1)),
        brow_ridge=unit(0.4, 1.0) if male else unit(0.0, 0.5),
        bags=float(np.clip(0.1 + 0.8 * age + 0.2 * rng.standard_normal(), 0, 1)),
        nose_length=near(1.0, 0.045),
        nose_width=near(1.03 if male else 0.95, 0.09),
        nose_out=near(1.0, 0.10),
        nose_upturn=unit(-0.2, 1.0),
        nose_hump=unit(-0.3, 1.0) if rng.random() < 0.5 else 0.0,
        mouth_width=near(1.0, 0.06),
        upper_lip=near(0.98 - 0.12 * age, 0.10),
        lower_lip=near(1.0 - 0.15 * age, 0.14),
        cupid=unit(0.2, 1.0),
        corner_up=near(0.0, 0.012),
        eye_width=near(1.0, 0.045),
        eye_open=near(1.0 - 0.08 * age, 0.09),
        eye_tilt=near(0.02, 0.02),
        lid_fold=unit(),
        brow_height=near(0.0, 0.025) + (0.02 if female else -0.01),
        brow_arch=unit(0.2, 1.0) if female else unit(0.0, 0.6),
        brow_thick=unit(0.2, 0.6) if female else unit(0.5, 1.0),
        ear_size=near(1.0, 0.06),
        neck_width=near(1.0 if male else 0.86, 0.04),
    )


def _skin(rng: np.random.Generator, tone: float) -> tuple[float, float, float]:
    place = tone * (len(SKIN_SRGB) - 1)
    low = min(int(place), len(SKIN_SRGB) - 2)
    table = (np.array(SKIN_SRGB) / 255) ** 2.2
    linear = table[low] + (place - low) * (table[low + 1] - table[low])
    return _jitter(rng, 255 * linear ** (1 / 2.2), 0.03)


def _lips(rng: np.random.Generator, skin: tuple[float, ...], *, makeup: float) -> tuple:
    """Lips are darker than the skin around them, as most people's are, but no dark hole."""
    tone = np.array(skin)
    natural = tone * np.clip(np.array([0.87, 0.57, 0.59]) + 0.025 * rng.standard_normal(3), 0, 1)
    stick = np.array([170, 40, 55]) * rng.uniform(0.6, 1.15) + rng.uniform(-15, 25, 3)
    stick = np.clip(stick, 5, 250)
    # What the eye, and a detector that sees grey, takes for brightness.
    grey = np.array([0.299, 0.587, 0.114])
    stick = stick * min(1.0, 0.66 * (grey @ tone) / (grey @ stick))
    share = 0.75 * makeup if rng.random() < 0.6 else 0.0
    return _triple(np.clip((1 - share) * natural + share * stick, 5, 250))


def _hair_name(rng: np.random.Generator, *, tone: float, age: float) -> str:
    if rng.random() < (age - 0.45) * 1.5:
        return str(rng.choice(("grey", "white"), p=(0.6, 0.4)))
    if tone > 0.5:
        return str(rng.choice(("black", "dark brown"), p=(0.75, 0.25)))
    names = ("black", "dark brown", "brown", "light brown", "blond", "red")
    return str(rng.choice(names, p=(0.14, 0.22, 0.24, 0.16, 0.16, 0.08)))


def _hair_style(rng: np.random.Generator, *, female: bool, age: float) -> str:
    if female:
        return str(
            rng.choice(
                ("short", "parted", "bob", "long", "bun", "curly"),
                p=(0.08, 0.10, 0.26, 0.30, 0.14, 0.12),
            )
        )
    if rng.random() < 0.1 + 0.3 * age:
        return str(rng.choice(("receding", "bald"), p=(0.6, 0.4)))
    return str(
        rng.choice(("short", "crop", "parted", "curly", "long"), p=(0.36, 0.26, 0.2, 0.12, 0.06))
    )


def _cloth(rng: np.random.Generator) -> tuple[float, float, float]:
    hue, strength, light = rng.random(), rng.uniform(0.05, 0.65), rng.uniform(0.12, 0.9)
    return _hsv(hue, strength, light)


def _backdrop(rng: np.random.Generator) -> tuple[str, tuple]:
    hue = rng.random()
    first = _hsv(hue, rng.uniform(0.05, 0.45), rng.uniform(0.25, 0.85))
    second = _hsv(hue + rng.uniform(-0.15, 0.15), rng.uniform(0.05, 0.5), rng.uniform(0.15, 0.9))
    return str(rng.choice(BACKDROPS)), (first, second)


def _light(rng: np.random.Generator) -> tuple[tuple, tuple, tuple, float]:
    side = rng.uniform(-1.1, 1.1)
    height = rng.uniform(0.25, 0.85)
    key = np.array([np.sin(side) * np.cos(height), np.sin(height), np.cos(side) * np.cos(height)])
    warm = rng.uniform(-1, 1)
    strength = rng.uniform(0.65, 1.15)
    key_colour = strength * (1 + 0.10 * warm * np.array([1.0, 0.1, -1.0]))
    fill_colour = rng.uniform(0.45, 0.75) * (1 - 0.08 * warm * np.array([1.0, 0.0, -1.0]))
    return _triple(key), _triple(key_colour), _triple(fill_colour), float(rng.uniform(0.86, 1.04))


def _hsv(hue: float, strength: float, light: float) -> tuple[float, float, float]:
    wheel = np.abs(((hue * 6 + np.array([0.0, 4.0, 2.0])) % 6) - 3) - 1
    return _triple(255 * light * (1 - strength + strength * np.clip(wheel, 0, 1)))


def _jitter(rng: np.random.Generator, srgb: object, spread: float) -> tuple[float, float, float]:
    values = np.asarray(srgb, dtype=np.float64)
    common = 1 + spread * np.clip(rng.standard_normal(), -2, 2)
    each = 1 + 0.3 * spread * np.clip(rng.standard_normal(3), -2, 2)
    return _triple(np.clip(values * common * each, 3, 252))


def _triple(values: object) -> tuple[float, float, float]:
    first, second, third = np.asarray(values, dtype=np.float64)
    return float(first), float(second), float(third)
