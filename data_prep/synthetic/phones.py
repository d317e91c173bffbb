"""The phones of the synthetic corpus and how each is made.

A phone is one posture of the mouth: a diphthong, an affricate, a vowel with its r is two of them
in a row (`aɪ` is `a` `ɪ`, `tʃ` is `t` `ʃ`), so that every label has one target. Length, stress
and tie bars are no part of a label: how long a phone lasts is in its times, its stress in
`Phone.stress`.

Source: the IPA chart (International Phonetic Association, 2020): place, manner, voicing, height,
backness and rounding of every symbol; `ᵻ` and `ᵿ` are the Oxford dictionary's near-close central
vowels.
"""

import dataclasses
import types
from collections.abc import Mapping

from talkjax.errors import UserError

PAUSE = "_"
"""The label of silence between words and sentences (a label with no space and never empty)."""

STRESS_LEVELS = (0, 1, 2)
"""0 none, 1 secondary, 2 primary; only vowels carry stress."""


@dataclasses.dataclass(frozen=True)
class Phone:
    """One phone with its times.

    Attributes:
        label: a key of `PHONES`.
        start_s, end_s: seconds from the first sample; start_s < end_s. The next phone starts
            where this one ends.
        stress: 0 none, 1 secondary, 2 primary.
    """

    label: str
    start_s: float
    end_s: float
    stress: int = 0


@dataclasses.dataclass(frozen=True)
class PhoneClass:
    """How a phone is made.

    Attributes:
        manner: "vowel", "pause", "stop", "nasal", "fricative", "approximant", "lateral", "tap"
            or "trill".
        place: "bilabial", "labiodental", "labiovelar" (lips rounded, tongue at the velum),
            "labiopalatal", "dental", "alveolar", "postalveolar", "retroflex", "alveolopalatal",
            "palatal", "velar", "uvular", "glottal"; "" for vowels and the pause.
        voiced: whether the vocal folds vibrate.
        height: vowels: 0 close (i, u) .. 1 open (a); None for the rest.
        backness: vowels: 0 front (i) .. 1 back (u); None for the rest.
        rounded: whether rounding of the lips belongs to the phone.
        nasal: whether the velum is lowered.
        syllabic: whether it can carry a syllable (vowels and n̩, m̩, l̩ ...).
    """

    manner: str
    place: str = ""
    voiced: bool = True
    height: float | None = None
    backness: float | None = None
    rounded: bool = False
    nasal: bool = False
    syllabic: bool = False


# Rows of the consonant chart: manner -> place -> (voiceless symbols, voiced symbols).
_CONSONANTS = {
    "stop": {
        "bilabial": ("p", "b"),
        "dental": ("t̪", "d̪"),
        "alveolar": ("t", "d"),
        "retroflex": ("ʈ", "ɖ"),
        "palatal": ("c", "ɟ"),
        "velar": ("k", "ɡ"),
        "uvular": ("q", "ɢ"),
        "glottal": ("ʔ", ""),
    },
    "nasal": {
        "bilabial": ("", "m"),
        "labiodental": ("", "ɱ"),
        "alveolar": ("", "n"),
        "retroflex": ("", "ɳ"),
        "palatal": ("", "ɲ"),
        "velar": ("", "ŋ"),
    },
    "fricative": {
        "bilabial": ("ɸ", "β"),
        "labiodental": ("f", "v"),
        "labiovelar": ("ʍ", ""),
        "dental": ("θ", "ð"),
        "alveolar": ("s", "z"),
        "postalveolar": ("ʃ", "ʒ"),
        "retroflex": ("ʂ", "ʐ"),
        "alveolopalatal": ("ɕ", "ʑ"),
        "palatal": ("ç", "ʝ"),
        "velar": ("x", "ɣ"),
        "uvular": ("χ", "ʁ"),
        "glottal": ("h", "ɦ"),
    },
    "approximant": {
        "labiodental": ("", "ʋ"),
        "labiovelar": ("", "w"),
        "labiopalatal": ("", "ɥ"),
        "alveolar": ("", "ɹ"),
        "palatal": ("", "j"),
        "velar": ("", "ɰ"),
    },
    "lateral": {
        "alveolar": ("", "l ɫ"),
        "retroflex": ("", "ɭ"),
        "palatal": ("", "ʎ"),
    },
    "tap": {"alveolar": ("", "ɾ"), "retroflex": ("", "ɽ")},
    "trill": {"alveolar": ("r̝̊", "r r̝"), "uvular": ("", "ʀ")},
}
_SYLLABIC = {"m̩": "m", "n̩": "n", "ŋ̩": "ŋ", "l̩": "l", "ɹ̩": "ɹ", "r̩": "r"}

