"""Phones to articulator tracks: the dominance functions of Cohen and Massaro.

Every gesture has, for every articulator, a target and a dominance that falls off exponentially
before and after it; what is seen is the mean of all targets, weighted by their dominance:

    F(t) = sum_s D_s(t) T_s / sum_s D_s(t),    D_s(t) = strength_s exp(-|tau_s(t)| / reach)

Reaches are in seconds, not in parts of a phone, so fast speech undershoots by itself.

Source: M. M. Cohen and D. W. Massaro, "Modeling coarticulation in synthetic visual speech",
in Models and Techniques in Computer Animation (1993), with exponent c = 1.
Differs: tau is counted from the middle stretch of a long phone rather than from its centre
(else a long pause would not rest); the cusp at tau = 0 is rounded; the tracks are low-passed,
as jaw and lips have mass; and in the opening, what the lips do by themselves (to touch, to rest)
is laid over the slow curve as in Oehman's model, so that lips that must touch do (`_opening`);
and over the phones there is a slow movement of the phrase: jaw and lips open further towards its
end (`_prominence`).
"""

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy.ndimage import gaussian_filter1d

from data_prep.synthetic.gestures import ARTICULATORS, HOLD, TARGETS, Gesture, gesture, pause
from data_prep.synthetic.phones import PAUSE, Phone
from talkjax.errors import UserError

RATE_HZ = 100
SAMPLES_PER_FRAME = 4  # 100 Hz, 25 fps

# e-folding times of the dominance, before and after a gesture. Rounding starts early (Perkell
# and Matthies 1992: up to 0.3 s ahead of /u/). The opening follows vowels and jaw across
# consonants (Oehman 1966: consonants ride on a movement from vowel to vowel) and runs ahead of
# the voice (Chandrasekaran et al. 2009: by 0.1 to 0.3 s); labial consonants and pauses are short
# and exact on top (`_opening`).
REACH_BEFORE_S = dict(
    jaw=0.085, opening=0.145, width=0.1, protrusion=0.13, tuck=0.028, tongue=0.04, teeth=0.06
)
REACH_AFTER_S = dict(
    jaw=0.075, opening=0.1, width=0.08, protrusion=0.09, tuck=0.025, tongue=0.035, teeth=0.055
)
# Standard deviation of the low pass.
INERTIA_S = dict(
    jaw=0.022, opening=0.013, width=0.02, protrusion=0.022, tuck=0.01, tongue=0.012, teeth=0.015
)
JAW, OPENING = TARGETS.index("jaw"), TARGETS.index("opening")
REST = np.array(pause().targets)
CORE_MARGIN_S = 0.06
ROUNDING_S = 0.012
# A shorter gap does not bring the mouth to rest; nor does one too short to shut and open in.
WHOLE_PAUSE_S = 0.25
# Lips that touch do so for at least one frame of 25 fps, wherever the frame falls.
SHORTEST_CONTACT_S = 0.04
STOP_SHARE = 0.6
# Rise and fall of a labial gesture by the opening from which it starts; into and out of rest.
LABIAL_RAMP_S, LABIAL_RAMP_PER_OPENING_S = 0.05, 0.085
SHUTTING_S, OPENING_AHEAD_S, TOUCHING_S = 0.12, 0.14, 0.03
REST_RAMPS_S = (0.16, 0.18)
LEAST_SPEAKING, FLOOR_SOFTNESS, CEILING_SOFTNESS = 0.06, 0.12, 0.1
FULL_PRESS = 0.12
# Vowels without stress, with secondary and primary stress: de Jong 1995, stress as local
# hyperarticulation.
STRESS_GAIN = (0.78, 1.0, 1.25)
MANNER_RANGE = (0.5, 1.5)
# How far jaw and lips open far ahead of a phrase's end, and how much further at its end, in parts
# of what the phones ask for; the e-folding time of the rise; how soon it is complete.
EARLY_PROMINENCE, FINAL_PROMINENCE = 0.6, 1.0
PROMINENCE_REACH_S, PROMINENCE_COMPLETE_S = 0.3, 0.1


