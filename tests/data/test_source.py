"""Opening data: records in the order of the index, and one clear line for all that is wrong."""

import dataclasses
import json

import numpy as np
import pytest
import simplejpeg

from talkjax.data import fake, schema, writer
from talkjax.data.source import data_settings, open_source, read_index
from talkjax.errors import UserError


def _edit_index(folder, **changes):
    path = folder / "index.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def _fails(path, split="train"):
    with pytest.raises(UserError) as caught:
        open_source(path, split)
    text = str(caught.value)
    assert "\n" not in text
    assert str(path) in text
    return text


def _shard(folder, pattern="train-00000-*"):
    return next(folder.glob(pattern))


def test_records_come_in_the_order_of_the_index(dataset_folder, toy_clips):
    source = open_source(dataset_folder, "train")
    want = [(data, meta) for data, meta in toy_clips if meta.split == "train"]
    assert len(source) == 5
    for index, (data, meta) in enumerate(want):
        assert source.clips[index].clip_id == meta.clip_id == source[index].clip_id
        assert source.clips[index].frames == source[index].num_frames == meta.frames
        assert schema.encode(source[index]) == data
        source.check(index)


def test_how_the_data_were_prepared_can_be_asked(dataset_folder):
    _edit_index(dataset_folder, settings={"smooth_sigma_frames": 1.5})
    people = len({clip.identity for clip in open_source(dataset_folder, "train").clips})
    asked = data_settings(dataset_folder)
    assert asked == {"smooth_sigma_frames": 1.5, "train_identities": people}
    assert data_settings("fake://1x8")["smooth_sigma_frames"] == 2.5
    assert data_settings("fake://1x8?size=48")["size_px"] == 48
    with pytest.raises(UserError, match="want fake://"):
        data_settings("fake://many")


def test_a_missing_folder_is_named_with_the_remedy(tmp_path):
    assert "talkjax prepare" in _fails(tmp_path / "nowhere")


def test_a_folder_without_index_is_no_data_set(tmp_path):
    text = _fails(tmp_path)
    assert "is no prepared data set (no index.json)" in text
    assert f"`talkjax prepare {tmp_path} OUT" in text
    (tmp_path / "prepare.json").write_text("{}")
    assert "not finished" in _fails(tmp_path)
    (tmp_path / "clips.json").write_text("{}")
    assert "holds videos" in _fails(tmp_path)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"schema_version": 1}', "\x00\x01"])
def test_an_index_that_is_none_is_refused(dataset_folder, content):
    (dataset_folder / "index.json").write_text(content)
    assert "is no index" in _fails(dataset_folder)


def test_another_schema_version_of_the_set_is_refused(dataset_folder):
    _edit_index(dataset_folder, schema_version=99)
    assert "got 99, want 1" in _fails(dataset_folder)


def test_an_index_without_shards_is_refused(dataset_folder):
    _edit_index(dataset_folder, splits={}, clips=[])
    assert "split 'train' has no clips" in _fails(dataset_folder)


def test_an_absent_split_is_answered_with_those_there_are(dataset_folder):
    assert "train: 5, val: 3" in _fails(dataset_folder, "test")


def test_a_missing_shard_is_named(dataset_folder):
    shard = _shard(dataset_folder)
    shard.unlink()
    assert shard.name in _fails(dataset_folder)


@pytest.mark.parametrize("keep_bytes", [0, 100, 65536])
def test_a_cut_off_shard_is_named(dataset_folder, keep_bytes):
    shard = _shard(dataset_folder)
    shard.write_bytes(shard.read_bytes()[:keep_bytes])
    assert shard.name in _fails(dataset_folder)


def test_a_flipped_bit_is_an_error_that_names_the_clip(dataset_folder, toy_clips):
    shard = _shard(dataset_folder)
    content = bytearray(shard.read_bytes())
    place = content.find(toy_clips[0][0][:200])
    assert place > 0
    content[place + 1000] ^= 1
    shard.write_bytes(content)
    source = open_source(dataset_folder, "train")
    with pytest.raises(UserError, match=r"clip toy/train-00000 \(record 0\) cannot be read"):
        source[0]
    assert source[4].clip_id == "toy/train-00004"


def test_a_record_that_does_not_decode_is_an_error_that_names_the_clip(tmp_path, toy_clips):
    data, meta = toy_clips[0]
    writer.write_dataset(tmp_path, [(data[:-1], meta)], settings={})
    with pytest.raises(UserError, match=r"toy/train-00000.*not a TalkJAX record"):
        open_source(tmp_path, "train")[0]


def test_the_index_can_be_read_alone(dataset_folder):
    assert read_index(dataset_folder)["clips_total"] == 8


@pytest.mark.parametrize(
    "path", ["fake://", "fake://8", "fake://0x75", "fake://8x75?size=4", "fake://8x75?sise=64"]
)
def test_a_toy_of_another_form_is_refused(path):
    assert _fails(path)


def test_a_toy_is_the_same_each_time_and_differs_between_clips_and_splits():
    toy = fake.parse("fake://2x30?size=32")
    encoded = [schema.encode(fake.make_record(toy, "train", 0)) for _ in range(2)]
    assert encoded[0] == encoded[1]
    others = [fake.make_record(toy, "train", 1), fake.make_record(toy, "val", 0)]
    first = schema.decode(encoded[0])
    assert all(not np.array_equal(first.audio_i16, other.audio_i16) for other in others)


def test_the_toy_mouth_is_as_open_as_its_sound_is_loud():
    toy = dataclasses.replace(fake.parse("fake://1x75"), size_px=64)
    record = fake.make_record(toy, "train", 0)
    samples = record.audio_i16.reshape(75, 640) / 32768.0
    loudness = np.sqrt((samples**2).mean(axis=1))
    frames = np.stack([simplejpeg.decode_jpeg(jpeg) for jpeg in record.frames_jpeg])
    mouth = frames[:, 34:54, 20:44].astype(float)
    dark = (mouth.max(axis=-1) < 60).mean(axis=(1, 2))
    assert np.corrcoef(loudness, dark)[0, 1] > 0.85
    # one frame late is worse: the picture belongs to its own frame's sound
    assert np.corrcoef(loudness[:-3], dark[3:])[0, 1] < np.corrcoef(loudness, dark)[0, 1] - 0.2


def test_a_cut_split_is_its_first_clips(dataset_folder):
    for path in (str(dataset_folder), "fake://5x12?size=16"):
        whole = open_source(path, "train")
        cut = open_source(path, "train[:2]")
        assert [clip.clip_id for clip in cut.clips] == [clip.clip_id for clip in whole.clips][:2]
        assert cut[1].clip_id == whole[1].clip_id


@pytest.mark.parametrize(
    ("split", "said"),
    [
        ("train[:0]", "want a name"),
        ("train[1:2]", "want a name"),
        ("train[:99]", r"ask for (fewer|train\[:\d+\])"),
        ("nothing[:2]", "has no clips"),
    ],
)
def test_a_cut_that_cannot_be_is_refused(dataset_folder, split, said):
    with pytest.raises(UserError, match=said):
        open_source(dataset_folder, split)
