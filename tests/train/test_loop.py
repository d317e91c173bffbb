"""The loop end to end on a toy GAN: devices, resuming, stopping."""

import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest
import train_toys as toys

from talkjax.errors import UserError
from talkjax.train import alerts, checkpoint, loop
from talkjax.train.loop import Hooks, fit
from talkjax.train.metrics import NonFiniteLoss
from talkjax.train.stopping import Stopped

HERE = pathlib.Path(__file__).resolve()


def train(workdir, *, data=None, hooks=None, allow_config_change=False, **job):
    workdir.mkdir(exist_ok=True)
    return fit(
        toys.gan_job(**job),
        data or toys.Batches(),
        workdir=workdir,
        hooks=hooks or Hooks(),
        allow_config_change=allow_config_change,
    )


def lines(workdir):
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def losses(workdir):
    return [
        {k: v for k, v in line.items() if not k.startswith(("perf/", "time_s", "memory/"))}
        for line in lines(workdir)
    ]


def assert_equal_trees(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(np.asarray(x), np.asarray(y))


@pytest.mark.parametrize("count", [1, 2])
def test_few_devices_train_as_eight_do(tmp_path, count):
    few = train(tmp_path / "few", devices=jax.devices()[:count])
    eight = train(tmp_path / "eight")
    for x, y in zip(jax.tree.leaves(few), jax.tree.leaves(eight), strict=True):
        np.testing.assert_allclose(np.asarray(x), np.asarray(y), rtol=1e-5, atol=1e-6)
    # It did move, and by more than the tolerance.
    start = train(tmp_path / "start", steps=1)
    moved = np.asarray(start.params["gen"]["kernel"]) - np.asarray(eight.params["gen"]["kernel"])
    assert np.max(np.abs(moved)) > 1e-3


def test_resumed_run_is_bit_for_bit_the_whole_run(tmp_path):
    whole = train(tmp_path / "whole", steps=8, optimizer="adam")
    train(tmp_path / "parts", steps=6, optimizer="adam")
    parts = train(tmp_path / "parts", steps=8, optimizer="adam")
    assert int(parts.step) == 8
    assert_equal_trees(whole, parts)
    assert losses(tmp_path / "whole") == losses(tmp_path / "parts")


def test_a_finished_run_is_left_as_it_is(tmp_path):
    first = train(tmp_path / "w", steps=4)
    again = train(tmp_path / "w", steps=4)
    assert_equal_trees(first, again)


def test_eight_devices_restore_onto_one(tmp_path):
    eight = train(tmp_path / "w", steps=4)
    one = train(tmp_path / "w", steps=4, devices=jax.devices()[:1])
    assert_equal_trees(eight, one)
    assert one.params["gen"]["kernel"].sharding.device_set == {jax.devices()[0]}


def test_parameters_may_be_split_over_devices(tmp_path):
    rules = [[r"(gen|disc)/kernel$|/kernel$", ["data"]], [".*", []]]
    split = train(tmp_path / "split", width=8, sharding_rules=rules, data=toys.Batches(width=8))
    whole = train(tmp_path / "whole", width=8, data=toys.Batches(width=8))
    kernel = split.params["gen"]["kernel"]
    assert {shard.data.shape for shard in kernel.addressable_shards} == {(1, 8)}
    np.testing.assert_allclose(kernel, whole.params["gen"]["kernel"], rtol=1e-5, atol=1e-6)


def test_lazy_phase_compiles_two_programs(tmp_path, monkeypatch):
    made = []
    jit_step = loop.jit_step

    def noted(job, shardings):
        made.append(jit_step(job, shardings))
        return made[-1]

    monkeypatch.setattr(loop, "jit_step", noted)
    train(tmp_path / "w", steps=10)
    assert made[0]._cache_size() == 2


def test_non_finite_loss_stops_and_names_the_term_and_the_step(tmp_path):
    with pytest.raises(NonFiniteLoss, match=r"step 6 \(in the window 5-6\).*disc/real = nan"):
        train(tmp_path / "w", steps=20, data=toys.Batches(poison_at=5))
    saved = checkpoint.load_trained(tmp_path / "w")
    assert saved.step == 4
    assert np.all(np.isfinite(saved.params["gen"]["kernel"]))


def test_non_finite_state_is_not_saved_between_reports(tmp_path):
    settings = dataclasses.replace(toys.gan_job().settings, log_every_steps=100, steps=20)
    with pytest.raises(NonFiniteLoss, match="step 6"):
        train(tmp_path / "w", settings=settings, data=toys.Batches(poison_at=5))
    assert checkpoint.load_trained(tmp_path / "w").step == 4


def test_changed_config_is_refused_with_the_difference(tmp_path):
    train(tmp_path / "w", steps=2)
    config = {"method": "gan", "run": {"seed": 4, "steps": 4, "best_metric": ""}, "new": [1]}
    with pytest.raises(UserError, match=r"new: '\(absent\)' -> \[1\]; run.seed: 3 -> 4"):
        train(tmp_path / "w", steps=4, config=config)
    state = train(tmp_path / "w", steps=4, config=config, allow_config_change=True)
    assert int(state.step) == 4


def test_another_methods_workdir_is_refused_always(tmp_path):
    train(tmp_path / "w", steps=2)
    config = {"method": "other", "run": {"seed": 3, "steps": 4, "best_metric": ""}}
    with pytest.raises(UserError, match="holds a run of gan"):
        train(tmp_path / "w", config=config, allow_config_change=True)


def test_other_shapes_are_refused_with_every_leaf(tmp_path):
    train(tmp_path / "w", steps=2)
    with pytest.raises(UserError, match=r"params/gen/kernel is float32\[4, 4\], want .*\[8, 8\]"):
        train(tmp_path / "w", width=8, data=toys.Batches(width=8))


def test_validation_pictures_and_warnings_are_called(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(alerts, "FIRST_STEPS", 1)
    monkeypatch.setattr(alerts, "FEWEST_STEPS", 1)
    settings = dataclasses.replace(
        toys.gan_job().settings,
        steps=6,
        validate_every_steps=2,
        picture_every_steps=3,
        save_every_steps=2,
        keep_checkpoints=1,
        best_metric="max:closeness",
    )
    scores = iter([0.1, 0.9, 0.5])
    hooks = Hooks(
        validate=lambda params, model_vars: {"closeness": next(scores)},
        pictures=lambda params, model_vars: {"clips": np.zeros((4, 6, 3), np.uint8)},
        alerts=lambda values: {"low": "low" if values.get("eval/val/closeness") == 0.1 else None},
    )
    config = {"method": "gan", "run": {"best_metric": "max:closeness"}}
    train(tmp_path / "w", settings=settings, hooks=hooks, config=config)
    assert "WARNING step 2: low" in capsys.readouterr().err
    found = {n["step"]: n["eval/val/closeness"] for n in lines(tmp_path / "w") if len(n) == 3}
    assert found == {2: 0.1, 4: 0.9, 6: 0.5}
    assert sorted(p.name for p in (tmp_path / "w" / "pictures").iterdir()) == [
        "clips_00000003.png",
        "clips_00000006.png",
    ]
    # The latest and the best step are kept; the best one is what is loaded.
    kept = sorted(int(p.name) for p in (tmp_path / "w" / "checkpoints").iterdir())
    assert kept == [4, 6]
    trained = checkpoint.load_trained(tmp_path / "w")
    assert (trained.step, trained.scores) == (4, {"closeness": 0.9})
    assert checkpoint.load_trained(tmp_path / "w", step=6).scores == {"closeness": 0.5}


def test_sigterm_saves_and_the_run_goes_on_from_there(tmp_path):
    class Killing(toys.Batches):
        def __next__(self):
            if self.position == 5:
                os.kill(os.getpid(), signal.SIGTERM)
            return super().__next__()

    with pytest.raises(Stopped, match="stopped at step 6 of 8") as stopped:
        train(tmp_path / "w", data=Killing())
    assert stopped.value.signal_number == signal.SIGTERM
    assert_equal_trees(train(tmp_path / "w"), train(tmp_path / "whole"))
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


SLOW_RUN = """
import pathlib, sys, time
import jax
jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 8)
sys.path.insert(0, sys.argv[2])
import train_toys as toys
from talkjax.train.loop import Hooks, fit
class Slow(toys.Batches):
    def __next__(self):
        time.sleep(0.05)
        return super().__next__()
fit(toys.gan_job(steps=1000), Slow(), workdir=pathlib.Path(sys.argv[1]), hooks=Hooks())
"""


@pytest.mark.slow
def test_a_run_killed_hard_goes_on_as_if_it_had_not_been(tmp_path):
    workdir = tmp_path / "w"
    workdir.mkdir()
    command = [sys.executable, "-c", SLOW_RUN, str(workdir), str(HERE.parent)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        deadline_s = time.monotonic() + 120
        while not any((workdir / "checkpoints").glob("[0-9]*[048]")):
            assert process.poll() is None and time.monotonic() < deadline_s
            time.sleep(0.02)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    steps = [int(p.name) for p in (workdir / "checkpoints").iterdir() if p.name.isdigit()]
    end = max(steps) + 4
    assert_equal_trees(train(workdir, steps=end), train(tmp_path / "whole", steps=end))
    assert losses(workdir) == losses(tmp_path / "whole")


def test_initial_nets_replace_random_ones(tmp_path, caplog):
    source = train(tmp_path / "source", steps=2)
    given = {"disc": {"params": jax.device_get(source.params["disc"]), "vars": {}}}
    settings = dataclasses.replace(toys.gan_job().settings, steps=0)
    with caplog.at_level("INFO", logger="talkjax"):
        state = train(tmp_path / "w", settings=settings, initial=given)
    assert "init_from: taken: disc; random, not given: gen" in caplog.text
    assert_equal_trees(state.params["disc"], source.params["disc"])
    with pytest.raises(UserError, match="none of"):
        train(tmp_path / "x", settings=settings, initial={"nobody": given["disc"]})
