"""From PyTorch state dicts of the public code to variables of the nets here, in numpy alone.

Driven by the shapes of the net that shall be filled (`jax.eval_shape` of its init): each of
its leaves names one key of the state dict. A leaf without its key, a key without its leaf and
a shape that differs are errors, as are weights that are no floats and negative variances; only
BatchNorm's step counters are ignored, and reported.

Source of the key names: jinny960812/SyncTalkFace@9d5d08d, Rudrabha/Wav2Lip@5c90fa9.
"""

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from flax import traverse_util

from talkjax.arrays import Tree
from talkjax.errors import UserError
from talkjax.weights.inert_pickle import shown

State = Mapping[str, np.ndarray]

COUNTER_NAME = "num_batches_tracked"
# (collection, module, leaf) of a block here -> what follows the block's name there.
BLOCK_SUFFIXES = {
    ("params", "conv", "kernel"): "conv_block.0.weight",
    ("params", "conv", "bias"): "conv_block.0.bias",
    ("params", "norm", "scale"): "conv_block.1.weight",
    ("params", "norm", "bias"): "conv_block.1.bias",
    ("batch_stats", "norm", "mean"): "conv_block.1.running_mean",
    ("batch_stats", "norm", "var"): "conv_block.1.running_var",
}
MEMORY_LAYERS = {"query_embedding": "q_embd", "lip_embedding": "v_embd", "fusion": "fusion"}
# net here -> its name inside `AudioLipGenerator`
GENERATOR_PARTS = {
    "audio": "audio_encoder",
    "lip": "lip_encoder",
    "face": "face_encoder",
    "memory": "memory",
    "decoder": "decoder",
}
LEAVES = {"kernel": "weight", "bias": "bias"}
SHOWN_PROBLEMS = 5


class Source(NamedTuple):
    """Where a leaf comes from: the key, and how the array is laid out there.

    A layout raises `Unfit` for an array that it is not made for.
    """

    key: str
    layout: Callable[[np.ndarray], np.ndarray]


class Unfit(Exception):
    """An array is none that its layout, or its leaf, can take; the text says what is wanted."""


class Imported(NamedTuple):
    """Variables {net: {collection: ...}} and the keys that were left out on purpose."""

    variables: dict[str, Tree]
    ignored: tuple[str, ...]


def import_sync_critic(state: State, like: Tree, *, where: str) -> Imported:
    """`SyncCritic` of either size; `like` are its variables' shapes. Net name: "sync".

    Args:
      state: {key: array}; a "module." in front of every key is stripped.
      like: variables (or their shapes) of the net to fill.
      where: the file, for error messages.

    Raises:
      UserError: if keys or shapes are not exactly those of the net; lists them.
    """
    return fill_nets(state, {"sync": like}, {"sync": _critic_source}, where=where)


def import_generator(state: State, like: Mapping[str, Tree], *, where: str) -> Imported:
    """The four generator nets "audio", "lip", "face", "memory" (`model_state_dict`).

    `like` holds the shapes of all four; otherwise as `import_sync_critic`.
    """
    sources = {
        "audio": lambda path: _sequential_source(path, "audio_encoder", 0),
        "lip": _lip_source,
        "face": lambda path: _staged_source(path, "face_encoder_blocks"),
        "memory": lambda path: _memory_source(path, "mem."),
    }
    return fill_nets(state, like, sources, where=where)


def import_audio_lip_generator(
    generator: State, decoder: State, like: Tree, *, where: str
) -> Imported:
    """`AudioLipGenerator` (`model_state_dict` and `dec_state_dict`), net name "gen".

    `like` holds the shapes of the whole net; otherwise as `import_sync_critic`.
    """
    parts = {
        ours: {
            collection: like[collection][name] for collection in like if name in like[collection]
        }
        for ours, name in GENERATOR_PARTS.items()
    }
    decoder_like = parts.pop("decoder")
    got = import_generator(generator, parts, where=where)
    rest = import_decoder(decoder, decoder_like, where=where)
    joined = {collection: {} for collection in like}
    for ours, variables in (got.variables | rest.variables).items():
        for collection, tree in variables.items():
            joined[collection][GENERATOR_PARTS[ours]] = tree
    return Imported({"gen": joined}, got.ignored + rest.ignored)


