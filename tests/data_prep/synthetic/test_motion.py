"""Head, lids, brows and gaze: human rates, two styles that can be told apart, tied to prosody."""

import numpy as np
import pytest

from data_prep.synthetic.motion import LIMITS, STYLES, blinks, expression, head_motion
from data_prep.synthetic.phones import PAUSE, Phone
from data_prep.synthetic.seeds import generator
from talkjax.errors import UserError

FPS = 25
NUM_FRAMES = 100


def speech(num_frames=NUM_FRAMES, *, every_s=0.5):
    """Loudness, pitch and accents of a made-up utterance."""
    times_s = (np.arange(num_frames) + 0.5) / FPS
    accents_s = np.arange(0.4, num_frames / FPS - 0.4, every_s)
    near = np.exp(-0.5 * ((times_s[:, None] - accents_s[None]) / 0.08) ** 2).max(axis=1)
    energy = (0.3 + 0.7 * near).astype(np.float32)
    return energy, (110 + 30 * near).astype(np.float32), accents_s


def head(style, number, *, num_frames=NUM_FRAMES):
    energy, pitch, accents_s = speech(num_frames)
    return head_motion(
        generator(0, "clip", number, "head"),
        style=style,
        num_frames=num_frames,
        energy=energy,
        pitch=pitch,
        stressed_times_s=accents_s,
    )


@pytest.fixture(scope="module")
def heads():
    return {style: np.stack([head(style, i) for i in range(60)]) for style in STYLES}


def test_heads_stay_within_what_the_detector_finds(heads):
    for poses in heads.values():
        assert poses.dtype == np.float32
        assert (np.abs(poses) < LIMITS[None, None]).all()
        assert np.abs(poses[..., 0]).max() < 0.3


def test_styles_can_be_told_apart_by_what_moves(heads):
    # Range of the turn against that of the nod, from frame to frame in the middle frequencies.
    turn = {s: np.ptp(p[..., 0], axis=1) for s, p in heads.items()}
    nod = {s: np.abs(np.diff(p[..., 1], axis=1)).mean(axis=1) for s, p in heads.items()}
    assert np.median(turn["sway"]) > 1.7 * np.median(turn["nod"])
    assert np.median(nod["nod"]) > 2 * np.median(nod["sway"])
    guessed_nod = {s: nod[s] / turn[s] for s in STYLES}
    limit = np.sqrt(np.median(guessed_nod["nod"]) * np.median(guessed_nod["sway"]))
    right = (guessed_nod["nod"] > limit).mean() + (guessed_nod["sway"] <= limit).mean()
    assert right / 2 > 0.9


def test_nods_fall_on_stressed_syllables(heads):
    _, _, accents_s = speech()
    pitch = heads["nod"][..., 1]
    accents = np.round(accents_s * FPS).astype(int)
    between = np.round((accents_s[:-1] + accents_s[1:]) / 2 * FPS).astype(int)
    depth = pitch[:, accents].mean() - pitch[:, between].mean()
    assert depth > 0.02
    still = heads["sway"][..., 1]
    assert still[:, accents].mean() - still[:, between].mean() < 0.5 * depth


def test_not_every_accent_is_nodded_at(heads):
    # The same sound, different heads: the audio does not settle the motion.
    spread = heads["nod"].std(axis=0).mean(axis=0)
    assert (spread[:3] > 0.008).all()


def test_swaying_is_slow(heads):
    yaw = heads["sway"][..., 0] - heads["sway"][..., 0].mean(axis=1, keepdims=True)
    power = (np.abs(np.fft.rfft(yaw, axis=1)) ** 2).mean(axis=0)
    hz = np.fft.rfftfreq(NUM_FRAMES, 1 / FPS)
    assert power[hz < 0.8].sum() > 0.9 * power.sum()


def test_prosody_moves_every_head():
    energy, pitch, accents_s = speech()
    quiet = dict(style="sway", num_frames=NUM_FRAMES, stressed_times_s=accents_s)
    moved = head_motion(generator(0), energy=energy, pitch=pitch, **quiet)
    still = head_motion(generator(0), energy=np.zeros_like(energy), pitch=0 * pitch, **quiet)
    assert np.ptp(moved[:, 1] - still[:, 1]) > 0.01
    assert np.ptp(moved[:, 5] - still[:, 5]) > 0.01


