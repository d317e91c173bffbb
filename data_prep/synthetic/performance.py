"""What is said and done in a clip: sound, phones, lips, head, lids. Nothing is drawn here."""

import dataclasses

import numpy as np

from data_prep.synthetic import prosody, sound
from data_prep.synthetic.articulation import articulate, at_frames
from data_prep.synthetic.motion import blinks, expression, head_motion
from data_prep.synthetic.phones import PAUSE, Phone
from data_prep.synthetic.plan import ClipPlan
from data_prep.synthetic.seeds import generator
from data_prep.synthetic.speech import Speech, speak
from data_prep.synthetic.text import Sentence, sample_sentence
from data_prep.synthetic.voices import Voice, sample_voice
from talkjax.data.schema import FPS, SAMPLE_RATE_HZ


@dataclasses.dataclass(frozen=True)
class Performance:
    """One clip before it is drawn; all arrays of one value a frame have t of them.

    Attributes:
      audio_i16: (t * 640,) int16, 16 kHz mono.
      phones: on the clip's clock; pauses included, they cover all of it.
      words: (start_s, end_s, word) on the clip's clock.
      articulation: (t, 8) float32, `articulation.ARTICULATORS`.
      head_pose: (t, 6) float32: yaw, pitch, roll in radians, x, y, z in eye distances.
      blink: (t,) float32, 0 open to 1 shut.
      expression: (t, 3) float32: brows, gaze x, gaze y, each -1 to 1.
      texts: transcript, phones (labels of `phones`, space separated), language, voice,
        head_style.
    """

    audio_i16: np.ndarray
    phones: tuple[Phone, ...]
    words: tuple[tuple[float, float, str], ...]
    articulation: np.ndarray
    head_pose: np.ndarray
    blink: np.ndarray
    expression: np.ndarray
    texts: dict[str, str]

    @property
    def num_frames(self) -> int:
        return len(self.articulation)


def perform(seed: int, plan: ClipPlan) -> Performance:
    """The performance of a plan: the same for the same corpus seed and plan.

    Raises:
      UserError: if espeak-ng is not installed or does not know the language.
    """

    def draws(name: str) -> np.random.Generator:
        return generator(seed, "clip", plan.number, name)

    sentence = sentence_of(seed, plan)
    voice = sample_voice(draws("voice"), language=plan.language)
    speech = _later(speak(sentence.text, voice), plan)
    num_frames = len(speech.audio) * FPS // SAMPLE_RATE_HZ
    track = articulate(speech.phones, seconds=num_frames / FPS, manner=plan.manner)
    stressed_s = stressed_times_s(speech.phones)
    head_pose = head_motion(
        draws("head"),
        style=plan.head_style,
        num_frames=num_frames,
        energy=prosody.energy(speech.audio),
        pitch=prosody.pitch(speech.audio),
        stressed_times_s=stressed_s,
    )
    return Performance(
        audio_i16=sound.recorded(
            speech.audio, draws("noise"), peak_dbfs=plan.peak_dbfs, noise_dbfs=plan.noise_dbfs
        ),
        phones=speech.phones,
        words=speech.words,
        articulation=at_frames(track, num_frames),
        head_pose=head_pose,
        blink=blinks(draws("blinks"), num_frames=num_frames, phones=speech.phones),
        expression=expression(
            draws("expression"),
            num_frames=num_frames,
            stressed_times_s=stressed_s,
            head_pose=head_pose,
        ),
        texts={
            "transcript": sentence.text,
            "phones": " ".join(phone.label for phone in speech.phones),
            "language": plan.language,
            "voice": _described(voice),
            "head_style": plan.head_style,
        },
    )


def sentence_of(seed: int, plan: ClipPlan) -> Sentence:
    """What a clip says: a sentence of its split."""
    rng = generator(seed, "clip", plan.number, "sentence")
    return sample_sentence(rng, kind=plan.kind, language=plan.language, split=plan.clip.split)


def stressed_times_s(phones: tuple[Phone, ...]) -> np.ndarray:
    """Middle of each phone with primary stress, (l,) float64."""
    times = [(phone.start_s + phone.end_s) / 2 for phone in phones if phone.stress == 2]
    return np.array(times, dtype=np.float64)


def covering(phones: tuple[Phone, ...], seconds: float) -> tuple[Phone, ...]:
    """The phones with pauses at both ends that reach from 0 to `seconds`."""
    first, last = phones[0], phones[-1]
    if first.label == PAUSE:
        phones = (dataclasses.replace(first, start_s=0.0), *phones[1:])
    elif first.start_s > 0:
        phones = (Phone(PAUSE, 0.0, first.start_s), *phones)
    if last.label == PAUSE:
        return (*phones[:-1], dataclasses.replace(phones[-1], end_s=seconds))
    return (*phones, Phone(PAUSE, last.end_s, seconds)) if last.end_s < seconds else phones


def _later(speech: Speech, plan: ClipPlan) -> Speech:
    """The speech on the clip's clock, with the plan's silence around it."""
    offset_s = round(plan.lead_in_s * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    audio = sound.placed(speech.audio, lead_in_s=plan.lead_in_s, tail_s=plan.tail_s)
    phones = tuple(
        dataclasses.replace(p, start_s=p.start_s + offset_s, end_s=p.end_s + offset_s)
        for p in speech.phones
    )
    return Speech(
        audio=audio,
        phones=covering(phones, len(audio) / SAMPLE_RATE_HZ),
        words=tuple((a + offset_s, b + offset_s, word) for a, b, word in speech.words),
    )


def _described(voice: Voice) -> str:
    return (
        f"{voice.accent} {voice.sex}, {voice.pitch_low_hz}-{voice.pitch_high_hz} Hz, "
        f"{voice.rate_wpm} words/min"
    )
