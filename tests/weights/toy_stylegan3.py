"""StyleGAN3's generator of 16 px and few channels, T or R: random state dicts.

Key names and shapes as in NVlabs/stylegan3@c233a91.
"""

import numpy as np

from talkjax.nets.stylegan3_plan import plan

WIDTH = 5
SYNTHESIS = dict(resolution=16, channel_base=64, channel_max=6)


def make_state(config):
    """NVIDIA's keys and shapes of a toy net."""
    first, layers = plan(16, channel_base=64, channel_max=6, config=config)
    count, side = first.channels, {"t": 3, "r": 1}[config]
    source = "synthesis.input"
    shapes = {"mapping.w_avg": (WIDTH,), f"{source}.weight": (count, count)}
    for i in (0, 1):
        shapes |= {f"mapping.fc{i}.weight": (WIDTH, WIDTH), f"mapping.fc{i}.bias": (WIDTH,)}
    shapes |= {f"{source}.affine.weight": (4, WIDTH), f"{source}.affine.bias": (4,)}
    shapes |= {f"{source}.transform": (3, 3)}
    shapes |= {f"{source}.freqs": (count, 2), f"{source}.phases": (count,)}
    filters = {}
    for i, layer in enumerate(layers):
        name = f"synthesis.L{i}_{layer.out_px}_{layer.out_channels}"
        kernel = 1 if i == 14 else side
        shapes |= {
            f"{name}.weight": (layer.out_channels, layer.in_channels, kernel, kernel),
            f"{name}.bias": (layer.out_channels,),
            f"{name}.affine.weight": (layer.in_channels, WIDTH),
            f"{name}.affine.bias": (layer.in_channels,),
            f"{name}.magnitude_ema": (),
        }
        if i < 14:
            filters[f"{name}.up_filter"] = layer.up_taps().astype(np.float32)
            filters[f"{name}.down_filter"] = layer.down_taps().astype(np.float32)
    rng = np.random.default_rng(0)
    values = {k: rng.standard_normal(s, dtype=np.float32) for k, s in shapes.items()}
    return {key: np.asarray(value) for key, value in values.items()} | filters
