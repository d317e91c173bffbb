"""SyncNet with narrow layers: a random state dict as PyTorch names and shapes it.

Blocks as in SyncNetModel.py of joonson/syncnet_python@6efbb1c; widths are free.
"""

import numpy as np

LIPS, SOUND, HIDDEN, WIDTH = (2, 3, 4, 5, 6, 7), (3, 4, 5, 6, 7, 8), 9, 10
CONVOLUTIONS = (0, 4, 8, 11, 14, 18)
LIP_KERNELS = ((5, 7, 7), (1, 5, 5), (1, 3, 3), (1, 3, 3), (1, 3, 3))
SOUND_KERNELS = ((3, 3),) * 5 + ((5, 4),)


def syncnet_state(seed=0, *, last_kernel=1):
    """{key: array} with step counters; the last lip kernel is 1 for 64 px and 6 for 224."""
    rng = np.random.default_rng(seed)
    state = {}

    def norm(key, width):
        for name in ("weight", "bias", "running_mean", "running_var"):
            state[f"{key}.{name}"] = rng.random(width).astype(np.float32)
        state[f"{key}.num_batches_tracked"] = np.asarray(3)

    for net, channels_in, widths, kernels in (
        ("netcnnaud", 1, SOUND, SOUND_KERNELS),
        ("netcnnlip", 3, LIPS, (*LIP_KERNELS, (1, last_kernel, last_kernel))),
    ):
        for index, width, kernel in zip(CONVOLUTIONS, widths, kernels, strict=True):
            shape = (width, channels_in, *kernel)
            state[f"{net}.{index}.weight"] = rng.normal(size=shape).astype(np.float32)
            state[f"{net}.{index}.bias"] = rng.random(width).astype(np.float32)
            norm(f"{net}.{index + 1}", width)
            channels_in = width
    for net, features in (("netfcaud", SOUND[-1]), ("netfclip", LIPS[-1])):
        state[f"{net}.0.weight"] = rng.normal(size=(HIDDEN, features)).astype(np.float32)
        state[f"{net}.0.bias"] = rng.random(HIDDEN).astype(np.float32)
        norm(f"{net}.1", HIDDEN)
        state[f"{net}.3.weight"] = rng.normal(size=(WIDTH, HIDDEN)).astype(np.float32)
        state[f"{net}.3.bias"] = rng.random(WIDTH).astype(np.float32)
    return state
