"""Against mel spectrograms recorded from the public implementation (golden/mel)."""

import numpy as np
import pytest

from talkjax.ops import mel as mel_ops

pytestmark = pytest.mark.parity


def test_basis_is_the_recorded_one(golden):
    np.testing.assert_array_equal(mel_ops.mel_basis(), golden("mel")["mel_basis"])


@pytest.mark.parametrize("signal", ["grid_s1_bbaf2n", "grid_s1_lrak6n", "chirp_noise"])
def test_log_mel_equals_the_recording(golden, signal):
    recorded = golden("mel")
    mel = mel_ops.log_mel(recorded[f"{signal}/audio"])
    # tolerance of a float64 implementation; zero padding would differ by up to 0.74
    np.testing.assert_allclose(mel.T, recorded[f"{signal}/mel_reflect"], rtol=0, atol=1e-5)
