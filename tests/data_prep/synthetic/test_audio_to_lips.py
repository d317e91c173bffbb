"""The benchmark of context: on made-up speech whose lips follow sound far away."""

import argparse

import numpy as np
import pytest

from benchmarks import synthetic_audio_to_lips as bench
from talkjax.errors import UserError

COEFFICIENTS = 3


def clips(count, *, seed, away_s):
    """Clips of 60 frames whose opening is the first coefficient `away_s` before the frame."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        sound = rng.normal(0, 1, size=(96, COEFFICIENTS))
        middle_s = (np.arange(60) + 0.5) / 25
        at = np.floor((middle_s - away_s) * bench.CONDENSED_HZ).astype(int)
        opening = sound[np.clip(at, 0, 95), 0]
        speaking = (middle_s > 0.5) & (middle_s < 2.0)
        made.append(bench.Spoken(sound, opening, speaking))
    return made


@pytest.fixture(scope="module")
def distant():
    """What the lips do is heard 0.35 s earlier."""
    parts = {"fit": 40, "choose": 8, "test": 12, "unseen_voices": 12}
    made = {name: clips(n, seed=i, away_s=0.35) for i, (name, n) in enumerate(parts.items())}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench, "corpus", lambda args: made)
        return bench.run(argparse.Namespace(sentences=40, voices=2, command_fraction=0.4, seed=0))


def test_sound_from_far_away_is_found_by_the_long_windows_only(distant):
    r2 = {name: row["r2"] for name, row in distant["windows"].items()}
    assert r2["0.2 s"] < 0.05 and r2["0.4 s"] < 0.05
    assert r2["0.8 s"] > 0.8 and r2["1.2 s"] > 0.8


def test_the_gain_is_the_difference_and_has_a_paired_interval(distant):
    rows, gain = distant["windows"], distant["gain"]
    for key in ("r2", "unseen_voices", "r2_with_silence"):
        assert gain[key] == pytest.approx(rows["1.2 s"][key] - rows["0.2 s"][key], abs=2e-4)
        low, high = gain["interval95"][key]
        assert 0 < low < gain[key] < high
        low, high = rows["1.2 s"]["interval95"][key]
        assert low < rows["1.2 s"][key] < high


def test_silence_counts_only_where_it_is_asked_for():
    part = clips(1, seed=9, away_s=0.35)[0]
    guess = np.zeros(60)
    [(said, true)] = bench._pair(part, guess, silence=False)
    assert len(said) == len(true) == part.speaking.sum()
    assert len(bench._pair(part, guess, silence=True)[0][0]) == 60


def test_too_few_sentences_are_refused():
    with pytest.raises(UserError, match="at least 24 sentences and 2 voices"):
        bench.run(argparse.Namespace(sentences=10, voices=2, command_fraction=0.4, seed=0))
