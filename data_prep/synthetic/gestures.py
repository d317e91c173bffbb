"""What a phone asks of the visible articulators: targets, and how strongly it insists on each.

A phone that does not care about an articulator (a /k/ about the lips) has a low strength there
and takes what its neighbours bring along; that is where coarticulation comes from.

Vowels are computed from height, backness and rounding of the IPA chart, so that every vowel
has a shape; consonants come by place of articulation. The order of the shapes is that of
the phonetic descriptions (open vowels open, rounded ones narrow and protruded, sibilants with
the teeth together); the numbers are our own. Which consonants resist their neighbours follows
the degrees of articulatory constraint of Recasens, Pallares and Fontdevila (1997).
"""

import dataclasses
import functools

from data_prep.synthetic.phones import PHONES, PhoneClass
from talkjax.errors import UserError

ARTICULATORS = ("jaw", "opening", "width", "protrusion", "tuck", "tongue", "teeth", "press")
# `press` is no target: it is how far the lips would be shut if they could pass each other.
TARGETS = ARTICULATORS[:-1]
STOP, HOLD = "stop", "hold"


@dataclasses.dataclass(frozen=True)
class Gesture:
    """One target posture of a phone.

    Attributes:
      targets: of TARGETS, in the units of ARTICULATORS; `opening` may be negative where lips
        touch (the target lies beyond contact: Loefqvist and Gracco 1997).
      strengths: of TARGETS, 0 (does not care) to 1 (insists).
      contact: "" or how long the lips touch: STOP until the release, HOLD all the phone.
      agility: reaches are divided by this; lips that shut are quicker than a jaw that drops
        (Birkholz and Hoole 2012: the lower lip is the fastest of lips, corners and jaw).
      is_vowel: stress enlarges vowels.
      quick_lips: the lips act by themselves, at once; else their opening follows the jaw.
      is_rest: of a pause.
    """

    targets: tuple[float, ...]
    strengths: tuple[float, ...]
    contact: str = ""
    agility: float = 1.0
    is_vowel: bool = False
    quick_lips: bool = False
    is_rest: bool = False


RHOTIC = frozenset("ɚɝ")

# Lips that do nothing themselves open as far as the jaw does. What is seen is a mean over some
# 0.4 s, so the targets lie further apart than what is ever reached.
MEAN_JAW, OPENING_OF_MEAN_JAW, OPENING_PER_JAW = 0.3, 0.26, 2.3
ROUNDED_OPENING = -0.12

# place: {articulator: (target, strength)}; the others are LAX.
LAX = {
    "jaw": (0.2, 0.08),
    "width": (0.0, 0.05),
    "protrusion": (0.0, 0.05),
    "tuck": (0.0, 0.5),
    "tongue": (0.0, 0.3),
    "teeth": (0.3, 0.1),
}
# fmt: off
PLACES = {
    "bilabial": {"jaw": (0.14, 0.4), "opening": (-0.15, 1.0), "teeth": (0.0, 0.8)},
    "labiodental": {
        "jaw": (0.12, 0.5), "opening": (0.06, 0.9), "tuck": (1.0, 1.0),
        "teeth": (0.65, 0.8), "protrusion": (0.0, 0.3),
    },
    "dental": {
        "jaw": (0.14, 0.6), "tongue": (1.0, 1.0),
        "teeth": (0.6, 0.5),
    },
    "alveolar": {
        "jaw": (0.12, 0.6), "tongue": (0.55, 0.7),
        "teeth": (0.45, 0.3), "width": (0.1, 0.08),
    },
    "lateral": {
        "jaw": (0.22, 0.35), "tongue": (0.85, 0.8),
        "teeth": (0.35, 0.2),
    },
    "sibilant": {
        "jaw": (0.05, 0.85), "width": (0.35, 0.35),
        "teeth": (0.95, 0.8),
    },
    "postalveolar": {
        "jaw": (0.06, 0.8), "width": (-0.4, 0.5),
        "protrusion": (0.75, 0.7), "teeth": (0.85, 0.8),
    },
    "rhotic": {
        "jaw": (0.18, 0.3), "width": (-0.35, 0.35),
        "protrusion": (0.5, 0.4),
    },
    "labiovelar": {
        "jaw": (0.12, 0.4), "width": (-0.95, 0.9),
        "protrusion": (1.0, 0.9), "teeth": (0.0, 0.6),
    },
    "palatal": {
        "jaw": (0.12, 0.5), "width": (0.5, 0.35),
        "teeth": (0.5, 0.3),
    },
    "velar": {"jaw": (0.17, 0.35), },
    "glottal": {"tuck": (0.0, 0.2)},
}
# fmt: on
# The places of `PhoneClass` that look alike.
SAME_LIPS = {
    "retroflex": "alveolar",
    "alveolopalatal": "postalveolar",
    "labiopalatal": "labiovelar",
    "uvular": "velar",
}
REDUCED_STRENGTH = 0.45
AGILITY = {"bilabial": 2.5, "labiodental": 2.2, "sibilant": 1.3, "dental": 1.3}
PAUSE_AGILITY = 1.8
PAUSE_STRENGTH = 0.6


