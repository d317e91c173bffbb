"""What the sound does not settle: head pose, lids, brows and gaze; prosody drives part of it.

The same words can go with a nodding or a swaying head, and a stressed syllable is nodded at more
often than not, no more: given the sound there are many right answers, and a model of the head
must not give their mean.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy.ndimage import gaussian_filter1d

from data_prep.synthetic.phones import PAUSE, Phone
from talkjax.data.schema import FPS
from talkjax.errors import UserError

STYLES = ("nod", "sway")

# (yaw, pitch, roll in radians; x, y, z in eye distances). Beyond the limits the detector of
# frontal faces would lose the face.
LIMITS = np.array([0.28, 0.22, 0.16, 0.22, 0.16, 0.16])
# Standard deviations of the slow wandering that every head has, and its time scale.
NOISE = {
    "nod": np.array([0.03, 0.012, 0.012, 0.02, 0.012, 0.012]),
    "sway": np.array([0.02, 0.012, 0.01, 0.012, 0.01, 0.012]),
}
NOISE_SMOOTHING_S = 0.35
POSTURE = np.array([0.06, 0.025, 0.02, 0.03, 0.02, 0.02])

# A head nods at most, not all, accents: Hadar, Steiner, Grant and Rose (1983) find rapid head
# movement with stress; Munhall et al. (2004) head motion that follows pitch and loudness.
NOD_CHANCE = 0.75
NOD_DEPTH_RAD = (0.05, 0.12)
NOD_DOWN_S, NOD_UP_S = (0.12, 0.2), (0.22, 0.4)
SWAY_HZ = (0.18, 0.42)
SWAY_YAW_RAD = (0.09, 0.19)
BEAT_RAD, BEAT_NEARER = 0.05, 0.05
PITCH_LIFT_RAD = 0.02

# Blinks a minute: log-normal over people, 26 on average in conversation, 17 at rest and 4.5
# when reading aloud (Bentivoglio et al. 1997); 10.5 to 32.5 is normal in conversation (Doughty
# 2001). Speakers here are between conversation and rest.
BLINKS_PER_MINUTE, BLINKS_SPREAD, BLINKS_RANGE = 20.0, 0.3, (10.5, 32.5)
# Lids shut about twice as fast as they open (VanderWerf et al. 2003).
LID_DOWN_S, LID_SHUT_S, LID_UP_S = (0.07, 0.1), (0.03, 0.05), (0.14, 0.24)
SHORTEST_GAP_S = 0.6
# Blinks wait for pauses (Nakano and Kitazawa 2010).
PAUSE_PREFERENCE = 3.0

# Looks go to the viewer and away; a saccade takes a frame (Lee, Badler and Badler 2002).
FIXATION_S = (0.5, 2.2)
VIEWER_CHANCE = 0.6
AWAY = np.array([0.45, 0.25])
TREMOR = 0.03
BROW_CHANCE = 0.35


def head_motion(
    rng: np.random.Generator,
    *,
    style: str,
    num_frames: int,
    energy: Float[np.ndarray, " t"],
    pitch: Float[np.ndarray, " t"],
    stressed_times_s: Float[np.ndarray, " l"],
) -> Float[np.ndarray, "t 6"]:
    """Head pose of a clip.

    Args:
      rng: of this clip and stream.
      style: "nod" dips on stressed syllables, "sway" turns and leans slowly to and fro.
      num_frames: of 25 fps.
      energy: loudness of each frame, 0 to 1.
      pitch: of the voice in Hz, 0 where there is none.
      stressed_times_s: middles of the stressed syllables.

    Returns:
      float32, within LIMITS: yaw (positive: to the picture's right), pitch (positive: down) and
      roll (positive: clockwise in the picture) in radians; x, y (down) and z (nearer) in eye
      distances.

    Raises:
      UserError: for an unknown style and arrays of another length.
    """
    if style not in STYLES:
        raise UserError(f"head style: got {style!r}, want one of {', '.join(STYLES)}")
    if len(energy) != num_frames or len(pitch) != num_frames:
        raise UserError(
            f"head motion of {num_frames} frames: got {len(energy)} of energy, {len(pitch)} of "
            "pitch; want one value a frame"
        )
    pose = rng.normal(0.0, POSTURE) + _smooth_noise(rng, num_frames) * NOISE[style]
    if style == "nod":
        pose += _nods(rng, num_frames, energy=energy, times_s=stressed_times_s)
    else:
        pose += _sway(rng, num_frames)
    pose += _beats(num_frames, energy=energy, pitch=pitch)
    # Saturates smoothly; a head does not hit a wall.
    return (LIMITS * np.tanh(pose / LIMITS)).astype(np.float32)


def blinks(
    rng: np.random.Generator, *, num_frames: int, phones: Sequence[Phone]
) -> Float[np.ndarray, " t"]:
    """Closure of the lids, float32: 0 open, 1 shut. Each blink is shut in at least one frame.

    Args:
      rng: of this clip and stream.
      num_frames: of 25 fps.
      phones: of the clip; in pauses a blink is PAUSE_PREFERENCE times as likely.
    """
    per_minute = np.clip(BLINKS_PER_MINUTE * np.exp(rng.normal(0.0, BLINKS_SPREAD)), *BLINKS_RANGE)
    times_s = (np.arange(num_frames) + 0.5) / FPS
    liking = np.where(_in_pause(phones, times_s), PAUSE_PREFERENCE, 1.0)
    # The gap is lost time: without this the rate would come out too low.
    rate_hz = per_minute / (60 - per_minute * SHORTEST_GAP_S)
    chances = 1 - np.exp(-rate_hz / FPS * liking / liking.mean())
    closure = np.zeros(num_frames)
    open_from_s = 0.0
    for frame in np.flatnonzero(rng.random(num_frames) < chances):
        durations = [rng.uniform(*span) for span in (LID_DOWN_S, LID_SHUT_S, LID_UP_S)]
        if times_s[frame] >= open_from_s:
            # Shut exactly at the middle of a frame, else 25 fps would miss the bottom.
            closure = np.maximum(closure, _blink(times_s - times_s[frame], *durations))
            open_from_s = times_s[frame] + SHORTEST_GAP_S
    return closure.astype(np.float32)


def expression(
    rng: np.random.Generator,
    *,
    num_frames: int,
    stressed_times_s: Sequence[float] | np.ndarray = (),
    head_pose: Float[np.ndarray, "t 6"] | None = None,
) -> Float[np.ndarray, "t 3"]:
    """Brow raise, gaze x and gaze y, float32 in [-1, 1]; x right and y down in the picture.

    Args:
      rng: of this clip and stream.
      num_frames: of 25 fps.
      stressed_times_s: some accents raise the brows (Cave et al. 1996).
      head_pose: as of `head_motion`; the eyes turn against it and stay on what they look at.
    """
    times_s = (np.arange(num_frames) + 0.5) / FPS
    brow = 0.15 * _smooth_noise(rng, num_frames)[:, 0] + rng.normal(0.0, 0.1)
    for time_s in stressed_times_s:
        raised, height = rng.random() < BROW_CHANCE, rng.uniform(0.3, 0.8)
        if raised:
            brow = brow + height * np.exp(-0.5 * ((times_s - time_s) / 0.14) ** 2)
    gaze = _gaze(rng, num_frames)
    if head_pose is not None:
        # Eyes turn by about 0.6 rad at most.
        gaze = gaze - 0.8 * head_pose[:, :2] / 0.6
    return np.clip(np.column_stack([brow, gaze]), -1.0, 1.0).astype(np.float32)


def _smooth_noise(rng: np.random.Generator, num_frames: int) -> np.ndarray:
    """(t, 6) of standard deviation 1, whatever the length of the clip."""
    sigma = NOISE_SMOOTHING_S * FPS
    margin = int(4 * sigma)
    white = rng.normal(size=(num_frames + 2 * margin, 6))
    smooth = gaussian_filter1d(white, sigma, axis=0)[margin : margin + num_frames]
    return smooth * np.sqrt(2 * sigma * np.sqrt(np.pi))


def _nods(
    rng: np.random.Generator, num_frames: int, *, energy: np.ndarray, times_s: np.ndarray
) -> np.ndarray:
    frames_s = (np.arange(num_frames) + 0.5) / FPS
    pose = np.zeros((num_frames, 6))
    eagerness = rng.uniform(0.7, 1.2)
    for time_s in times_s:
        # Every draw is made for every accent, so that one nod less moves no other.
        nods, depth = rng.random() < NOD_CHANCE, rng.uniform(*NOD_DEPTH_RAD)
        down_s, up_s, late_s = (
            rng.uniform(*NOD_DOWN_S),
            rng.uniform(*NOD_UP_S),
            rng.normal(0.0, 0.03),
        )
        if nods:
            loud = energy[np.clip(int(time_s * FPS), 0, num_frames - 1)]
            shape = _bump(frames_s - time_s - late_s, down_s, up_s)
            dip = depth * eagerness * (0.4 + 0.8 * loud) * shape
            pose[:, 1] += dip
            pose[:, 4] += 0.35 * dip
            pose[:, 5] += 0.25 * dip
    return pose


def _sway(rng: np.random.Generator, num_frames: int) -> np.ndarray:
    frames_s = (np.arange(num_frames) + 0.5) / FPS
    hz, yaw = rng.uniform(*SWAY_HZ), rng.uniform(*SWAY_YAW_RAD)
    # The pace is not quite even.
    wander = 0.35 * _smooth_noise(rng, num_frames)[:, 0]
    phase = 2 * np.pi * (hz * frames_s + rng.random()) + wander
    lean, pitch = rng.uniform(0.25, 0.5), rng.uniform(0.0, 0.03)
    turn = np.sin(phase)
    roll = lean * yaw * np.sin(phase + rng.uniform(-0.6, 0.6))
    still = np.zeros(num_frames)
    shift = 0.7 * yaw * turn
    return np.column_stack([yaw * turn, pitch * np.sin(2 * phase), roll, shift, still, still])


def _beats(num_frames: int, *, energy: np.ndarray, pitch: np.ndarray) -> np.ndarray:
    """What prosody does to every head: down and nearer when loud, up with a high voice."""
    pose = np.zeros((num_frames, 6))
    loud = gaussian_filter1d(energy.astype(np.float64), 2.0)
    pose[:, 1] += BEAT_RAD * (loud - loud.mean())
    pose[:, 5] += BEAT_NEARER * (loud - loud.mean())
    voiced = pitch > 0
    if voiced.any():
        height = np.where(voiced, np.log2(np.maximum(pitch, 1.0) / np.median(pitch[voiced])), 0.0)
        lift = gaussian_filter1d(np.clip(height, -0.7, 0.7), 3.0)
        pose[:, 1] -= PITCH_LIFT_RAD * 2 * lift
        pose[:, 4] -= 0.02 * lift
    return pose


def _bump(times_s: np.ndarray, down_s: float, up_s: float) -> np.ndarray:
    """0 to 1 in `down_s` before time 0, back in `up_s` after it, raised cosine."""
    place = np.where(times_s < 0, times_s / down_s, times_s / up_s)
    return np.where(np.abs(place) < 1, 0.5 + 0.5 * np.cos(np.pi * place), 0.0)


def _blink(times_s: np.ndarray, down_s: float, shut_s: float, up_s: float) -> np.ndarray:
    outside_s = np.sign(times_s) * np.maximum(np.abs(times_s) - shut_s / 2, 0.0)
    return _bump(outside_s, down_s, up_s)


def _in_pause(phones: Sequence[Phone], times_s: np.ndarray) -> np.ndarray:
    silent = np.ones(len(times_s), dtype=bool)
    for phone in phones:
        if phone.label != PAUSE:
            silent &= (times_s < phone.start_s) | (times_s >= phone.end_s)
    return silent


def _gaze(rng: np.random.Generator, num_frames: int) -> np.ndarray:
    """(t, 2): fixations and jumps between them."""
    gaze, first = np.zeros((num_frames, 2)), 0
    while first < num_frames:
        at_viewer = rng.random() < VIEWER_CHANCE
        place = rng.normal(0.0, AWAY) * (0.1 if at_viewer else 1.0)
        end = first + max(int(rng.uniform(*FIXATION_S) * FPS), 1)
        gaze[first:end] = place
        first = end
    return gaze + TREMOR * rng.normal(size=(num_frames, 2))
