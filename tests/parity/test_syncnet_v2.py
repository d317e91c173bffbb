"""SyncNet and the LSE protocol against recordings of syncnet_python's (golden/syncnet_v2)."""

import dataclasses
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from talkjax.commands import syncnet_parts
from talkjax.evals import lse
from talkjax.nets.syncnet import SyncNet
from talkjax.ops.mfcc import mfcc
from talkjax.train.trained import Trained
from talkjax.weights.syncnet import import_syncnet, settings_from_state

pytestmark = pytest.mark.parity

CASES = ("shift_p3", "shift_m4", "unrelated")
MODEL = "syncnet_v2"
SETTINGS = ("lip_channels", "lip_last_kernel", "sound_channels", "hidden", "width")


@pytest.fixture(scope="module")
def recorded(golden):
    return golden(MODEL)


@pytest.fixture(scope="module")
def net(golden_weights):
    """(SyncNet, its variables) of the recordings."""
    state = golden_weights(MODEL, MODEL)
    settings = settings_from_state(state, where=MODEL)
    net = SyncNet(**settings)
    assert net == SyncNet()  # the defaults are the published net
    inputs = (jnp.zeros((1, 5, 224, 224, 3)), jnp.zeros((1, 13, 20)))
    like = jax.eval_shape(lambda: net.init(jax.random.key(0), *inputs, train=False))
    imported = import_syncnet(state, like, where=MODEL)
    assert all(key.endswith("num_batches_tracked") for key in imported.ignored)
    return net, imported.variables["syncnet"]


@pytest.fixture(scope="module")
def judge(net):
    """The net as `talkjax score` runs it: a checkpoint of imported weights."""
    net, variables = net
    settings = {name: getattr(net, name) for name in SETTINGS}
    model = dict(image_size=224, channel_order="bgr", margin=20.0, min_gap_frames=2)
    trained = Trained(
        config=ConfigDict(
            dict(
                method="syncnet",
                data=dict(image_size=224, clip_frames=5, mfcc_steps=20),
                model=dict(model, dtype="float32", syncnet=settings),
            )
        ),
        params={"syncnet": variables["params"]},
        model_vars={"syncnet": {"batch_stats": variables["batch_stats"]}},
        step=0,
        scores={},
        data_settings={},
        experts=None,
        origin={},
    )
    made = syncnet_parts.make_judge(trained, pathlib.Path(MODEL)).net
    return dataclasses.replace(made, windows_per_call=3)


def test_features_equal_the_recording(recorded, net):
    net, variables = net

    def apply(variables, frames, sound):
        is_branch = lambda module, _: module.name in ("lips", "sound")  # noqa: E731
        return net.apply(
            variables,
            frames,
            sound,
            train=False,
            capture_intermediates=is_branch,
            mutable=["intermediates"],
        )

    # n (BGR) t h w -> n t h w (BGR); windows of pictures and of sound are not paired here
    frames = recorded["lip_u8"].transpose(0, 2, 3, 4, 1).astype(np.float32)
    sound = recorded["aud"][:, 0]
    with jax.default_matmul_precision("highest"):
        got, kept = jax.jit(apply)(variables, np.concatenate([frames, frames]), sound)
    middle = kept["intermediates"]
    close = {
        "lip_mid": (middle["lips"]["__call__"][0][:2], 2e-3),
        "aud_mid": (middle["sound"]["__call__"][0], 2e-4),
        "lip_feat": (got.lips[:2], 1e-3),
        "aud_feat": (got.sound, 1e-4),
    }
    for name, (array, tolerance) in close.items():
        np.testing.assert_allclose(array, recorded[name], rtol=0, atol=tolerance, err_msg=name)


def test_mfcc_equals_the_recording(recorded):
    for folder in ("mfcc", "e2e"):
        got, want = mfcc(recorded[f"{folder}/pcm16"]), recorded[f"{folder}/mfcc"]
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-4)


@pytest.mark.parametrize("case", CASES)
def test_distances_of_given_embeddings_equal_the_recording(recorded, case):
    lips, sound = recorded[f"lse/{case}/lip_emb"], recorded[f"lse/{case}/aud_emb"]
    distances = lse.shift_distances(lips, sound)
    np.testing.assert_allclose(distances, recorded[f"lse/{case}/dists"], rtol=0, atol=1e-5)
    score = lse.score_of(distances)
    np.testing.assert_allclose(
        distances.mean(axis=0), recorded[f"lse/{case}/mean_dists"], rtol=0, atol=1e-5
    )
    assert score.distance == pytest.approx(recorded[f"lse/{case}/min_dist"], abs=1e-5)
    assert score.confidence == pytest.approx(recorded[f"lse/{case}/confidence"], abs=1e-5)
    assert score.offset_frames == recorded[f"lse/{case}/offset"]
    assert score.distance_unshifted == pytest.approx(
        recorded[f"lse/{case}/mean_dists"][15], abs=1e-5
    )


def test_distances_of_ten_shifts_equal_the_recording(recorded):
    lips, sound = recorded["lse/shift_p3/lip_emb"], recorded["lse/shift_p3/aud_emb"]
    got = lse.shift_distances(lips, sound, max_shift=10)
    np.testing.assert_allclose(got, recorded["lse/shift_p3/dists_vshift10"], rtol=0, atol=1e-5)


def test_a_clip_from_end_to_end_equals_the_recording(recorded, judge):
    frames_u8 = recorded["e2e/frames_u8"][..., ::-1]  # RGB
    with jax.default_matmul_precision("highest"):
        heard = lse.embed_clip(frames_u8, recorded["e2e/pcm16"], judge)
    assert heard.lips.shape == (9, 1024)  # 14 frames hold ten windows, the last is not used
    np.testing.assert_allclose(heard.lips, recorded["e2e/lip_feat"], rtol=0, atol=1e-3)
    np.testing.assert_allclose(heard.sound, recorded["e2e/aud_feat"], rtol=0, atol=1e-4)
    distances = lse.shift_distances(heard.lips, heard.sound, max_shift=3)
    np.testing.assert_allclose(distances, recorded["e2e/dists"], rtol=0, atol=1e-2)
    np.testing.assert_allclose(
        distances.mean(axis=0), recorded["e2e/mean_dists"], rtol=0, atol=1e-2
    )
    score = lse.score_of(distances)
    assert score.offset_frames == recorded["e2e/offset"]
    assert score.confidence == pytest.approx(recorded["e2e/confidence"], abs=1e-2)
