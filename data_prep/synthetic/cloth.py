"""The weave and the pattern of clothes."""

import numpy as np

from data_prep.synthetic.fields import wrapped_noise
from data_prep.synthetic.identity import Identity
from data_prep.synthetic.parts import linear
from talkjax.arrays import Float

SIDE = 128
PLAIN, KNIT, STRIPES, CHECK = range(4)


def weave(identity: Identity) -> Float[np.ndarray, "128 128 3"]:
    """What the cloth's colour is multiplied by; wraps around."""
    rng = np.random.Generator(np.random.Philox(key=identity.texture_seed + 5))
    row, column = np.meshgrid(np.arange(SIDE), np.arange(SIDE), indexing="ij")
    rough = 1 + 0.05 * wrapped_noise(rng, (SIDE, SIDE), (3, 3))
    rough = rough + 0.06 * wrapped_noise(rng, (SIDE, SIDE), (40, 25))
    pattern = np.ones((SIDE, SIDE, 3), dtype=np.float32) * rough[..., None]
    # The second colour in units of the first, which it will be multiplied by.
    second = np.clip(linear(identity.cloth_trim) / (linear(identity.cloth) + 0.02), 0.1, 4)
    if identity.cloth_pattern == KNIT:
        ribs = 0.88 + 0.12 * np.cos(2 * np.pi * column / 8)
        pattern = pattern * ribs[..., None]
    elif identity.cloth_pattern == STRIPES:
        band = (row % 64) < 20
        pattern = np.where(band[..., None], pattern * second, pattern)
    elif identity.cloth_pattern == CHECK:
        share = 0.5 * ((row % 32) < 6).astype(float) + 0.5 * ((column % 32) < 6)
        pattern = pattern * (1 + share[..., None] * (second - 1))
    return np.ascontiguousarray(pattern, dtype=np.float32)