def pause() -> Gesture:
    """Silence: lips together without pressing, everything at rest."""
    rest = {"jaw": 0.03, "opening": -0.05}
    return Gesture(
        tuple(rest.get(name, 0.0) for name in TARGETS),
        (PAUSE_STRENGTH,) * len(TARGETS),
        agility=PAUSE_AGILITY,
        quick_lips=True,
        is_rest=True,
    )


@functools.cache
def gesture(label: str, stress: int = 0) -> Gesture:
    """The posture of a phone.

    Args:
      label: a key of `phones.PHONES`.
      stress: 0 to 2, of the syllable; an unstressed central vowel gives way to its neighbours.

    Raises:
      UserError: for a label that is not in the inventory; it is never taken for another one.
    """
    if label not in PHONES:
        raise UserError(f"phone {label!r}: want a key of PHONES in data_prep/synthetic/phones.py")
    kind = PHONES[label]
    if kind.manner == "pause":
        return pause()
    if kind.manner == "vowel":
        return _vowel(kind, rhotic=label in RHOTIC, reduced=kind.backness == 0.5 and not stress)
    return _consonant(kind)


def _vowel(kind: PhoneClass, *, rhotic: bool, reduced: bool) -> Gesture:
    height, back = kind.height, kind.backness
    if kind.rounded:
        shape = {
            "width": (-0.9 + 0.5 * height, 0.75),
            "protrusion": (0.95 - 0.55 * height, 0.75),
            "teeth": (0.05, 0.4),
        }
    else:
        shape = {
            "width": ((1 - back) * (0.85 - 0.55 * height) - 0.05 * back, 0.5),
            "protrusion": (0.0, 0.35),
            "teeth": (0.65 - 0.3 * height - 0.2 * back, 0.4),
        }
    shape |= {"jaw": (0.14 + 0.76 * height, 0.5), "tongue": (0.1 * (1 - back), 0.3)}
    if rhotic:
        shape |= {"protrusion": (0.4, 0.4), "width": (-0.25, 0.4)}
    if reduced:
        shape = {name: (t, REDUCED_STRENGTH * strength) for name, (t, strength) in shape.items()}
    return _gesture(shape, rounded=kind.rounded, is_vowel=True)


def _consonant(kind: PhoneClass) -> Gesture:
    place = SAME_LIPS.get(kind.place, kind.place)
    if kind.place == "alveolar" and kind.manner in ("fricative", "approximant", "lateral"):
        place = {"fricative": "sibilant", "approximant": "rhotic", "lateral": "lateral"}[
            kind.manner
        ]
    elif kind.manner == "fricative" and kind.place == "retroflex":
        place = "postalveolar"
    elif kind.manner == "lateral":
        place = "lateral"
    shape, agility = dict(PLACES[place]), AGILITY.get(place, 1.0)
    if place != "bilabial":
        return _gesture(shape, rounded=kind.rounded, agility=agility)
    if kind.manner == "fricative":  # never shut
        return _gesture(shape | {"opening": (0.05, 0.9)}, agility=agility)
    contact = STOP if kind.manner == "stop" else HOLD
    return _gesture(shape, contact=contact, agility=agility)


def _gesture(shape: dict[str, tuple[float, float]], *, rounded: bool = False, **rest) -> Gesture:
    whole = LAX | shape
    quick_lips = "opening" in whole
    if not quick_lips:
        jaw, strength = whole["jaw"]
        opening = OPENING_OF_MEAN_JAW + OPENING_PER_JAW * (jaw - MEAN_JAW)
        whole["opening"] = (opening + (ROUNDED_OPENING if rounded else 0.0), strength)
    targets, strengths = zip(*(whole[name] for name in TARGETS), strict=True)
    return Gesture(targets, strengths, quick_lips=quick_lips, **rest)