@dataclasses.dataclass(frozen=True)
class Placed:
    """A gesture in time; `weight` scales its strengths, `gain` its way from rest."""

    gesture: Gesture
    start_s: float
    end_s: float
    weight: float = 1.0
    gain: float = 1.0


def articulate(
    phones: Sequence[Phone], *, seconds: float, manner: float
) -> Float[np.ndarray, "samples 8"]:
    """Articulator tracks at 100 Hz; sample i is the posture at i / 100 s.

    Args:
      phones: in their order, not overlapping, inside [0, seconds]; gaps are pauses, and the clip
        starts from and ends in one. A stop's phone holds its closure as well as its burst.
      seconds: of the clip.
      manner: 1 is normal speech; less is hypo- and more is hyperarticulated, 0.5 to 1.5
        (Lindblom 1990). It scales the way from rest and, the other way, the overlap.

    Returns:
      float32, round(100 seconds) samples of ARTICULATORS: jaw, opening, protrusion, tuck,
      tongue, teeth and press in [0, 1], width in [-1, 1]. /p b m/ touch: opening is 0 and press
      above 0 for SHORTEST_CONTACT_S and more.

    Raises:
      UserError: for unknown labels, phones out of order and a manner out of its range.
    """
    if not MANNER_RANGE[0] <= manner <= MANNER_RANGE[1]:
        raise UserError(f"manner of articulation: got {manner}, want 0.5 to 1.5")
    placed = _placed(phones, seconds=seconds, manner=manner)
    times_s = np.arange(round(RATE_HZ * seconds)) / RATE_HZ
    raw = np.stack(
        [
            _blended(placed, times_s, articulator=place, reach_gain=manner**-0.5)
            for place in range(len(TARGETS))
        ],
        axis=1,
    )
    prominence = _prominence(placed, times_s)
    raw[:, JAW] = REST[JAW] + prominence * (raw[:, JAW] - REST[JAW])
    raw[:, OPENING] = _opening(placed, times_s, prominence, reach_gain=manner**-0.5)
    return _visible(raw)


def at_frames(
    track_100hz: Float[np.ndarray, "samples a"], num_frames: int
) -> Float[np.ndarray, "t a"]:
    """The track at the middle of each frame of 25 fps: 0.04 f + 0.02 s, sample 4 f + 2.

    An instant and no mean over the exposure: a closure of two or three samples would not be one.

    Raises:
      UserError: if the track is shorter than the frames.
    """
    needed = SAMPLES_PER_FRAME * num_frames
    if len(track_100hz) < needed:
        raise UserError(
            f"articulation of {num_frames} frames: got {len(track_100hz)} samples of 100 Hz, "
            f"want {needed}; articulate the whole clip"
        )
    return track_100hz[2:needed:SAMPLES_PER_FRAME]


def _placed(phones: Sequence[Phone], *, seconds: float, manner: float) -> list[Placed]:
    """All gestures in time, pauses of the gaps and beyond both ends included."""
    found: list[Placed] = []
    # The mouth is at rest before the clip and after it.
    silent_from_s = -1.0
    for phone in phones:
        if phone.label == PAUSE:
            continue
        if phone.end_s <= phone.start_s or phone.start_s < max(silent_from_s, 0.0) - 1e-6:
            raise UserError(
                f"phone {phone.label!r} at {phone.start_s} to {phone.end_s} s: want phones in "
                f"order, without overlap and with a length, after {max(silent_from_s, 0.0)} s"
            )
        found += _pause_between(silent_from_s, phone.start_s)
        found.append(_in_time(phone, manner))
        silent_from_s = phone.end_s
    if silent_from_s > seconds + 1e-3:
        raise UserError(f"phones end at {silent_from_s} s, after the clip of {seconds} s")
    return found + _pause_between(silent_from_s, seconds + 1.0)


def _pause_between(start_s: float, end_s: float) -> list[Placed]:
    length_s = end_s - start_s
    if length_s < 0.02:
        return []
    return [Placed(pause(), start_s, end_s, weight=min(1.0, (length_s / WHOLE_PAUSE_S) ** 2))]


def _in_time(phone: Phone, manner: float) -> Placed:
    posture = gesture(phone.label, phone.stress)
    stress = STRESS_GAIN[phone.stress] if posture.is_vowel else 1.0
    return Placed(posture, phone.start_s, phone.end_s, weight=stress, gain=stress * manner)


