"""`talkjax inspect clip`: what the picture shows is what the record says, at its time."""

import dataclasses
import json

import av
import numpy as np
import pytest
from PIL import Image

from data_prep.synthetic.phones import PHONES
from talkjax import cli
from talkjax.commands import inspect_clip
from talkjax.data import fake
from talkjax.errors import UserError
from talkjax.evals import landmarks
from talkjax.infer import clip_picture
from talkjax.infer.clip_picture import LEFT_PX, RIGHT_PX, ClipView, Stretch
from talkjax.media.video import VideoWriter

TOY = "fake://2x30?size=64"


@pytest.fixture
def record():
    """A toy with everything that a clip can be known to have, 30 frames."""
    toy = fake.make_record(fake.parse(TOY), "test", 0)
    labels = dict(toy.labels) | {
        "phone_times_s": np.array([(0.0, 0.2), (0.2, 0.4), (0.4, 0.7), (0.7, 1.2)]),
        "blink": np.zeros(30),
        "head_pose": np.zeros((30, 6)),
    }
    return dataclasses.replace(toy, labels=labels, texts={"phones": "_ m a _", "transcript": "ma"})


@pytest.fixture
def brightness_opens(monkeypatch):
    """dlib is a reader of brightness: the opening is a frame's mean level over 100."""

    def track(frames_u8):
        points = np.zeros((len(frames_u8), 68, 2))
        points[:, 42:48, 0] = 1.0
        points[:, 54, 0] = 0.5
        points[:, 66, 1] = frames_u8.mean(axis=(1, 2, 3)) / 100
        return points

    monkeypatch.setattr(landmarks, "dlib_landmarks", track)


def inspect(*flags):
    return cli.main(["inspect", "clip", *map(str, flags)])


def grey_video(path, levels, *, width, height):
    with VideoWriter(path, width=width, height=height, crf=4) as writer:
        for level in levels:
            writer.write(np.full([height, width, 3], level, np.uint8))
    return path


def view_of_levels(levels, **rest):
    """A view whose frame f is a square of grey `levels[f]`."""
    pictures = np.repeat(np.asarray(levels, np.uint8), 16 * 16 * 3).reshape(-1, 16, 16, 3)
    empty = {"title": "a clip", "phones": (), "words": (), "shaded": (), "curves": {}}
    view = {"rows": {"face": pictures}, "audio": np.zeros(640 * len(levels), np.float32)}
    return ClipView(**{**empty, **view, **rest})


def test_a_clip_becomes_a_picture_and_what_it_lacks_is_said(tmp_path, capsys):
    out = tmp_path / "strip.png"
    assert inspect(TOY, "--clip", "toy/train-00001", "--out", out) == 0
    with Image.open(out) as picture:
        assert picture.width == 1600
        assert np.asarray(picture).std() > 20
    printed = capsys.readouterr().out
    assert "toy/train-00001 (train), 30 frames" in printed
    assert "not in this data set: phones with times, blinks, head pose" in printed
    assert f"wrote {out}" in printed
    assert [path.name for path in tmp_path.iterdir()] == ["strip.png"]


def test_without_a_name_it_is_the_first_clip_of_the_test_split(tmp_path, capsys):
    assert inspect(TOY, "--out", tmp_path / "a.jpg", "--json", "--seconds", 0.4) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["clip"], facts["split"]) == ("toy/test-00000", "test")
    assert facts["frames_shown"] == [0, 10]
    with Image.open(tmp_path / "a.jpg") as picture:
        assert picture.format == "JPEG"


def test_all_that_is_known_is_in_the_view(record, monkeypatch):
    monkeypatch.setattr(landmarks, "dlib_landmarks", None)  # nothing is left to measure
    view, facts = inspect_clip.look(record, inspect_clip.decoded(record))
    assert facts["missing"] == [] and facts["opening_correlation"] == {}
    assert {name: set(kinds) for name, kinds in view.curves.items()} == {
        name: {"known"} for name in ("opening", "width", "blink", "pitch")
    }
    np.testing.assert_array_equal(view.curves["opening"]["known"], record.labels["lip_opening"])
    assert view.phones == ((0.0, 0.2, "_"), (0.2, 0.4, "m"), (0.4, 0.7, "a"), (0.7, 1.2, "_"))
    assert view.shaded == [(0.2, 0.4, "m")]
    assert "ma" in view.title
    assert view.rows["face"].shape == (30, 64, 64, 3)
    # The mouth's part of a crop: rows 0.5 to 0.875, columns 0.25 to 0.75.
    np.testing.assert_array_equal(view.rows["mouth"], view.rows["face"][:, 32:56, 16:48])


