"""PSNR and SSIM of generated crops, per frame, on the whole crop and on the mouth.

Everything is measured at `EVAL_SIZE_PX` whatever the model's image size, so that two models
of different sizes are comparable: the truth keeps its detail and a small model pays for it.
"""

import dataclasses

import cv2
import numpy as np

from talkjax.arrays import Float, UInt8
from talkjax.ops import image

EVAL_SIZE_PX = 128
# Rows and columns of the canonical crop at EVAL_SIZE_PX: (64, 112) and (32, 96). The eyes lie at
# row 36, 43 px apart, so this is 0.66 to 1.79 eye distances below them and 0.75 to either side:
# both lips of an open mouth with their corners, and no nose bridge.
_TOP, _BOTTOM, _LEFT, _RIGHT = (round(side * EVAL_SIZE_PX) for side in image.MOUTH)
MOUTH_ROWS_PX = (_TOP, _BOTTOM)
MOUTH_COLUMNS_PX = (_LEFT, _RIGHT)
# Identical frames have no finite PSNR; JSON has no infinity.
PSNR_CAP_DB = 100.0

SSIM_WINDOW_PX = 11
SSIM_SIGMA_PX = 1.5
SSIM_K1, SSIM_K2 = 0.01, 0.03
DATA_RANGE = 255.0


@dataclasses.dataclass(frozen=True)
class ImageQuality:
    """Per-frame image measures of a clip, each of shape (t,). PSNR in dB; SSIM at most 1."""

    psnr: np.ndarray
    ssim: np.ndarray
    psnr_mouth: np.ndarray
    ssim_mouth: np.ndarray


def resize_frames(frames_u8: UInt8[np.ndarray, "t h w 3"], size_px: int) -> np.ndarray:
    """The frames at size_px square: area-averaged when shrinking, bicubic when growing."""
    if frames_u8.shape[1:3] == (size_px, size_px):
        return frames_u8
    shrinks = frames_u8.shape[1] > size_px
    how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return np.stack([cv2.resize(f, (size_px, size_px), interpolation=how) for f in frames_u8])


def mouth_region(frames_u8: UInt8[np.ndarray, "t 128 128 3"]) -> UInt8[np.ndarray, "t r c 3"]:
    """The fixed mouth rectangle of canonical crops at the evaluation size, as a view."""
    return frames_u8[:, slice(*MOUTH_ROWS_PX), slice(*MOUTH_COLUMNS_PX)]


def psnr(
    pred_u8: UInt8[np.ndarray, "t h w 3"], target_u8: UInt8[np.ndarray, "t h w 3"]
) -> Float[np.ndarray, " t"]:
    """Peak signal-to-noise ratio of each frame in dB, at most PSNR_CAP_DB.

    Source: 10 log10(255^2 / MSE) per frame over all pixels and channels.
    """
    difference = pred_u8.astype(np.float32) - target_u8.astype(np.float32)
    mse = np.mean(np.square(difference), axis=(1, 2, 3), dtype=np.float64)
    floor = DATA_RANGE**2 / 10 ** (PSNR_CAP_DB / 10)
    return 10.0 * np.log10(DATA_RANGE**2 / np.maximum(mse, floor))


def ssim_map(
    pred_u8: UInt8[np.ndarray, "h w 3"], target_u8: UInt8[np.ndarray, "h w 3"]
) -> Float[np.ndarray, "y x 3"]:
    """Structural similarity at each place where the whole window fits, per channel.

    The result is SSIM_WINDOW_PX - 1 rows and columns smaller than the frame.

    Source: Wang et al. 2004: Gaussian window 11, sigma 1.5, K1 0.01, K2 0.03, biased
      covariances, data range 255. Differs: on R, G and B, not on luma.
    """
    x, y = pred_u8.astype(np.float64), target_u8.astype(np.float64)
    mean_x, mean_y = _window_mean(x), _window_mean(y)
    var_x = _window_mean(x * x) - mean_x * mean_x
    var_y = _window_mean(y * y) - mean_y * mean_y
    covariance = _window_mean(x * y) - mean_x * mean_y
    c1, c2 = (SSIM_K1 * DATA_RANGE) ** 2, (SSIM_K2 * DATA_RANGE) ** 2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x * mean_x + mean_y * mean_y + c1)
    structure = (2 * covariance + c2) / (var_x + var_y + c2)
    return luminance * structure


def ssim(
    pred_u8: UInt8[np.ndarray, "t h w 3"], target_u8: UInt8[np.ndarray, "t h w 3"]
) -> Float[np.ndarray, " t"]:
    """Mean structural similarity of each frame, over all whole windows and channels."""
    return np.array([ssim_map(p, y).mean() for p, y in zip(pred_u8, target_u8, strict=True)])


def image_quality(
    pred_u8: UInt8[np.ndarray, "t 128 128 3"], target_u8: UInt8[np.ndarray, "t 128 128 3"]
) -> ImageQuality:
    """All four measures of each frame, at the evaluation size.

    `ssim_mouth` is the mean of the SSIM map over windows *centred* in the mouth rectangle.
    """
    margin = SSIM_WINDOW_PX // 2
    rows = slice(MOUTH_ROWS_PX[0] - margin, MOUTH_ROWS_PX[1] - margin)
    columns = slice(MOUTH_COLUMNS_PX[0] - margin, MOUTH_COLUMNS_PX[1] - margin)
    whole, mouth = [], []
    for pred, target in zip(pred_u8, target_u8, strict=True):
        values = ssim_map(pred, target)
        whole.append(values.mean())
        mouth.append(values[rows, columns].mean())
    return ImageQuality(
        psnr=psnr(pred_u8, target_u8),
        ssim=np.array(whole),
        psnr_mouth=psnr(mouth_region(pred_u8), mouth_region(target_u8)),
        ssim_mouth=np.array(mouth),
    )


def _window_mean(image: np.ndarray) -> np.ndarray:
    margin = SSIM_WINDOW_PX // 2
    taps = cv2.getGaussianKernel(SSIM_WINDOW_PX, SSIM_SIGMA_PX, cv2.CV_64F)
    full = cv2.sepFilter2D(image, cv2.CV_64F, taps, taps)
    return full[margin:-margin, margin:-margin]