def _blended(
    placed: Sequence[Placed], times_s: np.ndarray, *, articulator: int, reach_gain: float
) -> np.ndarray:
    """Cohen and Massaro's mean of the targets of one articulator, low-passed."""
    name = TARGETS[articulator]
    total, weights = np.zeros_like(times_s), np.zeros_like(times_s)
    for item in placed:
        rest, target = REST[articulator], item.gesture.targets[articulator]
        if item.gesture.contact == "" or name != "opening":
            target = rest + item.gain * (target - rest)
        strength = item.weight * item.gesture.strengths[articulator]
        gain = reach_gain / item.gesture.agility
        before, after = REACH_BEFORE_S[name] * gain, REACH_AFTER_S[name] * gain
        dominance = strength * np.exp(-_distance(item, times_s, before, after))
        total += dominance * target
        weights += dominance
    return gaussian_filter1d(total / weights, INERTIA_S[name] * RATE_HZ, mode="nearest")


def _distance(item: Placed, times_s: np.ndarray, before_s: float, after_s: float) -> np.ndarray:
    """How far each time is from the gesture, in reaches."""
    margin_s = min(CORE_MARGIN_S, (item.end_s - item.start_s) / 2)
    early_s = np.maximum(item.start_s + margin_s - times_s, 0.0)
    late_s = np.maximum(times_s - item.end_s + margin_s, 0.0)
    rounded_s = np.hypot(early_s + late_s, ROUNDING_S) - ROUNDING_S
    return np.where(early_s > 0, rounded_s / before_s, rounded_s / after_s)


def _prominence(placed: Sequence[Placed], times_s: np.ndarray) -> np.ndarray:
    """How far jaw and lips open at each time, in parts of what the phones ask for.

    It rises exponentially to the end of each phrase, which is what lies between whole pauses:
    how near that end is can be heard in a second of sound and not in a fifth of one.

    Source: D. Erickson and S. Kawahara, "Articulatory correlates of metrical structure: studying
    jaw displacement patterns", Linguistics Vanguard 2 (2016): with the vowels' own jaw taken out,
    jaw displacement follows metrical prominence and is largest at the end of phrase and utterance
    (in English on the last strong syllable); the shape and the numbers are our own.
    """
    ends_s = _phrase_ends_s(placed)
    to_end_s = ends_s[np.searchsorted(ends_s[:-1] + WHOLE_PAUSE_S / 2, times_s)] - times_s
    ahead_s = np.maximum(to_end_s - PROMINENCE_COMPLETE_S, 0.0)
    rise = FINAL_PROMINENCE * np.exp(-ahead_s / PROMINENCE_REACH_S)
    return gaussian_filter1d(EARLY_PROMINENCE + rise, INERTIA_S["jaw"] * RATE_HZ, mode="nearest")


def _phrase_ends_s(placed: Sequence[Placed]) -> np.ndarray:
    """Where the speech before each whole pause ends; a clip without speech ends with itself."""
    spoken = [item for item in placed if not item.gesture.is_rest]
    if not spoken:
        return np.array([placed[-1].end_s])
    ends_s = [
        one.end_s
        for one, two in itertools.pairwise(spoken)
        if two.start_s - one.end_s >= WHOLE_PAUSE_S
    ]
    return np.array([*ends_s, spoken[-1].end_s])


def _opening(
    placed: Sequence[Placed], times_s: np.ndarray, prominence: np.ndarray, *, reach_gain: float
) -> np.ndarray:
    """The slow opening of jaw and vowels, with the lips' own gestures on top of it.

    Where the lips act by themselves (labial consonants) or come to rest, they go over from the
    slow curve v to their own target c and back: v + k(t) w (c - v), k from 0 to 1.

    Source: S. E. G. Oehman, "Numerical model of coarticulation" (1967); v is Cohen and Massaro's.
    """
    slow = [item for item in placed if not item.gesture.quick_lips]
    quick = [item for item in placed if item.gesture.quick_lips]
    curve = np.full_like(times_s, REST[OPENING])
    if slow:
        blended = _blended(slow, times_s, articulator=OPENING, reach_gain=reach_gain)
        # Without the lips' own doing a speaking mouth does not shut.
        curve = _softened(prominence * blended)
    # Contacts last: a pause or an /f/ beside them must not open them.
    for item in sorted(quick, key=lambda item: bool(item.gesture.contact)):
        target = item.gesture.targets[OPENING]
        curve = curve + _grip(item, quick, times_s, curve) * (target - curve)
    return curve


