"""The command, on the toy source and a critic of a few hundred parameters."""

import importlib
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys

import numpy as np
import pytest
import train_toys as toys
from ml_collections import ConfigDict

from configs import sync_critic_grid, synctalkface_grid
from talkjax import assemble, cli, command_line, main
from talkjax.errors import UserError
from talkjax.experts import check_expert, load_experts
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
    config = command_line.parse(argv("unused"))["config"].value.copy_and_resolve_references()
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
    assert trained.data_settings == {"layout": "fake", "size_px": 32, "smooth_sigma_frames": 2.5}
    assert 0.0 <= trained.scores["accuracy"] <= 1.0


def test_a_longer_run_goes_on_and_a_changed_one_is_refused(critic, capsys):
    assert main.main(argv(critic, "--config.run.steps=3")) == 0
    said = capsys.readouterr()
    assert "from step 2 to 3" in said.err
    assert f"done: {critic} is at step 3; this start took 0:0" in said.out
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
    ("config", "change", "named"),
    [
        ("sync_critic_grid", "data.image_size=64", "model.image_size: got 32, .* is 64; make them"),
        ("syncnet_grid", "data.image_size=128", "model.image_size: got 64, .* is 128; make them"),
        (
            "syncnet_grid",
            "model.syncnet.lip_last_kernel=6",
            "64x64 px leave 1 px for .* kernel of 6",
        ),
        ("lip_reader_grid", "data.image_size=64", "model.image_size: got 32, .* is 64; make them"),
        ("synctalkface_grid", "model.hide_from=0.7", "model.hide_from: got 0.7, want more than 0"),
        ("sync_critic_context_grid", "data.mel_frames=16", "got windows of 16 mel frames, want 96"),
    ],
)
def test_settings_that_do_not_fit_together_are_one_line(config, change, named, tmp_path, capsys):
    path = pathlib.Path(synctalkface_grid.__file__).with_name(f"{config}.py")
    flags = ("--workdir", str(tmp_path / "w"), "--dry-run", f"--config.{change}")
    assert cli.main(["train", "--config", f"{path}:smoke", *flags]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("talkjax train: ") and re.search(named, said)
    assert not (tmp_path / "w").exists()


COUNT_DEVICES = """
import jax
from talkjax import command_line, main
values = command_line.parse(["--config=%s", "--workdir=w", "--cpu-devices=3"])
main.start_devices(cpu_devices=values.cpu_devices, multihost=False)
print(jax.device_count())
"""


def test_cpu_devices_are_as_many_as_asked_for_and_on_cpus_only(tmp_path, monkeypatch):
    script = [sys.executable, "-c", COUNT_DEVICES % CONFIG]
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    done = subprocess.run(script, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["3"]
    monkeypatch.setattr(main.jax.config, "update", lambda name, value: None)
    monkeypatch.setattr(main.jax, "default_backend", lambda: "gpu")
    with pytest.raises(UserError, match="--cpu-devices is for CPUs, JAX found gpu"):
        main.start_devices(cpu_devices=2, multihost=False)
    with pytest.raises(UserError, match="cpu_devices"):
        command_line.parse(argv(tmp_path, "--cpu-devices=0"))


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
        command_line.parse(argv(tmp_path, *more))
    assert "\n" not in str(error.value)


def test_missing_config_or_block_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"absent\.py"):
        command_line.parse(argv(tmp_path, config="absent.py"))
    with pytest.raises(UserError, match="--config"):
        command_line.parse(["--workdir=w"])
    with pytest.raises(UserError, match=r"\['experts'\] are missing"):
        main.main(argv(tmp_path, config=CONFIG + ":no_experts_block"))


def test_the_end_says_how_long_it_took_and_commands_that_parse():
    config = synctalkface_grid.get_config("cpu")
    said = main.summary(config, pathlib.Path("my runs/lips"), spent_s=1803.0)
    assert said.startswith("done: my runs/lips is at step 2000; this start took 0:30:03\nnext:\n")
    commands = [shlex.split(line) for line in said.splitlines()[2:]]
    assert [words[:2] for words in commands] == [["talkjax", "evaluate"], ["talkjax", "generate"]]
    for _, name, *arguments in commands:
        parser = cli.command_parser(name)
        importlib.import_module(f"talkjax.commands.{name}").add_arguments(parser)
        given = vars(parser.parse_args(arguments))
        assert pathlib.Path("my runs/lips") in given.values()
    said = main.summary(sync_critic_grid.get_config("cpu"), pathlib.Path("runs/c"), spent_s=1.0)
    assert "evaluate --workdir runs/c --data data/grid" in said
    assert "--config.experts.sync.checkpoint=runs/c, or --judge runs/c" in said
    assert "--data DATA" in main.summary(consumer(), pathlib.Path("w"), spent_s=1.0)


NO_JAX = """
import sys
from talkjax import cli
code = cli.main(["train", *sys.argv[1:]])
assert "jax" not in sys.modules and "orbax" not in sys.modules
sys.exit(code)
"""


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--config=absent.py"], "run from the repository's root or give the file's full path"),
        ([f"--config={CONFIG}", "--config.data.path=absent"], "absent: no such folder"),
        ([f"--config={CONFIG}", "--config.init_from=absent"], "config.init_from: absent"),
        ([f"--config={CONFIG}", "--config.data.path=."], "prepare it with `talkjax prepare"),
    ],
)
def test_a_wrong_path_is_said_before_jax_is_imported(tmp_path, more, says):
    script = [sys.executable, "-c", NO_JAX, "--workdir=w", *more]
    done = subprocess.run(script, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert says in line
    assert not (tmp_path / "w").exists()


def test_an_empty_validation_split_is_said_with_the_remedy(tmp_path):
    index = {"schema_version": 1, "clips": [], "splits": {"train": {"clips": 8}}}
    (tmp_path / "index.json").write_text(json.dumps(index))
    with pytest.raises(UserError, match=r"split 'val' has no clips.*--overwrite.*--val-fraction"):
        main.main(argv(tmp_path / "w", f"--config.data.path={tmp_path}"))


def test_help_lists_each_config_and_variant(capsys):
    with pytest.raises(SystemExit):
        cli.main(["train", "--help"])
    text = capsys.readouterr().out
    assert "--config.a.b=value" in text
    for module in (sync_critic_grid, synctalkface_grid):
        listed = text.partition(f"{module.__name__.replace('.', '/')}.py  ")[2]
        assert all(f":{variant} " in listed for variant in module.VARIANTS)


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


CROPS = {"size_px": 32, "smooth_sigma_frames": 2.5}  # of tiny_critic's toys


def experts(config, tmp_path, *, copy=True, **crops):
    method = toys.gan()  # any method with one expert
    method = type(method)(
        **{name: getattr(method, name) for name in ("init_fn", "phases", "predict_fn")},
        experts=("sync",),
    )
    return load_experts(
        config,
        method,
        module=assemble.method_module(config.method),
        workdir=tmp_path,
        spec={},
        data_settings=CROPS | crops,
        copy=copy,
    )


def test_expert_is_copied_and_the_copy_is_enough(critic, tmp_path):
    first = experts(consumer(checkpoint=str(critic)), tmp_path).nets
    second = experts(consumer(checkpoint="gone"), tmp_path).nets
    kernel = first["sync"]["params"]["face"]["block_0"]["conv"]["kernel"]
    np.testing.assert_array_equal(
        kernel, second["sync"]["params"]["face"]["block_0"]["conv"]["kernel"]
    )
    assert (tmp_path / "experts" / "sync" / "params.npz").exists()


def test_a_run_says_who_its_experts_were(critic, tmp_path):
    trained = checkpoint.load_trained(critic)
    assert experts(consumer(checkpoint=str(critic)), tmp_path).identities == {
        "sync": {
            "fingerprint": checkpoint.fingerprint(trained.params),
            "seed": 0,
            "step": trained.step,
            "source": str(critic),
        }
    }


def test_a_refused_expert_is_not_kept(critic, tmp_path):
    with pytest.raises(UserError, match="min_accuracy"):
        experts(consumer(checkpoint=str(critic), min_accuracy=1.01), tmp_path)
    assert not (tmp_path / "experts").exists()


def test_a_run_that_is_refused_its_expert_leaves_no_workdir(critic, tmp_path):
    config = synctalkface_grid.get_config("smoke")
    config.experts.sync.update(init="checkpoint", checkpoint=str(critic), min_accuracy=1.01)
    with pytest.raises(UserError, match="min_accuracy"):
        main.run(config, tmp_path / "w")
    assert not (tmp_path / "w").exists()


def test_another_expert_than_the_kept_one_is_refused_by_the_kept_folders_name(critic, tmp_path):
    experts(consumer(checkpoint=str(critic)), tmp_path)
    trained = checkpoint.load_trained(critic)
    trained.params["sync"]["face"]["block_0"]["conv"]["kernel"][:] += 0.1
    checkpoint.write_export(trained, tmp_path / "other")
    kept = tmp_path / "experts" / "sync"
    with pytest.raises(UserError, match=f"{kept}: the kept expert .* is not the one in") as error:
        experts(consumer(checkpoint=str(tmp_path / "other")), tmp_path)
    assert "\n" not in str(error.value)
    went_on = experts(consumer(checkpoint=str(kept)), tmp_path)
    fingerprint = went_on.identities["sync"]["fingerprint"]
    assert fingerprint != checkpoint.fingerprint(trained.params)
    with pytest.raises(UserError, match=f"^{kept}: .*min_accuracy"):
        experts(consumer(checkpoint="gone", min_accuracy=1.01), tmp_path)


@pytest.mark.parametrize(("key", "value"), [("size_px", 64), ("smooth_sigma_frames", 0.5)])
def test_expert_of_other_crops_is_refused(critic, tmp_path, key, value):
    with pytest.raises(UserError, match=f"prepared with {key} = .*, this run has {value}"):
        experts(consumer(checkpoint=str(critic)), tmp_path, **{key: value})


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
    with pytest.raises(UserError, match=f"{path} = .*, this run has {value}"):
        experts(config, tmp_path)


def test_an_expert_saved_before_its_net_had_more_settings_still_fits(critic, tmp_path):
    expert = checkpoint.load_expert(critic)
    check = dict(name="sync", where=critic, data_settings=CROPS)
    config = consumer(checkpoint=str(critic))
    older = expert["config"].copy_and_resolve_references()
    with older.unlocked():
        for setting in ("region", "ends", "parts", "context_layers", "context_heads"):
            del older.model.sync[setting]
    check_expert(expert | {"config": older}, config, **check)
    config.model.sync.ends = "linear"
    with pytest.raises(UserError, match=r"model\.sync = .*'relu'.*this run has .*'linear'"):
        check_expert(expert | {"config": older}, config, **check)


def test_expert_without_validation_or_checkpoint_is_refused(critic, tmp_path):
    expert = checkpoint.load_expert(critic)
    with pytest.raises(UserError, match=f"not validated at its step {expert['step']}"):
        check_expert(
            expert | {"scores": {}}, consumer(), name="sync", where=critic, data_settings=CROPS
        )
    with pytest.raises(UserError, match="checkpoint is empty"):
        experts(consumer(), tmp_path)
    with pytest.raises(UserError, match=r"wants \['sync'\]"):
        experts(command_line.parse(argv("unused"))["config"].value, tmp_path)


def test_plain_and_hashable_are_inverse_on_lists():
    config = ConfigDict({"a": [1, (2, 3)], "b": {"c": ((1, "x"), None)}})
    assert plain(config) == {"a": [1, [2, 3]], "b": {"c": [[1, "x"], None]}}
    assert hashable(plain(config)) == {"a": (1, (2, 3)), "b": {"c": ((1, "x"), None)}}
    assert flat({"a": {"b": {}, "c": 1}}) == {"a.b": {}, "a.c": 1}
