"""Public weights stay named in whatever is trained from them."""

import dataclasses
import json

import pytest
import train_toys as toys

from talkjax import assemble, cli
from talkjax.train import checkpoint, trained
from talkjax.train.loop import Hooks, fit

ORIGIN = {
    "kind": "toy",
    "file": "public.pth",
    "bytes": 12,
    "sha256": "0123456789abcdef",
    "form": "zip",
    "source": "somebody/toys@1",
    "licence": "research only",
    "licence_from": "the person who imported it",
    "values": {"disc": 4},
    "ignored": {},
}


@pytest.fixture(scope="module")
def public(tmp_path_factory):
    folder = tmp_path_factory.mktemp("public")
    fit(toys.gan_job(steps=2), toys.Batches(), workdir=folder / "w", hooks=Hooks())
    found = dataclasses.replace(checkpoint.load_trained(folder / "w"), origin=ORIGIN)
    trained.write_export(found, folder / "public")
    return folder / "public"


def _train(workdir, path, *, steps=4):
    initial, began_from = assemble.load_initial(str(path))
    job = toys.gan_job(steps=steps, initial=initial, began_from=began_from)
    fit(job, toys.Batches(), workdir=workdir, hooks=Hooks())
    return workdir


def test_a_run_that_began_from_public_weights_says_so_and_so_do_its_heirs(public, tmp_path):
    tuned = _train(tmp_path / "tuned", public)
    checkpoint.export(tuned, tmp_path / "out")
    checkpoint.export(tmp_path / "out", tmp_path / "again")
    heir = _train(tmp_path / "heir", tmp_path / "again")
    for folder in ("tuned", "out", "again", "heir"):
        found = checkpoint.load_trained(tmp_path / folder)
        assert (found.origin, found.began_from) == (None, ORIGIN), folder
    assert checkpoint.load_trained(heir).public_origin == ORIGIN
    own = _train(tmp_path / "own", "")
    assert checkpoint.load_trained(own).public_origin is None


def test_it_stays_when_the_run_goes_on_without_init_from(public, tmp_path):
    tuned = _train(tmp_path / "tuned", public, steps=2)
    job = toys.gan_job(steps=4)
    fit(job, toys.Batches(), workdir=tuned, hooks=Hooks(), allow_config_change=True)
    found = checkpoint.load_trained(tuned)
    assert (found.step, found.began_from) == (4, ORIGIN)


def test_inspect_names_the_weights_and_their_terms(public, tmp_path, capsys):
    tuned = _train(tmp_path / "tuned", public)
    capsys.readouterr()
    assert cli.main(["inspect", "weights", "--checkpoint", str(tuned)]) == 0
    told = capsys.readouterr().out
    for text in (
        "trained with TalkJAX, begun from imported weights:",
        "public.pth",
        "research only",
    ):
        assert text in told
    assert cli.main(["inspect", "weights", "--checkpoint", str(tuned), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["origin"], facts["began_from"]) == (None, ORIGIN)
    assert cli.main(["inspect", "weights", "--checkpoint", str(public)]) == 0
    assert "trained with TalkJAX" not in capsys.readouterr().out