def _softened(curve: np.ndarray) -> np.ndarray:
    """Between a least opening and 1, without a corner."""
    above = curve - LEAST_SPEAKING
    curve = LEAST_SPEAKING + FLOOR_SOFTNESS * np.logaddexp(0, above / FLOOR_SOFTNESS)
    return 1 - CEILING_SOFTNESS * np.logaddexp(0, (1 - curve) / CEILING_SOFTNESS)


def _grip(
    item: Placed, others: Sequence[Placed], times_s: np.ndarray, curve: np.ndarray
) -> np.ndarray:
    """How much a gesture of the lips has taken over at each time, 0 to 1."""
    if item.gesture.is_rest:
        start_s, end_s = _rest_span(item, others)
        ramps_s, strength = REST_RAMPS_S, item.weight
    else:
        start_s, end_s = _labial_span(item)
        strength = item.gesture.strengths[OPENING]
        # A longer way takes longer, else an open mouth would shut faster than lips can.
        edges_s = (start_s - LABIAL_RAMP_S, end_s + LABIAL_RAMP_S)
        from_opening = np.interp(edges_s, times_s, curve)
        ramps_s = LABIAL_RAMP_S + LABIAL_RAMP_PER_OPENING_S * from_opening
    if end_s < start_s:
        return np.zeros_like(times_s)
    early_s = np.maximum(start_s - times_s, 0.0) / ramps_s[0]
    late_s = np.maximum(times_s - end_s, 0.0) / ramps_s[1]
    return strength * (0.5 + 0.5 * np.cos(np.pi * np.minimum(early_s + late_s, 1.0)))


def _labial_span(item: Placed) -> tuple[float, float]:
    """When a labial gesture is complete."""
    middle_s = (item.start_s + item.end_s) / 2
    if not item.gesture.contact:
        return middle_s, middle_s
    length_s = item.end_s - item.start_s
    if item.gesture.contact != HOLD:
        middle_s -= (1 - STOP_SHARE) / 2 * length_s
        length_s *= STOP_SHARE
    half_s = max(0.4 * length_s, SHORTEST_CONTACT_S / 2)
    return middle_s - half_s, middle_s + half_s


def _rest_span(item: Placed, others: Sequence[Placed]) -> tuple[float, float]:
    """When the mouth rests: it opens before the sound begins and shuts after it has ended.

    Between a pause and lips that touch there is no opening.
    """
    contacts = [other for other in others if other.gesture.contact]
    from_shut = any(abs(other.end_s - item.start_s) < TOUCHING_S for other in contacts)
    to_shut = any(abs(other.start_s - item.end_s) < TOUCHING_S for other in contacts)
    start_s = item.start_s + (0.0 if from_shut else SHUTTING_S)
    return start_s, item.end_s - (0.0 if to_shut else OPENING_AHEAD_S)


def _visible(raw: np.ndarray) -> np.ndarray:
    """Clips to the ranges; behind closed lips there are neither teeth nor a tongue."""
    track = dict(zip(TARGETS, raw.T, strict=True))
    opening = np.clip(track["opening"], 0.0, 1.0)
    gap = np.clip(opening / 0.12, 0.0, 1.0)
    track["press"] = np.clip((REST[OPENING] - track["opening"]) / FULL_PRESS, 0.0, 1.0)
    track["opening"] = opening
    track["teeth"] = track["teeth"] * gap
    track["tongue"] = track["tongue"] * gap
    low = dict.fromkeys(ARTICULATORS, 0.0) | {"width": -1.0}
    columns = [np.clip(track[name], low[name], 1.0) for name in ARTICULATORS]
    return np.stack(columns, axis=1).astype(np.float32)
