"""Heat maps: the pixels of an image that the model does not expect, beside the image."""

from math import ceil

import numpy as np
import numpy.typing as npt

from edgevae.data import Range

Floats = npt.NDArray[np.float32]

# All maps have one scale, so that they compare. The hottest colour is at the nats that a pixel
# costs which is 5 standard deviations from a Gaussian's mean: 5^2 / 2.
HOTTEST_NATS = 12.5
# Black, dark red, orange, yellow and white, at equal distances; RGB.
_COLOURS = (
    np.array([[0, 0, 0], [150, 20, 40], [240, 90, 20], [255, 210, 60], [255, 255, 255]]) / 255
)
_DIMMED = 0.35  # brightness of the image under the colours
_SMALLEST_SIDE = 224  # pixels: smaller images are enlarged by an integer factor


def draw_heatmaps(x: Floats, parts: Floats, x_range: Range) -> Floats:
    """Return images x (N, C, H, W), each with its heat map on the right, RGB in [0, 1].

    `parts` are the nats of each pixel and channel, of x's shape; the map shows the sum over the
    channels over the dimmed image. The result is float32 (N, 3, k H, 2 k W), where k is the
    integer factor that enlarges a small image.
    """
    low, high = x_range
    image = np.clip((x - low) / (high - low), 0, 1)
    grey = image.mean(1, keepdims=True)
    heat = np.clip(parts.sum(1) / HOTTEST_NATS, 0, 1) * (len(_COLOURS) - 1)
    stops = np.arange(len(_COLOURS))
    colours = np.stack([np.interp(heat, stops, channel) for channel in _COLOURS.T], axis=1)
    opacity = np.clip(heat, 0, 1)[:, None]  # opaque from the second colour on
    heatmap = colours * opacity + _DIMMED * grey * (1 - opacity)
    pair = np.concatenate([np.broadcast_to(image, heatmap.shape), heatmap], axis=3)
    k = ceil(_SMALLEST_SIDE / min(x.shape[2:]))
    return pair.astype(np.float32).repeat(k, axis=2).repeat(k, axis=3)
