"""Windows: the right frames with the right sound, and no more decoding than they need."""

import dataclasses

import numpy as np
import pytest
import simplejpeg

from talkjax.data import transforms
from talkjax.data.samplers import make_sampler
from talkjax.data.transforms import Sync, Talking, decode_frames
from talkjax.errors import UserError
from talkjax.ops.mel import mel_start

TALKING = Talking(
    image_size=16,
    clip_frames=5,
    lip_radius_frames=2,
    mel_frames=16,
    audio_shift_frames=-2,
    flip=False,
    reference="any",
    reference_min_gap_frames=0,
    pose_gap_frames=0,
)
SYNC = Sync(
    image_size=16,
    clip_frames=5,
    mel_frames=16,
    windows_per_clip=3,
    consecutive=False,
    flip=False,
)


def _rng(seed=0):
    return np.random.default_rng(seed)


@pytest.fixture
def decoded(monkeypatch):
    """The JPEGs that were decoded, in order."""
    calls = []
    real = simplejpeg.decode_jpeg

    def decode(data, **options):
        calls.append(bytes(data))
        return real(data, **options)

    monkeypatch.setattr(transforms.simplejpeg, "decode_jpeg", decode)
    return calls


def test_mel_windows_start_where_the_published_index_says():
    # int(80 * f / 25) by hand for the first dozen frames
    assert mel_start(np.arange(12)).tolist() == [0, 3, 6, 9, 12, 16, 19, 22, 25, 28, 32, 35]


@pytest.mark.parametrize("shift", [-2, -1, 0, 3])
def test_a_frame_gets_the_sound_of_its_own_time_plus_the_shift(telltale, frame_numbers, shift):
    record = telltale(40)
    last_mel = len(record.mel) - 1
    sampler = dataclasses.replace(TALKING, audio_shift_frames=shift)
    for seed in range(30):
        example = sampler(record, _rng(seed))
        frames = frame_numbers(example["frames_u8"])
        start = frames[2]
        assert frames.tolist() == list(range(start - 2, start + 7))
        for i in range(5):
            first = (16 * (start + i + shift)) // 5
            want = np.clip(np.arange(first, first + 16), 0, last_mel)
            np.testing.assert_array_equal(example["mel_windows"][i, 0], want)
            np.testing.assert_array_equal(example["mel_windows"][i, 79], want)
        first = (16 * start) // 5
        np.testing.assert_array_equal(example["mel_chunk"][40], np.arange(first, first + 16))


def test_targets_and_references_reach_every_place_they_may_and_no_other(telltale, frame_numbers):
    record = telltale(12)
    starts = set()
    for seed in range(300):
        example = TALKING(record, _rng(seed))
        target = frame_numbers(example["frames_u8"])[2]
        reference = frame_numbers(example["reference_u8"])
        assert reference.tolist() == list(range(reference[0], reference[0] + 5))
        starts.add((target, reference[0]))
    # context needs 2 <= s <= 5; a reference may start at 0..7 but not at s
    assert starts == {(s, r) for s in range(2, 6) for r in range(8) if r != s}


def test_the_shortest_clip_has_one_place_and_a_shorter_one_is_not_asked(telltale, frame_numbers):
    assert TALKING.min_frames == 9
    assert frame_numbers(TALKING(telltale(9), _rng())["frames_u8"]).tolist() == list(range(9))
    assert dataclasses.replace(TALKING, lip_radius_frames=0).min_frames == 6
    assert SYNC.min_frames == 7


def test_a_reference_from_elsewhere_keeps_its_distance_where_the_clip_allows():
    sampler = dataclasses.replace(TALKING, reference="elsewhere", reference_min_gap_frames=10)
    gaps = [abs(np.subtract(*sampler.starts(40, _rng(seed))[:2])) for seed in range(300)]
    assert min(gaps) == 10
    assert max(gaps) > 20
    # 14 frames: starts 0..9, targets 2..7, so the farthest start is 5 to 7 away
    for seed in range(50):
        target, reference, _ = sampler.starts(14, _rng(seed))
        assert abs(reference - target) == max(target, 9 - target)


def test_the_pose_is_the_target_itself_or_keeps_its_distance(telltale, frame_numbers):
    record = telltale(40)
    apart = dataclasses.replace(TALKING, pose_gap_frames=12)
    poses = set()
    for seed in range(100):
        example = TALKING(record, _rng(seed))
        np.testing.assert_array_equal(example["pose_u8"], example["frames_u8"][2:7])
        example = apart(record, _rng(seed))
        target, pose = frame_numbers(example["frames_u8"])[2], frame_numbers(example["pose_u8"])
        assert pose.tolist() == list(range(pose[0], pose[0] + 5))
        assert abs(pose[0] - target) >= 12
        poses.add(pose[0] - frame_numbers(example["reference_u8"])[0])
    assert len(poses) > 20  # it is drawn apart from the reference


def test_an_example_decodes_only_the_frames_it_shows_each_once(telltale, frame_numbers, decoded):
    record = telltale(40)
    for seed in range(20):
        decoded.clear()
        example = TALKING(record, _rng(seed))
        shown = set(frame_numbers(example["frames_u8"])) | set(
            frame_numbers(example["reference_u8"])
        )
        assert len(decoded) == len(shown) <= 14
        assert set(decoded) == {record.frames_jpeg[frame] for frame in shown}