def test_lips_that_are_not_known_are_measured(record, brightness_opens):
    bare = dataclasses.replace(record, labels={}, texts={})
    frames_u8 = inspect_clip.decoded(bare)
    view, facts = inspect_clip.look(bare, frames_u8)
    wanted = frames_u8.mean(axis=(1, 2, 3)) / 100
    np.testing.assert_allclose(view.curves["opening"]["measured"], wanted)
    assert set(view.curves["opening"]) == {"measured"} and not view.curves["blink"]
    assert facts["missing"][:2] == ["phones with times", "true lip opening"]


def test_known_lips_are_measured_when_asked_and_compared(record, brightness_opens):
    levels = 100 * record.labels["lip_opening"]
    frames_u8 = np.broadcast_to(levels[:, None, None, None], (30, 64, 64, 3)).astype(np.uint8)
    view, facts = inspect_clip.look(record, frames_u8, measure=True)
    assert set(view.curves["opening"]) == {"known", "measured"}
    assert facts["opening_correlation"]["measured with known"] > 0.99


def test_generated_crops_stand_beside_the_true_ones(record, brightness_opens, tmp_path):
    levels = np.linspace(200, 40, 20).astype(int)
    video = grey_video(tmp_path / "made.mp4", levels, width=96, height=96)
    crops_u8, covered = inspect_clip.generated_frames(video, record)
    assert covered == 20 and crops_u8.shape == (30, 64, 64, 3)
    np.testing.assert_allclose(crops_u8[:20].mean(axis=(1, 2, 3)), levels, atol=4)
    assert not crops_u8[20:].any()
    frames_u8 = inspect_clip.decoded(record)
    view, facts = inspect_clip.look(record, frames_u8, generated=(crops_u8, covered))
    assert list(view.rows) == ["face", "mouth", "generated mouth"]
    shown = view.curves["opening"]["generated"]
    np.testing.assert_allclose(shown[:20], levels / 100, atol=0.04)
    assert np.isnan(shown[20:]).all()
    wanted = np.corrcoef(shown[:20], record.labels["lip_opening"][:20])[0, 1]
    assert facts["opening_correlation"] == {"generated with known": pytest.approx(wanted)}


def test_a_video_of_the_sources_size_is_cropped_at_the_clips_times(record, tmp_path):
    # The clip is frames 3 .. 32 of a 160x120 source, its crop the right half of the picture.
    matrix = np.array([[1.0, 0, 90], [0, 1.0, 30]], np.float32)
    part = dataclasses.replace(
        record,
        source_hw=(120, 160),
        frame_times_s=(np.arange(30) + 3) / 25,
        crop_to_source=np.tile(matrix, (30, 1, 1)),
    )
    path = tmp_path / "whole.mp4"
    with VideoWriter(path, width=160, height=120, crf=4) as writer:
        for number in range(36):
            rgb = np.full([120, 160, 3], 255, np.uint8)
            rgb[:, 80:] = 20 + 5 * number
            writer.write(rgb)
    crops_u8, covered = inspect_clip.generated_frames(path, part)
    assert covered == 30
    wanted = 20 + 5 * (np.arange(30) + 3)
    np.testing.assert_allclose(crops_u8.mean(axis=(1, 2, 3)), wanted, atol=4)


def test_the_whole_command_with_generated_frames(tmp_path, brightness_opens, capsys):
    video = grey_video(tmp_path / "made.mp4", range(40, 100, 2), width=64, height=64)
    assert inspect(TOY, "--video", video, "--measure", "--out", tmp_path / "a.png") == 0
    printed = capsys.readouterr().out
    assert "lip opening, measured with known: r " in printed
    assert "lip opening, generated with known: r " in printed


def test_pictures_stand_at_their_times(tmp_path):
    levels = np.arange(30) * 8
    stretch = Stretch(5, 25, every=4, width_px=800)
    clip_picture.save(tmp_path / "a.png", view_of_levels(levels), stretch)
    with Image.open(tmp_path / "a.png") as picture:
        row = np.asarray(picture.convert("L"))[clip_picture.TOP_PX + 20].astype(int)
    assert stretch.frames() == [7, 11, 15, 19, 23]
    slot_px = (800 - LEFT_PX - RIGHT_PX) / 5
    for number, frame in enumerate(stretch.frames()):
        assert row[LEFT_PX + int((number + 0.5) * slot_px)] == levels[frame]


def test_as_many_pictures_as_there_is_room_for():
    assert len(Stretch(0, 75, None, 1600).frames()) == 15
    assert Stretch(0, 3, None, 1600).frames() == [0, 1, 2]
    assert Stretch(0, 3, 9, 1600).frames() == [1]
    gaps = np.diff(Stretch(10, 200, None, 1600).frames())
    assert gaps.min() >= gaps.max() - 1


