"""Random changes of mouth clips that leave what is said: place, size, sharpness, light, pace.

Each clip is changed alike in all of its frames. Place, size and sharpness are two small matrices
per clip, one for rows and one for columns, which is quicker on CPUs than gathering pixels.
"""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int, UInt8

from talkjax.arrays import Array, Key
from talkjax.ops import image

# Rec. 601.
LUMA = (0.299, 0.587, 0.114)


@dataclasses.dataclass(frozen=True)
class Strength:
    """How much is changed, drawn evenly within these bounds.

    Attributes:
      shift: up to this share of the mouth's sides; the border bounds it, too.
      scale: size and, apart from it, proportion times up to 1 +- this.
      blur_px: the triangle that draws a pixel reaches 1 to this many pixels; 1 does not blur.
      gamma: brightness in [0, 1] to the power of up to e^+-this.
      colour: weights of red, green and blue change by up to this.
      speed: pace times up to e^+-this, by dropping and repeating frames.
      time_masks: stretches in which nothing is seen.
      time_mask_frames: their greatest length; the least is 0.
      boundary_frames: begin and end of each word move by up to this.
    """

    shift: float
    scale: float
    blur_px: float
    gamma: float
    colour: float
    speed: float
    time_masks: int
    time_mask_frames: int
    boundary_frames: float


def grey(
    mouths_u8: UInt8[Array, "b t h w 3"], weights: Float[Array, "b 3"]
) -> Float[Array, "b t h w"]:
    """Brightness in [0, 1], or a little beyond where the weights are."""
    return jnp.einsum("bthwc,bc->bthw", mouths_u8.astype(jnp.float32) / 255.0, weights)


def plain_mouths(mouths_u8: UInt8[Array, "b t h w 3"]) -> Float[Array, "b t hh ww"]:
    """Unchanged: the border is cut off, in shades of grey, each clip standardised."""
    weights = jnp.tile(jnp.array([LUMA]), (len(mouths_u8), 1))
    return standardised(grey(image.without_border(mouths_u8), weights))


def changed_mouths(
    key: Key, mouths_u8: UInt8[Array, "b t h w 3"], strength: Strength
) -> Float[Array, "b t hh ww"]:
    """As `plain_mouths`, each clip changed by chance in place, size, sharpness and light."""
    b, _, height, width, _ = mouths_u8.shape
    keys = jax.random.split(key, 6)
    luma = jnp.tile(jnp.array([LUMA]), (b, 1))
    grey_mouths = grey(mouths_u8, luma + _even(keys[0], (b, 3), strength.colour))
    power = jnp.exp(_even(keys[1], (b, 1, 1, 1), strength.gamma))
    grey_mouths = jnp.maximum(grey_mouths, 1e-4) ** power
    radius_px = jax.random.uniform(keys[2], (b,), minval=1.0, maxval=strength.blur_px)
    size = 1.0 + _even(keys[3], (b,), strength.scale)
    proportion = 1.0 + _even(keys[4], (b,), strength.scale)
    shift = _even(keys[5], (2, b), strength.shift)
    sides = image.without_border(mouths_u8[:1, :1]).shape[2:4]
    rows = _resampling(sides[0], height, shift=shift[0], scale=size, radius_px=radius_px)
    columns = _resampling(
        sides[1], width, shift=shift[1], scale=size * proportion, radius_px=radius_px
    )
    made = jnp.einsum("bph,bthw->btpw", rows, grey_mouths)
    return standardised(jnp.einsum("bqw,btpw->btpq", columns, made))


def standardised(mouths: Float[Array, "b t h w"]) -> Float[Array, "b t h w"]:
    """Each clip with mean 0 and variance 1."""
    mean = jnp.mean(mouths, axis=(1, 2, 3), keepdims=True)
    variance = jnp.var(mouths, axis=(1, 2, 3), keepdims=True)
    return (mouths - mean) / jnp.sqrt(variance + 1e-5)


def changed_pace(
    key: Key, spans: Float[Array, "b l 2"], *, frames: int, strength: Strength
) -> tuple[Int[Array, "b t"], Float[Array, "b l 2"]]:
    """Which frame stands at each place of a clip at another pace, and where its words are then.

    Args:
      spans: begin and end of each word in frames; frame f is [f, f + 1).
    """
    b, middle = len(spans), frames / 2
    pace = jnp.exp(_even(key, (b, 1), strength.speed))
    places = jnp.arange(frames)[None, :] + 0.5
    shown = jnp.floor(middle + (places - middle) * pace).astype(jnp.int32)
    return jnp.clip(shown, 0, frames - 1), middle + (spans - middle) / pace[:, :, None]


def changed_boundaries(
    key: Key, spans: Float[Array, "b l 2"], strength: Strength
) -> Float[Array, "b l 2"]:
    """Words that begin and end a little beside their place; a word keeps half its length."""
    quarter = 0.25 * (spans[..., 1:] - spans[..., :1])
    moved = _even(key, spans.shape, strength.boundary_frames)
    begin = spans[..., :1] + jnp.minimum(moved[..., :1], quarter)
    end = spans[..., 1:] + jnp.maximum(moved[..., 1:], -quarter)
    return jnp.concatenate([begin, end], axis=-1)


def seen_frames(
    key: Key, clips: int, *, frames: int, strength: Strength
) -> Bool[Array, "{clips} {frames}"]:
    """False in stretches drawn by chance.

    Source: time masking of Ma et al. 2022 ("Training strategies for improved lip-reading").
    """
    start_key, length_key = jax.random.split(key)
    shape = (clips, strength.time_masks, 1)
    length = jax.random.uniform(length_key, shape, maxval=strength.time_mask_frames)
    start = jax.random.uniform(start_key, shape, maxval=frames) - length / 2
    places = jnp.arange(frames)[None, None, :] + 0.5
    return ~jnp.any((places >= start) & (places < start + length), axis=1)


def _even(key: Key, shape: tuple[int, ...], bound: float) -> Array:
    return jax.random.uniform(key, shape, minval=-bound, maxval=bound)


def _resampling(
    out_px: int,
    in_px: int,
    *,
    shift: Float[Array, " b"],
    scale: Float[Array, " b"],
    radius_px: Float[Array, " b"],
) -> Float[Array, "b p h"]:
    """Matrices that draw `out_px` pixels about the middle of `in_px`, by a triangle each."""
    steps = (jnp.arange(out_px) - (out_px - 1) / 2)[None, :]
    at = (in_px - 1) / 2 + shift[:, None] * out_px + steps * scale[:, None]
    at = jnp.clip(at, 0.0, in_px - 1)
    distance = jnp.abs(jnp.arange(in_px)[None, None, :] - at[:, :, None])
    weight = jnp.maximum(0.0, 1.0 - distance / radius_px[:, None, None])
    return weight / jnp.sum(weight, axis=-1, keepdims=True)
