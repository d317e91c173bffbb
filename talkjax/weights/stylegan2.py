"""From both public formats of StyleGAN2 to `nets.stylegan2` and its discriminator.

rosinality's: the entries of "g_ema" (or "d"), with the file's "latent_avg" beside them.
NVIDIA's: the state dict of G_ema (or D). The noise maps come along; the FIR filters are
checked and left.

Source of the key names: rosinality/stylegan2-pytorch@bef283a, NVlabs/stylegan3@c233a91.
"""

import logging
import re
from typing import Any

import numpy as np

from talkjax.arrays import Tree
from talkjax.errors import UserError
from talkjax.weights import style_layout
from talkjax.weights.states import listed
from talkjax.weights.torch_layout import (
    Imported,
    Source,
    State,
    as_is,
    conv_layout,
    fill_nets,
    of_rank,
    of_shape,
)

TAPS = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 64
# Wherever rosinality's generator stretches, the filter holds the gain.
FILTERS = {
    r".*\.resample_filter": TAPS,
    r"(convs\.\d+\.conv\.blur|to_rgbs\.\d+\.upsample)\.kernel": 4 * TAPS,
    r"convs\.\d+\.(conv2|skip)\.0\.kernel": TAPS,
}
# NVIDIA's code clamps activations there; the state does not say so.
NVIDIA_CLAMP = 256.0
AVERAGED_STYLES = 10_000
_log = logging.getLogger(__name__)


def is_rosinality(state: State, *, where: str) -> bool:
    """Whether a generator or discriminator is in rosinality's format, else NVIDIA's.

    Raises:
      UserError: if it is in neither.
    """
    keys = [key.removeprefix("module.") for key in state]
    if any(re.match(r"style\.1\.|convs\.0\.0\.", key) for key in keys):
        return True
    if any(re.match(r"mapping\.fc0\.|b4\.(conv|fc)\.", key) for key in keys):
        return False
    raise UserError(
        f"{where}: holds neither rosinality's StyleGAN2 (style.1.weight, ...) nor NVIDIA's "
        f"(mapping.fc0.weight, ...) but {listed(sorted(keys))}; give the entries of g_ema or G_ema"
    )


def settings_from_state(state: State, *, where: str) -> dict[str, Any]:
    """Attributes of the `StyleGan2` that a generator's state dict fills.

    Raises:
      UserError: if the state is no StyleGAN2 generator, or its channels follow no
        min(base / size, most).
    """
    rosinality = is_rosinality(state, where=where)
    state = style_layout.plain_state(state)
    pattern = "style.#.weight" if rosinality else "mapping.fc#.weight"
    layers = style_layout.mapping_layers(state, pattern, where=where)
    last = style_layout.needed(state, _mapping_key(rosinality, layers - 1), 2, where=where)
    if rosinality:
        count = len(style_layout.numbers(state, "to_rgbs.#.bias")) + 1
    else:
        count = len(style_layout.numbers(state, "synthesis.b#.torgb.bias"))
    channels = {}
    for size in (4 << i for i in range(count)):
        key = _generator_key(rosinality, f"conv_{size}") + (".conv" if rosinality else "")
        weight = style_layout.needed(state, f"{key}.weight", 4 + rosinality, where=where)
        channels[size] = weight.shape[int(rosinality)]
    return {
        **_channel_settings(channels, where=where),
        "mapping_layers": layers,
        "width": int(last.shape[0]),
        "clamp": None if rosinality else NVIDIA_CLAMP,
    }


def discriminator_settings_from_state(state: State, *, where: str) -> dict[str, Any]:
    """Attributes of the `StyleGan2Discriminator` that a state dict fills; else as above."""
    rosinality = is_rosinality(state, where=where)
    state = style_layout.plain_state(state)
    pattern = "convs.#.conv1.0.weight" if rosinality else "b#.conv0.weight"
    count = len(style_layout.numbers(state, pattern)) + 1
    keys = {4: "final_conv.0" if rosinality else "b4.conv"}
    for size in (4 << i for i in range(1, count)):
        keys[size] = f"{_block_key(rosinality, size, count)}.conv1.0"
        if not rosinality:
            keys[size] = f"b{size}.conv0"
    weights = {
        size: style_layout.needed(state, f"{key}.weight", 4, where=where)
        for size, key in keys.items()
    }
    channels = {size: int(weight.shape[0]) for size, weight in weights.items()}
    clamp = None if rosinality else NVIDIA_CLAMP
    return {**_channel_settings(channels, where=where), "clamp": clamp}


