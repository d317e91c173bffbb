"""Views of a clip: what the camera may change and the lips do not.

A view is drawn once for a clip and applied to all of its frames alike, so that motion is kept
and distance between two views of a window means lips, not light, colour or framing.
"""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Float

from talkjax.arrays import Array, Key

UNCHANGED = dict(
    brightness=0.0, contrast=0.0, colour=0.0, scale=0.0, shift=0.0, blur_px=0.0, flip=0.0
)
# Folded into a view's key; beside those of the two halves it is split into.
FLIP_DRAW = 2


@dataclasses.dataclass(frozen=True)
class Jitter:
    """How far a view may differ; 0 leaves out. Draws are uniform on both sides.

    Attributes:
      brightness: added to pictures in [0, 1].
      contrast: relative, about the mean of the clip's frames.
      colour: relative, of each channel by itself.
      scale: relative, rows and columns by themselves.
      shift: of the crop, rows and columns, as a fraction of its side.
      blur_px: a triangle's half width grows from 1 px by up to this.
      flip: probability that a view is mirrored, left for right. Runs saved before it could be
        chosen have none.

    Source: the views of papers' critic (CALS, as read: colour +-20 %, shifts of 4 of 128 px,
    blur, horizontal flip of the window). Differs: no JPEG of quality 60-95. Both views are made on
    the device of the one window that the host decoded; to recompress them each by itself (as
    data/jpeg.py does for SyncNet) the host would have to make and send both.

    Raises:
      ValueError: if `flip` is no probability.
    """

    brightness: float
    contrast: float
    colour: float
    scale: float
    shift: float
    blur_px: float
    flip: float = 0.0

    def __post_init__(self):
        if not 0.0 <= self.flip <= 1.0:
            raise ValueError(f"model.jitter.flip: got {self.flip}, want a probability, 0 to 1")

    @property
    def moves(self) -> bool:
        """Whether pixels change place."""
        return bool(self.scale or self.shift or self.blur_px)

    @property
    def changes(self) -> bool:
        return self.moves or self.colours or bool(self.flip)

    @property
    def colours(self) -> bool:
        return bool(self.brightness or self.contrast or self.colour)


def view(
    clips: Float[Array, "b t h w c"],
    key: Key,
    *,
    jitter: Jitter,
    region_px: tuple[int, int, int, int],
) -> Float[Array, "b t hr wr c"]:
    """A region of each clip's crops, in [0, 1], as another camera might have seen it.

    What moves into the region comes from the crop around it; beyond the crop its edge goes on.

    Args:
      clips: in [0, 1].
      region_px: first row, row after the last, first column, column after the last.
    """
    place_key, colour_key = jax.random.split(key)
    top, bottom, left, right = region_px
    if jitter.flip:  # of the whole crop, for a region may lie to one side of it
        clips = _mirrored_at_random(jax.random.fold_in(key, FLIP_DRAW), clips, jitter.flip)
    if jitter.moves:
        rows, columns = _placements(place_key, clips, jitter=jitter, region_px=region_px)
        clips = jnp.einsum("byh,bthwc->btywc", rows, clips)
        clips = jnp.einsum("bxw,btywc->btyxc", columns, clips)
    else:
        clips = clips[:, :, top:bottom, left:right]
    return _recoloured(colour_key, clips, jitter) if jitter.colours else clips


def _placements(key: Key, clips, *, jitter: Jitter, region_px: tuple[int, int, int, int]):
    """Matrices (b, out, in) that take rows and columns of crops to those of the view."""
    b, _, height, width = clips.shape[:4]
    top, bottom, left, right = region_px
    scale_key, shift_key, blur_key = jax.random.split(key, 3)
    scale = 1.0 + jitter.scale * _uniform(scale_key, (2, b))
    shift = jitter.shift * _uniform(shift_key, (2, b))
    radius = 1.0 + 0.5 * jitter.blur_px * (1.0 + _uniform(blur_key, (b,)))
    rows = _resample(jnp.arange(top, bottom), height, scale[0], shift[0] * height, radius)
    columns = _resample(jnp.arange(left, right), width, scale[1], shift[1] * width, radius)
    return rows, columns


def _resample(places, size: int, scale, shift_px, radius) -> Float[Array, "b o i"]:
    """`resample_matrix` about the middle of the places."""
    centre = 0.5 * (places[0] + places[-1])
    return resample_matrix(places, size, scale, shift_px, radius, centre=centre)


def resample_matrix(places, size: int, scale, shift_px, radius, *, centre) -> Float[Array, "b o i"]:
    """Triangle filters about the source of each place; a radius of 1 is linear interpolation.

    Args:
      places: (o,) that are to be filled; sources are scaled about `centre`, then shifted.
      size: i, how many there are; beyond them the edge goes on.
      scale, shift_px, radius: (b,).
    """
    source = centre + (places[None, :] - centre) * scale[:, None] + shift_px[:, None]
    source = jnp.clip(source, 0.0, size - 1.0)
    distance = jnp.abs(source[:, :, None] - jnp.arange(size)[None, None, :])
    weights = jnp.maximum(1.0 - distance / radius[:, None, None], 0.0)
    return weights / jnp.sum(weights, axis=-1, keepdims=True)


def _recoloured(key: Key, clips, jitter: Jitter):
    b, c = clips.shape[0], clips.shape[-1]
    brightness_key, contrast_key, colour_key = jax.random.split(key, 3)
    one = (b, 1, 1, 1, 1)
    gain = 1.0 + jitter.colour * _uniform(colour_key, (b, 1, 1, 1, c))
    contrast = 1.0 + jitter.contrast * _uniform(contrast_key, one)
    lift = jitter.brightness * _uniform(brightness_key, one)
    clips = clips * gain
    mean = jnp.mean(clips, axis=(1, 2, 3, 4), keepdims=True)
    return jnp.clip((clips - mean) * contrast + mean + lift, 0.0, 1.0)


def _mirrored_at_random(key: Key, clips, probability: float):
    """All frames of a clip left for right, or none."""
    mirrored = jax.random.bernoulli(key, probability, (clips.shape[0], 1, 1, 1, 1))
    return jnp.where(mirrored, clips[:, :, :, ::-1], clips)


def _uniform(key: Key, shape: tuple[int, ...]):
    return jax.random.uniform(key, shape, minval=-1.0, maxval=1.0)
