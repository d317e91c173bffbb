"""StyleGAN3, configuration T, against recordings of NVIDIA's code (golden/stylegan2).

Tolerances are those that the recording's notes give, about 10 times the reference's own noise.
"""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from talkjax.nets.stylegan3 import StyleGan3
from talkjax.nets.stylegan3_plan import plan
from talkjax.weights import stylegan3

pytestmark = pytest.mark.parity

W_ATOL, PICTURE_ATOL, ACTIVATION_ATOL = 3e-5, 2e-5, 3e-5
MODEL = "nvlabs_stylegan3t_G64"


@pytest.fixture(scope="module")
def recorded(golden):
    return golden("stylegan2")


@pytest.fixture(scope="module")
def imported(golden_weights):
    """(the net its state describes, its variables, the ignored keys)."""
    state = golden_weights("stylegan2", MODEL)
    net = StyleGan3(**stylegan3.settings_from_state(state, where="g.pkl"))
    like = jax.eval_shape(lambda z: net.init(jax.random.key(0), z, train=False), np.zeros((1, 512)))
    got = stylegan3.import_stylegan3(state, like, where="g.pkl")
    return net, got.variables["gen"], got.ignored


@pytest.fixture(scope="module", autouse=True)
def full_precision():
    with jax.default_matmul_precision("highest"):
        yield


def nhwc(array):
    return np.moveaxis(array, 1, -1)


def near(got, want, atol):
    np.testing.assert_allclose(got, want, rtol=0, atol=atol)


def mapped(net, variables, z, **options):
    z = jnp.asarray(z)
    return net.apply(variables, z, train=False, method="map_styles", **options)


@pytest.fixture(scope="module")
def run(imported):
    """`run(ws, transform)` -> (picture, output of each layer), compiled once."""
    net, variables, _ = imported

    @jax.jit
    def synthesize(variables, ws, transform):
        picture, kept = net.apply(
            variables,
            ws,
            transform=transform,
            train=False,
            method="synthesize",
            capture_intermediates=lambda module, _: "synthesis/" in "/".join(module.path),
            mutable=["intermediates"],
        )
        layers = kept["intermediates"]["synthesis"]
        return picture, {name: layer["__call__"][0] for name, layer in layers.items()}

    still = np.eye(3, dtype=np.float32)
    return lambda ws, transform=still: synthesize(variables, ws, transform)


def test_settings_and_ignored_keys(imported):
    net, _, ignored = imported
    want = dict(resolution=64, channel_base=2048, channel_max=512, config="t", mapping_layers=2)
    assert {name: getattr(net, name) for name in want} == want
    assert len(ignored) == 28 and all(key.endswith("_filter") for key in ignored)


def test_the_plan_is_the_recorded_one(shared):
    text = (shared / "golden" / "stylegan2" / "keys.json").read_text()
    layers = json.loads(text)["models"][MODEL]["info"]["layers"]
    _, ours = plan(64, channel_base=2048, channel_max=512, config="t")
    assert len(ours) == len(layers)
    for i, (got, want) in enumerate(zip(ours, layers, strict=True)):
        assert want["name"] == f"L{i}_{got.out_px}_{got.out_channels}"
        assert [got.in_px] * 2 == want["in_size"] and got.in_channels == want["in_channels"]
        assert (got.up, got.down, got.to_rgb) == (want["up"], want["down"], want["is_torgb"])
        assert list(got.padding) * 2 == want["padding"]
        assert len(got.up_taps()) == want["up_taps"]
        assert len(got.down_taps()) == want["down_taps"]
        names = ("in_cutoff", "out_cutoff", "in_half_width", "out_half_width")
        near([getattr(got, n) for n in names], [want[n] for n in names], 1e-9)
        assert got.rate == want["tmp_sampling_rate"]


def test_filters_are_the_recorded_ones(recorded):
    _, ours = plan(64, channel_base=2048, channel_max=512, config="t")
    for i, layer in enumerate(ours[:-1]):
        name = f"const:{MODEL}/synthesis.L{i}_{layer.out_px}_{layer.out_channels}"
        near(layer.up_taps(), recorded[f"{name}.up_filter"], 1e-7)
        near(layer.down_taps(), recorded[f"{name}.down_filter"], 1e-7)


def test_mapping(imported, recorded):
    net, variables, _ = imported
    z = recorded["nv3t/in_z"]
    near(mapped(net, variables, z)[:, 0], recorded["nv3t/ws"], W_ATOL)
    near(mapped(net, variables, z, truncation=0.7)[:, 15], recorded["nv3t/ws_trunc"], W_ATOL)
    got = mapped(net, variables, z, truncation=0.5, truncated_styles=4)
    near(got, recorded["nv3t/ws_trunc_cutoff4"], W_ATOL)


def test_layers(run, recorded):
    _, layers = run(recorded["nv3t/in_wplus"])
    near(layers["input"][..., ::16], nhwc(recorded["nv3t/input_slice"]), ACTIVATION_ATOL)
    for i in (0, 1, 4, 8, 12):
        got = layers[f"layer_{i}"][:, ::3, ::3, ::16]
        near(got, nhwc(recorded[f"nv3t/act_L{i}"]), ACTIVATION_ATOL)


def test_pictures(imported, run, recorded):
    net, variables, _ = imported
    z = recorded["nv3t/in_z"]
    near(run(recorded["nv3t/in_wplus"])[0], nhwc(recorded["nv3t/img_wplus"]), PICTURE_ATOL)
    near(run(mapped(net, variables, z))[0], nhwc(recorded["nv3t/img_z"]), PICTURE_ATOL)
    ws = mapped(net, variables, z, truncation=0.7)
    near(run(ws)[0], nhwc(recorded["nv3t/img_trunc"]), PICTURE_ATOL)


def test_the_transform_of_the_input(run, recorded):
    got, _ = run(recorded["nv3t/in_wplus"], recorded["nv3t/in_transform"])
    near(got, nhwc(recorded["nv3t/img_transform"]), PICTURE_ATOL)
    # It does something: the untransformed picture is another.
    assert np.abs(got - nhwc(recorded["nv3t/img_wplus"])).max() > 100 * PICTURE_ATOL