def import_stylegan2(state: State, like: Tree, *, where: str) -> Imported:
    """`StyleGan2`, net name "gen", of either format.

    Without a mean of the styles ("latent_avg"; rosinality's training script saves none) that
    of 10 000 random ones is taken, as their scripts do, and a warning logged.

    Args:
      state: {key: array} of a generator, rosinality's with the file's "latent_avg" added.
      like: variables (or their shapes) of the net to fill.
      where: the file, for error messages.

    Raises:
      UserError: if keys, shapes or filters are not exactly those of the net.
    """
    rosinality = is_rosinality(state, where=where)
    state, filters = style_layout.without_filters(
        style_layout.plain_state(state), FILTERS, where=where
    )
    if rosinality:
        state["latent_avg"] = _latent_average(state, where=where)
    sources = {"gen": lambda path: _generator_source(path, rosinality)}
    got = fill_nets(state, {"gen": like}, sources, where=where)
    return Imported(got.variables, tuple(sorted(got.ignored + filters)))


def import_stylegan2_discriminator(state: State, like: Tree, *, where: str) -> Imported:
    """`StyleGan2Discriminator`, net name "disc"; else as `import_stylegan2`."""
    rosinality = is_rosinality(state, where=where)
    state, filters = style_layout.without_filters(
        style_layout.plain_state(state), FILTERS, where=where
    )
    blocks = [name for name in like["params"] if name.startswith("block_")]
    count = len(blocks) + 1
    sources = {"disc": lambda path: _discriminator_source(path, rosinality, count)}
    got = fill_nets(state, {"disc": like}, sources, where=where)
    return Imported(got.variables, tuple(sorted(got.ignored + filters)))


