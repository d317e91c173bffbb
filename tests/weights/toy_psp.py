"""Keys and shapes of pSp's encoder and of ArcFace, written out by the rules of the authors' code.

Source: models/encoders of eladrich/pixel2style2pixel@5cfff38.
"""

import numpy as np


def state_dict(shapes):
    rng = np.random.default_rng(0)
    state = {key: rng.standard_normal(shape).astype(np.float32) for key, shape in shapes.items()}
    return {key: abs(a) if key.endswith("running_var") else a for key, a in state.items()}


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
