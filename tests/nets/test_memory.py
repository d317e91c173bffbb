"""What the Audio-Lip Memory does: recall, its two losses, and where their gradients go."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from talkjax.nets import audio_lip_memory
from talkjax.nets.audio_lip_memory import AudioLipMemory, address_perplexity

ROWS, SLOTS, WIDTH = 4, 6, 8


def small(**settings) -> AudioLipMemory:
    return AudioLipMemory(slots=SLOTS, width=WIDTH, **settings)


def features(seed, rows=ROWS, width=WIDTH):
    # non-negative, as a ReLU leaves them
    return jnp.abs(jax.random.normal(jax.random.key(seed), (rows, width)))


def init(memory, seed=0):
    query = features(1, width=memory.width)
    return memory.init(jax.random.key(seed), query, train=False)


def with_identity_embeddings(variables):
    layer = {"kernel": jnp.eye(WIDTH), "bias": jnp.zeros(WIDTH)}
    params = variables["params"] | {"query_embedding": layer, "lip_embedding": layer}
    return {"params": params}


def orthogonal_slots(variables):
    slots = jnp.eye(SLOTS, WIDTH)
    return {"params": variables["params"] | {"key": slots, "value": slots}}


def test_a_query_along_a_key_recalls_that_slot():
    memory = small()
    variables = with_identity_embeddings(orthogonal_slots(init(memory)))
    query = 3 * jnp.eye(SLOTS, WIDTH)  # length must not matter
    out = memory.apply(variables, query, train=False)
    np.testing.assert_array_equal(out.key_address.argmax(-1), np.arange(SLOTS))
    # cosines are 1 and 0, so the top weight is e^16 / (e^16 + 5)
    want = np.exp(16) / (np.exp(16) + SLOTS - 1)
    np.testing.assert_allclose(jnp.diag(out.key_address), want, rtol=1e-6)
    np.testing.assert_allclose(out.key_lip, query / 3, atol=1e-5)


def test_addresses_are_distributions_over_slots():
    out = small().apply(init(small()), features(1), features(2), train=False)
    for address in (out.key_address, out.value_address):
        assert address.shape == (ROWS, SLOTS)
        assert (address > 0).all()
        np.testing.assert_allclose(address.sum(-1), 1, rtol=1e-6)


def test_align_loss_is_zero_when_the_addresses_coincide():
    memory = small()
    variables = with_identity_embeddings(orthogonal_slots(init(memory)))
    same = memory.apply(variables, features(1), features(1), train=False)
    np.testing.assert_allclose(same.align_loss, 0, atol=1e-6)
    other = memory.apply(variables, features(1), features(2), train=False)
    assert (other.align_loss > 0.1).all()


def test_losses_equal_the_formulas_row_by_row():
    memory = small()
    variables = init(memory)
    query, lip = features(1), features(2)
    out = memory.apply(variables, query, lip, train=False)
    params = jax.tree.map(lambda x: np.asarray(x, np.float64), variables["params"])

    def address(x, layer, slots):
        x = np.asarray(x, np.float64) @ params[layer]["kernel"] + params[layer]["bias"]
        cosines = (x / np.linalg.norm(x, axis=1, keepdims=True)) @ (
            slots / np.linalg.norm(slots, axis=1, keepdims=True)
        ).T
        weights = np.exp(16 * cosines)
        return x, weights / weights.sum(1, keepdims=True)

    _, a_audio = address(query, "query_embedding", params["key"])
    embedded, a_lip = address(lip, "lip_embedding", params["value"])
    store = np.square(a_lip @ params["value"] - embedded).mean(1)
    align = (a_lip * np.log(a_lip / a_audio)).sum(1)
    np.testing.assert_allclose(out.store_loss, store, rtol=1e-4)
    np.testing.assert_allclose(out.align_loss, align, rtol=1e-4, atol=1e-6)
    fused = np.concatenate([query, a_audio @ params["value"]], axis=1)
    te = fused @ params["fusion"]["kernel"] + params["fusion"]["bias"]
    np.testing.assert_allclose(out.te, te, rtol=1e-4, atol=1e-5)


def test_an_untrained_memory_spreads_over_about_77_of_96_slots():
    memory = AudioLipMemory()
    variables = init(memory)
    query = features(3, rows=64, width=512)
    out = memory.apply(variables, query, query, train=False)
    for address in (out.key_address, out.value_address):
        assert 70 < address_perplexity(address).mean() < 84
        # uniform would be 0.0104
        assert 0.03 < address.max(-1).mean() < 0.07


@pytest.mark.parametrize(("address", "want"), [([0.25] * 4, 4), ([1.0, 0, 0, 0], 1)])
def test_perplexity_counts_the_slots_in_use(address, want):
    np.testing.assert_allclose(address_perplexity(jnp.asarray([address])), [want], rtol=1e-6)


def moved(loss, *, settings=None):
    """Names of parameters and inputs that `loss` (of a MemoryOut) has a gradient in."""
    memory = small(**(settings or {}))
    variables = init(memory)

    def of(params, query, lip):
        return loss(memory.apply({"params": params}, query, lip, train=False)).sum()

    gradients = jax.grad(of, argnums=(0, 1, 2))(variables["params"], features(1), features(2))
    parts = dict(gradients[0], query=gradients[1], lip=gradients[2])
    return {k for k, v in parts.items() if any(np.any(x) for x in jax.tree.leaves(v))}


def test_align_loss_trains_only_the_audio_side():
    assert moved(lambda out: out.align_loss) == {"key", "query_embedding", "query"}


def test_store_loss_trains_only_the_lip_side():
    assert moved(lambda out: out.store_loss) == {"value", "lip_embedding", "lip"}


@pytest.mark.parametrize("target", audio_lip_memory.STORE_TARGETS)
def test_store_loss_gives_its_target_no_gradient(target):
    # With the recalled feature held constant nothing is left to train.
    recalled = jnp.zeros((ROWS, WIDTH))

    def loss(lip):
        return audio_lip_memory.store_loss(recalled, lip).sum()

    assert not jax.grad(loss)(features(2)).any()
    # And in the net: one slot makes the address constant, so only the target could move lips.
    memory = AudioLipMemory(slots=1, width=WIDTH, store_target=target)
    variables = init(memory)

    def through_net(lip):
        return memory.apply(variables, features(1), lip, train=False).store_loss.sum()

    np.testing.assert_allclose(jax.grad(through_net)(features(2)), 0, atol=1e-6)


def test_recall_from_sound_trains_keys_values_and_fusion():
    want = {"key", "value", "query_embedding", "fusion", "query"}
    assert moved(lambda out: jnp.square(out.te)) == want


def test_recall_from_lips_trains_values_and_the_lip_side():
    want = {"value", "lip_embedding", "fusion", "query", "lip"}
    assert moved(lambda out: jnp.square(out.tr)) == want


def test_with_true_lips_the_training_branch_leaves_the_slots_alone():
    got = moved(lambda out: jnp.square(out.tr), settings={"tr_source": "true"})
    assert got == {"fusion", "query", "lip"}


def test_without_embeddings_sound_and_lips_are_compared_with_the_slots_as_they_are():
    memory = small(embeddings=False)
    plain, layered = init(memory), with_identity_embeddings(init(small()))
    assert set(plain["params"]) == {"key", "value", "fusion"}
    layered["params"].update(plain["params"])
    got = memory.apply(plain, features(1), features(2), train=False)
    want = small().apply(layered, features(1), features(2), train=False)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), got, want)


def test_concatenation_drives_with_sound_and_lips_side_by_side():
    memory = small(fuse_by="concatenation", tr_source="true")
    variables = init(memory)
    assert "fusion" not in variables["params"]
    query, lip = features(1), features(2)
    out = memory.apply(variables, query, lip, train=False)
    np.testing.assert_array_equal(out.te, np.concatenate([query, out.key_lip], axis=1))
    np.testing.assert_array_equal(out.tr, np.concatenate([query, lip], axis=1))
    edited = memory.apply(variables, query, out.key_address, method="from_address")
    np.testing.assert_allclose(edited, out.te, rtol=1e-6)


@pytest.mark.parametrize("setting", ["tr_source", "store_target", "fuse_by"])
def test_a_form_that_does_not_exist_is_refused(setting):
    with pytest.raises(ValueError, match=f"{setting}: got 'other'"):
        init(small(**{setting: "other"}))


def test_raw_store_target_is_the_lip_feature_itself():
    variables = init(small())
    query, lip = features(1), features(2)
    out = small(store_target="raw").apply(variables, query, lip, train=False)
    np.testing.assert_allclose(out.store_loss, np.square(out.value_lip - lip).mean(1), rtol=1e-6)


def test_without_lips_the_same_is_recalled_and_nothing_is_learnt():
    memory = small()
    variables = init(memory)
    both = memory.apply(variables, features(1), features(2), train=False)
    alone = memory.apply(variables, features(1), train=False)
    np.testing.assert_array_equal(alone.te, both.te)
    assert alone.tr is alone.value_address is alone.store_loss is alone.align_loss is None


def test_dropout_draws_its_own_mask_for_each_branch():
    memory = small()
    # equal sides: without dropout both branches give the same
    params = init(memory)["params"]
    params = params | {"key": params["value"], "lip_embedding": params["query_embedding"]}
    query = features(1)

    def run(**options):
        return memory.apply({"params": params}, query, query, **options)

    calm = run(train=False)
    np.testing.assert_allclose(calm.te, calm.tr, rtol=1e-6)
    first = run(train=True, rngs={"dropout": jax.random.key(0)})
    again = run(train=True, rngs={"dropout": jax.random.key(0)})
    assert np.abs(first.te - first.tr).max() > 1e-3
    np.testing.assert_array_equal(first.te, again.te)
    np.testing.assert_allclose(first.key_address, calm.key_address, rtol=1e-6)


def test_the_models_own_address_edited_by_nothing_gives_its_own_driver():
    memory = small()
    variables = init(memory)
    out = memory.apply(variables, features(1), train=False)
    same = memory.apply(variables, features(1), out.key_address, method="from_address")
    np.testing.assert_allclose(same, out.te, rtol=1e-6)


def test_an_edited_address_reads_the_slots_it_names():
    memory = small()
    variables = init(memory)
    params = variables["params"]
    address = jnp.zeros((1, SLOTS)).at[0, 2].set(1.0)
    query = features(1, rows=1)
    got = memory.apply(variables, query, address, method="from_address")
    both = np.concatenate([query, params["value"][2:3]], axis=1)
    want = both @ np.asarray(params["fusion"]["kernel"]) + np.asarray(params["fusion"]["bias"])
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-6)


def test_in_bfloat16_parameters_cosines_addresses_and_losses_stay_float32():
    memory = small(dtype=jnp.bfloat16)
    variables = init(memory)
    assert {x.dtype for x in jax.tree.leaves(variables)} == {jnp.dtype(jnp.float32)}
    out = memory.apply(variables, features(1), features(2), train=False)
    assert out.te.dtype == out.tr.dtype == jnp.bfloat16
    for part in (out.key_address, out.value_address, out.key_lip, out.store_loss, out.align_loss):
        assert part.dtype == jnp.float32
    # A float32 softmax sums to 1 far closer than bfloat16 (2^-8) could.
    np.testing.assert_allclose(out.key_address.sum(-1), 1, rtol=1e-6)
