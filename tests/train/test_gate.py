"""A long run may name a short one that must have passed before it begins."""

import dataclasses
import pathlib
import shutil

import pytest

from configs import (
    sync_critic_context_grid,
    sync_critic_contrastive_grid,
    sync_critic_grid,
    sync_critic_synthetic,
)
from talkjax import command_line, main
from talkjax.errors import UserError
from talkjax.train.checkpoint import load_trained
from talkjax.train.gate import check_gate, check_passed

CONFIG = str(pathlib.Path(__file__).parent / "tiny_critic.py")


def argv(workdir, *more):
    return [f"--config={CONFIG}", f"--workdir={workdir}", "--config.run.steps=2", *more]


@pytest.fixture(scope="module")
def passed(tmp_path_factory):
    """A run of two steps that asked for no more than a coin gives, and got it."""
    workdir = tmp_path_factory.mktemp("gate") / "passed"
    assert main.main(argv(workdir, "--config.run.required=accuracy>=0")) == 0
    return workdir


def long_run(after, **changes):
    """The config of a run that comes after another."""
    config = command_line.parse(argv("unused"))["config"].value.copy_and_resolve_references()
    config.run.after = str(after)
    config.update_from_flattened_dict(changes)
    return config


def test_a_run_begins_after_one_that_passed_and_goes_on_without_it(passed, tmp_path):
    gate = tmp_path / "gate"
    shutil.copytree(passed, gate)
    begun = argv(tmp_path / "long", f"--config.run.after={gate}")
    assert main.main(begun) == 0
    shutil.rmtree(gate)
    assert main.main([*begun, "--config.run.steps=3"]) == 0


def test_a_dry_run_says_that_the_other_is_missing_and_what_to_do(passed, tmp_path, capsys):
    dry = argv(tmp_path / "never", "--dry-run")
    assert main.main([*dry, f"--config.run.after={tmp_path / 'absent'}"]) == 0
    said = capsys.readouterr().out
    assert f"would not begin yet\n  config.run.after: {tmp_path / 'absent'} is not there" in said
    assert main.main([*dry, f"--config.run.after={passed}"]) == 0
    assert "would not begin" not in capsys.readouterr().out
    # a run that has begun goes on without the other
    begun = argv(passed, "--dry-run", f"--config.run.after={tmp_path / 'absent'}")
    assert main.main(begun) == 0
    assert "would not begin" not in capsys.readouterr().out


def test_a_run_does_not_begin_where_the_other_is_missing(tmp_path):
    with pytest.raises(UserError, match=r"absent is not there; first train .*`overfit`") as error:
        main.main(argv(tmp_path / "never", f"--config.run.after={tmp_path / 'absent'}"))
    assert f"--workdir {tmp_path / 'absent'} --config.data.path=fake://" in str(error.value)
    assert str(error.value).endswith("--config.run.after=")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "never").exists()
    check_gate(long_run(""))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"method": "syncnet"}, "method = sync_critic, this one has syncnet"),
        ({"data.path": "data/other"}, r"data.path = fake://\S+, this one has \S+/data/other"),
        ({"loss_weights.fit.bce": 0.0}, r"loss_weights = .*'bce': 1.0.*'bce': 0.0"),
    ],
)
def test_it_must_be_of_the_same_method_data_and_losses(passed, changes, said):
    with pytest.raises(UserError, match=said):
        check_gate(long_run(passed, **changes))


def test_it_must_have_reached_its_end_and_what_it_required(passed):
    config, first = long_run(passed), load_trained(passed)

    def asked(**run):
        changed = first.config.copy_and_resolve_references()
        changed.run.update(run)
        return dataclasses.replace(first, config=changed)

    check_passed(first, config)
    with pytest.raises(UserError, match=r"did not pass: accuracy is 0\.\d+ there.*at least 1\.1"):
        check_passed(asked(required="accuracy>=1.1"), config)
    with pytest.raises(UserError, match="accuracy was not measured at its end"):
        check_passed(dataclasses.replace(first, scores={}), config)
    with pytest.raises(UserError, match="required nothing"):
        check_passed(asked(required=""), config)
    with pytest.raises(UserError, match="is at step 2 of 4; give its command again"):
        check_passed(asked(steps=4), config)


def test_the_long_critics_come_after_fifty_clips_and_the_short_ones_do_not():
    first = {
        sync_critic_grid: "runs/overfit",
        sync_critic_synthetic: "runs/overfit",
        sync_critic_context_grid: "runs/overfit_context",
        sync_critic_contrastive_grid: "runs/overfit_contrastive",
    }
    for module, folder in first.items():
        after = {variant: module.get_config(variant).run.after for variant in module.VARIANTS}
        assert after.pop("full") == folder
        assert not any(after.values())
        gate, full = module.get_config("overfit"), module.get_config("full")
        assert gate.run.required and gate.loss_weights == full.loss_weights
