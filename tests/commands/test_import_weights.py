"""`talkjax import-weights` and `inspect weights` on a narrow Wav2Lip expert."""

import errno
import hashlib
import json
import os
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from configs import sync_critic_grid, synctalkface_grid
from talkjax import cli, experts
from talkjax.commands import evaluation_parts
from talkjax.errors import UserError
from talkjax.nets.sync_critic import WAV2LIP_FACE, SyncCritic
from talkjax.train import checkpoint
from talkjax.train.files import plain
from talkjax.train.trained import fingerprint
from talkjax.weights import manifest, torch_layout
from tests.weights import torch_writer
from tests.weights.toy_expert import AUDIO, FACE, FACE_BLOCKS_128, expert_state
from tests.weights.toy_stylegan import rosinality_state
from tests.weights.toy_syncnet import syncnet_state

DATA = "fake://8x40?size=96"


def weights_file(path, state=None, **beside):
    state = expert_state(prefix="module.") if state is None else state
    content = {"state_dict": torch_writer.ordered(state), "optimizer": {"state": {}}}
    return torch_writer.write_zip(path, content | {"global_step": 7} | beside)


@pytest.fixture
def file(tmp_path):
    return weights_file(tmp_path / "lipsync_expert.pth")


def run(*words):
    return cli.main(["import-weights", *map(str, words)])


def refused(capsys, *words):
    assert run(*words) == 2
    told = capsys.readouterr()
    assert told.out == "" and told.err.count("\n") == 1
    return told.err


def test_the_checkpoint_holds_the_weights_under_their_names(file, tmp_path, capsys):
    out = tmp_path / "models" / "expert"
    assert run("wav2lip-expert", file, out) == 0
    trained = checkpoint.load_trained(out)
    settings = trained.config.model.sync.to_dict()
    assert settings["face_channels"] == FACE and settings["audio_channels"] == AUDIO
    critic = SyncCritic(**settings)
    inputs = (jnp.zeros((1, 5, 48, 96, 3)), jnp.zeros((1, 80, 16)))
    like = jax.eval_shape(lambda: critic.init(jax.random.key(0), *inputs, train=False))
    want = torch_layout.import_sync_critic(expert_state(), like, where="here").variables["sync"]
    jax.tree.map(np.testing.assert_array_equal, trained.params["sync"], want["params"])
    jax.tree.map(
        np.testing.assert_array_equal,
        trained.model_vars["sync"]["batch_stats"],
        want["batch_stats"],
    )


