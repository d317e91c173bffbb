"""Who learns from what (2.5 of the specification), what is shown, what comes out."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import synctalkface_grid
from talkjax.methods import synctalkface
from talkjax.nets.audio_lip_generator import AudioLipGenerator
from talkjax.ops import image
from talkjax.train.files import hashable

KEY = jax.random.key(7)
GEN_PARTS = ("audio_encoder", "lip_encoder", "face_encoder", "memory", "decoder")


def with_forms_of(variant, model):
    """`model` with the settings of a variant that say who learns from what; no sizes."""
    theirs = hashable(synctalkface_grid.get_config(variant).model)
    forms = {name: theirs[name] for name in ("lip_statistics", "lip_target_gradient", "gan_form")}
    recall = {
        name: theirs["gen"]["recall"][name]
        for name in ("tr_source", "store_target", "embeddings", "fuse_by")
    }
    gen = dict(model["gen"], recall=dict(model["gen"]["recall"], **recall))
    return dict(model, **forms, gen=gen)


@pytest.fixture(scope="module", params=["authors", "cpu"])
def forms(request, talking):
    """The small model with the forms of the authors' code, and with those of `:cpu`."""
    return with_forms_of(request.param, talking[1])


@pytest.fixture(scope="module")
def gradients(talking, forms):
    """{term: gradient of its mean with respect to gen, disc and the critic}."""
    _, _, params, model_vars, batch = talking
    method = synctalkface.build(**forms)

    @jax.jit
    def all_terms(params, cotangent):
        def terms(params):
            out = method.phases[0].loss_fn(params, model_vars, batch, KEY)
            return {name: jnp.mean(term) for name, term in out.terms.items()}

        values, pullback = jax.vjp(terms, params)
        return values, pullback(cotangent)[0]

    names = ("recon", "sync", "lip", "gan", "align", "store", "disc")
    return {
        name: all_terms(params, {other: jnp.float32(other == name) for other in names})[1]
        for name in names
    }


def norm(tree) -> float:
    return float(sum(jnp.sum(jnp.abs(leaf)) for leaf in jax.tree.leaves(tree)))


def test_the_players_learn_only_from_their_own_terms(gradients):
    assert norm(gradients["disc"]["gen"]) == 0
    assert norm(gradients["disc"]["disc"]) > 0
    for term in ("recon", "sync", "lip", "gan", "align", "store"):
        assert norm(gradients[term]["disc"]) == 0, term
    assert norm(gradients["gan"]["gen"]["decoder"]) > 0


@pytest.mark.parametrize("term", ["recon", "gan", "sync", "lip"])
def test_pictures_teach_every_part_of_the_generator(gradients, forms, term):
    for part in GEN_PARTS:
        assert norm(gradients[term]["gen"][part]) > 0, part
    memory = gradients[term]["gen"]["memory"]
    for leaf in ("key", "value", "query_embedding", "fusion"):
        assert norm(memory[leaf]) > 0, leaf
    # True lips reach the decoder past the memory, recalled ones through their address.
    recalled = forms["gen"]["recall"]["tr_source"] == "recalled"
    assert (norm(memory["lip_embedding"]) > 0) == recalled


def test_align_teaches_the_keys_and_never_the_lips(gradients):
    gen = gradients["align"]["gen"]
    for part in ("lip_encoder", "face_encoder", "decoder"):
        assert norm(gen[part]) == 0, part
    assert norm(gen["memory"]["value"]) == 0
    assert norm(gen["memory"]["lip_embedding"]) == 0
    assert norm(gen["memory"]["key"]) > 0
    assert norm(gen["memory"]["query_embedding"]) > 0
    assert norm(gen["audio_encoder"]) > 0


def test_store_teaches_values_and_lips_and_never_the_sound(gradients):
    gen = gradients["store"]["gen"]
    for part in ("audio_encoder", "face_encoder", "decoder"):
        assert norm(gen[part]) == 0, part
    assert norm(gen["memory"]["key"]) == 0
    for leaf in ("value", "lip_embedding"):
        assert norm(gen["memory"][leaf]) > 0, leaf
    assert norm(gen["lip_encoder"]) > 0