def test_sync_windows_are_distinct_and_each_has_its_own_sound(telltale, frame_numbers):
    record = telltale(9)
    seen = set()
    for seed in range(100):
        example = SYNC(record, _rng(seed))
        starts = example["start_frames"]
        assert len(set(starts.tolist())) == 3
        seen |= set(starts.tolist())
        for start, pictures, mel in zip(
            starts, example["frames_u8"], example["mel_chunk"], strict=True
        ):
            assert frame_numbers(pictures).tolist() == list(range(start, start + 5))
            first = (16 * start) // 5
            np.testing.assert_array_equal(mel[7], np.arange(first, first + 16))
    assert seen == {0, 1, 2, 3, 4}


def test_flipping_mirrors_all_frames_of_half_of_the_examples(telltale):
    record = telltale(12)
    slope = np.tile(np.arange(16, dtype=np.uint8)[None, :, None] * 12, (16, 1, 3))
    record = dataclasses.replace(
        record, frames_jpeg=(simplejpeg.encode_jpeg(slope, quality=98),) * 12
    )
    sampler = dataclasses.replace(TALKING, flip=True)
    mirrored = []
    for seed in range(200):
        example = sampler(record, _rng(seed))
        rows = np.concatenate([example["frames_u8"], example["reference_u8"]])[:, 8, :, 0]
        falls = rows[:, 0] > rows[:, -1]
        assert falls.all() or not falls.any()
        mirrored.append(falls[0])
    assert 70 < sum(mirrored) < 130


@pytest.mark.parametrize("make", [TALKING, SYNC])
@pytest.mark.parametrize("flip", [False, True])
def test_examples_have_the_shapes_and_types_of_the_spec(telltale, make, flip):
    sampler = dataclasses.replace(make, flip=flip)
    example = sampler(telltale(20), _rng())
    assert {k: (v.shape, v.dtype) for k, v in example.items()} == {
        k: (v.shape, v.dtype) for k, v in sampler.spec().items()
    }


@pytest.mark.parametrize("size_px", [64, 48, 40, 32, 24, 16, 15])
def test_smaller_pictures_are_the_picture_made_smaller(telltale, size_px):
    rng = _rng(3)
    coarse = rng.integers(40, 220, (4, 4, 3), dtype=np.uint8)
    picture = np.kron(coarse, np.ones((16, 16, 1), np.uint8))
    record = dataclasses.replace(
        telltale(1, size_px=64), frames_jpeg=(simplejpeg.encode_jpeg(picture, quality=98),)
    )
    small = decode_frames(record, np.array([0]), size_px=size_px)[0]
    assert small.shape == (size_px, size_px, 3)
    # in the middle of each patch its colour is found again
    middle = ((np.arange(4) + 0.5) * size_px / 4).astype(int)
    np.testing.assert_allclose(small[np.ix_(middle, middle)], coarse.astype(int), atol=12)


def test_larger_pictures_than_the_crops_are_refused(telltale):
    with pytest.raises(UserError, match=r"crops are 16 px, data\.image_size wants 32"):
        decode_frames(telltale(1), np.array([0]), size_px=32)


@pytest.mark.parametrize("jpeg", [b"", b"no picture", "cut"])
def test_a_damaged_picture_is_an_error_that_names_clip_and_frame(telltale, jpeg):
    record = telltale(3)
    frames = list(record.frames_jpeg)
    frames[1] = frames[1][:-40] if jpeg == "cut" else jpeg
    record = dataclasses.replace(record, frames_jpeg=tuple(frames))
    with pytest.raises(UserError, match="telltale: frame 1 is no readable 16 px JPEG"):
        decode_frames(record, np.arange(3), size_px=16)


@pytest.mark.parametrize("size_px", [16, 15])
@pytest.mark.parametrize("shape", [(16, 8), (8, 16), (8, 8), (40, 16)])
def test_a_picture_not_of_the_shape_the_record_says_is_an_error(telltale, shape, size_px):
    jpeg = simplejpeg.encode_jpeg(np.full((*shape, 3), 9, np.uint8))
    record = dataclasses.replace(telltale(1), frames_jpeg=(jpeg,))
    with pytest.raises(UserError, match="telltale: frame 0"):
        decode_frames(record, np.array([0]), size_px=size_px)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("sampler", "silent", "data.sampler: got 'silent'"),
        ("reference", "here", "data.reference: got 'here'"),
        ("clip_frames", 0, "data.clip_frames: got 0, want at least 1"),
        ("lip_radius_frames", -1, "data.lip_radius_frames"),
    ],
)
def test_settings_that_make_no_sense_are_refused(data_config, key, value, message):
    data_config[key] = value
    with pytest.raises(UserError, match=message):
        make_sampler(data_config)


def test_a_missing_setting_is_named(data_config):
    del data_config.flip
    with pytest.raises(UserError, match=r"data\.flip: is missing"):
        make_sampler(data_config)


def test_consecutive_windows_span_their_frames_once(telltale, frame_numbers):
    record = telltale(12)
    sampler = dataclasses.replace(SYNC, consecutive=True)
    firsts = set()
    for seed in range(100):
        example = sampler(record, _rng(seed))
        frames = frame_numbers(example["frames_u8"])
        first = int(frames[0])
        assert frames.tolist() == list(range(first, first + 7))
        assert example["start_frames"].tolist() == [first, first + 1, first + 2]
        for window, start in enumerate(range(first, first + 3)):
            want = np.clip(mel_start(start) + np.arange(16), 0, len(record.mel) - 1)
            np.testing.assert_array_equal(example["mel_chunk"][window, 0], want)
        assert {k: v.shape for k, v in example.items()} == {
            k: v.shape for k, v in sampler.spec().items()
        }
        firsts.add(first)
    assert firsts == set(range(12 - 7 + 1))
