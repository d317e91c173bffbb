"""Import of PyTorch state dicts: exact keys, exact shapes, or one clear line."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from talkjax.errors import UserError
from talkjax.nets.audio_lip_memory import AudioLipMemory
from talkjax.nets.sync_critic import SyncCritic
from talkjax.weights import torch_layout


def memory_like():
    memory = AudioLipMemory(slots=3, width=4)
    return jax.eval_shape(lambda: memory.init(jax.random.key(0), jnp.zeros((1, 4)), train=False))


def memory_state():
    shapes = {
        "key": (3, 4),
        "value": (3, 4),
        "q_embd.weight": (4, 4),
        "q_embd.bias": (4,),
        "v_embd.weight": (4, 4),
        "v_embd.bias": (4,),
        "fusion.weight": (4, 8),
        "fusion.bias": (4,),
    }
    rng = np.random.default_rng(0)
    return {key: rng.standard_normal(s).astype(np.float32) for key, s in shapes.items()}


def load(state):
    return torch_layout.import_memory(state, memory_like(), where="memory.pth")


def test_linear_layers_are_transposed_and_slots_kept():
    state = memory_state()
    params = load(state).variables["memory"]["params"]
    np.testing.assert_array_equal(params["fusion"]["kernel"], state["fusion.weight"].T)
    np.testing.assert_array_equal(params["lip_embedding"]["kernel"], state["v_embd.weight"].T)
    np.testing.assert_array_equal(params["query_embedding"]["bias"], state["q_embd.bias"])
    np.testing.assert_array_equal(params["value"], state["value"])


def test_a_module_prefix_is_stripped():
    state = memory_state()
    want = load(state).variables
    got = load({f"module.{key}": value for key, value in state.items()}).variables
    jax.tree.map(np.testing.assert_array_equal, got, want)


def test_a_missing_key_is_named():
    state = memory_state()
    del state["q_embd.bias"]
    with pytest.raises(UserError, match=r"^memory.pth: .*q_embd.bias is missing"):
        load(state)


def test_an_unused_key_is_named():
    with pytest.raises(UserError, match=r"extra\.weight is not used by the net"):
        load(memory_state() | {"extra.weight": np.zeros(2, np.float32)})


def test_another_shape_is_named_with_both_shapes():
    state = memory_state() | {"key": np.zeros((5, 4), np.float32)}
    with pytest.raises(UserError, match=r"key has shape \(5, 4\), want \(3, 4\)"):
        load(state)


def test_a_square_weight_of_the_wrong_rank_is_refused():
    state = memory_state() | {"fusion.bias": np.float32(1)}
    with pytest.raises(UserError, match=r"fusion.bias has shape \(\)"):
        load(state)


def test_the_message_is_one_line_however_much_is_wrong():
    with pytest.raises(UserError) as caught:
        load({})
    assert "\n" not in str(caught.value)
    assert "and 3 more" in str(caught.value)


def test_step_counters_are_ignored_and_listed():
    critic = SyncCritic(
        face_channels=(4, 4, 8, 8),
        face_repeats=(0, 1, 1),
        face_last_kernel=4,
        audio_channels=(4, 4, 4, 8, 8),
        audio_repeats=(1, 1, 1, 1),
    )
    inputs = (jnp.zeros((1, 5, 10, 18, 3)), jnp.zeros((1, 80, 16)))
    like = jax.eval_shape(lambda: critic.init(jax.random.key(0), *inputs, train=False))
    state = {}
    for branch, tree in like["params"].items():
        for block, layers in tree.items():
            prefix = f"{branch}_encoder.{block.removeprefix('block_')}.conv_block"
            h, w, i, o = layers["conv"]["kernel"].shape
            state[f"{prefix}.0.weight"] = np.zeros((o, i, h, w), np.float32)
            for key in ("0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var"):
                state[f"{prefix}.{key}"] = np.zeros(o, np.float32)
            state[f"{prefix}.1.num_batches_tracked"] = np.asarray(7)
    result = torch_layout.import_sync_critic(state, like, where="critic.pth")
    assert len(result.ignored) * 7 == len(state)
    assert all(key.endswith("num_batches_tracked") for key in result.ignored)


def test_a_critic_of_the_other_size_is_refused(golden_weights):
    state = golden_weights("syncnet_color", "wav2lip_syncnet_color")
    critic = SyncCritic()
    inputs = (jnp.zeros((1, 5, 64, 128, 3)), jnp.zeros((1, 80, 16)))
    like = jax.eval_shape(lambda: critic.init(jax.random.key(0), *inputs, train=False))
    with pytest.raises(UserError, match=r"face_encoder\.17\.\S+ is missing"):
        torch_layout.import_sync_critic(state, like, where="expert.pth")


def test_3d_kernels_over_stacked_frames_give_the_3d_result():
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((2, 3, 5, 3, 3)).astype(np.float32)  # OIDHW
    clip = rng.standard_normal((1, 5, 4, 4, 3)).astype(np.float32)
    want = np.zeros((2, 2, 2))
    for row in range(2):
        for column in range(2):
            patch = clip[0, :, row : row + 3, column : column + 3]  # t h w c
            want[row, column] = np.einsum("thwc,octhw->o", patch, weight)
    kernel = torch_layout.clip_conv_layout(weight)
    stacked = np.concatenate([clip[:, i] for i in range(5)], axis=-1)
    got = jax.lax.conv_general_dilated(
        stacked, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    np.testing.assert_allclose(got[0], want, rtol=0, atol=1e-4)
