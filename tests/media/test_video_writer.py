"""VideoWriter: what it writes, and that it writes all or nothing."""

import resource

import av
import numpy as np
import pytest

from talkjax.errors import UserError
from talkjax.media.audio import read_audio
from talkjax.media.video import FrameReader, VideoWriter, probe
from tests.media.synthetic_media import beep, number_of, numbered, onset_s

QUICK = {"preset": "ultrafast", "crf": 12}


def write(path, pictures, **settings):
    height, width = pictures[0].shape[:2]
    with VideoWriter(path, width=width, height=height, **{**QUICK, **settings}) as writer:
        for picture in pictures:
            writer.write(picture)
    return writer.notes


def stream_seconds(path):
    with av.open(str(path)) as container:
        return {s.type: float(s.duration * s.time_base) for s in container.streams}


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv", "dir.with.dots and ünï/a.mp4"])
def test_frames_come_back_in_order(tmp_path, name):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    write(path, [numbered(i) for i in range(40)], audio=beep(1.6, 1.0, 16_000), preset="medium")
    with FrameReader(path) as reader:
        assert [number_of(f.rgb) for f in reader] == list(range(40))
        assert reader.notes == []
    assert [p.name for p in path.parent.iterdir() if p.is_file()] == [path.name]


@pytest.mark.parametrize("shape", [(48, 64), (37, 53)])
@pytest.mark.parametrize("colour", [(255, 0, 0), (0, 255, 0), (0, 0, 255), (200, 120, 90)])
def test_flat_colours_survive(tmp_path, shape, colour):
    picture = np.broadcast_to(np.array(colour, np.uint8), (*shape, 3))
    notes = write(tmp_path / "a.mp4", [picture] * 3)
    with FrameReader(tmp_path / "a.mp4") as reader:
        for frame in reader:
            assert frame.rgb.shape == picture.shape
            assert np.abs(frame.rgb.astype(int) - picture).max() <= 3
    assert len(notes) == (shape[1] % 2)
    with av.open(str(tmp_path / "a.mp4")) as container:
        context = container.streams.video[0].codec_context
        # H.273: 1 is BT.709; FFmpeg: 1 is limited range.
        assert (context.colorspace, context.color_primaries, context.color_range) == (1, 1, 1)
        assert context.pix_fmt == ("yuv444p" if notes else "yuv420p")


@pytest.mark.parametrize("seconds", [0.5, 2.0, 7.0])
def test_sound_is_as_long_as_the_picture(tmp_path, seconds):
    pictures = [numbered(i) for i in range(53)]
    write(tmp_path / "a.mp4", pictures, audio=beep(seconds, 0.1, 16_000))
    lengths = stream_seconds(tmp_path / "a.mp4")
    assert lengths["video"] == pytest.approx(53 / 25, abs=1e-3)
    assert lengths["audio"] == pytest.approx(53 / 25, abs=0.02)
    assert len(read_audio(tmp_path / "a.mp4")) == pytest.approx(53 * 640, abs=320)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("rate_hz", [32_000, 44_100, 48_000])
@pytest.mark.parametrize("num_frames", [1, 2, 7, 50, 53])
def test_what_is_decoded_is_as_long_as_the_picture(tmp_path, suffix, rate_hz, num_frames):
    path = tmp_path / f"a{suffix}"
    pictures = [numbered(0)] * num_frames
    write(path, pictures, audio=beep(3.0, 0.0, rate_hz), audio_rate_hz=rate_hz)
    assert len(read_audio(path)) == pytest.approx(num_frames * 640, abs=320)


class Pieces:
    """Sound in uneven pieces."""

    def __init__(self, samples, rate_hz):
        self.rate_hz, self.channels = rate_hz, samples.shape[1]
        self._samples = samples

    def __iter__(self):
        yield from np.array_split(self._samples, [10, 10, 4000, 47_000, 47_001])


def sound_of(path):
    """Samples (n, channels) and rate as PyAV alone decodes them."""
    with av.open(str(path)) as container:
        frames = list(container.decode(audio=0))
        return np.concatenate([f.to_ndarray() for f in frames], 1).T, frames[0].sample_rate


