"""Keys and shapes of pSp's encoder and of ArcFace, written out by the rules of the authors' code.

Source: models/encoders of eladrich/pixel2style2pixel@5cfff38.
"""

import numpy as np

STAGES = ((64, 3), (128, 4), (256, 14), (512, 3))
WIDTH = 512
# Larger arrays are alike along all axes but the first, and take no memory.
MOST_VALUES = 50_000


def state_dict(shapes):
    """{key: array}, random."""
    rng = np.random.default_rng(0)
    state = {}
    for key, shape in shapes.items():
        spread = np.prod(shape) > MOST_VALUES
        array = rng.standard_normal((shape[0], *[1] * (len(shape) - 1)) if spread else shape)
        state[key] = np.broadcast_to(array.astype(np.float32), shape)
        if key.endswith("running_var"):
            state[key] = abs(state[key])
        if key.endswith("num_batches_tracked"):
            state[key] = np.asarray(5)
    return state


def norm(key, channels):
    names = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    return {f"{key}.{name}": (channels,) if name[0] != "n" else () for name in names}


def backbone_shapes(stages):
    """Of `stages`, (features, units) each."""
    channels = stages[0][0]
    shapes = {"input_layer.0.weight": (channels, 3, 3, 3), "input_layer.2.weight": (channels,)}
    shapes |= norm("input_layer.1", channels)
    for i, features in enumerate(width for width, units in stages for _ in range(units)):
        unit = f"body.{i}"
        if features != channels:
            shapes[f"{unit}.shortcut_layer.0.weight"] = (features, channels, 1, 1)
            shapes |= norm(f"{unit}.shortcut_layer.1", features)
        shapes |= norm(f"{unit}.res_layer.0", channels) | norm(f"{unit}.res_layer.4", features)
        shapes[f"{unit}.res_layer.1.weight"] = (features, channels, 3, 3)
        shapes[f"{unit}.res_layer.2.weight"] = (features,)
        shapes[f"{unit}.res_layer.3.weight"] = (features, features, 3, 3)
        shapes[f"{unit}.res_layer.5.fc1.weight"] = (features // 16, features, 1, 1)
        shapes[f"{unit}.res_layer.5.fc2.weight"] = (features, features // 16, 1, 1)
        channels = features
    return shapes


def published_encoder_state():
    """The published encoder with one style."""
    shapes = backbone_shapes(STAGES)
    for i, features in ((1, 256), (2, 128)):
        shapes |= {f"latlayer{i}.weight": (WIDTH, features, 1, 1), f"latlayer{i}.bias": (WIDTH,)}
    for i in range(4):
        shapes[f"styles.0.convs.{2 * i}.weight"] = (WIDTH, WIDTH, 3, 3)
        shapes[f"styles.0.convs.{2 * i}.bias"] = (WIDTH,)
    shapes |= {"styles.0.linear.weight": (WIDTH, WIDTH), "styles.0.linear.bias": (WIDTH,)}
    return state_dict(shapes)


def published_arcface_state():
    """`model_ir_se50.pth`."""
    shapes = backbone_shapes(STAGES) | norm("output_layer.0", WIDTH) | norm("output_layer.4", WIDTH)
    shapes |= {"output_layer.3.weight": (WIDTH, WIDTH * 49), "output_layer.3.bias": (WIDTH,)}
    return state_dict(shapes)
