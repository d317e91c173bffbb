"""espeak-ng through ctypes: text in, samples and timed events out.

The library keeps state from one utterance to the next (the phase of its pitch flutter, its
automatic gain, its noise generator seeded by the clock), so that a sentence would sound
different after another sentence. Here every utterance gets the library freshly loaded, its
noise seeded with a constant, and unloaded again (about a millisecond): the same text and voice
give the same samples in every process and whatever was spoken before.

espeak-ng is under the GPL-3; it is used as an installed library (`espeakng-loader`), nothing of
it is here. Source: espeak-ng 1.52.0, src/include/espeak-ng/speak_lib.h.
"""

import contextlib
import ctypes
import dataclasses
import importlib.util
import os
import pathlib
import tempfile
import threading

import numpy as np
from jaxtyping import Int16

from talkjax.errors import UserError

RATE_HZ = 22050
"""Samples per second of `Utterance.samples`, of every voice without recorded units."""

# espeak_AUDIO_OUTPUT, espeak_Initialize options, espeak_PARAMETER, espeak_Synth flags.
_OUTPUT_SYNCHRONOUS = 2
_PHONEME_EVENTS = 0x0001
_PHONEME_IPA = 0x0002
_DO_NOT_EXIT = 0x8000
_PARAMETER_RATE = 1
_PARAMETER_WORD_GAP = 7
_CHARS_UTF8 = 1
_EVENT_END_OF_LIST = 0
_EVENT_WORD = 1
_EVENT_PHONEME = 7

# What a voice is made of, within espeak's data. Words marked as English are read by its rules.
_DATA_FILES = ("phondata", "phonindex", "phontab", "intonations", "lang", "en_dict")

_NOISE_SEED = 1
_VARIANT = "talkjax"
# The library is one per process; two threads must not share a copy.
_LOCK = threading.Lock()


@dataclasses.dataclass(frozen=True)
class Event:
    """Something that begins at a sample.

    Attributes:
        sample: position in `Utterance.samples`.
        phone: espeak's IPA label with its marks of stress and length, "" for silence;
            None when this is the start of a word.
        text_start: the word's first character in the text; 0 for a phone.
    """

    sample: int
    phone: str | None
    text_start: int = 0


@dataclasses.dataclass(frozen=True)
class Utterance:
    """`samples` int16 at `RATE_HZ` and `events` in the order in which they happen."""

    samples: Int16[np.ndarray, " n"]
    events: tuple[Event, ...]


