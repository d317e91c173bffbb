"""Speech: the same in every process, and phones where the sound has them."""

import ctypes
import dataclasses
import hashlib
import itertools
import os
import subprocess
import sys

import numpy as np
import pytest
from scipy.signal import butter, sosfiltfilt

from data_prep.synthetic import espeak
from data_prep.synthetic.phones import PAUSE, PHONES
from data_prep.synthetic.seeds import generator
from data_prep.synthetic.sentences import SENTENCES
from data_prep.synthetic.speech import SAMPLE_RATE_HZ, speak
from data_prep.synthetic.voices import ACCENTS, LANGUAGES, sample_voice, variant_lines
from talkjax.errors import UserError

TEXT = "My mother bought three apples, and she laughed! Did she?"


def voice(seed=0, language="en", **changes):
    return dataclasses.replace(sample_voice(generator(seed, "voice"), language=language), **changes)


def digest(speech):
    told = repr((speech.phones, speech.words)).encode()
    return hashlib.sha256(speech.audio.tobytes() + told).hexdigest()


@pytest.fixture(scope="module")
def spoken():
    """Sentences of every language, each in another voice."""
    return [
        speak(text, voice(seed, language))
        for language in LANGUAGES
        for seed, text in enumerate(SENTENCES[language][:5])
    ]


def level_db(audio, low_hz, high_hz):
    band = butter(4, (low_hz, high_hz), btype="bandpass", fs=SAMPLE_RATE_HZ, output="sos")
    window = np.hanning(82) / np.hanning(82).sum()
    return 10 * np.log10(np.convolve(sosfiltfilt(band, audio) ** 2, window, mode="same") + 1e-9)


def of_phones(spoken, labels, measure):
    """`measure(speech)` (a value per sample) at each of the phones named."""
    found = []
    for speech in spoken:
        values = measure(speech)
        for phone in speech.phones:
            if phone.label in labels:
                first, last = (round(t * SAMPLE_RATE_HZ) for t in (phone.start_s, phone.end_s))
                found.append(values[first:last])
    assert len(found) > 20
    return found


def test_speech_is_the_same_after_other_speech():
    wanted = digest(speak(TEXT, voice()))
    for language in ("de", "pl", "en"):
        speak(SENTENCES[language][0], voice(5, language))
    assert digest(speak(TEXT, voice())) == wanted


def test_speech_is_the_same_in_another_process():
    code = (
        "from data_prep.synthetic.speech import speak\n"
        "from data_prep.synthetic.voices import sample_voice\n"
        "from data_prep.synthetic.seeds import generator\n"
        "import hashlib\n"
        f"s = speak({TEXT!r}, sample_voice(generator(0, 'voice'), language='en'))\n"
        "told = repr((s.phones, s.words)).encode()\n"
        "print(hashlib.sha256(s.audio.tobytes() + told).hexdigest())\n"
    )
    got = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert got.stdout.strip() == digest(speak(TEXT, voice()))


def test_the_engine_alone_remembers_what_it_said():
    # Why the library is loaded afresh: without it, the same sentence differs.
    library = ctypes.CDLL(espeak._locate()[0])
    try:
        data = os.fsencode(espeak._locate()[1])
        assert library.espeak_Initialize(2, 0, data, 0x8003) == espeak.RATE_HZ
        twice = []
        for _ in range(2):
            library.espeak_ng_SetRandSeed(ctypes.c_long(1))
            assert library.espeak_SetVoiceByName(b"en-us") == 0
            twice.append(espeak._collect(library, TEXT).samples)
        library.espeak_Terminate()
        assert not np.array_equal(*twice)
        with pytest.raises(RuntimeError, match="other code of this process"):
            speak(TEXT, voice())
    finally:
        from _ctypes import dlclose

        dlclose(library._handle)


def test_phones_cover_the_sound_without_a_gap(spoken):
    for speech in spoken:
        assert speech.phones[0].start_s == 0
        assert abs(speech.phones[-1].end_s - len(speech.audio) / SAMPLE_RATE_HZ) < 1 / 16000
        for one, after in itertools.pairwise(speech.phones):
            assert one.end_s == after.start_s > one.start_s
            assert not one.label == after.label == PAUSE
        assert np.abs(speech.audio).max() <= 1


def test_only_what_can_carry_a_syllable_is_stressed(spoken):
    stressed = [phone for speech in spoken for phone in speech.phones if phone.stress]
    assert len(stressed) > 100
    assert all(PHONES[phone.label].syllabic for phone in stressed)


def test_a_plosive_holds_its_silence(spoken):
    def level(speech):
        every = level_db(speech.audio, 80, 7800)
        return every - np.percentile(every, 80)

    quietest = [part.min() for part in of_phones(spoken, "ptk", level)]
    assert np.mean(np.array(quietest) < -40) > 0.97
    vowels = [label for label, made in PHONES.items() if made.manner == "vowel"]
    loud = [np.median(part) for part in of_phones(spoken, vowels, level)]
    assert np.mean(np.array(loud) > -20) > 0.97


