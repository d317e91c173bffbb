import numpy as np
import pytest

from talkjax.evals import image_quality as iq


def _frames(seed, count=2, size=128):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, size=(count, size, size, 3), dtype=np.uint8)


def _ssim_by_windows(x, y):
    """SSIM as the sum it is defined by: one window after the other, all in float64."""
    offsets = np.arange(11) - 5
    line = np.exp(-(offsets**2) / (2 * 1.5**2))
    window = np.outer(line, line)
    window = (window / window.sum())[:, :, None]
    values = []
    for row in range(x.shape[0] - 10):
        for column in range(x.shape[1] - 10):
            a = x[row : row + 11, column : column + 11].astype(np.float64)
            b = y[row : row + 11, column : column + 11].astype(np.float64)
            mean_a, mean_b = (window * a).sum((0, 1)), (window * b).sum((0, 1))
            var_a = (window * (a - mean_a) ** 2).sum((0, 1))
            var_b = (window * (b - mean_b) ** 2).sum((0, 1))
            both = (window * (a - mean_a) * (b - mean_b)).sum((0, 1))
            c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
            top = (2 * mean_a * mean_b + c1) * (2 * both + c2)
            values.append(top / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2)))
    return np.mean(values)


def test_psnr_of_a_constant_offset_is_that_of_its_square():
    target = np.full((3, 16, 16, 3), 100, np.uint8)
    pred = np.full((3, 16, 16, 3), 110, np.uint8)
    # 10 log10(65025 / 100) = 28.1308
    np.testing.assert_allclose(iq.psnr(pred, target), 28.1308, atol=1e-4)


def test_psnr_is_per_frame_and_capped_for_identical_frames():
    target = np.full((2, 16, 16, 3), 100, np.uint8)
    pred = target.copy()
    pred[1] = 200
    np.testing.assert_allclose(iq.psnr(pred, target), [100.0, 8.1308], atol=1e-4)


def test_ssim_of_identical_frames_is_one():
    frames = _frames(0)
    np.testing.assert_allclose(iq.ssim(frames, frames), 1.0, atol=1e-12)


def test_ssim_equals_the_definition_window_by_window():
    pred, target = _frames(1, 1, 24), _frames(2, 1, 24)
    target = (target // 2 + pred // 2).astype(np.uint8)
    want = _ssim_by_windows(pred[0], target[0])
    assert 0.2 < want < 0.9
    np.testing.assert_allclose(iq.ssim(pred, target), want, rtol=1e-9)


def test_mouth_measures_see_the_mouth_alone():
    target = _frames(3)
    outside, inside = target.copy(), target.copy()
    outside[:, :40] = 0
    inside[:, 70:100, 40:90] = 0
    far, near = iq.image_quality(outside, target), iq.image_quality(inside, target)
    np.testing.assert_allclose(far.psnr_mouth, 100.0)
    np.testing.assert_allclose(far.ssim_mouth, 1.0, atol=1e-12)
    assert (far.psnr < 20).all() and (far.ssim < 0.9).all()
    assert (near.psnr_mouth < near.psnr).all() and (near.ssim_mouth < near.ssim).all()


def test_ssim_mouth_averages_windows_centred_in_the_rectangle():
    pred, target = _frames(4, 1), _frames(5, 1)
    whole = iq.ssim_map(pred[0], target[0])
    assert whole.shape == (118, 118, 3)
    # map row r is the window centred on frame row r + 5
    want = whole[64 - 5 : 112 - 5, 32 - 5 : 96 - 5].mean()
    np.testing.assert_allclose(iq.image_quality(pred, target).ssim_mouth, [want])


@pytest.mark.parametrize("size", [64, 128, 200])
def test_resizing_keeps_a_flat_frame_flat(size):
    flat = np.full((2, size, size, 3), 77, np.uint8)
    resized = iq.resize_frames(flat, 128)
    assert resized.shape == (2, 128, 128, 3)
    assert (resized == 77).all()
