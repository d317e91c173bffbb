"""SyncTalkFace's nets with narrow layers: random state dicts as PyTorch names and shapes them.

Blocks as in models/ of jinny960812/SyncTalkFace@9d5d08d, for 128 px; widths are free.
"""

import numpy as np

SLOTS, WIDTH = 6, 8
# Widths and kernels of every block of the sequences.
AUDIO = [(2, 3)] * 3 + [(3, 3)] * 3 + [(4, 3)] * 3 + [(5, 3)] * 2 + [(WIDTH, 3), (WIDTH, 1)]
LIP_STEM = 2
LIP = [(2, 3)] * 4 + [(3, 3)] * 3 + [(4, 3)] * 3 + [(5, 3)] * 2 + [(WIDTH, 4), (WIDTH, 1)]
# Of every stage; the picture side takes the first of the decoder's inputs from the last of these.
FACE = [(2, [7]), (3, [3] * 3), (4, [3] * 4), (5, [3] * 3), (6, [3] * 3), (7, [3] * 2)]
FACE += [(WIDTH, [4, 1])]
DECODER = [(8, [1]), (8, [4, 3]), (7, [3] * 3), (6, [3] * 3), (5, [3] * 3), (4, [3] * 3)]
DECODER += [(3, [3] * 3)]
HEAD = 2
DISCRIMINATOR = [(2, [7]), (3, [5] * 2), (4, [5] * 2), (5, [5] * 2), (6, [3] * 2), (7, [3] * 2)]
DISCRIMINATOR += [(WIDTH, [4, 1])]


class _State(dict):
    def __init__(self, seed):
        super().__init__()
        self.rng = np.random.default_rng(seed)

    def array(self, key, *shape):
        self[key] = self.rng.standard_normal(shape).astype(np.float32)

    def block(self, name, width, channels, kernel, *, transposed=False, norm=True):
        """A convolution and its batch norm, which the discriminator's have not."""
        sides = (channels, width) if transposed else (width, channels)
        self.array(f"{name}.conv_block.0.weight", *sides, kernel, kernel)
        self.array(f"{name}.conv_block.0.bias", width)
        if not norm:
            return
        for leaf in ("1.weight", "1.bias", "1.running_mean"):
            self.array(f"{name}.conv_block.{leaf}", width)
        variance = self.rng.random(width).astype(np.float32) + np.float32(0.5)
        self[f"{name}.conv_block.1.running_var"] = variance
        self[f"{name}.conv_block.1.num_batches_tracked"] = np.asarray(9)

    def sequence(self, name, blocks, channels, *, first=0):
        for index, (width, kernel) in enumerate(blocks, first):
            self.block(f"{name}.{index}", width, channels, kernel)
            channels = width

    def stages(self, name, stages, channels, *, norm=True):
        for stage, (width, kernels) in enumerate(stages):
            for index, kernel in enumerate(kernels):
                self.block(f"{name}.{stage}.{index}", width, channels, kernel, norm=norm)
                channels = width


def generator_state():
    """{key: array} of `model_state_dict`."""
    state = _State(0)
    for name in ("key", "value"):
        state.array(f"mem.{name}", SLOTS, WIDTH)
    for name, features in (("q_embd", WIDTH), ("v_embd", WIDTH), ("fusion", 2 * WIDTH)):
        state.array(f"mem.{name}.weight", WIDTH, features)
        state.array(f"mem.{name}.bias", WIDTH)
    state.array("lip_encoder.0.weight", LIP_STEM, 3, 5, 7, 7)
    state.array("lip_encoder.0.bias", LIP_STEM)
    state.sequence("lip_encoder", LIP, LIP_STEM, first=2)
    state.sequence("audio_encoder", AUDIO, 1)
    state.stages("face_encoder_blocks", FACE, 6)
    return dict(state)


def decoder_state():
    """{key: array} of `dec_state_dict`: every stage begins with the last one and a face map."""
    state = _State(1)
    channels = WIDTH
    for stage, (width, kernels) in enumerate(DECODER):
        for index, kernel in enumerate(kernels):
            name = f"face_decoder_blocks.{stage}.{index}"
            state.block(name, width, channels, kernel, transposed=stage > 0 and index == 0)
            channels = width
        channels += FACE[len(DECODER) - 1 - stage][0]
    state.block("output_block.0", HEAD, channels, 3)
    state.array("output_block.1.weight", 3, HEAD, 1, 1)
    state.array("output_block.1.bias", 3)
    return dict(state)


def discriminator_state():
    """{key: array} of `disc_state_dict`."""
    state = _State(2)
    state.stages("face_encoder_blocks", DISCRIMINATOR, 3, norm=False)
    state.array("binary_pred.0.weight", 1, WIDTH, 1, 1)
    state.array("binary_pred.0.bias", 1)
    return dict(state)
