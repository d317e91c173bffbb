import sys
import wave

import numpy as np
from PIL import Image

from benchmarks import generate
from talkjax.media.audio import is_silent, read_audio
from talkjax.media.detector import DlibDetector
from talkjax.media.video import FrameReader, ping_pong_index
from tests.infer.conftest import VIDEO_FRAMES
from tests.media.test_audio import tone, write_wav


def test_a_small_process_is_measured_as_small_whatever_the_size_of_its_parent():
    ballast = np.ones(300 * 2**17)  # 300 MB
    used, output, _ = generate.launch([sys.executable, "-c", "print(7)"])
    assert (used["code"], output) == (0, "7\n")
    assert 1 < used["peak_memory_mb"] < 100
    used, _, _ = generate.launch([sys.executable, "-c", "x = bytearray(200 * 2**20)"])
    assert 200 < used["peak_memory_mb"] < 290
    assert ballast.nbytes == 300 * 2**20


def test_memory_is_compared_per_face_between_the_longest_and_the_shortest():
    def case(face, seconds, peak):
        return {"face": face, "audio_seconds": seconds, "peak_memory_mb": peak}

    cases = [case("picture", 600, 1050), case("picture", 30, 1000), case("video", 30, 1000)]
    found = generate.memory_ratios([*cases, case("video", 600, 1200)])
    assert found["longest_over_shortest"] == {"picture": 1.05, "video": 1.2}
    assert not found["met"]
    assert generate.memory_ratios(cases)["met"]


def test_without_files_a_face_that_dlib_finds_and_a_sound_that_is_heard(tmp_path):
    with Image.open(generate.portrait()) as picture:
        assert len(DlibDetector().detect(np.asarray(picture.convert("RGB")))) == 1
    assert not is_silent(read_audio(generate.hum(tmp_path / "hum.wav")))


def test_the_voice_is_repeated_to_the_length(sound, tmp_path):
    out = generate.repeated(sound(0.5), tmp_path / "long.wav", seconds=1.75)
    with wave.open(str(out)) as file:
        assert file.getnframes() == 28_000
        assert (file.getframerate(), file.getnchannels()) == (16_000, 1)
        samples = np.frombuffer(file.readframes(28_000), "<i2")
    np.testing.assert_array_equal(samples[:8000], samples[8000:16_000])


def test_the_repeated_voice_keeps_its_rate_and_channels(tmp_path):
    sides = np.stack([tone(0.5, 48_000), tone(0.5, 48_000, hz=900.0)], axis=1)
    voice = write_wav(tmp_path / "voice.wav", sides, 48_000)
    with wave.open(str(generate.repeated(voice, tmp_path / "long.wav", seconds=1.25))) as file:
        assert (file.getframerate(), file.getnchannels(), file.getnframes()) == (48_000, 2, 60_000)
        samples = np.frombuffer(file.readframes(60_000), "<i2").reshape(-1, 2)
    np.testing.assert_array_equal(samples[:24_000], samples[24_000:48_000])
    np.testing.assert_allclose(samples[:24_000] / 32767, sides, atol=2e-4)


def test_the_longer_video_outlasts_the_shortest_sound(video, tmp_path):
    long = generate.looped(video, tmp_path / "long.mp4", seconds=1.6)
    with FrameReader(long) as reader:
        levels = [int(frame.rgb[60, 80, 0]) for frame in reader]
    wanted = [40 + 8 * ping_pong_index(position, VIDEO_FRAMES) for position in range(40)]
    np.testing.assert_allclose(levels, wanted, atol=3)
