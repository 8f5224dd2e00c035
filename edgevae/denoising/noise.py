"""The noise level of images, and the expected values of pixels that were clipped."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevae.denoising.table import Table

Floats = npt.NDArray[np.float32]

# phi(t) / Phi(t) of the standard normal at points t.
_T = np.linspace(-8, 8, 641)
_INVERSE_MILLS_RATIOS = np.array(
    [math.sqrt(2 / math.pi) * math.exp(-t * t / 2) / math.erfc(-t / math.sqrt(2)) for t in _T]
)


def noise_level(images: Floats) -> Floats:
    """Return a robust measure of the noise in images (N, C, H, W): (N,), in their units.

    It is the median magnitude of the Laplacian [1 -2 1] x [1 -2 1], to which smooth areas and
    straight edges contribute little (Immerkaer 1996, "Fast noise variance estimation"), divided by
    .6745 to give the standard deviation of normal noise (Donoho and Johnstone 1994), and averaged
    over the channels.
    """
    down = images[:, :, :-2] - 2 * images[:, :, 1:-1] + images[:, :, 2:]
    both = down[..., :-2] - 2 * down[..., 1:-1] + down[..., 2:]
    magnitudes = np.abs(both).reshape(*images.shape[:2], -1) / 6
    levels: Floats = np.median(magnitudes, axis=2).mean(axis=1) / np.float32(0.6745)
    return levels


def estimate_sigma(noisy: Floats, clipped: npt.NDArray[np.bool_], table: Table) -> Floats:
    """Return sigma of each image (N,), by the noise levels of training images at each sigma.

    `clipped` (N,) is true for the images that were clipped to their range. The result is 0 for a
    noise level of at most that of a clean image, and never above the largest sigma of the table.
    """
    levels, sigmas = noise_level(noisy), np.empty(len(noisy), np.float32)
    for column, rows in enumerate((~clipped, clipped)):
        sigmas[rows] = np.interp(levels[rows], table.levels[:, column], table.sigmas)
    return sigmas


def is_clipped(images: Floats) -> npt.NDArray[np.bool_]:
    """Return a mask (N,) of the images that look clipped, as images of 8 bits are.

    Such an image lies within [0, 1] and reaches 0 or 1.
    """
    flat = images.reshape(len(images), math.prod(images.shape[1:]))
    lowest, highest = flat.min(1), flat.max(1)
    clipped: npt.NDArray[np.bool_] = (
        (lowest >= 0) & (highest <= 1) & ((lowest == 0) | (highest == 1))
    )
    return clipped


def restore_clipped(noisy: Floats, x_hat: Floats, sigma: Floats) -> Floats:
    """Return images with the pixels that were clipped at 0 or 1 replaced by expected values.

    The images (N, C, H, W) have noise of sigma (N,). For x = x_hat the expected value is the mean
    of a normal distribution's tail: below 0 it is x_hat - sigma phi(t) / Phi(t) with
    t = -x_hat / sigma, and above 1 it is the mirror image.
    """
    scale = np.maximum(sigma, np.float32(1e-6)).reshape(-1, 1, 1, 1)
    x_hat, scale = (np.broadcast_to(each, noisy.shape) for each in (x_hat, scale))
    restored = noisy.copy()
    at = noisy <= 0
    model, scales = x_hat[at], scale[at]
    restored[at] = np.minimum(model - scales * _inverse_mills_ratio(-model / scales), 0)
    at = noisy >= 1
    excess, scales = x_hat[at] - np.float32(1), scale[at]
    restored[at] = 1 + np.maximum(excess + scales * _inverse_mills_ratio(excess / scales), 0)
    return restored


def _inverse_mills_ratio(t: Any) -> Any:
    """Return the inverse Mills ratio phi(t) / Phi(t), interpolated, with t clipped to [-8, 8]."""
    return np.interp(t, _T, _INVERSE_MILLS_RATIOS).astype(np.float32)
