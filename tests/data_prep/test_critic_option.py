"""`--critic` of `prepare` and `doctor`: what is refused, what is said, what is not loaded."""

import dataclasses
import json
import pathlib
import shutil
import subprocess
import sys

import jax
import numpy as np
import pytest

from data_prep.doctor import SyncQuestion, examine, summary
from data_prep.sync_check import Heard, SyncRules
from talkjax.assemble import build_method, element_spec
from talkjax.cli import main
from talkjax.commands import listening
from talkjax.commands.critic_arguments import MIN_ACCURACY
from talkjax.data import schema, writer
from talkjax.data.source import open_source
from talkjax.errors import UserError
from talkjax.train.trained import Trained, write_export
from tests.train import tiny_critic

ROOT = pathlib.Path(__file__).resolve().parents[2]
CROPS = {"size_px": 32, "smooth_sigma_frames": 2.5}


@pytest.fixture(scope="module")
def untrained():
    """A critic that knows nothing."""
    config = tiny_critic.get_config()
    method, spec = build_method(config), element_spec(config)
    batch = {name: np.zeros(s.shape, s.dtype) for name, s in spec.items()}
    params, model_vars = jax.jit(method.init_fn)(jax.random.key(0), batch)
    params, model_vars = jax.device_get((params, model_vars))
    return Trained(config, params, model_vars, 4, {"accuracy": 0.5}, CROPS, {})


