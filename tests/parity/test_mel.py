"""Against mel spectrograms recorded from the public implementation (golden/mel)."""

import numpy as np
import pytest

from talkjax.ops import mel as mel_ops

pytestmark = pytest.mark.parity

SIGNALS = ("grid_s1_bbaf2n", "grid_s1_lrak6n", "chirp_noise")
# Of a float64 implementation; the two paddings differ by up to 0.74.
ATOL = 1e-5
PADDING = 2 * mel_ops.HOP_SAMPLES  # samples that a window reaches beyond either end


def test_basis_is_the_recorded_one(golden):
    np.testing.assert_array_equal(mel_ops.mel_basis(), golden("mel")["mel_basis"])


@pytest.mark.parametrize("signal", SIGNALS)
def test_log_mel_equals_the_recording(golden, signal):
    recorded = golden("mel")
    mel = mel_ops.log_mel(recorded[f"{signal}/audio"])
    np.testing.assert_allclose(mel.T, recorded[f"{signal}/mel_reflect"], rtol=0, atol=ATOL)


@pytest.mark.parametrize("signal", SIGNALS)
def test_inside_a_clip_the_recording_with_newer_padding_is_the_same(golden, signal):
    """Newer librosa pads with zeros, so a public code run with it differs at the ends alone."""
    recorded = golden("mel")
    mel = mel_ops.log_mel(recorded[f"{signal}/audio"]).T
    other = recorded[f"{signal}/mel_constant"]
    np.testing.assert_allclose(mel[:, 2:-2], other[:, 2:-2], rtol=0, atol=ATOL)
    assert np.abs(mel - other).max() > 1000 * ATOL  # the ends, else nothing was compared


@pytest.mark.parametrize("signal", SIGNALS)
def test_a_clip_between_silences_equals_the_recording_with_newer_padding(golden, signal):
    """Zeros around the emphasised signal, which is what that padding is: zeros before the clip,
    and behind it what the pre-emphasis takes to zero."""
    recorded = golden("mel")
    audio = recorded[f"{signal}/audio"].astype(np.float64)
    tail = audio[-1] * mel_ops.PRE_EMPHASIS ** np.arange(1, PADDING + 1)
    mel = mel_ops.log_mel(np.concatenate([np.zeros(PADDING), audio, tail]))
    want = recorded[f"{signal}/mel_constant"]
    first = PADDING // mel_ops.HOP_SAMPLES
    got = mel[first : first + want.shape[1]].T
    np.testing.assert_allclose(got, want, rtol=0, atol=ATOL)
