import numpy as np
import pytest

from talkjax.infer import sound
from talkjax.ops import mel as mel_ops


@pytest.fixture(scope="module")
def audio():
    return np.random.default_rng(0).normal(0, 3000, 16_000 * 5 + 123).astype(np.int16)


def _whole(audio):
    return mel_ops.log_mel(audio.astype(np.float32) / 32768)


@pytest.mark.parametrize("first, last", [(0, 7), (3, 60), (200, 401), (390, 401), (400, 401)])
def test_a_slice_equals_the_whole_spectrogram_there(audio, first, last):
    whole = _whole(audio)
    assert len(whole) == 401
    np.testing.assert_allclose(sound.mel_slice(audio, first, last), whole[first:last], atol=1e-5)


@pytest.mark.parametrize("shift", [-3, 0, 2])
def test_windows_equal_those_of_the_whole_spectrogram(audio, monkeypatch, shift):
    monkeypatch.setattr(sound, "BLOCK_MEL_FRAMES", 50)
    frames = np.arange(140)  # 125 of them have sound
    whole = mel_ops.mel_windows(_whole(audio), mel_ops.mel_start(frames + shift), mel_frames=16)
    windows = sound.frame_windows(audio, num_frames=140, mel_frames=16, audio_shift_frames=shift)
    np.testing.assert_allclose(np.stack(list(windows)), whole, atol=1e-5)


def test_blocks_are_small_however_long_the_sound(monkeypatch):
    lengths = []
    log_mel = mel_ops.log_mel
    monkeypatch.setattr(mel_ops, "log_mel", lambda x: (lengths.append(len(x)), log_mel(x))[1])
    windows = sound.frame_windows(
        np.zeros(16_000 * 120, np.int16), num_frames=3000, mel_frames=16, audio_shift_frames=0
    )
    assert sum(1 for _ in windows) == 3000
    assert max(lengths) <= 16_000 * 21
    assert sum(lengths) < 16_000 * 120 * 1.1
