"""pSp checkpoints and ArcFace IR-SE-50 files to variables of the nets here; see `torch_layout`.

A pSp checkpoint is {"state_dict": {"encoder.*", "decoder.*"}, "opts": {...}, "latent_avg"}; its
decoder is rosinality's StyleGAN2 (`weights/stylegan2.py`). Key names as in
eladrich/pixel2style2pixel@5cfff38.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from talkjax.arrays import Tree
from talkjax.errors import UserError
from talkjax.weights import style_layout
from talkjax.weights.inert_pickle import shown
from talkjax.weights.torch_layout import (
    Imported,
    Source,
    State,
    Unfit,
    as_is,
    conv_layout,
    dense_layout,
    fill_nets,
    is_counter,
)

ENCODER_TYPE = "GradualStyleEncoder"
PARTS = ("encoder", "decoder")
AVERAGE_KEY = "latent_avg"
ENCODER_OPTION, START_OPTION = "encoder_type", "start_from_latent_avg"
SHOWN_STYLES = 20
# module inside a unit here -> its name after "body.<i>." there
UNIT_LAYERS = {
    "shortcut_conv": "shortcut_layer.0",
    "shortcut_norm": "shortcut_layer.1",
    "norm_in": "res_layer.0",
    "conv_0": "res_layer.1",
    "prelu": "res_layer.2",
    "conv_1": "res_layer.3",
    "norm_out": "res_layer.4",
    "squeeze": "res_layer.5.fc1",
    "excite": "res_layer.5.fc2",
}
STEM_LAYERS = {
    "stem_conv": "input_layer.0",
    "stem_norm": "input_layer.1",
    "stem_prelu": "input_layer.2",
}
LATERAL_LAYERS = {"lateral_1": "latlayer1", "lateral_2": "latlayer2"}
ARCFACE_LAYERS = {
    "norm_in": "output_layer.0",
    "linear": "output_layer.3",
    "norm_out": "output_layer.4",
}
LEAVES = {
    "kernel": "weight",
    "scale": "weight",
    "slope": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "var": "running_var",
}


class PspParts(NamedTuple):
    """A pSp checkpoint taken apart, keys without their prefix.

    Attributes:
      encoder: for `import_psp_encoder`; with "latent_avg" where the encoder starts from it.
      decoder: for the importer of rosinality's StyleGAN2.
    """

    encoder: dict[str, np.ndarray]
    decoder: dict[str, np.ndarray]


def split_checkpoint(checkpoint: Mapping[str, Any], *, where: str) -> PspParts:
    """The parts of a pSp checkpoint as its training script saves it.

    Args:
      checkpoint: {"state_dict": {key: array}, "latent_avg": array or absent, "opts": settings
        of the training or absent}; other entries are not looked at.
      where: the file, for error messages.

    Raises:
      UserError: if it is no pSp checkpoint, or one with another encoder.
    """
    if "state_dict" not in checkpoint:
        raise UserError(
            f"{where}: found the entries {sorted(checkpoint)}, want state_dict; is it a pSp "
            "checkpoint?"
        )
    options = checkpoint.get("opts") or {}
    if not isinstance(options, Mapping):
        raise UserError(
            f"{where}: opts: found {shown(options)}, want the settings of its training; get the "
            "file again, or leave them out with --ignore opts"
        )
    found = options.get(ENCODER_OPTION, ENCODER_TYPE)
    if not (isinstance(found, str) and found == ENCODER_TYPE):
        raise UserError(
            f"{where}: its encoder is a {shown(found)}, want {ENCODER_TYPE}; no other can be "
            "imported"
        )
    parts = {name: {} for name in PARTS}
    for key, value in checkpoint["state_dict"].items():
        part, _, rest = key.removeprefix("module.").partition(".")
        if part not in parts:
            raise UserError(
                f"{where}: key {shown(key)} is not used by encoder or decoder; check KIND"
            )
        parts[part][rest] = value
    for name, part in parts.items():
        if not part:
            raise UserError(f"{where}: has no keys {name}.*; is it a pSp checkpoint?")
    average = checkpoint.get(AVERAGE_KEY)
    starts = options.get(START_OPTION, average is not None)
    if not isinstance(starts, bool):
        raise UserError(
            f"{where}: opts: {START_OPTION}: found {shown(starts)}, want true or false; "
            "get the file again"
        )
    if starts:
        if average is None:
            raise UserError(
                f"{where}: its encoder starts from {AVERAGE_KEY}, which is missing; get the file "
                "again"
            )
        parts["encoder"][AVERAGE_KEY] = style_layout.mean_style(average, where=where)
    return PspParts(**parts)


def unused_options(checkpoint: Mapping[str, Any]) -> list[str]:
    """ "opts.<name>" of each setting in a pSp checkpoint that nothing here reads."""
    options = checkpoint.get("opts") or {}
    return [f"opts.{shown(name)}" for name in options if name not in (ENCODER_OPTION, START_OPTION)]


def settings_from_state(state: State, *, where: str) -> dict[str, Any]:
    """Settings of the `GradualStyleEncoder` that an encoder's state dict fits.

    Args:
      state: keys of the bare encoder, and "latent_avg" where there is one.
      where: the file, for error messages.

    Raises:
      UserError: if it is no such encoder's.
    """
    numbers = style_layout.numbers(_bare(state), "styles.#.linear.weight")
    if not numbers or numbers != list(range(len(numbers))):
        raise UserError(
            f"{where}: found styles {numbers[:SHOWN_STYLES]}, want styles.0, styles.1 and so on; "
            f"is it a pSp checkpoint with a {ENCODER_TYPE}?"
        )
    return {"num_styles": len(numbers), "start_from_average": AVERAGE_KEY in state}


def import_psp_encoder(state: State, like: Tree, *, where: str) -> Imported:
    """`GradualStyleEncoder`, net name "encoder".

    Args:
      state: keys of the bare encoder, and "latent_avg", (d,), (1, d) or (e, d), where the net
        starts from it; `split_checkpoint` gives both.
      like: variables (or their shapes) of the net to fill.
      where: the file, for error messages.

    Raises:
      UserError: if keys or shapes are not exactly those of the net; lists them.
    """
    state = dict(state)
    if AVERAGE_KEY in state and "average" in like:
        state[AVERAGE_KEY] = _average(
            np.asarray(state[AVERAGE_KEY]), like["average"]["latent"].shape, where=where
        )
    return fill_nets(state, {"encoder": like}, {"encoder": _encoder_source}, where=where)


def arcface_settings_from_state(state: State, *, where: str) -> dict[str, Any]:
    """Settings of the `ArcFace` that a state dict fits.

    Raises:
      UserError: if its output layer is missing, or is none.
    """
    keys = _bare(state)
    last = style_layout.needed(keys, "output_layer.3.weight", 2, where=where)
    return {
        "width": int(last.shape[0]),
        "affine": "output_layer.4.weight" in keys,
    }


def import_arcface(state: State, like: Tree, *, where: str) -> Imported:
    """`ArcFace`, net name "arcface"; otherwise as `import_psp_encoder`."""
    channels = like["params"]["norm_in"]["scale"].shape[0]

    def source(path: tuple[str, ...]) -> Source:
        return _arcface_source(path, channels)

    return fill_nets(state, {"arcface": like}, {"arcface": source}, where=where)


def _bare(state: State) -> dict[str, np.ndarray]:
    return {
        key.removeprefix("module."): value
        for key, value in state.items()
        if not is_counter(key, value)
    }


def _average(average: np.ndarray, shape: tuple[int, ...], *, where: str) -> np.ndarray:
    """The mean style for every layer; StyleGAN2's own files have one for all."""
    if average.shape not in (shape, shape[1:], (1, *shape[1:])):
        raise UserError(
            f"{where}: {AVERAGE_KEY} has shape {average.shape}, want {shape} or {shape[1:]}; check "
            "that encoder and decoder belong together"
        )
    return np.broadcast_to(average, shape)


