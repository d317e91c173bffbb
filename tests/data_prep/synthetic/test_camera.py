"""Records of a hand-made performance drawn by a toy: geometry, labels, what has to be drawn."""

import dataclasses
import json
import wave

import numpy as np
import pytest
import simplejpeg

from data_prep.layouts import Clip
from data_prep.synthetic.camera import lip_measures, locate, make_record
from data_prep.synthetic.performance import Performance, covering, stressed_times_s
from data_prep.synthetic.phones import PAUSE, Phone
from data_prep.synthetic.settings import CorpusSettings
from data_prep.synthetic.videos import SUFFIXES, publish, write_clip
from talkjax.data import schema
from talkjax.media.audio import read_audio
from talkjax.media.reader import FrameReader
from talkjax.ops import geometry

FRAMES = 12
SETTINGS = CorpusSettings(clips=3, size_px=64)
CLIP = Clip("face/000000", root="", source="synthetic", identity="face", split="train")
EYES_Y, EYE_LEFT_X, EYE_RIGHT_X = 0.4, 0.4, 0.6
MOUTH_Y, MOUTH_HALF = 0.64, 0.06


class ToyRenderer:
    """Two eyes and a mouth whose places are known; the picture is a ramp of x and y."""

    def landmarks(self, articulation, head_pose, blink, expression, *, source_px):
        points = np.zeros((len(articulation), 68, 2))
        for eye, x in ((slice(36, 42), EYE_LEFT_X), (slice(42, 48), EYE_RIGHT_X)):
            points[:, eye] = [x, EYES_Y]
        for outer, inner, x, out in ((36, 39, EYE_LEFT_X, -0.03), (45, 42, EYE_RIGHT_X, 0.03)):
            points[:, outer, 0], points[:, inner, 0] = x + out, x - out
        points[:, 33] = [0.5, 0.52]
        points[:, 48], points[:, 54] = [0.5 - MOUTH_HALF, MOUTH_Y], [0.5 + MOUTH_HALF, MOUTH_Y]
        points[:, 62] = points[:, 66] = [0.5, MOUTH_Y]
        points[:, 66, 1] += 0.1 * articulation[:, 1]
        points[:, :, 0] += head_pose[:, 3, None] * 0.2
        return (points * source_px - 0.5).astype(np.float32)

    def render(self, articulation, head_pose, blink, expression, *, source_px, view, size_px):
        grid = np.stack(np.meshgrid(np.arange(size_px), np.arange(size_px)), axis=-1)
        place = geometry.transform_points(view.astype(np.float64), grid.astype(np.float64))
        ramp = np.clip(255 * (place + 0.5) / source_px, 0, 255)
        blue = np.full((size_px, size_px, 1), 255 * articulation[1])
        return np.concatenate([ramp, blue], axis=-1).astype(np.uint8)


@pytest.fixture
def performance():
    opening = np.linspace(0, 1, FRAMES, dtype=np.float32)
    articulation = np.zeros((FRAMES, 8), np.float32)
    articulation[:, 1] = opening
    pose = np.zeros((FRAMES, 6), np.float32)
    pose[:, 3] = np.linspace(0, 0.2, FRAMES)
    time_s = np.arange(FRAMES * 640) / 16000
    return Performance(
        audio_i16=np.round(8000 * np.sin(2 * np.pi * 200 * time_s)).astype(np.int16),
        phones=(Phone(PAUSE, 0.0, 0.1), Phone("a", 0.1, 0.4, 2), Phone(PAUSE, 0.4, 0.48)),
        words=((0.1, 0.4, "ah"),),
        articulation=articulation,
        head_pose=pose,
        blink=np.zeros(FRAMES, np.float32),
        expression=np.zeros((FRAMES, 3), np.float32),
        texts={"transcript": "ah", "phones": "_ a _", "language": "en"},
    )


def test_the_record_is_valid_and_keeps_every_label(performance):
    record = make_record(CLIP, performance, ToyRenderer(), SETTINGS)
    read = schema.decode(schema.encode(record))
    assert read.num_frames == FRAMES and read.source_hw == (128, 128) and read.size_px == 64
    assert read.words == performance.words and read.texts == performance.texts
    shapes = {name: values.shape for name, values in read.labels.items()}
    assert shapes == {
        "articulation": (FRAMES, 8),
        "head_pose": (FRAMES, 6),
        "blink": (FRAMES,),
        "expression": (FRAMES, 3),
        "lip_opening": (FRAMES,),
        "lip_width": (FRAMES,),
        "landmarks68_xy_px": (FRAMES, 68, 2),
        "phone_times_s": (3, 2),
    }
    assert len(read.texts["phones"].split()) == len(read.labels["phone_times_s"])
    np.testing.assert_array_equal(read.labels["phone_times_s"][1], [0.1, 0.4])


def test_eyes_lie_where_the_crop_geometry_says_and_the_head_moves_in_the_source(performance):
    record = make_record(CLIP, performance, ToyRenderer(), SETTINGS)
    eyes = geometry.eye_centres(record.landmarks_xy_px)
    want = np.array([[0.5 - 1 / 6, 0.28], [0.5 + 1 / 6, 0.28]]) * 64 - 0.5
    # The head moves at a constant speed, which smoothing follows exactly.
    np.testing.assert_allclose(eyes, np.tile(want, (FRAMES, 1, 1)), atol=0.01)
    moved_px = record.box_xyxy_px[-1, 0] - record.box_xyxy_px[0, 0]
    assert moved_px == pytest.approx(0.2 * 0.2 * 128, abs=0.01)


