"""The folder that is written: deterministic, complete or absent, and described by its index."""

import hashlib
import json

import pytest
from array_record.python import array_record_module

from talkjax.data import writer
from talkjax.errors import UserError

INDEX = "index.json"


def _write(folder, clips):
    return writer.write_dataset(folder, clips, settings={"size_px": 32}, shard_bytes=60_000)


def _contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_equal_clips_give_equal_bytes(tmp_path, toy_clips):
    _write(tmp_path / "a", toy_clips)
    _write(tmp_path / "b", toy_clips)
    contents = _contents(tmp_path / "a")
    assert contents == _contents(tmp_path / "b")
    assert len([name for name in contents if name.startswith("train-")]) > 1


def test_every_row_of_the_index_finds_its_bytes(dataset_folder, toy_clips):
    index = json.loads((dataset_folder / INDEX).read_text())
    written = {meta.clip_id: data for data, meta in toy_clips}
    assert len(index["clips"]) == len(written) == 8
    for row in index["clips"]:
        shards = index["splits"][row["split"]]["shards"]
        reader = array_record_module.ArrayRecordReader(
            str(dataset_folder / shards[row["shard"]]["file"])
        )
        data = reader.read([row["position"]])[0]
        assert data == written[row["clip_id"]]
        assert hashlib.sha256(data).hexdigest() == row["sha256"]
        assert row["seconds"] == row["frames"] * 0.04


def test_totals_add_up(dataset_folder):
    index = json.loads((dataset_folder / INDEX).read_text())
    assert index["schema_version"] == 1
    assert index["settings"] == {"size_px": 32}
    train = index["splits"]["train"]
    assert (train["clips"], train["frames"]) == (5, 12 + 16 + 20 + 24 + 28)
    assert train["seconds"] == pytest.approx(4.0)
    assert index["splits"]["val"]["clips"] == 3
    assert index["seconds_total"] == pytest.approx((100 + 48) / 25)


def test_a_failure_leaves_an_older_set_as_it_was(dataset_folder, toy_clips):
    before = _contents(dataset_folder)

    def failing():
        yield from toy_clips[:3]
        raise RuntimeError("the disk is gone")

    with pytest.raises(RuntimeError, match="the disk is gone"):
        _write(dataset_folder, failing())
    assert _contents(dataset_folder) == before


def test_a_smaller_set_replaces_a_larger_one_whole(dataset_folder, toy_clips):
    _write(dataset_folder, toy_clips[:1])
    assert sorted(_contents(dataset_folder)) == [INDEX, "train-00000-of-00001.array_record"]


def test_files_of_others_in_the_folder_stay(dataset_folder, toy_clips):
    (dataset_folder / "notes.txt").write_text("mine")
    _write(dataset_folder, toy_clips[:1])
    assert (dataset_folder / "notes.txt").read_text() == "mine"


def test_two_clips_of_one_name_are_refused(tmp_path, toy_clips):
    with pytest.raises(UserError, match="two clips are named toy/train-00000"):
        _write(tmp_path / "a", [toy_clips[0], toy_clips[0]])
    assert _contents(tmp_path / "a") == {}


def test_no_clips_are_an_error(tmp_path):
    with pytest.raises(UserError, match="no clips to write"):
        _write(tmp_path / "a", [])
