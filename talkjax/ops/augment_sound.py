"""Sounds of a clip as another voice or microphone might have made them.

The counterpart of `augment`: what is drawn holds for all windows of a clip alike, but the noise.
"""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Float

from talkjax.arrays import Array, Key
from talkjax.ops.augment import resample_matrix
from talkjax.ops.mel import CLIP

UNCHANGED = dict(level=0.0, tilt=0.0, warp=0.0, noise=0.0)


@dataclasses.dataclass(frozen=True)
class SoundJitter:
    """How far a sound may differ; 0 leaves out. Draws are uniform on both sides.

    Attributes:
      level: added to a log-mel in [-4, 4], whose unit is 12.5 dB: another gain.
      tilt: added at the highest bin and taken away at the lowest: another microphone.
      warp: of the frequency axis, relative to its 80 bins: another length of vocal tract.
      noise: standard deviation of what is added to each value; up to this.

    Source: vocal tract length perturbation is Jaitly and Hinton 2013, on the mel axis; levels and
    ranges are ours, measured on drawn faces (benchmarks/README.md).
    """

    level: float
    tilt: float
    warp: float
    noise: float

    @property
    def changes(self) -> bool:
        return bool(self.level or self.tilt or self.warp or self.noise)


def heard(
    mel: Float[Array, "b w m s"], key: Key, *, jitter: SoundJitter
) -> Float[Array, "b w m s"]:
    """Windows of log-mel in [-4, 4] of each clip as something else might have recorded them."""
    b, _, m, _ = mel.shape
    warp_key, level_key, tilt_key, size_key, noise_key = jax.random.split(key, 5)
    if jitter.warp:
        scale = 1.0 + jitter.warp * _uniform(warp_key, b)
        # About the lowest bin: a longer tract moves all formants down.
        bins = resample_matrix(jnp.arange(m), m, scale, jnp.zeros(b), jnp.ones(b), centre=0.0)
        mel = jnp.einsum("bnm,bwms->bwns", bins, mel)
    level = jitter.level * _uniform(level_key, b)[:, None]
    tilt = jitter.tilt * _uniform(tilt_key, b)[:, None]
    mel = mel + (level + tilt * jnp.linspace(-1.0, 1.0, m)[None])[:, None, :, None]
    if jitter.noise:
        size = jitter.noise * jax.random.uniform(size_key, (b, 1, 1, 1))
        mel = mel + size * jax.random.normal(noise_key, mel.shape)
    return jnp.clip(mel, -CLIP, CLIP)


def _uniform(key: Key, b: int) -> Float[Array, " b"]:
    return jax.random.uniform(key, (b,), minval=-1.0, maxval=1.0)
