"""Kept pictures are those that decoding gives, within the bound, and each is decoded once."""

import numpy as np
import pytest

from talkjax.data import kept, memory, pipeline
from talkjax.data.source import open_source
from talkjax.data.transforms import decode_frames
from talkjax.errors import UserError

TOY = "fake://4x20?size=32"
FRAME_BYTES = 32 * 32 * 3
SETTINGS = {
    "path": TOY,
    "split": "train",
    "sampler": "talking",
    "image_size": 32,
    "clip_frames": 5,
    "lip_radius_frames": 2,
    "mel_frames": 16,
    "audio_shift_frames": -2,
    "flip": True,
    "reference": "any",
    "reference_min_gap_frames": 0,
    "pose_gap_frames": 0,
    "read_threads": 2,
    "read_ahead_mb": 8.0,
    "keep_decoded_mb": 0.0,
}


class Counting:
    """`decode_frames` that notes what it was asked for."""

    def __init__(self):
        self.decoded: list[tuple[str, int]] = []

    def __call__(self, record, indices, *, size_px):
        self.decoded += [(record.clip_id, int(index)) for index in indices]
        return decode_frames(record, indices, size_px=size_px)


def _keeper(budget_bytes, *, size_px=32):
    decode = Counting()
    source = open_source(TOY, "train")
    return (
        kept.Keeper(source, size_px=size_px, budget_bytes=budget_bytes, decode=decode),
        source,
        decode,
    )


@pytest.mark.parametrize("size_px", [32, 20])
def test_kept_pictures_are_the_decoded_ones_each_decoded_once(size_px):
    keeper, source, decode = _keeper(10**6, size_px=size_px)
    rng = np.random.default_rng(0)
    for _ in range(20):
        wanted = rng.integers(0, 20, size=9)
        np.testing.assert_array_equal(
            keeper[1].pictures(wanted), decode_frames(source[1], wanted, size_px=size_px)
        )
    assert len(decode.decoded) == len(set(decode.decoded)) <= 20


def test_the_last_few_frames_of_a_clip_come_together():
    keeper, _, decode = _keeper(10**6)
    keeper[0].pictures(np.arange(14))
    keeper[0].pictures(np.array([3, 4, 5, 14, 5, 3]))  # six are missing: no more than asked for
    assert len(decode.decoded) == 20
    keeper[0].pictures(np.arange(20))
    assert len(decode.decoded) == 20


def test_a_changed_copy_leaves_the_kept_pictures_alone():
    keeper, _, _ = _keeper(10**6)
    wanted = np.array([2, 3])
    keeper[0].pictures(wanted)[:] = 0
    assert keeper[0].pictures(wanted).any()


def test_clips_beyond_the_bound_are_read_as_ever():
    keeper, _, _ = _keeper(2 * 20 * FRAME_BYTES + 1)
    kinds = [type(keeper[index]) for index in (2, 0, 1, 3, 2, 0)]
    assert [kind is kept.KeptClip for kind in kinds] == [True, True, False, False, True, True]


@pytest.mark.parametrize("keep_decoded_mb", [0.06, 1.0])
def test_keeping_changes_no_batch(keep_decoded_mb):
    plain = pipeline.make_train(SETTINGS, batch_size=4, seed=3)
    keeping = pipeline.make_train(
        SETTINGS | {"keep_decoded_mb": keep_decoded_mb}, batch_size=4, seed=3
    )
    for _ in range(6):
        ours, theirs = next(keeping), next(plain)
        assert ours.keys() == theirs.keys()
        for name, array in ours.items():
            np.testing.assert_array_equal(array, theirs[name])
    plain.close()
    keeping.close()


def test_a_negative_bound_is_refused():
    without = {key: value for key, value in SETTINGS.items() if key != "keep_decoded_mb"}
    with pytest.raises(UserError, match="keep_decoded_mb"):
        pipeline.make_train(without, batch_size=4, seed=3)
    with pytest.raises(UserError, match=r"data\.keep_decoded_mb: got -1"):
        pipeline.make_train(SETTINGS | {"keep_decoded_mb": -1}, batch_size=4, seed=3)


def test_memory_is_kept_where_there_is_glibc_and_nowhere_else(monkeypatch):
    tuned = memory.keep_freed_memory.__wrapped__
    monkeypatch.setattr(memory.platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr(memory.ctypes, "CDLL", None)  # not asked
    assert tuned() is False
