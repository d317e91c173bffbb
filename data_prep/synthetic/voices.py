"""Speakers: each is a handful of numbers from which espeak-ng makes its voice.

espeak's own variants are not used: there are few without an echo, and an echo fills the silence
of a plosive, by which phone times are made exact. Here a speaker has a length of vocal tract
(which scales all formants), a pitch, a tilt of the spectrum, some breath and roughness.
"""

import dataclasses

import numpy as np

from talkjax.errors import UserError

ACCENTS = {
    "en": ("en-us", "en", "en-gb-x-rp", "en-gb-scotland"),
    "de": ("de",),
    "fr": ("fr",),
    "es": ("es", "es-419"),
    "it": ("it",),
    "pl": ("pl",),
    "pt": ("pt",),
    "nl": ("nl",),
}
"""Language -> espeak's names of the accents in which it is spoken ("en" is British)."""

LANGUAGES = tuple(ACCENTS)

# espeak's own speaker is a man; a woman's formants lie 10 to 20 % higher, her pitch most of an
# octave. Source: Peterson and Barney (1952, J. Acoust. Soc. Am. 24, 175, table II): mean pitch
# 132 and 223 Hz; formants 1 to 3 higher by 15 to 20 %.
_FORMANT_SCALE = {"male": (0.92, 1.06), "female": (1.08, 1.20)}
_MEAN_PITCH_HZ = {"male": (95.0, 165.0), "female": (175.0, 265.0)}
# Measured: the median pitch of a sentence against the lower end of espeak's range.
_MEAN_TO_LOW_PITCH = 1.28
_PITCH_RANGE_OCTAVES = (0.4, 0.8)
_RATE_WPM = (125, 205)
_NUM_FORMANTS = 9


@dataclasses.dataclass(frozen=True)
class Voice:
    """One speaker and the pace at which a sentence is said.

    Attributes:
        accent: espeak's name of language and accent, one of `ACCENTS`.
        sex: "male" or "female"; it only says from which ranges the rest was drawn.
        rate_wpm: words per minute, 80 .. 449.
        word_gap_10ms: extra silence between words, in 10 ms at the usual rate.
        pitch_low_hz, pitch_high_hz: between these the melody moves.
        formant_percent: frequency of formants 0 .. 8 against espeak's own, percent.
        formant_strength_percent: their strengths.
        formant_width_percent: their widths.
        flutter: slow unsteadiness of the pitch, 0 .. 20 (a creaking old voice).
        roughness: every other period weaker, 0 .. 7.
        breath: noise at formants 1 .. 8, 0 .. 10.
        consonants_percent: strength of the noise in unvoiced and in voiced consonants.
        tone: pairs of Hz and amplitude 0 .. 255: the tilt of the voiced spectrum.
    """

    accent: str
    sex: str
    rate_wpm: int
    word_gap_10ms: int
    pitch_low_hz: int
    pitch_high_hz: int
    formant_percent: tuple[int, ...]
    formant_strength_percent: tuple[int, ...]
    formant_width_percent: tuple[int, ...]
    flutter: int
    roughness: int
    breath: tuple[int, ...]
    consonants_percent: tuple[int, int]
    tone: tuple[tuple[int, int], ...]

    @property
    def language(self) -> str:
        """The language, a key of `ACCENTS`."""
        return self.accent.split("-")[0]


def sample_voice(rng: np.random.Generator, *, language: str) -> Voice:
    """A speaker of that language, as likely a woman as a man.

    Raises:
        UserError: the language is not in `ACCENTS`.
    """
    if language not in ACCENTS:
        raise UserError(f"language: got {language!r}, want one of {', '.join(LANGUAGES)}")
    sex = ("male", "female")[int(rng.integers(2))]
    low_hz = rng.uniform(*_MEAN_PITCH_HZ[sex]) / _MEAN_TO_LOW_PITCH
    scale = rng.uniform(*_FORMANT_SCALE[sex])
    each = rng.normal(1.0, 0.02, _NUM_FORMANTS)
    brightness = rng.uniform(-1, 1)
    return Voice(
        accent=str(rng.choice(ACCENTS[language])),
        sex=sex,
        rate_wpm=int(rng.integers(*_RATE_WPM)),
        word_gap_10ms=int(rng.choice((0, 0, 0, 1))),
        pitch_low_hz=round(low_hz),
        pitch_high_hz=round(low_hz * 2 ** rng.uniform(*_PITCH_RANGE_OCTAVES)),
        formant_percent=_whole(100 * scale * each),
        formant_strength_percent=_whole(rng.uniform(78, 100, _NUM_FORMANTS)),
        formant_width_percent=_whole(rng.uniform(95, 150, _NUM_FORMANTS)),
        flutter=int(rng.integers(2, 9)),
        roughness=int(rng.integers(0, 4)),
        breath=_breath(rng, sex),
        consonants_percent=(int(rng.integers(85, 126)), int(rng.integers(85, 126))),
        tone=(
            (600, 170),
            (1200, round(120 + 20 * brightness)),
            (2000, round(90 + 30 * brightness)),
        ),
    )


def variant_lines(voice: Voice) -> str:
    """The voice as the lines of one of espeak's voice files.

    Source: espeak-ng 1.52.0, docs/voices.md.
    """
    lines = [
        f"pitch {voice.pitch_low_hz} {voice.pitch_high_hz}",
        f"flutter {voice.flutter}",
        f"roughness {voice.roughness}",
        f"consonants {voice.consonants_percent[0]} {voice.consonants_percent[1]}",
        "breath " + " ".join(map(str, voice.breath)),
        "tone " + " ".join(f"{hertz} {amplitude}" for hertz, amplitude in voice.tone),
    ]
    formants = zip(
        voice.formant_percent,
        voice.formant_strength_percent,
        voice.formant_width_percent,
        strict=True,
    )
    lines += [f"formant {i} {f} {s} {w}" for i, (f, s, w) in enumerate(formants)]
    return "\n".join(lines)


def _whole(values: np.ndarray) -> tuple[int, ...]:
    return tuple(round(float(value)) for value in values)


def _breath(rng: np.random.Generator, sex: str) -> tuple[int, ...]:
    """Noise at the formants; a woman's voice is on average breathier (Klatt and Klatt 1990)."""
    strength = rng.uniform(0, 4 if sex == "female" else 2)
    return (0, *_whole(np.full(7, strength)))
