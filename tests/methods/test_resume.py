"""Published methods, stopped after two steps and begun afresh, end as if they had not been."""

import json
import shutil

import jax
import numpy as np
import pytest

from configs import lip_reader_grid, sync_critic_grid, synctalkface_grid
from talkjax import assemble, main
from talkjax.data import fake, schema, writer
from talkjax.train.begin import placed_state
from talkjax.train.checkpoint import Checkpoints

STEPS = 4
CROPS = {"layout": "toy", "size_px": 32, "smooth_sigma_frames": 2.5}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A prepared folder of 5 clips, so that batches of 4 straddle epochs, and 4 to validate on."""
    made, toy = tmp_path_factory.mktemp("clips"), fake.parse("fake://5x30?size=32")
    clips = [("train", index) for index in range(5)] + [("val", index) for index in range(4)]
    records = [fake.make_record(toy, split, index) for split, index in clips]
    encoded = ((schema.encode(record), writer.ClipMeta.of(record)) for record in records)
    writer.write_dataset(made, encoded, settings=CROPS)
    return made


def config_of(module, folder, *, steps):
    """The smoke variant on real shards; dropout, averages, validation and saving are its own."""
    config = module.get_config("smoke")
    config.run.steps = steps
    config.mesh.shape = (2,)
    # A frame is 3 KiB and a clip 90: two clips stay decoded, three are read again.
    config.data.update(path=str(folder), batch_size=4, flip=True, keep_decoded_mb=0.2)
    config.data.update(read_threads=2)
    return config


@pytest.fixture(scope="module")
def critic(folder, tmp_path_factory):
    """The workdir of a critic of `STEPS` steps, never interrupted."""
    workdir = tmp_path_factory.mktemp("critic") / "whole"
    main.run(config_of(sync_critic_grid, folder, steps=STEPS), workdir)
    return workdir


def saved(config, workdir):
    """(the whole training state at the end, the data iterator's) of a workdir."""
    job = assemble.make_job(config, workdir=workdir, copy_experts=False)
    checkpoints = Checkpoints(workdir, keep=2, best_metric=config.run.best_metric)
    restored = checkpoints.restore(placed_state(job)[0], step=STEPS)
    checkpoints.close()
    return jax.device_get(restored.state), restored.data_state


def logged(workdir):
    """Everything that was logged but times and memory, a line after the other."""
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    apart = ("time_s", "perf/", "memory/")
    return [{k: v for k, v in line.items() if not k.startswith(apart)} for line in lines]


def assert_ends_alike(config, whole, parts):
    (state, data), (again, data_again) = saved(config, whole), saved(config, parts)
    assert data == data_again
    assert jax.tree.structure(state) == jax.tree.structure(again)
    leaves = jax.tree.leaves_with_path(state)
    for (path, leaf), other in zip(leaves, jax.tree.leaves(again), strict=True):
        np.testing.assert_array_equal(leaf, other, err_msg=jax.tree_util.keystr(path))
    assert logged(whole) == logged(parts)
    trained = [line["step"] for line in logged(whole) if any("/total" in name for name in line)]
    assert trained == list(range(1, STEPS + 1))
    pictures = [{p.name: p.read_bytes() for p in w.glob("pictures/*.png")} for w in (whole, parts)]
    assert pictures[0] == pictures[1]
    return state, pictures[0]


def stop_and_go_on(config, workdir, *, between):
    """Two steps; then the rest with nothing kept but the workdir."""
    half = config.copy_and_resolve_references()
    half.run.steps = STEPS // 2
    main.run(half, workdir)
    between()
    jax.clear_caches()
    main.run(config, workdir)


@pytest.mark.slow
def test_a_stopped_critic_goes_on_bit_for_bit(critic, folder, tmp_path):
    config = config_of(sync_critic_grid, folder, steps=STEPS)
    stop_and_go_on(config, tmp_path / "parts", between=lambda: None)
    assert_ends_alike(config, critic, tmp_path / "parts")


@pytest.mark.slow
def test_a_stopped_lip_reader_goes_on_bit_for_bit_with_the_words_that_it_counted(folder, tmp_path):
    config = config_of(lip_reader_grid, folder, steps=STEPS)
    config.data.min_word_count = 1
    main.run(config, tmp_path / "whole")
    stop_and_go_on(config, tmp_path / "parts", between=lambda: None)
    settled = json.loads((tmp_path / "parts" / "config.json").read_text())
    assert set(settled["data"]["vocabulary"]["word"]) <= {"ah", "ee", "mm", "oo"}
    assert_ends_alike(assemble.with_vocabulary(config), tmp_path / "whole", tmp_path / "parts")


@pytest.mark.slow
def test_a_stopped_generator_goes_on_bit_for_bit_without_the_critics_workdir(
    critic, folder, tmp_path
):
    config = config_of(synctalkface_grid, folder, steps=STEPS)
    expert = tmp_path / "critic"
    config.experts.sync.update(init="checkpoint", checkpoint=str(expert))
    shutil.copytree(critic, expert)
    main.run(config, tmp_path / "whole")
    stop_and_go_on(config, tmp_path / "parts", between=lambda: shutil.rmtree(expert))
    state, pictures = assert_ends_alike(config, tmp_path / "whole", tmp_path / "parts")
    assert set(pictures) == {"clips_00000002.png", "clips_00000004.png"}
    averaged, latest = (jax.tree.leaves(t["gen"]) for t in (state.ema["params"], state.params))
    assert any(not np.array_equal(a, b) for a, b in zip(averaged, latest, strict=True))
