"""FIR resampling of pictures and feature maps, and the designs of its low-pass filters.

One pass along an axis is a sum of shifted (up: one sum for each phase; down: strided) slices,
which compilers fuse: on CPU 15 to 30 times quicker than a convolution per channel. Its
gradient is the same pass with up and down exchanged, written so by hand (autodiff's, a sum of
padded arrays, is several times slower).
"""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
import scipy.signal
import scipy.special
from jax import lax
from jaxtyping import Float

from talkjax.arrays import AnyArray, Array

# Of StyleGAN2, in both directions; its sum is 1.
BINOMIAL_TAPS = np.array([1.0, 3.0, 3.0, 1.0]) / 8
# Singular values of a two-dimensional filter below this, of the largest, are not applied.
NEGLIGIBLE = 1e-7

Taps = tuple[float, ...]


def upfirdn(
    x: Float[AnyArray, "b h w c"],
    taps: Float[np.ndarray, " k"] | Float[np.ndarray, "k k"],
    *,
    up: int = 1,
    down: int = 1,
    padding: tuple[int, int] = (0, 0),
) -> Float[Array, "b ho wo c"]:
    """Rows and columns stretched by zeros, padded, filtered, and every `down`-th kept.

    ho = (h up + sum(padding) - k) // down + 1. Sums are float32, the result is of `x`'s type.

    Args:
      x: input.
      taps: of the filter along each axis, or a whole two-dimensional one (applied as a sum
        of separable ones). When stretching, its sum should be `up` for each axis.
      up, down: factors; one of them is 1.
      padding: zeros before and after the stretched rows, and columns; negative ones cut.

    Raises:
      ValueError: if both factors exceed 1.

    Source: upfirdn2d of NVlabs/stylegan3@c233a91, torch_utils/ops/upfirdn2d.py. Differs: they
    give the gain apart.
    """
    if up > 1 and down > 1:
        raise ValueError(f"upfirdn: got up {up} and down {down}, want one of them to be 1")
    pairs = separable_terms(taps) if taps.ndim == 2 else [(taps, taps)]
    total = None
    for row_taps, column_taps in pairs:
        y = x
        for axis, axis_taps in ((1, row_taps), (2, column_taps)):
            size = (x.shape[axis] * up + sum(padding) - len(axis_taps)) // down + 1
            # A convolution: the filter is mirrored.
            mirrored = tuple(float(tap) for tap in axis_taps[::-1])
            y = _fir(y, mirrored, up, down, padding[0], size, axis)
        total = y if total is None else total + y
    return total


def separable_terms(
    taps: Float[np.ndarray, "k k"],
) -> list[tuple[Float[np.ndarray, " k"], Float[np.ndarray, " k"]]]:
    """(row taps, column taps) of separable filters whose sum is the given one."""
    left, values, right = np.linalg.svd(np.asarray(taps, np.float64))
    kept = values > NEGLIGIBLE * values[0]
    roots = np.sqrt(values[kept])
    return list(zip((left[:, kept] * roots).T, right[kept] * roots.reshape(-1, 1), strict=True))


def lowpass_taps(
    count: int, *, cutoff: float, half_width: float, rate: float
) -> Float[np.ndarray, " k"]:
    """Taps (sum 1) of a Kaiser-windowed low-pass filter; a single tap leaves all as it is.

    Args:
      count: of taps.
      cutoff, half_width: middle and half of the transition band, in cycles per unit.
      rate: samples per unit.

    Source: StyleGAN3 (Karras et al., 2021), appendix C; `design_lowpass_filter` of
    NVlabs/stylegan3@c233a91, training/networks_stylegan3.py.
    """
    if count == 1:
        return np.ones(1)
    return scipy.signal.firwin(count, cutoff, width=2 * half_width, fs=rate)


def radial_lowpass_taps(
    count: int, *, cutoff: float, half_width: float, rate: float
) -> Float[np.ndarray, "k k"]:
    """The rotationally symmetric counterpart of `lowpass_taps` (sum 1), for an even count.

    Its ideal form is the jinc function; the window is the Kaiser one of both axes.
    Source: as `lowpass_taps`, with `radial`.

    Raises:
      ValueError: if the count is odd (the middle tap would be 0 / 0).
    """
    if count % 2:
        raise ValueError(f"radial low-pass filter: got {count} taps, want an even number")
    x = (np.arange(count) - (count - 1) / 2) / rate
    radius = np.hypot(*np.meshgrid(x, x))
    jinc = scipy.special.j1(2 * np.pi * cutoff * radius) / (np.pi * radius)
    beta = scipy.signal.kaiser_beta(scipy.signal.kaiser_atten(count, 4 * half_width / rate))
    window = np.kaiser(count, beta)
    taps = jinc * np.outer(window, window)
    return taps / taps.sum()


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3, 4, 5, 6))
def _fir(x, taps: Taps, up: int, down: int, before: int, size: int, axis: int):
    """y[i] = sum over k of taps[k] stretched[i down + k - before], `size` of them."""
    sums = _stretching if up > 1 else _thinning
    return sums(x, taps, max(up, down), before, size, axis).astype(x.dtype)


def _forward(x, taps, up, down, before, size, axis):
    return _fir(x, taps, up, down, before, size, axis), x.shape[axis]


def _backward(taps, up, down, before, size, axis, length, cotangent):
    mirrored = taps[::-1]
    return (_fir(cotangent, mirrored, down, up, len(taps) - 1 - before, length, axis),)


_fir.defvjp(_forward, _backward)


def _padded(x, before: int, after: int, axis: int):
    widths = [(0, 0, 0)] * x.ndim
    widths[axis] = (before, after, 0)
    return lax.pad(x, jnp.zeros((), x.dtype), widths)


def _weighted_sum(x, weights: Sequence[float], starts: Sequence[int], *, count, step, axis):
    """Sum of float32 slices of `count` entries, `step` apart, each with its weight."""
    shape = (*x.shape[:axis], count, *x.shape[axis + 1 :])
    total = jnp.zeros(shape, jnp.float32)
    for weight, start in zip(weights, starts, strict=True):
        part = lax.slice_in_dim(x, start, start + (count - 1) * step + 1, step, axis)
        total = total + np.float32(weight) * part.astype(jnp.float32)
    return total


def _thinning(x, taps: Taps, down: int, before: int, size: int, axis: int):
    needed = (size - 1) * down + len(taps)
    x = _padded(x, before, needed - before - x.shape[axis], axis)
    return _weighted_sum(x, taps, range(len(taps)), count=size, step=down, axis=axis)


def _stretching(x, taps: Taps, up: int, before: int, size: int, axis: int):
    """Output up * j + p needs only the taps that meet an entry of `x`: its phase's."""
    count = -(-size // up)
    phases = []
    for p in range(up):
        first_tap = (before - p) % up
        first_entry = (p - before + first_tap) // up
        phases.append((taps[first_tap::up], first_entry))
    low = min(first for _, first in phases)
    high = count - 1 + max(first + len(weights) for weights, first in phases)
    x = _padded(x, -low, high - x.shape[axis], axis)
    sums = []
    for weights, first in phases:
        starts = range(first - low, first - low + len(weights))
        sums.append(_weighted_sum(x, weights, starts, count=count, step=1, axis=axis))
    shape = (*x.shape[:axis], count * up, *x.shape[axis + 1 :])
    return lax.slice_in_dim(jnp.stack(sums, axis + 1).reshape(shape), 0, size, axis=axis)
