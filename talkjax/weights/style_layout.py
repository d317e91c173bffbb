"""What the weight maps of StyleGAN2 and StyleGAN3 share: layouts, and filters that are checked."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from talkjax.errors import UserError
from talkjax.weights.inert_pickle import shown
from talkjax.weights.torch_layout import (
    Source,
    State,
    Unfit,
    as_is,
    conv_layout,
    dense_layout,
)

# Filters are designed here too; theirs must be the same to this, relative to the largest tap.
FIR_TOLERANCE = 1e-5
# Longer ones are no layers' numbers, and Python takes no more than some thousand digits.
NUMBER = r"(\d{1,6})"


def stretching_conv(weight: np.ndarray) -> np.ndarray:
    """OIHW of a convolution that stretches -> HWIO of the plain one, which is turned around."""
    return conv_layout(weight)[::-1, ::-1]


def flattened(weight: np.ndarray) -> np.ndarray:
    """(out, c h w) of a 4x4 map flattened channels first -> (h w c, out)."""
    if weight.ndim != 2 or weight.shape[1] % 16:
        raise Unfit("(any, 16 for each channel)")
    channels_first = weight.reshape(weight.shape[0], -1, 4, 4)
    return channels_first.transpose(2, 3, 1, 0).reshape(weight.shape[1], weight.shape[0])


def plain_state(state: State) -> dict[str, np.ndarray]:
    """The state without "module." before its keys, scalars as one-element arrays."""
    return {
        key.removeprefix("module."): np.atleast_1d(np.asarray(value))
        for key, value in state.items()
    }


def dense_source(prefix: str, leaf: str) -> Source:
    """Of a linear layer's "kernel" or "bias"."""
    if leaf == "kernel":
        return Source(f"{prefix}.weight", dense_layout)
    return Source(f"{prefix}.{leaf}", as_is)


def without_filters(
    state: Mapping[str, np.ndarray], filters: Mapping[str, np.ndarray], *, where: str
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """(the state without its FIR filters, their keys).

    Args:
      filters: {regular expression of the whole key: what the net here applies}.

    Raises:
      UserError: if a filter is another than the net's.
    """
    kept, found = {}, []
    for key, value in state.items():
        ours = [taps for pattern, taps in filters.items() if re.fullmatch(pattern, key)]
        if not ours:
            kept[key] = value
            continue
        found.append(key)
        tolerance = FIR_TOLERANCE * np.abs(ours[0]).max()
        if value.shape != ours[0].shape or not np.allclose(value, ours[0], rtol=0, atol=tolerance):
            raise UserError(
                f"{where}: {shown(key)} is another filter than the net applies (shape "
                f"{value.shape}, sum {value.sum():.6g}; want {ours[0].shape}, "
                f"{ours[0].sum():.6g}); only nets with the published filters "
                "can be read"
            )
    return kept, tuple(sorted(found))


def numbers(keys: Iterable[str], pattern: str) -> list[int]:
    """The sorted numbers that stand for "#" of the pattern in whole keys."""
    wanted = re.compile(re.escape(pattern).replace(re.escape("#"), NUMBER))
    return sorted({int(match[1]) for key in keys if (match := wanted.fullmatch(key))})


def mean_style(value: Any, *, where: str) -> np.ndarray:
    """A file's entry latent_avg.

    Raises:
      UserError: if it is no tensor of finite floats.
    """
    floats = isinstance(value, np.ndarray) and value.dtype.kind == "f" and value.size
    if not (floats and np.isfinite(value).all()):
        found = f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else shown(value)
        raise UserError(
            f"{where}: latent_avg: found {found}, want a tensor of finite floats; get the file "
            "again, or leave the entry out with --ignore latent_avg"
        )
    return np.atleast_1d(value)


def mapping_layers(state: Mapping[str, np.ndarray], pattern: str, *, where: str) -> int:
    """How many layers the mapping network has; the pattern is that of `numbers`.

    Raises:
      UserError: if there is none.
    """
    layers = numbers(state, pattern)
    if not layers:
        raise UserError(
            f"{where}: holds no mapping network ({pattern.replace('#', '1')}, ...); save the "
            "whole generator, not its synthesis alone"
        )
    return len(layers)


def needed(state: Mapping[str, np.ndarray], key: str, rank: int, *, where: str) -> np.ndarray:
    """state[key]. Raises UserError if it is missing or of another rank."""
    if key not in state:
        raise UserError(f"{where}: {key} is missing; check that the file is of this kind of net")
    if state[key].ndim != rank:
        raise UserError(
            f"{where}: {key} has shape {state[key].shape}, want {rank} dimensions; check that "
            "the file is of this kind of net"
        )
    return state[key]
