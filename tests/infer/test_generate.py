import dataclasses

import cv2
import numpy as np
import pytest
import simplejpeg

from talkjax.errors import UserError
from talkjax.infer import generate, scan
from talkjax.infer.predict import Predictor
from talkjax.media.align import bounds_in_source, crop
from talkjax.media.audio import read_audio
from talkjax.media.paste import paste
from talkjax.media.video import FrameReader, VideoWriter, ping_pong_index, probe
from talkjax.ops import geometry
from tests.infer import stub
from tests.infer.conftest import HEIGHT, WIDTH, KnowingDetector, frame
from tests.media.synthetic_media import beep, onset_s, write_video
from tests.media.test_audio import write_wav
from tests.media.test_soundtrack import write_channels

SETTINGS = generate.RenderSettings(reference="first", crf=18)


def _plan(path, speech, *, missing_face="error"):
    return scan.scan_face(
        path,
        KnowingDetector(),
        num_frames=speech.num_frames,
        size_px=stub.CROP_PX,
        smooth_sigma_frames=2.5,
        missing_face=missing_face,
        face_choice="largest",
    )


def _render(predictor, face, audio, out, *, missing_face="error", settings=SETTINGS):
    speech = scan.read_speech(audio)
    plan = _plan(face, speech, missing_face=missing_face)
    return generate.render(predictor, plan, speech, out=out, settings=settings)


@pytest.fixture
def written(monkeypatch):
    """The frames as they are handed to the encoder."""
    frames = []

    class Recorder(VideoWriter):
        def write(self, rgb):
            frames.append(rgb.copy())
            super().write(rgb)

    monkeypatch.setattr(generate, "VideoWriter", Recorder)
    return frames


def _source_frames(path):
    with FrameReader(path) as reader:
        return [f.rgb for f in reader]


@pytest.mark.parametrize("seconds", [0.3, 1.0, 1.37])
def test_the_output_lasts_as_long_as_the_sound(predictor, video, sound, tmp_path, seconds):
    out = tmp_path / "out.mp4"
    report = _render(predictor, video, sound(seconds), out)
    info = probe(out)
    assert abs(info.duration_s - seconds) <= 0.02 + 1e-6
    assert abs(len(read_audio(out)) / 16_000 - seconds) <= 0.02 + 1e-3
    assert (info.width, info.height) == (WIDTH, HEIGHT)
    assert info.average_fps == 25
    assert report.frames == round(seconds * 25 + 1e-9)
    assert report.seconds == pytest.approx(report.frames / 25)


@pytest.fixture
def driving(tmp_path):
    """`driving(kind)` -> a file of 2 s with a beep at 0.6 s by its clock."""

    def write(kind):
        if kind == "late":  # its first sample is at 0.5 s
            return write_video(
                tmp_path / "late.mp4",
                np.arange(50) / 25,
                audio=beep(1.5, 0.1, 48_000),
                audio_start_s=0.5,
            )
        if kind == "surround":
            channels = np.stack([beep(2.0, 0.6, 48_000)] * 6, axis=1)
            return write_channels(tmp_path / "surround.mkv", channels, "5.1")
        rate_hz, count = {"telephone": (8_000, 1), "stereo": (44_100, 2)}[kind]
        channels = np.stack([beep(2.0, 0.6, rate_hz)] * count, axis=1)
        return write_wav(tmp_path / f"{kind}.wav", channels, rate_hz)

    return write


@pytest.mark.parametrize(
    ("kind", "source", "written"),
    [
        ("telephone", (8_000, 1), (48_000, 1)),
        ("stereo", (44_100, 2), (44_100, 2)),
        ("surround", (48_000, 2), (48_000, 2)),
        ("late", (48_000, 1), (48_000, 1)),
    ],
)
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_the_driving_sound_is_heard_in_its_quality_and_at_its_place(
    predictor, video, driving, tmp_path, kind, source, written, suffix
):
    out = tmp_path / f"out{suffix}"
    report = _render(predictor, video, driving(kind), out)
    assert (report.audio_rate_hz, report.audio_channels) == source
    info = probe(out)
    assert (info.audio_rate_hz, info.audio_channels) == written
    heard = read_audio(out)
    assert onset_s(heard) == pytest.approx(0.6, abs=0.005)
    assert abs(len(heard) / 16_000 - report.seconds) <= 0.02
    assert report.seconds == 2.0


