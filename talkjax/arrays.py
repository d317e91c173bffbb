"""Array aliases, and the letters that name dimensions in every signature.

| letter  | meaning                         | letter  | meaning                  |
|---------|---------------------------------|---------|--------------------------|
| `b`     | clips in the batch              | `t`     | video frames             |
| `n`     | audio samples                   | `s`     | mel frames               |
| `m`     | mel bins                        | `h w c` | rows, columns, channels  |
| `k`     | landmarks                       | `q`     | memory slots             |
| `l`     | tokens                          | `d`     | feature width            |
| `z`     | latent width                    | `e`     | style layers             |

Images are NHWC. `*_u8` is uint8 RGB; float images are RGB in [-1, 1] unless a name says
otherwise. Coordinates are (x right, y down), pixel centres at integers. Shapes are checked
in tests (jaxtyping + beartype through an import hook), never at run time.
"""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import Bool, Float, Int, PRNGKeyArray, UInt8

Array = jax.Array
# Host arrays (numpy) or device arrays: what a pure function accepts when it does not care.
AnyArray = jax.Array | np.ndarray
Key = PRNGKeyArray
# A net's parameters or variables, and dicts of them keyed by net ("gen", "disc", ...).
Tree = Any
Nets = Mapping[str, Tree]
Batch = Mapping[str, Any]

__all__ = [
    "AnyArray",
    "Array",
    "Batch",
    "Bool",
    "Float",
    "Int",
    "Key",
    "Nets",
    "Tree",
    "UInt8",
]
