"""Heat maps: where in an image the model is surprised, beside the image itself."""

import numpy as np
import numpy.typing as npt

from edgevae.data import Range

Floats = npt.NDArray[np.float32]

# The scale of every map, so that they compare: what a Gaussian's pixel costs that is 5 sigmas off
# is the hottest, 12.5 nats.
HOTTEST = 12.5
# A fire: nothing, dark red, orange, yellow, white, at equal distances; RGB.
_FIRE = np.array([[0, 0, 0], [150, 20, 40], [240, 90, 20], [255, 210, 60], [255, 255, 255]]) / 255
_DIM = 0.35  # what is left of the image under the fire
_LEAST_SIDE = 224  # pixels: smaller images are enlarged by a whole factor


def draw(x: Floats, parts: Floats, x_range: Range) -> Floats:
    """Images (N, C, H, W), and to the right of each its parts in nats over it, dimmed.

    Float32 RGB (N, 3, k H, 2 k W) in [0, 1]; a small image is enlarged k times.
    """
    low, high = x_range
    image = np.clip((x - low) / (high - low), 0, 1)
    grey = image.mean(1, keepdims=True)
    heat = np.clip(parts.sum(1) / HOTTEST, 0, 1) * (len(_FIRE) - 1)
    stops = np.arange(len(_FIRE))
    fire = np.stack([np.interp(heat, stops, channel) for channel in _FIRE.T], axis=1)
    share = np.clip(heat, 0, 1)[:, None]  # all is fire from the first stop on
    burning = fire * share + _DIM * grey * (1 - share)
    pair = np.concatenate([np.broadcast_to(image, burning.shape), burning], axis=3)
    k = -(-_LEAST_SIDE // min(x.shape[2:]))
    return pair.astype(np.float32).repeat(k, axis=2).repeat(k, axis=3)
