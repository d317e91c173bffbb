"""Kinds whose nets are too large to write as files: from their entries to config and variables."""

import json

import numpy as np
import pytest

from talkjax.errors import UserError
from talkjax.weights import building, wav2lip
from tests.weights.toy_stylegan import rosinality_state, same
from tests.weights.toy_synctalkface import decoder_state, generator_state

WIDTH = 512


@pytest.fixture(scope="module")
def encoder_state(shared):
    """pSp's encoder with one style head: keys and shapes as recorded, all weights alike."""
    keys = json.loads((shared / "golden" / "psp" / "keys.json").read_text(encoding="utf-8"))
    entries = keys["models"]["psp_gradual_style_encoder"]["entries"]
    state = {}
    for entry in entries:
        if not entry["key"].startswith("styles.") or entry["key"].startswith("styles.0."):
            array = same(*entry["shape"]) if entry["dtype"] == "float32" else np.asarray(1)
            state[entry["key"]] = array
    return state


@pytest.mark.slow
def test_psp_becomes_an_encoder_and_a_decoder_with_one_average(encoder_state):
    average = np.arange(WIDTH, dtype=np.float32).reshape(1, WIDTH)
    decoder = rosinality_state(width=WIDTH)
    state = {f"module.encoder.{key}": array for key, array in encoder_state.items()}
    state |= {f"module.decoder.{key}": array for key, array in decoder.items()}
    options = {"start_from_latent_avg": True, "lr": 1e-4, "device": None}
    found = {"state_dict": state, "latent_avg": average, "opts": options}
    found["optimizer"] = {"state": {}}
    built = building.build("psp", found, ignore=(), where="psp.pt")
    nets = built.config["nets"]
    assert nets["encoder"]["net"] == "psp.GradualStyleEncoder"
    assert nets["encoder"]["settings"] == {"num_styles": 1, "start_from_average": True}
    assert nets["decoder"]["settings"]["resolution"] == 8
    np.testing.assert_array_equal(built.variables["encoder"]["average"]["latent"], average)
    averages = built.variables["decoder"]["averages"]["mapping"]
    (latent,) = averages.values()
    np.testing.assert_array_equal(latent, average[0])
    counters = {f"encoder.{key}" for key in encoder_state if key.endswith("num_batches_tracked")}
    assert counters <= set(built.ignored)
    assert {"optimizer", "decoder.convs.0.conv.blur.kernel"} <= set(built.ignored)
    assert {key for key in built.ignored if "opts" in key} == {"opts.lr", "opts.device"}
    with pytest.raises(UserError, match="its encoder is a Other"):
        wrong = found | {"opts": {"encoder_type": "Other"}}
        building.build("psp", wrong, ignore=(), where="psp.pt")


@pytest.mark.slow
def test_arcface_is_the_same_backbone_with_an_output_layer(encoder_state):
    state = {k: a for k, a in encoder_state.items() if k.startswith(("input_layer.", "body."))}
    state["output_layer.3.weight"] = same(WIDTH, 512 * 7 * 7)
    state["output_layer.3.bias"] = same(WIDTH)
    for layer in (0, 4):
        for name in ("weight", "bias", "running_mean", "running_var"):
            state[f"output_layer.{layer}.{name}"] = same(512)
    built = building.build("arcface", {"": state}, ignore=(), where="model_ir_se50.pth")
    assert built.config["nets"]["arcface"] == {
        "net": "ir_se50.ArcFace",
        "settings": {"width": WIDTH, "affine": True},
    }
    assert built.variables["arcface"]["params"]["linear"]["kernel"].shape == (512 * 7 * 7, WIDTH)
    del state["body.3.res_layer.1.weight"]
    with pytest.raises(UserError, match=r"body\.3\.res_layer\.1\.weight is missing"):
        building.build("arcface", {"": state}, ignore=(), where="model_ir_se50.pth")


def test_a_block_that_is_missing_is_named_instead_of_the_kind():
    state = {f"face_encoder.{i}.conv_block.0.weight": np.zeros(1) for i in (0, 2, 3)}
    missing = r"found face_encoder\.2\..*, but no face_encoder\.1\.conv_block\.0\.weight"
    with pytest.raises(UserError, match=missing):
        wav2lip.critic_settings(state, where="x.pth")
    del state["face_encoder.2.conv_block.0.weight"], state["face_encoder.3.conv_block.0.weight"]
    with pytest.raises(UserError, match="has 1 blocks, want those of an expert"):
        wav2lip.critic_settings(state, where="x.pth")


def test_a_memory_key_of_another_width_is_named_and_not_all_that_is_right():
    generator, decoder = generator_state(), decoder_state()
    wide = dict(generator) | {"mem.key": np.zeros((6, 9), np.float32)}
    with pytest.raises(UserError, match=r"x\.pth: mem\.key has shape \(6, 9\), mem\.value \("):
        wav2lip.generator_settings(wide, decoder, where="x.pth")
    assert wav2lip.generator_settings(generator, decoder, where="x.pth")["recall"]["slots"] > 0
