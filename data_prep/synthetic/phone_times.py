"""From espeak's events to phones and words that follow each other without a gap.

espeak marks a consonant where its sound begins: for a plosive at the burst, so that the closure,
in which the lips of a `p` are shut, would count as the end of the phone before. The closure is
silence, of which every sample is exactly zero (no voice here has an echo), and is found by that.
Source: espeak-ng 1.52.0, src/libespeak-ng/synthesize.c, `Generate` (DoPause before the marker).
"""

import dataclasses
import itertools

import numpy as np
from jaxtyping import Int16
from scipy.signal import butter, sosfiltfilt

from data_prep.synthetic.espeak import RATE_HZ, Event, Utterance
from data_prep.synthetic.phones import PAUSE, PHONES, Phone, split_label

SHORTEST_PAUSE_S = 0.07
"""A silence within speech that is shorter is no rest: it belongs to the consonant after it, or
is the glottal stop before a vowel."""

GLOTTAL_STOP = "ʔ"

_PUNCTUATION = " \t\n.,;:!?¡¿\"'()-–—…«»„“”"

# A sound may cross zero for a few samples; a closure is longer.
_SHORTEST_SILENCE_SAMPLES = round(0.004 * RATE_HZ)
_SHORTEST_GLOTTAL_STOP_SAMPLES = round(0.015 * RATE_HZ)
_SONORANTS = ("nasal", "approximant", "lateral", "tap", "trill")
_SPEECH_BAND = butter(2, (500, 3500), btype="bandpass", fs=RATE_HZ, output="sos")
# About one period of a deep voice, so that the level does not follow single periods.
_LEVEL_WINDOW_SAMPLES = round(0.012 * RATE_HZ)
# A nasal or liquid keeps at least this share of the time up to the mark of its vowel.
_SMALLEST_SHARE = 0.2
_SHORTEST_SOUND_SAMPLES = round(0.008 * RATE_HZ)
_CODA_SHARE = 0.35
# The share of a label's time that its first phone takes. A diphthong's glide is rather less than
# half of it (Gay 1968, J. Acoust. Soc. Am. 44, 1570); the same is taken for a vowel with r or l.
_FIRST_SHARE_VOWEL = 0.6
_FIRST_SHARE_OTHER = 0.45


@dataclasses.dataclass(frozen=True)
class _Sound:
    """A label of espeak's from its first sample on; `mark` is where espeak says it begins.

    `word` is the place of its word in the list of word events; -1 before the first.
    """

    label: str
    start: int
    mark: int
    word: int


def phones_and_words(
    utterance: Utterance, text: str
) -> tuple[tuple[Phone, ...], tuple[tuple[float, float, str], ...]]:
    """Phones that cover the whole utterance, and (start_s, end_s, word) of its words.

    A word's times are those of its phones. Words that espeak speaks as one (its dictionaries
    hold some phrases) are one here, with the space between them.

    Raises:
        UserError: a label is not in the inventory.
    """
    sounds = _without_short_pauses(_sounds(utterance), total=len(utterance.samples))
    sounds = _with_room(sounds, total=len(utterance.samples))
    ends = [sound.start for sound in sounds[1:]] + [len(utterance.samples)]
    phones: list[Phone] = []
    spans: dict[int, tuple[float, float]] = {}
    for sound, end in zip(sounds, ends, strict=True):
        parts = _split(sound, end)
        phones.extend(parts)
        if sound.label != PAUSE and sound.word >= 0:
            first_s, _ = spans.get(sound.word, (parts[0].start_s, 0.0))
            spans[sound.word] = (first_s, parts[-1].end_s)
    texts = _word_texts(utterance.events, text)
    return tuple(phones), tuple((*span, texts[i]) for i, span in sorted(spans.items()))


def _word_texts(events: tuple[Event, ...], text: str) -> list[str]:
    """The text of each word event: up to the next one, without the punctuation around it.

    espeak's own length of a word leaves out what follows an apostrophe.
    """
    starts = [event.text_start for event in events if event.phone is None]
    return [
        text[first:last].strip(_PUNCTUATION)
        for first, last in itertools.pairwise([*starts, len(text)])
    ]


def _sounds(utterance: Utterance) -> list[_Sound]:
    """Sounds and pauses by their first samples; the first begins at 0."""
    silent = utterance.samples == 0
    found: list[_Sound] = []
    word = -1
    word_mark: int | None = None
    for event in utterance.events:
        if event.phone is None:
            word += 1
            word_mark = event.sample
        elif event.phone == "":
            # Some of espeak's glides have no label either: a pause is what is silent.
            if silent[event.sample : event.sample + _SHORTEST_SILENCE_SAMPLES].all():
                found.append(_Sound(PAUSE, event.sample, event.sample, word))
        elif not event.phone.startswith("("):  # "(en)" tells of a change of language
            place = _Place(event.sample, word, word_mark, found[-1] if found else None)
            found.extend(_placed(event.phone, place, utterance.samples))
            word_mark = None
    if found[0].start > 0:
        found.insert(0, _Sound(PAUSE, 0, 0, -1))
    return found


@dataclasses.dataclass(frozen=True)
class _Place:
    """What is known of a sound before its start is: espeak's mark, its word, what was before.

    `word_mark` is where its word begins if it is the first sound in it, else None.
    """

    mark: int
    word: int
    word_mark: int | None
    previous: _Sound | None

    @property
    def after_pause(self) -> bool:
        return self.previous is None or self.previous.label == PAUSE


