"""A generated crop put back into its frame: soft inside, bit-identical outside."""

import cv2
import numpy as np

from talkjax.arrays import Float, UInt8
from talkjax.media import align
from talkjax.ops import geometry


def paste_mask(
    size_px: int, *, mask_top_fraction: float, feather_fraction: float
) -> Float[np.ndarray, "s s 1"]:
    """Share of the generated picture in the result, in crop coordinates: 1 inside, 0 outside.

    Zero on the crop's outermost pixels and in all rows above `mask_top_fraction`; rises to one
    over `feather_fraction` of the side (a raised cosine), inwards from there.

    Args:
      size_px: side of the crop.
      mask_top_fraction: first row that is regenerated, as a fraction of the side, in [0, 1).
      feather_fraction: width of the soft edge as a fraction of the side, above 0. Both edges
        have to fit: mask_top_fraction + 2 * feather_fraction < 1.

    Raises:
      ValueError: if the fractions leave no room for a mask.
    """
    if mask_top_fraction < 0 or feather_fraction <= 0:
        raise ValueError(
            f"paste mask: got mask_top_fraction={mask_top_fraction}, "
            f"feather_fraction={feather_fraction}, want >= 0 and > 0"
        )
    if mask_top_fraction + 2 * feather_fraction >= 1:
        raise ValueError(
            f"paste mask: mask_top_fraction={mask_top_fraction} and "
            f"2 * feather_fraction={2 * feather_fraction} leave no room, want a sum below 1"
        )
    index = np.arange(size_px)
    feather_px = feather_fraction * size_px
    from_side = _ramp(np.minimum(index, size_px - 1 - index), feather_px)
    from_top = _ramp(index - mask_top_fraction * size_px, feather_px)
    from_bottom = _ramp(size_px - 1 - index, feather_px)
    rows = np.minimum(from_top, from_bottom)
    return (rows[:, None] * from_side[None, :]).astype(np.float32)[:, :, None]


def paste(
    frame_rgb: UInt8[np.ndarray, "h w 3"],
    generated_rgb: UInt8[np.ndarray, "s s 3"],
    crop_to_source: Float[np.ndarray, "2 3"],
    mask: Float[np.ndarray, "s s 1"],
    *,
    in_place: bool = False,
) -> UInt8[np.ndarray, "h w 3"]:
    """The frame with the generated crop blended in where the mask is above zero.

    Only the part of the frame under the crop is computed; where the warped mask is zero the
    pixels are those of `frame_rgb`, bit by bit.

    Args:
      frame_rgb: source frame.
      generated_rgb: generated crop.
      crop_to_source: the transform that the crop was cut with.
      mask: share of the generated crop (`paste_mask`).
      in_place: write into `frame_rgb` and return it, instead of into a copy.

    Raises:
      ValueError: if the transform is not finite (a frame without a face), or the frame is
        read-only and `in_place` is set.
    """
    if not np.isfinite(crop_to_source).all():
        raise ValueError("paste: the transform is not finite: this frame has no face; skip it")
    if in_place and not frame_rgb.flags.writeable:
        raise ValueError("paste: the frame is read-only, want a writable one for in_place=True")
    frame = frame_rgb if in_place else frame_rgb.copy()
    size_px = generated_rgb.shape[0]
    top, bottom, left, right = align.bounds_in_source(
        crop_to_source, size_px=size_px, source_hw=frame.shape[:2]
    )
    matrix = crop_to_source.astype(np.float64)
    matrix[:, 2] -= [left, top]
    size = (right - left, bottom - top)
    share = cv2.warpAffine(mask[:, :, 0], matrix, size, flags=cv2.INTER_LINEAR)
    generated = _to_frame(generated_rgb, matrix, size)
    region = frame[top:bottom, left:right]
    frame[top:bottom, left:right] = cv2.blendLinear(
        np.ascontiguousarray(region), generated, 1 - share, share
    )
    return frame


def _to_frame(generated_rgb: np.ndarray, matrix: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The generated crop as it appears in the frame; area-averaged first where it shrinks."""
    side = generated_rgb.shape[0]
    scale = geometry.transform_scale(matrix)
    if scale < 1 / align.SHRINK_LIMIT:
        small = max(round(side * scale), 1)
        generated_rgb = cv2.resize(generated_rgb, (small, small), interpolation=cv2.INTER_AREA)
        matrix = geometry.rescale_crops(matrix[None], from_px=side, to_px=small)[0]
    return cv2.warpAffine(
        generated_rgb, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )


def _ramp(distance_px: np.ndarray, width_px: float) -> np.ndarray:
    """Raised cosine from 0 at distance 0 to 1 at `width_px`."""
    return 0.5 - 0.5 * np.cos(np.pi * np.clip(distance_px / width_px, 0, 1))
