"""The noise of an image is estimated, and clipped pixels get their expected values."""

import numpy as np
import pytest

from edgevae.denoising import noise


@pytest.mark.parametrize("sigma", [0.1, 0.2, 0.4])
@pytest.mark.parametrize("clipped", [False, True])
def test_sigma_is_estimated(x, table, sigma, clipped, noisy):
    y = noisy(x[300:], sigma)
    y = y.clip(0, 1) if clipped else y
    estimates = noise.estimate_sigma(y, np.full(len(y), clipped), table)
    assert estimates.mean() == pytest.approx(sigma, rel=0.12)
    assert (noise.is_clipped(y) == clipped).all()


def test_clipped_pixels_are_restored():
    """If x is known, each clipped pixel gets the mean of a normal distribution's tail."""
    x_hat = np.full((1, 1, 1, 5), 0.05, np.float32)
    draws = x_hat + 0.2 * np.random.default_rng(1).standard_normal((200_000, 1, 1, 5))
    y = draws.clip(0, 1).astype(np.float32)
    restored = noise.restore_clipped(y, x_hat, np.full(len(y), 0.2, np.float32))
    assert y.mean() > 0.1
    assert restored.mean() == pytest.approx(0.05, abs=2e-3)
    np.testing.assert_array_equal(restored[(y > 0) & (y < 1)], y[(y > 0) & (y < 1)])
    far = noise.restore_clipped(
        np.zeros((1, 1, 1, 1), np.float32), np.ones((1, 1, 1, 1)), np.ones(1)
    )
    assert far.item() <= 0
