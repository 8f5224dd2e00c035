"""Heat maps: the colours of pixels, and their scale."""

import numpy as np

from edgevae.plots import heatmap


def test_a_map_stands_beside_its_image_on_a_fixed_scale():
    x = np.full((2, 1, 8, 16), 0.5, np.float32)
    parts = np.zeros_like(x)
    parts[1, 0, 2, 3] = heatmap.HOTTEST_NATS
    parts[1, 0, 2, 4] = 100 * heatmap.HOTTEST_NATS
    parts[1, 0, 2, 5] = heatmap.HOTTEST_NATS / 2
    maps = heatmap.draw_heatmaps(x, parts, (0.0, 1.0))
    k = 28  # of 8 pixels: at least 224
    assert (maps.dtype, maps.shape) == (np.float32, (2, 3, 8 * k, 32 * k))
    small = maps[:, :, ::k, ::k]
    np.testing.assert_array_equal(small[:, :, :, :16], 0.5)
    cool = small[0, :, :, 16:]
    assert cool.min() == cool.max() < 0.25
    np.testing.assert_allclose(small[1, :, 2, 19], 1)  # white
    np.testing.assert_allclose(small[1, :, 2, 20], 1)
    np.testing.assert_allclose(small[1, :, 2, 21], [240 / 255, 90 / 255, 20 / 255], atol=1e-6)


def test_the_channels_of_a_pixel_burn_together_in_any_range():
    x = np.full((1, 3, 300, 300), -1, np.float32)
    parts = np.full_like(x, heatmap.HOTTEST_NATS / 3)
    maps = heatmap.draw_heatmaps(x, parts, (-1.0, 1.0))
    assert maps.shape == (1, 3, 300, 600)
    np.testing.assert_array_equal(maps[..., :300], 0)
    np.testing.assert_allclose(maps[..., 300:], 1, atol=1e-5)
