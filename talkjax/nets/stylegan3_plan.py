"""The sizes, channels and filters of StyleGAN3's layers, worked out from a few numbers.

Frequencies are in cycles, sampling rates in samples, per side of the picture.

Source: StyleGAN3 (Karras et al., 2021), section 3 and appendix D; `SynthesisNetwork` and
`SynthesisLayer` of NVlabs/stylegan3@c233a91, training/networks_stylegan3.py.
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from talkjax.ops.resample import lowpass_taps, radial_lowpass_taps

LAYERS = 14
CRITICAL_LAYERS = 2  # at the end: sampled critically, never by radial filters
STYLES = LAYERS + 2  # of the input, the layers and the to-RGB layer
FIRST_CUTOFF = 2.0
FIRST_STOPBAND = 2**2.1
LAST_STOPBAND_RELATIVE = 2**0.3
MARGIN_PX = 10
FILTER_SIZE = 6
RELU_STRETCH = 2
KERNELS = {"t": 3, "r": 1}


class LayerPlan(NamedTuple):
    """One layer.

    Attributes:
      in_channels, out_channels: of its convolution.
      in_px, out_px: sides of what it takes and gives.
      kernel: side of its convolution's kernel.
      up, down: factors before and after the non-linearity.
      padding: of the stretched picture, before and after; may cut.
      in_cutoff, in_half_width: of the filter that stretches.
      out_cutoff, out_half_width: of the filter that thins.
      rate: between both filters.
      radial: whether the filter that thins is.
      to_rgb: the last one, which has neither filters nor a non-linearity.
    """

    in_channels: int
    out_channels: int
    in_px: int
    out_px: int
    kernel: int
    up: int
    down: int
    padding: tuple[int, int]
    in_cutoff: float
    in_half_width: float
    out_cutoff: float
    out_half_width: float
    rate: float
    radial: bool
    to_rgb: bool

    def up_taps(self) -> Float[np.ndarray, " k"]:
        """The filter that stretches; its sum is 1."""
        settings = dict(cutoff=self.in_cutoff, half_width=self.in_half_width, rate=self.rate)
        return lowpass_taps(_taps(self.up), **settings)

    def down_taps(self) -> Float[np.ndarray, " k"] | Float[np.ndarray, "k k"]:
        """The filter that thins; its sum is 1."""
        settings = dict(cutoff=self.out_cutoff, half_width=self.out_half_width, rate=self.rate)
        design = radial_lowpass_taps if self.radial else lowpass_taps
        return design(_taps(self.down), **settings)


class InputPlan(NamedTuple):
    """The Fourier features: how many, on a grid of which side and rate, up to which frequency."""

    channels: int
    side_px: int
    rate: float
    cutoff: float


def plan(
    resolution: int, *, channel_base: int, channel_max: int, config: str
) -> tuple[InputPlan, tuple[LayerPlan, ...]]:
    """The input and all layers, to-RGB last. Arguments as in `StyleGan3`.

    Raises:
      ValueError: if the resolution is no power of two from 16, or the config unknown.
    """
    if resolution < 16 or resolution & (resolution - 1):
        raise ValueError(
            f"resolution: got {resolution}, want a power of two, at least 16; change model"
        )
    if config not in KERNELS:
        raise ValueError(f"config: got {config!r}, want one of {sorted(KERNELS)}; change model")
    last_cutoff = resolution / 2
    progress = np.minimum(np.arange(LAYERS + 1) / (LAYERS - CRITICAL_LAYERS), 1)
    cutoffs = FIRST_CUTOFF * (last_cutoff / FIRST_CUTOFF) ** progress
    last_stopband = last_cutoff * LAST_STOPBAND_RELATIVE
    stopbands = FIRST_STOPBAND * (last_stopband / FIRST_STOPBAND) ** progress
    rates = np.exp2(np.ceil(np.log2(np.minimum(2 * stopbands, resolution))))
    half_widths = np.maximum(stopbands, rates / 2) - cutoffs
    sides = rates.astype(int) + 2 * MARGIN_PX
    sides[-2:] = resolution
    channels = np.rint(np.minimum(channel_base / 2 / cutoffs, channel_max)).astype(int)
    channels[-1] = 3

    def layer(i: int) -> LayerPlan:
        before = max(i - 1, 0)
        to_rgb = i == LAYERS
        kernel = 1 if to_rgb else KERNELS[config]
        between = max(rates[before], rates[i]) * (1 if to_rgb else RELU_STRETCH)
        up, down = round(between / rates[before]), round(between / rates[i])
        return LayerPlan(
            int(channels[before]),
            int(channels[i]),
            int(sides[before]),
            int(sides[i]),
            kernel,
            up,
            down,
            _padding(int(sides[before]), int(sides[i]), kernel, up, down),
            float(cutoffs[before]),
            float(half_widths[before]),
            float(cutoffs[i]),
            float(half_widths[i]),
            float(between),
            config == "r" and i < LAYERS - CRITICAL_LAYERS,
            to_rgb,
        )

    first = InputPlan(int(channels[0]), int(sides[0]), float(rates[0]), float(cutoffs[0]))
    return first, tuple(layer(i) for i in range(LAYERS + 1))


def _taps(factor: int) -> int:
    return 1 if factor == 1 else FILTER_SIZE * factor


def _padding(in_px: int, out_px: int, kernel: int, up: int, down: int) -> tuple[int, int]:
    """Such that convolution, stretching and thinning leave `out_px`, centred."""
    wanted = (out_px - 1) * down + 1  # of what is thinned, filters aside
    total = wanted - (in_px + kernel - 1) * up + _taps(up) + _taps(down) - 2
    before = math.floor((total + up) / 2)
    return before, total - before
