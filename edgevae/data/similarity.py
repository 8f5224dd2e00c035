"""The similarity of two computations of the same items."""

import math

import numpy as np

from edgevae.data.items import Floats, Range

_EQUAL = 99.0  # dB of no difference at all, as a manifest holds finite numbers alone


def psnr(expected: Floats, got: Floats, x_range: Range | None) -> float:
    """Return the peak signal-to-noise ratio in dB, 99 at most.

    It is that of 8-bit pixels of `x_range`; for None that of numbers, by the range of `expected`.
    """
    if x_range is None:
        size, one, other = float(expected.max() - expected.min()), expected, got
    else:
        size, one, other = 255.0, _pixels(expected, *x_range), _pixels(got, *x_range)
    error = float(np.square(one - other, dtype=np.float64).mean())
    return min(_EQUAL, 10 * math.log10(size**2 / error)) if error else _EQUAL


def _pixels(x: Floats, low: float, high: float) -> Floats:
    pixels: Floats = np.rint(np.clip((x - low) / (high - low), 0, 1) * 255)
    return pixels
