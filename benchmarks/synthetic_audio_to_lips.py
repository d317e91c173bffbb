"""Does the synthetic corpus test phonetic context? Ridge from mel windows to the lip opening.

If the sound around a frame told everything about the lips, a method that looks at more context
(CALS) could not show what it gains. So the opening of the lips is predicted linearly from 0.2 s
and from 1.2 s of sound around the frame, on sentences that were not fitted on: the short window
must explain much of the variance and the long one clearly more.

Speech and articulation only; nothing is drawn.
"""

import argparse
import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.fft import dct

from talkjax.data.schema import FPS, SAMPLE_RATE_HZ
from talkjax.errors import UserError
from talkjax.evals.intervals import (
    ClipPairs,
    Interval,
    explained_interval,
    paired_explained_difference,
)
from talkjax.ops.mel import MEL_BINS, log_mel, mel_windows

# 0.2 s is what SyncTalkFace sees of the sound, 1.2 s what CALS found useful.
WINDOWS_S = (0.2, 0.4, 0.8, 1.2)
SILENCE_S = 0.3
PENALTIES = (1e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0, 3.0)
# Of the 80 mel bins, and of 80 frames a second.
CEPSTRA, CONDENSED_HZ = 20, 40
MANNER_RANGE = (0.75, 1.25)
JUDGED = ("r2", "unseen_voices", "r2_with_silence")
DEFINITIONS = {
    "r2": "1 - squared error / variance of the opening, over the frames between the first and "
    "the last phone of all test clips",
    "r2_with_silence": "the same over all frames, 0.3 s of silence at both ends included: silence "
    "is easy",
    "unseen_voices": "test sentences spoken by voices that were not fitted on",
    "gain": "r2 of the longest window less that of the shortest",
    "interval95": "2.5 to 97.5 percentile over 2000 redraws of the test clips, the maps kept; of "
    "the gain: the same clips drawn for both windows",
    "ridge": "on 20 cosine coefficients of the log-mel spectrum, 40 times a second, standardised: "
    "linear in the mel window; the penalty is chosen on sentences of the validation split",
}


@dataclasses.dataclass(frozen=True)
class Spoken:
    """A sentence as the corpus would say it.

    Attributes:
      sound: (s, CEPSTRA) at CONDENSED_HZ, linear in the log-mel.
      opening: (t,) of the lips at 25 fps.
      speaking: (t,) whether the frame is between the first and the last phone.
    """

    sound: np.ndarray
    opening: np.ndarray
    speaking: np.ndarray