class _Identifier(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("text", ctypes.c_char_p), ("chars", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position_ms", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Identifier),
    )


_CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


def synthesize(
    text: str, *, accent: str, variant: str, rate_wpm: int, word_gap_10ms: int
) -> Utterance:
    """What espeak-ng makes of a text.

    Args:
        text: one or several sentences.
        accent: espeak's name of the language, such as "en-us".
        variant: lines of a voice file ("pitch 82 118" ...) that shape the speaker.
        rate_wpm: words per minute, 80 .. 449 (above, espeak would squeeze the finished sound).
        word_gap_10ms: pause between words, in units of 10 ms at the usual rate.

    Raises:
        UserError: espeakng-loader is not installed, or there is no such accent.
        RuntimeError: other code of this process holds the library, so that its state is unknown.
    """
    library_path, data_folder = _locate()
    with (
        _LOCK,
        _data_folder(data_folder, accent=accent, variant=variant) as folder,
        _fresh(library_path) as library,
    ):
        if (
            library.espeak_Initialize(
                _OUTPUT_SYNCHRONOUS,
                0,
                os.fsencode(folder),
                _PHONEME_EVENTS | _PHONEME_IPA | _DO_NOT_EXIT,
            )
            != RATE_HZ
        ):
            raise UserError(
                f"{folder}: espeak-ng cannot use this temporary folder (too long a path?); "
                "set TMPDIR to a shorter one"
            )
        try:
            library.espeak_ng_SetRandSeed(ctypes.c_long(_NOISE_SEED))
            if library.espeak_SetVoiceByName(f"{accent}+{_VARIANT}".encode()) != 0:
                raise UserError(f"accent: espeak-ng has no {accent!r}; want a name like 'en-us'")
            library.espeak_SetParameter(_PARAMETER_RATE, rate_wpm, 0)
            library.espeak_SetParameter(_PARAMETER_WORD_GAP, word_gap_10ms, 0)
            return _collect(library, text)
        finally:
            library.espeak_Terminate()


def _locate() -> tuple[str, str]:
    """Paths of the library and of its data."""
    if importlib.util.find_spec("espeakng_loader") is None:
        raise UserError(
            "speech needs espeak-ng, and espeakng-loader is not installed; "
            "run: python -m pip install 'espeakng-loader>=0.2.4' (the extra [synth])"
        )
    import espeakng_loader

    return str(espeakng_loader.get_library_path()), str(espeakng_loader.get_data_path())


@contextlib.contextmanager
def _data_folder(installed: str, *, accent: str, variant: str):
    """espeak's data with our variant in it: links to what the accent needs, and one file."""
    dictionary = f"{accent.split('-')[0]}_dict"
    with tempfile.TemporaryDirectory(prefix="espeak") as name:
        folder = pathlib.Path(name)
        for file in {*_DATA_FILES, dictionary}:
            os.symlink(os.path.join(installed, file), folder / file)
        variants = folder / "voices" / "!v"
        variants.mkdir(parents=True)
        (variants / _VARIANT).write_text(
            f"language variant\nname {_VARIANT}\n{variant}\n", encoding="utf-8"
        )
        yield folder


@contextlib.contextmanager
def _fresh(path: str):
    """The library as it is just after loading, unloaded at the end."""
    # Of the standard library's two ways to unload, this is the one for POSIX.
    from _ctypes import dlclose

    with contextlib.suppress(OSError):
        dlclose(ctypes.CDLL(path, mode=os.RTLD_NOW | os.RTLD_NOLOAD)._handle)
        raise RuntimeError(
            f"{path}: other code of this process has loaded it; speech would depend on what that "
            "code did, so synthesize in a process of its own"
        )
    library = ctypes.CDLL(path, mode=os.RTLD_NOW | os.RTLD_LOCAL)
    try:
        yield library
    finally:
        dlclose(library._handle)


def _collect(library: ctypes.CDLL, text: str) -> Utterance:
    chunks: list[np.ndarray] = []
    raw: list[tuple[int, int, int, bytes]] = []

    # An exception in here could not get out: nothing is decoded or judged before the end.
    @_CALLBACK
    def receive(samples, count, events):
        if count > 0:
            chunks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        index = 0
        while events[index].type != _EVENT_END_OF_LIST:
            event = events[index]
            chars = ctypes.string_at(ctypes.addressof(event.id), 8)
            raw.append((event.type, event.sample, event.text_position, chars))
            index += 1
        return 0

    library.espeak_SetSynthCallback(receive)
    encoded = text.encode()
    status = library.espeak_Synth(
        encoded, ctypes.c_size_t(len(encoded) + 1), 0, 0, 0, _CHARS_UTF8, None, None
    )
    events = [_event(*row) for row in raw if row[0] in (_EVENT_WORD, _EVENT_PHONEME)]
    if status != 0 or not any(event.phone for event in events):
        raise UserError(f"text: got {text!r}, of which espeak-ng speaks nothing; want words")
    return Utterance(np.concatenate(chunks), tuple(events))


def _event(kind: int, sample: int, text_position: int, chars: bytes) -> Event:
    if kind == _EVENT_WORD:
        # espeak counts characters from one.
        return Event(sample, None, text_position - 1)
    # A label of more than eight bytes arrives cut; the replacement sign makes it an unknown one.
    return Event(sample, chars.split(b"\0")[0].decode(errors="replace"))
