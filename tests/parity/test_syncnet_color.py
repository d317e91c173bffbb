"""The sync critic against recordings of Wav2Lip's and SyncTalkFace's (golden/syncnet_color)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from talkjax.nets.sync_critic import WAV2LIP_FACE, SyncCritic
from talkjax.ops.vectors import cosine
from talkjax.weights import torch_layout

pytestmark = pytest.mark.parity

CRITICS = {
    "wav2lip_syncnet_color": SyncCritic(**WAV2LIP_FACE),
    "synctalkface_syncnet": SyncCritic(),
}


def frames_of(stacked):
    """n (5 frames x 3 channels) h w, as recorded -> n 5 h w 3."""
    n, _, h, w = stacked.shape
    return jnp.asarray(stacked.reshape(n, 5, 3, h, w).transpose(0, 1, 3, 4, 2))


@pytest.fixture(scope="module", params=CRITICS)
def run(request, golden, golden_weights):
    """(name, recorded arrays, (face, audio) embeddings, root mean square of every block)."""
    recorded = golden("syncnet_color")
    name, critic = request.param, CRITICS[request.param]
    inputs = (frames_of(recorded[f"{name}/face"]), jnp.asarray(recorded["audio"][:, 0]))
    like = jax.eval_shape(lambda *x: critic.init(jax.random.key(0), *x, train=False), *inputs)
    state = golden_weights("syncnet_color", name)
    variables = torch_layout.import_sync_critic(state, like, where=name).variables["sync"]

    def apply(variables, *inputs):
        is_block = lambda module, _: (module.name or "").startswith("block_")  # noqa: E731
        output, kept = critic.apply(
            variables,
            *inputs,
            train=False,
            capture_intermediates=is_block,
            mutable=["intermediates"],
        )
        rms = jax.tree.map(lambda x: jnp.sqrt(jnp.square(x).mean((1, 2, 3))), kept)
        return output, rms["intermediates"]

    with jax.default_matmul_precision("highest"):
        output, rms = jax.jit(apply)(variables, *inputs)
    return name, recorded, output, rms


def test_embeddings_equal_the_recording(run):
    name, recorded, (face, audio), _ = run
    for branch, got in (("face", face), ("audio", audio)):
        want = recorded[f"{name}/{branch}_embedding"]
        np.testing.assert_allclose(got.unit, want, rtol=0, atol=5e-6)
        np.testing.assert_allclose(got.raw, recorded[f"{name}/{branch}_raw"], rtol=0, atol=1e-4)


def test_cosine_equals_the_recording(run):
    name, recorded, (face, audio), _ = run
    got = cosine(face.raw, audio.raw)
    np.testing.assert_allclose(got, recorded[f"{name}/cosine"], rtol=0, atol=5e-6)


def test_every_block_has_the_recorded_strength(run):
    name, recorded, _, rms = run
    for branch in ("face", "audio"):
        want = recorded[f"{name}/{branch}_block_rms"]
        blocks = [rms[branch][f"block_{i}"]["__call__"][0] for i in range(want.shape[1])]
        assert len(rms[branch]) == want.shape[1]
        np.testing.assert_allclose(np.stack(blocks, axis=1), want, rtol=1e-5)