def _sharpness(rgb):
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return cv2.Laplacian(grey, cv2.CV_32F).std()


def test_the_model_sees_crops_as_sharp_as_those_it_was_trained_on(
    predictor, sound, tmp_path, monkeypatch
):
    rng = np.random.default_rng(0)
    face = tmp_path / "face.mkv"
    with VideoWriter(face, width=WIDTH, height=HEIGHT, crf=1) as writer:
        for _ in range(10):
            blurred = cv2.GaussianBlur(rng.normal(0, 180, [HEIGHT, WIDTH]), (0, 0), 1.2)
            grey = np.clip(128 + blurred, 0, 255).astype(np.uint8)
            writer.write(np.repeat(grey[:, :, None], 3, axis=2))
    seen = []

    def watched(rgb, generated, *where):
        seen.append(255 - generated)  # the model inverts what it sees
        return paste(rgb, generated, *where)

    monkeypatch.setattr(generate, "paste", watched)
    _render(predictor, face, sound(0.4), tmp_path / "out.mp4")
    plan = _plan(face, scan.read_speech(sound(0.4)))
    assert len(seen) == 10
    for fed, frame_rgb, place in zip(seen, _source_frames(face), plan.crop_to_source, strict=True):
        # As `talkjax prepare` writes a record and the pipeline reads it.
        cut = crop(frame_rgb, place, stub.CROP_PX)
        record = simplejpeg.encode_jpeg(cut, 95, "RGB", "444", fastdct=False)
        trained_on = simplejpeg.decode_jpeg(record, min_height=32, min_width=32)
        assert trained_on.shape == fed.shape
        assert _sharpness(fed) == pytest.approx(_sharpness(trained_on), rel=0.04)
        place = geometry.rescale_crops(place[None], from_px=stub.CROP_PX, to_px=stub.SIZE_PX)[0]
        assert _sharpness(crop(frame_rgb, place, stub.SIZE_PX)) < 0.9 * _sharpness(trained_on)


@pytest.mark.parametrize("batch_frames", [1, 3, 16])
def test_each_frame_gets_its_own_face_to_and_fro(
    monkeypatch, video, sound, tmp_path, written, batch_frames
):
    stub.install(monkeypatch)
    predictor = Predictor(stub.trained(), batch_frames=batch_frames)
    _render(predictor, video, sound(1.4), tmp_path / "out.mp4")
    sources = _source_frames(video)
    assert len(sources) == 11 and len(written) == 35
    order = [*range(11), *range(9, 0, -1), *range(11), *range(9, 5, -1)]
    assert [ping_pong_index(k, 11) for k in range(35)] == order
    for rgb, index in zip(written, order, strict=True):
        source = sources[index]
        # far from the face: the source's pixels; at the mouth: inverted
        np.testing.assert_array_equal(rgb[:20], source[:20])
        mouth = rgb[75, 80].astype(int)
        assert np.abs(mouth - (255 - source[75, 80].astype(int))).max() <= 2


