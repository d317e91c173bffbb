"""A Wav2Lip sync expert with narrow layers: its state dict as PyTorch names and shapes it.

Blocks as in models/syncnet.py of Rudrabha/Wav2Lip@5c90fa9; widths are free.
"""

import numpy as np

FACE = (6, 4, 4, 4, 4, 8, 8)
AUDIO = (4, 4, 4, 4, 8)
# (stage that gives the width, kernel) of every block.
FACE_BLOCKS = [
    *[(0, 7), (1, 5), (1, 3), (1, 3), (2, 3), (2, 3), (2, 3), (2, 3), (3, 3), (3, 3), (3, 3)],
    *[(4, 3), (4, 3), (4, 3), (5, 3), (6, 3), (6, 1)],
]
# Of SyncTalkFace's, models/syncnet.py of jinny960812/SyncTalkFace@9d5d08d.
FACE_BLOCKS_128 = [
    *[(0, 7), (1, 5), (1, 3), (1, 3), (2, 3), (2, 3), (2, 3), (2, 3), (3, 3), (3, 3), (3, 3)],
    *[(4, 3), (4, 3), (4, 3), (5, 3), (5, 3), (5, 3), (6, 4), (6, 1)],
]
AUDIO_BLOCKS = [
    *[(0, 3), (0, 3), (0, 3), (1, 3), (1, 3), (1, 3), (2, 3), (2, 3), (2, 3)],
    *[(3, 3), (3, 3), (3, 3), (4, 3), (4, 1)],
]


def expert_state(seed=0, *, prefix="", face_blocks=FACE_BLOCKS):
    """{key: float32 array}, with step counters."""
    rng = np.random.default_rng(seed)
    state = {}
    branches = (("face", FACE, face_blocks, 15), ("audio", AUDIO, AUDIO_BLOCKS, 1))
    for branch, widths, blocks, channels in branches:
        for index, (stage, kernel) in enumerate(blocks):
            key = f"{prefix}{branch}_encoder.{index}.conv_block"
            width = widths[stage]
            weight = rng.standard_normal((width, channels, kernel, kernel)) / kernel
            state[f"{key}.0.weight"] = weight.astype(np.float32)
            state[f"{key}.0.bias"] = rng.standard_normal(width).astype(np.float32)
            state[f"{key}.1.weight"] = rng.random(width).astype(np.float32)
            state[f"{key}.1.bias"] = rng.standard_normal(width).astype(np.float32)
            state[f"{key}.1.running_mean"] = rng.standard_normal(width).astype(np.float32)
            state[f"{key}.1.running_var"] = rng.random(width).astype(np.float32) + np.float32(0.5)
            state[f"{key}.1.num_batches_tracked"] = np.asarray(9)
            channels = width
    return state