def test_a_curve_is_drawn_where_and_when_it_rises(tmp_path):
    rise = np.where(np.arange(50) < 25, 0.0, 0.4)
    view = view_of_levels(np.full(50, 255), curves={"opening": {"known": rise}})
    clip_picture.save(tmp_path / "a.png", view, Stretch(0, 50, None, 900))
    with Image.open(tmp_path / "a.png") as picture:
        rgb = np.asarray(picture).astype(int)
    blue = (rgb[:, :, 2] - rgb[:, :, 0] > 60) & (np.arange(900)[None] < 700)
    rows, columns = np.nonzero(blue)
    middle = LEFT_PX + (900 - LEFT_PX - RIGHT_PX) // 2
    assert rows[columns > middle + 15].max() < rows[columns < middle - 15].min()


def test_panels_that_have_nothing_to_show_take_no_room(tmp_path, record):
    def height(view):
        clip_picture.save(tmp_path / "a.png", view, Stretch(0, 30, None, 800))
        with Image.open(tmp_path / "a.png") as picture:
            return picture.height

    full, _ = inspect_clip.look(record, inspect_clip.decoded(record))
    less = dataclasses.replace(full, phones=(), curves={"opening": full.curves["opening"]})
    assert height(less) < height(full) - 180


def test_every_phone_can_be_written():
    for label in PHONES:
        assert "□" not in clip_picture.printable(label), label
    assert clip_picture.printable("ɪ t̪") == "ɪ t̪"


def test_what_the_font_lacks_is_a_box_and_no_warning(tmp_path):
    assert clip_picture.printable("a 你") == "a □"
    view = view_of_levels(np.zeros(10), title="你好", words=((0.0, 0.4, "你"),))
    clip_picture.save(tmp_path / "a.png", view, Stretch(0, 10, None, 800))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--out", "a.png"], "DATA and --out"),
        ([TOY], "DATA and --out"),
        ([TOY, "--out", "a.gif"], "a.gif: want a name that ends in .png or .jpg"),
        ([TOY, "--out", "none/a.png"], "none/a.png: its folder does not exist"),
        ([TOY, "--out", "none/a.jpg"], "none/a.jpg: its folder does not exist"),
        ([TOY, "--out", "a.png", "--clip", "x"], "no clip 'x' in any split; its clips are toy/t"),
        ([TOY, "--out", "a.png", "--clip", "x", "--split", "val"], "in split 'val'"),
        ([TOY, "--out", "a.png", "--start", "5"], "toy/test-00000 lasts 1.20 s"),
        ([TOY, "--out", "a.png", "--start", "-1"], "want two frames and more"),
        ([TOY, "--out", "a.png", "--seconds", "0"], "want two frames and more"),
        ([TOY, "--out", "a.png", "--every", "0"], "--every 0: want 1 or more"),
        ([TOY, "--out", "a.png", "--width", "100"], "--width 100: want at least 400"),
        ([TOY, "--out", "a.png", "--video", "none.mp4"], "none.mp4"),
        (["nowhere", "--out", "a.png"], "nowhere: no such folder"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(flags, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert inspect(*flags) == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_video_of_another_shape_is_refused(record, tmp_path):
    video = grey_video(tmp_path / "wide.mp4", [50] * 5, width=96, height=64)
    with pytest.raises(UserError, match="is 96x64, want 64x64 as the source of toy/test-00000"):
        inspect_clip.generated_frames(video, record)


def test_a_video_that_ends_before_the_clip_begins_is_refused(record, tmp_path):
    later = dataclasses.replace(record, frame_times_s=np.arange(30) / 25 + 9)
    video = grey_video(tmp_path / "short.mp4", [50] * 5, width=64, height=64)
    with pytest.raises(UserError, match="has no frames of toy/test-00000"):
        inspect_clip.generated_frames(video, later)


def test_a_sound_is_no_video(record, tmp_path):
    with av.open(str(tmp_path / "a.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=16_000, layout="mono")
        chunk = av.AudioFrame.from_ndarray(np.zeros((1, 640), np.int16), "s16", "mono")
        chunk.sample_rate = 16_000
        container.mux(stream.encode(chunk))
        container.mux(stream.encode(None))
    with pytest.raises(UserError, match="no video stream"):
        inspect_clip.generated_frames(tmp_path / "a.wav", record)


@pytest.mark.parametrize("what", ["memory", "weights"])
def test_what_is_trained_needs_a_checkpoint(what, capsys):
    assert cli.main(["inspect", what, "--data", TOY, "--out", "x"]) == 2
    assert f"inspect {what}: --checkpoint is needed" in capsys.readouterr().err
