"""Frames to and fro: order, bounded memory, pictures."""

import itertools

import numpy as np
import PIL.Image
import pytest

from talkjax.media import pingpong
from talkjax.media.video import FrameReader, PingPongFrames
from tests.media.synthetic_media import number_of, numbered, write_video

FRAME_BYTES = 64 * 48 * 3


def to_and_fro(count):
    there = list(range(count))
    return itertools.cycle(there + there[-2:0:-1])


@pytest.mark.parametrize("count", [1, 2, 3, 30])
@pytest.mark.parametrize("memory_frames", [2, 7, 1000])
def test_order_is_to_and_fro_without_a_repeated_turn(tmp_path, count, memory_frames):
    options = {"preset": "veryfast", "crf": "8", "g": "8", "bf": "2"}
    path = write_video(tmp_path / "a.mp4", np.arange(count) / 25, options=options)
    wanted = list(itertools.islice(to_and_fro(count), 100))
    with PingPongFrames(path, 100, memory_bytes=memory_frames * FRAME_BYTES) as frames:
        got = list(frames)
        assert [f.index for f in got] == wanted
        assert [number_of(f.rgb) for f in got] == wanted
        assert frames.source_frames == count


def test_backward_frames_are_those_of_forward_reading(tmp_path):
    path = write_video(
        tmp_path / "a.mp4", np.arange(60) / 25, options={"preset": "veryfast", "g": "25"}
    )
    with FrameReader(path) as reader:
        plain = [f.rgb for f in reader]
    with PingPongFrames(path, 150, memory_bytes=9 * FRAME_BYTES) as frames:
        for frame in frames:
            np.testing.assert_array_equal(frame.rgb, plain[frame.index])


def test_what_the_receiver_draws_does_not_come_back(tmp_path):
    path = write_video(tmp_path / "a.mp4", np.arange(4) / 25)
    with PingPongFrames(path, 20) as frames:
        for position, frame in enumerate(frames):
            assert number_of(frame.rgb) == frame.index, position
            frame.rgb[:] = 255


@pytest.mark.parametrize(
    "name",
    [
        "bad/corrupt_middle.mp4",
        "bad/negative_start.mkv",
        "bad/fps_23976.mp4",
        "bad/edit_list_skips_0.5s.mp4",
        "public/grid_s1/lbbq9s.mpg",
    ],
)
def test_shared_videos_go_backward_through_the_same_frames(shared, name):
    path = shared / "data" / name
    with FrameReader(path) as reader:
        plain = [f.rgb for f in reader]
    with PingPongFrames(path, 150, memory_bytes=20 * 360 * 288 * 3) as frames:
        for position, frame in enumerate(frames):
            assert frame.index == pingpong.ping_pong_index(position, len(plain))
            np.testing.assert_array_equal(frame.rgb, plain[frame.index])


def test_no_more_than_the_budget_is_held(tmp_path, monkeypatch):
    path = write_video(tmp_path / "a.mp4", np.arange(80) / 25)
    sizes = []

    class Watched(pingpong.collections.deque):
        def extend(self, items):
            super().extend(items)
            sizes.append(len(self))

        def append(self, item):
            super().append(item)
            sizes.append(len(self))

    monkeypatch.setattr(pingpong.collections, "deque", Watched)
    with PingPongFrames(path, 400, memory_bytes=10 * FRAME_BYTES) as frames:
        assert sum(1 for _ in frames) == 400
    assert max(sizes) == 10


@pytest.mark.parametrize(
    ("width", "height", "frames"), [(360, 288, 107), (1920, 1080, 6), (3840, 2160, 6)]
)
def test_a_turn_holds_32_mib_or_six_frames(width, height, frames):
    held = pingpong.chunk_frames(3 * width * height, pingpong.MEMORY_BYTES)
    assert held == frames


def test_a_longer_video_is_cut(tmp_path):
    path = write_video(tmp_path / "a.mp4", np.arange(30) / 25)
    with PingPongFrames(path, 12) as frames:
        assert [f.index for f in frames] == list(range(12))


def test_a_picture_is_a_video_of_one_frame(tmp_path):
    PIL.Image.fromarray(numbered(17)).save(tmp_path / "face.of.me.png")
    with PingPongFrames(tmp_path / "face.of.me.png", 5) as frames:
        got = list(frames)
    assert [f.index for f in got] == [0] * 5
    assert all(number_of(f.rgb) == 17 for f in got)


def test_an_animation_gives_its_first_frame_and_a_note(shared):
    with PingPongFrames(shared / "data/bad/animated.gif", 3) as frames:
        got = list(frames)
        assert any("12 frames; the first is used" in note for note in frames.notes)
    np.testing.assert_array_equal(got[0].rgb, got[2].rgb)
