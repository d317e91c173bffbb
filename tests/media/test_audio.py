"""Sound as 16 kHz mono, placed by its timestamps."""

import wave

import numpy as np
import pytest

from talkjax.errors import UserError
from talkjax.media.audio import decode_audio, is_silent, read_audio
from talkjax.media.clip_io import read_clip_audio
from talkjax.media.video import FrameReader
from tests.media.synthetic_media import beep, numbered, onset_s, write_video


def write_wav(path, samples, rate_hz=16_000, sample_bytes=2):
    """`samples` is n or n x channels, float in [-1, 1)."""
    samples = np.atleast_2d(samples.T).T
    with wave.open(str(path), "wb") as file:
        file.setnchannels(samples.shape[1])
        file.setsampwidth(sample_bytes)
        file.setframerate(rate_hz)
        if sample_bytes == 1:
            raw = np.round(samples * 127 + 128).astype(np.uint8).tobytes()
        else:
            whole = np.round(samples * (2 ** (8 * sample_bytes - 1) - 1)).astype("<i4")
            raw = whole.reshape(-1, 1).view(np.uint8)[:, :sample_bytes].tobytes()
        file.writeframes(raw)
    return path


def tone(seconds, rate_hz, hz=440.0, level=0.5):
    return level * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate_hz)) / rate_hz)


@pytest.mark.parametrize("sample_bytes", [1, 2, 3, 4])
def test_16_khz_samples_are_kept(tmp_path, sample_bytes):
    sound = tone(0.5, 16_000)
    audio = read_audio(write_wav(tmp_path / "a.wav", sound, sample_bytes=sample_bytes))
    assert audio.dtype == np.float32
    assert len(audio) == len(sound)
    np.testing.assert_allclose(audio, sound, atol=0.01 if sample_bytes == 1 else 1e-4)


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 22_050, 44_100, 48_000, 96_000])
def test_resampling_keeps_length_place_and_level(tmp_path, rate_hz):
    audio = read_audio(write_wav(tmp_path / "a.wav", tone(2.0, rate_hz), rate_hz))
    assert abs(len(audio) - 32_000) <= 1
    wanted = tone(2.0, 16_000)
    inside = slice(400, 31_600)  # the filter rings at the ends
    assert np.abs(audio[inside] - wanted[inside]).max() < 1e-3


def test_nothing_above_8_khz_is_folded_back(tmp_path):
    audio = read_audio(write_wav(tmp_path / "a.wav", tone(1.0, 48_000, hz=9_000.0), 48_000))
    assert np.abs(audio[400:-400]).max() < 1e-3


def test_channels_are_averaged(tmp_path):
    stereo = np.stack([tone(0.2, 16_000), np.zeros(3200)], axis=1)
    audio = read_audio(write_wav(tmp_path / "a.wav", stereo))
    np.testing.assert_allclose(audio, 0.5 * stereo[:, 0], atol=1e-4)


def test_low_rates_are_noted(tmp_path):
    notes = decode_audio(write_wav(tmp_path / "a.wav", tone(1.0, 8_000), 8_000)).notes
    assert len(notes) == 1
    assert "a.wav: the audio has 8000 Hz" in notes[0]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("late_s", [0.0, 0.4])
def test_sound_is_placed_on_the_clock_of_the_picture(tmp_path, suffix, late_s):
    path = write_video(
        tmp_path / f"a{suffix}",
        np.arange(50) / 25,
        audio=beep(1.5, 0.5, 48_000),
        audio_start_s=late_s,
    )
    assert onset_s(read_audio(path)) == pytest.approx(0.5 + late_s, abs=0.005)


@pytest.mark.parametrize(
    ("codec", "options"), [("mpeg4", {}), ("mjpeg", {}), ("libx264", {"bf": "3"})]
)
def test_avi_without_timestamps_keeps_picture_and_sound_together(tmp_path, codec, options):
    pictures = [numbered(0)] * 60
    pictures[20] = np.full_like(numbered(0), 255)
    path = write_video(
        tmp_path / "a.avi",
        np.arange(60) / 25,
        pictures=pictures,
        codec=codec,
        pixel_format="yuvj420p" if codec == "mjpeg" else "yuv420p",
        options=options,
        audio=beep(2.4, 0.8, 48_000),
        audio_codec="pcm_s16le",
        clock_hz=25,
    )
    with FrameReader(path) as reader:
        means = [frame.rgb.mean() for frame in reader]
    assert len(means) == 60
    assert int(np.argmax(means)) == 20
    assert onset_s(read_audio(path)) == pytest.approx(0.8, abs=0.005)


def test_sound_before_the_first_frame_is_dropped(tmp_path):
    path = write_video(tmp_path / "a.mkv", 0.3 + np.arange(50) / 25, audio=beep(2.3, 0.5, 48_000))
    assert onset_s(read_audio(path)) == pytest.approx(0.2, abs=0.005)
    assert onset_s(read_audio(path, start_s=0.0)) == pytest.approx(0.5, abs=0.005)
    assert onset_s(read_audio(path, start_s=-1.0)) == pytest.approx(1.5, abs=0.005)