@pytest.mark.parametrize(
    ("rate_hz", "written_hz"),
    [(8_000, 48_000), (44_100, 44_100), (48_000, 48_000), (96_000, 96_000), (192_000, 48_000)],
)
@pytest.mark.parametrize("in_pieces", [False, True])
def test_stereo_and_rate_are_kept(tmp_path, rate_hz, written_hz, in_pieces):
    sides = np.stack([beep(2.0, at, rate_hz, length_s=0.5) for at in (0.4, 1.2)], axis=1)
    pictures = [numbered(0)] * 50
    path = tmp_path / "a.mp4"
    if in_pieces:
        write(path, pictures, audio=Pieces(sides, rate_hz))
    else:
        write(path, pictures, audio=sides, audio_rate_hz=rate_hz)
    samples, found_hz = sound_of(path)
    assert (samples.shape[1], found_hz) == (2, written_hz)
    for side, at_s in ((0, 0.4), (1, 1.2)):
        assert onset_s(samples[:, side], found_hz) == pytest.approx(at_s, abs=0.005)
        level = np.abs(samples[round((at_s + 0.1) * found_hz) :][: found_hz // 10, side]).max()
        assert level == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("preset", ["ultrafast", "medium"])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("rate_hz", [8_000, 44_100])
def test_flash_and_beep_stay_together(tmp_path, preset, suffix, rate_hz):
    """The offset after writing and reading is below half a frame (20 ms), at the end too."""
    for flash_frame in (10, 180):
        pictures = [numbered(0)] * 200
        pictures[flash_frame] = np.full_like(numbered(0), 255)
        sound = beep(8.0, flash_frame / 25, rate_hz)
        path = tmp_path / f"{flash_frame}{suffix}"
        write(path, pictures, audio=sound, audio_rate_hz=rate_hz, preset=preset)
        with FrameReader(path) as reader:
            means = [f.rgb.mean() for f in reader]
        assert int(np.argmax(means)) == flash_frame
        assert onset_s(read_audio(path)) - flash_frame / 25 == pytest.approx(0, abs=0.005)


def test_int16_and_float_sound_are_alike(tmp_path):
    sound = beep(1.0, 0.3, 16_000)
    pictures = [numbered(0)] * 25
    write(tmp_path / "a.mp4", pictures, audio=sound)
    write(tmp_path / "b.mp4", pictures, audio=np.round(sound * 32768).astype(np.int16))
    a, b = read_audio(tmp_path / "a.mp4"), read_audio(tmp_path / "b.mp4")
    np.testing.assert_allclose(a, b, atol=5e-3)
    assert np.abs(a).max() == pytest.approx(0.5, abs=0.05)


def test_without_sound_there_is_no_sound_track(tmp_path):
    write(tmp_path / "a.mp4", [numbered(3)] * 4)
    assert not probe(tmp_path / "a.mp4").has_audio


def test_a_failure_leaves_the_folder_as_it_was(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"what was there before")
    with pytest.raises(KeyError), VideoWriter(path, width=64, height=48) as writer:
        writer.write(numbered(0))
        raise KeyError
    assert path.read_bytes() == b"what was there before"
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(UserError, match="no frames"), VideoWriter(path, width=64, height=48):
        pass
    assert list(tmp_path.iterdir()) == [path]


def test_a_signal_while_the_file_is_finished_leaves_nothing(tmp_path, monkeypatch):
    def stopped(*paths):
        raise SystemExit(143)

    monkeypatch.setattr("talkjax.media.writer.os.replace", stopped)
    with pytest.raises(SystemExit):
        write(tmp_path / "a.mp4", [numbered(0)] * 3)
    assert list(tmp_path.iterdir()) == []


def test_a_finished_file_replaces_the_one_before_with_usual_rights(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"what was there before")
    (tmp_path / "plain").touch()
    write(path, [numbered(0)] * 3)
    assert probe(path).has_video
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("name", ["missing/a.mp4", "file/a.mp4", "folder.mp4", "a.txt", "a"])
def test_a_bad_target_fails_before_any_work(tmp_path, name):
    (tmp_path / "file").touch()
    (tmp_path / "folder.mp4").mkdir()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError) as caught:
        VideoWriter(tmp_path / name, width=64, height=48)
    assert str(tmp_path / name) in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_full_disk_is_an_error_and_leaves_nothing(tmp_path):
    """A limit on the size of files stands for the disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    noise = np.random.default_rng(0).integers(0, 255, (240, 320, 3), dtype=np.uint8)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(UserError, match=r"a\.mp4: writing failed"):
            write(tmp_path / "a.mp4", [noise] * 60)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_a_frame_of_another_size_is_refused(tmp_path):
    with (
        pytest.raises(ValueError, match="want \\[48, 64, 3\\]"),
        VideoWriter(tmp_path / "a.mp4", width=64, height=48) as writer,
    ):
        writer.write(numbered(0, width=66))
    assert list(tmp_path.iterdir()) == []
