"""Smooth functions that the face is sculpted and painted with, and noise."""

import cv2
import numpy as np

from talkjax.arrays import Float


def smoothstep(value: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
    """0 below 0, 1 above 1, smooth between."""
    value = np.clip(value, 0.0, 1.0)
    return value * value * (3 - 2 * value)


def bump(
    x: Float[np.ndarray, "*n"],
    y: Float[np.ndarray, "*n"],
    centre: tuple[float, float],
    radius: tuple[float, float],
) -> Float[np.ndarray, "*n"]:
    """A Gaussian of height 1; `radius` is where it has fallen to 1/e."""
    return np.exp(-(((x - centre[0]) / radius[0]) ** 2) - ((y - centre[1]) / radius[1]) ** 2)


def noise(
    rng: np.random.Generator, size: tuple[int, int], blob_px: float | tuple[float, float]
) -> Float[np.ndarray, "h w"]:
    """Smooth noise of about unit variance, float32, in blobs of `blob_px` (rows, columns)."""
    blobs = (blob_px, blob_px) if isinstance(blob_px, int | float) else blob_px
    rows, columns = (int(np.ceil(side / blob)) + 3 for side, blob in zip(size, blobs, strict=True))
    coarse = rng.standard_normal((rows, columns)).astype(np.float32)
    whole = (int(columns * blobs[1]) + 1, int(rows * blobs[0]) + 1)
    fine = cv2.resize(coarse, whole, interpolation=cv2.INTER_CUBIC)
    return np.ascontiguousarray(fine[: size[0], : size[1]])


def wrapped_noise(
    rng: np.random.Generator, size: tuple[int, int], blob_px: tuple[float, float]
) -> Float[np.ndarray, "h w"]:
    """`noise` that goes on seamlessly over its borders."""
    white = rng.standard_normal(size)
    rows = np.fft.fftfreq(size[0])[:, None] * blob_px[0]
    columns = np.fft.fftfreq(size[1])[None] * blob_px[1]
    smooth = np.fft.ifft2(np.fft.fft2(white) * np.exp(-4 * (rows**2 + columns**2))).real
    return (smooth / smooth.std()).astype(np.float32)
