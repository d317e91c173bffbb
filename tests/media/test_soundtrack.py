"""A file's sound in its own quality: rate, channels and places are those of the source."""

import av
import numpy as np
import pytest

from talkjax.errors import UserError
from talkjax.media.audio import decode_audio
from talkjax.media.soundtrack import Soundtrack
from tests.media.synthetic_media import beep, onset_s, write_video
from tests.media.test_audio import tone, write_wav


def whole(path, *, start_s=0.0):
    with Soundtrack(path, start_s=start_s) as track:
        pieces = list(track)
        return np.concatenate(pieces), track.rate_hz, track.channels, pieces


def write_channels(path, samples, layout, rate_hz=48_000):
    """`samples` is n x channels."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=rate_hz, layout=layout)
        whole_i16 = np.round(samples * 32767).astype(np.int16).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(whole_i16, format="s16", layout=layout)
        frame.sample_rate = rate_hz
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("rate_hz", [8_000, 44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_samples_are_those_of_the_file(tmp_path, rate_hz, channels):
    sides = np.stack([tone(2.0, rate_hz, hz=300.0 * (side + 1)) for side in range(channels)], 1)
    samples, rate, found, pieces = whole(write_wav(tmp_path / "a.wav", sides, rate_hz))
    assert (rate, found) == (rate_hz, channels)
    assert samples.dtype == np.float32
    # 16 bit, written with a full scale of 32767.
    np.testing.assert_allclose(samples, np.round(sides * 32767) / 32768, atol=1e-7)
    assert max(map(len, pieces)) <= rate_hz


def test_surround_becomes_stereo_whose_sides_stay_and_which_cannot_overflow(tmp_path):
    # 5.1 in FFmpeg's order: front left, front right, centre, low, back left, back right.
    left = np.zeros([4800, 6])
    left[:, [0, 4]] = 0.5
    samples, rate, channels, _ = whole(write_channels(tmp_path / "l.mkv", left, "5.1"))
    assert (rate, channels) == (48_000, 2)
    assert samples[:, 0].min() > 0.2 and np.abs(samples[:, 1]).max() == 0.0
    voice = np.zeros([4800, 6])
    voice[:, 2] = 0.5
    samples, *_ = whole(write_channels(tmp_path / "c.mkv", voice, "5.1"))
    np.testing.assert_array_equal(samples[:, 0], samples[:, 1])
    assert samples.min() > 0.1
    loud, *_ = whole(write_channels(tmp_path / "f.mkv", np.ones([4800, 6]), "5.1"))
    assert loud.min() > 0.99 and loud.max() <= 1.0
    unnamed, *_ = whole(write_wav(tmp_path / "u.wav", np.full([4800, 6], 0.5), 48_000))
    assert unnamed.shape == (4800, 2)


@pytest.mark.parametrize("late_s", [0.0, 0.4])
def test_a_late_start_is_filled(tmp_path, late_s):
    path = write_video(
        tmp_path / "a.mp4", np.arange(50) / 25, audio=beep(1.5, 0.5, 48_000), audio_start_s=late_s
    )
    samples, rate_hz, *_ = whole(path)
    assert onset_s(samples[:, 0], rate_hz) == pytest.approx(0.5 + late_s, abs=0.005)


def test_what_is_before_the_start_is_dropped(tmp_path):
    path = write_video(tmp_path / "a.mkv", 0.3 + np.arange(50) / 25, audio=beep(2.3, 0.5, 48_000))
    samples, rate_hz, *_ = whole(path, start_s=0.3)
    assert onset_s(samples[:, 0], rate_hz) == pytest.approx(0.2, abs=0.005)


def test_a_long_gap_comes_in_small_pieces(tmp_path):
    path = write_video(
        tmp_path / "a.mp4", np.arange(50) / 25, audio=beep(1.5, 0.5, 48_000), audio_start_s=90.0
    )
    samples, rate_hz, _, pieces = whole(path)
    assert max(map(len, pieces)) <= rate_hz
    assert onset_s(samples[:, 0], rate_hz) == pytest.approx(90.5, abs=0.005)


SHARED = (
    "audio_48k_stereo.mp4",
    "audio_8k_mono.mp4",
    "audio_only.mp4",
    "audio_starts_late_0.4s.mp4",
    "corrupt_middle.mp4",
    "edit_list_skips_0.5s.mp4",
    "negative_start.mkv",
    "truncated_half.mp4",
)


@pytest.mark.parametrize("name", SHARED)
def test_it_is_where_the_sound_of_the_model_is(shared, name):
    path = shared / "data/bad" / name
    model = decode_audio(path)
    samples, rate_hz, *_ = whole(path, start_s=model.start_s)
    assert len(samples) / rate_hz == pytest.approx(len(model.samples) / 16_000, abs=0.002)
    # To 16 kHz by picking: what that folds is weak in speech.
    places = np.round(np.arange(len(model.samples)) * rate_hz / 16_000).astype(int)
    heard = samples.mean(axis=1)[places.clip(max=len(samples) - 1)]
    size = 1 << 18
    spectrum = np.fft.rfft(heard, size) * np.conj(np.fft.rfft(model.samples, size))
    lag = int(np.argmax(np.fft.irfft(spectrum, size)))
    assert min(lag, size - lag) <= 1


@pytest.mark.parametrize(
    ("name", "says"), [("header_only.wav", "is empty"), ("no_audio.mp4", "no audio stream")]
)
def test_what_has_no_sound_is_refused(shared, name, says):
    with pytest.raises(UserError, match=says):
        Soundtrack(shared / "data/bad" / name, start_s=0.0)
