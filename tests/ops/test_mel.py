import numpy as np
import pytest

from talkjax.ops import mel as mel_ops


def test_windows_start_where_the_training_script_starts_them():
    # listed in the specification, from int(80 * frame / 25)
    expected = [0, 3, 6, 9, 12, 16, 19, 22, 25, 28, 32, 35]
    assert [mel_ops.mel_start(f) for f in range(12)] == expected
    np.testing.assert_array_equal(mel_ops.mel_start(np.arange(12)), expected)


def test_negative_frames_are_floored():
    np.testing.assert_array_equal(mel_ops.mel_start(np.array([-1, -2, -5])), [-4, -7, -16])


def test_silence_is_exactly_minus_four():
    mel = mel_ops.log_mel(np.zeros(16_000, np.float32))
    assert mel.shape == (81, 80)
    assert mel.dtype == np.float32
    assert (mel == -4).all()


@pytest.mark.parametrize("frequency_hz", [200.0, 1000.0, 4000.0])
def test_a_sine_peaks_in_the_bin_of_its_frequency(frequency_hz):
    times_s = np.arange(16_000) / 16_000
    mel = mel_ops.log_mel((1e-3 * np.sin(2 * np.pi * frequency_hz * times_s)).astype(np.float32))

    def to_mel(hz):  # Slaney: linear to 1 kHz, then logarithmic (27 steps per factor 6.4)
        return np.where(hz < 1000, 3 * hz / 200, 15 + 27 * np.log(hz / 1000) / np.log(6.4))

    spacing = (to_mel(7600.0) - to_mel(55.0)) / 81
    expected = (to_mel(frequency_hz) - to_mel(55.0)) / spacing - 1
    assert abs(mel[40].argmax() - expected) <= 1


def test_twice_the_amplitude_adds_six_decibels():
    audio = (0.1 * np.random.default_rng(0).standard_normal(8000)).astype(np.float32)
    rise = mel_ops.log_mel(2 * audio) - mel_ops.log_mel(audio)
    # 8 units per 100 dB
    np.testing.assert_allclose(rise, 20 * np.log10(2) * 8 / 100, atol=1e-5)


@pytest.mark.parametrize("samples", [401, 640, 3200, 47_648])
def test_frame_count_is_one_more_than_whole_hops(samples):
    assert len(mel_ops.log_mel(np.zeros(samples, np.float32))) == 1 + samples // 200


def test_too_short_audio_says_how_long_it_must_be():
    with pytest.raises(ValueError, match="got 400 samples, want more than 400"):
        mel_ops.log_mel(np.zeros(400, np.float32))


def test_windows_gather_and_repeat_the_edges():
    mel = np.arange(10, dtype=np.float32)[:, None] * np.array([1.0, 100.0], np.float32)
    windows = mel_ops.mel_windows(mel, np.array([-2, 3, 8]), mel_frames=4)
    expected = np.array([[0, 0, 0, 1], [3, 4, 5, 6], [8, 9, 9, 9]], np.float32)
    assert windows.shape == (3, 2, 4)
    np.testing.assert_array_equal(windows[:, 0], expected)
    np.testing.assert_array_equal(windows[:, 1], 100 * expected)


def test_long_audio_done_in_blocks_equals_short_pieces():
    audio = np.random.default_rng(0).standard_normal(3 * 2048 * 200 // 2).astype(np.float32) / 10
    whole = mel_ops.log_mel(audio)
    first = 2000  # a piece across the border of two blocks, away from its reflected ends
    piece = mel_ops.log_mel(audio[first * 200 : (first + 100) * 200])
    np.testing.assert_allclose(whole[first + 5 : first + 95], piece[5:95], rtol=0, atol=1e-6)
