"""Public weights through `talkjax import-weights`, from a file to outputs (golden folders).

What each net computes is tested beside the nets; here, that the command's checkpoint holds just
these weights, and a config that builds the net they fit.
"""

import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import synctalkface_grid
from talkjax import assemble, cli
from talkjax.infer.predict import Predictor
from talkjax.nets.audio_lip_generator import AudioLipGenerator
from talkjax.nets.discriminators import QualityDiscriminator
from talkjax.nets.sync_critic import SyncCritic
from talkjax.nets.syncnet import SyncNet
from talkjax.train import checkpoint
from talkjax.train.files import hashable, plain
from tests.weights import torch_writer

pytestmark = [pytest.mark.parity, pytest.mark.slow]


def imported(tmp_path, kind, content, *, write=torch_writer.write_zip):
    write(tmp_path / "weights.pth", content)
    words = [kind, str(tmp_path / "weights.pth"), str(tmp_path / "out")]
    assert cli.main(["import-weights", *words]) == 0
    trained = checkpoint.load_trained(tmp_path / "out")
    variables = {
        net: {"params": params, **trained.model_vars[net]} for net, params in trained.params.items()
    }
    return trained, variables


def apply(net, variables, *inputs, **options):
    with jax.default_matmul_precision("highest"):
        run = jax.jit(lambda v, *x: net.apply(v, *x, **options))
        return run(variables, *(x if x is None else jnp.asarray(x) for x in inputs))


@pytest.mark.parametrize("model", ["wav2lip_syncnet_color", "synctalkface_syncnet"])
def test_sync_experts(model, tmp_path, golden, golden_weights):
    state = {f"module.{k}": a for k, a in golden_weights("syncnet_color", model).items()}
    content = {"state_dict": torch_writer.ordered(state), "global_step": 1}
    trained, variables = imported(tmp_path, "wav2lip-expert", content)
    assemble.build_method(trained.config)
    critic = SyncCritic(**hashable(trained.config.model.sync))
    recorded = golden("syncnet_color")
    n, _, h, w = recorded[f"{model}/face"].shape
    frames = recorded[f"{model}/face"].reshape(n, 5, 3, h, w).transpose(0, 1, 3, 4, 2)
    assert 2 * h == w == trained.config.model.image_size == trained.config.data.image_size
    sound = recorded["audio"][:, 0]
    face, audio = apply(critic, variables["sync"], frames, sound, train=False)
    for branch, got in (("face", face), ("audio", audio)):
        np.testing.assert_allclose(got.unit, recorded[f"{model}/{branch}_embedding"], atol=5e-6)


def test_synctalkface(tmp_path, golden, golden_weights):
    names = {"model": "generator", "dec": "decoder", "disc": "discriminator"}
    content = {
        f"{short}_state_dict": torch_writer.ordered(golden_weights("synctalkface", name))
        for short, name in names.items()
    }
    trained, variables = imported(tmp_path, "synctalkface", content)
    config = trained.config.model
    recorded = golden("synctalkface")
    faces = recorded["in/face"][0].transpose(1, 2, 3, 0)
    mels = recorded["in/indiv_mels"][0, :, 0]
    generator = AudioLipGenerator(**hashable(config.gen))
    out = apply(generator, variables["gen"], faces, mels, None, train=False)
    want = recorded["inf/image_s8"][0].transpose(1, 2, 3, 0)
    np.testing.assert_allclose(out.te[:, ::8, ::8], want, rtol=0, atol=5e-5)
    np.testing.assert_allclose(out.memory.key_address, recorded["inf/key_address"][0], atol=1e-6)

    discriminator = QualityDiscriminator(**hashable(config.disc))
    truth = recorded["in/gt"][0].transpose(1, 2, 3, 0)[:, 64:]
    logits = apply(discriminator, variables["disc"], truth, train=False)
    np.testing.assert_allclose(logits, recorded["disc/logit_gt"].reshape(-1), rtol=0, atol=1e-6)

    authors = plain(synctalkface_grid.get_config("authors").model) | {"dtype": "float32"}
    got = plain(config)
    assert got.pop("sync").items() <= authors.pop("sync").items()
    assert got == authors

    # What `talkjax generate` does with it: its crops, windows and shapes fit together.
    predictor = Predictor(trained, batch_frames=1)
    assert (predictor.size_px, predictor.hide_from, predictor.audio_shift_frames) == (128, 0.5, -1)
    assert (predictor.mel_frames, predictor.crop_px) == (16, 128)