def test_pixels_outside_the_mask_are_those_of_the_source(
    predictor, video, sound, tmp_path, written
):
    _render(predictor, video, sound(0.4), tmp_path / "out.mp4")
    plan = _plan(video, scan.read_speech(sound(0.4)))
    top, bottom, left, right = bounds_in_source(
        plan.crop_to_source[0], size_px=stub.CROP_PX, source_hw=(HEIGHT, WIDTH), margin_px=0.0
    )
    inside = np.zeros([HEIGHT, WIDTH], bool)
    # The mask begins at half of the crop's height.
    inside[(top + bottom) // 2 : bottom, left:right] = True
    for rgb, source in zip(written, _source_frames(video), strict=False):
        np.testing.assert_array_equal(rgb[~inside], source[~inside])
        assert (rgb[inside] != source[inside]).mean() > 0.5


def test_a_picture_stands_still_and_is_never_changed_twice(predictor, sound, tmp_path, written):
    from PIL import Image

    Image.fromarray(frame(3)).save(tmp_path / "face.png")
    report = _render(predictor, tmp_path / "face.png", sound(0.6), tmp_path / "out.mp4")
    assert report.source_frames == 1 and len(written) == 15
    for rgb in written:
        np.testing.assert_array_equal(rgb, written[0])
    np.testing.assert_array_equal(written[0][:20], frame(3)[:20])
    assert abs(int(written[0][75, 80, 0]) - (255 - (40 + 24))) <= 1


def test_a_video_without_a_face_for_a_while_passes_through(predictor, sound, tmp_path, written):
    face = tmp_path / "leaves.mp4"
    with VideoWriter(face, width=WIDTH, height=HEIGHT, crf=4) as writer:
        for number in range(30):
            rgb = frame(3)
            rgb[:16, :16] = 0 if 10 <= number < 20 else 220
            writer.write(rgb)
    with pytest.raises(UserError, match="no face in frames 10-19"):
        _render(predictor, face, sound(1.0), tmp_path / "out.mp4")
    assert not (tmp_path / "out.mp4").exists()
    report = _render(predictor, face, sound(1.0), tmp_path / "out.mp4", missing_face="pass")
    assert report.missing_face_s == ((0.4, 0.8),)
    assert report.unchanged_frames == 10
    sources = _source_frames(face)
    for index, rgb in enumerate(written):
        same = np.array_equal(rgb, sources[index])
        assert same == (10 <= index < 20)


def test_the_contact_sheet_is_written(predictor, video, sound, tmp_path):
    from PIL import Image

    settings = dataclasses.replace(SETTINGS, contact_sheet=tmp_path / "sheet.png")
    _render(predictor, video, sound(1.0), tmp_path / "out.mp4", settings=settings)
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width == 8 * 96 + 7 * 4


@pytest.mark.parametrize("broken", ["paste", "crop"])
def test_a_failing_run_leaves_nothing(predictor, video, sound, tmp_path, monkeypatch, broken):
    speech = scan.read_speech(sound(1.0))
    plan = _plan(video, speech)
    before = sorted(p.name for p in tmp_path.iterdir())
    calls = []

    def fails_later(*args, **kwargs):
        calls.append(1)
        if len(calls) > 12:
            raise OSError("disk on fire")
        return original(*args, **kwargs)

    original = getattr(generate, broken)
    monkeypatch.setattr(generate, broken, fails_later)
    with pytest.raises(OSError, match="disk on fire"):
        generate.render(predictor, plan, speech, out=tmp_path / "out.mp4", settings=SETTINGS)
    assert sorted(p.name for p in tmp_path.iterdir()) == before


def test_references_are_the_first_face_or_the_frame_itself(monkeypatch, video, sound, tmp_path):
    stub.install(monkeypatch)
    seen = []

    class Watching(Predictor):
        def stream(self, items):
            def watched():
                for item in items:
                    same = np.array_equal(item.reference_u8, item.frame_u8)
                    seen.append((int(item.reference_u8[0, 0, 0]), same))
                    yield item

            return super().stream(watched())

    predictor = Watching(stub.trained(), batch_frames=4)
    _render(predictor, video, sound(0.4), tmp_path / "a.mp4")
    levels = [level for level, _ in seen]
    assert len(set(levels)) == 1 and abs(levels[0] - 40) <= 2
    seen.clear()
    settings = dataclasses.replace(SETTINGS, reference="self")
    _render(predictor, video, sound(0.4), tmp_path / "b.mp4", settings=settings)
    assert all(same for _, same in seen)
    np.testing.assert_allclose([level for level, _ in seen], 40 + 8 * np.arange(10), atol=2)


def test_large_frames_make_the_batch_smaller():
    assert generate.batch_frames_for(360, 288, wanted=None) == generate.DEFAULT_BATCH_FRAMES
    assert generate.batch_frames_for(3840, 2160, wanted=None) == 1
    assert generate.batch_frames_for(3840, 2160, wanted=6) == 6


def test_stage_times_are_reported(predictor, video, sound, tmp_path):
    report = _render(predictor, video, sound(1.0), tmp_path / "out.mp4")
    assert list(report.stage_seconds) == ["decode", "crop", "predict", "paste", "encode"]
    assert all(0 <= spent <= report.wall_seconds for spent in report.stage_seconds.values())
