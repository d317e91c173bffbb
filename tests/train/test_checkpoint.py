import dataclasses
import json

import numpy as np
import pytest
import train_toys as toys

from talkjax import cli
from talkjax.errors import UserError
from talkjax.train import checkpoint
from talkjax.train.loop import Hooks, fit


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    fit(toys.gan_job(steps=4), toys.Batches(), workdir=folder, hooks=Hooks())
    return folder


def test_workdir_and_export_load_alike_with_averages(workdir, tmp_path):
    state = fit(toys.gan_job(steps=4), toys.Batches(), workdir=workdir, hooks=Hooks())
    checkpoint.export(workdir, tmp_path / "out")
    first, second = checkpoint.load_trained(workdir), checkpoint.load_trained(tmp_path / "out")
    for trained in (first, second):
        assert trained.step == 4
        assert trained.config.method == "gan"
        averaged = state.ema["params"]["gen"]["kernel"]
        np.testing.assert_array_equal(trained.params["gen"]["kernel"], averaged)
        assert not np.array_equal(averaged, state.params["gen"]["kernel"])
        np.testing.assert_array_equal(
            trained.params["disc"]["kernel"], state.params["disc"]["kernel"]
        )
        np.testing.assert_array_equal(
            trained.model_vars["gen"]["mean"], state.ema["vars"]["gen"]["mean"]
        )
        assert trained.model_vars["disc"] == {}
        assert int(trained.model_vars["gen"]["count"]) == 4


def test_export_holds_no_optimizer_state_and_leaves_nothing_else(workdir, tmp_path):
    checkpoint.export(workdir, tmp_path / "out")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out"]
    names = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert names == ["about.json", "config.json", "params.npz"]
    with np.load(tmp_path / "out" / "params.npz") as arrays:
        assert sorted(arrays.files) == [
            "params/disc/kernel",
            "params/gen/kernel",
            "vars/gen/count",
            "vars/gen/mean",
        ]