def _placed(label: str, place: _Place, samples: Int16[np.ndarray, " n"]) -> list[_Sound]:
    """The sound with its true start, after a glottal stop where there is one."""
    mark, word, previous = place.mark, place.word, place.previous
    earliest = previous.mark if previous is not None else 0
    sounding = np.flatnonzero(samples[earliest:mark])
    quiet = earliest + int(sounding[-1]) + 1 if sounding.size else earliest
    silence_before = mark - quiet >= _SHORTEST_SILENCE_SAMPLES
    start = mark if place.word_mark is None else place.word_mark
    if _manner(label) != "vowel":
        # After a pause, a word's mark tells where the pause ends and the first closure begins.
        if silence_before and not place.after_pause:
            start = quiet
    elif silence_before:
        start = mark
        if not place.after_pause and mark - quiet >= _SHORTEST_GLOTTAL_STOP_SAMPLES:
            return [_Sound(GLOTTAL_STOP, quiet, quiet, word), _Sound(label, mark, mark, word)]
    elif previous is not None and _manner(previous.label) in _SONORANTS:
        start = _opening(samples, previous.mark, mark)
    return [_Sound(label, start, mark, word)]


def _manner(label: str) -> str:
    return "pause" if label == PAUSE else PHONES[split_label(label)[0][0]].manner


def _opening(samples: Int16[np.ndarray, " n"], first: int, last: int) -> int:
    """Where a nasal or liquid gives way to its vowel, between their marks.

    espeak marks such a vowel where the transition into it is over. In a murmur the band from
    0.5 to 3.5 kHz is weak: the phones part where its level is halfway, in dB, up to the vowel's.
    """
    margin = 2 * _LEVEL_WINDOW_SAMPLES
    offset = max(0, first - margin)
    band = sosfiltfilt(_SPEECH_BAND, samples[offset : last + margin].astype(np.float64))
    window = np.hanning(_LEVEL_WINDOW_SAMPLES + 2)
    power = np.convolve(band**2, window / window.sum(), mode="same")
    level_db = 10 * np.log10(power[first - offset : last - offset + 1] + 1.0)
    halfway = (level_db.min() + level_db[-1]) / 2
    below = np.flatnonzero(level_db < halfway)
    share = (below[-1] + 1) / len(level_db) if below.size else 0.0
    return first + round(max(share, _SMALLEST_SHARE) * (last - first))


def _without_short_pauses(sounds: list[_Sound], *, total: int) -> list[_Sound]:
    """Pauses merged; one too short to be a rest is given to the sound that follows it."""
    kept: list[_Sound] = []
    for sound in sounds:
        before = kept[-1] if kept else None
        paused = before is not None and before.label == PAUSE
        if not paused:
            kept.append(sound)
        elif sound.label != PAUSE:
            short = sound.start - before.start < SHORTEST_PAUSE_S * RATE_HZ
            if (before.start > 0 and short) or sound.start == before.start:
                kept.pop()
                kept.extend(_taking_over(before, sound))
            else:
                kept.append(sound)
    if kept[-1].label == PAUSE and kept[-1].start >= total:
        kept.pop()
    return kept


def _taking_over(pause: _Sound, sound: _Sound) -> list[_Sound]:
    """The sound with the time of a short pause before it."""
    if sound.start == pause.start:
        return [sound]
    long = sound.start - pause.start >= _SHORTEST_GLOTTAL_STOP_SAMPLES
    if long and _manner(sound.label) == "vowel":
        return [dataclasses.replace(pause, label=GLOTTAL_STOP, word=sound.word), sound]
    return [dataclasses.replace(sound, start=pause.start)]


def _with_room(sounds: list[_Sound], *, total: int) -> list[_Sound]:
    """A sound of no length gets the last part of the one before.

    espeak speaks a British `l` after a vowel within that vowel, and marks it at its end.
    """
    placed = sounds[:1]
    ends = [*(sound.start for sound in sounds[1:]), total][1:]
    for sound, end in zip(sounds[1:], ends, strict=True):
        if end - sound.start < _SHORTEST_SOUND_SAMPLES:
            taken = _CODA_SHARE * (sound.start - placed[-1].start)
            sound = dataclasses.replace(sound, start=sound.start - round(taken))
        placed.append(sound)
    return placed


def _split(sound: _Sound, end: int) -> list[Phone]:
    """The phones of one label, each with its share of the time."""
    if sound.label == PAUSE:
        return [Phone(PAUSE, sound.start / RATE_HZ, end / RATE_HZ)]
    labels, stress = split_label(sound.label)
    bounds = [sound.start, *_inner_bounds(sound, labels, end), end]
    carrier = next((i for i, label in enumerate(labels) if PHONES[label].syllabic), 0)
    return [
        Phone(label, first / RATE_HZ, last / RATE_HZ, stress if i == carrier else 0)
        for i, (label, (first, last)) in enumerate(
            zip(labels, itertools.pairwise(bounds), strict=True)
        )
    ]


def _inner_bounds(sound: _Sound, labels: tuple[str, ...], end: int) -> list[float]:
    if len(labels) == 1:
        return []
    manner = PHONES[labels[0]].manner
    if manner == "stop" and sound.mark - sound.start >= _SHORTEST_SILENCE_SAMPLES:
        # An affricate: it is a stop up to the burst.
        first = float(sound.mark)
    else:
        share = _FIRST_SHARE_VOWEL if manner == "vowel" else _FIRST_SHARE_OTHER
        first = sound.start + share * (end - sound.start)
    return list(np.linspace(first, end, len(labels))[:-1])