def test_silence_is_a_peak_below_80_dbfs():
    assert is_silent(np.zeros(0, np.float32))
    assert is_silent(np.full(100, 0.9e-4, np.float32))
    assert not is_silent(np.full(100, 1.1e-4, np.float32))


def test_the_clip_rule_cuts_to_the_shorter(tmp_path):
    def clip(video_frames, sound_s):
        path = write_video(
            tmp_path / f"{video_frames}_{sound_s}.mkv",
            np.arange(video_frames) / 25,
            audio=beep(sound_s, 0.1, 48_000),
        )
        return read_clip_audio(path, video_frames)

    shorter = clip(50, 1.2)
    assert shorter.num_frames == pytest.approx(30, abs=1)
    assert len(shorter.samples) == shorter.num_frames * 640
    assert any("video cut from 2.00 s" in note for note in shorter.notes)
    longer = clip(25, 3.0)
    assert (longer.num_frames, len(longer.samples)) == (25, 16_000)
    assert any("audio cut from 3.0" in note for note in longer.notes)
    alike = clip(25, 0.97)
    assert (alike.num_frames, len(alike.samples), alike.notes) == (25, 16_000, ())


# Length by EXPECT.csv, or of the video where only that is said there.
LENGTHS_S = {
    "audio_48k_stereo.mp4": 2.0,
    "audio_8k_mono.mp4": 2.0,
    "audio_only.mp4": 2.98,
    "audio_longer.mp4": 5.96,
    "video_longer.mp4": 1.0,
    "variable_fps.mp4": 2.98,
    "edit_list_skips_0.5s.mp4": 2.48,
    "negative_start.mkv": 2.98,
    "audio_starts_late_0.4s.mp4": 3.38,
    "corrupt_middle.mp4": 2.98,
    "silent_audio.mp4": 2.0,
}


@pytest.mark.parametrize("name", LENGTHS_S)
def test_shared_files_have_their_length(shared, name):
    audio = read_audio(shared / "data/bad" / name)
    assert len(audio) / 16_000 == pytest.approx(LENGTHS_S[name], abs=0.02)
    assert np.isfinite(audio).all()
    assert np.abs(audio).max() <= 1
    assert is_silent(audio) == (name == "silent_audio.mp4")


# By how much the sound of a copy is later than that of the clip it was made from.
DELAYS_S = {
    "audio_starts_late_0.4s.mp4": 0.4,
    "edit_list_skips_0.5s.mp4": -0.5,
    "negative_start.mkv": 0.0,
    "audio_48k_stereo.mp4": 0.0,
    "audio_8k_mono.mp4": 0.0,
    "corrupt_middle.mp4": 0.0,
    "audio_only.mp4": 0.0,
}


@pytest.mark.parametrize("name", DELAYS_S)
def test_shared_copies_are_in_sync_with_their_original(shared, name):
    original = read_audio(shared / "data/public/grid_s1/lbbq9s.mpg")
    copy = read_audio(shared / "data/bad" / name)
    size = 1 << 17
    spectrum = np.fft.rfft(copy, size) * np.conj(np.fft.rfft(original, size))
    correlation = np.fft.irfft(spectrum, size)
    lag = int(np.argmax(correlation))
    lag_s = (lag - size if lag > size // 2 else lag) / 16_000
    assert lag_s == pytest.approx(DELAYS_S[name], abs=0.002)


def test_late_and_missing_sound_is_noted(shared):
    late = decode_audio(shared / "data/bad/audio_starts_late_0.4s.mp4")
    assert any("no audio from 0.00 s to 0.38 s" in note for note in late.notes)
    assert is_silent(late.samples[: round(0.37 * 16_000)])
    torn = decode_audio(shared / "data/bad/corrupt_middle.mp4")
    assert any("decoding errors in the audio" in note for note in torn.notes)
    half = decode_audio(shared / "data/bad/truncated_half.mp4")
    assert any("its header says 2.98 s" in note for note in half.notes)


def test_a_silent_clip_is_noted(shared):
    clip = read_clip_audio(shared / "data/bad/silent_audio.mp4", 50)
    assert any("silent_audio.mp4: silent audio" in note for note in clip.notes)
    assert (clip.num_frames, len(clip.samples)) == (50, 32_000)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("text_renamed.wav", "text file"),
        ("header_only.wav", "the audio is empty"),
        ("no_audio.mp4", "no audio stream"),
        ("zero_bytes.mp4", "empty"),
        ("no such.wav", "no such file"),
        ("alpha.png", "no audio stream"),
    ],
)
def test_what_has_no_sound_is_one_line_that_names_the_file(shared, name, says):
    with pytest.raises(UserError, match=says) as caught:
        read_audio(shared / "data/bad" / name)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_shared_recording_can_be_read(shared):
    files = [p for p in sorted((shared / "data/public/speech").iterdir()) if p.is_file()]
    assert len(files) == 11
    for file in files:
        audio = read_audio(file)
        assert len(audio) > 8_000, file
        assert not is_silent(audio), file