def import_decoder(state: State, like: Tree, *, where: str) -> Imported:
    """`FaceDecoder` (`dec_state_dict`), net name "decoder"; else as `import_sync_critic`."""
    return fill_nets(state, {"decoder": like}, {"decoder": _decoder_source}, where=where)


def import_discriminator(state: State, like: Tree, *, where: str) -> Imported:
    """`QualityDiscriminator` (`disc_state_dict`), net name "disc"; else as above."""
    return fill_nets(state, {"disc": like}, {"disc": _discriminator_source}, where=where)


def import_memory(state: State, like: Tree, *, where: str) -> Imported:
    """`AudioLipMemory` by itself, net name "memory"; else as `import_sync_critic`."""
    sources = {"memory": lambda path: _memory_source(path, "")}
    return fill_nets(state, {"memory": like}, sources, where=where)


def of_shape(*sides: int | None, change: Callable[[np.ndarray], np.ndarray]):
    """A layout for arrays with these sides, None for any; it refuses others."""
    wanted = f"({', '.join('any' if side is None else str(side) for side in sides)})"

    def layout(array: np.ndarray) -> np.ndarray:
        pairs = zip(array.shape, sides, strict=False)
        if array.ndim != len(sides) or any(want not in (None, got) for got, want in pairs):
            raise Unfit(wanted)
        return change(array)

    return layout


def of_rank(rank: int, change: Callable[[np.ndarray], np.ndarray]):
    """A layout for arrays of this rank; it refuses others."""
    return of_shape(*[None] * rank, change=change)


def _stacked_frames(weight: np.ndarray) -> np.ndarray:
    o, i, d, h, w = weight.shape
    return weight.transpose(3, 4, 2, 1, 0).reshape(h, w, d * i, o)


def as_is(array):
    return array


# (out, in) -> (in, out)
dense_layout = of_rank(2, np.transpose)
# OIHW -> HWIO
conv_layout = of_rank(4, lambda weight: weight.transpose(2, 3, 1, 0))
# A 3-D kernel OIDHW over stacked frames -> HW(DI)O
clip_conv_layout = of_rank(5, _stacked_frames)
# (in, out, kh, kw) -> HWIO of the plain convolution over the stretched input
transposed_conv_layout = of_rank(4, lambda weight: weight[:, :, ::-1, ::-1].transpose(2, 3, 0, 1))


def fill_nets(
    state: State,
    like: Mapping[str, Tree],
    sources: Mapping[str, Callable[[tuple[str, ...]], Source]],
    *,
    where: str,
) -> Imported:
    """Fills the leaves of nets from a state dict, with every key accounted for.

    Args:
      state: {key: array}; a "module." in front of every key is stripped.
      like: {net: its variables or their shapes}.
      sources: {net: function of a leaf's path (collection, ..., leaf) -> its `Source`}.
      where: the file, for error messages.

    Raises:
      UserError: if keys or shapes are not exactly those of the nets; lists them.
    """
    if set(like) != set(sources):
        raise ValueError(f"nets to fill: got {sorted(like)}, want {sorted(sources)}")
    state = {key.removeprefix("module."): np.asarray(value) for key, value in state.items()}
    counters = {key for key, value in state.items() if is_counter(key, value)}
    unused = set(state) - counters
    problems, nets = [], {}
    for net, tree in like.items():
        filled = {}
        for path, leaf in traverse_util.flatten_dict(tree).items():
            source = sources[net](path)
            if source.key not in state:
                problems.append(f"{source.key} is missing")
                continue
            unused.discard(source.key)
            try:
                filled[path] = _laid_out(state[source.key], source.layout, path, leaf)
            except Unfit as problem:
                problems.append(f"{source.key} {problem}")
        nets[net] = traverse_util.unflatten_dict(filled)
    problems += [f"{shown(key)} is not used by the net" for key in sorted(unused)]
    if problems:
        first = "; ".join(problems[:SHOWN_PROBLEMS])
        more = len(problems) - SHOWN_PROBLEMS
        raise UserError(
            f"{where}: does not fit the nets {sorted(sources)}: {first}"
            + (f"; and {more} more" if more > 0 else "")
            + "; want a whole file of this kind: get it again, or check KIND"
        )
    return Imported(nets, tuple(sorted(counters)))


