"""A run that must reach something says PASS, or FAIL and why, with exit code 1."""

import pathlib

import pytest
import train_toys as toys

from talkjax import main
from talkjax.errors import UserError
from talkjax.train.loop import Hooks, fit
from talkjax.train.required import RequirementMissed, check_required, parse_required

CONFIG = str(pathlib.Path(__file__).parent / "tiny_critic.py")


def test_a_requirement_is_a_score_and_a_number():
    assert parse_required("") is None
    assert parse_required("accuracy>=0.9") == ("accuracy", 0.9)
    for wrong in ("accuracy", "accuracy>0.9", "accuracy>=high"):
        with pytest.raises(UserError, match=r"config\.run\.required"):
            parse_required(wrong)


def test_pass_and_fail_name_both_numbers_and_the_causes():
    check = {"told": {"fit/bce": 0.7}, "causes": lambda told: f"the loss is {told['fit/bce']}"}
    assert check_required("", {}, **check) == ""
    assert check_required("a>=0.5", {"a": 0.5}, **check).startswith("PASS: a is 0.5, at least 0.5")
    with pytest.raises(RequirementMissed, match=r"FAIL: a is 0\.4, at least 0\.5.*loss is 0\.7"):
        check_required("a>=0.5", {"a": 0.4}, **check)
    with pytest.raises(UserError, match="'b'"):
        check_required("b>=0.5", {"a": 0.4}, **check)


def test_a_run_is_judged_by_its_last_validation_and_saved_before(tmp_path):
    settings = toys.gan_job(steps=4).settings
    changed = {"required": "accuracy>=0.5", "validate_every_steps": 2}
    job = toys.gan_job(steps=4, settings=type(settings)(**(vars(settings) | changed)))
    scores = iter([0.1, 0.9, 0.9, 0.1])
    hooks = Hooks(validate=lambda params, model_vars: {"accuracy": next(scores)})
    fit(job, toys.Batches(), workdir=tmp_path / "good", hooks=hooks)
    with pytest.raises(RequirementMissed, match=r"accuracy is 0\.1"):
        fit(job, toys.Batches(), workdir=tmp_path / "bad", hooks=hooks)
    assert (tmp_path / "bad" / "checkpoints" / "4").is_dir()


def test_the_command_fails_with_1_and_says_why(tmp_path, capsys):
    argv = [f"--config={CONFIG}", f"--workdir={tmp_path}", "--config.run.steps=2"]
    assert main.main([*argv, "--config.run.required=accuracy>=1.1"]) == 1
    said = capsys.readouterr().err
    assert "FAIL: accuracy is" in said and "usual causes" in said
    # what a run requires is no part of what it learned: it may be changed when resumed
    assert main.main([*argv, "--config.run.required=accuracy>=0"]) == 0
    assert "PASS: accuracy is" in capsys.readouterr().err
