"""The command, on the toy source and a critic of a few hundred parameters."""

import json
import pathlib

import numpy as np
import pytest
import train_toys as toys
from ml_collections import ConfigDict

from talkjax import assemble, main
from talkjax.errors import UserError
from talkjax.train import checkpoint
from talkjax.train.files import flat, hashable, plain

CONFIG = str(pathlib.Path(__file__).parent / "tiny_critic.py")


def argv(workdir, *more, config=CONFIG):
    return [f"--config={config}", f"--workdir={workdir}", *more]


@pytest.fixture(scope="module")
def critic(tmp_path_factory):
    """A workdir of two steps."""
    workdir = tmp_path_factory.mktemp("critic") / "w"
    assert main.main(argv(workdir, "--config.run.steps=2")) == 0
    return workdir


def consumer(**changes):
    """A config that wants the critic as its expert."""
    config = main.parse(argv("unused"))["config"].value.copy_and_resolve_references()
    with config.unlocked():
        block = {"checkpoint": "", "min_accuracy": 0.0, "init": "checkpoint"} | changes
        config.experts.sync = ConfigDict(block)
    return config


def test_a_run_writes_all_that_it_promises(critic):
    lines = [json.loads(line) for line in (critic / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "fit/total" in line] == [1, 2]
    assert [line["step"] for line in lines if "eval/val/accuracy" in line] == [2]
    train_line = next(line for line in lines if "fit/total" in line)
    assert {"fit/bce", "fit/contrast", "perf/step_time_s", "perf/data_wait_fraction"} <= set(
        train_line
    )
    assert json.loads((critic / "config.json").read_text())["run"]["steps"] == 2
    assert list((critic / "tb").iterdir())
    trained = checkpoint.load_trained(critic)
    assert trained.step == 2
    assert set(trained.params) == {"sync"}
    assert trained.data_settings == {"layout": "fake", "size_px": 64, "smooth_sigma_frames": 2.5}
    assert 0.0 <= trained.scores["accuracy"] <= 1.0


def test_a_longer_run_goes_on_and_a_changed_one_is_refused(critic, capsys):
    assert main.main(argv(critic, "--config.run.steps=3")) == 0
    assert "from step 2 to 3" in capsys.readouterr().err
    with pytest.raises(UserError, match=r"optim.sync.learning_rate: 0.001 -> 0.01"):
        main.main(argv(critic, "--config.optim.sync.learning_rate=0.01"))


def test_dry_run_says_sizes_and_trains_nothing(tmp_path, capsys):
    assert main.main(argv(tmp_path / "w", "--dry-run", "--config.data.batch_size=16")) == 0
    text = capsys.readouterr().out
    assert '"batch_size": 16' in text
    assert "uint8[16, 2, 5, 32, 32, 3]" in text
    assert "params/sync/face/block_0/conv/kernel" in text
    assert "together" in text
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize(
    ("more", "named"),
    [
        (["--config.optim.sync.learning_rat=1"], "learning_rat"),
        (["--config.run.steps=many"], "many"),
        (["--steps=3"], "steps"),
        (["stray"], "stray"),
    ],
)
def test_unknown_flags_and_values_are_refused_in_one_line(tmp_path, more, named):
    with pytest.raises(UserError, match=named) as error:
        main.parse(argv(tmp_path, *more))
    assert "\n" not in str(error.value)


def test_missing_config_or_block_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"absent\.py"):
        main.parse(argv(tmp_path, config="absent.py"))
    with pytest.raises(UserError, match="--config"):
        main.parse(["--workdir=w"])
    with pytest.raises(UserError, match=r"\['experts'\] are missing"):
        main.main(argv(tmp_path, config=CONFIG + ":no_experts_block"))


def test_unknown_method_and_model_keys_are_refused():
    config = consumer()
    config.method = "wav2lip"
    with pytest.raises(UserError, match=r"wav2lip.*sync_critic"):
        assemble.build_method(config)
    config = consumer()
    with config.unlocked():
        config.model.width = 3
    with pytest.raises(UserError, match="width"):
        assemble.build_method(config)
    with config.unlocked():
        config.run.epochs = 3
    with pytest.raises(UserError, match="epochs"):
        assemble.run_settings(config)


def experts(config, tmp_path, *, copy=True):
    method = toys.gan()  # any method with one expert
    method = type(method)(
        **{name: getattr(method, name) for name in ("init_fn", "phases", "predict_fn")},
        experts=("sync",),
    )
    return assemble.load_experts(config, method, workdir=tmp_path, spec={}, copy=copy)


def test_expert_is_copied_and_the_copy_is_enough(critic, tmp_path):
    first = experts(consumer(checkpoint=str(critic)), tmp_path)
    second = experts(consumer(checkpoint="gone"), tmp_path)
    kernel = first["sync"]["params"]["face"]["block_0"]["conv"]["kernel"]
    np.testing.assert_array_equal(
        kernel, second["sync"]["params"]["face"]["block_0"]["conv"]["kernel"]
    )
    assert (tmp_path / "experts" / "sync" / "params.npz").exists()


def test_expert_below_the_gate_is_refused_with_both_numbers(critic, tmp_path):
    accuracy = checkpoint.load_trained(critic).scores["accuracy"]
    with pytest.raises(UserError, match=rf"{accuracy:.4f}.*1\.0100"):
        experts(consumer(checkpoint=str(critic), min_accuracy=1.01), tmp_path)


@pytest.mark.parametrize(
    ("path", "value"),
    [("data.image_size", 64), ("data.mel_frames", 20), ("model.channel_order", "bgr")],
)
def test_expert_of_other_inputs_is_refused(critic, tmp_path, path, value):
    config = consumer(checkpoint=str(critic))
    config.update_from_flattened_dict({path: value})
    with pytest.raises(UserError, match=f"{path} = .*, this config has {value}"):
        experts(config, tmp_path)


def test_expert_without_validation_or_checkpoint_is_refused(critic, tmp_path):
    expert = checkpoint.load_expert(critic)
    with pytest.raises(UserError, match="never validated"):
        assemble.check_expert(expert | {"scores": {}}, consumer(), name="sync")
    with pytest.raises(UserError, match="checkpoint is empty"):
        experts(consumer(), tmp_path)
    with pytest.raises(UserError, match=r"wants \['sync'\]"):
        experts(main.parse(argv("unused"))["config"].value, tmp_path)


def test_plain_and_hashable_are_inverse_on_lists():
    config = ConfigDict({"a": [1, (2, 3)], "b": {"c": ((1, "x"), None)}})
    assert plain(config) == {"a": [1, [2, 3]], "b": {"c": [[1, "x"], None]}}
    assert hashable(plain(config)) == {"a": (1, (2, 3)), "b": {"c": ((1, "x"), None)}}
    assert flat({"a": {"b": {}, "c": 1}}) == {"a.b": {}, "a.c": 1}
