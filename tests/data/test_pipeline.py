"""Batches: reproducible, resumable exactly, and the same for any number of processes."""

import json
import logging
import threading
from collections import Counter

import numpy as np
import pytest

from talkjax.data import pipeline
from talkjax.data.pipeline import batch_spec, element_spec, iterate_clips, make_train
from talkjax.errors import UserError

BATCH_SIZE = 4


_open = []


@pytest.fixture(autouse=True)
def close_iterators():
    yield
    while _open:
        _open.pop().close()


def _start(data, process_index=0, process_count=1, *, seed=5, batch_size=BATCH_SIZE):
    iterator = make_train(
        data,
        batch_size=batch_size,
        seed=seed,
        process_index=process_index,
        process_count=process_count,
    )
    _open.append(iterator)
    return iterator


def _take(iterator, count):
    return [next(iterator) for _ in range(count)]


def _take_global(data, process_count, count, state=None):
    """The global batches as several processes would make them together."""
    parts = []
    for index in range(process_count):
        iterator = _start(data, index, process_count)
        if state is not None:
            iterator.set_state(json.loads(json.dumps(state)))
        parts.append(_take(iterator, count))
        iterator.close()
    return [
        {k: np.concatenate([part[k] for part in step]) for k in step[0]}
        for step in zip(*parts, strict=True)
    ]


def _assert_same(left, right):
    assert len(left) == len(right)
    for a, b in zip(left, right, strict=True):
        assert a.keys() == b.keys()
        for name in a:
            np.testing.assert_array_equal(a[name], b[name])


@pytest.mark.parametrize("sampler", ["talking", "sync"])
def test_batches_have_the_shapes_and_types_that_were_told_before(data_config, sampler):
    data_config.sampler = sampler
    batch = next(_start(data_config))
    told = batch_spec(data_config, batch_size=BATCH_SIZE)
    assert {k: (v.shape, v.dtype) for k, v in batch.items()} == {
        k: (v.shape, v.dtype) for k, v in told.items()
    }


def test_shapes_are_told_without_any_data(data_config):
    data_config.path = "/there/is/no/such/folder"
    assert element_spec(data_config)["frames_u8"].shape == (9, 32, 32, 3)
    assert element_spec(data_config)["mel_windows"].shape == (5, 80, 16)


def test_one_seed_gives_one_sequence_and_another_seed_another(data_config):
    first, again = (_take(_start(data_config), 3) for _ in range(2))
    _assert_same(first, again)
    other = next(_start(data_config, seed=6))
    assert not np.array_equal(first[0]["frames_u8"], other["frames_u8"])


@pytest.mark.parametrize("threads_after", [0, 2, 5])
def test_stopping_and_resuming_changes_nothing(data_config, threads_after):
    straight = _take(_start(data_config), 9)
    iterator = _start(data_config)
    _take(iterator, 4)
    state = json.loads(json.dumps(iterator.get_state()))
    iterator.close()
    data_config.read_threads = threads_after
    resumed = _start(data_config)
    resumed.set_state(state)
    _assert_same(_take(resumed, 5), straight[4:])


def test_a_used_iterator_can_be_set_back(data_config):
    iterator = _start(data_config)
    state = iterator.get_state()
    first = _take(iterator, 3)
    iterator.set_state(state)
    _assert_same(_take(iterator, 3), first)


@pytest.mark.parametrize("process_count", [2, 4])
def test_any_number_of_processes_makes_the_same_global_batches(data_config, process_count):
    _assert_same(_take_global(data_config, process_count, 4), _take(_start(data_config), 4))


@pytest.mark.parametrize(("before", "after"), [(4, 2), (2, 1), (1, 4)])
def test_a_state_saved_by_some_processes_restores_on_others(data_config, before, after):
    straight = _take(_start(data_config), 5)
    states = []
    for index in range(before):
        iterator = _start(data_config, index, before)
        _take(iterator, 2)
        states.append(iterator.get_state())
    assert all(state == states[0] for state in states)
    _assert_same(_take_global(data_config, after, 3, states[0]), straight[2:])


@pytest.mark.parametrize(
    ("change", "named"),
    [({"path": "fake://9x30?size=32"}, "clips is 8"), ({"split": "val"}, "data is ")],
)
def test_a_state_over_other_data_is_refused(data_config, change, named):
    state = _start(data_config).get_state()
    data_config.update(change)
    with pytest.raises(UserError, match=named):
        _start(data_config).set_state(state)


def test_a_state_of_another_seed_or_batch_size_is_refused(data_config):
    state = _start(data_config).get_state()
    with pytest.raises(UserError, match="seed is 5, this run's is 6"):
        _start(data_config, seed=6).set_state(state)
    with pytest.raises(UserError, match="batch_size is 4, this run's is 8"):
        _start(data_config, batch_size=8).set_state(state)


