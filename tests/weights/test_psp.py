"""Import of pSp and ArcFace files: every key accounted for, checkpoints taken apart."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from talkjax.errors import UserError
from talkjax.nets.ir_se50 import ArcFace
from talkjax.nets.psp import GradualStyleEncoder
from talkjax.weights import psp
from tests.weights.toy_psp import backbone_shapes, norm, state_dict

STAGES = ((16, 1), (32, 1), (16, 1), (16, 1))


def encoder_state(num_styles=4):
    """The encoder at 32 px, so that its maps have 8, 4 and 2 px."""
    shapes = backbone_shapes(STAGES)
    shapes |= {"latlayer1.weight": (16, 16, 1, 1), "latlayer1.bias": (16,)}
    shapes |= {"latlayer2.weight": (16, 32, 1, 1), "latlayer2.bias": (16,)}
    for j in range(num_styles):
        for i in range(1 + (j >= 3)):
            shapes[f"styles.{j}.convs.{2 * i}.weight"] = (8, 8 if i else 16, 3, 3)
            shapes[f"styles.{j}.convs.{2 * i}.bias"] = (8,)
        shapes |= {f"styles.{j}.linear.weight": (8, 8), f"styles.{j}.linear.bias": (8,)}
    return state_dict(shapes)


def encoder_like(**settings):
    net = GradualStyleEncoder(width=8, stages=STAGES, **{"num_styles": 4} | settings)
    images = jnp.zeros((1, 32, 32, 3))
    return jax.eval_shape(lambda: net.init(jax.random.key(0), images, train=False))


def arcface_state(affine=True):
    shapes = backbone_shapes(STAGES) | norm("output_layer.0", 16) | norm("output_layer.4", 8)
    shapes |= {"output_layer.3.weight": (8, 16 * 49), "output_layer.3.bias": (8,)}
    if not affine:
        del shapes["output_layer.4.weight"], shapes["output_layer.4.bias"]
    return state_dict(shapes)


def arcface(affine=True):
    net = ArcFace(width=8, affine=affine, stages=STAGES)
    return net, jax.eval_shape(lambda: net.init(jax.random.key(0), jnp.zeros((1, 112, 112, 3))))


def load(state, **settings):
    return psp.import_psp_encoder(state, encoder_like(**settings), where="psp.pt")


def test_every_key_of_an_encoder_finds_its_leaf():
    state = encoder_state()
    got = load(state, start_from_average=False)
    leaves = jax.tree.leaves(got.variables["encoder"])
    assert len(leaves) + len(got.ignored) == len(state)
    assert all(key.endswith("num_batches_tracked") for key in got.ignored)
    params = got.variables["encoder"]["params"]
    np.testing.assert_array_equal(
        params["style_3"]["conv_1"]["kernel"],
        state["styles.3.convs.2.weight"].transpose(2, 3, 1, 0),
    )
    np.testing.assert_array_equal(
        params["style_0"]["linear"]["kernel"], state["styles.0.linear.weight"].T
    )
    np.testing.assert_array_equal(
        params["backbone"]["unit_1"]["prelu"]["slope"], state["body.1.res_layer.2.weight"]
    )


@pytest.mark.parametrize("shape", [(4, 8), (8,), (1, 8)])
def test_the_average_style_may_be_one_for_all_layers(shape):
    average = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    got = load(encoder_state() | {"latent_avg": average}).variables["encoder"]["average"]["latent"]
    np.testing.assert_array_equal(got, np.broadcast_to(average, (4, 8)))


def test_an_average_style_of_another_generator_is_refused():
    with pytest.raises(UserError, match=r"latent_avg has shape \(18, 8\), want \(4, 8\) or \(8,\)"):
        load(encoder_state() | {"latent_avg": np.zeros((18, 8), np.float32)})


def test_a_missing_average_style_is_named():
    with pytest.raises(UserError, match="latent_avg is missing"):
        load(encoder_state())


def test_settings_are_read_off_the_keys():
    state = encoder_state()
    assert psp.settings_from_state(state, where="a") == {
        "num_styles": 4,
        "start_from_average": False,
    }
    state = encoder_state(3) | {"latent_avg": np.zeros((3, 8))}
    assert psp.settings_from_state(state, where="a") == {
        "num_styles": 3,
        "start_from_average": True,
    }


def test_settings_of_something_else_are_one_clear_line():
    with pytest.raises(UserError, match=r"^gen.pt: found styles \[\]"):
        psp.settings_from_state({"conv1.weight": np.zeros(1)}, where="gen.pt")
    with pytest.raises(UserError, match=r"^gen.pt: output_layer.3.weight is missing"):
        psp.arcface_settings_from_state({"conv1.weight": np.zeros(1)}, where="gen.pt")


def test_an_unused_key_and_a_missing_one_are_named():
    state = encoder_state()
    del state["body.1.shortcut_layer.0.weight"]
    state["body.0.shortcut_layer.0.weight"] = np.zeros((16, 16, 1, 1), np.float32)
    with pytest.raises(UserError) as caught:
        load(state, start_from_average=False)
    assert "body.1.shortcut_layer.0.weight is missing" in str(caught.value)
    assert "body.0.shortcut_layer.0.weight is not used" in str(caught.value)


def test_the_linear_layer_of_arcface_reads_the_map_in_its_own_order():
    state = arcface_state()
    net, like = arcface()
    got = psp.import_arcface(state, like, where="ir_se50.pth")
    kernel = got.variables["arcface"]["params"]["linear"]["kernel"]
    x = np.random.default_rng(2).standard_normal((1, 16, 7, 7)).astype(np.float32)  # n c h w
    want = x.reshape(1, -1) @ state["output_layer.3.weight"].T
    np.testing.assert_allclose(x.transpose(0, 2, 3, 1).reshape(1, -1) @ kernel, want, rtol=1e-4)
    assert len(jax.tree.leaves(got.variables)) + len(got.ignored) == len(state)
    faces = jnp.zeros((1, 112, 112, 3))
    assert net.apply(got.variables["arcface"], faces).shape == (1, 8)


def test_arcface_without_scale_and_bias_at_its_end():
    state = arcface_state(affine=False)
    settings = psp.arcface_settings_from_state(state, where="ir_se50.pth")
    assert settings == {"width": 8, "affine": False}
    _, like = arcface(affine=False)
    got = psp.import_arcface(state, like, where="ir_se50.pth").variables["arcface"]
    assert "norm_out" not in got["params"]
    np.testing.assert_array_equal(
        got["batch_stats"]["norm_out"]["mean"], state["output_layer.4.running_mean"]
    )
    with pytest.raises(UserError, match=r"output_layer\.4\.weight is missing"):
        psp.import_arcface(state, arcface()[1], where="ir_se50.pth")


def checkpoint(**changes):
    state = {f"encoder.{key}": value for key, value in encoder_state().items()}
    state |= {"decoder.input.input": np.zeros((1, 8, 4, 4), np.float32)}
    whole = {"state_dict": state, "latent_avg": np.ones((4, 8), np.float32)}
    whole |= {"opts": {"encoder_type": "GradualStyleEncoder", "start_from_latent_avg": True}}
    return whole | changes


def test_a_checkpoint_is_taken_apart():
    parts = psp.split_checkpoint(checkpoint(), where="psp.pt")
    assert set(parts.decoder) == {"input.input"}
    assert set(parts.encoder) == set(encoder_state()) | {"latent_avg"}
    settings = psp.settings_from_state(parts.encoder, where="psp.pt")
    assert np.all(load(parts.encoder, **settings).variables["encoder"]["average"]["latent"] == 1)


def test_an_encoder_that_does_not_start_from_the_average_gets_none():
    opts = {"encoder_type": "GradualStyleEncoder", "start_from_latent_avg": False}
    parts = psp.split_checkpoint(checkpoint(opts=opts), where="psp.pt")
    assert "latent_avg" not in parts.encoder


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"opts": {"encoder_type": "Encoder4Editing"}}, "its encoder is a Encoder4Editing"),
        ({"latent_avg": None}, "starts from latent_avg, which is missing"),
        ({"state_dict": {"encoder.a": 0, "other.b": 0}}, "other.b is not used"),
        ({"state_dict": {"encoder.a": 0}}, r"no keys decoder\.\*"),
    ],
)
def test_what_is_no_such_checkpoint_is_refused(changes, message):
    with pytest.raises(UserError, match=message):
        psp.split_checkpoint(checkpoint(**changes), where="psp.pt")


def test_a_bare_state_dict_is_no_checkpoint():
    with pytest.raises(UserError, match=r"^e.pt: found the entries \['x'\], want state_dict"):
        psp.split_checkpoint({"x": 0}, where="e.pt")


def test_settings_of_the_training_that_nothing_reads_are_listed():
    opts = {"encoder_type": "GradualStyleEncoder", "start_from_latent_avg": True}
    assert psp.unused_options(checkpoint(opts=opts)) == []
    opts |= {"lr": 0.1, "stylegan_weights": "ffhq.pt", 5: None}
    assert psp.unused_options(checkpoint(opts=opts)) == [
        "opts.lr",
        "opts.stylegan_weights",
        "opts.5",
    ]
    assert psp.unused_options(checkpoint(opts=None)) == []
