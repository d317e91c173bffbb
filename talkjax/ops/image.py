"""Pictures: uint8 and float, halves, masks of rows. Images are NHWC, channels last."""

import jax.numpy as jnp
from jaxtyping import Float, Shaped, UInt8

from talkjax.arrays import Array
from talkjax.errors import UserError

CHANNEL_ORDERS = ("rgb", "bgr")
# Where the mouth is in the canonical crop (ops/geometry.py): first and last row, first and last
# column, as fractions of the side. Open mouths of GRID and of the wild clips lie inside.
MOUTH = (0.5, 0.875, 0.25, 0.75)
# The same with a border on all sides, out of which a mouth may be cut a little beside its place.
MOUTH_WITH_BORDER = (0.4375, 0.9375, 0.21875, 0.78125)


def to_float(images_u8: UInt8[Array, "*n h w c"]) -> Float[Array, "*n h w c"]:
    """uint8 to float32 in [-1, 1]."""
    return images_u8.astype(jnp.float32) / 127.5 - 1.0


def to_u8(images: Float[Array, "*n h w c"]) -> UInt8[Array, "*n h w c"]:
    """[-1, 1] to uint8, rounded; values outside are clipped."""
    return jnp.clip(jnp.round((images + 1.0) * 127.5), 0, 255).astype(jnp.uint8)


def to_order(images: Float[Array, "*n h w 3"], order: str) -> Float[Array, "*n h w 3"]:
    """RGB to the order a net was made for, and back: the swap is its own inverse."""
    if order not in CHANNEL_ORDERS:
        raise ValueError(f"channel_order: got {order!r}, want one of {CHANNEL_ORDERS}")
    return images[..., ::-1] if order == "bgr" else images


def rows_from(fraction: float, height: int) -> int:
    """First row of the part of a picture below `fraction` of its height."""
    return round(fraction * height)


def hidden_rows(fraction: float, height: int) -> Float[Array, "h 1 1"]:
    """1 on the rows from `fraction` of the height down, 0 above."""
    rows = jnp.arange(height) >= rows_from(fraction, height)
    return rows.astype(jnp.float32)[:, None, None]


def lower_half(images: Float[Array, "*n h w c"]) -> Float[Array, "*n hh w c"]:
    """Rows h/2 .. h-1."""
    return images[..., images.shape[-3] // 2 :, :, :]


def hide_upper_half(images: Float[Array, "*n h w c"]) -> Float[Array, "*n h w c"]:
    """Rows 0 .. h/2-1 set to 0."""
    height = images.shape[-3]
    mask = hidden_rows(0.5, height).reshape((1,) * (images.ndim - 3) + (height, 1, 1))
    return images * mask


def mouth_box(size_px: int) -> tuple[int, int, int, int]:
    """First row, end row, first column, end column of `MOUTH_WITH_BORDER` in a crop.

    Raises:
      UserError: if the side is no multiple of 32, so that these would be no whole pixels.
    """
    if size_px % 32:
        raise UserError(f"image_size: got {size_px} px, want a multiple of 32 to cut mouths from")
    top, bottom, left, right = (round(side * size_px) for side in MOUTH_WITH_BORDER)
    return top, bottom, left, right


def without_border(mouths: Shaped[Array, "*n h w c"]) -> Shaped[Array, "*n hh ww c"]:
    """`MOUTH` out of pictures of `MOUTH_WITH_BORDER`."""
    height, width = mouths.shape[-3:-1]
    rows, columns = height // 8, width // 18
    return mouths[..., rows : height - rows, columns : width - columns, :]


def mouth_area(size_px: int) -> Float[Array, "h w 1"]:
    """1 on the mouth of the canonical crop, 0 elsewhere."""
    top, bottom, left, right = (round(side * size_px) for side in MOUTH)
    return jnp.zeros((size_px, size_px, 1)).at[top:bottom, left:right].set(1.0)
