"""StyleGAN2's nets of 16 px and few channels, in both public formats: random state dicts.

Key names and shapes as in rosinality/stylegan2-pytorch@bef283a and NVlabs/stylegan3@c233a91.
"""

import numpy as np

WIDTH, CHANNELS = 5, {4: 6, 8: 6, 16: 4}
TAPS = np.outer([1, 3, 3, 1], [1, 3, 3, 1]).astype(np.float32) / 64
SETTINGS = dict(resolution=16, channel_base=64, channel_max=6)


def filled(shapes, constants):
    rng = np.random.default_rng(0)
    return {k: rng.standard_normal(s).astype(np.float32) for k, s in shapes.items()} | constants


def rosinality_conv(name, size_in, size, kernel=3):
    channels = CHANNELS[size_in]
    return {
        f"{name}.conv.weight": (1, CHANNELS[size], channels, kernel, kernel),
        f"{name}.conv.modulation.weight": (channels, WIDTH),
        f"{name}.conv.modulation.bias": (channels,),
        f"{name}.noise.weight": (1,),
        f"{name}.activate.bias": (CHANNELS[size],),
    }


def rosinality_rgb(name, size):
    return {
        f"{name}.conv.weight": (1, 3, CHANNELS[size], 1, 1),
        f"{name}.conv.modulation.weight": (CHANNELS[size], WIDTH),
        f"{name}.conv.modulation.bias": (CHANNELS[size],),
        f"{name}.bias": (1, 3, 1, 1),
    }


def rosinality_state():
    shapes = {"input.input": (1, 6, 4, 4), "latent_avg": (WIDTH,)}
    for i in (1, 2):
        shapes |= {f"style.{i}.weight": (WIDTH, WIDTH), f"style.{i}.bias": (WIDTH,)}
    shapes |= rosinality_conv("conv1", 4, 4) | rosinality_rgb("to_rgb1", 4)
    shapes |= rosinality_conv("convs.0", 4, 8) | rosinality_conv("convs.1", 8, 8)
    shapes |= rosinality_conv("convs.2", 8, 16) | rosinality_conv("convs.3", 16, 16)
    shapes |= rosinality_rgb("to_rgbs.0", 8) | rosinality_rgb("to_rgbs.1", 16)
    for i, size in enumerate((4, 8, 8, 16, 16)):
        shapes[f"noises.noise_{i}"] = (1, 1, size, size)
    filters = ("convs.0.conv.blur", "convs.2.conv.blur", "to_rgbs.0.upsample", "to_rgbs.1.upsample")
    return filled(shapes, {f"{name}.kernel": 4 * TAPS for name in filters})


def rosinality_critic_state():
    shapes = {"convs.0.0.weight": (4, 3, 1, 1), "convs.0.1.bias": (4,)}
    for block, channels, out in (("convs.1", 4, 6), ("convs.2", 6, 6)):
        shapes |= {
            f"{block}.conv1.0.weight": (channels, channels, 3, 3),
            f"{block}.conv1.1.bias": (channels,),
            f"{block}.conv2.1.weight": (out, channels, 3, 3),
            f"{block}.conv2.2.bias": (out,),
            f"{block}.skip.1.weight": (out, channels, 1, 1),
        }
    shapes |= {"final_conv.0.weight": (6, 7, 3, 3), "final_conv.1.bias": (6,)}
    shapes |= {"final_linear.0.weight": (6, 6 * 16), "final_linear.0.bias": (6,)}
    shapes |= {"final_linear.1.weight": (1, 6), "final_linear.1.bias": (1,)}
    filters = [f"convs.{i}.{name}.0.kernel" for i in (1, 2) for name in ("conv2", "skip")]
    return filled(shapes, dict.fromkeys(filters, TAPS))


def nvidia_critic_state():
    state = rosinality_critic_state()
    names = {"convs.0.0": "b16.fromrgb", "convs.0.1": "b16.fromrgb"}
    for i, size in ((1, 16), (2, 8)):
        names |= {f"convs.{i}.conv1.{j}": f"b{size}.conv0" for j in (0, 1)}
        names |= {f"convs.{i}.conv2.{j}": f"b{size}.conv1" for j in (1, 2)}
        names[f"convs.{i}.skip.1"] = f"b{size}.skip"
    names |= {f"final_conv.{j}": "b4.conv" for j in (0, 1)}
    names |= {"final_linear.0": "b4.fc", "final_linear.1": "b4.out"}
    out = {}
    for key, value in state.items():
        layer, leaf = key.rsplit(".", 1)
        if leaf != "kernel":
            out[f"{names[layer]}.{leaf}"] = value
    return out | {"b16.resample_filter": TAPS, "b8.skip.resample_filter": TAPS}


def nvidia_state():
    """{key: array} of G_ema."""
    shapes = {"mapping.w_avg": (WIDTH,), "synthesis.b4.const": (CHANNELS[4], 4, 4)}
    for i in (0, 1):
        shapes |= {f"mapping.fc{i}.weight": (WIDTH, WIDTH), f"mapping.fc{i}.bias": (WIDTH,)}
    filters = []
    for size, channels in CHANNELS.items():
        below = CHANNELS[max(size // 2, 4)]
        filters.append(f"synthesis.b{size}.resample_filter")
        layers = {"conv0": (channels, below, 3, 3), "conv1": (channels, channels, 3, 3)}
        layers["torgb"] = (3, channels, 1, 1)
        for name, shape in layers.items():
            layer = f"synthesis.b{size}.{name}"
            if layer == "synthesis.b4.conv0":
                continue
            shapes |= {f"{layer}.weight": shape, f"{layer}.bias": shape[:1]}
            shapes |= {f"{layer}.affine.weight": (shape[1], WIDTH)}
            shapes |= {f"{layer}.affine.bias": shape[1:2]}
            if name != "torgb":
                shapes |= {f"{layer}.noise_strength": (), f"{layer}.noise_const": (size, size)}
                filters.append(f"{layer}.resample_filter")
    state = {key: np.asarray(array) for key, array in filled(shapes, {}).items()}
    return state | dict.fromkeys(filters, TAPS)
