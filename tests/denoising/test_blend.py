"""Gains by frequency and contrast combine a noisy image with its reconstruction."""

import numpy as np
import pytest

from edgevae.denoising import blend


def test_the_result_does_not_jump_where_a_rounding_error_changes_x_hat(x, table, model, noisy):
    y = noisy(x[:100], 0.2).clip(0, 1)
    x_hat, sigma = model.reconstruct(y), np.full(len(y), 0.2, np.float32)
    rounding = np.random.default_rng(1).uniform(-1e-6, 1e-6, x_hat.shape).astype(np.float32)
    first, second = (blend.blend(y, each, sigma, table) for each in (x_hat, x_hat + rounding))
    assert np.abs(first - second).max() < 1e-4


@pytest.mark.parametrize("classes", [1, 2, 3])
def test_a_gain_holds_in_the_middle_of_its_class(classes):
    boundaries = np.float32([0.2, 0.4][: classes - 1])
    gains = np.float32([[1, 2, 4], [0, 10, 30]])[:, :classes]
    middles = np.float32([0.1, 0.3, 0.5])[:classes].reshape(1, 1, 1, -1).repeat(2, axis=0)
    g = blend._at_contrast(middles, boundaries, gains)
    np.testing.assert_allclose(np.broadcast_to(g[:, 0, 0], gains.shape), gains, rtol=1e-5)


def test_contrast_is_the_standard_deviation_of_the_neighbourhood():
    image = np.random.default_rng(0).random((5, 6), np.float32)
    flat = np.float32(0.9) + np.float32(1e-6) * image  # where E[x^2] - E[x]^2 has no digit left
    for each in (image, flat):
        windows = np.lib.stride_tricks.sliding_window_view(np.pad(each, 1, mode="edge"), (3, 3))
        expected = windows.astype(float).std((2, 3))
        np.testing.assert_allclose(
            blend.contrast(each[None, None])[0, 0], expected, rtol=1e-3, atol=1e-9
        )