def test_export_onto_something_is_refused(workdir, tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(UserError, match="found a folder, want a name that is free"):
        checkpoint.export(workdir, tmp_path / "out")


def test_export_of_an_export_is_the_same(workdir, tmp_path):
    checkpoint.export(workdir, tmp_path / "a")
    checkpoint.export(tmp_path / "a", tmp_path / "b")
    for name in ("about.json", "config.json"):
        assert (tmp_path / "a" / name).read_text() == (tmp_path / "b" / name).read_text()


def test_how_the_data_were_prepared_goes_with_every_form(tmp_path):
    settings = {"smooth_sigma_frames": 1.5, "layout": "grid"}
    job = toys.gan_job(steps=4, data_settings=settings)
    fit(job, toys.Batches(), workdir=tmp_path / "w", hooks=Hooks())
    checkpoint.export(tmp_path / "w", tmp_path / "out")
    for folder in ("w", "out"):
        assert checkpoint.load_trained(tmp_path / folder).data_settings == settings


def test_an_export_that_does_not_say_how_its_data_were_prepared_is_refused(workdir, tmp_path):
    checkpoint.export(workdir, tmp_path / "out")
    _change_about(tmp_path / "out", drop="data_settings")
    with pytest.raises(UserError, match="does not say how its data were prepared"):
        checkpoint.load_trained(tmp_path / "out")


def test_who_the_experts_were_goes_with_every_form(workdir, tmp_path):
    checkpoint.export(workdir, tmp_path / "out")
    for folder in (workdir, tmp_path / "out"):
        assert checkpoint.load_trained(folder).experts == {"critic": toys.CRITIC}
    _change_about(tmp_path / "out", drop="experts")
    assert checkpoint.load_trained(tmp_path / "out").experts is None  # not known, not none


def _change_about(folder, *, drop):
    about = json.loads((folder / "about.json").read_text())
    del about[drop]
    (folder / "about.json").write_text(json.dumps(about))


def test_the_same_weights_have_one_fingerprint_and_others_another(workdir, tmp_path):
    checkpoint.export(workdir, tmp_path / "out")
    first, second = checkpoint.load_trained(workdir), checkpoint.load_trained(tmp_path / "out")
    found = checkpoint.fingerprint(first.params)
    assert checkpoint.fingerprint(second.params) == found
    second.params["gen"]["kernel"][0, 0] += 1e-3
    assert checkpoint.fingerprint(second.params) != found


def test_a_score_of_an_earlier_step_is_not_the_checkpoints(tmp_path):
    settings = dataclasses.replace(
        toys.gan_job().settings, steps=4, validate_every_steps=3, save_every_steps=1
    )
    settings = dataclasses.replace(settings, keep_checkpoints=4)
    hooks = Hooks(validate=lambda params, model_vars: {"accuracy": 0.9})
    fit(toys.gan_job(settings=settings), toys.Batches(), workdir=tmp_path, hooks=hooks)
    found = {n: checkpoint.load_trained(tmp_path, step=n).scores for n in (2, 3, 4)}
    assert found == {2: {}, 3: {"accuracy": 0.9}, 4: {"accuracy": 0.9}}
    # The last step validates; a run that went on past it has the score of an earlier step.
    longer = dataclasses.replace(settings, steps=8, validate_every_steps=7)
    fit(toys.gan_job(settings=longer), toys.Batches(), workdir=tmp_path, hooks=hooks)
    assert checkpoint.load_trained(tmp_path, step=6).scores == {}


def test_loading_what_is_no_checkpoint_says_what_was_found(tmp_path):
    with pytest.raises(UserError, match="found nothing"):
        checkpoint.load_trained(tmp_path / "absent")
    with pytest.raises(UserError, match="an empty folder"):
        checkpoint.load_trained(tmp_path)
    (tmp_path / "note").write_text("")
    with pytest.raises(UserError, match="a folder without"):
        checkpoint.load_trained(tmp_path)


def test_another_format_is_refused(workdir, tmp_path):
    checkpoint.export(workdir, tmp_path / "out")
    about = json.loads((tmp_path / "out" / "about.json").read_text())
    (tmp_path / "out" / "about.json").write_text(json.dumps(about | {"format": 99}))
    with pytest.raises(UserError, match="format 99"):
        checkpoint.load_trained(tmp_path / "out")


def test_a_step_that_was_not_saved_is_refused(workdir):
    with pytest.raises(UserError, match="no checkpoint at step 3, there are: 4; give"):
        checkpoint.load_trained(workdir, step=3)


def test_an_export_has_its_own_step_only(workdir, tmp_path):
    checkpoint.export(workdir, tmp_path / "out", step=4)
    assert checkpoint.load_trained(tmp_path / "out", step=4).step == 4
    with pytest.raises(UserError, match="exported checkpoint of step 4, want step 2"):
        checkpoint.load_trained(tmp_path / "out", step=2)


@pytest.fixture
def export_complaint(tmp_path, capsys):
    """`export_complaint(flags)`: the one line that a wrong `talkjax export` says."""

    def call(*flags):
        before = sorted(tmp_path.rglob("*"))
        assert cli.main(["export", *map(str, flags)]) == 2
        assert sorted(tmp_path.rglob("*")) == before
        said = capsys.readouterr()
        assert said.out == "" and said.err.count("\n") == 1
        return said.err

    return call


def test_a_wrong_export_is_one_line_with_a_remedy(workdir, tmp_path, export_complaint):
    (tmp_path / "note").write_text("x")
    (tmp_path / "began" / "checkpoints").mkdir(parents=True)
    checkpoint.export(workdir, tmp_path / "model")
    out = ("--out", tmp_path / "new")

    said = export_complaint("--workdir", tmp_path / "absent", *out)
    assert "absent: found nothing, want a training workdir" in said and "train first" in said
    said = export_complaint("--workdir", tmp_path / "note", *out)
    assert "note: found a file, want a training workdir" in said
    said = export_complaint("--workdir", tmp_path / "began", *out)
    assert "checkpoints: found no checkpoint" in said and "train first" in said
    said = export_complaint("--workdir", tmp_path / "model", *out)
    assert "model: found an exported checkpoint, want a training workdir; it can be used" in said
    said = export_complaint("--workdir", workdir, "--step", 3, *out)
    assert "no checkpoint at step 3, there are: 4; give one of them with --step" in said


@pytest.mark.parametrize(
    ("place", "found"),
    [("folder", "found a folder"), ("note", "found a file"), ("note/new", "note is a file")],
)
def test_an_export_says_what_is_in_the_way(workdir, tmp_path, export_complaint, place, found):
    (tmp_path / "note").write_text("x")
    (tmp_path / "folder").mkdir()
    said = export_complaint("--workdir", workdir, "--out", tmp_path / place)
    assert found in said and "name another" in said


def test_an_expert_of_several_nets_is_refused(workdir):
    with pytest.raises(UserError, match="must have one net"):
        checkpoint.load_expert(workdir)


@pytest.mark.parametrize("wrong", ["accuracy", "best:accuracy", "max:"])
def test_best_metric_wants_a_direction(wrong):
    with pytest.raises(UserError, match="best_metric"):
        checkpoint.parse_best_metric(wrong)
