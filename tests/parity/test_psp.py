"""pSp's encoder against recordings of the public implementation (golden/psp)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from talkjax.nets.psp import GradualStyleEncoder
from talkjax.weights import psp

# 267 million parameters, about 1.1 GB, at 256 px.
pytestmark = [pytest.mark.parity, pytest.mark.slow]

COARSE_SHIFTS = {"c1": (8, 8, 8), "c2": (16, 4, 4), "c3": (16, 2, 2), "input_layer": (8, 16, 16)}


def rms(x):
    return jnp.sqrt(jnp.mean(jnp.square(x)))


def keep(net, state, images):
    """Codes of two pictures, and of the first what the recording has of the layers."""
    like = jax.eval_shape(lambda: net.init(jax.random.key(0), images, train=False))
    variables = psp.import_psp_encoder(state, like, where="psp.pt").variables["encoder"]

    def apply(variables, images):
        wanted = [f"unit_{i}" for i in range(24)] + ["stem_prelu"]
        last = {f"style_{j}": 3 + (j >= 3) + (j >= 7) for j in range(net.num_styles)}

        def is_kept(module, method):
            parent = module.path[-2] if len(module.path) > 1 else ""
            named = module.name in wanted or module.name == f"conv_{last.get(parent)}"
            return named and method == "__call__"

        codes, kept = net.apply(
            variables, images, train=False, capture_intermediates=is_kept, mutable=["intermediates"]
        )
        return codes, jax.tree.map(lambda x: x[:1], kept["intermediates"])

    with jax.default_matmul_precision("highest"):
        return jax.jit(apply)(variables, images)


@pytest.fixture(scope="module")
def run(golden, golden_weights):
    """(recorded arrays, codes of both pictures, intermediate values of the first)."""
    recorded = golden("psp")
    state = golden_weights("psp", "psp_gradual_style_encoder")
    both = np.concatenate([recorded["in_image"], recorded["in_image2"]]).transpose(0, 2, 3, 1)
    settings = psp.settings_from_state(state, where="psp.pt")
    assert settings == {"num_styles": 18, "start_from_average": False}
    codes, kept = keep(GradualStyleEncoder(**settings), state, jnp.asarray(both))
    return recorded, np.asarray(codes), kept


def test_codes_of_both_pictures_equal_the_recording(run):
    recorded, codes, _ = run
    np.testing.assert_allclose(codes[:1], recorded["codes"], rtol=0, atol=2e-5)
    np.testing.assert_allclose(codes[1:], recorded["codes2"], rtol=0, atol=2e-5)


def test_heads_equal_the_recording_before_their_linear_layers(run):
    recorded, _, kept = run
    rows = []
    for j in range(18):
        (last,) = kept[f"style_{j}"].values()
        rows.append(nn.leaky_relu(last["__call__"][0], 0.01)[:, 0, 0])
    got = np.stack(rows, axis=1)
    np.testing.assert_allclose(got, recorded["style_pre_linear"], rtol=0, atol=2e-5)


@pytest.mark.parametrize(
    ("name", "module", "tolerance"),
    [
        ("input_layer", "stem_prelu", 2e-5),
        ("c1", "unit_6", 2e-5),
        ("c2", "unit_20", 1e-4),
        ("c3", "unit_23", 1e-4),
    ],
)
def test_maps_of_the_backbone_equal_the_recording(run, name, module, tolerance):
    recorded, _, kept = run
    channels, rows, columns = COARSE_SHIFTS[name]
    (got,) = kept["backbone"][module]["__call__"]
    got = np.asarray(got).transpose(0, 3, 1, 2)[:, ::channels, ::rows, ::columns]
    np.testing.assert_allclose(got, recorded[f"{name}_slice"], rtol=0, atol=tolerance)


def test_every_unit_has_the_recorded_strength(run):
    recorded, _, kept = run
    got = [rms(kept["backbone"][f"unit_{i}"]["__call__"][0]) for i in range(24)]
    np.testing.assert_allclose(np.stack(got), recorded["body_rms"], rtol=1e-5)