@pytest.mark.parametrize("threads", [0, 3])
def test_every_clip_is_read_once_an_epoch_and_in_a_new_order_the_next(data_config, threads):
    # 9 clips in batches of 3: three batches are an epoch
    data_config.update({"path": "fake://9x30?size=32", "read_threads": threads})
    order = []
    iterator = _start(data_config, batch_size=3)
    draw = iterator._examples.sampler

    class Noting:
        min_frames = draw.min_frames
        spec = draw.spec

        def __call__(self, record, rng):
            return draw(record, rng) | {"clip": np.array(int(record.clip_id[-5:]))}

    iterator._examples.sampler = Noting()
    for batch in _take(iterator, 9):
        order += batch["clip"].tolist()
    epochs = [order[i : i + 9] for i in (0, 9, 18)]
    assert all(Counter(epoch) == Counter(range(9)) for epoch in epochs)
    assert epochs[0] != epochs[1]


def test_short_clips_are_left_out_with_a_count(data_config, dataset_folder, caplog):
    data_config.update({"path": str(dataset_folder), "clip_frames": 13})
    with caplog.at_level(logging.INFO):
        iterator = _start(data_config)
    assert iterator.clips_per_epoch == 3  # of 12, 16, 20, 24 and 28 frames
    assert "3 of 5 clips in use" in caplog.text
    assert "2 shorter than 17 frames" in caplog.text
    assert next(iterator)["frames_u8"].shape == (4, 17, 32, 32, 3)


def test_a_split_of_short_clips_only_is_an_error_and_no_hang(data_config, dataset_folder):
    data_config.update({"path": str(dataset_folder), "clip_frames": 30})
    with pytest.raises(UserError, match=r"none of the 5 clips.*34 frames.*longest: 28"):
        _start(data_config)


def test_pictures_larger_than_the_crops_are_refused_at_the_start(data_config, dataset_folder):
    data_config.update({"path": str(dataset_folder), "image_size": 64})
    with pytest.raises(UserError, match=r"crops are 32 px.*wants 64"):
        _start(data_config)


def test_a_batch_that_cannot_be_shared_out_is_refused(data_config):
    with pytest.raises(UserError, match="got 4, want a multiple of the 3 processes"):
        _start(data_config, 0, 3)


@pytest.mark.parametrize("threads", [0, 2])
def test_a_damaged_clip_stops_training_by_name_and_is_never_skipped(
    data_config, dataset_folder, toy_clips, threads
):
    for shard in dataset_folder.glob("train-*"):
        content = bytearray(shard.read_bytes())
        place = content.find(toy_clips[2][0][:200])
        if place > 0:
            content[place + 500] ^= 1
            shard.write_bytes(content)
    data_config.update({"path": str(dataset_folder), "read_threads": threads})
    iterator = _start(data_config, batch_size=5)
    for _ in range(3):
        with pytest.raises(UserError, match="clip toy/train-00002"):
            next(iterator)
    assert iterator.get_state()["next_batch"] == 0


@pytest.mark.parametrize("read_ahead_mb", [0.2, 1.0])
def test_no_more_is_read_ahead_than_the_bound_allows(data_config, read_ahead_mb):
    data_config.read_ahead_mb = read_ahead_mb
    iterator = _start(data_config)
    made = Counter()
    draw = iterator._examples.sampler
    enough = threading.Event()
    bytes_each = sum(spec.nbytes for spec in draw.spec().values())
    bound = int(read_ahead_mb * 2**20 / bytes_each)

    class Counting:
        min_frames = draw.min_frames
        spec = draw.spec

        def __call__(self, record, rng):
            made["examples"] += 1
            if made["examples"] >= BATCH_SIZE + bound:
                enough.set()
            return draw(record, rng)

    iterator._examples.sampler = Counting()
    next(iterator)
    assert enough.wait(10)  # it does read ahead
    threading.Event().wait(0.3)
    assert made["examples"] <= BATCH_SIZE + bound + 1


def test_a_bound_below_one_example_is_refused(data_config):
    data_config.read_ahead_mb = 0.01
    with pytest.raises(UserError, match=r"data\.read_ahead_mb: got 0.01"):
        _start(data_config)


def test_the_watchdog_says_where_the_first_batch_waits(data_config, monkeypatch, caplog):
    monkeypatch.setattr(pipeline, "FIRST_BATCH_PATIENCE_S", 0.05)
    iterator = _start(data_config)
    draw = iterator._examples.sampler
    said = threading.Event()

    class Waiting:
        min_frames = draw.min_frames
        spec = draw.spec

        def __call__(self, record, rng):
            assert said.wait(10)
            return draw(record, rng)

    class Listener(logging.Handler):
        def emit(self, record):
            if "decoding clip toy/train-" in record.getMessage():
                said.set()

    listener = Listener()
    logging.getLogger(pipeline.__name__).addHandler(listener)
    iterator._examples.sampler = Waiting()
    next(iterator)
    logging.getLogger(pipeline.__name__).removeHandler(listener)
    assert "no first batch after" in caplog.text
    assert data_config.path in caplog.text


def test_whole_clips_come_once_in_the_order_of_the_index(dataset_folder):
    names = [record.clip_id for record in iterate_clips(dataset_folder, "val")]
    assert names == ["toy/val-00000", "toy/val-00001", "toy/val-00002"]
    assert [r.clip_id for r in iterate_clips(dataset_folder, "val", limit=2)] == names[:2]