def is_counter(key: str, value: np.ndarray) -> bool:
    """Whether an entry is BatchNorm's count of its steps: by its name, and one whole number."""
    return key.split(".")[-1] == COUNTER_NAME and value.size == 1 and value.dtype.kind in "iu"


def _laid_out(array: np.ndarray, layout, path: tuple[str, ...], leaf) -> np.ndarray:
    """The array as a leaf of the net. Raises Unfit, with all of the text, if it is none."""
    if array.dtype.kind != "f":
        raise Unfit(f"holds {array.dtype}, want floats")
    try:
        found = layout(array)
    except Unfit as wanted:
        raise Unfit(f"has shape {array.shape}, want {wanted}") from None
    if found.shape != leaf.shape:
        ours = f", in the net's order {found.shape}" if found.shape != array.shape else ""
        raise Unfit(f"has shape {array.shape}{ours}, want {leaf.shape}")
    if path[0] == "batch_stats" and path[-1] == "var" and (found < 0).any():
        raise Unfit("holds negative variances")
    return np.ascontiguousarray(found, dtype=leaf.dtype)


def _block_source(path, prefix: str, *, transposed: bool = False) -> Source:
    collection, _, module, leaf = path
    kernel = transposed_conv_layout if transposed else conv_layout
    suffix = BLOCK_SUFFIXES[collection, module, leaf]
    return Source(f"{prefix}.{suffix}", kernel if leaf == "kernel" else as_is)


def _layer_source(path, prefix: str) -> Source:
    leaf = path[-1]
    return Source(f"{prefix}.{LEAVES[leaf]}", conv_layout if leaf == "kernel" else as_is)


def _sequential_source(path, prefix: str, offset: int) -> Source:
    index = int(path[1].removeprefix("block_")) + offset
    return _block_source(path, f"{prefix}.{index}")


def _critic_source(path) -> Source:
    collection, branch, *rest = path
    return _sequential_source((collection, *rest), f"{branch}_encoder", 0)


def _lip_source(path) -> Source:
    if path[1] == "stem":
        source = _layer_source(path, "lip_encoder.0")
        return source._replace(layout=clip_conv_layout) if path[-1] == "kernel" else source
    # 0 is the stem and 1 drops its time axis
    return _sequential_source(path, "lip_encoder", 2)


def _stage(path) -> tuple[int, int]:
    stage, block = re.fullmatch(r"stage_(\d+)_block_(\d+)", path[1]).groups()
    return int(stage), int(block)


def _staged_source(path, prefix: str) -> Source:
    stage, block = _stage(path)
    return _block_source(path, f"{prefix}.{stage}.{block}")


def _decoder_source(path) -> Source:
    if path[1] == "head":
        return _block_source(path, "output_block.0")
    if path[1] == "picture":
        return _layer_source(path, "output_block.1")
    stage, block = _stage(path)
    prefix = f"face_decoder_blocks.{stage}.{block}"
    return _block_source(path, prefix, transposed=stage > 0 and block == 0)


def _discriminator_source(path) -> Source:
    if path[1] == "logit":
        return _layer_source(path, "binary_pred.0")
    return _staged_source(path, "face_encoder_blocks")


def _memory_source(path, prefix: str) -> Source:
    if len(path) == 2:
        return Source(f"{prefix}{path[1]}", as_is)
    key = f"{prefix}{MEMORY_LAYERS[path[1]]}.{LEAVES[path[2]]}"
    return Source(key, dense_layout if path[2] == "kernel" else as_is)