def _layer_source(path: tuple[str, ...], key: str) -> Source:
    """A leaf of a convolution, a norm or a PReLU."""
    leaf = path[-1]
    return Source(f"{key}.{LEAVES[leaf]}", conv_layout if leaf == "kernel" else as_is)


def _backbone_source(collection: str, path: tuple[str, ...]) -> Source:
    if path[0] in STEM_LAYERS:
        return _layer_source((collection, *path), STEM_LAYERS[path[0]])
    unit = path[0].removeprefix("unit_")
    return _layer_source((collection, *path), f"body.{unit}.{UNIT_LAYERS[path[1]]}")


def _encoder_source(path: tuple[str, ...]) -> Source:
    if path[0] == "average":
        return Source(AVERAGE_KEY, as_is)
    if path[1] == "backbone":
        return _backbone_source(path[0], path[2:])
    if path[1] in LATERAL_LAYERS:
        return _layer_source(path, LATERAL_LAYERS[path[1]])
    style, layer, leaf = f"styles.{path[1].removeprefix('style_')}", path[2], path[3]
    if layer == "linear":
        return Source(f"{style}.linear.{LEAVES[leaf]}", dense_layout if leaf == "kernel" else as_is)
    # Between two convolutions stands an activation, which has a number there.
    return _layer_source(path, f"{style}.convs.{2 * int(layer.removeprefix('conv_'))}")


def _arcface_source(path: tuple[str, ...], channels: int) -> Source:
    if path[1] == "backbone":
        return _backbone_source(path[0], path[2:])
    source = _layer_source(path, ARCFACE_LAYERS[path[1]])
    if path[1] == "linear" and path[-1] == "kernel":
        return Source(source.key, lambda weight: _after_flatten(weight, channels))
    return source


def _after_flatten(weight: np.ndarray, channels: int) -> np.ndarray:
    """(d, (c h w)) of a linear layer after PyTorch's flatten -> ((h w c), d) of ours."""
    if weight.ndim != 2 or weight.shape[1] % channels:
        raise Unfit(f"(any, {channels} for each place)")
    return weight.reshape(len(weight), channels, -1).transpose(2, 1, 0).reshape(-1, len(weight))
