"""The cosine transform of images and its bands."""

import math

import numpy as np
import pytest

from edgevae.denoising import transform


def test_the_transform_is_the_orthonormal_cosine_transform():
    y = np.random.default_rng(2).random((2, 1, 6, 9), np.float32)
    coefficients = transform.dct(y)
    np.testing.assert_allclose(transform.inverse_dct(coefficients), y, atol=1e-6)
    assert coefficients[0, 0, 0, 0] == pytest.approx(y[0].sum() / math.sqrt(54), rel=1e-5)
    assert (coefficients**2).sum() == pytest.approx((y**2).sum(), rel=1e-5)


@pytest.mark.parametrize("size", [4, 8, 28, 256])
def test_bands_cover_every_frequency_once(size):
    band = transform.bands(size)
    assert (band[0], len(band)) == (0, size)
    assert set(np.diff(band)) <= {0, 1}
    assert band[-1] < 14