# Symbol: height (0 close .. 1 open), backness (0 front .. 1 back), rounded.
_VOWELS = {
    "i": (0.0, 0.0, False),
    "y": (0.0, 0.0, True),
    "ɨ": (0.0, 0.5, False),
    "ʉ": (0.0, 0.5, True),
    "ɯ": (0.0, 1.0, False),
    "u": (0.0, 1.0, True),
    "ɪ": (0.17, 0.15, False),
    "ʏ": (0.17, 0.15, True),
    "ʊ": (0.17, 0.85, True),
    "ᵻ": (0.17, 0.5, False),
    "ᵿ": (0.17, 0.5, True),
    "e": (0.33, 0.0, False),
    "ø": (0.33, 0.0, True),
    "ɘ": (0.33, 0.5, False),
    "ɵ": (0.33, 0.5, True),
    "ɤ": (0.33, 1.0, False),
    "o": (0.33, 1.0, True),
    "ə": (0.5, 0.5, False),
    "ɚ": (0.5, 0.5, False),
    "ɛ": (0.67, 0.0, False),
    "œ": (0.67, 0.0, True),
    "ɜ": (0.67, 0.5, False),
    "ɝ": (0.67, 0.5, False),
    "ɞ": (0.67, 0.5, True),
    "ʌ": (0.67, 1.0, False),
    "ɔ": (0.67, 1.0, True),
    "æ": (0.83, 0.0, False),
    "ɐ": (0.83, 0.5, False),
    "a": (1.0, 0.25, False),
    "ɶ": (1.0, 0.0, True),
    "ɑ": (1.0, 1.0, False),
    "ɒ": (1.0, 1.0, True),
}
_NASAL_VOWELS = ("i", "u", "ɪ", "ʊ", "e", "o", "ɛ", "œ", "ɔ", "ɐ", "a", "ɑ")
_TILDE = "\N{COMBINING TILDE}"
_ROUNDED_PLACES = ("labiovelar", "labiopalatal")


def _consonants() -> dict[str, PhoneClass]:
    found = {}
    for manner, row in _CONSONANTS.items():
        for place, by_voicing in row.items():
            for voiced, symbols in enumerate(by_voicing):
                for symbol in symbols.split():
                    found[symbol] = PhoneClass(
                        manner,
                        place,
                        voiced=bool(voiced),
                        rounded=place in _ROUNDED_PLACES,
                        nasal=manner == "nasal",
                    )
    for symbol, base in _SYLLABIC.items():
        found[symbol] = dataclasses.replace(found[base], syllabic=True)
    return found


def _vowels() -> dict[str, PhoneClass]:
    found = {
        symbol: PhoneClass("vowel", height=height, backness=back, rounded=rounded, syllabic=True)
        for symbol, (height, back, rounded) in _VOWELS.items()
    }
    for symbol in _NASAL_VOWELS:
        found[symbol + _TILDE] = dataclasses.replace(found[symbol], nasal=True)
    return found


PHONES: Mapping[str, PhoneClass] = types.MappingProxyType(
    {PAUSE: PhoneClass("pause", voiced=False), **_vowels(), **_consonants()}
)
"""Every label a `Phone` may bear, in a fixed order, with its articulatory class."""


_STRESS_MARKS = {"ˈ": 2, "ˌ": 1}
# Long (some of espeak's tables write an ordinary colon), half-long, tie bars, espeak's hyphen
# after a vowel that runs into the next word.
_DROPPED = str.maketrans("", "", "ːˑ:\u0361\u035c-")
# The glide after a palatalised consonant comes as a label of its own.
_PALATALISATION = str.maketrans("ʲ", "j")
_LONGEST_LABEL = max(len(label) for label in PHONES)


def split_label(label: str) -> tuple[tuple[str, ...], int]:
    """The phones that an IPA label stands for, and its stress (0, 1 or 2).

    `ˈaɪ` is (("a", "ɪ"), 2); `tʃ` is (("t", "ʃ"), 0); `uː` is (("u",), 0). A doubled consonant
    is one phone.

    Raises:
        UserError: a part of the label is in `PHONES` under no name.
    """
    stress = _STRESS_MARKS.get(label[:1], 0)
    rest = label[1:] if stress else label
    rest = rest.translate(_DROPPED).translate(_PALATALISATION)
    parts: list[str] = []
    while rest:
        for length in range(min(_LONGEST_LABEL, len(rest)), 0, -1):
            if rest[:length] in PHONES:
                break
        else:
            raise UserError(
                f"phone label: got {label!r}, whose {rest!r} is not in data_prep.synthetic.phones;"
                " add it there with its articulatory class"
            )
        if parts[-1:] != [rest[:length]]:
            parts.append(rest[:length])
        rest = rest[length:]
    if not parts:
        raise UserError(f"phone label: got {label!r}, want the IPA of a sound")
    return tuple(parts), stress
