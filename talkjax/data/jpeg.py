"""Pictures through a JPEG and back."""

import numpy as np
import simplejpeg
from jaxtyping import UInt8


def recompress(
    pictures: UInt8[np.ndarray, "t h w 3"], *, quality: int
) -> UInt8[np.ndarray, "t h w 3"]:
    """What is left of RGB pictures after JPEG at this quality (1 to 100), colour 4:2:0."""
    jpegs = [
        simplejpeg.encode_jpeg(np.ascontiguousarray(p), quality=quality, colorsubsampling="420")
        for p in pictures
    ]
    return np.stack([simplejpeg.decode_jpeg(jpeg) for jpeg in jpegs])