@dataclasses.dataclass(frozen=True)
class Fit:
    """The best map from one length of window.

    Attributes:
      pairs: of each clip (said, true) opening, by JUDGED and "r2_of_the_fit".
      penalty: of the ridge.
    """

    pairs: dict[str, list[ClipPairs]]
    penalty: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--sentences", type=int, default=600, help="fitted on; tests have a sixth (default: 600)"
    )
    parser.add_argument("--voices", type=int, default=12, help="fitted on; half as many unseen")
    parser.add_argument(
        "--command-fraction", type=float, default=0.4, help="rest: free sentences (default: 0.4)"
    )
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Says the sentences and fits the maps; see the module's head."""
    if args.sentences < 24 or args.voices < 2:
        raise UserError("bench synthetic_lips: want at least 24 sentences and 2 voices")
    parts = corpus(args)
    fits = {f"{seconds} s": _fit(parts, seconds=seconds) for seconds in WINDOWS_S}
    shortest, longest = (fits[f"{seconds} s"].pairs for seconds in (WINDOWS_S[0], WINDOWS_S[-1]))
    gains = {
        key: paired_explained_difference(longest[key], shortest[key], seed=args.seed)
        for key in JUDGED
    }
    return {
        "definitions": DEFINITIONS,
        "seed": args.seed,
        "voices": {"fitted": args.voices, "unseen": args.voices // 2},
        "command_fraction": args.command_fraction,
        "clips": {name: len(clips) for name, clips in parts.items()},
        "seconds": {
            name: round(sum(len(clip.opening) for clip in clips) / FPS, 1)
            for name, clips in parts.items()
        },
        "windows": {name: _row(fit, seed=args.seed) for name, fit in fits.items()},
        "gain": _with_intervals(gains),
    }


def corpus(args: argparse.Namespace) -> dict[str, list[Spoken]]:
    """Clips to fit on, to choose the penalty on, and to test on with old and new voices.

    Sentences of the corpus's own splits: what is tested was never fitted on.
    """
    from data_prep.synthetic.seeds import generator
    from data_prep.synthetic.text import sample_sentence
    from data_prep.synthetic.voices import sample_voice

    def clip(split: str, number: int, voice: int) -> Spoken:
        rng = generator(args.seed, "bench", split, number)
        kind = "command" if rng.random() < args.command_fraction else "free"
        text = sample_sentence(rng, kind=kind, language="en", split=split).text
        speaker = sample_voice(generator(args.seed, "bench voice", voice), language="en")
        return spoken(text, speaker, manner=float(rng.uniform(*MANNER_RANGE)))

    tested = args.sentences // 6
    return {
        "fit": [clip("train", i, i % args.voices) for i in range(args.sentences)],
        "choose": [clip("val", i, i % args.voices) for i in range(tested)],
        "test": [clip("test", i, i % args.voices) for i in range(tested)],
        "unseen_voices": [
            clip("test", i, args.voices + i % (args.voices // 2)) for i in range(tested)
        ],
    }


def spoken(text: str, voice, *, manner: float) -> Spoken:
    """A sentence with silence around it."""
    from data_prep.synthetic.articulation import ARTICULATORS, articulate, at_frames
    from data_prep.synthetic.phones import PAUSE
    from data_prep.synthetic.speech import speak

    speech = speak(text, voice)
    silence = np.zeros(round(SILENCE_S * SAMPLE_RATE_HZ), np.float32)
    audio = np.concatenate([silence, speech.audio, silence])
    phones = [
        dataclasses.replace(p, start_s=p.start_s + SILENCE_S, end_s=p.end_s + SILENCE_S)
        for p in speech.phones
        if p.label != PAUSE
    ]
    seconds = len(audio) / SAMPLE_RATE_HZ
    num_frames = int(seconds * FPS)
    middle_s = (np.arange(num_frames) + 0.5) / FPS
    track = articulate(phones, seconds=seconds, manner=manner)
    return Spoken(
        _condensed(log_mel(audio)),
        at_frames(track, num_frames)[:, ARTICULATORS.index("opening")].astype(np.float64),
        (middle_s > phones[0].start_s) & (middle_s < phones[-1].end_s),
    )


def _condensed(mel: np.ndarray) -> np.ndarray:
    """(s, 80) at 80 Hz to (s // 2, CEPSTRA) at 40 Hz: linear, and smooth along both axes."""
    pairs = mel[: len(mel) // 2 * 2].reshape(-1, 2, MEL_BINS).mean(axis=1)
    return dct(pairs, axis=1, norm="ortho")[:, :CEPSTRA]


def _fit(parts: dict[str, list[Spoken]], *, seconds: float) -> Fit:
    """The map from windows of this length, and what it says of every clip."""
    fitted, chosen = parts["fit"], parts["choose"]
    lips = np.concatenate([clip.opening for clip in fitted])
    maps = _ridges(_features(fitted, seconds), lips)
    heard, wanted = _features(chosen, seconds), np.concatenate([clip.opening for clip in chosen])
    errors = [np.square(_apply(ridge, heard) - wanted).mean() for ridge in maps]
    best = int(np.argmin(errors))

    def pairs(name: str, *, silence: bool = False) -> list[ClipPairs]:
        return [
            _pair(clip, _apply(maps[best], _features([clip], seconds)), silence=silence)
            for clip in parts[name]
        ]

    judged = {
        "r2": pairs("test"),
        "unseen_voices": pairs("unseen_voices"),
        "r2_with_silence": pairs("test", silence=True),
        "r2_of_the_fit": pairs("fit"),
    }
    return Fit(judged, PENALTIES[best])


def _pair(clip: Spoken, guess: np.ndarray, *, silence: bool) -> ClipPairs:
    where = np.ones_like(clip.speaking) if silence else clip.speaking
    return [(guess[where], clip.opening[where])]


def _row(fit: Fit, *, seed: int) -> dict[str, Any]:
    found = {key: explained_interval(pairs, seed=seed) for key, pairs in fit.pairs.items()}
    return _with_intervals(found) | {"penalty": fit.penalty}


def _with_intervals(found: dict[str, Interval]) -> dict[str, Any]:
    """The values by name, and the intervals of JUDGED."""
    values = {key: round(interval.mean, 4) for key, interval in found.items()}
    spans = {key: [round(found[key].low, 4), round(found[key].high, 4)] for key in JUDGED}
    return values | {"interval95": spans}


def _features(clips: Sequence[Spoken], seconds: float) -> np.ndarray:
    """Windows of sound centred on the middle of each frame, flat."""
    length = round(seconds * CONDENSED_HZ)
    rows = []
    for clip in clips:
        middle_s = (np.arange(len(clip.opening)) + 0.5) / FPS
        # The middle one of length + 1 condensed frames is that of the video frame's middle.
        first = np.floor(middle_s * CONDENSED_HZ).astype(int) - length // 2
        windows = mel_windows(clip.sound, first, mel_frames=length + 1)
        rows.append(windows.reshape(len(windows), -1))
    return np.concatenate(rows).astype(np.float64)


def _ridges(sound: np.ndarray, lips: np.ndarray) -> list[tuple[np.ndarray, ...]]:
    """(mean, scale, weights, bias) for each of PENALTIES, from one eigendecomposition."""
    mean, scale, bias = sound.mean(axis=0), sound.std(axis=0) + 1e-3, lips.mean()
    whitened = (sound - mean) / scale
    values, vectors = np.linalg.eigh(whitened.T @ whitened / len(lips))
    moment = vectors.T @ (whitened.T @ (lips - bias)) / len(lips)
    return [(mean, scale, vectors @ (moment / (values + p)), bias) for p in PENALTIES]


def _apply(ridge: tuple[np.ndarray, ...], sound: np.ndarray) -> np.ndarray:
    mean, scale, weights, bias = ridge
    return (sound - mean) / scale @ weights + bias