def test_motion_is_the_same_for_the_same_generator():
    np.testing.assert_array_equal(head("nod", 3), head("nod", 3))
    assert np.abs(head("nod", 3) - head("nod", 4)).max() > 0.01


def test_a_clip_without_stress_or_voice_moves_too():
    nothing = np.zeros(10, np.float32)
    pose = head_motion(
        generator(1),
        style="nod",
        num_frames=10,
        energy=nothing,
        pitch=nothing,
        stressed_times_s=np.zeros(0),
    )
    assert np.isfinite(pose).all()


def test_bad_style_and_lengths_are_one_line():
    energy, pitch, accents_s = speech()
    rest = dict(energy=energy, pitch=pitch, stressed_times_s=accents_s)
    with pytest.raises(UserError, match="got 'dance', want one of nod, sway"):
        head_motion(generator(0), style="dance", num_frames=NUM_FRAMES, **rest)
    with pytest.raises(UserError, match="99 frames: got 100"):
        head_motion(generator(0), style="nod", num_frames=99, **rest)


def blink_runs(closure, threshold=0.05):
    closed = np.concatenate([[False], closure > threshold, [False]])
    edges = np.flatnonzero(np.diff(closed.astype(int)))
    return edges.reshape(-1, 2)


@pytest.fixture(scope="module")
def many_blinks():
    """60 clips of a minute, all spoken."""
    phones = [Phone("ɑ", 0.0, 60.0)]
    return [blinks(generator(0, i), num_frames=1500, phones=phones) for i in range(60)]


def test_blink_rate_is_human(many_blinks):
    # Doughty 2001: 10.5 to 32.5 a minute in conversation; Bentivoglio 1997: 17 at rest, 26 talking.
    rates = np.array([len(blink_runs(c)) for c in many_blinks])
    assert 16 < rates.mean() < 26
    assert np.percentile(rates, 5) > 6
    assert np.percentile(rates, 95) < 36
    assert rates.std() > 3  # people differ


def test_blinks_shut_and_last_as_long_as_human_ones(many_blinks):
    lengths_s = []
    for closure in many_blinks:
        assert closure.min() >= 0
        assert closure.max() <= 1
        for first, end in blink_runs(closure):
            if first == 0 or end == len(closure):
                continue
            assert closure[first:end].max() > 0.99
            lengths_s.append((end - first) / FPS)
    assert 0.2 <= np.mean(lengths_s) <= 0.4
    assert np.max(lengths_s) <= 0.44


def test_lids_fall_faster_than_they_rise(many_blinks):
    steps = np.concatenate([np.diff(c) for c in many_blinks])
    assert steps.max() > 1.3 * -steps.min()


def test_blinks_prefer_pauses():
    phones = [Phone("ɑ", 0.0, 30.0), Phone(PAUSE, 30.0, 60.0)]
    shut = np.stack([blinks(generator(1, i), num_frames=1500, phones=phones) for i in range(40)])
    assert (shut[:, 750:] > 0.99).sum() > 1.5 * (shut[:, :750] > 0.99).sum()


def test_gaze_jumps_and_brows_rise_with_accents():
    _, _, accents_s = speech()
    looks = np.stack(
        [
            expression(generator(2, i), num_frames=NUM_FRAMES, stressed_times_s=accents_s)
            for i in range(60)
        ]
    )
    assert looks.shape == (60, NUM_FRAMES, 3)
    assert looks.dtype == np.float32
    assert np.abs(looks).max() <= 1
    jumps = np.abs(np.diff(looks[..., 1], axis=1))
    # Fixations: most steps are tremor only; a few are saccades.
    assert np.median(jumps) < 0.06
    assert 0.005 < (jumps > 0.25).mean() < 0.1
    accents = np.round(accents_s * FPS).astype(int)
    between = np.round((accents_s[:-1] + accents_s[1:]) / 2 * FPS).astype(int)
    assert looks[:, accents, 0].mean() > looks[:, between, 0].mean() + 0.05


def test_eyes_turn_against_the_head():
    pose = np.zeros((NUM_FRAMES, 6), np.float32)
    pose[:, 0] = 0.2
    ahead = expression(generator(3), num_frames=NUM_FRAMES)
    turned = expression(generator(3), num_frames=NUM_FRAMES, head_pose=pose)
    assert (ahead[:, 1] - turned[:, 1]).mean() > 0.1
