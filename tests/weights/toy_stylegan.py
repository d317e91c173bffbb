"""A StyleGAN2 generator in rosinality's format, 8 px and 4 channels, all weights alike.

Key names and shapes as in model.py of rosinality/stylegan2-pytorch@bef283a.
"""

import numpy as np

CHANNELS = 4
TAPS = np.outer([1, 3, 3, 1], [1, 3, 3, 1]).astype(np.float32) / 64


def same(*shape):
    """An array of one value that takes no memory."""
    return np.broadcast_to(np.float32(0.5), shape)


def rosinality_state(*, width):
    """{key: array} of g_ema."""
    state = {"input.input": same(1, CHANNELS, 4, 4)}
    for i in (1, 2):
        state |= {f"style.{i}.weight": same(width, width), f"style.{i}.bias": same(width)}
    for layer in ("conv1", "convs.0", "convs.1"):
        state[f"{layer}.conv.weight"] = same(1, CHANNELS, CHANNELS, 3, 3)
        state[f"{layer}.noise.weight"] = same(1)
        state[f"{layer}.activate.bias"] = same(CHANNELS)
    for layer in ("to_rgb1", "to_rgbs.0"):
        state[f"{layer}.conv.weight"] = same(1, 3, CHANNELS, 1, 1)
        state[f"{layer}.bias"] = same(1, 3, 1, 1)
    for layer in ("conv1", "convs.0", "convs.1", "to_rgb1", "to_rgbs.0"):
        state[f"{layer}.conv.modulation.weight"] = same(CHANNELS, width)
        state[f"{layer}.conv.modulation.bias"] = same(CHANNELS)
    state["convs.0.conv.blur.kernel"] = state["to_rgbs.0.upsample.kernel"] = 4 * TAPS
    for i, side in enumerate((4, 8, 8)):
        state[f"noises.noise_{i}"] = same(1, 1, side, side)
    return state