def test_generated_lips_are_read_by_a_constant_encoder(talking):
    """With all values equal, `tr` says nothing of the lips: what is left is the truth's side."""
    method, model, params, model_vars, batch = talking
    value = params["gen"]["memory"]["value"]
    same = jnp.broadcast_to(value[:1], value.shape)
    gen = dict(params["gen"], memory=dict(params["gen"]["memory"], value=same))
    generator = AudioLipGenerator(**model["gen"])
    hidden = image.hidden_rows(model["hide_from"], model["image_size"])[None]

    def pictures_in(name):
        return image.to_order(image.to_float(batch[name]), model["channel_order"])

    frames, pose = pictures_in("frames_u8"), pictures_in("pose_u8")
    b, t = batch["mel_windows"].shape[:2]
    flat = functools.partial(jnp.reshape, shape=(b * t, *pose.shape[2:]))
    windows = jnp.arange(t)[:, None] + jnp.arange(5)[None]
    lips = image.hide_upper_half(frames)[:, windows].reshape(b * t, 5, *pose.shape[2:])
    face = jnp.concatenate([flat(pose) * (1 - hidden), flat(pictures_in("reference_u8"))], axis=-1)
    variables = {"params": gen, **model_vars["gen"]}
    modes = dict(train=True, mutable=["batch_stats"], rngs={"dropout": KEY})
    mel = batch["mel_windows"].reshape(b * t, *batch["mel_windows"].shape[2:])
    out, _ = jax.jit(lambda: generator.apply(variables, face, mel, lips, **modes))()
    finished = [jnp.where(hidden > 0, p, flat(pose)).reshape(pose.shape) for p in (out.te, out.tr)]
    masked = image.hide_upper_half(jnp.concatenate(finished))
    seen, _ = jax.jit(
        lambda: generator.apply(
            variables, masked, method="embed_lips", train=True, mutable=["batch_stats"]
        )
    )()

    @jax.jit
    def by_hand(encoder):
        tree = {"params": dict(gen, lip_encoder=encoder), **model_vars["gen"]}
        true, _ = generator.apply(
            tree, lips, method="embed_lips", train=True, mutable=["batch_stats"]
        )
        centre = true.reshape(b, t, -1)[:, t // 2]
        return jnp.mean(jnp.abs(seen - jnp.concatenate([centre, centre]))) * 2

    @jax.jit
    def in_the_method(encoder):
        tree = dict(params, gen=dict(gen, lip_encoder=encoder))
        return jnp.mean(method.phases[0].loss_fn(tree, model_vars, batch, KEY).terms["lip"])

    encoder = gen["lip_encoder"]
    np.testing.assert_allclose(in_the_method(encoder), by_hand(encoder), rtol=1e-4)
    got, want = jax.grad(in_the_method)(encoder), jax.grad(by_hand)(encoder)
    largest = max(float(jnp.max(jnp.abs(leaf))) for leaf in jax.tree.leaves(want))
    assert largest > 0
    for a, b_ in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(a, b_, atol=2e-3 * largest)


@pytest.mark.parametrize("target_gradient", [False, True])
def test_the_lip_loss_moves_the_true_lips_only_if_so_set(talking, target_gradient):
    """The driver is made deaf to the lips, so that the target is the one way back to them."""
    _, model, params, model_vars, batch = talking
    model = with_forms_of("cpu", model)
    assert model["gen"]["recall"]["tr_source"] == "true" and not model["lip_target_gradient"]
    method = synctalkface.build(**dict(model, lip_target_gradient=target_gradient))
    memory = params["gen"]["memory"]
    kernel = memory["fusion"]["kernel"]
    deaf = dict(memory["fusion"], kernel=kernel.at[len(kernel) // 2 :].set(0.0))
    gen = dict(params["gen"], memory=dict(memory, fusion=deaf))

    @jax.jit
    @jax.grad
    def gradient(gen):
        tree = dict(params, gen=gen)
        return jnp.mean(method.phases[0].loss_fn(tree, model_vars, batch, KEY).terms["lip"])

    found = gradient(gen)
    assert norm(found["decoder"]) > 0
    assert (norm(found["lip_encoder"]) > 0) == target_gradient


def test_hidden_rows_of_the_input_cannot_be_seen(talking):
    method, model, params, model_vars, batch = talking
    radius = 2
    inputs = {
        "frames_u8": batch["frames_u8"][:, radius:-radius],
        "reference_u8": batch["reference_u8"],
        "mel_windows": batch["mel_windows"],
    }
    predict = jax.jit(lambda inputs: method.predict_fn(params, model_vars, inputs, KEY))
    first = image.rows_from(model["hide_from"], model["image_size"])
    changed = inputs["frames_u8"].at[:, :, first:].set(255 - inputs["frames_u8"][:, :, first:])
    before, after = predict(inputs), predict(dict(inputs, frames_u8=changed))
    np.testing.assert_array_equal(before["generated"], after["generated"])
    np.testing.assert_array_equal(before["input"][:, :, first:], 0.0)
    shown = image.to_float(inputs["frames_u8"])[:, :, :first]
    np.testing.assert_allclose(before["generated"][:, :, :first], shown, atol=1e-6)
    louder = dict(inputs, mel_windows=-inputs["mel_windows"])
    moved = jnp.abs(predict(louder)["generated"] - before["generated"])[:, :, first:]
    assert float(jnp.max(moved)) > 1e-7  # random weights: little, but not nothing


def test_a_recalled_address_given_back_draws_the_same_picture(talking):
    method, _, params, model_vars, batch = talking
    inputs = {
        "frames_u8": batch["frames_u8"][:, 2:-2],
        "reference_u8": batch["reference_u8"],
        "mel_windows": batch["mel_windows"],
    }
    out = jax.jit(lambda i: method.predict_fn(params, model_vars, i, KEY))(inputs)
    np.testing.assert_allclose(jnp.sum(out["key_address"], axis=-1), 1.0, atol=1e-5)
    again = jax.jit(lambda i: method.predict_fn(params, model_vars, i, KEY))(
        dict(inputs, key_address=out["key_address"])
    )
    np.testing.assert_allclose(again["generated"], out["generated"], atol=1e-5)


def test_unknown_choice_is_refused(talking):
    model = talking[1]
    for setting in ("lip_statistics", "gan_form"):
        with pytest.raises(ValueError, match=f"model.{setting}: got 'sometimes'"):
            synctalkface.build(**dict(model, **{setting: "sometimes"}))


def test_a_still_mouth_is_called_out():
    values = {"eval/val/mouth_motion": 0.001, "eval/val/mouth_motion_truth": 0.02}
    assert "hardly moves: 5% of" in synctalkface.alerts(values)["mouth"]
    assert synctalkface.alerts(values | {"eval/val/mouth_motion": 0.015}) == {"mouth": None}


def test_a_memory_with_one_address_for_all_is_called_out():
    values = {"joint/key_usage": 12.0, "joint/key_perplexity": 11.9}
    assert "begin anew" in synctalkface.alerts(values)["memory"]
    assert synctalkface.alerts(values | {"joint/key_usage": 20.0}) == {"memory": None}
