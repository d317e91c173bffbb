"""Random streams: every key comes from (root key, step, name); none is stored or used twice."""

import zlib

import jax
import numpy as np

from talkjax.arrays import Array, Int, Key


def root_key(seed: int) -> Key:
    """The one key of a run, from `config.run.seed`."""
    return jax.random.key(seed)


def stream(root: Key, step: int | Int[Array, ""], name: str) -> Key:
    """The key of the stream `name` at `step`.

    crc32 and not Python's `hash`, which differs between processes.
    """
    return jax.random.fold_in(jax.random.fold_in(root, step), np.uint32(zlib.crc32(name.encode())))