def test_a_sibilant_is_high_and_a_nasal_is_low(spoken):
    def brightness(speech):
        return level_db(speech.audio, 4000, 7800) - level_db(speech.audio, 100, 1000)

    hissing = [np.median(part) for part in of_phones(spoken, "sʃɕ", brightness)]
    assert np.mean(np.array(hissing) > 5) > 0.97
    murmuring = [np.median(part) for part in of_phones(spoken, "mnŋ", brightness)]
    assert np.mean(np.array(murmuring) < -15) > 0.97


@pytest.mark.parametrize("sort", ["sibilant", "closure", "vowel"])
def test_no_shift_fits_the_sound_better_than_none(spoken, sort):
    chosen = {
        "sibilant": lambda label: label in "sʃɕ",
        "closure": lambda label: label in "ptk",
        "vowel": lambda label: PHONES[label].manner == "vowel",
    }[sort]
    shifts_ms = np.arange(-60, 61, 5)
    fits = []
    for speech in spoken:
        level = np.maximum(level_db(speech.audio, 80, 7800), -60)
        bright = level_db(speech.audio, 4000, 7800) - level_db(speech.audio, 100, 1000)
        # At 1 kHz.
        measured = {"sibilant": bright, "closure": -level, "vowel": level}[sort][::16]
        inside = np.zeros(len(level))
        for phone in speech.phones:
            first, last = (round(t * SAMPLE_RATE_HZ) for t in (phone.start_s, phone.end_s))
            inside[first:last] = chosen(phone.label)
        inside = inside[::16]
        if 0 < inside.mean() < 1:
            fits.append(
                [np.corrcoef(np.roll(inside, shift), measured)[0, 1] for shift in shifts_ms]
            )
    assert abs(shifts_ms[np.mean(fits, axis=0).argmax()]) <= 5


def test_a_bilabial_between_vowels_is_where_the_murmur_is():
    # The vowel of "ma" must begin where the murmur ends, not at espeak's late mark.
    speech = speak("amamama.", voice(accent="en-us", rate_wpm=160))
    middle = level_db(speech.audio, 500, 3500)
    for one, after in itertools.pairwise(speech.phones):
        if one.label == "m" and PHONES[after.label].manner == "vowel":
            first, end, last = (
                round(t * SAMPLE_RATE_HZ) for t in (one.start_s, one.end_s, after.end_s)
            )
            inside, outside = middle[first:end], middle[end:last]
            assert np.median(inside) < np.median(outside) - 5
            assert np.max(inside) < np.max(outside)


def test_words_have_the_times_of_their_phones():
    speech = speak("Bin blue at L nine, don't stop.", voice(accent="en-us"))
    assert [word for _, _, word in speech.words] == [
        "Bin",
        "blue",
        "at",
        "L",
        "nine",
        "don't",
        "stop",
    ]
    starts = {phone.start_s for phone in speech.phones}
    ends = {phone.end_s for phone in speech.phones}
    for start_s, end_s, _ in speech.words:
        assert start_s in starts and end_s in ends and start_s < end_s
    for (_, end_s, _), (start_s, _, _) in itertools.pairwise(speech.words):
        assert end_s <= start_s
    pauses = [p for p in speech.phones if p.label == PAUSE and p.end_s < speech.phones[-1].end_s]
    comma = speech.words[4][1]
    assert comma in {pause.start_s for pause in pauses}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_built_in_sentence_can_be_spoken(language):
    for index, text in enumerate(SENTENCES[language]):
        accent = ACCENTS[language][index % len(ACCENTS[language])]
        speech = speak(text, voice(index, language, accent=accent))
        assert len(speech.words) >= len(text.split()) - 3
        assert speech.audio.std() > 0.02


def test_voices_differ_and_keep_to_their_pitch():
    voices = [voice(seed) for seed in range(40)]
    assert len({variant_lines(one) for one in voices}) == 40
    assert {one.sex for one in voices} == {"male", "female"}
    for one in voices[:6]:
        speech = speak("Nine men are in a new yellow room", one)
        spectrum = np.abs(np.fft.rfft(speech.audio * np.hanning(len(speech.audio)), 1 << 17)) ** 2
        power = np.fft.irfft(spectrum)
        lags = np.arange(16000 // 400, 16000 // 60)
        pitch_hz = SAMPLE_RATE_HZ / lags[power[lags].argmax()]
        assert 0.9 * one.pitch_low_hz < pitch_hz < 1.1 * one.pitch_high_hz


def test_without_espeak_the_error_tells_how_to_install_it(monkeypatch):
    monkeypatch.setattr(espeak.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install 'espeakng-loader") as caught:
        speak(TEXT, voice())
    assert "\n" not in str(caught.value)


def test_bad_requests_are_named():
    with pytest.raises(UserError, match="no 'qq'"):
        speak(TEXT, voice(accent="qq"))
    with pytest.raises(UserError, match="want one of en"):
        voice(language="qq")
    with pytest.raises(UserError, match="speaks nothing"):
        speak(" ...", voice())
    assert next(iter(speak("Oh", voice()).phones)).label != PAUSE