def _channel_settings(channels: dict[int, int], *, where: str) -> dict[str, int]:
    """Resolution, channel base and maximum that give {size: channels}."""
    if len(channels) < 2:
        raise UserError(f"{where}: has no layers above 4 px; check that the file is complete")
    resolution, most = max(channels), channels[4]
    base = resolution * channels[resolution]
    if any(count != min(base // size, most) for size, count in channels.items()):
        raise UserError(
            f"{where}: channels {channels} (of each size) are not min(base / size, most) for "
            f"any base and most; such a net cannot be read"
        )
    return {"resolution": resolution, "channel_base": base, "channel_max": most}


def _mapping_key(rosinality: bool, layer: int) -> str:
    return f"style.{layer + 1}.weight" if rosinality else f"mapping.fc{layer}.weight"


def _generator_key(rosinality: bool, name: str) -> str:
    """ "conv_8", "up_conv_8", "to_rgb_8" here -> the layer's name there."""
    kind, size = re.fullmatch(r"(conv|up_conv|to_rgb)_(\d+)", name).groups()
    if not rosinality:
        there = {"conv": "conv1", "up_conv": "conv0", "to_rgb": "torgb"}[kind]
        return f"synthesis.b{size}.{there}"
    i = int(size).bit_length() - 4  # 0 at 8 px
    if i < 0:
        return {"conv": "conv1", "to_rgb": "to_rgb1"}[kind]
    return {"conv": f"convs.{2 * i + 1}", "up_conv": f"convs.{2 * i}", "to_rgb": f"to_rgbs.{i}"}[
        kind
    ]


def _generator_source(path, rosinality: bool) -> Source:
    collection, part, *rest = path
    if part == "mapping":
        if collection == "averages":
            return Source("latent_avg" if rosinality else "mapping.w_avg", as_is)
        layer = int(rest[0].removeprefix("layer_"))
        prefix = _mapping_key(rosinality, layer).removesuffix(".weight")
        return style_layout.dense_source(prefix, rest[1])
    if rest == ["constant"]:
        if rosinality:
            first = of_shape(1, None, None, None, change=lambda a: a[0].transpose(1, 2, 0))
            return Source("input.input", first)
        return Source("synthesis.b4.const", of_rank(3, lambda a: a.transpose(1, 2, 0)))
    name, *leaf = rest
    of_layer = _rosinality_leaf if rosinality else _nvidia_leaf
    return of_layer(name, tuple(leaf))


def _kernel_layout(name: str):
    return style_layout.stretching_conv if name.startswith("up_") else conv_layout


def _nvidia_leaf(name: str, leaf: tuple[str, ...]) -> Source:
    prefix = _generator_key(False, name)
    if leaf[0] == "affine":
        return style_layout.dense_source(f"{prefix}.affine", leaf[1])
    if leaf == ("kernel",):
        return Source(f"{prefix}.weight", _kernel_layout(name))
    there = {"map": "noise_const", "bias": "bias", "noise_strength": "noise_strength"}
    return Source(f"{prefix}.{there[leaf[0]]}", as_is)


def _rosinality_leaf(name: str, leaf: tuple[str, ...]) -> Source:
    prefix = _generator_key(True, name)
    if leaf[0] == "affine":
        return style_layout.dense_source(f"{prefix}.conv.modulation", leaf[1])
    if leaf == ("kernel",):
        layout = _kernel_layout(name)
        one = of_shape(1, *[None] * 4, change=lambda a: layout(a[0]))
        return Source(f"{prefix}.conv.weight", one)
    if leaf == ("map",):
        i = int(prefix.removeprefix("convs.")) + 1 if "." in prefix else 0
        one = of_shape(1, 1, None, None, change=lambda a: a[0, 0])
        return Source(f"noises.noise_{i}", one)
    if leaf == ("noise_strength",):
        return Source(f"{prefix}.noise.weight", as_is)
    if name.startswith("to_rgb"):
        return Source(f"{prefix}.bias", of_shape(1, None, 1, 1, change=lambda a: a[0, :, 0, 0]))
    return Source(f"{prefix}.activate.bias", as_is)


def _block_key(rosinality: bool, size: int, count: int) -> str:
    """The residual block of a size, of a net with `count` sizes."""
    if not rosinality:
        return f"b{size}"
    return f"convs.{count - (size.bit_length() - 3)}"  # convs.1 is the largest


def _discriminator_source(path, rosinality: bool, count: int) -> Source:
    _, name, *rest = path
    leaf = rest[-1]
    if name == "dense" and leaf == "kernel":
        key = "final_linear.0" if rosinality else "b4.fc"
        return Source(f"{key}.weight", style_layout.flattened)
    if name in ("dense", "logit"):
        there = {"dense": ("b4.fc", "final_linear.0"), "logit": ("b4.out", "final_linear.1")}
        return style_layout.dense_source(there[name][rosinality], leaf)
    if name.startswith("block_"):
        block = _block_key(rosinality, int(name.removeprefix("block_")), count)
        # rosinality's are sequences: in conv2 and skip the blur comes first.
        there = {
            "conv_0": (f"{block}.conv0", f"{block}.conv1.0", f"{block}.conv1.1"),
            "conv_1": (f"{block}.conv1", f"{block}.conv2.1", f"{block}.conv2.2"),
            "skip": (f"{block}.skip", f"{block}.skip.1", ""),
        }[rest[0]]
    else:
        top = f"b{4 << (count - 1)}.fromrgb"
        there = {
            "from_rgb": (top, "convs.0.0", "convs.0.1"),
            "conv_4": ("b4.conv", "final_conv.0", "final_conv.1"),
        }[name]
    nvidia, rosinality_kernel, rosinality_bias = there
    if leaf == "kernel":
        prefix = rosinality_kernel if rosinality else nvidia
        return Source(f"{prefix}.weight", conv_layout)
    return Source(f"{rosinality_bias if rosinality else nvidia}.bias", as_is)


def _latent_average(state, *, where: str) -> np.ndarray:
    """The mean style of rosinality's format, which may be missing, or repeated (pSp)."""
    if "latent_avg" not in state:
        _log.warning(
            "%s: holds no latent_avg; took the mean of %d random styles", where, AVERAGED_STYLES
        )
        return _mean_style(state, where=where)
    average = style_layout.mean_style(state["latent_avg"], where=where)
    rows = average.reshape(-1, average.shape[-1])
    if not np.array_equal(rows, np.broadcast_to(rows[0], rows.shape)):
        raise UserError(
            f"{where}: latent_avg has {len(rows)} different rows, want one, or all alike; "
            "such a net cannot be read"
        )
    return rows[0]


def _mean_style(state, *, where: str) -> np.ndarray:
    layers = style_layout.numbers(state, "style.#.weight")
    weights = [style_layout.needed(state, f"style.{i}.weight", 2, where=where) for i in layers]
    biases = [style_layout.needed(state, f"style.{i}.bias", 1, where=where) for i in layers]
    width = weights[0].shape[1]
    x = np.random.default_rng(0).standard_normal((AVERAGED_STYLES, width)).astype(np.float32)
    x /= np.sqrt(np.mean(np.square(x), axis=1, keepdims=True))
    for i, weight, bias in zip(layers, weights, biases, strict=True):
        if weight.shape != (width, width) or bias.shape != (width,):
            raise UserError(
                f"{where}: style.{i} has shapes {weight.shape} and {bias.shape}, want "
                f"{(width, width)} and {(width,)}; check that the file is whole"
            )
        x = x @ (weight.T * np.float32(0.01 / np.sqrt(weight.shape[1]))) + np.float32(0.01) * bias
        x = np.where(x < 0, np.float32(0.2) * x, x) * np.float32(np.sqrt(2))
    return x.mean(axis=0)
