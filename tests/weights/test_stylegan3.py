"""Import of StyleGAN3: configuration from kernels, layers from names, filters checked."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from talkjax.errors import UserError
from talkjax.nets.stylegan3 import StyleGan3
from talkjax.nets.stylegan3_plan import plan
from talkjax.weights import stylegan3
from tests.weights.toy_stylegan3 import SYNTHESIS, WIDTH, make_state


def load(state, config):
    net = StyleGan3(**SYNTHESIS, config=config, width=WIDTH)
    like = jax.eval_shape(
        lambda z: net.init(jax.random.key(0), z, train=False), jnp.zeros((1, WIDTH))
    )
    return stylegan3.import_stylegan3(state, like, where="g.pkl")


@pytest.fixture(scope="module")
def states():
    return {config: make_state(config) for config in ("t", "r")}


@pytest.mark.parametrize("config", ["t", "r"])
def test_settings_come_from_keys_and_shapes(states, config):
    assert stylegan3.is_stylegan3(states[config])
    got = stylegan3.settings_from_state(states[config], where="g.pkl")
    assert got == SYNTHESIS | dict(config=config, mapping_layers=2, width=WIDTH)


def test_values_lie_where_they_belong_and_only_filters_are_left(states):
    state = states["r"]
    got = load(state, "r")
    net = got.variables["gen"]
    name = next(key for key in state if ".L3_" in key).rsplit(".", 1)[0]
    name = re.match(r"synthesis\.L3_\d+_\d+", name)[0]
    layer = net["params"]["synthesis"]["layer_3"]
    np.testing.assert_array_equal(layer["kernel"][0, 0], state[f"{name}.weight"][:, :, 0, 0].T)
    magnitude = net["averages"]["synthesis"]["layer_3"]["magnitude"]
    assert magnitude.shape == (1,) and magnitude[0] == state[f"{name}.magnitude_ema"]
    buffers = net["buffers"]["synthesis"]["input"]
    np.testing.assert_array_equal(buffers["frequencies"], state["synthesis.input.freqs"])
    np.testing.assert_array_equal(buffers["transform"], state["synthesis.input.transform"])
    kernel = net["params"]["synthesis"]["input"]["kernel"]
    np.testing.assert_array_equal(kernel, state["synthesis.input.weight"].T)
    assert len(got.ignored) == 28 and all(key.endswith("_filter") for key in got.ignored)


def test_a_separable_filter_is_not_a_radial_one(states):
    state = dict(states["r"])
    key = next(key for key in state if key.endswith("down_filter"))
    _, layers = plan(16, channel_base=64, channel_max=6, config="t")
    taps = layers[0].down_taps()
    state[key] = np.outer(taps, taps).astype(np.float32)
    with pytest.raises(UserError, match=rf"^g.pkl: {re.escape(key)} is another filter"):
        load(state, "r")


def test_a_net_of_the_other_configuration_is_refused(states):
    with pytest.raises(
        UserError, match=r"has shape .*in the net's order \(1, 1, 6, 6\), want \(3, 3, 6, 6\)"
    ):
        load(states["r"], "t")


def test_layers_of_other_sizes_are_named(states):
    state = {key.replace("L5_", "L5_1"): value for key, value in states["t"].items()}
    with pytest.raises(UserError, match=r"synthesis\.L5_1\d+_\d+ instead of synthesis\.L5_\d+_"):
        stylegan3.settings_from_state(state, where="g.pkl")


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"mapping.fc0.weight": np.zeros((5, 5))}, "holds no StyleGAN3 generator"),
        (
            {f"synthesis.L{i}_48_6.weight": np.zeros((6, 6, 3, 3)) for i in range(15)}
            | {"mapping.fc0.weight": np.zeros((5, 5))},
            "resolution: got 48, want a power of two",
        ),
        (
            {f"synthesis.L{i}_16_6.weight": np.zeros((6, 6, 5, 5)) for i in range(15)},
            r"kernels are \(5, 5\), want 3x3",
        ),
    ],
    ids=range(3),
)
def test_what_is_no_such_generator_is_refused_in_one_line(state, message):
    with pytest.raises(UserError, match=message) as caught:
        stylegan3.settings_from_state(state, where="g.pkl")
    assert str(caught.value).startswith("g.pkl: ") and "\n" not in str(caught.value)