def test_lip_labels_are_those_of_the_known_points(performance):
    record = make_record(CLIP, performance, ToyRenderer(), SETTINGS)
    # The mouth opens by up to 0.1 of the picture, and the eyes are 0.2 of it apart.
    np.testing.assert_allclose(
        record.labels["lip_opening"], 0.5 * performance.articulation[:, 1], atol=1e-3
    )
    np.testing.assert_allclose(record.labels["lip_width"], 2 * MOUTH_HALF / 0.2, rtol=1e-3)


def test_lip_measures_go_by_the_clips_median_eye_distance():
    points = np.zeros((3, 68, 2))
    points[:, 42:48, 0] = np.array([10.0, 20.0, 40.0])[:, None]  # the distance of the eyes
    points[:, 66, 1], points[:, 54, 0] = 4.0, 6.0
    opening, width = lip_measures(points)
    np.testing.assert_allclose(opening, [0.2] * 3, rtol=1e-6)
    np.testing.assert_allclose(width, [0.3] * 3, rtol=1e-6)


def test_frames_are_drawn_through_the_crops_own_transform(performance):
    record = make_record(CLIP, performance, ToyRenderer(), SETTINGS)
    for frame in (0, FRAMES - 1):
        drawn = simplejpeg.decode_jpeg(record.frames_jpeg[frame], "RGB")
        middle = geometry.transform_points(
            record.crop_to_source[frame].astype(np.float64), np.array([31.5, 31.5])
        )
        np.testing.assert_allclose(drawn[31:33, 31:33, :2].mean((0, 1)) / 2, middle, atol=1.5)
    assert drawn[..., 2].mean() == pytest.approx(255, abs=3)


def test_locate_needs_no_drawing(performance):
    class Blind(ToyRenderer):
        def render(self, *args, **kwargs):
            raise AssertionError("drawn")

    found = locate(performance, Blind(), SETTINGS)
    assert found.landmarks68_xy_px.shape == (FRAMES, 68, 2)


def test_videos_hold_the_whole_picture_the_sound_and_every_label(performance, tmp_path):
    part = tmp_path / "part"
    write_clip(part, CLIP, performance, ToyRenderer(), SETTINGS)
    publish(part, tmp_path / "out", CLIP)
    place = tmp_path / "out" / CLIP.clip_id
    assert not list(tmp_path.glob("part*"))
    assert sorted(path.suffix for path in place.parent.iterdir()) == sorted(SUFFIXES)
    with FrameReader(place.with_suffix(".mp4")) as reader:
        frames = [frame.rgb for frame in reader]
    assert len(frames) == FRAMES and frames[0].shape == (128, 128, 3)
    np.testing.assert_allclose(frames[0][64, :, 0], np.arange(128) * 2, atol=12)
    with wave.open(str(place.with_suffix(".wav"))) as file:
        samples = np.frombuffer(file.readframes(-1), "<i2")
        assert (file.getframerate(), file.getnchannels()) == (16000, 1)
    np.testing.assert_array_equal(samples, performance.audio_i16)
    heard = read_audio(place.with_suffix(".mp4"))
    assert np.corrcoef(heard[2000:6000], samples[2000:6000])[0, 1] > 0.95
    known = json.loads(place.with_suffix(".json").read_text())
    assert known["split"] == "train" and known["phones"][1] == ["a", 0.1, 0.4, 2]
    assert np.shape(known["labels"]["landmarks68_xy_px"]) == (FRAMES, 68, 2)
    np.testing.assert_allclose(
        np.array(known["labels"]["landmarks68_xy_px"])[0, 36],
        [(EYE_LEFT_X - 0.03) * 128 - 0.5, EYES_Y * 128 - 0.5],
        atol=0.01,
    )


def test_phones_are_stretched_to_cover_the_clip():
    spoken = (Phone("a", 0.2, 0.3, 2), Phone("b", 0.3, 0.4))
    covered = covering(spoken, 1.0)
    assert [(p.label, p.start_s, p.end_s) for p in covered] == [
        (PAUSE, 0.0, 0.2),
        ("a", 0.2, 0.3),
        ("b", 0.3, 0.4),
        (PAUSE, 0.4, 1.0),
    ]
    with_pauses = (Phone(PAUSE, 0.1, 0.2), *spoken, Phone(PAUSE, 0.4, 0.6))
    assert covering(with_pauses, 1.0) == covered
    assert covering(covered, 1.0) == covered


def test_stressed_times_are_the_middles_of_primary_stress():
    phones = (Phone("a", 0.2, 0.4, 2), Phone("b", 0.4, 0.5), Phone("ə", 0.5, 0.6, 1))
    np.testing.assert_allclose(stressed_times_s(phones), [0.3])


def test_equal_performances_give_equal_bytes_and_others_do_not(performance):
    def encoded(value):
        return schema.encode(make_record(CLIP, value, ToyRenderer(), SETTINGS))

    again = dataclasses.replace(performance, blink=performance.blink.copy())
    assert encoded(performance) == encoded(again)
    other = dataclasses.replace(performance, blink=performance.blink + 0.5)
    assert encoded(performance) != encoded(other)