def test_syncnet(tmp_path, golden, golden_weights):
    state = golden_weights("syncnet_v2", "syncnet_v2")
    trained, variables = imported(tmp_path, "syncnet", state, write=torch_writer.write_legacy)
    assemble.build_method(trained.config)
    recorded = golden("syncnet_v2")
    net = SyncNet(**hashable(trained.config.model.syncnet))
    frames = recorded["lip_u8"].transpose(0, 2, 3, 4, 1).astype(np.float32)
    sound = recorded["aud"][:, 0]
    lips = apply(net, variables["syncnet"], frames, train=False, method="embed_lips")
    heard = apply(net, variables["syncnet"], sound, train=False, method="embed_sound")
    np.testing.assert_allclose(lips, recorded["lip_feat"], rtol=0, atol=1e-3)
    np.testing.assert_allclose(heard, recorded["aud_feat"], rtol=0, atol=1e-4)


def described(trained, name):
    """The net that `config.nets` describes."""
    entry = trained.config.nets[name]
    module, _, kind = entry.net.partition(".")
    net = getattr(importlib.import_module(f"talkjax.nets.{module}"), kind)
    return net(**hashable(entry.settings))


def module_tree(state):
    """A state dict as the tree of modules that NVIDIA pickles."""
    own = {key: value for key, value in state.items() if "." not in key}
    children = {}
    for key, value in state.items():
        name, dot, rest = key.partition(".")
        if dot:
            children.setdefault(name, {})[rest] = value
    return torch_writer.module(
        "Module",
        buffers=own,
        children={name: module_tree(child) for name, child in children.items()},
    )


def test_stylegan2_of_rosinality(tmp_path, golden, golden_weights):
    recorded = golden("stylegan2")
    generator = golden_weights("stylegan2", "rosinality_G64")
    content = {
        "g_ema": torch_writer.ordered(generator),
        "d": torch_writer.ordered(golden_weights("stylegan2", "rosinality_D64")),
        "latent_avg": recorded["G/in_truncation_latent"][0],
    }
    trained, variables = imported(tmp_path, "stylegan2", content)
    net = described(trained, "gen")
    z = recorded["G/in_z"]
    got = apply(net, variables["gen"], z, noise="const", train=False)
    ws = apply(net, variables["gen"], z, train=False, method="map_styles")
    np.testing.assert_allclose(ws[:, 0], recorded["G/w"], rtol=0, atol=3e-5)
    assert got.shape == (2, 64, 64, 3)
    pictures = recorded["D/in_img"].transpose(0, 2, 3, 1)
    scores = apply(described(trained, "disc"), variables["disc"], pictures, train=False)
    np.testing.assert_allclose(scores, recorded["D/out_b8"][:, 0], rtol=0, atol=4e-6)


@pytest.mark.parametrize(
    ("kind", "model", "prefix", "tolerance"),
    [
        ("stylegan2", "nvlabs_stylegan2_G64", "nv2", 5e-4),
        ("stylegan3", "nvlabs_stylegan3t_G64", "nv3t", 2e-5),
    ],
)
def test_nvidias_pickles(kind, model, prefix, tolerance, tmp_path, golden, golden_weights):
    content = {"G": None, "D": None, "G_ema": module_tree(golden_weights("stylegan2", model))}
    trained, variables = imported(tmp_path, kind, content, write=torch_writer.write_pickle)
    recorded = golden("stylegan2")
    net = described(trained, "gen")
    got = apply(net, variables["gen"], recorded[f"{prefix}/in_z"], train=False)
    want = recorded[f"{prefix}/img_z"].transpose(0, 2, 3, 1)
    np.testing.assert_allclose(got, want, rtol=0, atol=tolerance)
