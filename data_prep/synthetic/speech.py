"""Speech from text: the sound, and which phone sounds when."""

import dataclasses

import numpy as np
import soxr
from jaxtyping import Float32

from data_prep.synthetic import espeak
from data_prep.synthetic.phone_times import phones_and_words
from data_prep.synthetic.phones import Phone
from data_prep.synthetic.voices import Voice, variant_lines

SAMPLE_RATE_HZ = 16000


@dataclasses.dataclass(frozen=True)
class Speech:
    """What a voice says.

    Attributes:
        audio: 16 kHz mono in [-1, 1].
        phones: they cover the audio without gap or overlap; the last one ends with it (to
            within a sample). Silences are phones labelled `PAUSE`.
        words: (start_s, end_s, word), in order; punctuation is in no word.
    """

    audio: Float32[np.ndarray, " n"]
    phones: tuple[Phone, ...]
    words: tuple[tuple[float, float, str], ...]


def speak(text: str, voice: Voice) -> Speech:
    """The text in that voice, the same in every process and after any other text.

    Nothing is cut off: espeak's own silence after the last word is in it.

    Raises:
        UserError: espeakng-loader is not installed, espeak has no such accent, the text holds
            no word, or a phone is not in the inventory.
    """
    utterance = espeak.synthesize(
        text,
        accent=voice.accent,
        variant=variant_lines(voice),
        rate_wpm=voice.rate_wpm,
        word_gap_10ms=voice.word_gap_10ms,
    )
    phones, words = phones_and_words(utterance, text)
    samples = utterance.samples.astype(np.float32) / 32768
    audio = soxr.resample(samples, espeak.RATE_HZ, SAMPLE_RATE_HZ, quality="HQ")
    return Speech(np.clip(audio, -1, 1), phones, words)
