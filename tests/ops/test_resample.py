"""FIR resampling against its definition in slow numpy, and the filters against theirs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal

from talkjax.ops import resample

RNG = np.random.default_rng(0)


def by_definition(x, taps, *, up, down, padding):
    """Zeros between the entries, padding, a full 2-D convolution, every `down`-th kept."""
    full = np.outer(taps, taps) if taps.ndim == 1 else taps
    b, h, w, c = x.shape
    stretched = np.zeros((b, h * up, w * up, c))
    stretched[:, ::up, ::up] = x
    before, after = padding
    widths = [(0, 0), (max(before, 0), max(after, 0)), (max(before, 0), max(after, 0)), (0, 0)]
    padded = np.pad(stretched, widths)
    rows = slice(max(-before, 0), padded.shape[1] - max(-after, 0))
    columns = slice(max(-before, 0), padded.shape[2] - max(-after, 0))
    padded = padded[:, rows, columns]
    out = [
        [scipy.signal.convolve2d(padded[i, :, :, j], full, mode="valid") for j in range(c)]
        for i in range(b)
    ]
    return np.moveaxis(np.array(out), 1, 3)[:, ::down, ::down]


CASES = [
    dict(count=4, up=1, down=1, padding=(1, 1)),
    dict(count=4, up=2, down=1, padding=(2, 1)),
    dict(count=4, up=1, down=2, padding=(1, 1)),
    dict(count=12, up=2, down=1, padding=(9, 8)),
    dict(count=24, up=4, down=1, padding=(-6, -9)),
    dict(count=24, up=4, down=1, padding=(23, 5)),
    dict(count=12, up=1, down=2, padding=(0, 0)),
    dict(count=5, up=1, down=3, padding=(-2, 4)),
    dict(count=3, up=4, down=1, padding=(2, 7)),
    dict(count=1, up=1, down=1, padding=(0, 0)),
]


@pytest.mark.parametrize(
    ("case", "dimensions"),
    [(case, 1) for case in CASES] + [(CASES[i], 2) for i in (1, 6, 7)],
    ids=str,
)
def test_resampling_is_its_definition(case, dimensions):
    case = dict(case)
    taps = RNG.standard_normal((case.pop("count"),) * dimensions)
    x = RNG.standard_normal((2, 17, 14, 3)).astype(np.float32)
    got = jax.jit(lambda x: resample.upfirdn(x, taps, **case))(x)
    want = by_definition(x, taps, **case)
    assert got.shape == want.shape
    np.testing.assert_allclose(got, want, rtol=0, atol=3e-5 * np.abs(taps).sum())


@pytest.mark.parametrize("case", [CASES[i] for i in (0, 1, 2, 4, 5, 7)], ids=str)
def test_the_gradient_is_the_adjoint_and_so_is_the_gradients_gradient(case):
    case = dict(case)
    taps = RNG.standard_normal(case.pop("count"))
    x, v = RNG.standard_normal((2, 1, 13, 15, 2)).astype(np.float32)
    resampled = lambda x: resample.upfirdn(x, taps, **case)  # noqa: E731
    y, pull = jax.vjp(resampled, jnp.asarray(x))
    u = RNG.standard_normal(y.shape).astype(np.float32)
    want = np.sum(by_definition(v, taps, **case) * u)
    scale = np.abs(taps).sum() ** 2 * np.sqrt(u.size)
    np.testing.assert_allclose(np.sum(pull(u)[0] * v), want, rtol=0, atol=1e-5 * scale)
    # d/du of <pull(u), v> is the forward pass of v: the adjoint of the adjoint.
    twice = jax.grad(lambda u: jnp.sum(pull(u)[0] * v))(u)
    np.testing.assert_allclose(twice, resampled(v), rtol=0, atol=1e-5 * np.abs(taps).sum() ** 2)


def test_half_precision_stays_and_sums_are_float32():
    x = jnp.full((1, 32, 32, 1), 1 / 3, jnp.bfloat16)
    y = resample.upfirdn(x, np.full(12, 1 / 12), down=2)
    assert y.dtype == jnp.bfloat16
    np.testing.assert_array_equal(np.asarray(y, np.float32), np.float32(x[0, 0, 0, 0]))


def test_stretching_and_thinning_at_once_is_refused():
    with pytest.raises(ValueError, match="got up 2 and down 2"):
        resample.upfirdn(jnp.zeros((1, 4, 4, 1)), np.ones(4), up=2, down=2)


def test_a_constant_survives_up_and_down():
    x = jnp.ones((1, 40, 40, 1))
    taps = resample.lowpass_taps(12, cutoff=4.0, half_width=4.0, rate=32.0)
    up = resample.upfirdn(x, 2 * taps, up=2, padding=(9, 8))
    down = resample.upfirdn(up, taps, down=2)
    # 12 taps leave ripples of less than a hundredth
    np.testing.assert_allclose(down[:, 10:-10, 10:-10], 1, rtol=0, atol=0.01)


def response(taps, frequencies_xy, rate):
    """Of a 2-D filter at points (x, y) of the plane of frequencies, by the sum itself."""
    at = (np.arange(len(taps)) - (len(taps) - 1) / 2) / rate
    column = np.exp(-2j * np.pi * np.multiply.outer(frequencies_xy[..., 0], at))
    row = np.exp(-2j * np.pi * np.multiply.outer(frequencies_xy[..., 1], at))
    return np.abs(np.einsum("...i,ij,...j->...", row, taps, column))


def test_the_radial_filter_answers_alike_in_all_directions():
    settings = dict(cutoff=4.0, half_width=4.0, rate=32.0)
    radial = resample.radial_lowpass_taps(12, **settings)
    one = resample.lowpass_taps(12, **settings)
    angles = np.linspace(0, np.pi / 2, 19)
    circle = 6.0 * np.stack([np.cos(angles), np.sin(angles)], -1)
    np.testing.assert_allclose(radial.sum(), 1, atol=1e-12)
    np.testing.assert_allclose(radial, np.rot90(radial), atol=1e-12)
    spread = np.ptp(response(radial, circle, 32.0))
    separable_spread = np.ptp(response(np.outer(one, one), circle, 32.0))
    assert spread < 0.005 < 0.05 < separable_spread
    # half of the amplitude at the cutoff, little beyond the transition band
    assert abs(response(radial, np.array([4.0, 0.0]), 32.0) - 0.5) < 0.08
    assert response(radial, np.array([8.5, 0.0]), 32.0) < 0.02


def test_an_odd_radial_filter_is_refused():
    with pytest.raises(ValueError, match="got 11 taps"):
        resample.radial_lowpass_taps(11, cutoff=4.0, half_width=4.0, rate=32.0)


def test_separable_terms_add_up_to_the_filter_and_are_few():
    radial = resample.radial_lowpass_taps(12, cutoff=4.0, half_width=4.0, rate=32.0)
    terms = resample.separable_terms(radial)
    assert len(terms) <= 6
    total = sum(np.outer(row, column) for row, column in terms)
    np.testing.assert_allclose(total, radial, rtol=0, atol=1e-6 * np.abs(radial).max())