@pytest.fixture
def export(untrained, tmp_path):
    """`export(**changes)` -> the folder of the untrained critic."""

    def write(**changes):
        write_export(dataclasses.replace(untrained, **changes), tmp_path / "critic")
        return tmp_path / "critic"

    return write


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Five clips of 40 frames and one of 30, prepared as the critic wants them."""
    folder = tmp_path_factory.mktemp("data")
    toys = [("2x40", "train"), ("2x40", "val"), ("1x40", "test"), ("1x30", "test")]
    records = [
        dataclasses.replace(record, clip_id=f"{record.clip_id}-{toy}")
        for toy, split in toys
        for source in [open_source(f"fake://{toy}?size=32", split)]
        for record in (source[i] for i in range(len(source)))
    ]
    clips = [(schema.encode(record), writer.ClipMeta.of(record)) for record in records]
    writer.write_dataset(folder, clips, settings=CROPS)
    return folder


class Says:
    """A listener with an answer for each clip, in order, again and again."""

    least_frames = 35

    def __init__(self, *answers):
        self._answers = answers
        self._count = 0

    def __call__(self, record):
        self._count += 1
        return self._answers[(self._count - 1) % len(self._answers)]


def ask(data, *answers, **rules):
    question = SyncQuestion(Says(*answers), SyncRules(**rules), {"step": 4})
    return summary(examine(data, question=question))


def test_doctor_reports_every_verdict_and_rejects_none_without_a_rule(data):
    found = ask(data, Heard(0, 0.5), Heard(-15, 0.0))
    assert found["ok"] and found["problems"] == []
    sync = found["sync"]
    assert (sync["measured"], sync["too_short"]) == (5, 1)
    assert sync["offsets"] == {"-15": 2, "+0": 3}
    assert len(sync["furthest_off"]) == 2


def test_what_the_rules_reject_is_a_problem(data):
    found = ask(data, Heard(0, 0.5), Heard(0, 0.2), min_confidence=0.3)
    assert not found["ok"] and len(found["problems"]) == 2
    name = found["sync"]["least_confident"][0]
    assert found["problems"][0] == (
        f"{name}: sync_confidence: sync confidence 0.2000 (offset +0), want at least 0.3"
    )


def test_a_set_that_is_shifted_as_a_whole_is_a_warning(data):
    whole = "by the critic the picture is 2 frames late in 5 of 5 clips: the set seems shifted"
    assert any(w.startswith(whole) for w in ask(data, Heard(2, 0.5))["warnings"])
    for answers in ((Heard(0, 0.5),), (Heard(2, 0.5), Heard(0, 0.5), Heard(1, 0.5))):
        assert not any("by the critic" in line for line in ask(data, *answers)["warnings"])


def test_without_a_critic_doctor_has_no_verdicts(data):
    assert summary(examine(data))["sync"] is None


def test_the_command_prints_a_histogram_and_the_worst_and_fails_by_a_rule(data, export, capsys):
    command = ["doctor", str(data), "--critic", str(export()), "--any-critic"]
    assert main(command) == 0
    text = capsys.readouterr().out
    assert "(validation accuracy 0.500): 5 clips; 1 too short for a verdict" in text
    assert "offset, frames   clips" in text and "####" in text
    assert "least confident: toy/" in text and "confidence: median" in text
    assert "offset with its fraction, frames: median " in text
    assert main([*command, "--min-confidence", "3", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert len(found["problems"]) == 5
    assert found["sync"]["critic"]["step"] == 4


def test_a_critic_at_chance_is_refused_unless_any_will_do(export, data, capsys):
    folder = export()
    with pytest.raises(UserError, match=rf"accuracy 0\.5000 .*want {MIN_ACCURACY:g}.*--any-critic"):
        listening.find_critic(folder, crops=CROPS, any_critic=False)
    _, identity = listening.find_critic(folder, crops=CROPS, any_critic=True)
    assert identity["validation_accuracy"] == 0.5
    assert main(["doctor", str(data), "--critic", str(folder)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_good_critic_passes_the_gate(export):
    _, identity = listening.find_critic(
        export(scores={"accuracy": MIN_ACCURACY}), crops=CROPS, any_critic=False
    )
    assert (identity["step"], identity["validation_accuracy"]) == (4, MIN_ACCURACY)


def test_a_critic_that_was_not_validated_is_refused(export):
    with pytest.raises(UserError, match="was not validated at its step 4"):
        listening.find_critic(export(scores={}), crops=CROPS, any_critic=False)


@pytest.mark.parametrize("crops", [CROPS | {"size_px": 64}, {"size_px": 32}])
def test_a_critic_of_other_crops_is_refused_whatever_is_asked(export, crops):
    with pytest.raises(UserError, match="the critic was trained on crops with"):
        listening.find_critic(export(), crops=crops, any_critic=True)


def test_a_model_that_is_no_critic_is_refused(export, untrained):
    config = untrained.config.copy_and_resolve_references()
    config.method = "synctalkface"
    with pytest.raises(
        UserError,
        match=r"holds a synctalkface, want a sync_critic as --critic; train one with configs/sync_",
    ):
        listening.find_critic(export(config=config), crops=CROPS, any_critic=True)


def test_a_worker_opens_the_very_weights_that_were_checked(export, data, untrained, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "")  # put back afterwards
    folder = export()
    trained, identity = listening.find_critic(folder, crops=CROPS, any_critic=True)
    source = listening.stored(folder, identity)
    record = open_source(data, "train")[0]
    assert source.open()(record) == listening.listener(trained)(record)
    shutil.rmtree(folder)
    export(params=jax.tree.map(lambda leaf: leaf + 1, untrained.params))
    with pytest.raises(UserError, match=r"its weights are now \w+, were "):
        source.open()


@pytest.mark.parametrize(
    ("command", "flags", "message"),
    [
        ("doctor", ["--min-confidence", "0.1"], "--min-confidence: got no --critic"),
        ("prepare", ["--fix-offset"], "--fix-offset: got no --critic"),
        ("prepare", ["--any-critic"], "--any-critic: got no --critic"),
        ("prepare", ["--critic", "x", "--fix-offset"], "fix_offset: got no min_confidence"),
        ("doctor", ["--critic", "x", "--max-offset-frames", "99"], "max_offset_frames: got 99"),
        ("doctor", ["--critic", "x"], "x: found nothing, want a training workdir"),
    ],
)
def test_flags_that_cannot_work_are_one_line(data, tmp_path, capsys, command, flags, message):
    places = [str(data)] if command == "doctor" else [str(data), str(tmp_path / "out")]
    layout = ["--layout", "folder"] if command == "prepare" else []
    assert main([command, *places, *layout, *flags]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not (tmp_path / "out").exists()


def test_without_a_critic_no_net_is_loaded():
    code = (
        "import sys, data_prep.prepare, talkjax.commands.prepare, talkjax.commands.doctor\n"
        "bad = ('flax', 'orbax', 'talkjax.nets', 'talkjax.methods', 'talkjax.train')\n"
        "print([name for name in bad if name in sys.modules])\n"
        "from jax._src import xla_bridge\n"
        "print(xla_bridge.backends_are_initialized())\n"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "False"]


@pytest.mark.slow
def test_prepare_hands_a_real_critic_to_its_workers(export, grid, tmp_path, capsys):
    raw, out = tmp_path / "raw", tmp_path / "out"
    raw.mkdir()
    shutil.copy(grid / "lbbq9s.mpg", raw)
    command = ["prepare", str(raw), str(out), "--layout", "folder", "--size", "32"]
    command += ["--critic", str(export()), "--any-critic", "--workers", "1"]
    assert main(command) == 0
    assert "lips and sound by the critic: 1 clips measured" in capsys.readouterr().out
    report = json.loads((out / "report.json").read_text())
    (verdict,) = report["sync"]["clips"].values()
    trained, _ = listening.find_critic(tmp_path / "critic", crops=CROPS, any_critic=True)
    (split,) = json.loads((out / "index.json").read_text())["splits"]
    heard = listening.listener(trained)(open_source(out, split)[0])
    assert verdict["offset_frames"] == heard.offset_frames
    assert verdict["confidence"] == pytest.approx(heard.confidence, abs=2e-4)
    settings = json.loads((out / "index.json").read_text())["settings"]["sync"]
    assert settings["critic"]["step"] == 4 and "checkpoint" not in settings["critic"]
