"""SyncNet's sampler: the right frames with the right sound, recompressed where asked for."""

import dataclasses

import numpy as np
import pytest

from talkjax.data import fake, pipeline, schema
from talkjax.data.jpeg import recompress
from talkjax.data.judge_windows import SyncMfcc
from talkjax.data.samplers import make_sampler
from talkjax.errors import UserError
from talkjax.ops.mfcc import mfcc

SAMPLER = SyncMfcc(
    image_size=16,
    clip_frames=5,
    mfcc_steps=20,
    windows_per_clip=3,
    flip=False,
    jpeg_quality=(100, 100),
)


def _heard(telltale, frames):
    """A telltale with a sound that differs everywhere."""
    noise = np.random.default_rng(0).normal(size=frames * 640) * 1000
    return dataclasses.replace(telltale(frames), audio_i16=noise.astype(np.int16))


def test_windows_are_distinct_and_each_has_its_own_sound(telltale, frame_numbers):
    record = _heard(telltale, 9)
    whole = mfcc(record.audio_i16)
    seen = set()
    for seed in range(60):
        example = SAMPLER(record, np.random.default_rng(seed))
        starts = example["start_frames"].tolist()
        assert len(set(starts)) == 3
        seen |= set(starts)
        for start, pictures, sound in zip(
            starts, example["frames_u8"], example["mfcc"], strict=True
        ):
            assert frame_numbers(pictures).tolist() == list(range(start, start + 5))
            np.testing.assert_array_equal(sound, whole[4 * start : 4 * start + 20].T)
    # the window that ends with the clip is not shown, as in SyncNet's evaluation
    assert seen == {0, 1, 2, 3}


def test_the_shortest_clip_gives_all_its_windows(telltale):
    record = _heard(telltale, SAMPLER.min_frames)
    example = SAMPLER(record, np.random.default_rng(0))
    assert sorted(example["start_frames"].tolist()) == [0, 1, 2]
    with pytest.raises(ValueError):
        SAMPLER(_heard(telltale, SAMPLER.min_frames - 1), np.random.default_rng(0))


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("jpeg_quality", [(100, 100), (20, 60)])
def test_examples_have_the_shapes_and_types_of_the_spec(telltale, flip, jpeg_quality):
    sampler = dataclasses.replace(SAMPLER, flip=flip, jpeg_quality=jpeg_quality)
    example = sampler(_heard(telltale, 20), np.random.default_rng(0))
    assert {k: (v.shape, v.dtype) for k, v in example.items()} == {
        k: (v.shape, v.dtype) for k, v in sampler.spec().items()
    }


def test_recompression_takes_detail_and_keeps_the_picture():
    toy = fake.parse("fake://1x20?size=64")
    record = fake.make_record(toy, "train", 0)
    plain = dataclasses.replace(SAMPLER, image_size=64)
    before = plain(record, np.random.default_rng(5))["frames_u8"].astype(float)
    errors = {}
    for quality in (15, 60):
        coarse = dataclasses.replace(plain, jpeg_quality=(quality, quality))
        after = coarse(record, np.random.default_rng(5))["frames_u8"]
        errors[quality] = np.sqrt(np.mean((after - before) ** 2))
    assert 0.5 < errors[60] < errors[15] < 20


def test_recompression_is_of_rgb():
    red = np.zeros((1, 16, 16, 3), np.uint8)
    red[..., 0] = 200
    assert np.abs(recompress(red, quality=90).astype(int) - red).max() < 8


@pytest.mark.parametrize("quality", [(0, 50), (60, 50), (50, 101)])
def test_qualities_that_make_no_sense_are_refused(quality):
    with pytest.raises(UserError, match=r"data\.jpeg_quality: got \("):
        dataclasses.replace(SAMPLER, jpeg_quality=quality)


def test_kept_clips_give_the_same_examples():
    settings = {field.name: getattr(SAMPLER, field.name) for field in dataclasses.fields(SAMPLER)}
    settings |= {"path": "fake://4x20?size=32", "split": "train", "sampler": "sync_mfcc"}
    settings |= {"read_threads": 0, "read_ahead_mb": 8.0}
    plain, keeping = (
        pipeline.make_train(settings | {"keep_decoded_mb": kept}, batch_size=4, seed=3)
        for kept in (0.0, 1.0)
    )
    for _ in range(4):
        ours, theirs = next(keeping), next(plain)
        for name, array in ours.items():
            np.testing.assert_array_equal(array, theirs[name])
    assert schema.SAMPLES_PER_FRAME == 640


def test_a_missing_setting_is_named():
    with pytest.raises(UserError, match=r"data\.mfcc_steps: is missing"):
        make_sampler({"sampler": "sync_mfcc", "image_size": 16, "clip_frames": 5})
