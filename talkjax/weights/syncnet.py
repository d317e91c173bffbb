"""SyncNet v2 (`syncnet_v2.model`): from its state dict to variables of `nets.syncnet.SyncNet`.

Source of the key names: SyncNetModel.py of joonson/syncnet_python@6efbb1c.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from talkjax.arrays import Tree
from talkjax.errors import UserError
from talkjax.weights.torch_layout import (
    Imported,
    Source,
    State,
    as_is,
    clip_conv_layout,
    conv_layout,
    dense_layout,
    fill_nets,
)

# Net here -> the four sequences there.
CONVOLUTIONS = {"lips": "netcnnlip", "sound": "netcnnaud"}
HEADS = {"lips_head": "netfclip", "sound_head": "netfcaud"}
# Block here -> index of its convolution there; its batch norm is the next one. Max pools and
# ReLUs take the rest.
CONV_INDEX = (0, 4, 8, 11, 14, 18)
HEAD_INDEX = {"first": 0, "norm": 1, "last": 3}
NORM_LEAVES = {
    "scale": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "var": "running_var",
}
LAYER_LEAVES = {"kernel": "weight", "bias": "bias"}


def import_syncnet(state: State, like: Tree, *, where: str) -> Imported:
    """`SyncNet`; `like` are its variables' shapes. Net name: "syncnet".

    Args:
      state: {key: array}; a "module." in front of every key is stripped.
      like: variables (or their shapes) of the net to fill.
      where: the file, for error messages.

    Raises:
      UserError: if keys or shapes are not exactly those of the net; lists them.
    """
    return fill_nets(state, {"syncnet": like}, {"syncnet": _source}, where=where)


def settings_from_state(state: State, *, where: str) -> dict[str, Any]:
    """The settings of the `SyncNet` that fits a state dict, read off its shapes.

    Raises:
      UserError: if it is no SyncNet's.
    """
    shapes = {key.removeprefix("module."): np.shape(value) for key, value in state.items()}
    lips = _channels(shapes, "netcnnlip", rank=5, where=where)
    sound = _channels(shapes, "netcnnaud", rank=4, where=where)
    hidden, width = (_shape(shapes, f"netfclip.{i}.weight", rank=2, where=where) for i in (0, 3))
    last = _shape(shapes, f"netcnnlip.{CONV_INDEX[-1]}.weight", rank=5, where=where)
    return {
        "lip_channels": lips,
        "lip_last_kernel": last[-1],
        "sound_channels": sound,
        "hidden": hidden[0],
        "width": width[0],
    }


def _channels(
    shapes: Mapping[str, tuple[int, ...]], net: str, *, rank: int, where: str
) -> tuple[int, ...]:
    keys = [f"{net}.{index}.weight" for index in CONV_INDEX]
    return tuple(_shape(shapes, key, rank=rank, where=where)[0] for key in keys)


def _shape(
    shapes: Mapping[str, tuple[int, ...]], key: str, *, rank: int, where: str
) -> tuple[int, ...]:
    if key not in shapes or len(shapes[key]) != rank:
        found = f"has shape {shapes[key]}" if key in shapes else "is missing"
        raise UserError(
            f"{where}: is no state dict of SyncNet: {key} {found}, want {rank} axes; give the "
            "file syncnet_v2.model"
        )
    return tuple(int(side) for side in shapes[key])


def _source(path: tuple[str, ...]) -> Source:
    _, net, layer, *rest = path
    if net in HEADS:
        index = HEAD_INDEX[layer]
        leaves = NORM_LEAVES if layer == "norm" else LAYER_LEAVES
        layout = dense_layout if rest[-1] == "kernel" else as_is
        return Source(f"{HEADS[net]}.{index}.{leaves[rest[-1]]}", layout)
    module, leaf = rest
    index = CONV_INDEX[int(layer.removeprefix("block_"))]
    prefix = CONVOLUTIONS[net]
    if module == "norm":
        return Source(f"{prefix}.{index + 1}.{NORM_LEAVES[leaf]}", as_is)
    kernel = clip_conv_layout if net == "lips" else conv_layout
    return Source(f"{prefix}.{index}.{LAYER_LEAVES[leaf]}", kernel if leaf == "kernel" else as_is)
