"""Checkpoints that were cut off, mixed up or half copied are one line, never a traceback."""

import io
import json
import shutil

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
    fit(toys.gan_job(steps=4), toys.Batches(), workdir=folder / "w", hooks=Hooks())
    checkpoint.export(folder / "w", folder / "out")
    return folder / "w"


@pytest.fixture
def export(workdir, tmp_path):
    return shutil.copytree(workdir.parent / "out", tmp_path / "out")


def _npy():
    written = io.BytesIO()
    np.save(written, np.zeros(3))
    return written.getvalue()


def _npz(**arrays):
    written = io.BytesIO()
    np.savez(written, **arrays)
    return written.getvalue()


def _complaint(path, capsys):
    assert cli.main(["inspect", "weights", "--checkpoint", str(path)]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1
    return said.err


DAMAGE = {
    "cut off": ("params.npz", lambda whole: whole[: len(whole) // 2], "found 5.. bytes that are"),
    "empty": ("params.npz", lambda _: b"", "found 0 bytes that are no whole .npz"),
    "text": ("params.npz", lambda _: b"weights\n", "found 8 bytes that are no whole .npz"),
    "one array": ("params.npz", lambda _: _npy(), "bytes that are no whole .npz"),
    "foreign": ("params.npz", lambda _: _npz(kernel=np.zeros(3)), r"no net's \(kernel\)"),
    "no arrays": ("params.npz", lambda _: _npz(), "no whole .npz|no net's"),
    "pickle": (
        "params.npz",
        lambda _: _npz(**{"params/gen/kernel": np.array([{}], dtype=object)}),
        "no whole .npz .*pickle",
    ),
    "about cut off": ("about.json", lambda whole: whole[:40], "is no JSON"),
    "about gone": ("about.json", None, "is missing"),
    "about empty": ("about.json", lambda _: b"{}", "found nothing, want 'format' too"),
    "about half": ("about.json", lambda _: b'{"format": 1, "data_settings": {}}', "want 'step'"),
    "about a list": ("about.json", lambda _: b"[]", "holds a list, want a JSON object"),
    "about of bytes": ("about.json", lambda _: bytes(range(200)), "is no JSON"),
    "config cut off": ("config.json", lambda whole: whole[:20], "is no JSON"),
    "config gone": ("config.json", None, "is missing"),
    "config empty": ("config.json", lambda _: b"{}", "want 'method' too"),
    "config odd": ("config.json", lambda _: b'{"method": 3}', "'method' is 3, want a str"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_export_is_one_line_with_the_file_and_a_remedy(export, damage, capsys):
    name, change, found = DAMAGE[damage]
    file = export / name
    if change is None:
        file.unlink()
    else:
        file.write_bytes(change(file.read_bytes()))
    said = _complaint(export, capsys)
    assert said.startswith(f"talkjax inspect: {file}: ") or f"{file}: " in said
    assert "export or import it again" in said
    with pytest.raises(UserError, match=found):
        checkpoint.load_trained(export)


def test_wherever_params_are_cut_off_or_a_bit_is_flipped_there_is_no_traceback(export):
    file, rng = export / "params.npz", np.random.default_rng(0)
    whole, refused = file.read_bytes(), 0
    for place in rng.integers(len(whole), size=60).tolist():
        flipped = bytes([whole[place] ^ (1 << place % 8)])
        for damaged in (whole[:place], whole[:place] + flipped + whole[place + 1 :]):
            file.write_bytes(damaged)
            try:
                checkpoint.load_trained(export)
            except UserError:
                refused += 1
    assert refused > 60  # all that are cut off, and some of the others


STEP_DAMAGE = {
    "config cut off": ("config/metadata", lambda whole: whole[:20]),
    "config empty": ("config/metadata", lambda _: b"{}"),
    "about gone": ("about/metadata", None),
    "about empty": ("about/metadata", lambda _: b"{}"),
    "tree gone": ("state/_METADATA", None),
    "tree cut off": ("state/_METADATA", lambda whole: whole[:200]),
    "arrays cut off": ("state/manifest.ocdbt", lambda whole: whole[:50]),
}


def _damaged(workdir, tmp_path, damage):
    name, change = STEP_DAMAGE[damage]
    copy = shutil.copytree(workdir, tmp_path / "w")
    file = copy / "checkpoints" / "4" / name
    if change is None:
        file.unlink()
    else:
        file.write_bytes(change(file.read_bytes()))
    return copy


@pytest.mark.parametrize("damage", STEP_DAMAGE)
def test_a_damaged_step_of_a_workdir_is_one_line_that_names_it(workdir, tmp_path, damage):
    copy = _damaged(workdir, tmp_path, damage)
    with pytest.raises(UserError, match="remove this folder to use an earlier step") as found:
        checkpoint.load_trained(copy)
    said = str(found.value)
    assert said.startswith(f"{copy / 'checkpoints' / '4'}") and "\n" not in said
    assert len(said) < 400 + len(str(copy))


def test_a_run_does_not_go_on_from_a_damaged_step(workdir, tmp_path):
    copy = _damaged(workdir, tmp_path, "about gone")
    with pytest.raises(UserError, match=r"4: cannot be read .* want a whole checkpoint"):
        fit(toys.gan_job(steps=5), toys.Batches(), workdir=copy, hooks=Hooks())


def test_a_step_that_is_asked_for_needs_no_other(tmp_path):
    fit(toys.gan_job(steps=8), toys.Batches(), workdir=tmp_path, hooks=Hooks())
    (tmp_path / "checkpoints" / "8" / "about" / "metadata").write_text("{")
    assert checkpoint.load_trained(tmp_path, step=4).step == 4
    with pytest.raises(UserError, match="checkpoints/8: cannot be read"):
        checkpoint.load_trained(tmp_path)


def test_notes_of_an_older_version_still_load(export):
    about = json.loads((export / "about.json").read_text())
    for key in ("experts", "origin", "began_from"):
        del about[key]
    (export / "about.json").write_text(json.dumps(about))
    trained = checkpoint.load_trained(export)
    assert (trained.experts, trained.origin, trained.began_from) == (None, None, None)