def test_the_manifest_says_where_it_is_from_and_what_was_left_out(file, tmp_path, capsys):
    out = tmp_path / "expert"
    assert run("wav2lip-expert", file, out, "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    origin = checkpoint.load_trained(out).origin
    assert printed == origin | {"scores": {}}
    assert origin["file"] == "lipsync_expert.pth" and origin["kind"] == "wav2lip-expert"
    assert origin["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert "non-commercial" in origin["licence"] and "check" in origin["licence_from"]
    ignored = {key for keys in origin["ignored"].values() for key in keys}
    counters = {key for key in expert_state() if key.endswith("num_batches_tracked")}
    assert ignored == counters | {"optimizer", "global_step"}
    used = sum(a.size for key, a in expert_state().items() if key not in counters)
    assert origin["values"] == {"sync": used}
    assert str(tmp_path) not in json.dumps(origin)

    assert cli.main(["inspect", "weights", "--checkpoint", str(out)]) == 0
    told = capsys.readouterr().out
    for text in ("non-commercial", origin["sha256"], "lipsync_expert.pth", "optimizer"):
        assert text in told


def test_the_same_file_gives_the_same_checkpoint(file, tmp_path):
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        assert run("wav2lip-expert", file, folder) == 0
    for name in ("config.json", "about.json"):
        assert len({(folder / name).read_bytes() for folder in folders}) == 1
    assert len({fingerprint(checkpoint.load_trained(f).params) for f in folders}) == 1


IMPORTER = "the person who imported it"


def test_what_nobody_said_is_marked_as_assumed(file, tmp_path, capsys):
    """Anybody's training has such keys; where a file was got, it does not tell."""
    run("wav2lip-expert", file, tmp_path / "expert")
    origin = checkpoint.load_trained(tmp_path / "expert").origin
    assert origin["source"] == "assumed: Rudrabha/Wav2Lip@5c90fa9"
    assert origin["licence"].startswith("assumed: Wav2Lip's README: personal")
    assert "nobody said" in origin["source_from"] and "--source" in origin["source_from"]
    assert "check" in origin["licence_from"] and "--licence" in origin["licence_from"]
    assert manifest.label(origin) == (
        "imported weights lipsync_expert.pth (source assumed, not stated by anybody: "
        f"Rudrabha/Wav2Lip@5c90fa9), sha256 {origin['sha256'][:12]}"
    )
    capsys.readouterr()
    assert cli.main(["inspect", "weights", "--checkpoint", str(tmp_path / "expert")]) == 0
    told = capsys.readouterr().out
    assert "source   assumed: Rudrabha/Wav2Lip@5c90fa9\n         (nobody said" in told


def test_the_user_may_state_source_and_terms(file, tmp_path, capsys):
    words = ["--source", "my own\ntraining, 2026", "--licence", "CC0, by its author"]
    run("wav2lip-expert", file, tmp_path / "expert", *words)
    origin = checkpoint.load_trained(tmp_path / "expert").origin
    assert (origin["source"], origin["source_from"]) == ("my own training, 2026", IMPORTER)
    assert (origin["licence"], origin["licence_from"]) == ("CC0, by its author", IMPORTER)
    assert manifest.label(origin).startswith(
        "imported weights lipsync_expert.pth (source as stated by the person who imported it: my "
        "own training, 2026), sha256 "
    )
    assert origin["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    capsys.readouterr()
    for option in ("--source", "--licence"):
        told = refused(capsys, "wav2lip-expert", file, tmp_path / "other", option, " ")
        assert f"{option}: got nothing" in told


def test_one_statement_says_nothing_of_the_other(file, tmp_path):
    run("wav2lip-expert", file, tmp_path / "expert", "--source", "a friend")
    origin = checkpoint.load_trained(tmp_path / "expert").origin
    assert origin["source_from"] == IMPORTER
    assert origin["licence"].startswith("assumed: ") and origin["licence_from"] != IMPORTER


def test_an_expert_of_128_px_does_not_get_wav2lips_terms(tmp_path, capsys):
    path = weights_file(tmp_path / "expert.pth", expert_state(face_blocks=FACE_BLOCKS_128))
    assert run("wav2lip-expert", path, tmp_path / "expert") == 0
    trained = checkpoint.load_trained(tmp_path / "expert")
    assert trained.config.model.image_size == 128
    origin = trained.origin
    assert origin["layout"] == "SyncTalkFace"
    assert origin["source"] == "assumed: jinny960812/SyncTalkFace@9d5d08d"
    assert origin["licence"] == "assumed: SyncTalkFace has no licence file: ask its authors"
    told = capsys.readouterr().out
    assert "wav2lip-expert of SyncTalkFace's layout from expert.pth" in told
    assert "Rudrabha" not in told


def test_the_manifest_of_an_earlier_import_is_shown_as_assumed(file, tmp_path):
    run("wav2lip-expert", file, tmp_path / "expert")
    origin = checkpoint.load_trained(tmp_path / "expert").origin
    earlier = {key: origin[key] for key in origin if key not in ("layout", "source_from")}
    earlier |= {"source": "Rudrabha/Wav2Lip@5c90fa9"}
    assert "source assumed, not stated by anybody: Rudrabha" in manifest.label(earlier)
    lines = manifest.as_text(earlier)
    assert lines[0].startswith("wav2lip-expert from lipsync_expert.pth")
    assert lines[lines.index("source   Rudrabha/Wav2Lip@5c90fa9") + 1].endswith("so assumed)")


def test_a_copy_in_a_workdir_keeps_the_manifest(file, tmp_path):
    run("wav2lip-expert", file, tmp_path / "expert")
    checkpoint.export(tmp_path / "expert", tmp_path / "kept", step=0)
    kept = checkpoint.load_trained(tmp_path / "kept")
    assert kept.origin == checkpoint.load_trained(tmp_path / "expert").origin


def seen_by_the_net(clip, starts):
    """A clip's windows as models/syncnet.py's data are: lower halves, BGR in [0, 1], and mel."""
    frames_u8, mel = clip
    halves = [frames_u8[start : start + 5, 48:, :, ::-1] / 255 for start in starts]
    sound = [mel[80 * start // 25 :][:16].T for start in starts]
    return jnp.float32(np.stack(halves)), jnp.asarray(np.stack(sound))


def test_an_imported_critic_judges(file, tmp_path):
    """What `evaluate --judge` embeds with it is what the net makes of the file's own arrays."""
    data = "fake://4x30?size=96"
    run("wav2lip-expert", file, tmp_path / "expert", "--data", data)
    trained = checkpoint.load_trained(tmp_path / "expert")
    judges = evaluation_parts.find_judges(tmp_path / "expert", tmp_path, trained, data=data)
    assert [judge.suffix for judge in judges] == [""]
    critic = judges[0].critic
    assert (critic.image_size, critic.clip_frames, critic.mel_frames) == (96, 5, 16)

    rng = np.random.default_rng(0)
    frames_u8 = rng.integers(0, 256, (12, 96, 96, 3), dtype=np.uint8)
    mel = rng.uniform(-4, 4, (50, 80)).astype(np.float32)
    starts = np.array([0, 3, 7])
    faces, sounds = critic.faces(frames_u8, starts), critic.sound(mel, starts)

    net = SyncCritic(face_channels=FACE, **WAV2LIP_FACE, audio_channels=AUDIO)
    halves, chunks = seen_by_the_net((frames_u8, mel), starts)
    like = jax.eval_shape(lambda: net.init(jax.random.key(0), halves, chunks, train=False))
    own = torch_layout.import_sync_critic(expert_state(), like, where="here").variables["sync"]
    face, sound = jax.jit(lambda *x: net.apply(own, *x, train=False))(halves, chunks)
    np.testing.assert_allclose(faces, face.unit, rtol=0, atol=1e-5)
    np.testing.assert_allclose(sounds, sound.unit, rtol=0, atol=1e-5)
    # Neither is the same whatever it is shown.
    assert np.ptp(faces, axis=0).max() > 0.01 and np.ptp(sounds, axis=0).max() > 0.01
    red_first, _ = net.apply(own, halves[..., ::-1], chunks, train=False)
    assert np.abs(red_first.unit - faces).max() > 0.01


def run_config(**changes):
    config = ConfigDict(synctalkface_grid.get_config("smoke"))
    config.data.update(path=DATA, image_size=96)
    config.model.update(image_size=96)
    config.experts.sync.update(init="checkpoint", min_accuracy=0.0)
    return config


def test_a_critic_without_a_measured_accuracy_is_no_expert_yet(file, tmp_path):
    run("wav2lip-expert", file, tmp_path / "expert")
    expert = checkpoint.load_expert(tmp_path / "expert")
    with pytest.raises(UserError, match=r"import lipsync_expert.pth again with --data fake://8x40"):
        experts.check_expert(
            expert, run_config(), name="sync", where=tmp_path / "expert", data_settings={}
        )


@pytest.mark.slow
def test_measured_on_data_it_passes_the_gate_of_a_training(file, tmp_path, capsys):
    assert run("wav2lip-expert", file, tmp_path / "expert", "--data", DATA) == 0
    assert "measured accuracy" in capsys.readouterr().out
    expert = checkpoint.load_expert(tmp_path / "expert")
    assert 0.0 <= expert["scores"]["accuracy"] <= 1.0
    config = run_config()
    config.model.sync = ConfigDict(expert["config"].model.sync.to_dict())
    experts.check_expert(
        expert,
        config,
        name="sync",
        where=tmp_path / "expert",
        data_settings=expert["data_settings"],
    )
    config.experts.sync.min_accuracy = 1.01
    with pytest.raises(UserError, match="validation accuracy"):
        experts.check_expert(
            expert, config, name="sync", where=tmp_path, data_settings=expert["data_settings"]
        )


def test_wrong_files_are_one_line_and_leave_nothing(tmp_path, capsys):
    state = expert_state()
    missing = {key: a for key, a in state.items() if key != "face_encoder.3.conv_block.1.bias"}
    odd = state | {"audio_encoder.2.conv_block.1.weight": np.zeros(7, np.float32)}
    short = {key: a for key, a in state.items() if not key.startswith("face_encoder.16")}
    files = {
        "none": (None, "found nothing"),
        "missing": (missing, r"face_encoder.3.conv_block.1.bias is missing"),
        "unused": (state | {"extra": np.ones(2, np.float32)}, "extra is not used by the net"),
        "shape": (odd, "has shape (7,), want (4,)"),
        "blocks": (short, "its face encoder has 16 blocks"),
    }
    for name, (content, text) in files.items():
        path = tmp_path / f"{name}.pth"
        if content is not None:
            weights_file(path, content)
        told = refused(capsys, "wav2lip-expert", path, tmp_path / "out")
        assert text in told and str(path) in told, name
    path = weights_file(tmp_path / "two.pth", second={"a": np.ones(3, np.float32)})
    assert "entry second holds tensors" in refused(capsys, "wav2lip-expert", path, tmp_path / "out")
    path = weights_file(tmp_path / "kind.pth")
    told = refused(capsys, "syncnet", path, tmp_path / "out")
    assert "it looks like a wav2lip-expert" in told
    assert not [p for p in tmp_path.iterdir() if p.is_dir()]
    assert run("wav2lip-expert", tmp_path / "two.pth", tmp_path / "out", "--ignore", "second") == 0
    ignored = checkpoint.load_trained(tmp_path / "out").origin["ignored"]
    assert ignored["left out as asked for with --ignore"] == ["second"]


def test_a_hostile_file_is_refused_by_the_command(tmp_path, capsys):
    call = torch_writer.Call(torch_writer.Name("os", "system"), f"touch {tmp_path / 'ran'}")
    path = torch_writer.write_zip(tmp_path / "a.pth", {"state_dict": expert_state(), "x": call})
    assert "names os.system" in refused(capsys, "wav2lip-expert", path, tmp_path / "out")
    assert not (tmp_path / "ran").exists() and not (tmp_path / "out").exists()


def test_a_place_that_cannot_be_written_is_one_line(file, tmp_path, capsys, monkeypatch):
    long = tmp_path / ("x" * 300)
    told = refused(capsys, "wav2lip-expert", file, long)
    assert "cannot be written (File name too long); name another folder" in told

    def full(path, **arrays):
        pathlib.Path(path).write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(np, "savez", full)
    told = refused(capsys, "wav2lip-expert", file, tmp_path / "a" / "out")
    assert f"{tmp_path / 'a' / 'out'}: cannot be written (No space left on device)" in told
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith(".out")]


def test_what_a_file_calls_its_keys_cannot_forge_the_manifest(tmp_path, capsys):
    forged = "A\x1b[31m\nsource   the authors.num_batches_tracked"
    path = weights_file(tmp_path / "a.pth", expert_state() | {forged: np.asarray(1)})
    assert run("wav2lip-expert", path, tmp_path / "out") == 0
    said = capsys.readouterr().out
    assert "A?[31m?source   the authors.num_batches_tracked" in said
    assert [line for line in said.splitlines() if line.startswith("source")] == [
        line for line in said.splitlines() if line.startswith("source   assumed: ")
    ]
    long = {f"face_encoder.{'9' * 5000}.conv_block.0.weight": np.ones((4, 4, 3, 3), np.float32)}
    path = weights_file(tmp_path / "b.pth", expert_state() | long)
    assert "is not used by the net" in refused(capsys, "wav2lip-expert", path, tmp_path / "b")
    late = {
        "face_encoder.99.\x1b[31m\nX": np.ones(4, np.float32),
        **{k: v for k, v in expert_state().items() if not k.startswith("face_encoder.16")},
    }
    path = weights_file(tmp_path / "c.pth", late)
    told = refused(capsys, "wav2lip-expert", path, tmp_path / "c")
    assert "found face_encoder.99.?[31m?X, but no face_encoder.16" in told


def test_only_a_whole_number_is_a_step_counter(tmp_path, capsys):
    for key, value in {
        "evilnum_batches_tracked": np.asarray(1),
        "x.num_batches_tracked": np.ones((5, 5), np.float32),
    }.items():
        path = weights_file(tmp_path / "a.pth", expert_state() | {key: value})
        told = refused(capsys, "wav2lip-expert", path, tmp_path / "out")
        assert f"{key} is not used by the net" in told


def test_what_lies_at_out_is_kept_unless_told_otherwise(file, tmp_path, capsys):
    out = tmp_path / "expert"
    run("wav2lip-expert", file, out)
    first = fingerprint(checkpoint.load_trained(out).params)
    other = weights_file(tmp_path / "other.pth", expert_state(seed=1))
    capsys.readouterr()
    assert "--overwrite" in refused(capsys, "wav2lip-expert", other, out)
    assert fingerprint(checkpoint.load_trained(out).params) == first
    broken = tmp_path / "broken.pth"
    broken.write_bytes(other.read_bytes()[:5000])
    assert "cut off" in refused(capsys, "wav2lip-expert", broken, out, "--overwrite")
    assert fingerprint(checkpoint.load_trained(out).params) == first
    assert run("wav2lip-expert", other, out, "--overwrite") == 0
    assert fingerprint(checkpoint.load_trained(out).params) != first
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_dir()) == ["expert"]

    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "note.txt").write_text("keep")
    capsys.readouterr()
    told = refused(capsys, "wav2lip-expert", file, tmp_path / "mine", "--overwrite")
    assert "is no exported checkpoint" in told
    assert (tmp_path / "mine" / "note.txt").read_text() == "keep"
    assert "is a file" in refused(capsys, "wav2lip-expert", file, file / "out")


def test_bare_nets_say_what_they_are_and_are_no_model(tmp_path, capsys):
    state = {key: np.ascontiguousarray(a) for key, a in rosinality_state(width=8).items()}
    content = {"g_ema": state, "g": state, "latent_avg": np.ones(8, np.float32)}
    path = torch_writer.write_zip(tmp_path / "g.pt", content | {"g_optim": {}})
    assert run("stylegan2", path, tmp_path / "out") == 0
    trained = checkpoint.load_trained(tmp_path / "out")
    assert trained.config.method == "none" and set(trained.params) == {"gen"}
    described = trained.config.nets.gen
    assert described.net == "stylegan2.StyleGan2"
    assert (described.settings.resolution, described.settings.width) == (8, 8)
    capsys.readouterr()
    words = ["evaluate", "--workdir", str(tmp_path / "out"), "--data", DATA, "--out", "r"]
    assert cli.main(words) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert "no prepared crops" in refused(
        capsys, "stylegan2", path, tmp_path / "other", "--data", DATA
    )


def test_settings_are_those_that_the_methods_configs_have():
    """An imported model's config fits its method as well as one that was trained here."""
    from talkjax.weights import wav2lip

    full = plain(sync_critic_grid.get_config("full").model.sync)
    assert plain(wav2lip.PUBLISHED_CRITIC) == {key: full[key] for key in wav2lip.PUBLISHED_CRITIC}
    authors = plain(synctalkface_grid.get_config("authors").model)
    assert authors["disc"] == plain(wav2lip.PUBLISHED_DISCRIMINATOR)


def test_a_kind_that_is_not_measured_says_so(tmp_path, capsys):
    path = torch_writer.write_zip(tmp_path / "syncnet.model", syncnet_state(last_kernel=6))
    assert run("syncnet", path, tmp_path / "out", "--data", DATA) == 0
    assert "this kind is not measured on it" in capsys.readouterr().out
    assert checkpoint.load_trained(tmp_path / "out").scores == {}
